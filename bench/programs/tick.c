/* tick CALLS
 *
 * A worker that is busy calls pf_tick CALLS times. It prints how many nanoseconds a call takes.
 */

#include <err.h>
#include <prefork.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int32_t worker(pf_t *pf, void *data)
{
    const long calls = *(long *)data;
    double begin;
    long i;

    pf_busy(pf, 0);
    begin = now();
    for (i = 0; i < calls; i++)
        pf_tick(pf, 600);
    printf("%.1f\n", (now() - begin) / (double)calls * 1e9);
    fflush(stdout);
    kill(getppid(), SIGTERM);
    return 0;
}

int main(int argc, char **argv)
{
    long calls = argc > 1 ? atol(argv[1]) : 1;
    pf_t *pf = pf_new();

    if (pf_set_max_workers(pf, 1) != PF_OK || pf_set_worker_timeout(pf, 600, 0) != PF_OK
            || pf_trap_signal(pf, SIGTERM, SIGTERM, 0) != PF_OK || pf_start(pf, worker, &calls) != PF_OK
            || pf_wait_all_children(pf, -1, NULL) != PF_OK)
        errx(1, "%s", pf_error_message(pf));
    pf_free(pf);
    return 0;
}
