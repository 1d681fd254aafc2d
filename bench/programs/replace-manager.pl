# replace-manager.pl POOL
#
# A manager of POOL workers that stay. Each prints its pid, and the time when it has begun.

use strict;
use warnings;

use Parallel::Prefork;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my ($pool) = @ARGV;

# They are killed, and are to be replaced at once all the same.
my $pm = Parallel::Prefork->new({ max_workers => $pool, err_respawn_interval => 0 });
$pm->start and exit 0;
syswrite STDOUT, sprintf "%d %.9f\n", $$, clock_gettime(CLOCK_MONOTONIC);
sleep 600;
