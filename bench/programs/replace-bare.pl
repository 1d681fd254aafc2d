# replace-bare.pl POOL
#
# As replace-manager.pl, with only fork and wait.

use strict;
use warnings;

use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my ($pool) = @ARGV;

my $live = 0;
while (1) {
    while ($live < $pool) {
        my $pid = fork;
        defined $pid or die "fork: $!";
        if (!$pid) {
            syswrite STDOUT, sprintf "%d %.9f\n", $$, clock_gettime(CLOCK_MONOTONIC);
            sleep 600;
            exit 0;
        }
        $live++;
    }
    wait;
    $live--;
}
