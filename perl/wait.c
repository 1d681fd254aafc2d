/* The one wait of the Perl front, and what it needs to know of SIGCHLD. */

#include "host.h"

#include <poll.h>

volatile unsigned long exit_notices;

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

/* What the object wants of the core, in its member _goal: nothing outside of start and
 * wait_all_children, a negative number inside start, and inside wait_all_children the
 * moment at which it ends. It is set again for each turn, as those calls can be nested. */
void
set_goal(pTHX_ host_t *host, SV *object)
{
    SV *goal = member(aTHX_ object, "_goal");
    NV until = SvOK(goal) ? SvNV(goal) : 0;
    if (!SvOK(goal)) {
        pf_rest(host->pf);
    } else if (until < 0) {
        pf_set_generation(host->pf, SvUV(member(aTHX_ object, "generation")));
        pf_run(host->pf);
    } else {
        const double left = until - monotonic();
        pf_drain(host->pf, Perl_isinf(until) ? -1 : left > 0 ? left : 0);
    }
}

static bool
is_running(pTHX_ SV *object)
{
    SV *goal = member(aTHX_ object, "_goal");
    return SvOK(goal) && SvNV(goal) < 0;
}

static bool
sigchld_is_ours(pTHX)
{
    SV *handler = PL_psig_ptr ? PL_psig_ptr[SIGCHLD] : NULL;
    CV *ours = get_cvs("Parallel::Prefork::Core::child_exited", 0);
    return handler && SvROK(handler) && SvRV(handler) == (SV *)ours;
}

/* Passes on that children may have exited: SIGCHLD was seen, or somebody else sees it and
 * we cannot know. */
static void
note_exits(pTHX_ host_t *host)
{
    if (host->exits != exit_notices || (PL_psig_pend && PL_psig_pend[SIGCHLD])
            || (!host->timed_out && !sigchld_is_ours(aTHX))) {
        host->exits = exit_notices;
        pf_children_changed(host->pf);
    }
    host->timed_out = FALSE;
}

static void
on_sigchld(int signal)
{
    PERL_UNUSED_VAR(signal);
}

static void
restore_sigchld(pTHX_ void *saved)
{
    PERL_UNUSED_CONTEXT;
    sigaction(SIGCHLD, (struct sigaction *)saved, NULL);
}

/* Sleeps until a signal, the descriptor or the time-out, with the program's own mask in
 * force; every signal is blocked before and after. Returns whether only time has passed. An
 * immediate handler of the program may longjmp out of here. */
static bool
sleep_with_mask(pTHX_ const sigset_t *mask, double timeout, int fd)
{
    struct pollfd watched;
    struct timespec span;
    int woken;
    watched.fd = fd;
    watched.events = POLLIN;
    if (timeout > 1e9)
        timeout = 1e9;
    if (timeout >= 0) {
        span.tv_sec = (time_t)timeout;
        span.tv_nsec = (long)((timeout - (double)span.tv_sec) * 1e9);
    }
#if defined(__APPLE__)
    {
        fd_set readable;
        FD_ZERO(&readable);
        if (fd >= 0)
            FD_SET(fd, &readable);
        woken = pselect(fd + 1, &readable, NULL, NULL, timeout < 0 ? NULL : &span, mask);
    }
#else
    woken = ppoll(&watched, fd >= 0, timeout < 0 ? NULL : &span, mask);
#endif
    return woken == 0;
}

/* The next child that was reaped, into event; false if there is none. With blocking, waits
 * once for something to happen before it says so: adjust also ends that when the pool
 * may be adjusted, and max_wait (if 0 or more) after so many seconds. */
bool
next_exit(pTHX_ SV *object, host_t *host, pf_event *event, bool blocking, bool adjust,
    double max_wait)
{
    const bool running = is_running(aTHX_ object);
    struct sigaction sigchld;
    struct sigaction noted;
    sigset_t mask;
    bool must_take_sigchld = FALSE;
    bool found = FALSE;
    bool slept = FALSE;
    pf_result result;

    ENTER;
    block_signals(&mask);
    for (;;) {
        sigset_t mask_asleep = mask;
        double timeout;
        /* The loop in start looks at signal_received first, and acts on it. */
        if (running && SvTRUE_nomg(member(aTHX_ object, "signal_received")))
            break;
        set_goal(aTHX_ host, object);
        note_exits(aTHX_ host);
        result = pf_next(host->pf, event);
        found = result == PF_OK && event->type == PF_EVENT_REAPED;
        if (result == PF_OK && event->type == PF_EVENT_STOPPED)
            hv_stores((HV *)SvRV(object), "signal_received",
                newSVpv(PL_sig_name[event->signal], 0));
        if (result != PF_OK || event->type != PF_EVENT_WAIT || !blocking || slept
                || PL_sig_pending)
            break;

        if (!must_take_sigchld) {
            /* SIGCHLD must end the wait even if the program ignores or blocks it, or has left
             * it to the default, which discards it. Look for children once more after that. */
            sigaction(SIGCHLD, NULL, &sigchld);
            must_take_sigchld = sigismember(&mask, SIGCHLD)
                || (!(sigchld.sa_flags & SA_SIGINFO)
                    && (sigchld.sa_handler == SIG_DFL || sigchld.sa_handler == SIG_IGN));
            if (must_take_sigchld) {
                Zero(&noted, 1, struct sigaction);
                noted.sa_handler = on_sigchld;
                sigemptyset(&noted.sa_mask);
                sigaction(SIGCHLD, &noted, NULL);
                SAVEDESTRUCTOR_X(restore_sigchld, &sigchld);
                pf_children_changed(host->pf);
                continue;
            }
        }
        if (must_take_sigchld)
            sigdelset(&mask_asleep, SIGCHLD);
        timeout = event->timeout;
        if (adjust) {
            const double delay = pf_spawn_delay(host->pf);
            if (timeout < 0 || delay < timeout)
                timeout = delay;
        }
        if (max_wait >= 0 && (timeout < 0 || max_wait < timeout))
            timeout = max_wait;
        if (timeout != 0)
            host->timed_out = sleep_with_mask(aTHX_ &mask_asleep, timeout, event->fd);
        if (must_take_sigchld && !host->timed_out)
            pf_children_changed(host->pf);
        slept = TRUE;
    }
    unblock_signals(&mask);
    LEAVE;
    return found;
}
