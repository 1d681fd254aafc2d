/* The C host of 06-exit-at-once.t, in the manner of the Perl one there. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "prefork.h"

static int hold[2], go_on;
static unsigned workers, forks, reaps;

static int32_t work(pf_t *pf, void *data)
{
    char byte;
    (void)pf;
    (void)data;
    close(hold[1]);
    while (read(hold[0], &byte, 1) != 0)
        ;
    if (forks % 8 == 0)
        kill(getpid(), SIGKILL);
    return (int32_t)(forks % 256);
}

static void forking(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    forks++;
}

static void forked(pf_t *pf, int32_t pid, void *data)
{
    (void)data;
    printf("forked %d %u\n", (int)pid, forks);
    if (forks < workers)
        return;
    pf_set_max_workers(pf, 0);
    if (go_on)
        close(hold[1]);
    else
        raise(SIGUSR1);
}

static void reaped(pf_t *pf, const pf_event *exit, void *data)
{
    (void)pf;
    (void)data;
    printf("reaped %d %d\n", (int)exit->pid, (int)exit->status);
    if (++reaps == workers && go_on)
        raise(SIGUSR1);
}

int main(int argc, char **argv)
{
    pf_t *pf = pf_new();
    size_t left = 0;
    if (argc < 3 || pipe(hold) != 0)
        return 1;
    workers = (unsigned)atoi(argv[1]);
    go_on = strcmp(argv[2], "start") == 0;
    pf_set_max_workers(pf, workers);
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    pf_set_before_fork(pf, forking, NULL);
    pf_set_after_fork(pf, forked, NULL);
    pf_set_on_child_reap(pf, reaped, NULL);
    if (pf_start(pf, work, NULL) != PF_OK) {
        fprintf(stderr, "pf_start: %s\n", pf_error_message(pf));
        return 1;
    }
    if (!go_on)
        close(hold[1]);
    pf_wait_all_children(pf, -1, &left);
    printf("left %d\n", (int)left);
    pf_free(pf);
    return 0;
}
