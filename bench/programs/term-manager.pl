# term-manager.pl TRIALS
#
# A manager of 10 idle workers gets TERM, again and again. It prints a line for each trial: the microseconds from kill(2)
# to the return of start.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use POSIX ();
use Parallel::Prefork;
use Shooter;

my ($trials) = @ARGV;

my $shooter = Shooter->new($trials);
# No signal is sent on, so the pool stays as it is for the next trial.
my $pm = Parallel::Prefork->new({ max_workers => 10, trap_signals => { TERM => undef } });
# The first return has the pool filled.
for my $trial (0 .. $trials) {
    $shooter->ready if $trial;
    local $SIG{ALRM} = sub { kill TERM => $$ };
    alarm 1 if !$trial;
    if (!$pm->start) {
        sleep 600;
        exit 0;
    }
    $shooter->hit if $trial;
}
$pm->signal_all_children('KILL');
$pm->wait_all_children;
