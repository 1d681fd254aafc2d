/* churn-careful FORKS POOL [complete]
 *
 * churn-bare with the least that a manager needs which can be stopped: nothing that stdio has buffered is printed
 * twice, TERM ends the loop, the workers have the mask of before, and are reaped by their numbers, with what
 * they used.
 *
 * "complete" does what pf_start does besides: it asks before each step whether this is still the process that
 * it was, and before each sleep for children that nobody has named and for the handler of SIGCHLD, which the
 * program may have changed; it can be woken through a pipe, which workers close; TERM has a handler, which is
 * blocked around the fork, and workers have its default.
 */

#define _GNU_SOURCE

#include "worker.h"
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

static pid_t *pids;
static long live;

static int is_complete;
static pid_t manager;
static int wake[2];
static volatile sig_atomic_t is_stopped;

static void stop(int signal)
{
    (void)signal;
    is_stopped = 1;
}

static void prepare(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = stop;
    manager = getpid();
    if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0 || sigaction(SIGTERM, &action, NULL) != 0)
        err(1, "pipe2, sigaction");
}

static void check(void)
{
    if (is_complete && getpid() != manager)
        errx(1, "this is not the manager");
}

/* Several SIGCHLD may have become one. */
static void reap(void)
{
    long i;

    check();
    for (i = live - 1; i >= 0; i--) {
        struct rusage usage;
        int status;
        if (wait4(pids[i], &status, WNOHANG, &usage) > 0)
            pids[i] = pids[--live];
    }
}

static void look_around(void)
{
    struct sigaction action;
    siginfo_t child;

    check();
    child.si_pid = 0;
    if (waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) == 0 && child.si_pid)
        reap();
    sigaction(SIGCHLD, NULL, &action);
}

static void work_and_exit(const sigset_t *mask)
{
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
    if (work())
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
    sigset_t taken, before;

    is_complete = argc > 3;
    pids = calloc((size_t)pool, sizeof(*pids));
    if (!pids)
        err(1, "calloc");
    if (is_complete)
        prepare();
    sigemptyset(&taken);
    sigaddset(&taken, SIGCHLD);
    if (!is_complete)
        sigaddset(&taken, SIGTERM);
    sigprocmask(SIG_BLOCK, &taken, &before);
    say("begin\n");
    while (!is_stopped) {
        int signal;
        while (live < pool)
            fork_worker(&before);
        if (is_complete)
            look_around();
        if (live < pool)
            continue;
        /* A TERM that comes before this is seen when its sender exits. */
        signal = sigwaitinfo(&taken, NULL);
        if (signal == SIGCHLD)
            reap();
        if (signal == SIGTERM)
            is_stopped = 1;
    }
    while (wait(NULL) > 0)
        ;
    return 0;
}
