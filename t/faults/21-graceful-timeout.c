/* The C host of 21-graceful-timeout.t, in the manner of the Perl one there. */

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "prefork.h"

static const char *way, *stubborn;
static char **kinds;
static int workers, number_of_kinds, ended;
static bool are_told, is_in_start;

static bool is(const char *name)
{
    return strcmp(way, name) == 0;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int32_t work(pf_t *pf, void *data)
{
    const char *kind = kinds[pf_worker_index(pf) % number_of_kinds];
    (void)data;
    while (are_told)
        pause();
    execl(stubborn, stubborn, kind, is("as process groups") ? "group" : NULL, NULL);
    return 1;
}

static void on_child_reap(pf_t *pf, const pf_event *exit, void *data)
{
    (void)data;
    printf("reaped %d %d %.9f\n", (int)exit->pid, (int)exit->status, now());
    if (++ended == workers && is_in_start)
        pf_signal(pf, SIGURG);
}

static void start(pf_t *pf)
{
    is_in_start = true;
    if (pf_start(pf, work, NULL) != PF_OK)
        exit(1);
    is_in_start = false;
}

static void one_round(pf_t *pf, double again)
{
    size_t left = 1;
    are_told = false;
    ended = 0;
    start(pf);
    are_told = true;
    if (is("again and again")) {
        while (left) {
            pf_signal_all_children(pf, SIGTERM);
            pf_wait_all_children(pf, again, &left);
        }
    } else {
        if (pf_signal_received(pf) == SIGUSR1)
            pf_signal_all_children(pf, SIGTERM);
        if (!is("in wait_all_children"))
            start(pf);
        if (ended == workers)
            pf_signal_all_children(pf, SIGTERM);
        pf_wait_all_children(pf, -1, NULL);
    }
    printf("over\n");
}

int main(int argc, char **argv)
{
    pf_t *pf = pf_new();
    int rounds;
    if (argc < 9)
        return 1;
    way = argv[1];
    stubborn = argv[2];
    workers = atoi(argv[3]);
    rounds = atoi(argv[4]);
    kinds = argv + 8;
    number_of_kinds = argc - 8;
    setvbuf(stdout, NULL, _IOLBF, 0);
    pf_set_max_workers(pf, (uint32_t)workers);
    pf_set_graceful_timeout(pf, atof(argv[5]));
    pf_set_err_respawn_interval(pf, 0);
    pf_trap_signal(pf, SIGHUP, is("as process groups") ? -SIGTERM : SIGTERM, is("staggered") ? atof(argv[6]) : 0);
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    pf_set_on_child_reap(pf, on_child_reap, NULL);
    while (rounds-- > 0)
        one_round(pf, atof(argv[7]));
    pf_free(pf);
    return 0;
}
