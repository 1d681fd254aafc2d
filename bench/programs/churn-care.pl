# churn-care.pl FORKS POOL [all]
#
# churn-manager.pl, whose workers do one piece of work. With `all` the manager takes care in every way that it can, and
# each worker says when it is busy.

use strict;
use warnings;

use Parallel::Prefork;

my ($forks, $pool, $has_all) = @ARGV;

my %care = (
    graceful_timeout => 30,
    worker_timeout   => 60,
    ready_timeout    => 30,
    pdeathsig        => 'TERM',
    log_exits        => 1,
);
my $pm = Parallel::Prefork->new({ max_workers => $pool, trap_signals => { TERM => 'TERM' }, $has_all ? %care : () });
syswrite STDOUT, "begin\n";
if ($pm->start) {
    $pm->wait_all_children;
    exit 0;
}
$pm->busy if $has_all;
sysread STDIN, my $mark, 1;
$pm->idle if $has_all;
if ($mark eq '!') {
    syswrite STDOUT, "end\n";
    kill TERM => getppid;
}
exit 0;
