/* churn-care FORKS POOL [all]
 *
 * churn-manager, whose workers do one piece of work. With `all` the manager takes care in every way that it can, and each
 * worker says when it is busy.
 */

#include "worker.h"
#include <err.h>
#include <prefork.h>
#include <signal.h>

static int32_t worker(pf_t *pf, void *data)
{
    const bool has_all = data != NULL;
    bool is_last;

    if (has_all)
        pf_busy(pf, 0);
    is_last = work();
    if (has_all)
        pf_idle(pf);
    if (is_last)
        kill(getppid(), SIGTERM);
    return 0;
}

static bool takes_all_care(pf_t *pf)
{
    return pf_set_graceful_timeout(pf, 30) == PF_OK && pf_set_worker_timeout(pf, 60, 0) == PF_OK
        && pf_set_ready_timeout(pf, 30) == PF_OK
        && pf_set_parent_death_signal(pf, SIGTERM) == PF_OK && pf_watch_oom(pf) == PF_OK;
}

int main(int argc, char **argv)
{
    pf_t *pf = pf_new();
    void *has_all = argc > 3 ? argv[3] : NULL;

    if (pf_set_max_workers(pf, argc > 2 ? atoi(argv[2]) : 0) != PF_OK
            || pf_trap_signal(pf, SIGTERM, SIGTERM, 0) != PF_OK || (has_all && !takes_all_care(pf)))
        errx(1, "%s", pf_error_message(pf));
    say("begin\n");
    if (pf_start(pf, worker, has_all) != PF_OK || pf_wait_all_children(pf, -1, NULL) != PF_OK)
        errx(1, "%s", pf_error_message(pf));
    pf_free(pf);
    return 0;
}
