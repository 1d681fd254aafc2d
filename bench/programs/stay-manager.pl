# stay-manager.pl POOL [OPTION VALUE]...
#
# A manager whose POOL workers stay until TERM. The worker that reads the last byte of STDIN says that all are running
# (see churn-manager.pl). The manager says when all have stopped. With an option of SpareWorkers the manager is one of
# those.

use strict;
use warnings;

use Parallel::Prefork;

my ($pool, %options) = @ARGV;

my $class = 'Parallel::Prefork';
if ($options{min_spare_workers}) {
    require Parallel::Prefork::SpareWorkers;
    $class = 'Parallel::Prefork::SpareWorkers';
}
my $pm = $class->new({ max_workers => $pool, trap_signals => { TERM => 'TERM' }, %options });
syswrite STDOUT, "begin\n";
if ($pm->start) {
    $pm->wait_all_children;
    syswrite STDOUT, "stopped\n";
    exit 0;
}
sysread STDIN, my $mark, 1;
syswrite STDOUT, "end\n" if $mark eq '!';
sleep 600;
