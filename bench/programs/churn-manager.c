/* churn-manager FORKS POOL
 *
 * pf_start with workers that exit at once. STDIN and STDOUT are as in churn-manager.pl.
 */

#include "worker.h"
#include <err.h>
#include <prefork.h>
#include <signal.h>

static int32_t worker(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    if (work())
        kill(getppid(), SIGTERM);
    return 0;
}

int main(int argc, char **argv)
{
    pf_t *pf = pf_new();

    if (pf_set_max_workers(pf, argc > 2 ? atoi(argv[2]) : 0) != PF_OK
            || pf_trap_signal(pf, SIGTERM, SIGTERM, 0) != PF_OK)
        errx(1, "%s", pf_error_message(pf));
    say("begin\n");
    if (pf_start(pf, worker, NULL) != PF_OK || pf_wait_all_children(pf, -1, NULL) != PF_OK)
        errx(1, "%s", pf_error_message(pf));
    pf_free(pf);
    return 0;
}
