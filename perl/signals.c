/* Signals that are blocked, and signals that perl has noted.
 *
 * Signals are blocked in one thread: the manager's. The program may have others, of perl's (threads.pm) or of a library that
 * is written in C. The system gives a signal for the process to the main thread, if that one lets it in, and else to another.
 * So while a manager in the main thread blocks signals, perl's handler is called in another thread:
 *
 * - a thread of perl's has handlers of its own. It acts on the signal by itself, and the manager never hears of it; or it has none
 *   for it, and perl ends the process;
 * - a thread that is none of perl's has no interpreter, and perl before 5.42 crashes.
 *
 * So where there are other threads, and the manager's is the main one, it puts `pass_on` in the place of perl's handlers while
 * it blocks signals. That sends the signal on to the main thread, where it is pending until that thread lets signals in. What is
 * meant for one thread is left to it: a signal that was sent to a thread, or that what it does has raised. A program with
 * one thread pays one look at a variable for all this, or one system call where the C library has none. */

#include "signals.h"

#include <pthread.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 32)
#include <sys/single_threaded.h>
#define IS_SINGLE_THREADED __libc_single_threaded
#endif
#endif
/* Other C libraries do not say it. Each thread is a folder there, and counts as a link (proc(5)); without /proc nobody knows. */
#ifndef IS_SINGLE_THREADED
#include <sys/stat.h>
static bool
is_single_threaded(void)
{
    struct stat task;
    return stat("/proc/self/task", &task) == 0 && task.st_nlink <= 3;
}
#define IS_SINGLE_THREADED is_single_threaded()
#endif

static pthread_t main_thread;
static pid_t process;                          /* whose main thread that is; 0 before it is known */
static struct sigaction *replaced;             /* for each signal what `pass_on` stands in for... */
static volatile bool is_replaced[SIG_SIZE];    /* ... if it does */

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

/* In the main thread of a process that has others, pthread_self is not enough: a child that another thread has forked has that
 * one as its main thread. */
static bool
is_main_thread(void)
{
#ifdef SYS_gettid
    return (pid_t)syscall(SYS_gettid) == getpid();
#else
    return TRUE;
#endif
}

bool
is_passed_on(int signal, const siginfo_t *info)
{
    const int errno_before = errno;
    bool is_sent = FALSE;
    if (process && !pthread_equal(pthread_self(), main_thread) && process == getpid() && info->si_code != SI_TKILL)
        is_sent = pthread_kill(main_thread, signal) == 0;
    errno = errno_before;
    return is_sent;
}

static bool
is_pass_on(const struct sigaction *action);

/* An immediate handler of the program may have put another handler there in the meantime: that one stays. */
static void
take_away(int signal)
{
    struct sigaction action;
    if (sigaction(signal, NULL, &action) == 0 && is_pass_on(&action)
            && sigaction(signal, &replaced[signal], &action) == 0 && !is_pass_on(&action))
        sigaction(signal, &action, NULL);
    is_replaced[signal] = FALSE;
}

static void
take_all_away(void)
{
    int signal;
    for (signal = 1; signal < SIG_SIZE; signal++)
        if (is_replaced[signal])
            take_away(signal);
}

static void
pass_on(int signal, siginfo_t *info, void *context)
{
    const struct sigaction action = replaced[signal];
    if (is_passed_on(signal, info))
        return;
    /* An immediate handler may look at the system's handlers, or leave by longjmp; and in a child of another thread
     * nobody else puts them back. */
    if (!is_perls_handler(&action) || process != getpid())
        take_all_away();
    if (action.sa_flags & SA_SIGINFO)
        action.sa_sigaction(signal, info, context);
    else
        action.sa_handler(signal);
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

/* Those that the system sends to the thread that has caused them. */
static bool
is_for_one_thread(int signal)
{
    static const int those[] = { SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGPIPE, SIGSEGV, SIGSYS, SIGTRAP, SIGXFSZ };
    size_t i;
    for (i = 0; i < C_ARRAY_LENGTH(those); i++)
        if (signal == those[i])
            return TRUE;
    return FALSE;
}

/* A signal that the program itself blocks here is for another of its threads. */
static void
put_pass_on(pTHX_ const sigset_t *blocked)
{
    int signal;
    if (!is_main_thread())
        return;
    /* Only programs with threads have it: it is larger than all other data of the module, and as a part of the object it would
     * be one mapping more for each fork to copy. It stays, and is no interpreter's: perl's own memory may go with one. */
    if (!replaced && !(replaced = calloc(SIG_SIZE, sizeof *replaced)))
        return;
    main_thread = pthread_self();
    process = getpid();
    for (signal = 1; PL_psig_ptr && signal < SIG_SIZE; signal++) {
        struct sigaction action;
        if (!PL_psig_ptr[signal] || is_for_one_thread(signal) || sigismember(blocked, signal) != 0
                || sigaction(signal, NULL, &action) != 0 || is_pass_on(&action)
                || !(is_perls_handler(&action) || is_perls_immediate_handler(aTHX_ &action)))
            continue;
        replaced[signal] = action;
        is_replaced[signal] = TRUE;
        action.sa_sigaction = pass_on;
        action.sa_flags |= SA_SIGINFO;
        sigaction(signal, &action, NULL);
    }
}

void
block_signals(sigset_t *before)
{
    block_signals_but(NULL, before);
}

void
block_signals_but(const sigset_t *let_in, sigset_t *before)
{
    sigset_t wanted;
    sigfillset(&wanted);
    if (!IS_SINGLE_THREADED) {
        dTHX;
        sigset_t left_alone;
        int signal;
        pthread_sigmask(SIG_SETMASK, NULL, &left_alone);
        for (signal = 1; let_in && signal < SIG_SIZE; signal++)
            if (sigismember(let_in, signal) == 1 && sigismember(&left_alone, signal) == 0) {
                sigaddset(&left_alone, signal);
                sigdelset(&wanted, signal);
            }
        put_pass_on(aTHX_ &left_alone);
    }
    pthread_sigmask(SIG_SETMASK, &wanted, before);
}

void
unblock_signals(const sigset_t *before)
{
    int signal;
    pthread_sigmask(SIG_SETMASK, before, NULL);
    if (!IS_SINGLE_THREADED && is_main_thread())
        for (signal = 1; signal < SIG_SIZE; signal++)
            if (is_replaced[signal] && sigismember(before, signal) == 0)
                take_away(signal);
}

bool
signal_is_noted(pTHX)
{
    if (!PL_sig_pending && PL_psig_pend) {
        int signal, noted = 0;
        /* Each turn comes here several times. Without a way out of the middle this is a few operations on vectors. */
        for (signal = 1; signal < SIG_SIZE; signal++)
            noted |= PL_psig_pend[signal];
        if (noted)
            PL_sig_pending = 1;
    }
    return PL_sig_pending != 0;
}

bool
take_noted(pTHX_ int signal)
{
    if (!PL_psig_pend || !PL_psig_pend[signal])
        return FALSE;
    /* One that arrives meanwhile is noted in one of them, so it is found. */
    PL_psig_pend[signal] = 0;
    PL_sig_pending = 0;
    (void)signal_is_noted(aTHX);
    return TRUE;
}

void
hold_signals(pTHX_ held_signals_t *held)
{
    block_signals(&held->mask);
    held->pending = PL_sig_pending;
    PL_sig_pending = 0;
}

void
release_signals(pTHX_ const held_signals_t *held)
{
    if (held->pending)
        PL_sig_pending = held->pending;
    unblock_signals(&held->mask);
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
