/* The time around perl's fork, in which no handler runs: from before it until the manager knows
 * the pid, and the worker has its own dispositions. What perl has noted is handled before,
 * and what comes too late for that, after. */

#include "host.h"

bool
fork_begin(pTHX_ host_t *host, SV *object)
{
    pf_event event;
    pf_result result;
    if (signal_is_noted(aTHX))
        PERL_ASYNC_CHECK();
    block_signals(&host->mask);
    set_goal(aTHX_ host, object);
    host->timed_out = FALSE;
    pf_demand(host->pf, 1);
    result = pf_next(host->pf, &event);
    host->is_forking = result == PF_OK && event.type == PF_EVENT_FORK;
    if (host->is_forking) {
        host->pending = PL_sig_pending;
        PL_sig_pending = 0;
    } else {
        unblock_signals(&host->mask);
    }
    check_result(aTHX_ host, result);
    return host->is_forking;
}

/* The outcome is known; what perl had noted before the fork is the manager's. */
static void
fork_end(pTHX_ host_t *host, bool is_manager)
{
    host->is_forking = FALSE;
    if (is_manager && host->pending)
        PL_sig_pending = host->pending;
    unblock_signals(&host->mask);
}

void
forked(pTHX_ host_t *host, int pid)
{
    const pf_result result = pf_forked(host->pf, pid);
    fork_end(aTHX_ host, pid != 0);
    check_result(aTHX_ host, result);
}

unsigned
fork_failed(pTHX_ host_t *host)
{
    uint32_t failures = 0;
    if (host->is_forking) {
        pf_fork_failed(host->pf, &failures);
        fork_end(aTHX_ host, TRUE);
    }
    return failures;
}
