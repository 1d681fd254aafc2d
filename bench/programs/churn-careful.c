/* churn-careful FORKS POOL
 *
 * churn-bare with the least that a manager needs which can be stopped: nothing that stdio has buffered is printed
 * twice, TERM ends the loop, the workers have the mask of before, and are reaped by their numbers, with what
 * they used.
 */

#include "worker.h"
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

static pid_t *pids;
static long live;

/* Several SIGCHLD may have become one. */
static void reap(void)
{
    long i;

    for (i = live - 1; i >= 0; i--) {
        struct rusage usage;
        int status;
        if (wait4(pids[i], &status, WNOHANG, &usage) > 0)
            pids[i] = pids[--live];
    }
}

int main(int argc, char **argv)
{
    const long pool = argc > 2 ? atol(argv[2]) : 0;
    sigset_t taken, before;
    int signal = SIGCHLD;

    pids = calloc((size_t)pool, sizeof(*pids));
    if (!pids)
        err(1, "calloc");
    sigemptyset(&taken);
    sigaddset(&taken, SIGCHLD);
    sigaddset(&taken, SIGTERM);
    sigprocmask(SIG_BLOCK, &taken, &before);
    say("begin\n");
    while (signal != SIGTERM) {
        while (live < pool) {
            pid_t pid;
            fflush(NULL);
            pid = fork();
            if (pid < 0)
                err(1, "fork");
            if (pid == 0) {
                sigprocmask(SIG_SETMASK, &before, NULL);
                if (work())
                    kill(getppid(), SIGTERM);
                exit(0);
            }
            pids[live++] = pid;
        }
        signal = sigwaitinfo(&taken, NULL);
        if (signal == SIGCHLD)
            reap();
    }
    while (wait(NULL) > 0)
        ;
    return 0;
}
