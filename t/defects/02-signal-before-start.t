# Defect 2: a trapped signal that arrives before `start`, or between two starts, and that
# the program has not read, is acted on by the next `start`, which returns at once. What
# the program has read, or has stored itself, is cleared. The original clears everything.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

# A manager of one worker. A start that does not return at once forks: then it says so,
# and HUP ends it.
my $prelude = <<'PERL';
use Parallel::Prefork;

package Overrides {
    our @ISA = 'Parallel::Prefork';
    sub signal_received {
        my $self = shift;
        return $self->SUPER::signal_received(@_);
    }
}

my $pm = manager('Parallel::Prefork');

sub manager {
    my ($class) = @_;
    return $class->new({
        max_workers  => 1,
        trap_signals => { TERM => 'TERM', HUP => 'TERM' },
        before_fork  => sub { print "runs on\n" },
        after_fork   => sub { kill HUP => $$ },
    });
}

sub start {
    my $returned = $pm->start(sub { sleep 60 while 1 });
    print "start returned $returned on ", $pm->signal_received, "\n";
}
PERL

my $at_once = "start returned 1 on TERM\n";
my $runs_on = "runs on\nstart returned 1 on HUP\n";

sub prints {
    my ($source, $expected, $promise) = @_;
    my $p = run($prelude . $source, deadline => 15);
    is $p->out, $expected, $promise or diag $p->err;
    return;
}

prints <<'PERL', $at_once, 'TERM before the first start: it returns at once';
kill TERM => $$;
start();
PERL

prints <<'PERL', $at_once, 'TERM before a start without a sub: it returns at once, in the manager';
kill TERM => $$;
my $returned = $pm->start or exit;
print "start returned $returned on ", $pm->signal_received, "\n";
PERL

prints <<'PERL', $at_once, 'so it does where a subclass overrides signal_received';
$pm = manager('Overrides');
kill TERM => $$;
start();
PERL

prints <<'PERL', $at_once, 'a look before the arrival does not count as reading it';
$pm->signal_received and die;
kill TERM => $$;
start();
PERL

prints <<'PERL', "${runs_on}${at_once}", 'TERM during wait_all_children: the next start returns at once';
$pm->on_child_reap(sub { kill TERM => $$ });
start();
$pm->wait_all_children;
start();
PERL

prints <<'PERL', "read TERM\n$runs_on", 'a signal that the program has read is cleared';
kill TERM => $$;
print 'read ', $pm->signal_received, "\n";
start();
PERL

prints <<'PERL', "read HUP\n$at_once$runs_on", 'one that was read is cleared, one behind it is acted on, once';
kill HUP => $$;
print 'read ', $pm->signal_received, "\n";
kill TERM => $$;
start();
start();
PERL

prints <<'PERL', $runs_on, 'what the program has stored is cleared';
$pm->signal_received('TERM');
start();
PERL

prints <<'PERL', $runs_on, q(what the program's own handler has stored is cleared);
$SIG{TERM} = sub { $pm->signal_received('TERM') };
kill TERM => $$;
start();
PERL

# A server that is told to stop while it loads its configuration anew.
my $server = start_program(<<'PERL', deadline => 15);
use Parallel::Prefork;

my $pm = Parallel::Prefork->new({
    max_workers  => 1,
    trap_signals => { TERM => 'USR1', HUP => '' },
});
my $work = sub {
    $SIG{USR1} = sub {
        print "worker: USR1\n";
        exit;
    };
    print "worker: up\n";
    # Short naps: a signal just before one is handled at its end.
    select undef, undef, undef, 0.05 while 1;
};
$pm->start($work);
print 'reload on ', $pm->signal_received, "\n";

kill TERM => $$;
# With a bigger pool a start that runs on has something to fork.
$pm->max_workers(2);
$pm->before_fork(sub {
    print "runs on\n";
    exit;
});

my $returned = $pm->start($work);
print "start returned $returned on ", $pm->signal_received, "\n";
$pm->wait_all_children;
PERL
is $server->line, 'worker: up', 'a server has its worker';
$server->signal('HUP');
is $server->line, 'reload on HUP', 'HUP ends its first start';
$server->wait;
like $server->out, qr/^start returned 1 on TERM$/m, 'TERM between two starts: the second returns at once';
like $server->out, qr/^worker: USR1$/m, 'the workers get the action of the TERM that came before start';
unlike $server->out, qr/runs on/, 'start forks nothing after a TERM that came before it';

done_testing;
