# Contract 13: signal_received may be set by the program itself, to anything true, wherever
# it has control while start runs; that ends start as an arrived signal does.
use strict;
use warnings;

use lib 't/lib';
use HeldWorker;
use ProcessTest;
use Test::More;

# Workers leave when they are released, or get TERM, and report which.
my $prelude = $BE_HELD . <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;
use Time::HiRes qw(setitimer ITIMER_REAL);

pipe my $ready,   my $tell_ready;
pipe my $reports, my $report;
pipe my $hold,    my $release;

sub worker {
    close $release;
    $SIG{TERM} = sub {
        syswrite $report, "TERM\n";
        exit 0;
    };
    syswrite $tell_ready, "\n";
    be_held($hold);
    syswrite $report, "released\n";
}

sub show {
    my ($pm, $returned) = @_;
    print "returned $returned on ", $pm->signal_received, "\n";
    return;
}

sub leave {
    my $pm = shift;
    close $release;
    $pm->wait_all_children;
    close $report;
    print "workers: $_" for sort readline $reports;
    return;
}
PERL

sub output {
    my $program = run($prelude . shift, deadline => 15);
    return $program->out . $program->err;
}

is output(<<'PERL'), "returned 1 on stop\n", 'before_fork can end start';
my $pm = Parallel::Prefork->new(before_fork => sub { $_[0]->signal_received('stop') });
show($pm, $pm->start(sub { syswrite $report, "ran\n" }));
leave($pm);
PERL

is output(<<'PERL'), "returned 1 on 1\nworkers: released\n", 'after_fork can end start';
my $pm = Parallel::Prefork->new(after_fork => sub {
    readline $ready;
    $_[0]->signal_received(1);
});
show($pm, $pm->start(\&worker));
leave($pm);
PERL

is output(<<'PERL'), "returned 1 on done\n", 'on_child_reap can end start';
my $pm = Parallel::Prefork->new(
    max_workers   => 1,
    on_child_reap => sub { $_[0]->signal_received('done') },
);
show($pm, $pm->start(sub { }));
leave($pm);
PERL

is output(<<'PERL'), "returned 1, the same object\n", 'the value may be a reference';
my $reason = { why => 'reload' };
my $pm = Parallel::Prefork->new(before_fork => sub { $_[0]->signal_received($reason) });
my $returned = $pm->start(sub { });
print "returned $returned, ", $pm->signal_received == $reason ? 'the same' : 'no', " object\n";
leave($pm);
PERL

is output(<<'PERL'), "returned 1 on reload\nworkers: released\n",
my $pm = Parallel::Prefork->new(
    max_workers => 1,
    after_fork  => sub {
        readline $ready;
        kill USR2 => $$;
    },
);
$SIG{USR2} = sub { $pm->signal_received('reload') };
show($pm, $pm->start(\&worker));
leave($pm);
PERL
    'the handler of a signal that is not trapped can end start';

# The timer goes on, so that a wake-up that came too early is followed by another.
is output(<<'PERL'), "returned 1 on time is up\nworkers: released\n",
my $pm = Parallel::Prefork->new(
    max_workers => 1,
    after_fork  => sub {
        readline $ready;
        setitimer(ITIMER_REAL, 0.1, 0.1);
    },
);
$SIG{ALRM} = sub { $pm->signal_received('time is up') };
my $returned = $pm->start(\&worker);
setitimer(ITIMER_REAL, 0);
show($pm, $returned);
leave($pm);
PERL
    'a handler can end a start that is asleep';

is output(<<'PERL'), "returned 1 on TERM\nworkers: TERM\nworkers: TERM\n",
my $forked = 0;
my $pm = Parallel::Prefork->new(max_workers => 2, after_fork => sub {
    readline $ready;
    $_[0]->signal_received('TERM') if ++$forked == 2;
});
show($pm, $pm->start(\&worker));
print "workers: $_" for map { scalar readline $reports } 1 .. 2;
leave($pm);
PERL
    'a value that names a trapped signal has the effect of that signal';

is output(<<'PERL'), "returned 1 on TERM\nworkers: released\n",
my $pm = Parallel::Prefork->new(trap_signals => {}, after_fork => sub {
    readline $ready;
    $_[0]->signal_received('TERM');
});
show($pm, $pm->start(\&worker));
leave($pm);
PERL
    'a value that names a signal that is not trapped sends nothing';

is output(<<'PERL'), "returned 1 on stop\nworkers: released\nworkers: released\nworkers: released\n",
my @values = ('', 0, 'stop');
my $pm = Parallel::Prefork->new(after_fork => sub {
    readline $ready;
    $_[0]->signal_received(shift @values);
});
show($pm, $pm->start(\&worker));
leave($pm);
PERL
    'false values do not end start';

# An object that is false for now is there to be asked again, and the manager sleeps all the same.
for my $hook (qw(before_fork after_fork)) {
    my $p = start_program(<<'PERL' =~ s/HOOK/$hook/r, deadline => 30);
use strict;
use warnings;
use Parallel::Prefork;
{
    package Stop;
    use overload bool => sub { $_[0]{is_set} }, q{""} => sub { $_[0]{is_set} ? 'stop' : '' }, fallback => 1;
}
my $stop = bless { is_set => 0 }, 'Stop';
$SIG{USR1} = sub { $stop->{is_set} = 1 };
my $pm = Parallel::Prefork->new(max_workers => 1, HOOK => sub { $_[0]->signal_received($stop) });
$pm->start(sub {
    print "in the worker\n";
    sleep 60;
});
print 'got ', $pm->signal_received, "\n";
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL
    is $p->line, 'in the worker', "an object that is false, stored in $hook: the pool is filled";
    ok eventually(sub { $p->sleeps_on(0.5) }), '... and the manager sleeps' or diag $p->err;
    $p->signal('USR1');
    is $p->line, 'got stop', '... until the object is true';
    is $p->wait, 0, '... and start returns';
}

done_testing;
