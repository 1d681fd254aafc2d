/* The C host of several cases: what pool.pl is in Perl. */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "prefork.h"

static int32_t work(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    for (;;)
        pause();
    return 0;
}

static void forked(pf_t *pf, int32_t pid, void *data)
{
    (void)data;
    printf("forked %d %d\n", (int)pid, (int)pf_generation(pf));
}

static void reaped(pf_t *pf, const pf_event *exit, void *data)
{
    (void)pf;
    (void)data;
    printf("reaped %d %d\n", (int)exit->pid, (int)exit->status);
}

int main(int argc, char **argv)
{
    const int config = open(argc > 2 ? argv[2] : "/dev/null", O_RDONLY | O_CLOEXEC);
    pf_t *pf = pf_new();
    size_t left = 0;
    int signal;
    setvbuf(stdout, NULL, _IOLBF, 0);
    pf_set_max_workers(pf, argc > 1 ? (uint32_t)atoi(argv[1]) : 1);
    pf_set_err_respawn_interval(pf, 0);
    pf_trap_signal(pf, SIGTERM, SIGTERM, 0);
    pf_trap_signal(pf, SIGHUP, SIGTERM, 0);
    pf_trap_signal(pf, SIGUSR1, SIGWINCH, 0);
    pf_trap_signal(pf, SIGUSR2, SIGWINCH, 0.001);
    pf_set_after_fork(pf, forked, NULL);
    pf_set_on_child_reap(pf, reaped, NULL);
    do {
        char value[9] = "0";
        if (pf_start(pf, work, NULL) != PF_OK) {
            fprintf(stderr, "pf_start: %s\n", pf_error_message(pf));
            return 1;
        }
        signal = pf_signal_received(pf);
        if (signal == SIGTERM)
            break;
        if (pread(config, value, 8, signal == SIGHUP ? 0 : signal == SIGUSR1 ? 8 : 16) < 0)
            return 1;
        printf("acted %s %s\n", signal == SIGHUP ? "HUP" : signal == SIGUSR1 ? "USR1" : "USR2",
            value);
    } while (1);
    pf_wait_all_children(pf, -1, &left);
    printf("left %d\n", (int)left);
    pf_free(pf);
    return 0;
}
