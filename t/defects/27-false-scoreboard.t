# Defect 27: a scoreboard of the program's own that is false as a truth value, as its class overloads that, was taken
# for none, and the module made one by itself.
use strict;
use warnings;

use lib 't/lib';
use ProcessTest;
use Test::More;

my $program = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork::SpareWorkers qw(:status);

package Own {
    use overload 'bool' => sub { return 0 }, '""' => sub { return 'a scoreboard' };

    sub new { return bless {}, $_[0] }

    sub child_start {
        print "child_start\n";
        return;
    }

    sub set_status {
        print "set_status $_[1]\n";
        return 1;
    }

    sub get_statuses { return '_' }

    sub clear_child {
        print "clear_child\n";
        return;
    }
}

package Derived {
    our @ISA = 'Parallel::Prefork::SpareWorkers::Scoreboard';
    use overload 'bool' => sub { 0 }, '""' => sub { 'a scoreboard' };
    sub new         { return $_[0]->SUPER::new(undef, 1) }
    sub child_start {
        my $self = shift;
        $self->SUPER::child_start;
        print "child_start\n";
        return 1;
    }
    sub set_status {
        my ($self, $status) = @_;
        print "set_status $status\n";
        return $self->SUPER::set_status($status);
    }
    sub clear_child {
        my ($self, $pid) = @_;
        $self->SUPER::clear_child($pid);
        print "clear_child\n";
        return;
    }
}

package main;

$| = 1;
my ($class) = @ARGV;
my $pm = Parallel::Prefork::SpareWorkers->new({
    max_workers       => 1,
    min_spare_workers => 1,
    heartbeat         => 0.05,
    trap_signals      => { TERM => 'TERM' },
    scoreboard        => $class->new,
    on_child_reap     => sub { $_[0]->signal_received('TERM') },
});
$pm->start(sub {
    $pm->set_status('B');
    $pm->set_status(STATUS_IDLE);
});
$pm->wait_all_children;
print ref($pm->scoreboard), "\n";
PERL

for my $class (qw(Own Derived)) {
    my $p = run($program, args => [$class], deadline => 20);
    is $p->out, "child_start\nset_status B\nset_status _\nclear_child\n$class\n", "a false scoreboard is used: $class"
        or diag $p->err;
}

done_testing;
