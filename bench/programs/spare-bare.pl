# spare-bare.pl WORKERS
#
# As spare-manager.pl, with a fork instead of a worker's change of status.

use strict;
use warnings;

use Time::HiRes qw(clock_gettime sleep CLOCK_MONOTONIC);

my ($workers) = @ARGV;

for (1 .. $workers) {
    sleep 0.02 + rand 0.25;
    my $busy = clock_gettime(CLOCK_MONOTONIC);
    my $pid  = fork;
    defined $pid or die "fork: $!";
    if (!$pid) {
        syswrite STDOUT, sprintf "begun %.9f\n", clock_gettime(CLOCK_MONOTONIC);
        sleep 600;
        exit 0;
    }
    syswrite STDOUT, sprintf "busy %.9f\n", $busy;
}
sleep 600;
