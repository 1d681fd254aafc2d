# tick.pl CALLS
#
# A worker that is busy calls tick CALLS times. It prints how many nanoseconds a call takes, beside an empty turn of the
# same loop.

use strict;
use warnings;

use Parallel::Prefork;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my ($calls) = @ARGV;

my $pm = Parallel::Prefork->new({ max_workers => 1, worker_timeout => 600 });
if ($pm->start) {
    $pm->wait_all_children;
    exit 0;
}
$pm->busy;
my $begin = clock_gettime(CLOCK_MONOTONIC);
for (1 .. $calls) { }
my $between = clock_gettime(CLOCK_MONOTONIC);
for (1 .. $calls) { $pm->tick }
my $end = clock_gettime(CLOCK_MONOTONIC);
printf "%.1f\n", ($end - $between - ($between - $begin)) / $calls * 1e9;
close STDOUT;
kill TERM => getppid;
sleep 600;
