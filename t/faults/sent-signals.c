/* Put in front of libc by LD_PRELOAD: each signal that the program sends to another process is a line on its standard
 * output, "sent PID SIGNAL SECONDS", as is what kill(2) was called with. The seconds are those of CLOCK_MONOTONIC,
 * just before the call; the line comes after it. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static void tell(pid_t pid, int signal, struct timespec time)
{
    char line[80];
    const int length
        = snprintf(line, sizeof line, "sent %d %d %d.%09ld\n", (int)pid, signal, (int)time.tv_sec, time.tv_nsec);
    /* In one piece: others write there too. */
    while (write(STDOUT_FILENO, line, (size_t)length) < 0 && errno == EINTR)
        ;
}

int kill(pid_t pid, int signal)
{
    static int (*real_kill)(pid_t, int);
    struct timespec time;
    int result, error;
    if (!real_kill)
        *(void **)&real_kill = dlsym(RTLD_NEXT, "kill");
    clock_gettime(CLOCK_MONOTONIC, &time);
    result = real_kill(pid, signal);
    error = errno;
    if (signal != 0 && pid != getpid())
        tell(pid, signal, time);
    errno = error;
    return result;
}
