/* Wake-ups that come while the manager is on its way to a wait: at each of the calls in between something is
 * left for it, and it must not sleep on that. */

#include "tap.h"

#if defined(__linux__) && defined(__GLIBC__) && !HEAP_HAS_NO_FORK
#include <sys/stat.h>
#include <sys/syscall.h>
#define CAN_AIM 1
#else
#define CAN_AIM 0
#endif

static pf_t *pf;
static int number_of_call, arrives_at;
static void (*arrives)(void);

#if CAN_AIM
/* One of the library's calls. */
static void called(void)
{
    if (arrives && ++number_of_call == arrives_at)
        arrives();
}

/* In place of the C library's, which libprefork calls otherwise. */
ssize_t read(int fd, void *bytes, size_t count)
{
    called();
    return syscall(SYS_read, fd, bytes, count);
}

pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
    called();
    return (pid_t)syscall(SYS_wait4, pid, status, options, usage);
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    called();
    return (int)syscall(SYS_clock_gettime, clock, time);
}

pid_t getpid(void)
{
    called();
    return (pid_t)syscall(SYS_getpid);
}

int fstat(int fd, struct stat *buffer)
{
    called();
    return (int)syscall(SYS_fstat, fd, buffer);
}
#endif

static void wakes(void)
{
    pf_wake(pf);
}

static void signals(void)
{
    pf_signal(pf, SIGUSR1);
}

static void kills(void)
{
    raise(SIGUSR2);
}

/* Whether the event is no wait, or one that ends at once. */
static int goes_on(const pf_event *event)
{
    return event->type != PF_EVENT_WAIT || event->timeout == 0 || is_readable(event->fd);
}

static struct {
    void (*arrives)(void);
    const char *name;
} kinds[] = { { wakes, "pf_wake" }, { signals, "pf_signal" }, { kills, "a trapped signal" } };

/* Something arrives at a call of pf_next; returns whether there is such a call. */
static int at_call(int number, void (*what)(void))
{
    pf_event event;
    int arrived;
    pf = pf_new();
    pf_set_max_workers(pf, 0);
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    pf_trap_signal(pf, SIGUSR2, 0, 0);
    pf_watch_children(pf);
    pf_begin(pf);
    /* The one after a wait looks into the pipe. */
    do
        pf_next(pf, &event);
    while (event.type != PF_EVENT_WAIT || goes_on(&event));
    number_of_call = 0;
    arrives_at = number;
    arrives = what;
    pf_next(pf, &event);
    arrives = NULL;
    arrived = number_of_call >= number;
    if (arrived && !CHECK(goes_on(&event)))
        diag("... at call %d of pf_next", number);
    pf_free(pf);
    return arrived;
}

static void at_each_call(void *kind)
{
    int number = 1;
    while (at_call(number, kinds[*(size_t *)kind].arrives))
        number++;
    CHECK(number > 2);
}

int main(void)
{
    size_t kind;
    begin();
    for (kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        if (CAN_AIM)
            is_int(in_child(at_each_call, &kind), 0,
                "%s at any call of pf_next is seen, or ends the wait", kinds[kind].name);
        else
            skip(kinds[kind].name, "the calls cannot be replaced");
    }
    return done();
}
