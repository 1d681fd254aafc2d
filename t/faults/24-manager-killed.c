/* The C host of 24-manager-killed.t, in the manner of the Perl one there. With "exec COMMAND..." it becomes that
 * command: either way the process gets its orphans (prctl(2), PR_SET_CHILD_SUBREAPER), which nobody else may reap in
 * time. */

#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "prefork.h"

static int workers, forks, by_wait;
static uid_t user;
static double patience;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void leave(int signal)
{
    (void)signal;
    _exit(0);
}

static int32_t work(pf_t *pf, void *data)
{
    (void)data;
    if (user && setuid(user) != 0)
        return 1;
    if (by_wait) {
        while (pf_wait_readable(pf, NULL, 0, -1, NULL) == PF_OK)
            ;
        return 0;
    }
    if (user) {
        /* It is asked for again here. From then on TERM does not end the worker by itself. */
        signal(SIGTERM, leave);
        pf_stopping(pf);
    }
    for (;;)
        pause();
}

static void after_fork(pf_t *pf, int32_t pid, void *data)
{
    (void)pf;
    (void)pid;
    (void)data;
    forks++;
    if (forks == workers)
        kill(getpid(), SIGHUP);
    if (forks == 2 * workers)
        kill(getpid(), SIGTERM);
}

/* Fills the pool, reloads, and stops. */
static void live(void)
{
    pf_t *pf = pf_new();
    pf_set_max_workers(pf, (uint32_t)workers);
    pf_trap_signal(pf, SIGTERM, SIGTERM, 0);
    pf_trap_signal(pf, SIGHUP, SIGTERM, 0);
    pf_set_after_fork(pf, after_fork, NULL);
    if (!by_wait)
        pf_set_parent_death_signal(pf, SIGKILL);
    do {
        if (pf_start(pf, work, NULL) != PF_OK)
            _exit(1);
    } while (pf_signal_received(pf) != SIGTERM);
    pf_wait_all_children(pf, -1, NULL);
    _exit(7);
}

struct end {
    int status;
    double life, took; /* took: until the workers were gone; negative if they are not */
};

/* Whether the manager and its workers end within so many seconds: all of them have the other end of the pipe. */
static int is_over(int lives, double seconds)
{
    struct pollfd end = { lives, POLLIN, 0 };
    const struct timespec most = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };
    return seconds > 0 && ppoll(&end, 1, &most, NULL) == 1;
}

/* Kills a manager so many seconds after its beginning; never, if that is negative. */
static struct end trial(double moment)
{
    const double begin = now();
    struct end end;
    int ends[2];
    pid_t manager;
    if (pipe(ends) != 0)
        exit(1);
    manager = fork();
    if (manager < 0)
        exit(1);
    if (manager == 0) {
        close(ends[0]);
        live();
    }
    close(ends[1]);
    if (moment >= 0) {
        /* It may be over before. */
        is_over(ends[0], begin + moment - now());
        kill(manager, SIGKILL);
    }
    waitpid(manager, &end.status, 0);
    end.took = now();
    end.life = end.took - begin;
    end.took = is_over(ends[0], patience) ? now() - end.took : -1;
    close(ends[0]);
    /* The orphans are its children now. */
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return end;
}

int main(int argc, char **argv)
{
    int trials, n = 0;
    double life;
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (argc > 2 && strcmp(argv[1], "exec") == 0) {
        execv(argv[2], argv + 2);
        return 1;
    }
    if (argc < 6)
        return 1;
    by_wait = strcmp(argv[1], "wait_readable") == 0;
    trials = atoi(argv[2]);
    workers = atoi(argv[3]);
    user = (uid_t)atoi(argv[4]);
    patience = atof(argv[5]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    life = trial(-1).life;
    while (n < trials) {
        const struct end end = trial(life * n / trials);
        /* One that has ended before was faster than those before it. */
        if (WIFEXITED(end.status) && WEXITSTATUS(end.status) == 7) {
            life = 0.8 * life + 0.2 * end.life;
            continue;
        }
        printf("%d ", WTERMSIG(end.status));
        if (end.took < 0)
            printf("left\n");
        else
            printf("%.6f\n", end.took);
        n++;
    }
    return 0;
}
