/* The fork of the Perl host, and the time around it, in which no handler runs.
 *
 * 1. Handlers for signals that perl has noted run.
 * 2. `fork_begin` blocks every signal, keeps perl from running handlers for what it has noted too late for step 1
 *    (PL_sig_pending), and takes the event FORK from the core.
 * 3. The fork follows, as perl's own fork does it.
 * 4. In the worker `enter_worker` puts the default actions in. Then `forked` tells the core the outcome, and only then puts
 *    the mask and, in the manager, PL_sig_pending back.
 *
 * So a handler never sees a manager that has a worker and does not know it. And no handler runs in a worker that takes
 * itself for the manager. If the program overrides fork (CORE::GLOBAL::fork), Loop.pm calls that between the same two
 * steps (_fork). */

#include "fork.h"

#include "internals/defaults.h"
#include "internals/exit.h"
#include "stop.h"
#include "wait.h"
#include "work.h"
#include "workers.h"

bool
fork_begin(pTHX_ host_t *host, SV *object)
{
    pf_event event;
    pf_result result;
    block_signals(&host->fork.mask);
    set_goal(aTHX_ host, object);
    host->exits.timed_out = FALSE;
    pf_demand(host->pf, 1);
    result = pf_next(host->pf, &event);
    host->fork.is_under_way = result == PF_OK && event.type == PF_EVENT_FORK;
    if (host->fork.is_under_way) {
        host->fork.pending = PL_sig_pending;
        PL_sig_pending = 0;
    } else {
        unblock_signals(&host->fork.mask);
    }
    check_result(aTHX_ host, result);
    return host->fork.is_under_way;
}

/* The outcome is known; what perl had noted before the fork is the manager's. */
static void
fork_end(pTHX_ host_t *host, bool is_manager)
{
    host->fork.is_under_way = FALSE;
    if (is_manager && host->fork.pending)
        PL_sig_pending = host->fork.pending;
    unblock_signals(&host->fork.mask);
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
    if (host->fork.is_under_way) {
        pf_fork_failed(host->pf, &failures);
        fork_end(aTHX_ host, TRUE);
    }
    return failures;
}

/* A handler may have had another hash in {worker_pids} for a while: a worker belongs to the one that is there. */
static void
check_table(pTHX_ const host_t *host, SV *object)
{
    if (!is_tied(aTHX_ host, object)) {
        dSP;
        PUSHMARK(SP);
        XPUSHs(object);
        PUTBACK;
        call_pv("Parallel::Prefork::_tie_worker_pids", G_VOID | G_DISCARD);
    }
}

pid_t
fork_worker(pTHX_ host_t *host, SV *object)
{
    pid_t pid;
    /* As perl's own fork, for which perlapi has no function. From the flush on no handler runs: what it
     * printed would be printed by the worker too. */
    if (signal_is_noted(aTHX)) {
        run_handlers(aTHX_ host);
        check_table(aTHX_ host, object);
    }
    PERL_FLUSHALL_FOR_CHILD;
    if (!fork_begin(aTHX_ host, object))
        return -1;
    pid = PerlProc_fork();
    if (pid == 0) {
        forget_noted_signals(aTHX);
    } else if (pid > 0) {
        forked(aTHX_ host, pid);
        drop_stored(aTHX_ object, pid);
    } else {
        const int error = errno;
        const unsigned failures = fork_failed(aTHX_ host);
        if (failures > 1)
            warn("fork failed:%s (%u times)", Strerror(error), failures);
        else if (failures)
            warn("fork failed:%s", Strerror(error));
    }
    return pid;
}

void
leave_evals(pTHX)
{
    PL_in_eval = EVAL_NULL;
}

void
enter_worker(pTHX_ host_t *host, SV *object, const names_t *trapped)
{
    const bool is_complete = put_defaults(aTHX_ host, object, trapped);
    SV *fast_exit;
    set_member_iv(aTHX_ object, "in_child", 1);
    forked(aTHX_ host, 0);
    count_kept_handlers(aTHX_ host, object);
    host->worker.object = SvRV(object);
    fast_exit = member(aTHX_ object, "fast_exit");
    leave_worker(aTHX_ host, SvTRUE_nomg(fast_exit));
    if (!is_complete)
        set_default_handlers(aTHX_ trapped);
    forget_line();
    forget_stop();
    handle_lateness(aTHX_ host, object);
}

void
run_worker(pTHX_ SV *code)
{
    dSP;
    PUSHSTACKi(PERLSI_UNKNOWN);
    PUSHMARK(SP);
    call_sv(code, G_VOID | G_DISCARD);
    POPSTACK;
}
