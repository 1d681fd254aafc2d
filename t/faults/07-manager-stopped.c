/* The C host of 07-manager-stopped.t, in the manner of the Perl one there. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "prefork.h"

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int32_t work(pf_t *pf, void *data)
{
    sigset_t set;
    (void)pf;
    (void)data;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    printf("up %d\n", (int)getpid());
    while (sigwaitinfo(&set, NULL) == SIGUSR1)
        printf("got %d %f\n", (int)getpid(), now());
    return 1;
}

static void forked(pf_t *pf, int32_t pid, void *data)
{
    (void)pf;
    (void)data;
    printf("forked %d %f\n", (int)pid, now());
}

static void reaped(pf_t *pf, const pf_event *exit, void *data)
{
    (void)pf;
    (void)data;
    printf("reaped %d %d\n", (int)exit->pid, (int)exit->status);
}

int main(int argc, char **argv)
{
    pf_t *pf = pf_new();
    size_t left = 0;
    double interval;
    if (argc < 4)
        return 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    interval = atof(argv[2]);
    pf_set_max_workers(pf, (uint32_t)atoi(argv[1]));
    pf_set_spawn_interval(pf, interval);
    pf_set_err_respawn_interval(pf, interval);
    pf_trap_signal(pf, SIGTERM, 0, 0);
    pf_trap_signal(pf, SIGHUP, SIGUSR1, interval);
    pf_set_after_fork(pf, forked, NULL);
    pf_set_on_child_reap(pf, reaped, NULL);
    do {
        if (pf_start(pf, work, NULL) != PF_OK)
            return 1;
    } while (pf_signal_received(pf) != SIGTERM);
    printf("waits\n");
    pf_wait_all_children(pf, atof(argv[3]), &left);
    printf("left %d\n", (int)left);
    pf_signal_all_children(pf, SIGTERM);
    pf_wait_all_children(pf, -1, NULL);
    pf_free(pf);
    return 0;
}
