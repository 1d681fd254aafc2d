/* The C host of 01-term-at-the-wait.t: one worker that stays, and one run after the other, each
 * of which TERM ends. */

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
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

static void say(const char *line, size_t length)
{
    if (write(1, line, length) != (ssize_t)length)
        exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static long sleeps(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_nvcsw;
}

int main(int argc, char **argv)
{
    int trials = argc > 1 ? atoi(argv[1]) : 1;
    const double head_start = argc > 2 ? atof(argv[2]) : 0;
    pf_t *pf = pf_new();
    pf_set_max_workers(pf, 1);
    pf_trap_signal(pf, SIGTERM, 0, 0);
    while (trials-- > 0) {
        const long before = sleeps();
        double until;
        say("aim\n", 4);
        until = now() + head_start;
        while (now() < until)
            ;
        if (pf_start(pf, work, NULL) != PF_OK || pf_signal_received(pf) != SIGTERM)
            return 1;
        say(sleeps() > before ? "back 1\n" : "back 0\n", 7);
    }
    pf_signal_all_children(pf, SIGKILL);
    pf_wait_all_children(pf, -1, NULL);
    pf_free(pf);
    return 0;
}
