/* launch PROGRAM [ARGUMENT]...
 *
 * Prints the nanoseconds from the start of a program to its end. This program is small, because a process as large as
 * the benchmark would take longer to start another one.
 */

#include <err.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static long long now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv)
{
    const long long begin = now();
    int status = 0;
    pid_t pid;

    if (argc < 2 || posix_spawnp(&pid, argv[1], NULL, NULL, argv + 1, environ) != 0)
        errx(1, "cannot start the program");
    if (waitpid(pid, &status, 0) != pid || status != 0)
        errx(1, "%s failed", argv[1]);
    printf("%lld\n", now() - begin);
    return 0;
}
