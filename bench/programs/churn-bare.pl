# churn-bare.pl FORKS POOL
#
# The bare loop against which the managers are measured. It forks FORKS workers, POOL at a time, and each exits at
# once. STDIN and STDOUT are as in churn-manager.pl.

use strict;
use warnings;

my ($forks, $pool) = @ARGV;

my ($forked, $live) = (0, 0);
syswrite STDOUT, "begin\n";
while ($forked < $forks) {
    if ($live == $pool) {
        wait;
        $live--;
    }
    my $pid = fork;
    defined $pid or die "fork: $!";
    if (!$pid) {
        sysread STDIN, my $mark, 1;
        syswrite STDOUT, "end\n" if $mark eq '!';
        exit 0;
    }
    $forked++;
    $live++;
}
1 while wait != -1;
