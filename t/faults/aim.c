/* Loaded into a Perl program by LD_PRELOAD: raises signals as the program enters and leaves the
 * system calls around which signals are blocked, waited for, and processes are forked. There,
 * and not in the middle of malloc, perl can stand a handler that leaves by longjmp.
 *
 * syscall(-4711, ODDS, SIGNAL, OTHER) aims: at each of these moments, one time in ODDS, SIGNAL
 * is raised in this process, and before it, one time in four, OTHER; ODDS of 0 ends that.
 * syscall(-4714, SIGNAL): that signal, which the program blocks, is let in at these moments, and
 * during the calls.
 * syscall(-4712) gives how often OTHER was raised, syscall(-4713) how often SIGNAL was. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static long odds;
static int first, second;
static int let_in;
static pid_t target;
static long raised[2];
static unsigned long long state = 88172645463325252ULL;

static unsigned long draw(unsigned long below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned long)(state >> 11) % below;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int is_blocked(int signal)
{
    sigset_t now;
    REAL(pthread_sigmask);
    real(SIG_BLOCK, NULL, &now);
    return sigismember(&now, signal) == 1;
}

/* Of two signals that are let in at once, the system enters the handler of one, and that of the
 * other before the first has done anything: leaving that by longjmp, the first is lost, and
 * blocked for good, in any program. So one at a time waits. */
static void here(void)
{
    static int waits;
    int blocked, other;
    if (odds == 0 || draw((unsigned long)odds) != 0 || getpid() != target)
        return;
    blocked = is_blocked(first);
    if (waits && blocked)
        return;
    waits = blocked;
    other = second && draw(4) == 0;
    if (other) {
        raised[1]++;
        raise(second);
    }
    if (!other || !blocked) {
        raised[0]++;
        raise(first);
    }
}

/* Not where every signal is blocked: there the program can stand none. */
static int opened(void)
{
    sigset_t set;
    REAL(pthread_sigmask);
    if (!let_in || getpid() != target || is_blocked(SIGXCPU))
        return 0;
    sigemptyset(&set);
    sigaddset(&set, let_in);
    real(SIG_UNBLOCK, &set, NULL);
    return 1;
}

static void closed(int was_opened)
{
    sigset_t set;
    REAL(pthread_sigmask);
    if (!was_opened)
        return;
    sigemptyset(&set);
    sigaddset(&set, let_in);
    real(SIG_BLOCK, &set, NULL);
}

#define AIMED(type, name, params, args) \
    type name params \
    { \
        type result; \
        int is_open, error; \
        REAL(name); \
        here(); \
        is_open = opened(); \
        result = real args; \
        error = errno; \
        closed(is_open); \
        here(); \
        errno = error; \
        return result; \
    }

/* perl changes its mask too, as it begins to run a handler; to leave that leaves a signal blocked. */
static int is_perl(void *caller)
{
    Dl_info object;
    return !dladdr(caller, &object) || !object.dli_fname || !strstr(object.dli_fname, "/auto/");
}

#define AIMED_MASK(name) \
    int name(int how, const sigset_t *set, sigset_t *old) \
    { \
        int result; \
        REAL(name); \
        if (is_perl(__builtin_return_address(0))) \
            return real(how, set, old); \
        here(); \
        closed(opened()); \
        result = real(how, set, old); \
        closed(opened()); \
        here(); \
        return result; \
    }

AIMED_MASK(pthread_sigmask)
AIMED_MASK(sigprocmask)
static sigset_t during(const sigset_t *mask)
{
    sigset_t opened = *mask;
    if (let_in && getpid() == target)
        sigdelset(&opened, let_in);
    return opened;
}

AIMED(int, ppoll, (struct pollfd *fds, nfds_t n, const struct timespec *t, const sigset_t *m),
    (fds, n, t, m ? (const sigset_t[]){ during(m) } : NULL))
AIMED(pid_t, fork, (void), ())
AIMED(pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options))
AIMED(pid_t, wait4, (pid_t pid, int *status, int options, struct rusage *used), (pid, status, options, used))
AIMED(pid_t, wait3, (int *status, int options, struct rusage *used), (status, options, used))
AIMED(int, kill, (pid_t pid, int signal), (pid, signal))

long syscall(long number, ...)
{
    long a[6];
    int i;
    va_list list;
    REAL(syscall);
    va_start(list, number);
    for (i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (number == -4711) {
        first = (int)a[1];
        second = (int)a[2];
        target = getpid();
        odds = a[0];
        return 0;
    }
    if (number == -4714) {
        target = getpid();
        let_in = (int)a[0];
        return 0;
    }
    if (number == -4712)
        return raised[1];
    if (number == -4713)
        return raised[0];
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
