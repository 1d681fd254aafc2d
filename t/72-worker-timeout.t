# worker_timeout: a worker that is busy for too long is killed and replaced, and others are served; one that is idle, or
# has said that it needs more time, is not. With on_worker_timeout it is told before, and says what it was doing.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

use lib 't/lib';
use CProgram;
use Facts;
use Preload;
use ProcessTest;

# A pool that ends when the first so many workers have ended. TIMEOUT is how long they may be busy.
my $POOL = <<'PERL';
use Time::HiRes ();
use POSIX ();
use Parallel::Prefork;
use Parallel::Prefork::SpareWorkers;
sub now { return Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) }
our ($pm, @ends) = ();
pipe my $said, my $says or die "pipe: $!";
sub say_so { return syswrite $says, "$_[0]\n" }
sub heard { my $line = readline $said; chomp $line; return $line }

sub pool {
    my ($class, $work, %options) = @_;
    my $ends = delete $options{ends} || 1;
    @ends = ();
    $pm = $class->new(
        max_workers          => 1,
        worker_timeout       => TIMEOUT,
        err_respawn_interval => 0,
        on_child_reap        => sub {
            push @ends, [$_[2], now()];
            $_[0]->signal_received('enough') if @ends == $ends;
        },
        %options,
    );
    $pm->start($work);
    $pm->on_child_reap(undef);
    $pm->signal_all_children('KILL');
    $pm->wait_all_children;
    return;
}

# In C, where perl runs no handler.
sub hang_in_c {
    my $all = POSIX::SigSet->new;
    $all->fillset;
    POSIX::sigprocmask(POSIX::SIG_BLOCK(), $all);
    sleep 30 while 1;
}

sub be_busy_for_ever {
    say_so(now());
    $pm->busy;
    1 while 1;
}

sub show {
    print "status = $ends[0][0]\n";
    print 'early = ', ($ends[0][1] - heard() < TIMEOUT ? 1 : 0), "\n";
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
    'a loop in Perl' => <<'PERL',
pool('Parallel::Prefork', \&be_busy_for_ever);
show();
PERL
    'a call of C' => <<'PERL',
pool('Parallel::Prefork', sub { say_so(now()); $pm->busy; hang_in_c() });
show();
PERL
    'less time than others have' => <<'PERL',
pool('Parallel::Prefork', sub { say_so(now()); $pm->busy(TIMEOUT); hang_in_c() }, worker_timeout => 3600);
show();
PERL
    'the last tick was too long ago' => <<'PERL',
pool('Parallel::Prefork', sub { $pm->busy(3600); say_so(now()); $pm->tick; hang_in_c() });
show();
PERL
    'one that is stopped' => <<'PERL',
pool('Parallel::Prefork', sub { say_so(now()); $pm->busy; kill STOP => $$; sleep 30 while 1 });
show();
PERL
    'start without code' => <<'PERL',
$pm = Parallel::Prefork->new(
    max_workers          => 1,
    worker_timeout       => TIMEOUT,
    err_respawn_interval => 0,
    on_child_reap        => sub { push @ends, [$_[2], now()]; $_[0]->signal_received('enough') },
);
be_busy_for_ever() if !$pm->start;
$pm->on_child_reap(undef);
$pm->signal_all_children('KILL');
$pm->wait_all_children;
show();
PERL
    'a subclass that overrides the loop' => <<'PERL',
{
    package Overrides;
    our @ISA = ('Parallel::Prefork');
    sub _decide_action { my $self = shift; return $self->SUPER::_decide_action }
}
pool('Overrides', \&be_busy_for_ever);
show();
PERL
    'while all are waited for' => <<'PERL',
$pm = Parallel::Prefork->new(
    max_workers    => 1,
    worker_timeout => TIMEOUT,
    after_fork     => sub { $_[0]->signal_received('enough') },
);
$pm->start(\&be_busy_for_ever);
$pm->on_child_reap(sub { push @ends, [$_[2], now()] });
$pm->wait_all_children;
show();
PERL
    'a status of SpareWorkers' => <<'PERL',
pool('Parallel::Prefork::SpareWorkers', sub { say_so(now()); $pm->set_status('B'); hang_in_c() },
    min_spare_workers => 1);
show();
PERL
    'a status on a scoreboard of its own' => <<'PERL',
{
    package Board;
    sub new { return bless [], $_[0] }
    sub child_start { return }
    sub set_status { return }
    sub get_statuses { return '_' }
    sub clear_child { return }
}
pool('Parallel::Prefork::SpareWorkers', sub { say_so(now()); $pm->set_status('B'); hang_in_c() },
    min_spare_workers => 1, scoreboard => Board->new);
show();
PERL
    'a hook that hangs' => <<'PERL',
pool('Parallel::Prefork', \&be_busy_for_ever, on_worker_timeout => \&hang_in_c, worker_timeout_grace => TIMEOUT);
show();
PERL
    'a hook that perl cannot call' => <<'PERL',
pool('Parallel::Prefork', sub { say_so(now()); $pm->busy; hang_in_c() },
    on_worker_timeout => sub { }, worker_timeout_grace => TIMEOUT);
show();
PERL
);
for my $way (sort keys %killed) {
    my %fact = seen($way, $killed{$way});
    is $fact{status}, 9, "$way: the worker is killed";
    is $fact{early},  0, "$way: not before its time is over";
}

my %others = seen('others', <<'PERL');
my $begun = 0;
my %heard;
pool('Parallel::Prefork', sub {
    be_busy_for_ever() if $begun == 1;
    while (1) {
        $pm->busy(3600);
        $pm->idle;
        say_so('served');
        Time::HiRes::sleep(0.01);
    }
}, max_workers => 3, ends => 1, before_fork => sub { $begun++ }, on_child_reap => undef, after_fork => sub {
    # The fourth takes the place of the first.
    return if $begun < 4;
    $heard{ heard() }++ for 1 .. 20;
    $_[0]->signal_received('enough');
});
print "served = $heard{served}\n";
print "begun = $begun\n";
PERL
is $others{begun}, 4, 'the worker that hangs is replaced';
cmp_ok $others{served}, '>=', 19, '... and the others go on meanwhile';

my %patient = seen('those who are not killed', <<'PERL');
my %work = (
    idle                => sub { $pm->idle },
    'says nothing'      => sub { },
    'was busy'          => sub { $pm->busy; $pm->idle },
    'more time'         => sub { $pm->busy(3600) },
    'as long as it likes' => sub { $pm->busy; $pm->tick(0) },
    'ticks'             => sub { $pm->busy; $pm->tick(3600) },
    'forks'             => sub { fork // die "fork: $!" or do { $pm->busy; exit 0 }; wait },
);
my @names = sort keys %work;
$pm = Parallel::Prefork->new(max_workers => scalar @names, worker_timeout => TIMEOUT,
    after_fork => sub { $_[0]->signal_received('enough') if $_[0]->num_workers == @names - 1 });
$pm->start(sub {
    # Where it is late before it has said the next thing, it has hung in a way.
    $pm->busy(3600);
    $work{ $names[$pm->worker_index] }->();
    say_so('there');
    sleep 30 while 1;
});
heard() for @names;
print 'left = ', $pm->wait_all_children(4 * TIMEOUT), "\n";
$pm->signal_all_children('KILL');
$pm->wait_all_children;

print 'off = ', do {
    $pm->worker_timeout(0);
    $pm->start(sub { $pm->busy(TIMEOUT); say_so('there'); hang_in_c() });
    heard() for @names;
    $pm->wait_all_children(3 * TIMEOUT);
}, "\n";
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL
is $patient{left}, 7, 'workers that are idle, or have more time, are not killed';
is $patient{off},  7, 'with 0 seconds nobody is killed';

my %hook = seen('the hook', <<'PERL', err => \my $err);
pool('Parallel::Prefork', \&be_busy_for_ever, on_worker_timeout => sub {
    my $manager = shift;
    say_so(join ' ', ref $manager, $$ == $manager->manager_pid ? 'manager' : 'worker', (caller 2)[3] // 'nobody');
}, worker_timeout_grace => 3600);
print "status = $ends[0][0]\n";
heard();
print 'hook = ', heard(), "\n";

pool('Parallel::Prefork', \&be_busy_for_ever, on_worker_timeout => sub { die "the hook is wrong\n" },
    worker_timeout_grace => 3600);
print "dies = $ends[0][0]\n";
heard();

pool('Parallel::Prefork', sub { $SIG{ABRT} = sub { POSIX::_exit(7) }; be_busy_for_ever() },
    on_worker_timeout => sub { say_so('called') }, worker_timeout_grace => 3600);
print "own handler = $ends[0][0]\n";
heard();

{
    local $SIG{ABRT} = sub { POSIX::_exit(8) };
    pool('Parallel::Prefork', \&be_busy_for_ever, on_worker_timeout => sub { say_so('called') },
        worker_timeout_grace => 3600);
    print "handler of before = $ends[0][0]\n";
}
print 'manager = ', $SIG{ABRT} // 'undef', "\n";
PERL
is $hook{status}, 256, 'the hook runs in the worker that is late, which then exits with 1';
like $hook{hook}, qr/\AParallel::Prefork worker /, '... and is given the manager object';
is $hook{dies}, 256, 'a hook that dies ends the worker as well';
like $err, qr/^on_worker_timeout died: the hook is wrong$/m, '... and what it says is shown';
is $hook{'own handler'}, 7 << 8, 'a handler for ABRT that the program has set stays';
is $hook{'handler of before'}, 8 << 8, '... the one that the manager has, too';
is $hook{manager}, 'undef', 'the manager gets no handler for ABRT';

my %nested = seen('nested managers', <<'PERL');
pool('Parallel::Prefork', sub {
    $pm->busy(3600);
    my $outer = $pm;
    pool('Parallel::Prefork', \&be_busy_for_ever);
    $outer->idle;
    exit($ends[0][0] == 9 ? 0 : 1);
});
print "with its own = $ends[0][0]\n";

@ends = ();
$pm = Parallel::Prefork->new(
    max_workers    => 1,
    worker_timeout => TIMEOUT,
    after_fork     => sub { $_[0]->signal_received('enough') },
);
if (!$pm->start) {
    $pm->busy;
    $pm->{in_child} = 0;
    $pm->on_child_reap(sub { push @ends, $_[2] });
    $pm->start(\&be_busy_for_ever);
    $pm->wait_all_children;
    exit($ends[0] == 9 ? 0 : 1);
}
$pm->on_child_reap(sub { push @ends, [$_[2]] });
$pm->wait_all_children;
print "by the same object = $ends[0][0]\n";
PERL
is $nested{'with its own'},       0, 'a worker has workers of its own, and kills one that is late';
is $nested{'by the same object'}, 0, '... also if it uses the same object, and is not taken for busy any more';

my %errors = seen('errors', <<'PERL');
$pm = Parallel::Prefork->new(max_workers => 1);
for my $method (qw(busy tick idle)) {
    print "$method in the manager = ", eval { $pm->$method; 1 } ? 'nothing' : $@ =~ s/ at .*//sr, "\n";
}
for my $seconds (-1, 'soon', 9**9**9, [1]) {
    for my $method (qw(busy tick)) {
        my $shown = ref $seconds ? 'array' : $seconds;
        print "$method($shown) = ", eval { $pm->$method($seconds); 1 } ? 'nothing' : $@ =~ s/ at .*//sr, "\n";
    }
}
$pm->worker_timeout_grace(3);
print 'grace = ', eval { $pm->start; 1 } ? 'nothing' : $@ =~ s/ at .*//sr, "\n";
$pm->worker_timeout_grace(undef);

# Without a time-out.
$pm->after_fork(sub { $_[0]->signal_received('enough') });
$pm->start(sub {
    $pm->busy;
    $pm->busy(undef);
    $pm->tick(1);
    $pm->tick;
    $pm->idle;
    exit 3;
});
$pm->on_child_reap(sub { print "without = $_[2]\n" });
$pm->wait_all_children;
PERL
is $errors{"$_ in the manager"}, "$_ is a method for workers, and this is the manager", "$_ in the manager dies"
    for qw(busy tick idle);
for my $method (qw(busy tick)) {
    like $errors{"$method($_)"}, qr/\A$method: the seconds must be a number, 0 or more, not '/, "$method($_) dies"
        for -1, 'soon', 'Inf', 'array';
}
is $errors{grace}, 'worker_timeout_grace is set, and worker_timeout is not', 'a grace without a time-out is an error';
is $errors{without}, 3 << 8, 'without worker_timeout the calls do nothing';

# An idle pool, which wakes up once in its time.
for my $timeout (2, 0) {
    my $idle = start_program(<<'PERL', deadline => 90, args => [$timeout]);
use Parallel::Prefork;
my $pm = Parallel::Prefork->new(max_workers => 5, worker_timeout => $ARGV[0], trap_signals => { TERM => 'TERM' });
$pm->start(sub { $pm->busy(3600); $pm->idle; print "there\n"; sleep 100 while 1 });
$pm->wait_all_children;
PERL
    $idle->line for 1 .. 5;
    # A second after a fork the manager looks for children once more.
    ok eventually(sub { $idle->sleeps_on(1.2) }), "worker_timeout $timeout: the manager of an idle pool sleeps";
    my ($before, $first, $wakings) = (clock_gettime(CLOCK_MONOTONIC), $idle->wakings);
    sleep 5;
    eventually(sub { defined($wakings = $idle->wakings) });
    my $times = $timeout ? int((clock_gettime(CLOCK_MONOTONIC) - $before) / $timeout) + 1 : 0;
    cmp_ok $wakings - $first, '<=', $times, '... and wakes up once in that time, at most';
    cmp_ok $wakings - $first, '>=', 1, '... and does' if $timeout;
    $idle->signal('TERM');
    is $idle->wait, 0, '... until TERM';
}

# Managers beside each other, and one in a worker of another one.
my $NESTED = <<'PERL';
# A pool in this worker, of one worker that does this.
sub inner_pool {
    my ($work, %options) = @_;
    my $status;
    my $inner = Parallel::Prefork->new(
        max_workers   => 1,
        # A handler would keep it.
        trap_signals  => {},
        on_child_reap => sub { $status = $_[2]; $_[0]->signal_received('enough') },
        %options,
    );
    $inner->start(sub { $work->($inner) });
    $inner->on_child_reap(undef);
    $inner->signal_all_children('KILL');
    $inner->wait_all_children;
    return $status;
}
PERL

my %still = seen('after a pool in the worker', $NESTED . <<'PERL');
pool('Parallel::Prefork::SpareWorkers', sub {
    $pm->set_status('A');
    inner_pool(sub { });
    print 'current = ', (Parallel::Prefork->current == $pm ? 'the same' : 'another'), "\n";
    $pm->set_status('_');
    my $until = now() + 3 * TIMEOUT;
    select undef, undef, undef, 0.05 while now() < $until;
    exit 5;
}, min_spare_workers => 1, max_spare_workers => 1);
print "status = $ends[0][0]\n";
PERL
is $still{status},  5 << 8,     'a worker that has run a pool of its own is idle when it says so';
is $still{current}, 'the same', '... and is the same worker';

my %board = seen('another scoreboard', <<'PERL');
my $other = Parallel::Prefork::SpareWorkers::Scoreboard->new(undef, 2);
pool('Parallel::Prefork', sub {
    print 'refused = ', (eval { $other->set_status('A') } ? 'no' : 'yes'), "\n";
    $other->child_start;
    $other->set_status('A');
    my $until = now() + 3 * TIMEOUT;
    select undef, undef, undef, 0.05 while now() < $until;
    exit 5;
});
print "status = $ends[0][0]\n";
PERL
is $board{refused}, 'yes',  'a status that is refused is no work';
is $board{status},  5 << 8, '... nor is one on a scoreboard that is not of the pool';

my %hook_of = seen('the hook of the inner pool', $NESTED . <<'PERL');
pool('Parallel::Prefork', sub {
    my $busy = sub { $_[0]->busy; select undef, undef, undef, 0.05 while 1 };
    my $hook = sub { print "inner = called\n" };
    my $status = inner_pool($busy, worker_timeout => TIMEOUT, on_worker_timeout => $hook);
    print "with = $status\n";
    $status = inner_pool(sub { kill ABRT => $$; sleep 30 while 1 });
    print 'without = ', $status & 127, "\n";
    my $child = fork // die "fork: $!";
    if (!$child) {
        kill ABRT => $$;
        sleep 30 while 1;
    }
    waitpid $child, 0;
    print 'child = ', $? & 127, "\n";
}, worker_timeout => 3600, on_worker_timeout => sub { print "outer = called\n" });
PERL
is $hook_of{inner},   'called', 'the worker of a worker runs the hook of its own manager';
is $hook_of{outer},   undef,    '... and not that of the outer one';
is $hook_of{with},    1 << 8,   '... and exits with 1';
is $hook_of{without}, 6,        'without a hook of its own it ends by ABRT';
is $hook_of{child},   6,        '... as does a process that the worker has forked';

my %dies = seen('a handler of warnings that dies', <<'PERL');
$SIG{__WARN__} = sub { die "no: @_" };
pool('Parallel::Prefork', sub {
    $pm->busy;
    eval { select undef, undef, undef, 0.05 while 1 };
    exit 9;
}, on_worker_timeout => sub { die "oops\n" });
print "status = $ends[0][0]\n";
PERL
is $dies{status}, 1 << 8, 'a hook that dies, and a handler of warnings that dies too: the worker exits all the same';

my %taken_back = seen('the time-out is taken back', <<'PERL');
pool('Parallel::Prefork', sub { });
$pm->on_child_reap(sub { push @ends, [$_[2], now()] });
$pm->after_fork(sub { $_[0]->signal_received('enough') });
$pm->worker_timeout_grace(1);
$pm->start(sub { $pm->busy; say_so('there'); sleep 30 while 1 });
heard();
$pm->worker_timeout(0);
print 'left = ', $pm->wait_all_children(4 * TIMEOUT), "\n";
$pm->max_workers(2);
print 'start = ', (eval { $pm->start(sub { sleep 30 while 1 }); 1 } ? 'works' : $@), "\n";
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL
is $taken_back{left},  1,       'worker_timeout(0) is so for all workers, in wait_all_children, too';
is $taken_back{start}, 'works', '... and for the next start, whatever the grace';

# A clock that the kernel reads cheaply, and that is behind by as much as the kernel's timer is late: here two hours.
my $clock = preload_library(<<'C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *time)
{
    static int (*real)(clockid_t, struct timespec *);
    int result;
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    result = real(id, time);
    if (result == 0 && id == CLOCK_MONOTONIC_COARSE)
        time->tv_sec -= 7200;
    return result;
}
C
SKIP: {
    skip 'no C compiler', 3 if !$clock;
    my %env = preloaded($clock);
    my %behind = seen('a coarse clock that is behind', <<'PERL', env => \%env);
pool('Parallel::Prefork', sub {
    $pm->busy(3600);
    select undef, undef, undef, 0.5;
    $pm->tick(3600);
    select undef, undef, undef, 0.5;
    exit 5;
});
print "status = $ends[0][0]\n";
PERL
    is $behind{status}, 5 << 8, 'nobody is late before the time, however late the timer of the kernel is';
    my $program = compile('t/c/timeout.c', qw(-std=gnu99 -Wall -Wextra -Werror -pthread));
    my $c       = run(undef, command => [$program], env => \%env, deadline => 100);
    is $c->status, 0, '... in a C program, too' or diag $c->out, $c->err;
}

done_testing;
