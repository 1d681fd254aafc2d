# SIGCHLD that another thread of the program gets: a worker's end is noticed all the same, in start
# and in wait_all_children. It comes at the worst moment, between the last look and the sleep.

use strict;
use warnings;

use Config;
use Test::More;

use lib 't/lib';
use Preload;
use ProcessTest;

plan skip_all => 'this perl has no ithreads' if !$Config{useithreads};
plan skip_all => 'for Linux, whose poll is ours to replace' if $^O ne 'linux';

# Loaded into the program: at the first ppoll, in which a manager sleeps, its oldest child is killed, and
# the sleep begins when another thread has the SIGCHLD. A manager that sleeps in wait4 is not concerned.
my $strike = preload_library(<<'C') or plan skip_all => 'no C compiler';
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int is_pending(void)
{
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGCHLD) == 1;
}

int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
    static int (*real)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
    static int has_struck, naps;
    const struct timespec nap = { 0, 5000000 };
    char path[64];
    FILE *children;
    int child = 0;
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "ppoll");
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    if (!has_struck++ && (children = fopen(path, "r"))) {
        if (fscanf(children, "%d", &child) == 1) {
            siginfo_t info;
            kill(child, SIGKILL);
            waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);
            /* One that was passed on to this thread is pending here, and is waited for in vain. */
            while (is_pending() && naps++ < 40)
                nanosleep(&nap, NULL);
        }
        fclose(children);
    }
    return real(fds, n, timeout, mask);
}
C

my %code = (
    start => <<'PERL',
my $forks = 0;
my $pm = Parallel::Prefork->new({
    max_workers          => 1,
    err_respawn_interval => 0,
    trap_signals         => { TERM => 'TERM' },
    after_fork           => sub { $_[0]->signal_received('enough') if ++$forks == 2 },
});
if (!$strikes) {
    $pm->{after_fork} = sub {
        my ($self, $worker) = @_;
        if ($forks++ == 0) { kill KILL => $worker }
        else               { $self->signal_received('enough') }
    };
}
$sleeps->();
$pm->start(sub { sleep 60 while 1 });
print "forks: $forks\n";
$pm->signal_all_children('KILL');
$pm->wait_all_children;
PERL
    wait_all_children => <<'PERL',
my $pm = Parallel::Prefork->new({
    max_workers => 1,
    after_fork  => sub { $_[0]->signal_received('enough') },
});
$sleeps->();
$pm->start(sub { sleep 60 while 1 });
kill KILL => keys %{ $pm->{worker_pids} } if !$strikes;
print 'left: ', $pm->wait_all_children, "\n";
PERL
);

my %expected = (start => "forks: 2\n", wait_all_children => "left: 0\n");
my $begin = <<'PERL';
use strict;
use warnings;
use threads;
use Parallel::Prefork;

# A thread that has nothing to do, and signals can come to it. It is made after the manager: perl ends a process in
# which a thread gets a signal that it has no handler for.
my $sleeps = sub { threads->create(sub { sleep 3600 while 1 })->detach };
my $strikes = exists $INC{'Parallel/Prefork/Options.pm'} || Parallel::Prefork->can('worker_index');
PERL
my $end = "\nPOSIX::_exit(0);\n";

my %running = map {
    $_ => start_program("use POSIX ();\n$begin$code{$_}$end", env => { preloaded($strike) }, deadline => 15)
} sort keys %code;
for my $name (sort keys %running) {
    my $p = $running{$name};
    $p->wait;
    is $p->out, $expected{$name}, "$name: the end of the worker is noticed";
    is $p->status, 0, "$name: the program ends";
    is $p->err, '', "$name: the program says nothing else";
}

done_testing;
