# Defect 26: workers in a PID namespace of their own (the program has called unshare(2) before a fork, as a sandbox
# does) have another pid there than the one that the manager knows them by. Their places on the scoreboard were never
# freed, so that soon no worker found one.
use strict;
use warnings;

use lib 't/lib';
use PidNamespace;
use File::Temp ();
use POSIX ();
use ProcessTest;
use Test::More;

my @under = new_pid_namespace() or plan skip_all => 'the kernel allows no PID namespace here';
my %number = (x86_64 => 272, aarch64 => 97, i686 => 310, riscv64 => 97, ppc64le => 282, s390x => 303);
my $unshare = $number{ (POSIX::uname())[4] } or plan skip_all => 'the number of unshare(2) is not known here';

# The first worker is the PID 1 of the namespace, which has to stay as long as others are to be forked there. Of the
# others each is busy and ends.
my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers qw(:status);

my ($unshare, $wanted, @options) = @ARGV;
my ($unshared, $ended, $failed) = (0, 0, 0);
my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers          => 3,
    min_spare_workers    => 3,
    err_respawn_interval => 0,
    heartbeat            => 0.05,
    trap_signals         => { TERM => 'KILL' },
    before_fork          => sub { $unshared++ or syscall($unshare, 0x20000000) == 0 or die "unshare: $!" },
    on_child_reap        => sub {
        my ($self, $pid, $status) = @_;
        $failed++ if $status;
        $self->signal_received('TERM') if ++$ended == $wanted;
    },
    @options,
});
if (!$pm->start) {
    if ($$ != 1) {
        $pm->set_status('B');
        exit 0;
    }
    $pm->set_status(STATUS_IDLE);
    sleep 1 while 1;
}
print "failed $failed\n";
$pm->signal_all_children('KILL');
$pm->wait_all_children;
print 'statuses ', join('', $pm->scoreboard->get_statuses), "\n";
PERL

for my $kind ('in memory', 'in a file') {
    my $dir = File::Temp->newdir;
    my @file = $kind eq 'in a file' ? (scoreboard_file => "$dir/board") : ();
    my $p = run($program, under => \@under, args => [$unshare, 12, @file], deadline => 15);
    is $p->line, 'failed 0', "a scoreboard $kind: each worker finds a place" or diag substr $p->err, 0, 500;
    is $p->line, 'statuses ...', "a scoreboard $kind: no slot is taken at the end";
}

done_testing;
