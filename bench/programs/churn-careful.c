/* churn-careful FORKS POOL [complete]
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
    struct sigaction action;
    sigset_t taken, before;

    is_complete = argc > 3;
    pids = calloc((size_t)pool, sizeof(*pids));
    if (!pids)
        err(1, "calloc");
    prepare();
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
