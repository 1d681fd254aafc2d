# churn-forkmanager.pl FORKS POOL
#
# As churn-bare.pl, with Parallel::ForkManager. By default that looks for ended workers once a second; here it waits for
# them.

use strict;
use warnings;

use Parallel::ForkManager;

my ($forks, $pool) = @ARGV;

my $pm = Parallel::ForkManager->new($pool);
$pm->set_waitpid_blocking_sleep(0);
syswrite STDOUT, "begin\n";
for (1 .. $forks) {
    next if $pm->start;
    sysread STDIN, my $mark, 1;
    syswrite STDOUT, "end\n" if $mark eq '!';
    $pm->finish;
}
$pm->wait_all_children;
