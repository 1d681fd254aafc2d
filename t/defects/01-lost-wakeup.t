# Defect 1: a signal that comes after the loop has looked at signal_received and before
# it sleeps ends `start` all the same. The original sleeps on until some child exits.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

# The loop calls _decide_action and _max_wait between its look and its sleep, so what is
# sent from there falls into the window, every time. The only worker never exits by
# itself: nothing but the signal can wake the manager.
my $program = <<'PERL';
package Pool;

use Parallel::Prefork;
our @ISA = 'Parallel::Prefork';

my ($place, $arrival) = @ARGV;
my $sent = 0;

sub window_is_open {
    my ($self, $here) = @_;
    return $here eq $place && $self->num_workers == $self->max_workers && !$sent++;
}

sub _decide_action {
    my $self = shift;
    my $action = $self->SUPER::_decide_action;
    main::arrive() if $self->window_is_open('_decide_action');
    return $action;
}

sub _max_wait {
    my $self = shift;
    if ($self->window_is_open('_max_wait')) {
        # With no statement behind the kill, perl runs the handler in the caller only.
        return (kill('TERM', $$), undef)[1] if $arrival eq 'late';
        main::arrive();
    }
    return $self->SUPER::_max_wait;
}

package main;

use POSIX qw(SIGTERM);

my $pm = Pool->new({ max_workers => 1 });
if ($arrival eq 'immediate') {
    my $handler = POSIX::SigAction->new(sub { $pm->signal_received('TERM') });
    POSIX::sigaction(SIGTERM, $handler) or die "sigaction: $!";
}
$SIG{USR1} = sub { $pm->signal_received('TERM') };

sub arrive {
    kill $arrival eq 'own' ? 'USR1' : 'TERM', $$;
    return;
}

my $returned = $pm->start(sub { sleep 60 while 1 });
print "start returned $returned on ", $pm->signal_received, "\n";
print 'workers left: ', $pm->wait_all_children, "\n";
PERL

my @cases = (
    [_max_wait      => trapped   => 'handled before the loop goes on'],
    [_max_wait      => late      => 'still unhandled when the loop goes on'],
    [_max_wait      => immediate => 'taken by an immediate handler that stores TERM'],
    [_max_wait      => own       => 'taken by a handler of the program that stores TERM'],
    [_decide_action => trapped   => 'handled while the loop decides what to do'],
);

# All at once, so that hangs cost one deadline together.
my @programs = map { start_program($program, args => [@$_[0, 1]], deadline => 10) } @cases;

for my $case (@cases) {
    my $p = shift @programs;
    $p->wait;
    my $name = "a signal before the sleep, $case->[2],";
    is $p->status, 0, "$name lets the manager end" or diag $p->err;
    is $p->out, "start returned 1 on TERM\nworkers left: 0\n", "$name ends start and reaches the worker";
}

done_testing;
