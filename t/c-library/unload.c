/* A plugin's life: the library is opened by dlopen(3), traps signals, is closed by dlclose(3), and then the
 * signals arrive. The arguments are the library's path, and whether the manager is freed before it is closed. */

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "prefork.h"

static int calls;
static struct sigaction found;

static void program(int signal)
{
    (void)signal;
    calls++;
}

/* Calls what it has found, which is the library's. */
static void chained(int signal, siginfo_t *info, void *context)
{
    calls++;
    found.sa_sigaction(signal, info, context);
}

static void *library;

#define GET(function) __typeof__(function) *function##_ = (__typeof__(function) *)look_up(#function)

static void *look_up(const char *name)
{
    void *function = dlsym(library, name);
    if (!function)
        printf("no %s\n", name);
    return function;
}

static int use(const char *path, int frees)
{
    struct sigaction action;
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        printf("%s\n", dlerror());
        return 1;
    }
    {
        GET(pf_new);
        GET(pf_trap_signal);
        GET(pf_watch_children);
        GET(pf_signal_received);
        GET(pf_free);
        pf_t *pf = pf_new_();
        if (pf_trap_signal_(pf, SIGUSR1, 0, 0) != PF_OK || pf_trap_signal_(pf, SIGUSR2, 0, 0) != PF_OK
                || pf_trap_signal_(pf, SIGWINCH, 0, 0) != PF_OK || pf_watch_children_(pf) != PF_OK)
            return 1;
        raise(SIGWINCH);
        if (pf_signal_received_(pf) != SIGWINCH)
            return 1;
        memset(&action, 0, sizeof action);
        action.sa_sigaction = chained;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGUSR2, &action, &found);
        if (frees)
            pf_free_(pf);
    }
    return dlclose(library) != 0;
}

static void one_of(int signal)
{
    calls = 0;
    if (signal == SIGCHLD) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        waitpid(pid, NULL, 0);
    } else {
        raise(signal);
    }
    printf("%d\n", calls);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    int frees = argc > 2 && strcmp(argv[2], "frees") == 0, times;
    signal(SIGUSR1, program);
    /* A server may load its plugins again. */
    for (times = 0; times < 2; times++) {
        if (use(argv[1], frees) != 0)
            return 1;
        one_of(SIGUSR1);
        one_of(SIGUSR2);
        one_of(SIGWINCH);
        one_of(SIGCHLD);
        signal(SIGUSR2, SIG_DFL);
    }
    return 0;
}
