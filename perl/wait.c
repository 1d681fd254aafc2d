/* The one wait of the Perl host, and what it needs to know of SIGCHLD.
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

#include "wait.h"

#include "traps.h"

#include <poll.h>
#include <sys/select.h>
#include <time.h>

/* Whether start is under way, and not wait_all_children; each can call the other by a hook or a handler. Their Perl code
 * says it in the member _goal: undef for neither, a negative number for start, and for wait_all_children the time
 * when it ends. The loop of start in C does not set the member, as each worker would have to set it back. Instead
 * it notes which value it has found there (`running`): as long as that is there, start is under way. */
static bool
is_running(pTHX_ const host_t *host, SV *goal)
{
    return host->loop.running == goal || (SvOK(goal) && SvNV(goal) < 0);
}

/* It is set again for each turn. */
void
set_goal(pTHX_ host_t *host, SV *object)
{
    SV *goal = member(aTHX_ object, "_goal");
    if (is_running(aTHX_ host, goal)) {
        pf_set_generation(host->pf, generation_of(aTHX_ object));
        pf_resume(host->pf);
    } else if (!SvOK(goal)) {
        pf_suspend(host->pf);
    } else {
        const NV until = SvNV(goal);
        const double left = until - monotonic();
        pf_drain(host->pf, Perl_isinf(until) ? -1 : left > 0 ? left : 0);
    }
}

/* Counts a SIGCHLD that perl has noted, without the call of the handler in %SIG: that needs memory from malloc, in the middle
 * of which an immediate handler of the program's may come; and it writes to more pages than the rest of a turn. */
static void
take_sigchld(pTHX)
{
    if (sigchld_is_ours(aTHX) && take_noted(aTHX_ SIGCHLD))
        exit_notices++;
}

void
run_handlers(pTHX_ host_t *host)
{
    if (signal_is_noted(aTHX)) {
        host->exits.due_at = 0;
        take_sigchld(aTHX);
        if (PL_sig_pending)
            host->exits.is_named = FALSE;
        PERL_ASYNC_CHECK();
    }
}

/* Tells the core that SIGCHLD was seen. A handler that is not ours sees it and tells nobody. So if anything but time
 * has ended the wait, it may have been SIGCHLD. */
static void
note_exits(pTHX_ host_t *host, bool has_other_handler, bool is_running)
{
    if (host->exits.passed_on != exit_notices || (!host->exits.timed_out && has_other_handler)) {
        host->exits.passed_on = exit_notices;
        /* While all are waited for, they are better looked for together. */
        host->exits.is_named = is_running && ended_child;
        pf_child_ended(host->pf, host->exits.is_named ? ended_child : 0);
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
        program_action(SIGCHLD, &now);
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

/* One call of next_exit, in which every signal is blocked. */
typedef struct {
    host_t *host;
    how_t how;
    sigset_t mask;           /* the program's */
    sigchld_t sigchld;
    bool is_running;         /* start is under way */
    bool is_ignored;         /* the program ignores SIGCHLD */
    bool has_handler;        /* it lets it in, and something is called for it... */
    bool is_ours;            /* ... which is ours, by way of perl's */
    bool lends_handler;
    bool slept;
} wait_t;

/* Looks at what the program has for SIGCHLD, and puts something else there for a sleep. */
static void
begin_wait(pTHX_ wait_t *wait, SV *object)
{
    sigchld_t *sigchld = &wait->sigchld;
    const struct sigaction *action = &sigchld->action;
    wait->is_running = is_running(aTHX_ wait->host, member(aTHX_ object, "_goal"));
    block_signals(&wait->mask);
    program_action(SIGCHLD, &sigchld->action);
    sigchld->in_sig = sigchld_in_sig(aTHX);
    sigchld->by_longjmp = TRUE;
    sigchld->is_blocked = sigismember(&wait->mask, SIGCHLD) == 1;
    wait->is_ignored = !(action->sa_flags & SA_SIGINFO) && action->sa_handler == SIG_IGN;
    wait->has_handler = !wait->is_ignored && !sigchld->is_blocked
        && ((action->sa_flags & SA_SIGINFO) || action->sa_handler != SIG_DFL);
    wait->is_ours = wait->has_handler && is_perls_handler(action) && sigchld_is_ours(aTHX);
    wait->lends_handler = wait->how.blocking && (!wait->has_handler || wait->is_ours);
    wait->slept = FALSE;
    if (wait->lends_handler) {
        /* See the top of this file. What was there comes back after the sleep: POSIX::sigaction is not to find
         * another handler. */
        ENTER;
        lend_handler(sigchld, TRUE);
        SAVEDESTRUCTOR_X(restore_sigchld, sigchld);
    }
}

/* Whether the core is to look for children although it was told of none. */
static void
ask_for_looks(const wait_t *wait)
{
    exits_t *exits = &wait->host->exits;
    /* Once before each wait, whatever was or was not noticed: handlers come and go, and some
     * go round %SIG. If code of the program has run since the last one, it may have ignored
     * SIGCHLD for a while, and then the system has reaped by itself. */
    if (wait->how.blocking && !exits->timed_out && !exits->is_named)
        pf_child_ended(wait->host->pf, 0);
    if (wait->how.blocking)
        exits->is_named = FALSE;
    /* A handler that is not ours tells nobody what it has seen. */
    if (wait->how.blocking || !wait->is_ours)
        pf_look_for_children(wait->host->pf, wait->is_ignored || (wait->sigchld.action.sa_flags & SA_NOCLDWAIT));
}

/* Seconds; -1 for no end. */
static double
sleep_time(const wait_t *wait, const pf_event *event)
{
    double timeout = event->timeout;
    if (wait->how.adjust) {
        const double delay = pf_spawn_delay(wait->host->pf);
        if (timeout < 0 || delay < timeout)
            timeout = delay;
    }
    if (wait->how.max_wait >= 0 && (timeout < 0 || wait->how.max_wait < timeout))
        timeout = wait->how.max_wait;
    return timeout;
}

static void
sleep_once(pTHX_ wait_t *wait, const pf_event *event)
{
    exits_t *exits = &wait->host->exits;
    const double timeout = sleep_time(wait, event);
    const bool is_deaf = event->may_block_sigchld && wait->lends_handler;
    sigset_t mask_asleep = wait->mask;
    if (!wait->has_handler)
        sigdelset(&mask_asleep, SIGCHLD);
    /* What it would tell is looked for when the look is due, and only then. */
    if (is_deaf)
        lend_handler(&wait->sigchld, FALSE);
    exits->timed_out = FALSE;
    if (timeout != 0)
        exits->timed_out = sleep_with_mask(&mask_asleep, timeout, event->fd);
    if (is_deaf) {
        struct sigaction now;
        sigaction(SIGCHLD, NULL, &now);
        if (is_lent(aTHX_ &wait->sigchld, &now))
            lend_handler(&wait->sigchld, TRUE);
    }
    /* A SIGCHLD that was noted is passed on before the next look. */
    if (!exits->timed_out && exits->passed_on == exit_notices)
        pf_look_for_children(wait->host->pf, FALSE);
    wait->slept = TRUE;
    take_sigchld(aTHX);
}

/* With perl's handler, which is ours, a child that exits is noted; an immediate handler that ended the sleep may have put
 * another one there. */
static double
next_look(const wait_t *wait, pf_result result, const pf_event *event)
{
    if (result != PF_OK || event->type != PF_EVENT_WAIT || !wait->is_ours || (wait->slept && !wait->host->exits.timed_out))
        return 0;
    return event->timeout < 0 ? NV_INF : monotonic() + event->timeout;
}

static void
end_wait(pTHX_ wait_t *wait)
{
    unblock_signals(&wait->mask);
    wait->sigchld.by_longjmp = FALSE;
    if (wait->lends_handler)
        LEAVE;
}

/* Perl code tells of a worker that may not be killed. The wait is over, and signals are let in: so that code may die, exit, or
 * call start, as the program's handler of warnings does. */
static void
tell_kill_failure(pTHX_ SV *object, host_t *host, const pf_event *event)
{
    dSP;
    /* It is code of the program's. */
    host->exits.timed_out = FALSE;
    host->exits.is_named = FALSE;
    host->exits.due_at = 0;
    ENTER;
    SAVETMPS;
    PUSHSTACKi(PERLSI_UNKNOWN);
    PUSHMARK(SP);
    mXPUSHs(newSVpvs("Events"));
    PUTBACK;
    call_pv("Parallel::Prefork::_load", G_VOID | G_DISCARD);
    SPAGAIN;
    PUSHMARK(SP);
    EXTEND(SP, 5);
    PUSHs(object);
    mPUSHi(event->pid);
    mPUSHu(event->index);
    mPUSHu((UV)event->generation);
    mPUSHi(event->status);
    PUTBACK;
    call_pv("Parallel::Prefork::Events::kill_failed", G_VOID | G_DISCARD);
    POPSTACK;
    FREETMPS;
    LEAVE;
}

bool
next_exit(pTHX_ SV *object, host_t *host, pf_event *event, how_t how)
{
    wait_t wait;
    bool found = FALSE;
    pf_result result = PF_OK;
    const int errno_before = errno;
    wait.host = host;
    wait.how = how;
    event->type = PF_EVENT_WAIT;
    event->timeout = 0;
    begin_wait(aTHX_ &wait, object);
    ask_for_looks(&wait);
    /* The loop in start has not looked at a signal_received that was not set then. */
    while (!wait.is_running || host->signal_was_set || !signal_is_set(aTHX_ object)) {
        set_goal(aTHX_ host, object);
        note_exits(aTHX_ host, wait.has_handler && !wait.is_ours, wait.is_running);
        do {
            result = pf_next(host->pf, event);
            found = result == PF_OK && event->type == PF_EVENT_REAPED;
            if (found)
                host->exits.timed_out = FALSE;
        } while (found && wait.how.untold && wait.how.untold--);
        if (result == PF_ERR_WRONG_PROCESS && pf_become_manager(host->pf) == PF_OK)
            continue;
        if (result != PF_OK || event->type != PF_EVENT_WAIT || !how.blocking || wait.slept || signal_is_noted(aTHX))
            break;
        sleep_once(aTHX_ &wait, event);
    }
    host->exits.due_at = next_look(&wait, result, event);
    end_wait(aTHX_ &wait);
    errno = errno_before;
    /* A worker has nobody to wait for. */
    if (result != PF_ERR_WRONG_PROCESS)
        check_result(aTHX_ host, result);
    if (result == PF_OK && event->type == PF_EVENT_KILL_FAILED)
        tell_kill_failure(aTHX_ object, host, event);
    return found;
}
