# term-bare.pl TRIALS
#
# As term-manager.pl, with a handler and sigsuspend instead of a manager.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use POSIX qw(:signal_h);
use Shooter;

my ($trials) = @ARGV;

my $shooter = Shooter->new($trials);
$SIG{TERM} = sub { };
# TERM is blocked except while sigsuspend sleeps, so none is missed.
my $without_term = POSIX::SigSet->new;
sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGTERM), $without_term);
for (1 .. $trials) {
    $shooter->ready;
    sigsuspend($without_term);
    $shooter->hit;
}
