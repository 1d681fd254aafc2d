# Fault 9: fork(2) fails, always or each Nth time, with EAGAIN or ENOMEM, by a library in front of
# libc or by the limit of processes of an ordinary user. Meanwhile the manager reaps, and tries
# again rarely; it is back within two intervals after the cause has gone; nobody is lost.

use strict;
use warnings;

use Errno qw(EAGAIN ENOMEM);
use File::Temp ();
use POSIX ();
use Test::More;
use Time::HiRes qw(clock_gettime sleep CLOCK_MONOTONIC);

use lib 't/lib';
use FaultHosts;
use FaultTest;
use LoadClock;
use ProcessTest;

my $SPAN     = scale(quick => 2.5, full => 30);
my $FORKS    = scale(quick => 300, full => 3000);
my $EVERY    = 10;
my $DEADLINE = scale(quick => 60, full => 250);
my $WORKERS  = 8;
my $KILLED   = 3;
my @INTERVALS = (0, 1);
my %NUMBER    = (EAGAIN => EAGAIN, ENOMEM => ENOMEM);
# A fork that has failed is tried again after 50 ms at the soonest.
my $RETRIES   = 20;
# Of a processor. At full size the machine has nothing else to do.
my $HARDLY_ANY = scale(quick => 0.1, full => 0.01);

my $dir     = File::Temp->newdir('prefork-fork-XXXXXX', TMPDIR => 1);
my $files   = 0;

sub make_file {
    open my $file, '>', $_[0] or die "cannot write $_[0]: $!";
    close $file;
    return;
}

# How often it has gone to sleep, once it sleeps; undef if it does not, or is gone.
sub wakings {
    my $program = shift;
    my $count;
    eventually(sub { defined($count = $program->wakings) || !defined $program->cpu }, 5);
    return $count;
}

# Every case goes through the same steps, at the same time: the pool is up; forks begin to fail, and
# some workers are killed; what the manager uses meanwhile; the cause goes, and the pool is full.
my @cases;
for my $host (hosts()) {
    for my $interval (@INTERVALS) {
        for my $error (sort keys %NUMBER) {
            my $file = "$dir/" . ++$files;
            push @cases, {
                name     => "$host, $error always, interval $interval",
                interval => $interval,
                before   => $WORKERS,
                program  => start_host($host, [workers => $WORKERS, err => $interval],
                    # There 0.18 never comes back, and the others wait for it.
                    deadline => on_the_original() && !$interval ? $SPAN + 8 : $DEADLINE,
                    env      => { failing_forks($NUMBER{$error}, 1, $file) }),
                break    => sub { make_file($file) },
                mend     => sub { unlink $file },
            };
        }
    }
}

# A user whom nobody else is, so that all its processes are those of one case.
my $user = 61_000 + $$ % 1000 * 4;

# Runs a command as that user; root may be without the right to change the limits of others.
sub as_user {
    my ($id, @command) = @_;
    defined(my $pid = fork) or die "fork: $!";
    if (!$pid) {
        # These set the saved ones as well, which prlimit(2) looks at.
        POSIX::setgid($id) && POSIX::setuid($id) or POSIX::_exit(1);
        open STDERR, '>', '/dev/null';
        exec @command or POSIX::_exit(1);
    }
    waitpid $pid, 0;
    return $? == 0;
}

SKIP: {
    skip 'RLIMIT_NPROC: cannot become an ordinary user here', 1 if $> || !as_user($user, 'true');
    skip 'RLIMIT_NPROC: cannot set limits here', 1 if !as_user($user, 'prlimit', '--nproc=100:100', 'true');
    for my $host (hosts()) {
        my $interval = 1;
        my $id       = ++$user;
        my $p        = start_host($host, [workers => $WORKERS, err => $interval, user => $id],
            deadline => $DEADLINE, under => ['prlimit', "--nproc=$WORKERS:100"]);
        my $limit = sub {
            as_user($id, 'prlimit', '--pid', $p->pid, "--nproc=$_[0]:100") or die "prlimit has failed\n";
        };
        push @cases, {
            name     => "$host, RLIMIT_NPROC, interval $interval",
            interval => $interval,
            # The manager counts too; so the pool is one short from the beginning.
            before   => $WORKERS - 1,
            program  => $p,
            # Each that is killed makes room for its successor; so there is to be less room then.
            break    => sub { $limit->($WORKERS - $KILLED) },
            mend     => sub { $limit->(100) },
        };
    }
    pass 'RLIMIT_NPROC can be tried';
}

for my $case (@cases) {
    my $p = $case->{program};
    ok has_lines($p, up => $case->{before}), "$case->{name}: workers are up" or diag $p->err;
    $case->{break}->();
    $case->{failures} = lines($p, 'failed');
    kill KILL => (lines($p, 'up'))[0 .. $KILLED - 1];
}
for my $case (@cases) {
    my $p = $case->{program};
    ok has_lines($p, failed => $case->{failures} + 1), "$case->{name}: says that it cannot";
}
# Meanwhile: each Nth fork fails, and workers come and go.
my @flaky;
for my $host (hosts()) {
    for my $error (sort keys %NUMBER) {
        my $file = "$dir/" . ++$files;
        make_file($file);
        push @flaky, [
            "$host, $error 1 in $EVERY",
            start_host($host, [workers => $WORKERS, exits => $FORKS, code => 0, err => 0, life => 0.01],
                deadline => $DEADLINE, env => { failing_forks($NUMBER{$error}, $EVERY, $file) }),
        ];
    }
}
my $begun = clock_gettime(CLOCK_MONOTONIC);
for my $case (@cases) {
    $case->{cpu}     = $case->{program}->cpu;
    $case->{wakings} = wakings($case->{program});
}
sleep $SPAN;
# What one try takes of a processor depends on who else uses it: it is 0.1 ms of one that nobody else wants, and was
# five times as much of a crowded one. How often it tries, and that it does so between two sleeps, does not depend on
# the machine.
for my $case (@cases) {
    my ($cpu, $wakings) = ($case->{program}->cpu, wakings($case->{program}));
    my $span = clock_gettime(CLOCK_MONOTONIC) - $begun;
    $case->{share} = defined $cpu && defined $case->{cpu} ? ($cpu - $case->{cpu}) / $span : 9;
    # It also wakes up for each that it reaps; a page that has to be read is a sleep, too.
    my $more = defined $wakings && defined $case->{wakings} ? $wakings - $case->{wakings} : 9**9;
    cmp_ok $more, '<', 2 * $RETRIES * $span + 50, "$case->{name}: wakes up rarely while forks fail";
    cmp_ok $case->{share}, '<', $HARDLY_ANY, "$case->{name}: and takes hardly any of a processor";
}
for my $case (@cases) {
    ok has_lines($case->{program}, reaped => $KILLED), "$case->{name}: has reaped meanwhile";
    $case->{reaped} = lines($case->{program}, 'reaped');
}
my $mended = clock_gettime(CLOCK_MONOTONIC);
my $clock  = LoadClock->new;
$_->{mend}->() for @cases;
for my $case (@cases) {
    my $p    = $case->{program};
    my $want = $case->{before} + $KILLED + ($case->{before} < $WORKERS);
    my $is_full = has_lines($p, worker => $want);
    my $bound   = $clock->stretched(2 * ($case->{interval} || 0.5));
    ok $is_full, "$case->{name}: the pool is full again";
    my ($last) = (lines($p, 'worker'))[-1] =~ / (.*)/;
    $case->{back} = $is_full ? $last - $mended : 999;
    # Where there is no interval, a second is for the scheduler.
    cmp_ok $case->{back}, '<', $bound, "$case->{name}: within two intervals";
    is scalar lines($p, 'worker'), $want, "$case->{name}: with no more workers than it should have";
    $p->signal('TERM');
}
for my $case (@cases) {
    my $p = $case->{program};
    $p->wait;
    is join(' ', lines($p, 'left')), '0', "$case->{name}: ends, with no worker left";
    is_deeply [$p->members], [], "$case->{name}: and nobody else";
    figure("fork fails: $case->{name}" => sprintf '%d of %d reaped meanwhile, %.2f %% CPU, full again %s',
        $case->{reaped}, $KILLED, 100 * $case->{share},
        $case->{back} < 999 ? sprintf 'after %.3f s', $case->{back} : 'never');
}

for my $case (@flaky) {
    my ($name, $p) = @$case;
    my $all = $FORKS + $WORKERS;
    ok has_lines($p, up => $WORKERS), "$name: comes to its end" or diag $p->err;
    $p->signal('TERM');
    $p->wait;
    is scalar lines($p, 'worker'), $all, "$name: as many workers as were asked for";
    is unmatched($p), 0, "$name: each is reaped once";
    is_deeply [grep { !/ 0\z/ } lines($p, 'reaped')], [], "$name: with its status";
    is join(' ', lines($p, 'left')), '0', "$name: none is left";
    figure("fork fails: $name" => lines($p, 'worker') . " of $all forked, " . lines($p, 'reaped') . ' reaped, '
        . unmatched($p) . ' not once');
}

done_testing;
