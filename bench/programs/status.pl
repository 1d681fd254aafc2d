# status.pl CHANGES
#
# A worker changes its status CHANGES times, busy and idle in turn. It prints how many million changes a second that
# was.

use strict;
use warnings;

use Parallel::Prefork::SpareWorkers qw(:status);
use Time::HiRes qw(time);

my ($changes) = @ARGV;

my $pm = Parallel::Prefork::SpareWorkers->new({ max_workers => 1, min_spare_workers => 1 });
if ($pm->start) {
    $pm->wait_all_children;
    exit 0;
}
my $begin = time;
for (1 .. $changes / 2) {
    $pm->set_status('B');
    $pm->set_status(STATUS_IDLE);
}
printf "%.6f\n", $changes / (time - $begin) / 1e6;
close STDOUT;
kill TERM => getppid;
sleep 600;
