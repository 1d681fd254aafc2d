/* The one wait of the Perl front, and what it needs to know of SIGCHLD.
 *
 * `next_exit` blocks every signal and calls pf_next. At WAIT it returns, and lets Perl look, if perl has noted a signal or
 * if signal_received was set since start looked. Otherwise it sleeps by ppoll(2) with the program's own mask, which lets
 * signals in only while it sleeps, and calls pf_next once more. So no signal can arrive after the last look and before the
 * sleep. Where the system refuses ppoll, pselect(2) does the same. Where that is refused too, nanosleep(2) has to do, for a
 * tenth of a second at most, and a signal that comes just before it is acted on after it.
 *
 * SIGCHLD must end the sleep even if the program ignores it, blocks it or resets it. So the sleep has a handler of its own
 * then (`lend_handler`). It has that handler also in place of ours in %SIG: being C, it writes to fewer pages, and it
 * knows which child has ended (pf_child_ended).
 *
 * Where the look for children is put off (event.may_block_sigchld) SIGCHLD would tell nothing new, and the sleep leaves it
 * to its default, which discards it. It is not blocked instead: an immediate handler that dies, or that calls start, is to
 * find the program's own mask. */

#include "host.h"

#include <poll.h>
#include <sys/select.h>
#include <time.h>

SV *
member(pTHX_ SV *object, const char *name)
{
    SV **found = hv_fetch((HV *)SvRV(object), name, (I32)strlen(name), 0);
    return found ? *found : &PL_sv_undef;
}

double
monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Whether start is under way, and not wait_all_children; each can call the other by a hook or a handler. Their Perl code
 * says it in the member _goal: undef for neither, a negative number for start, and for wait_all_children the time
 * when it ends. The loop of start in C does not set the member, as each worker would have to set it back. Instead
 * it notes which value it has found there (`running`): as long as that is there, start is under way. */
static bool
is_running(pTHX_ const host_t *host, SV *goal)
{
    return host->running == goal || (SvOK(goal) && SvNV(goal) < 0);
}

/* It is set again for each turn. */
void
set_goal(pTHX_ host_t *host, SV *object)
{
    SV *goal = member(aTHX_ object, "_goal");
    if (is_running(aTHX_ host, goal)) {
        pf_set_generation(host->pf, SvUV(member(aTHX_ object, "generation")));
        pf_resume(host->pf);
    } else if (!SvOK(goal)) {
        pf_suspend(host->pf);
    } else {
        const NV until = SvNV(goal);
        const double left = until - monotonic();
        pf_drain(host->pf, Perl_isinf(until) ? -1 : left > 0 ? left : 0);
    }
}

bool
signal_is_set(pTHX_ SV *object)
{
    SV *signal = member(aTHX_ object, "signal_received");
    return SvROK(signal) || SvTRUE_nomg(signal);
}

/* Counts a SIGCHLD that perl has noted, without the call of the handler in %SIG: such a call writes to more pages than the
 * rest of a turn. A signal that arrives meanwhile is noted in PL_psig_pend or in PL_sig_pending, so it is found. */
static void
take_sigchld(pTHX)
{
    if (PL_psig_pend && PL_psig_pend[SIGCHLD] && sigchld_is_ours(aTHX)) {
        PL_psig_pend[SIGCHLD] = 0;
        PL_sig_pending = 0;
        exit_notices++;
        (void)signal_is_noted(aTHX);
    }
}

void
run_handlers(pTHX_ host_t *host)
{
    if (signal_is_noted(aTHX)) {
        host->look_at = 0;
        take_sigchld(aTHX);
        if (PL_sig_pending)
            host->is_named = FALSE;
        PERL_ASYNC_CHECK();
    }
}

/* Tells the core that SIGCHLD was seen. A handler that is not ours sees it and tells nobody. So if anything but time
 * has ended the wait, it may have been SIGCHLD. */
static void
note_exits(pTHX_ host_t *host, bool has_other_handler, bool is_running)
{
    if (host->exits != exit_notices || (PL_psig_pend && PL_psig_pend[SIGCHLD])
            || (!host->timed_out && has_other_handler)) {
        host->exits = exit_notices;
        /* While all are waited for, they are better looked for together. */
        host->is_named = is_running && ended_child;
        pf_child_ended(host->pf, host->is_named ? ended_child : 0);
    }
}

/* What the program had for SIGCHLD when a sleep began. */
typedef struct {
    struct sigaction action;
    const SV *in_sig;        /* what perl had for it in %SIG... */
    bool notes;              /* ... and what was put in its place: note_sigchld, or the default */
    bool is_blocked;
    bool by_longjmp;         /* the sleep is left by that, if it is now */
} sigchld_t;

static const SV *
sigchld_in_sig(pTHX)
{
    return PL_psig_ptr ? PL_psig_ptr[SIGCHLD] : NULL;
}

/* For the time of a sleep SIGCHLD is noted, or has its default, which discards it. */
static void
lend_handler(sigchld_t *sigchld, bool notes)
{
    struct sigaction lent;
    Zero(&lent, 1, struct sigaction);
    if (notes) {
        lent.sa_sigaction = note_sigchld;
        lent.sa_flags = SA_SIGINFO;
    } else {
        lent.sa_handler = SIG_DFL;
    }
    sigemptyset(&lent.sa_mask);
    sigaction(SIGCHLD, &lent, NULL);
    sigchld->notes = notes;
}

/* Whether this is what was lent. */
static bool
is_lent(pTHX_ const sigchld_t *sigchld, const struct sigaction *action)
{
    return sigchld_in_sig(aTHX) == sigchld->in_sig
        && (sigchld->notes ? (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == note_sigchld
            : !(action->sa_flags & SA_SIGINFO) && action->sa_handler == SIG_DFL);
}

/* An immediate handler of the program may have run in the sleep. If it has put another handler for SIGCHLD in, that one
 * stays. */
static void
give_back(pTHX_ const sigchld_t *sigchld)
{
    struct sigaction found;
    sigaction(SIGCHLD, &sigchld->action, &found);
    if (!is_lent(aTHX_ sigchld, &found)) {
        struct sigaction now;
        sigset_t mask;
        block_signals(&mask);
        /* One more such handler may have run since. */
        sigaction(SIGCHLD, NULL, &now);
        if (now.sa_handler == sigchld->action.sa_handler)
            sigaction(SIGCHLD, &found, NULL);
        unblock_signals(&mask);
    }
}

/* An immediate handler that leaves the sleep by longjmp leaves the mask of that moment in force, too: perhaps
 * that of note_sigchld, in which it came. */
static void
restore_sigchld(pTHX_ void *saved)
{
    const sigchld_t *sigchld = (const sigchld_t *)saved;
    give_back(aTHX_ sigchld);
    if (sigchld->by_longjmp) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        pthread_sigmask(sigchld->is_blocked ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
    }
}

/* The longest sleep in which the descriptor is not looked at, and one by a call that knows neither descriptors nor masks. */
#define AT_MOST_UNSEEN { 1, 0 }
#define AT_MOST_BLIND { 0, 100000000 }

static const struct timespec *
shorter(const struct timespec *span, const struct timespec *most)
{
    const bool is_longer = !span || span->tv_sec > most->tv_sec
        || (span->tv_sec == most->tv_sec && span->tv_nsec > most->tv_nsec);
    return is_longer ? most : span;
}

/* As sleep_with_mask, by an older call, and by one older still where that is refused, too. No time-out is NULL. */
static int
sleep_by_select(const sigset_t *mask, const struct timespec *span, int fd)
{
    static const struct timespec unseen = AT_MOST_UNSEEN, blind = AT_MOST_BLIND;
    const bool is_seen = fd >= 0 && fd < FD_SETSIZE;
    fd_set readable;
    int woken;
    FD_ZERO(&readable);
    if (is_seen)
        FD_SET(fd, &readable);
    else if (fd >= 0)
        span = shorter(span, &unseen);
    woken = pselect(is_seen ? fd + 1 : 0, &readable, NULL, NULL, span, mask);
    if (woken < 0 && errno != EINTR) {
        /* A signal that comes just before this sleep is acted on after it. */
        sigset_t all;
        unblock_signals(mask);
        woken = nanosleep(shorter(span, &blind), NULL);
        block_signals(&all);
    }
    return woken;
}

/* Sleeps until a signal, the descriptor or the time-out, with the program's own mask in
 * force; every signal is blocked before and after. Returns whether only time has passed. An
 * immediate handler of the program may longjmp out of here. */
static bool
sleep_with_mask(const sigset_t *mask, double timeout, int fd)
{
    struct timespec span;
    int woken;
    if (timeout > 1e9)
        timeout = 1e9;
    if (timeout >= 0) {
        span.tv_sec = (time_t)timeout;
        span.tv_nsec = (long)((timeout - (double)span.tv_sec) * 1e9);
    }
#if defined(__APPLE__)
    woken = sleep_by_select(mask, timeout < 0 ? NULL : &span, fd);
#else
    {
        struct pollfd watched;
        watched.fd = fd;
        watched.events = POLLIN;
        woken = ppoll(&watched, fd >= 0, timeout < 0 ? NULL : &span, mask);
    }
    /* Refused, as it is for a descriptor where none is allowed (RLIMIT_NOFILE of 0), or by a filter of system calls. */
    if (woken < 0 && errno != EINTR)
        woken = sleep_by_select(mask, timeout < 0 ? NULL : &span, fd);
#endif
    return woken == 0;
}

bool
next_exit(pTHX_ SV *object, host_t *host, pf_event *event, bool blocking, bool adjust,
    double max_wait, unsigned untold)
{
    const bool running = is_running(aTHX_ host, member(aTHX_ object, "_goal"));
    sigchld_t sigchld;
    const struct sigaction *action = &sigchld.action;
    sigset_t mask;
    bool is_ignored;
    bool has_handler;
    bool is_ours;
    bool lends_handler;
    bool found = FALSE;
    bool slept = FALSE;
    pf_result result = PF_OK;
    const int errno_before = errno;

    event->type = PF_EVENT_WAIT;
    event->timeout = 0;
    block_signals(&mask);
    program_action(SIGCHLD, &sigchld.action);
    sigchld.in_sig = sigchld_in_sig(aTHX);
    sigchld.by_longjmp = TRUE;
    sigchld.is_blocked = sigismember(&mask, SIGCHLD) == 1;
    is_ignored = !(action->sa_flags & SA_SIGINFO) && action->sa_handler == SIG_IGN;
    has_handler = !is_ignored && !sigchld.is_blocked
        && ((action->sa_flags & SA_SIGINFO) || action->sa_handler != SIG_DFL);
    is_ours = has_handler && is_perls_handler(action) && sigchld_is_ours(aTHX);
    lends_handler = blocking && (!has_handler || is_ours);
    if (lends_handler) {
        /* See the top of this file. What was there comes back after the sleep: POSIX::sigaction is not to find
         * another handler. */
        ENTER;
        lend_handler(&sigchld, TRUE);
        SAVEDESTRUCTOR_X(restore_sigchld, &sigchld);
    }
    /* Once before each wait, whatever was or was not noticed: handlers come and go, and some
     * go round %SIG. If code of the program has run since the last one, it may have ignored
     * SIGCHLD for a while, and then the system has reaped by itself. */
    if (blocking && !host->timed_out && !host->is_named)
        pf_child_ended(host->pf, 0);
    if (blocking)
        host->is_named = FALSE;
    /* A handler that is not ours tells nobody what it has seen. */
    if (blocking || !is_ours)
        pf_look_for_children(host->pf, is_ignored || (action->sa_flags & SA_NOCLDWAIT));
    for (;;) {
        sigset_t mask_asleep = mask;
        double timeout;
        /* The loop in start has not looked at this one yet. */
        if (running && !host->signal_was_set && signal_is_set(aTHX_ object))
            break;
        set_goal(aTHX_ host, object);
        note_exits(aTHX_ host, has_handler && !is_ours, running);
        do {
            result = pf_next(host->pf, event);
            found = result == PF_OK && event->type == PF_EVENT_REAPED;
            if (found)
                host->timed_out = FALSE;
        } while (found && untold && untold--);
        if (result == PF_ERR_WRONG_PROCESS && pf_become_manager(host->pf) == PF_OK)
            continue;
        if (result != PF_OK || event->type != PF_EVENT_WAIT || !blocking || slept
                || signal_is_noted(aTHX))
            break;

        timeout = event->timeout;
        if (adjust) {
            const double delay = pf_spawn_delay(host->pf);
            if (timeout < 0 || delay < timeout)
                timeout = delay;
        }
        if (max_wait >= 0 && (timeout < 0 || max_wait < timeout))
            timeout = max_wait;
        if (!has_handler)
            sigdelset(&mask_asleep, SIGCHLD);
        /* What it would tell is looked for after this wait, and only then. */
        if (event->may_block_sigchld && lends_handler)
            lend_handler(&sigchld, FALSE);
        host->timed_out = FALSE;
        if (timeout != 0)
            host->timed_out = sleep_with_mask(&mask_asleep, timeout, event->fd);
        if (event->may_block_sigchld && lends_handler) {
            struct sigaction now;
            sigaction(SIGCHLD, NULL, &now);
            if (is_lent(aTHX_ &sigchld, &now))
                lend_handler(&sigchld, TRUE);
        }
        /* A SIGCHLD that was noted is passed on below. */
        if (!host->timed_out && host->exits == exit_notices)
            pf_look_for_children(host->pf, FALSE);
        slept = TRUE;
        take_sigchld(aTHX);
    }
    /* With perl's handler, which is ours, a child that exits is noted; an immediate handler that ended the sleep may have put
     * another one there. */
    host->look_at = result != PF_OK || event->type != PF_EVENT_WAIT || !is_ours || (slept && !host->timed_out) ? 0
        : event->timeout < 0 ? NV_INF : monotonic() + event->timeout;
    unblock_signals(&mask);
    sigchld.by_longjmp = FALSE;
    if (lends_handler)
        LEAVE;
    errno = errno_before;
    /* A worker has nobody to wait for. */
    if (result != PF_ERR_WRONG_PROCESS)
        check_result(aTHX_ host, result);
    return found;
}
