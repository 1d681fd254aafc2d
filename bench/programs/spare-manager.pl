# spare-manager.pl WORKERS
#
# SpareWorkers that keeps one worker idle. Each worker prints a line when it has begun, and another one a moment later,
# when it turns busy. Then no worker is idle, and the manager has to fork the next one, until there are WORKERS.

use strict;
use warnings;

use Parallel::Prefork::SpareWorkers;
use Time::HiRes qw(clock_gettime sleep CLOCK_MONOTONIC);

my ($workers) = @ARGV;

my $pm = Parallel::Prefork::SpareWorkers->new({ max_workers => $workers, min_spare_workers => 1 });
$pm->start and exit 0;
syswrite STDOUT, sprintf "begun %.9f\n", clock_gettime(CLOCK_MONOTONIC);
# At any moment of a heartbeat of 250 ms.
srand;
sleep 0.02 + rand 0.25;
my $busy = clock_gettime(CLOCK_MONOTONIC);
$pm->set_status('B');
syswrite STDOUT, sprintf "busy %.9f\n", $busy;
sleep 600;
