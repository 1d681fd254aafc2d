/* Workers that are traced by the manager's own process: wait4(2) and waitid(2) tell of their stops as well, which
 * are no ends. Such a worker is there, and is counted, until it has exited or was killed. */

#include "tap.h"

#ifdef __linux__
#include <sys/ptrace.h>

static int *stopped;

/* Stops, and so does every signal, until the tracer lets it go on. */
static int32_t stops(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
    ADD(*stopped, 1);
    raise(SIGUSR1);
    return 7;
}

static int is_stopped(pid_t pid)
{
    siginfo_t info;
    info.si_pid = 0;
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid
        && info.si_code == CLD_TRAPPED;
}

static pid_t stopped_worker(pf_t *pf)
{
    int32_t pid = 0;
    while ((pid = pf_next_worker(pf, pid)) != 0 && !is_stopped(pid))
        ;
    return pid;
}

static void cannot_trace(void *data)
{
    (void)data;
    _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : 1);
}

static pid_t fork_foreign(int32_t (*code)(pf_t *pf, void *data))
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(code(NULL, NULL));
    return pid;
}

static int32_t exits(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    return 5;
}

static int32_t the_second_exits(pf_t *pf, void *data)
{
    return pf_worker_index(pf) == 0 ? stops(pf, data) : exits(pf, data);
}

static pf_event next(pf_t *pf)
{
    pf_event event;
    if (pf_next(pf, &event) != PF_OK)
        abort();
    return event;
}

/* `foreign`: whether children that are no workers are reaped. */
static void a_stop_is_no_end(bool foreign)
{
    pf_t *pf = pf_new();
    pf_event event;
    pid_t pid, other;
    int i;
    *stopped = 0;
    pf_set_reap_foreign(pf, foreign);
    pf_set_max_workers(pf, 2);
    pf_set_err_respawn_interval(pf, 0);
    fork_workers(pf, 2, the_second_exits, NULL);
    pf_suspend(pf);
    UNTIL((pid = stopped_worker(pf)) != 0);
    do
        pf_wait(pf, 5, &event);
    while (event.type != PF_EVENT_REAPED);
    ok(event.pid != pid && WIFEXITED(event.status) && WEXITSTATUS(event.status) == 5,
        "foreign children %d: one worker is stopped; the other one ends, and is found", foreign);
    for (i = 0; i < 3; i++) {
        pf_look_for_children(pf, true);
        pf_child_ended(pf, 0);
        pf_child_ended(pf, pid);
        event = next(pf);
        is_int(event.type, PF_EVENT_WAIT, "... and nobody else has ended");
    }
    is_int(pf_num_workers(pf), 1, "... the stopped one is counted");

    other = fork_foreign(stops);
    UNTIL(is_stopped(other));
    pf_child_ended(pf, 0);
    is_int(next(pf).type, PF_EVENT_WAIT, "a child that is no worker stops: it is not reported");
    if (foreign) {
        kill(other, SIGKILL);
        pf_wait(pf, -1, &event);
        ok(event.type == PF_EVENT_REAPED && event.pid == other && WTERMSIG(event.status) == SIGKILL,
            "... until it is killed");
    } else {
        ok(is_stopped(other), "... and its stop is left to whoever waits for it");
        kill(other, SIGKILL);
        waitpid(other, &i, 0);
        waitpid(other, &i, 0);
    }

    /* It goes on, and ends. */
    ok(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0, "the stopped worker goes on");
    do
        pf_wait(pf, -1, &event);
    while (event.type != PF_EVENT_REAPED);
    ok(event.pid == pid && WIFEXITED(event.status) && WEXITSTATUS(event.status) == 7,
        "... and its end is reported, with its status");
    finish(pf);
}

static int reaped;

static void count_reaped(pf_t *pf, const pf_event *exit, void *data)
{
    (void)data;
    reaped += WIFSIGNALED(exit->status);
    pf_signal(pf, SIGURG);
}

static int32_t stops_and_tells(pf_t *pf, void *data)
{
    pid_t teller = fork();
    if (teller == 0) {
        /* When the manager sleeps on, it has not taken the stop for an end. */
        int asleep = 0;
        UNTIL(GET(*stopped));
        while (asleep < 20) {
            nap();
            asleep = is_asleep(*(pid_t *)data) ? asleep + 1 : 0;
        }
        kill(*(pid_t *)data, SIGUSR2);
        _exit(0);
    }
    return stops(pf, data);
}

static void by_start(void)
{
    pf_t *pf = pf_new();
    pid_t self = getpid();
    size_t left = 99;
    *stopped = reaped = 0;
    pf_set_max_workers(pf, 1);
    pf_trap_signal(pf, SIGUSR2, 0, 0);
    pf_set_on_child_reap(pf, count_reaped, NULL);
    is_int(pf_start(pf, stops_and_tells, &self), PF_OK, "pf_start with a worker that stops");
    is_int(pf_signal_received(pf), SIGUSR2, "... is ended by a signal, and not by that");
    is_int(*stopped, 1, "... and has not replaced it");
    is_int(pf_wait_all_children(pf, 0.05, &left), PF_OK, "pf_wait_all_children");
    is_int(left, 1, "... waits for it");
    pf_signal_all_children(pf, SIGKILL);
    is_int(pf_wait_all_children(pf, -1, &left), PF_OK, "... until it is killed");
    is_int(reaped, 1, "... which is told once");
    pf_free(pf);
}

/* A host that reaps by itself, with WUNTRACED. */
static void told_by_the_host(void)
{
    pf_t *pf = pf_new();
    int status;
    pid_t pid;
    fork_workers(pf, 3, until_killed, NULL);
    pid = pf_next_worker(pf, 0);
    kill(pid, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
    ok(WIFSTOPPED(status), "a host has waited for a stop");
    is_int(pf_worker_reaped(pf, pid, status), PF_OK, "... and hands it to pf_worker_reaped");
    is_int(next(pf).type, PF_EVENT_WAIT, "... which is no end");
    is_int(pf_num_workers(pf), 3, "... of the worker");
    kill(pid, SIGCONT);
    waitpid(pid, &status, WCONTINUED);
    ok(WIFCONTINUED(status) && pf_worker_reaped(pf, pid, status) == PF_OK && pf_num_workers(pf) == 3,
        "that it goes on is none, either");
    is_int(pf_signal_all_children(pf, SIGTERM), PF_OK, "... it is still signalled");
    waitpid(pid, &status, 0);
    ok(WIFSIGNALED(status) && pf_worker_reaped(pf, pid, status) == PF_OK, "its end is one");
    next(pf);
    ok(!pf_worker_generation(pf, pid, NULL), "... after which it is gone");
    finish(pf);
}

/* ---- stops without end */

static pid_t traced, *caller;
static int tracing;

/* The worker goes on after each of its stops, whoever has waited for that. */
static void *goes_on_and_on(void *data)
{
    (void)data;
    if (ptrace(PTRACE_SEIZE, traced, NULL, NULL) != 0 || ptrace(PTRACE_INTERRUPT, traced, NULL, NULL) != 0)
        abort();
    while (GET(tracing) >= 0)
        if (ptrace(PTRACE_SYSCALL, traced, NULL, NULL) == 0)
            ADD(tracing, 1);
    return NULL;
}

static int32_t makes_system_calls(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    *caller = getpid();
    while (1)
        getppid();
    return 99;
}

static int32_t one_makes_system_calls(pf_t *pf, void *data)
{
    if (pf_worker_index(pf) == 0)
        return makes_system_calls(pf, data);
    UNTIL(GET(*stopped));
    return 5;
}

static void without_end(void *data)
{
    pf_t *pf = pf_new();
    pf_event event;
    pthread_t thread;
    (void)data;
    *stopped = tracing = 0;
    fork_workers(pf, 2, one_makes_system_calls, NULL);
    pf_suspend(pf);
    UNTIL((traced = *caller) != 0);
    pthread_create(&thread, NULL, goes_on_and_on, NULL);
    UNTIL(GET(tracing) > 100);
    SET(*stopped, 1);
    do
        CHECK(pf_wait(pf, -1, &event) == PF_OK);
    while (event.type != PF_EVENT_REAPED);
    CHECK(WIFEXITED(event.status) && WEXITSTATUS(event.status) == 5);
    CHECK(pf_next(pf, &event) == PF_OK && pf_num_workers(pf) == 1);
    SET(tracing, -1000000000);
    pthread_join(thread, NULL);
    pf_signal_all_children(pf, SIGKILL);
    pf_wait_all_children(pf, -1, NULL);
    _exit(checks());
}

int main(void)
{
    begin();
    stopped = shared(sizeof *stopped);
    caller = shared(sizeof *caller);
    if (is_under_valgrind() || HEAP_HAS_NO_FORK || in_child(cannot_trace, NULL) != 0)
        skip("workers that are traced", "ptrace is not to be had here");
    else {
        a_stop_is_no_end(true);
        a_stop_is_no_end(false);
        by_start();
        is_int(in_child(without_end, NULL), 0, "stops without end do not keep the manager, nor hide an end");
    }
    told_by_the_host();
    munmap(stopped, sizeof *stopped);
    munmap(caller, sizeof *caller);
    return done();
}
#else
int main(void)
{
    begin();
    skip("workers that are traced", "for Linux, whose wait4 tells of stops");
    return done();
}
#endif
