# data-churn.pl MEGABYTES POOL LEAVE [OPTION VALUE]...
#
# As churn-manager.pl, in a program with so much data. The first worker prints "first" when it runs. LEAVE is `exit`, or
# `_exit`, which skips perl's global destruction.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use Data;
use Parallel::Prefork;
use POSIX ();

my ($megabytes, $pool, $leave, %options) = @ARGV;

my $data = Data::of_megabytes($megabytes);
my $pm   = Parallel::Prefork->new({ max_workers => $pool, trap_signals => { TERM => 'TERM' }, %options });
syswrite STDOUT, "begin\n";
if ($pm->start) {
    $pm->wait_all_children;
    POSIX::_exit(0);
}
sysread STDIN, my $mark, 1;
if ($mark eq '1') {
    syswrite STDOUT, "first\n";
}
elsif ($mark eq '!') {
    syswrite STDOUT, "end\n";
    kill TERM => getppid;
}
POSIX::_exit(0) if $leave eq '_exit';
exit 0;
