package OtherThread;

# Programs with another thread: perl's, or one of a library, of which perl knows nothing. A signal comes at the worst
# moment, inside of a call of libc's that the manager makes, and the call returns when some thread has got it.

use strict;
use warnings;

use Config;
use Exporter 'import';
use Test::More;

use Preload;
use ProcessTest;

our @EXPORT_OK = qw(check_signals_during);

my $SOURCE = <<'C';
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t manager;

static void *pause_for_ever(void *unused)
{
    for (;;)
        pause();
    return unused;
}

__attribute__((constructor)) static void begin(void)
{
    pthread_t thread;
    manager = getpid();
    if (getenv("THREAD_OF_LIBRARY"))
        pthread_create(&thread, NULL, pause_for_ever, NULL);
}

static int is_pending(void)
{
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGTERM) == 1;
}

/* Once. A signal that another thread has passed on to this one stays pending here, and is waited for in vain. */
static void strike(void)
{
    static int has_struck;
    const struct timespec nap = { 0, 1000000 };
    int i;
    if (getpid() != manager || has_struck++)
        return;
    kill(manager, SIGTERM);
    for (i = 0; i < 200 && is_pending(); i++)
        nanosleep(&nap, NULL);
}
C

# What the manager calls, with a strike in it.
my %CALL = (
    fork => <<'C',
pid_t fork(void)
{
    static pid_t (*real)(void);
    pid_t pid;
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "fork");
    pid = real();
    if (pid > 0)
        strike();
    return pid;
}
C
    # When it only looks: 0.18, which calls wait3, may miss a signal that comes just before it sleeps in there.
    wait4 => <<'C',
pid_t wait3(int *status, int options, struct rusage *usage)
{
    static pid_t (*real)(int *, int, struct rusage *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "wait3");
    if (options & WNOHANG)
        strike();
    return real(status, options, usage);
}

pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
    static pid_t (*real)(pid_t, int *, int, struct rusage *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "wait4");
    if (options & WNOHANG)
        strike();
    return real(pid, status, options, usage);
}
C
);

my $NEW = <<'PERL';
use strict;
use warnings;
use Parallel::Prefork;

my $pm = Parallel::Prefork->new({
    max_workers  => 1,
    trap_signals => { TERM => 'KILL' },
});
PERL
my $RUN = <<'PERL';
$pm->start(sub { sleep 60 while 1 });
print 'got ', $pm->signal_received, "\n";
$pm->wait_all_children;
PERL
# Perl's thread sleeps, and has copies of the handlers.
my $THREAD = <<'PERL';
use threads;
use POSIX ();
threads->create(sub { sleep 3600 while 1 })->detach;
PERL
my %PROGRAM = (
    library => { source => $NEW . $RUN, env => { THREAD_OF_LIBRARY => 1 } },
    perl    => { source => "$NEW$THREAD${RUN}POSIX::_exit(0);\n", env => {} },
);

# Tests that the manager gets a signal that comes during this call of libc's, whosever the other thread is.
sub check_signals_during {
    my $call = shift;
    plan skip_all => 'for Linux, whose libc has these calls' if $^O ne 'linux';
    my $strike  = preload_library($SOURCE . $CALL{$call}) or plan skip_all => 'no C compiler';
    my @threads = ('library', $Config{useithreads} ? 'perl' : ());
    my %running = map {
        my $program = $PROGRAM{$_};
        $_ => start_program($program->{source}, env => { %{ $program->{env} }, preloaded($strike) }, deadline => 15)
    } @threads;
    for my $thread (@threads) {
        my $p = $running{$thread};
        $p->wait;
        is $p->out, "got TERM\n", "a thread of $thread: the manager gets the signal";
        is $p->status, 0, "a thread of $thread: the program ends";
        is $p->err, '', "a thread of $thread: the program says nothing";
    }
    done_testing;
    return;
}

1;
