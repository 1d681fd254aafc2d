# A manager of spare workers that has nothing to do sleeps, without a look every heartbeat, also where a subclass overrides
# what has no part in its decisions; and a subclass says by a method how often it looks.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

my %overrides = (
    'no method'              => '',
    'set_status'             => 'sub set_status { my ($self, $status) = @_; $self->{told}++; return $self->SUPER::set_status(lc $status) }',
    'start and _action_for'  => 'sub start { my $self = shift; return $self->SUPER::start(@_) } sub _action_for { return ["TERM", 0] }',
    'heartbeat'              => 'sub heartbeat { return 1000 }',
    'heartbeat and decision' => 'sub heartbeat { return 1000 } sub _decide_action { my $self = shift; return $self->SUPER::_decide_action }',
);

for my $name (sort keys %overrides) {
    my $p = start_program(<<"PERL", deadline => 60);
use strict;
use warnings;
{ package Pool;
  use Parallel::Prefork::SpareWorkers;
  our \@ISA = ('Parallel::Prefork::SpareWorkers');
  $overrides{$name} }
my \$pm = Pool->new({
    max_workers       => 2,
    min_spare_workers => 1,
    max_spare_workers => 2,
    heartbeat         => 0.05,
    trap_signals      => { TERM => 'TERM' },
});
\$SIG{USR2} = sub { print join('', \$pm->scoreboard->get_statuses), "\\n" };
\$pm->start(sub {
    \$SIG{USR1} = sub { \$pm->set_status('B') };
    print "worker \$\$\\n";
    sleep 100 while 1;
});
print 'left ', \$pm->wait_all_children, "\\n";
PERL
    my ($worker) = ($p->line // '') =~ /\Aworker (\d+)\z/;
    ok $worker, "a subclass that overrides $name" or diag $p->err;
    ok eventually(sub { $p->sleeps_on(0.5) }), '... sleeps without a look every 0.05 seconds';
    if ($name !~ /heartbeat/) {
        kill USR1 => $worker;
        like $p->line, qr/\Aworker (?!$worker\z)/, '... and forks when a worker has become busy';
        $p->signal('USR2');
        is $p->line, $name eq 'set_status' ? 'b_' : 'B_', '... by a method that is called';
    }
    $p->signal('TERM');
    is $p->line_like(qr/\Aleft/), 'left 0', '... and TERM ends it' or diag $p->err;
}

done_testing;
