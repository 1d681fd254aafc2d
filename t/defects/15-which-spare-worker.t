# Defect 15: where there are too many spare workers, SpareWorkers sends TERM to idle workers
# only, to each of them once, and in one round to as many as are too many. The original
# takes any worker, one at a time, and signals it again on every heartbeat while it lives.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;
use Time::HiRes qw(sleep);

my $WORKERS  = 9;
my $BUSY     = 6;
my $TOO_MANY = 2;

# Each worker draws its state from a pipe. On TERM it tells so and lives on, so that it
# would be seen to get another one. USR1 lowers max_spare_workers; USR2 only wakes the
# manager, which then looks at its pool again.
my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers qw(:status);

my ($heartbeat, $workers, $busy, $max_spare) = @ARGV;
my $states = 'A' x $busy . STATUS_IDLE x ($workers - $busy);
pipe my $draw, my $fill or die "pipe: $!";
syswrite $fill, $states;

my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers       => $workers,
    min_spare_workers => $workers,
    heartbeat         => $heartbeat,
});
$SIG{USR1} = sub {
    $pm->min_spare_workers(1);
    $pm->max_spare_workers($max_spare);
    print "manager: lowered\n";
};
$SIG{USR2} = sub { print "manager: woken\n" };

$pm->start and exit;
sysread $draw, my $state, 1;
my $name = "$$ " . ($state eq STATUS_IDLE ? 'idle' : 'busy');
$SIG{TERM} = sub { print "TERM to $name\n" };
$SIG{WINCH} = sub { print "up to now: $name\n" };
$pm->set_status($state);
print "up: $name\n";
# In naps: perl would handle a signal that comes right before a long sleep only after it.
select undef, undef, undef, 0.05 while 1;
PERL

sub start_pool {
    my ($heartbeat) = @_;
    my $p = start_program($program, deadline => 10,
        args => [$heartbeat, $WORKERS, $BUSY, $WORKERS - $BUSY - $TOO_MANY]);
    $p->line_like(qr/^up: /) for 1 .. $WORKERS;
    # Lowering has to wake the manager, not to meet it halfway to its sleep (defect 1).
    ok eventually(sub { $p->asleep }), "the manager is asleep (heartbeat $heartbeat)";
    return $p;
}

# One pool with short heartbeats; and one that has no second heartbeat in time, so that
# whatever it sends after it was woken belongs to one round.
my $beating = start_pool(0.05);
my $resting = start_pool(1000);
$_->signal('USR1') for $beating, $resting;

# Many rounds: by heartbeats, and by wake-ups.
my $woken = 0;
for (1 .. 8) {
    $woken += $beating->signal('USR2') && defined $beating->line_like(qr/^manager: woken/);
    sleep 0.1;
}
is $woken, 8, 'the manager has looked at its pool again and again';

# The answer to WINCH comes after the answer to every earlier TERM: of signals that wait
# together, perl and the kernel take the one with the lower number first.
my @pids = $beating->out =~ /^up: (\d+)/mg;
$beating->signal('WINCH', $_) for @pids;
for (@pids) { last if !defined $beating->line_like(qr/^up to now/) }

my $told = $beating->out;
my (%busy, %idle);
$busy{$1}++ while $told =~ /^TERM to (\d+) busy$/mg;
$idle{$1}++ while $told =~ /^TERM to (\d+) idle$/mg;
is_deeply \%busy, {}, 'no busy worker gets TERM';
is_deeply [values %idle], [(1) x $TOO_MANY],
    'as many idle workers as are too many get TERM, each of them once' or diag $told;

my $sent = 0;
for (1 .. $TOO_MANY) {
    $sent++ if defined $resting->line_like(qr/^TERM to \d+ idle$/);
}
is $sent, $TOO_MANY, 'all that are too many get TERM in one round' or diag $resting->out;

done_testing;
