# churn-manager.pl FORKS POOL [OPTION VALUE]...
#
# A manager with POOL workers at a time, which exit at once. @INC says whether it is ours or the original. OPTION is an
# option of new; `on_child_reap 1` is a hook that does nothing.
#
# Each worker reads one byte of the file that is STDIN, and all share its offset. So worker number FORKS finds the last
# byte, a '!'. Only this worker says that time is up, and stops the manager. So the manager needs no hook, and neither it
# nor the other workers have to count.

use strict;
use warnings;

use Parallel::Prefork;

my ($forks, $pool, %options) = @ARGV;

$options{on_child_reap} = sub { } if $options{on_child_reap};
my $pm = Parallel::Prefork->new({ max_workers => $pool, trap_signals => { TERM => 'TERM' }, %options });
syswrite STDOUT, "begin\n";
if ($pm->start) {
    $pm->wait_all_children;
    exit 0;
}
sysread STDIN, my $mark, 1;
if ($mark eq '!') {
    syswrite STDOUT, "end\n";
    kill TERM => getppid;
}
exit 0;
