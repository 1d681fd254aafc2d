# Contract 15: what signal handlers and callbacks do works as in any Perl program: die and
# exit leave start and wait_all_children, and every method, other managers and fork are free
# to use there; in handlers that perl defers and in those that it runs at once.
use strict;
use warnings;

use lib 't/lib';
use ProcessTest;
use Test::More;

my $prelude = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;
use POSIX qw(SIGALRM);
use Scalar::Util qw(weaken);
use Time::HiRes qw(setitimer ITIMER_REAL);

our $manager = $$;
our ($kind, $place) = @ARGV;
pipe my $hold, my $release;
pipe my $ready, my $tell_ready;

sub worker {
    close $release;
    syswrite $tell_ready, "\n";
    readline $hold;
}

# Calls the code on an alarm, once. The timer goes on until then, so that an alarm that
# came just before a sleep is followed by another.
sub on_alarm {
    my $code    = shift;
    my $called  = 0;
    my $handler = sub {
        setitimer(ITIMER_REAL, 0);
        $code->() if !$called++;
    };
    if ($kind eq 'deferred') {
        $SIG{ALRM} = $handler;
    } else {
        POSIX::sigaction(SIGALRM, POSIX::SigAction->new($handler))
            or die "sigaction: $!";
    }
    return;
}

# Has start, or wait_all_children, run with two workers when the alarm comes.
sub run_until_alarm {
    my $pm = shift;
    $pm->after_fork(sub { readline $ready });
    $pm->{__dbg_callback} = sub {
        return if $pm->num_workers < 2;
        delete $pm->{__dbg_callback};    # while there is one, start does not sleep
        if   ($place eq 'start') { setitimer(ITIMER_REAL, 0.1, 0.1) }
        else                     { $pm->signal_received('go on') }
    };
    $pm->start(\&worker);
    return if $place eq 'start';
    setitimer(ITIMER_REAL, 0.1, 0.1);
    $pm->wait_all_children;
    return;
}
PERL

sub program { return start_program($prelude . shift, args => [@_], deadline => 15) }

for my $kind ('deferred', 'immediate') {
    for my $place ('start', 'wait_all_children') {
        my $dies = program(<<'PERL', $kind, $place);
my $pm = Parallel::Prefork->new(max_workers => 2);
on_alarm(sub { die "time is up\n" });
eval { run_until_alarm($pm); 1 } and print "returned\n";
print $@;
print 'workers ', $pm->num_workers, "\n";
$pm->signal_all_children('TERM');
print 'left ', $pm->wait_all_children, "\n";
$pm->after_fork(sub { $pm->signal_received('again') });
print 'returned ', $pm->start(sub { }), "\n";
print 'left ', $pm->wait_all_children, "\n";
PERL
        my $exits = program(<<'PERL', $kind, $place);
my $pm = Parallel::Prefork->new(max_workers => 2);
on_alarm(sub { exit 7 });
END { print "END\n" if $$ == $manager }
run_until_alarm($pm);
print "returned\n";
PERL
        my $stops = program(<<'PERL', $kind, $place);
my $pm = Parallel::Prefork->new(max_workers => 2);
on_alarm(sub {
    print 'workers ', $pm->num_workers, "\n";
    $pm->signal_all_children('TERM');
    print 'left ', $pm->wait_all_children, "\n";
    exit 3;
});
run_until_alarm($pm);
print "returned\n";
PERL
        $_->wait for $dies, $exits, $stops;
        my $where = "a handler ($kind) inside $place";
        is $dies->out, "time is up\nworkers 2\nleft 0\nreturned 1\nleft 0\n",
            "$where: die leaves it, and the manager goes on working";
        is $exits->status, 7 << 8,  "$where: exit ends the program";
        is $exits->out,    "END\n", "$where: with its END blocks";
        is $stops->out,    "workers 2\nleft 0\n",
            "$where: may stop the workers and wait for them";
        is $stops->status, 3 << 8, "$where: and exit after that";
    }

    my $grows = program(<<'PERL', $kind, 'start');
my $pm = Parallel::Prefork->new(max_workers => 2);
on_alarm(sub {
    print 'waited, left ', $pm->wait_all_children(-1), "\n";
    $pm->max_workers(3);
    $pm->after_fork(sub {
        readline $ready;
        $pm->signal_received('grown');
    });
});
run_until_alarm($pm);
print 'workers ', $pm->num_workers, ' on ', $pm->signal_received, "\n";
PERL
    my $nests = program(<<'PERL', $kind, 'start');
my $pm = Parallel::Prefork->new(max_workers => 2);
on_alarm(sub {
    $pm->max_workers(3);
    $pm->after_fork(sub {
        readline $ready;
        $pm->signal_received('nested');
    });
    print 'inner start ', $pm->start(\&worker), "\n";
});
run_until_alarm($pm);
print join(' ', sort values %{ $pm->{worker_pids} }), ' on ', $pm->signal_received, "\n";
PERL
    my $others = program(<<'PERL', $kind, 'start');
my $pm = Parallel::Prefork->new(max_workers => 2);
on_alarm(sub {
    my $pid = fork;
    exit 5 if !$pid;
    waitpid $pid, 0;
    print 'forked ', $? >> 8, "\n";
    my $other = Parallel::Prefork->new(
        max_workers   => 1,
        trap_signals  => {},
        on_child_reap => sub { $_[0]->signal_received('reaped') },
    );
    print 'other start ', $other->start(sub { }), "\n";
    print 'other left ', $other->wait_all_children, "\n";
    weaken($other);
    print 'other ', $other ? 'alive' : 'destroyed', "\n";
    $pm->signal_received('done');
});
run_until_alarm($pm);
print 'workers ', $pm->num_workers, ' on ', $pm->signal_received, "\n";
close $release;
print 'left ', $pm->wait_all_children, "\n";
PERL
    $_->wait for $grows, $nests, $others;
    my $where = "a handler ($kind)";
    is $grows->out, "waited, left 2\nworkers 3 on grown\n",
        "$where may call methods, and start goes on";
    is $nests->out, "inner start 1\n1 1 2 on nested\n", "$where may call start inside start";
    is $others->out, <<'OUT', "$where may fork, and create, use and destroy another manager";
forked 5
other start 1
other left 0
other destroyed
workers 2 on done
left 0
OUT
    is $others->err, '', "$where: without a warning";
}

my %leaves = (
    'before_fork in start' => <<'PERL',
my $pm = Parallel::Prefork->new(before_fork => sub { LEAVE });
eval { $pm->start(sub { }); 1 } and print "returned\n";
PERL
    'after_fork in start' => <<'PERL',
my $pm = Parallel::Prefork->new(after_fork => sub { LEAVE });
eval { $pm->start(sub { }); 1 } and print "returned\n";
PERL
);
for my $callback (sort keys %leaves) {
    (my $dies  = $leaves{$callback}) =~ s/LEAVE/die "no more\\n"/;
    (my $exits = $leaves{$callback}) =~ s/LEAVE/exit 4/;
    is run("$prelude$dies\nprint \$@;", deadline => 15)->out, "no more\n", "$callback may die";
    is run("$prelude$exits", deadline => 15)->status, 4 << 8, "$callback may exit";
}

# (What on_child_reap throws stays in it: contract 11.)
my $exits_in_start = run($prelude . <<'PERL', deadline => 15);
my $pm = Parallel::Prefork->new(on_child_reap => sub { exit 4 });
$pm->start(sub { });
PERL
is $exits_in_start->status, 4 << 8, 'on_child_reap in start may exit';

my $exits_in_wait = run($prelude . <<'PERL', deadline => 15);
my $pm = Parallel::Prefork->new(
    after_fork    => sub { $_[0]->signal_received('forked') },
    on_child_reap => sub { exit 4 },
);
$pm->start(sub {
    close $release;
    readline $hold;
});
close $release;
$pm->wait_all_children;
PERL
is $exits_in_wait->status, 4 << 8, 'on_child_reap in wait_all_children may exit';

my $reenters = run($prelude . <<'PERL', deadline => 15);
my ($pm, $reaped);
sub use_everything {
    my $where = shift;
    my $pid   = fork;
    exit 6 if !$pid;
    waitpid $pid, 0;
    print "$where: forked ", $? >> 8, "\n";
    my $other = Parallel::Prefork->new(trap_signals => {}, max_workers => 0);
    print "$where: other left ", $other->wait_all_children, "\n";
    print "$where: left ", $pm->wait_all_children(-1), "\n";
    $pm->signal_all_children(0);
    return;
}
$pm = Parallel::Prefork->new(
    max_workers   => 1,
    before_fork   => sub { use_everything('before_fork') },
    after_fork    => sub { use_everything('after_fork') },
    on_child_reap => sub {
        return if $reaped++;
        use_everything('on_child_reap');
        $pm->max_workers(2);    # the one that is being reaped still counts
        $pm->before_fork(undef);
        $pm->after_fork(sub { $pm->signal_received('nested') });
        print 'inner start ', $pm->start(\&worker), "\n";
    },
);
print 'start ', $pm->start(sub { }), ' on ', $pm->signal_received, "\n";
close $release;
print 'left ', $pm->wait_all_children, "\n";
PERL
is $reenters->out, <<'OUT', 'callbacks may fork, call any method and use other managers';
before_fork: forked 6
before_fork: other left 0
before_fork: left 0
after_fork: forked 6
after_fork: other left 0
after_fork: left 0
on_child_reap: forked 6
on_child_reap: other left 0
on_child_reap: left 1
inner start 1
start 1 on nested
left 0
OUT

done_testing;
