/* The C host of the fault suite: a manager whose arguments (name=value) say what goes wrong.
 * Several of its processes print, so each line is one write. */

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "prefork.h"

static char **arguments;

static const char *option(const char *name, const char *otherwise)
{
    const size_t length = strlen(name);
    char **argument;
    for (argument = arguments; *argument; argument++)
        if (strncmp(*argument, name, length) == 0 && (*argument)[length] == '=')
            return *argument + length + 1;
    return otherwise;
}

static double number(const char *name, double otherwise)
{
    const char *value = option(name, NULL);
    return value ? atof(value) : otherwise;
}

static int is(const char *name, const char *value)
{
    return strcmp(option(name, ""), value) == 0;
}

static void say(const char *format, ...)
{
    char line[200];
    va_list values;
    int length;
    va_start(values, format);
    length = vsnprintf(line, sizeof line, format, values);
    va_end(values);
    if (write(STDOUT_FILENO, line, (size_t)length) != length)
        _exit(99);
}

static void nap(double seconds)
{
    struct timespec span;
    span.tv_sec = (time_t)seconds;
    span.tv_nsec = (long)((seconds - (double)span.tv_sec) * 1e9);
    nanosleep(&span, NULL);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static volatile sig_atomic_t told;

static void on_term(int signal)
{
    (void)signal;
    told = 1;
}

/* A process whose parent is gone: the pid; it ends after so many seconds. */
static pid_t leave_orphan(int code, double seconds, int print)
{
    int tell_number[2];
    pid_t orphan = 0;
    pid_t middle;
    int status = 0;
    if (pipe(tell_number) != 0 || (middle = fork()) < 0)
        _exit(98);
    if (middle == 0) {
        orphan = fork();
        if (orphan == 0) {
            while (getppid() != 1)
                nap(0.0005);
            if (print)
                say("orphan %d %d\n", (int)getpid(), code);
            nap(seconds);
            _exit(code);
        }
        _exit(write(tell_number[1], &orphan, sizeof orphan) == sizeof orphan ? 7 : 98);
    }
    waitpid(middle, &status, 0);
    if (status != 7 << 8)
        say("lost %d: %d\n", (int)middle, status);
    if (read(tell_number[0], &orphan, sizeof orphan) != sizeof orphan)
        _exit(98);
    close(tell_number[0]);
    close(tell_number[1]);
    return orphan;
}

static int forks;

static int32_t work(pf_t *pf, void *data)
{
    const int workers = (int)number("workers", 1);
    const int orphans = (int)number("orphans", 0);
    int i;
    (void)data;
    srand((unsigned)getpid());
    if (forks < (int)number("exits", 0)) {
        nap(number("life", 0) * rand() / RAND_MAX);
        _exit((int)number("code", 0));
    }
    if (is("worker", "ignores") && forks < (int)number("stubborn", 1000))
        signal(SIGTERM, SIG_IGN);
    else
        signal(SIGTERM, on_term);
    for (i = pf_worker_index(pf); i < orphans && !told; i += workers)
        leave_orphan(i % 200 + 1, 0.02 * rand() / RAND_MAX, 1);
    if (is("worker", "holds") && fork() == 0) {
        /* It has copies of all that the worker has open, and says so to nobody. */
        signal(SIGTERM, SIG_IGN);
        nap(600);
        _exit(0);
    }
    say("up %d\n", (int)getpid());
    if (is("worker", "stopped"))
        raise(SIGSTOP);
    while (!told)
        nap(0.01);
    for (i = 0; i < (int)number("late", 0); i++) {
        const pid_t orphan = leave_orphan(0, 0, 0);
        while (kill(orphan, 0) == 0)
            nap(0.001);
        say("late %d gone\n", (int)orphan);
    }
    nap(number("end", 0) * rand() / RAND_MAX);
    say("ended %.6f\n", now());
    return 0;
}

static void stop_in(const char *hook)
{
    static int calls;
    if (!is("stop", hook) || ++calls != (int)number("nth", 1))
        return;
    say("told %.6f\n", now());
    raise(SIGTERM);
}

static void before_fork(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    stop_in("before_fork");
}

static void after_fork(pf_t *pf, int32_t pid, void *data)
{
    (void)pf;
    (void)data;
    forks++;
    say("worker %d %.6f\n", (int)pid, now());
    stop_in("after_fork");
}

static void on_child_reap(pf_t *pf, const pf_event *exit, void *data)
{
    (void)pf;
    (void)data;
    say("reaped %d %d\n", (int)exit->pid, (int)exit->status);
    stop_in("on_child_reap");
}

static void on_fork_failure(pf_t *pf, int32_t error, uint32_t failures, void *data)
{
    (void)pf;
    (void)data;
    say("failed %d %u\n", (int)error, (unsigned)failures);
    stop_in("on_fork_failure");
}

/* What the program does with SIGCHLD, before or after it has made its manager. */
static void set_sigchld(const char *when)
{
    struct sigaction action;
    sigset_t set;
    if (!is("when", when))
        return;
    memset(&action, 0, sizeof action);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    if (is("chld", "block")) {
        sigprocmask(SIG_BLOCK, &set, NULL);
        return;
    }
    action.sa_handler = is("chld", "ignore") ? SIG_IGN : SIG_DFL;
    action.sa_flags = is("chld", "nocldwait") ? SA_NOCLDWAIT : 0;
    sigaction(SIGCHLD, &action, NULL);
}

int main(int argc, char **argv)
{
    pf_t *pf;
    pf_result result;
    size_t left = 0;
    (void)argc;
    arguments = argv + 1;
    say("begun\n");
    set_sigchld("before");
    pf = pf_new();
    pf_set_max_workers(pf, (uint32_t)number("workers", 1));
    pf_set_err_respawn_interval(pf, number("err", 1));
    pf_set_spawn_interval(pf, number("spawn", 0));
    pf_trap_signal(pf, SIGTERM, SIGTERM, number("interval", 0));
    pf_trap_signal(pf, SIGHUP, SIGTERM, number("reload_interval", 0));
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    pf_set_before_fork(pf, before_fork, NULL);
    pf_set_after_fork(pf, after_fork, NULL);
    pf_set_on_child_reap(pf, on_child_reap, NULL);
    pf_set_on_fork_failure(pf, on_fork_failure, NULL);
    stop_in("new");
    set_sigchld("after");
    if (number("user", 0) > 0) {
        const uid_t user = (uid_t)number("user", 0);
        if (setgid(user) != 0 || setuid(user) != 0)
            return 97;
    }
    do
        result = pf_start(pf, work, NULL);
    while (result == PF_OK && pf_signal_received(pf) == SIGHUP);
    say(result == PF_OK ? "stopped\n" : "%s\n", pf_error_message(pf));
    if (option("wait", NULL)) {
        const double before = now();
        pf_wait_all_children(pf, number("wait", 0), &left);
        say("timed out after %.6f with %d\n", now() - before, (int)left);
        pf_signal_all_children(pf, SIGKILL);
    }
    pf_wait_all_children(pf, -1, &left);
    say("gone %.6f\n", now());
    say("left %d\n", (int)left);
    pf_free(pf);
    return 0;
}
