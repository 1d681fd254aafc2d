/* churn-careful FORKS POOL [complete [limited]]
 *
 * churn-bare with the least that a manager needs if it can be stopped:
 *
 * - it prints nothing twice that stdio has buffered;
 * - TERM ends the loop;
 * - workers have the previous signal mask;
 * - it reaps workers when one may have ended, with their rusage.
 *
 * With "complete" it also makes all other system calls of pf_start:
 *
 * - before each step it asks whether this is still the same process;
 * - before each sleep it asks for the handler of SIGCHLD, which the program may have changed;
 * - a pipe can wake it, and workers close that pipe;
 * - TERM is blocked around the fork, and workers set it to its default.
 *
 * With "limited" its workers also do the least that a manager needs that limits their time:
 *
 * - each asks the system for a signal at the manager's death;
 * - each writes into memory that it shares with the manager when it begins a piece of work, and when it is done with it.
 */

#define _GNU_SOURCE

#include "worker.h"
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

static pid_t *pids;
static long live;

static int is_complete;
static pid_t manager;
static int wake[2];
static volatile sig_atomic_t is_stopped;

/* The times at which workers began and ended their work; NULL if they do not say. */
static volatile uint64_t *times;

static void stop(int signal)
{
    (void)signal;
    is_stopped = 1;
}

static void share_times(void)
{
    times = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (times == MAP_FAILED)
        err(1, "mmap");
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void prepare(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = stop;
    if (sigaction(SIGTERM, &action, NULL) != 0)
        err(1, "sigaction");
    manager = getpid();
    if (is_complete && pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0)
        err(1, "pipe2");
}

static void check(void)
{
    if (is_complete && getpid() != manager)
        errx(1, "this is not the manager");
}

/* Whether a worker was reaped. Several SIGCHLD may have become one. */
static int reap(void)
{
    struct rusage usage;
    int status;
    long i;
    pid_t pid;

    check();
    pid = wait4(-1, &status, WNOHANG, &usage);
    if (pid <= 0)
        return 0;
    for (i = 0; i < live; i++)
        if (pids[i] == pid)
            pids[i] = pids[--live];
    return 1;
}

static void work_and_exit(const sigset_t *mask)
{
    int is_last;

    if (is_complete) {
        struct sigaction action;
        memset(&action, 0, sizeof(action));
        action.sa_handler = SIG_DFL;
        close(wake[0]);
        close(wake[1]);
        sigaction(SIGTERM, &action, NULL);
        sigaction(SIGCHLD, &action, NULL);
        is_complete = 0;
    }
    sigprocmask(SIG_SETMASK, mask, NULL);
    if (times) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        times[0] = now();
    }
    is_last = work();
    if (times)
        times[1] = now();
    if (is_last)
        kill(getppid(), SIGTERM);
    exit(0);
}

static void fork_worker(const sigset_t *before)
{
    sigset_t term, mask;
    pid_t pid;

    check();
    fflush(NULL);
    if (is_complete) {
        sigemptyset(&term);
        sigaddset(&term, SIGTERM);
        sigprocmask(SIG_BLOCK, &term, &mask);
    }
    pid = fork();
    if (pid < 0)
        err(1, "fork");
    if (pid == 0)
        work_and_exit(before);
    check();
    if (is_complete)
        sigprocmask(SIG_SETMASK, &mask, NULL);
    pids[live++] = pid;
}

int main(int argc, char **argv)
{
    const long pool = argc > 2 ? atol(argv[2]) : 0;
    struct sigaction action;
    sigset_t taken, before;

    is_complete = argc > 3;
    pids = calloc((size_t)pool, sizeof(*pids));
    if (!pids)
        err(1, "calloc");
    prepare();
    if (argc > 4)
        share_times();
    sigemptyset(&taken);
    sigaddset(&taken, SIGCHLD);
    sigprocmask(SIG_BLOCK, &taken, &before);
    say("begin\n");
    while (!is_stopped) {
        while (live < pool)
            fork_worker(&before);
        if (reap())
            continue;
        if (is_complete)
            sigaction(SIGCHLD, NULL, &action);
        /* A TERM that comes before this is seen when its sender exits. */
        sigwaitinfo(&taken, NULL);
    }
    while (wait(NULL) > 0)
        ;
    return 0;
}
