/* Signals are blocked in one thread: the manager's. The program may have others, of perl's (threads.pm) or of a library that
 * is written in C. While the manager's thread blocks a signal, the system gives it to one of those, and perl's handler is called
 * there:
 *
 * - a thread of perl's has handlers of its own. It acts on the signal by itself, and the manager never hears of it; or it has none
 *   for it, and perl ends the process;
 * - a thread that is none of perl's has no interpreter, and perl before 5.42 crashes.
 *
 * So where there are other threads, the manager's puts `pass_on` in the place of perl's handlers while it blocks signals.
 * That sends the signal on to the manager's thread, where it is pending until that thread lets signals in. When it
 * does, perl's handlers are back. A program with one thread pays one look at a variable for all this. */

#include "signals.h"

#include <pthread.h>

#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 32)
#include <sys/single_threaded.h>
#define IS_SINGLE_THREADED __libc_single_threaded
#endif
#endif
/* Other C libraries do not say it. */
#ifndef IS_SINGLE_THREADED
#define IS_SINGLE_THREADED FALSE
#endif

static pthread_t manager_thread;
static bool has_manager_thread;
static struct sigaction replaced[SIG_SIZE];    /* what `pass_on` is there for */

bool
is_perls_handler(const struct sigaction *action)
{
    /* Perl gives its functions to the system by either type, and has made more of them in the course of time. */
    const Sighandler_t function = (Sighandler_t)action->sa_handler;
    return function == PL_csighandlerp || function == (Sighandler_t)PL_csighandler1p
        || function == (Sighandler_t)PL_csighandler3p;
}

/* Whether it is the one that calls what is in %SIG at once (POSIX::SigAction without `safe`). */
static bool
is_perls_immediate_handler(pTHX_ const struct sigaction *action)
{
    const Sighandler_t function = (Sighandler_t)action->sa_handler;
    return function == (Sighandler_t)PL_sighandlerp || function == (Sighandler_t)PL_sighandler1p
        || function == (Sighandler_t)PL_sighandler3p;
}

bool
is_passed_on(int signal)
{
    if (has_manager_thread && !pthread_equal(pthread_self(), manager_thread)) {
        const int errno_before = errno;
        pthread_kill(manager_thread, signal);
        errno = errno_before;
        return TRUE;
    }
    return FALSE;
}

static void
pass_on(int signal, siginfo_t *info, void *context)
{
    const struct sigaction *action = &replaced[signal];
    if (is_passed_on(signal))
        return;
    if (action->sa_flags & SA_SIGINFO) {
        action->sa_sigaction(signal, info, context);
    } else {
        action->sa_handler(signal);
    }
}

static bool
is_pass_on(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == pass_on;
}

void
program_action(int signal, struct sigaction *action)
{
    sigaction(signal, NULL, action);
    if (is_pass_on(action))
        *action = replaced[signal];
}

/* A signal that the program itself blocks here is for another of its threads. */
static void
put_pass_on(pTHX_ const sigset_t *blocked)
{
    int signal;
    manager_thread = pthread_self();
    has_manager_thread = TRUE;
    for (signal = 1; PL_psig_ptr && signal < SIG_SIZE; signal++) {
        struct sigaction action;
        if (!PL_psig_ptr[signal] || sigismember(blocked, signal) != 0 || sigaction(signal, NULL, &action) != 0
                || is_pass_on(&action) || !(is_perls_handler(&action) || is_perls_immediate_handler(aTHX_ &action)))
            continue;
        replaced[signal] = action;
        action.sa_sigaction = pass_on;
        action.sa_flags |= SA_SIGINFO;
        sigaction(signal, &action, NULL);
    }
}

/* An immediate handler of the program may have put another handler there in the meantime: that one stays. */
static void
take_pass_on_away(pTHX_ const sigset_t *blocked)
{
    int signal;
    for (signal = 1; PL_psig_ptr && signal < SIG_SIZE; signal++) {
        struct sigaction action;
        if (PL_psig_ptr[signal] && sigismember(blocked, signal) == 0 && sigaction(signal, NULL, &action) == 0
                && is_pass_on(&action) && sigaction(signal, &replaced[signal], &action) == 0 && !is_pass_on(&action))
            sigaction(signal, &action, NULL);
    }
}

void
block_signals(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    if (!IS_SINGLE_THREADED) {
        dTHX;
        sigset_t blocked;
        pthread_sigmask(SIG_SETMASK, NULL, &blocked);
        put_pass_on(aTHX_ &blocked);
    }
    pthread_sigmask(SIG_SETMASK, &all, before);
}

void
unblock_signals(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
    if (!IS_SINGLE_THREADED) {
        dTHX;
        take_pass_on_away(aTHX_ before);
    }
}

bool
signal_is_noted(pTHX)
{
    int signal;
    for (signal = 1; !PL_sig_pending && PL_psig_pend && signal < SIG_SIZE; signal++)
        PL_sig_pending = PL_psig_pend[signal] != 0;
    return PL_sig_pending != 0;
}

void
forget_noted_signals(pTHX)
{
    int signal;
    PL_sig_pending = 0;
    for (signal = 1; PL_psig_pend && signal < SIG_SIZE; signal++)
        if (PL_psig_pend[signal])
            PL_psig_pend[signal] = 0;
}
