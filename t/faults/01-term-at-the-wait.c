/* The C host of 01-term-at-the-wait.t: one worker that stays, and one run after the other, each
 * of which TERM ends. */

#include <signal.h>
#include <stdlib.h>
#include <string.h>
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
    struct sigevent event = { 0 };
    timer_t timer;
    pf_t *pf = pf_new();
    double head_start, step, scatter, delay = 0.00005;
    int trials, is_timed;
    if (argc < 6)
        return 1;
    trials = atoi(argv[1]);
    is_timed = strcmp(argv[2], "timer") == 0;
    head_start = atof(argv[3]);
    step = atof(argv[4]);
    scatter = atof(argv[5]);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGTERM;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
        return 1;
    pf_set_max_workers(pf, 1);
    pf_trap_signal(pf, SIGTERM, 0, 0);
    while (trials-- > 0) {
        const long before = sleeps();
        bool was_asleep;
        say("aim\n", 4);
        if (is_timed) {
            struct itimerspec once = { { 0, 0 }, { 0, 0 } };
            once.it_value.tv_nsec = (long)((delay + scatter * rand() / RAND_MAX) * 1e9);
            timer_settime(timer, 0, &once, NULL);
        } else {
            const double until = now() + head_start;
            while (now() < until)
                ;
        }
        if (pf_start(pf, work, NULL) != PF_OK || pf_signal_received(pf) != SIGTERM)
            return 1;
        was_asleep = sleeps() > before;
        delay += was_asleep ? -step : step;
        if (delay < step)
            delay = step;
        say(was_asleep ? "back 1\n" : "back 0\n", 7);
    }
    pf_signal_all_children(pf, SIGKILL);
    pf_wait_all_children(pf, -1, NULL);
    pf_free(pf);
    return 0;
}
