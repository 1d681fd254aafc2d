/* Put in front of libc by LD_PRELOAD: as long as the file FORK_FAILS_WHILE is there, each
 * FORK_FAILS_EVERY-th fork(2) fails with the number FORK_FAILS_WITH. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

pid_t fork(void)
{
    static unsigned calls;
    static pid_t (*real_fork)(void);
    const char *file = getenv("FORK_FAILS_WHILE");
    const char *every = getenv("FORK_FAILS_EVERY");
    const char *error = getenv("FORK_FAILS_WITH");
    if (file && every && error && access(file, F_OK) == 0 && ++calls % (unsigned)atoi(every) == 0) {
        errno = atoi(error);
        return -1;
    }
    if (!real_fork)
        *(void **)&real_fork = dlsym(RTLD_NEXT, "fork");
    return real_fork();
}
