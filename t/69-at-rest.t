# A manager of spare workers that has nothing to do sleeps, without a look every heartbeat, also where a subclass
# overrides what has no part in its decisions; a subclass says by a method how often it looks; and a change of a
# worker's status wakes the manager if there are too few or too many idle ones by that, and otherwise does not.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

my %overrides = (
    'no method'              => '',
    'set_status'             => <<'PERL',
sub set_status {
    my ($self, $status) = @_;
    $self->{told}++;
    return $self->SUPER::set_status(lc $status);
}
PERL
    'start and _action_for'  => <<'PERL',
sub start {
    my $self = shift;
    return $self->SUPER::start(@_);
}
sub _action_for { return ["TERM", 0] }
PERL
    'heartbeat'              => <<'PERL',
sub heartbeat { return 1000 }
PERL
    'heartbeat and decision' => <<'PERL',
sub heartbeat { return 1000 }
sub _decide_action {
    my $self = shift;
    return $self->SUPER::_decide_action;
}
PERL
);

my $program = <<'PERL';
use strict;
use warnings;
{
    package Pool;
    use Parallel::Prefork::SpareWorkers;
    our @ISA = ('Parallel::Prefork::SpareWorkers');
    OVERRIDES
}
my $pm = Pool->new({
    max_workers       => 2,
    min_spare_workers => 1,
    max_spare_workers => 2,
    heartbeat         => 0.05,
    trap_signals      => { TERM => 'TERM' },
});
$SIG{USR2} = sub { print join('', $pm->scoreboard->get_statuses), "\n" };
$pm->start(sub {
    $SIG{USR1} = sub { $pm->set_status('B') };
    print "worker $$\n";
    sleep 100 while 1;
});
print 'left ', $pm->wait_all_children, "\n";
PERL

for my $name (sort keys %overrides) {
    my $p = start_program(filled($program, OVERRIDES => $overrides{$name}), deadline => 60);
    my $title = "a subclass that overrides $name";
    my ($worker) = ($p->line // '') =~ /\Aworker (\d+)\z/;
    ok $worker, "$title starts a worker" or diag $p->err;
    ok eventually(sub { $p->sleeps_on(0.5) }), "$title sleeps without a look every 0.05 seconds";
    if ($name !~ /heartbeat/) {
        kill USR1 => $worker;
        like $p->line, qr/\Aworker (?!$worker\z)/, "$title forks when a worker has become busy";
        $p->signal('USR2');
        is $p->line, $name eq 'set_status' ? 'b_' : 'B_', "$title has the status that its set_status stores";
    }
    $p->signal('TERM');
    is $p->line_like(qr/\Aleft/), 'left 0', "$title ends by TERM, with all workers" or diag $p->err;
}

my $bounded = start_program(<<'PERL', deadline => 60);
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers;
my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers       => 10,
    min_spare_workers => 1,
    max_spare_workers => 2,
    heartbeat         => 1000,
    trap_signals      => { TERM => 'TERM' },
    on_child_reap     => sub { print "reaped $_[1]\n" },
});
$pm->start(sub {
    my $changes = 0;
    my $change = sub {
        $pm->set_status($_[0]);
        $changes++;
        print "$$ has changed $changes times\n";
    };
    $SIG{USR1} = sub { $change->('B') };
    $SIG{USR2} = sub { $change->('_') };
    print "worker $$\n";
    sleep 100 while 1;
});
$pm->wait_all_children;
PERL

my @workers;
for my $busy (0 .. 2) {
    kill USR1 => $workers[-1] if $busy;
    my ($worker) = ($bounded->line_like(qr/\Aworker/) // '') =~ /(\d+)/;
    ok $worker, "$busy busy workers and no idle one: the manager forks one" or last;
    push @workers, $worker;
}
# A second after a fork the manager looks for children once more.
ok eventually(sub { $bounded->sleeps_on(1.5) }), '2 busy workers and one idle: the manager sleeps' or diag $bounded->err;
for my $change ([USR2 => 2, '1 busy worker and 2 idle'], [USR1 => 3, '2 busy workers and one idle']) {
    my ($signal, $changes, $what) = @$change;
    my $wakings = $bounded->wakings;
    kill $signal => $workers[0];
    ok $bounded->line_like(qr/\A$workers[0] has changed $changes times\z/), $what;
    ok eventually(sub { $bounded->sleeps_on(0.5) }), '... the manager sleeps' or diag $bounded->err;
    is $bounded->wakings, $wakings, '... and was not woken';
}
kill USR2 => @workers[0, 1];
like $bounded->line_like(qr/\Areaped/), qr/\Areaped (?:$workers[0]|$workers[1]|$workers[2])\z/,
    '3 idle workers: the manager stops one'
    or diag $bounded->err;
$bounded->signal('TERM');
is $bounded->wait, 0, 'the manager ends by TERM';

done_testing;
