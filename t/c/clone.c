/* Workers that were not made by fork(2): by clone(2), whose end may be told by another signal than SIGCHLD, or by none,
 * and which a wait for any child then leaves out; by vfork(2) and posix_spawn(3), which become another program. */

#define _GNU_SOURCE
#include "tap.h"

#ifdef __linux__
#include <spawn.h>
#include <sys/syscall.h>

extern char **environ;

static pf_event next(pf_t *pf)
{
    pf_event event;
    memset(&event, 0, sizeof event);
    if (pf_next(pf, &event) != PF_OK)
        diag("pf_next: %s", pf_error_message(pf));
    return event;
}

/* The next event but WAIT. */
static pf_event wait_for_event(pf_t *pf)
{
    pf_event event;
    do {
        memset(&event, 0, sizeof event);
        if (pf_wait(pf, -1, &event) != PF_OK)
            diag("pf_wait: %s", pf_error_message(pf));
    } while (event.type == PF_EVENT_WAIT);
    return event;
}

/* A child that stays until it is killed. For fork(2) the signal would be SIGCHLD, and 0 is none. */
static pid_t cloned(pf_t *pf, int exit_signal)
{
    pid_t pid = (pid_t)syscall(SYS_clone, (long)exit_signal, NULL, NULL, NULL, NULL);
    if (pid < 0)
        abort();
    if (pid == 0)
        tap_in_child();
    if (pf && pf_forked(pf, pid) != PF_OK) {
        diag("pf_forked: %s", pf_error_message(pf));
        abort();
    }
    if (pid == 0)
        until_killed(NULL, NULL);
    return pid;
}

/* A manager with `workers`; the first was made with that exit signal, the others as by fork(2). */
static pf_t *manager_of(uint32_t workers, int exit_signal, int reaps_foreign, pid_t *first)
{
    pf_t *pf = pf_new();
    uint32_t i;
    pf_set_reap_foreign(pf, reaps_foreign);
    pf_set_max_workers(pf, workers);
    pf_watch_children(pf);
    pf_begin(pf);
    for (i = 0; i < workers; i++) {
        pid_t pid;
        if (next(pf).type != PF_EVENT_FORK)
            abort();
        pid = cloned(pf, i == 0 ? exit_signal : SIGCHLD);
        if (i == 0)
            *first = pid;
    }
    pf_suspend(pf);
    return pf;
}

/* Until it is a zombie, and stays one. */
static void until_ended(pid_t pid)
{
    siginfo_t info;
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | __WALL) != 0)
        if (errno != EINTR)
            abort();
}

static void is_killed(pf_event event, pid_t pid, const char *name)
{
    is_int(event.type, PF_EVENT_REAPED, "%s: it is reaped", name);
    is_int(event.pid, pid, "... that one");
    is_int(event.reason, PF_REASON_FAILED, "... as one of the workers");
    ok(WIFSIGNALED(event.status) && WTERMSIG(event.status) == SIGKILL, "... with its status");
    is_int(waitpid(pid, NULL, WNOHANG | __WALL), -1, "... for good");
}

static void is_alive(pf_t *pf, size_t workers)
{
    pf_event event;
    pf_child_ended(pf, 0);
    event = next(pf);
    is_int(event.type, PF_EVENT_WAIT, "nobody has ended");
    ok(event.timeout >= 0, "... and nobody would tell of it, so the wait has an end");
    is_int(pf_num_workers(pf), (intmax_t)workers, "... all of them are counted");
}

static void silent_workers(int exit_signal, int reaps_foreign, uint32_t workers)
{
    char name[100];
    pid_t pid;
    pf_t *pf = manager_of(workers, exit_signal, reaps_foreign, &pid);
    snprintf(name, sizeof name, "exit signal %d, 1 of %u workers, %s reaped", exit_signal, workers,
        reaps_foreign ? "any child is" : "they alone are");
    is_alive(pf, workers);
    kill(pid, SIGKILL);
    is_killed(wait_for_event(pf), pid, name);
    finish(pf);

    pf = manager_of(workers, exit_signal, reaps_foreign, &pid);
    kill(pid, SIGKILL);
    until_ended(pid);
    pf_child_ended(pf, pid);
    is_killed(next(pf), pid, "... and at once, if the host names it");
    finish(pf);

    pf = manager_of(workers, exit_signal, reaps_foreign, &pid);
    is_int(pf_signal_all_children(pf, SIGKILL), PF_OK, "all are signalled");
    until_ended(pid);
    is_int(pf_wait_all_children(pf, -1, NULL), PF_OK, "... and waited for");
    is_int(waitpid(pid, NULL, WNOHANG | __WALL), -1, "... that one too");
    pf_free(pf);
}

/* Somebody else's: a library may have a helper of that kind, and waits for it. */
static void silent_others(int reaps_foreign)
{
    pid_t first, other = cloned(NULL, 0);
    int status = 0;
    pf_t *pf = manager_of(1, 0, reaps_foreign, &first);
    kill(other, SIGKILL);
    until_ended(other);
    is_alive(pf, 1);
    finish(pf);
    is_int(waitpid(other, &status, __WALL), other, "a silent child that is no worker is left to whoever made it");
}

/* ---- programs */

static volatile sig_atomic_t stray;

static void note(int signal)
{
    (void)signal;
    stray = 1;
}

/* Ends by TERM if that is neither blocked nor ignored, and well if it is. */
static char *const command[] = { (char *)"/bin/sh", (char *)"-c", (char *)"kill -TERM $$; exit 0", NULL };

static pid_t by_posix_spawn(pf_t *pf)
{
    posix_spawnattr_t attributes;
    sigset_t none;
    pid_t pid;
    int error;
    (void)pf;
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    error = posix_spawn(&pid, command[0], NULL, &attributes, command, environ);
    posix_spawnattr_destroy(&attributes);
    return error ? -1 : pid;
}

static pid_t by_vfork(pf_t *pf)
{
    sigset_t none;
    pid_t pid;
    (void)pf;
    sigemptyset(&none);
    /* A child of vfork(2) has the memory and, until it executes, the handlers of the manager. */
    pid = vfork();
    if (pid == 0) {
        signal(SIGTERM, SIG_DFL);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execve(command[0], command, environ);
        _exit(127);
    }
    return pid;
}

static void other_programs(pid_t (*start)(pf_t *pf), const char *name)
{
    pf_t *pf = pf_new();
    pf_event event;
    pid_t pid;
    int i;
    pf_trap_signal(pf, SIGTERM, 0, 0);
    pf_set_max_workers(pf, 2);
    pf_watch_children(pf);
    pf_begin(pf);
    for (i = 0; i < 2; i++) {
        event = next(pf);
        is_int(event.type, PF_EVENT_FORK, "%s: a worker is to be made", name);
        is_int(event.index, i, "... %d", i);
        pid = start(pf);
        is_int(pf_forked(pf, pid), PF_OK, "... and the manager tells of it");
    }
    is_int(pf_num_workers(pf), 2, "%s: two workers", name);
    pf_suspend(pf);
    for (i = 0; i < 2; i++) {
        event = wait_for_event(pf);
        is_int(event.reason, PF_REASON_FAILED, "... one has ended");
        ok(WIFSIGNALED(event.status) && WTERMSIG(event.status) == SIGTERM, "... by a signal that the manager traps");
    }
    raise(SIGTERM);
    is_int(pf_peek_signal(pf), SIGTERM, "... as it does still");
    is_int(pf_worker_index(pf), -1, "... and it is no worker");
    pf_free(pf);
}

int main(void)
{
    siginfo_t info;
    begin();
    other_programs(by_posix_spawn, "posix_spawn");
    other_programs(by_vfork, "vfork");
    if (waitid(P_PID, (id_t)getpid(), &info, WEXITED | WNOHANG | __WALL) != -1 || errno != ECHILD) {
        skip("silent workers", "waitid(2) does not know __WALL here");
        return done();
    }
    /* Its default would end us. */
    signal(SIGUSR2, note);
    silent_workers(0, 1, 1);
    silent_workers(0, 1, 3);
    silent_workers(0, 0, 1);
    silent_workers(0, 0, 3);
    silent_workers(SIGUSR2, 1, 1);
    silent_workers(SIGUSR2, 1, 3);
    ok(stray, "the exit signal is the host's affair");
    silent_others(1);
    silent_others(0);
    return done();
}
#else
int main(void)
{
    begin();
    skip("workers by clone", "for Linux");
    return done();
}
#endif
