# ready_timeout: a worker that does not get ready is killed and replaced, and the exit record says why; one that has
# said that it is ready, in whatever way, is not.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Facts;
use ProcessTest;

# A pool that ends when the first so many workers have ended. TIMEOUT is how long they have to get ready.
my $POOL = <<'PERL';
use Time::HiRes ();
use POSIX ();
use Parallel::Prefork;
use Parallel::Prefork::SpareWorkers;
sub now { return Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) }
our ($pm, $forks_at, @ends, @lines) = ();
pipe my $said, my $says or die "pipe: $!";
sub say_so { return syswrite $says, "$_[0]\n" }
sub heard { my $line = readline $said; chomp $line; return $line }

sub pool {
    my ($class, $work, %options) = @_;
    my $ends = delete $options{ends} || 1;
    (@ends, @lines) = ();
    $pm = $class->new(
        max_workers          => 1,
        ready_timeout        => TIMEOUT,
        err_respawn_interval => 0,
        before_fork          => sub { $forks_at = now() if !@ends },
        log_exits            => sub { push @lines, $_[1] },
        on_child_reap        => sub {
            push @ends, [@{ $_[0]->last_exit }{qw(status cause reason sent_signal)}, now() - $forks_at];
            $_[0]->signal_received('enough') if @ends == $ends;
        },
        %options,
    );
    $pm->start($work);
    end_all();
    return;
}

sub end_all {
    $pm->on_child_reap(undef);
    $pm->log_exits(undef);
    $pm->signal_all_children('KILL');
    $pm->wait_all_children;
    return;
}

# Where perl runs no handler.
sub hang {
    my $all = POSIX::SigSet->new;
    $all->fillset;
    POSIX::sigprocmask(POSIX::SIG_BLOCK(), $all);
    sleep 30 while 1;
}

sub show {
    my ($status, $cause, $reason, $sent, $age) = @{ $ends[0] };
    print "end = $status $cause $reason $sent\n";
    print 'early = ', ($age < TIMEOUT ? 1 : 0), "\n";
    print "line = $lines[0]\n" if @lines;
    return;
}
PERL

my $TIMEOUT = 0.3;

sub seen {
    my ($title, $source, %options) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return facts($title, ($POOL . $source) =~ s/TIMEOUT/$TIMEOUT/gr, deadline => 30, %options);
}

# Each has a worker that is killed when its time is over.
my %killed = (
    'one that says nothing' => <<'PERL',
pool('Parallel::Prefork', \&hang);
show();
PERL
    'one that only ticks' => <<'PERL',
pool('Parallel::Prefork', sub { $pm->tick(3600); hang() });
show();
PERL
    'one that is stopped after the fork' => <<'PERL',
pool('Parallel::Prefork', sub { $pm->ready if 0; hang() }, after_fork => sub { kill STOP => $_[1] });
show();
PERL
    'one that stops itself' => <<'PERL',
pool('Parallel::Prefork', sub { kill STOP => $$; hang() });
show();
PERL
    'one whose child says so' => <<'PERL',
pool('Parallel::Prefork', sub {
    my $child = fork // die "fork: $!";
    if (!$child) {
        $pm->ready;
        $pm->busy;
        $pm->idle;
        exit 0;
    }
    waitpid $child, 0;
    hang();
});
show();
PERL
    'one whose own worker says so' => <<'PERL',
pool('Parallel::Prefork', sub {
    my $inner = Parallel::Prefork->new(
        max_workers   => 1,
        trap_signals  => {},
        ready_timeout => 3600,
        after_fork    => sub { $_[0]->signal_received('enough') },
    );
    $inner->start(sub { $inner->ready });
    $inner->wait_all_children;
    hang();
});
show();
PERL
    'start without code' => <<'PERL',
$forks_at = now();
$pm = Parallel::Prefork->new(
    max_workers   => 1,
    ready_timeout => TIMEOUT,
    on_child_reap => sub {
        push @ends, [@{ $_[0]->last_exit }{qw(status cause reason sent_signal)}, now() - $forks_at];
        $_[0]->signal_received('enough');
    },
);
hang() if !$pm->start;
end_all();
show();
PERL
    'a subclass that overrides the loop' => <<'PERL',
{
    package Overrides;
    our @ISA = ('Parallel::Prefork');
    sub _decide_action { my $self = shift; return $self->SUPER::_decide_action }
}
pool('Overrides', \&hang);
show();
PERL
    'SpareWorkers' => <<'PERL',
pool('Parallel::Prefork::SpareWorkers', \&hang, min_spare_workers => 1);
show();
PERL
    'while all are waited for' => <<'PERL',
$forks_at = now();
$pm = Parallel::Prefork->new(
    max_workers   => 1,
    ready_timeout => TIMEOUT,
    after_fork    => sub { $_[0]->signal_received('enough') },
);
$pm->start(\&hang);
# It has left the pool then, but its end is known.
$pm->on_child_reap(sub {
    push @ends, [@{ $_[0]->last_exit }{qw(status cause reason sent_signal)}, now() - $forks_at];
});
$pm->wait_all_children;
show();
PERL
    'an option in the environment' => <<'PERL',
$ENV{PREFORK_OPTIONS} = 'ready_timeout=TIMEOUT';
$forks_at = now();
$pm = Parallel::Prefork->new(
    max_workers   => 1,
    on_child_reap => sub {
        push @ends, [@{ $_[0]->last_exit }{qw(status cause reason sent_signal)}, now() - $forks_at];
        $_[0]->signal_received('enough');
    },
);
$pm->start(\&hang);
end_all();
show();
PERL
);
for my $way (sort keys %killed) {
    my %fact = seen($way, $killed{$way});
    is $fact{end},   '9 not_ready failed KILL', "$way: the worker is killed, and the record says why";
    is $fact{early}, 0,                         "$way: not before its time is over";
    like $fact{line}, qr/ was killed by SIGKILL after [\d.]+ s: ready_timeout of 0\.3 s\z/, "$way: a line says so"
        if exists $fact{line};
}

# Nobody has to be quick: the manager waits in after_fork until the worker has said it.
my %lives = seen('those who are ready', <<'PERL');
my %ways = (
    ready         => sub { $pm->ready },
    'ready twice' => sub { $pm->ready; $pm->ready },
    busy          => sub { $pm->busy },
    idle          => sub { $pm->idle },
    wait_readable => sub { $pm->wait_readable([], 0) },
    status        => sub { $pm->set_status('_') },
    'busy status' => sub { $pm->set_status('A') },
    handler       => sub {
        my $said;
        local $SIG{USR1} = sub { $pm->ready; $said = 1 };
        kill USR1 => $$;
        select undef, undef, undef, 0.01 until $said;
    },
    current       => sub { Parallel::Prefork->current->ready },
);
my @names = sort keys %ways;
my $forked = 0;
$pm = Parallel::Prefork::SpareWorkers->new(
    max_workers       => scalar @names,
    min_spare_workers => scalar @names,
    max_spare_workers => scalar @names,
    ready_timeout     => TIMEOUT,
    on_child_reap     => sub { push @ends, $names[ $_[0]->last_exit->{index} ] },
    after_fork        => sub {
        heard();
        $_[0]->signal_received('enough') if ++$forked == @names;
    },
);
$pm->start(sub {
    $ways{ $names[$pm->worker_index] }->();
    say_so('there');
    sleep 30 while 1;
});
print 'left = ', $pm->wait_all_children(4 * TIMEOUT), "\n";
print "ended = @ends\n";
end_all();
PERL
is $lives{left}, 9, 'workers that have said that they are ready, in whatever way, live on';
is $lives{ended}, '', '... all of them';

my %replaced = seen('replaced', <<'PERL');
my $forked = 0;
pool('Parallel::Prefork', sub {
    hang() if $forked < 2;
    $pm->ready;
    say_so('ready');
    sleep 30 while 1;
}, before_fork => sub { $forks_at //= now(); $forked++ }, on_child_reap => sub {
    push @ends, [$_[0]->last_exit->{cause}];
}, after_fork => sub {
    return if $forked < 2;
    print 'successor = ', heard(), "\n";
    $_[0]->signal_received('enough');
});
print "ends = @$_\n" for @ends;
PERL
is $replaced{ends}, 'not_ready', 'the first worker is killed once';
is $replaced{successor}, 'ready', '... and another one takes its place';

my %together = seen('three times', <<'PERL');
# 0 does not end, 1 is busy for ever once it is told, 2 is not ready: so nobody is late before all are there.
pipe my $told, my $tell or die "pipe: $!";
my $forked = 0;
my %cause;
$pm = Parallel::Prefork->new(
    max_workers      => 3,
    ready_timeout    => TIMEOUT,
    worker_timeout   => TIMEOUT,
    graceful_timeout => TIMEOUT,
    after_fork       => sub { heard(); $_[0]->signal_received('enough') if ++$forked == 3 },
    on_child_reap    => sub {
        my $exit = $_[0]->last_exit;
        push @{ $cause{ $exit->{index} } }, $exit->{grace_over} ? 'grace' : $exit->{cause};
        $_[0]->signal_all_children('TERM') if keys %cause == 2;
    },
);
$pm->start(sub {
    $SIG{TERM} = 'IGNORE';
    $pm->ready if $pm->worker_index < 2;
    say_so('there');
    if ($pm->worker_index == 1) {
        sysread $told, my $byte, 1;
        $pm->busy;
    }
    sleep 30 while 1;
});
syswrite $tell, 'x';
$pm->wait_all_children;
print "$_ = @{ $cause{$_} || [] }\n" for 0 .. 2;
PERL
is $together{2}, 'not_ready', 'with three time-outs the worker that is not ready is killed for that';
is $together{1}, 'timeout',   '... one that is ready and busy for too long is killed for that';
is $together{0}, 'grace',     '... one that is ready and does not end is killed for that';

my %told = seen('told to end', <<'PERL');
$pm = Parallel::Prefork->new(
    max_workers      => 1,
    ready_timeout    => TIMEOUT,
    graceful_timeout => 3600,
    after_fork       => sub {
        heard();
        $_[0]->signal_all_children('TERM');
        $_[0]->signal_received('enough');
    },
);
$pm->start(sub { $SIG{TERM} = 'IGNORE'; say_so('there'); sleep 30 while 1 });
print 'left = ', $pm->wait_all_children(3 * TIMEOUT), "\n";
end_all();
PERL
is $told{left}, 1, 'for a worker that was told to end only graceful_timeout counts';

my %back = seen('the time-out is taken back', <<'PERL');
$pm = Parallel::Prefork->new(
    max_workers   => 1,
    ready_timeout => TIMEOUT,
    after_fork    => sub {
        # It is told before anybody looks who is late.
        $_[0]->ready_timeout(0);
        $_[0]->wait_all_children(0.01);
        $_[0]->signal_received('enough');
    },
);
$pm->start(sub { sleep 30 while 1 });
print 'left = ', $pm->wait_all_children(3 * TIMEOUT), "\n";
$pm->max_workers(2);
$pm->start(sub { $pm->ready; sleep 30 while 1 });
print 'start = ', $pm->wait_all_children(3 * TIMEOUT), "\n";
end_all();
PERL
is $back{left},  1, 'ready_timeout(0) is so for all workers, in wait_all_children, too';
is $back{start}, 2, '... and for the next start';

# A worker that becomes a manager by the same object has nobody left to say it.
my %same = seen('the same object', <<'PERL');
@ends = ();
$pm = Parallel::Prefork->new(
    max_workers   => 1,
    ready_timeout => TIMEOUT,
    after_fork    => sub { heard() if !$_[0]{in_child}; $_[0]->signal_received('enough') },
);
if (!$pm->start) {
    $pm->{in_child} = 0;
    $pm->ready_timeout(0);
    $pm->after_fork(sub { say_so('there'); $_[0]->signal_received('enough') });
    $pm->start(sub { hang() });
    sleep 30 while 1;
}
print 'left = ', $pm->wait_all_children(3 * TIMEOUT), "\n";
end_all();
PERL
is $same{left}, 1, 'a worker that becomes a manager is taken for ready';

my %errors = seen('errors', <<'PERL');
$pm = Parallel::Prefork->new(max_workers => 1);
print 'manager = ', eval { $pm->ready; 1 } ? 'nothing' : $@ =~ s/ at .*//sr, "\n";
$pm->after_fork(sub { $_[0]->signal_received('enough') });
$pm->start(sub { $pm->ready; exit 3 });
$pm->on_child_reap(sub { print "without = $_[2]\n" });
$pm->wait_all_children;
PERL
is $errors{manager}, 'ready is a method for workers, and this is the manager', 'ready in the manager dies';
is $errors{without}, 3 << 8, 'without ready_timeout it does nothing';

# Whatever says it wakes nobody: the manager reads it when the time is over.
my @ways = qw(ready busy idle wait_readable);
my $woken = start_program(<<'PERL', deadline => 90, args => \@ways);
use Parallel::Prefork;
my $pm = Parallel::Prefork->new(max_workers => scalar @ARGV, ready_timeout => 3600, trap_signals => { TERM => 'KILL' });
my %way = (
    ready         => sub { $pm->ready },
    busy          => sub { $pm->busy },
    idle          => sub { $pm->idle },
    wait_readable => sub { $pm->wait_readable([], 0) },
);
$| = 1;
$pm->start(sub {
    my $way = $ARGV[$pm->worker_index];
    $SIG{USR1} = sub { $way{$way}->(); print "said\n" };
    print "$way $$\n";
    select undef, undef, undef, 0.1 while 1;
});
$pm->wait_all_children;
PERL
my %pid = map { $woken->line =~ /(\w+) (\d+)/ } @ways;
for my $way (@ways) {
    ok eventually(sub { $woken->sleeps_on(1.2) }), "$way: the manager sleeps";
    my ($before, $after) = ($woken->wakings);
    for my $again ('', ' again') {
        kill USR1 => $pid{$way};
        is $woken->line, 'said', "... the worker says$again that it is ready";
    }
    eventually(sub { $woken->sleeps_on(0.3) });
    eventually(sub { defined($after = $woken->wakings) });
    is $after, $before, '... which wakes nobody';
}
$woken->signal('TERM');
is $woken->wait, 0, 'it ends by TERM';

# An idle pool of workers that are ready: nobody's time runs any more.
my $idle = start_program(<<'PERL', deadline => 90);
use Parallel::Prefork;
my $pm = Parallel::Prefork->new(max_workers => 5, ready_timeout => 20, trap_signals => { TERM => 'TERM' });
$pm->start(sub { $pm->ready; print "there\n"; sleep 100 while 1 });
$pm->wait_all_children;
PERL
$idle->line for 1 .. 5;
# A second after a fork the manager looks for children once more.
ok eventually(sub { $idle->sleeps_on(1.2) }), 'the manager of workers that are ready sleeps';
my ($first, $wakings) = ($idle->wakings);
sleep 2;
eventually(sub { defined($wakings = $idle->wakings) });
is $wakings, $first, '... and does not wake up';
$idle->signal('TERM');
is $idle->wait, 0, '... until TERM';

done_testing;
