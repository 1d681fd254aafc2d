# churn-manager.pl FORKS POOL [OPTION VALUE]...
#
# A manager whose workers exit at once, with POOL workers at a time. Ours or the original, as @INC has it; OPTION is one of
# new, and `on_child_reap 1` a hook that does nothing.
#
# Each worker reads one byte of the file that is STDIN; all share its offset. So the one that is number
# FORKS finds the last byte, a '!', and it alone says that time is up and stops the manager: the
# manager has no hook to run, and neither it nor the other workers have anything to count.

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
