/* pf_set_worker_timeout: a worker that is busy for too long is killed, once and not before its time, and replaced; one
 * that is idle, or says in time that it goes on, is not. */

#include "tap.h"

#define TIMEOUT 0.2
#define LONG 3600

/* What the workers and the manager have in common. */
static struct shared {
    int there, told, done, begun;
    double busy_at;
} *shared_memory;
#define S (*shared_memory)

/* What the hook has seen. */
static struct {
    int reaped, killed, status;
    double first_at;
} seen;

static void on_child_reap(pf_t *pf, const pf_event *exit, void *data)
{
    (void)data;
    if (!seen.reaped++) {
        seen.first_at = now();
        seen.status = exit->status;
    }
    seen.killed += WIFSIGNALED(exit->status) && WTERMSIG(exit->status) == SIGKILL;
    pf_signal(pf, SIGURG);
}

static pf_t *manager(double timeout, double grace)
{
    pf_t *pf = pf_new();
    memset(&seen, 0, sizeof seen);
    memset(shared_memory, 0, sizeof S);
    is_int(pf_set_worker_timeout(pf, timeout, grace), PF_OK, "pf_set_worker_timeout");
    pf_set_err_respawn_interval(pf, 0);
    pf_set_max_workers(pf, 1);
    pf_set_on_child_reap(pf, on_child_reap, NULL);
    return pf;
}

/* Runs until the first worker has ended, and ends the others. */
static void run(pf_t *pf, pf_worker_fn work, const char *what)
{
    is_int(pf_start(pf, work, NULL), PF_OK, "%s: the worker ends", what);
    finish(pf);
}

/* Runs until `more` workers have been forked beside those that are there. */
static void fork_more(pf_t *pf, uint32_t more, pf_worker_fn work)
{
    struct forks_wanted forks = { 0, more };
    pf_set_max_workers(pf, (uint32_t)pf_num_workers(pf) + more);
    pf_set_after_fork(pf, stop_when_forked, &forks);
    CHECK(pf_start(pf, work, NULL) == PF_OK && forks.forked == more);
    pf_set_after_fork(pf, NULL, NULL);
}

static void hang(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    while (1)
        pause();
}

static int32_t hangs(pf_t *pf, void *data)
{
    const double *seconds = data;
    S.busy_at = now();
    CHECK(pf_busy(pf, seconds ? *seconds : 0) == PF_OK);
    hang();
    return 99;
}

static void is_killed(void)
{
    run(manager(TIMEOUT, 0), hangs, "a worker that is busy for ever");
    is_int(seen.status, SIGKILL, "... by KILL");
    at_least(seen.first_at - S.busy_at, TIMEOUT, "... not before its time is over");
}

/* The first worker hangs; the others go on. */
static int32_t one_hangs(pf_t *pf, void *data)
{
    if (ADD(S.begun, 1) == 1)
        return hangs(pf, data);
    while (1) {
        CHECK(pf_busy(pf, LONG) == PF_OK);
        ADD(S.done, 1);
        CHECK(pf_idle(pf) == PF_OK);
        nap();
    }
    return 99;
}

static void is_replaced(void)
{
    pf_t *pf = manager(TIMEOUT, 0);
    int done;
    pf_set_max_workers(pf, 3);
    is_int(pf_start(pf, one_hangs, NULL), PF_OK, "one of three hangs, and is killed");
    fork_more(pf, 1, one_hangs);
    UNTIL(GET(S.begun) == 4);
    ok(1, "... it is replaced");
    done = GET(S.done);
    UNTIL(GET(S.done) > done + 100);
    ok(1, "... and the others work on");
    is_int(seen.killed, 1, "... and are not killed");
    finish(pf);
}

/* The manager does not look for an hour, but for the ring. */
static void is_due_soon(void)
{
    static double soon = TIMEOUT;
    pf_t *pf = manager(LONG, 0);
    is_int(pf_start(pf, hangs, &soon), PF_OK, "a worker that wants less time than it has ends");
    is_int(seen.status, SIGKILL, "... by KILL");
    at_least(seen.first_at - S.busy_at, TIMEOUT, "... not before its time is over");
    finish(pf);
}

/* Whatever it says, it says it in time. */
static int32_t is_patient(pf_t *pf, void *data)
{
    (void)data;
    switch (pf_worker_index(pf)) {
        case 0:
            CHECK(pf_idle(pf) == PF_OK);
            break;
        case 1:
            CHECK(pf_busy(pf, LONG) == PF_OK);
            break;
        case 2:
            CHECK(pf_busy(pf, LONG) == PF_OK && pf_tick(pf, 0) == PF_OK);
            break;
        case 3:
            CHECK(pf_busy(pf, LONG) == PF_OK && pf_idle(pf) == PF_OK);
            break;
        case 4:
            CHECK(pf_tick(pf, LONG) == PF_OK);
            break;
        case 5:
            /* What it forks is no worker. */
            if (fork() == 0) {
                CHECK(pf_busy(pf, TIMEOUT) == PF_OK);
                ADD(S.there, 1);
                _exit(checks());
            }
            break;
        default:
            break;
    }
    if (checks() == 0)
        ADD(S.there, 1);
    return until_killed(pf, data);
}

static void are_not_killed(void)
{
    pf_t *pf = manager(TIMEOUT, 0);
    size_t left = 99;
    fork_workers(pf, 7, is_patient, NULL);
    UNTIL(GET(S.there) == 8);
    pf_wait_all_children(pf, 4 * TIMEOUT, &left);
    is_int(left, 7, "workers that are idle, or have more time, are not killed");
    is_int(seen.killed, 0, "... none of them");
    finish(pf);
}

static void set_in_a_run(void)
{
    pf_t *pf = manager(LONG, 0);
    size_t left = 99;
    fork_workers(pf, 1, hangs, NULL);
    is_int(pf_set_worker_timeout(pf, TIMEOUT, 0), PF_OK, "another time, when a worker is there");
    pf_wait_all_children(pf, 3 * TIMEOUT, &left);
    is_int(left, 1, "... does not count for that one");
    is_int(pf_set_worker_timeout(pf, 0, 0), PF_OK, "no time");
    fork_more(pf, 1, hangs);
    pf_wait_all_children(pf, 3 * TIMEOUT, &left);
    is_int(left, 2, "... kills nobody");
    finish(pf);
}

static void exits(int signal)
{
    (void)signal;
    ADD(S.told, 1);
    _exit(7);
}

static int32_t handles_abrt(pf_t *pf, void *data)
{
    (void)data;
    signal(SIGABRT, exits);
    S.busy_at = now();
    CHECK(pf_busy(pf, 0) == PF_OK);
    return until_killed(pf, data);
}

static void goes_on(int signal)
{
    (void)signal;
    ADD(S.told, 1);
}

static int32_t ignores_abrt(pf_t *pf, void *data)
{
    signal(SIGABRT, goes_on);
    S.busy_at = now();
    CHECK(pf_busy(pf, 0) == PF_OK);
    return until_killed(pf, data);
}

static void is_told_first(void)
{
    run(manager(TIMEOUT, LONG), handles_abrt, "a worker that has a handler for ABRT");
    ok(WIFEXITED(seen.status) && WEXITSTATUS(seen.status) == 7, "... by that handler");
    at_least(seen.first_at - S.busy_at, TIMEOUT, "... not before its time is over");

    run(manager(TIMEOUT, TIMEOUT), ignores_abrt, "a worker that goes on after ABRT");
    is_int(seen.status, SIGKILL, "... by KILL");
    is_int(GET(S.told), 1, "... and was sent ABRT once");
    at_least(seen.first_at - S.busy_at, 2 * TIMEOUT, "... not before the time after that is over, too");

    run(manager(TIMEOUT, TIMEOUT), hangs, "a worker that lets no signal in");
    is_int(seen.status, SIGKILL, "... by KILL");
}

/* With a graceful timeout only that counts for one that was told to end. */
static int32_t is_told_to_end(pf_t *pf, void *data)
{
    signal(SIGTERM, SIG_IGN);
    CHECK(pf_busy(pf, LONG) == PF_OK);
    ADD(S.there, 1);
    UNTIL(GET(S.told));
    CHECK(pf_busy(pf, TIMEOUT) == PF_OK);
    ADD(S.there, 1);
    return until_killed(pf, data);
}

static void only_grace_counts(void)
{
    pf_t *pf = manager(TIMEOUT, 0);
    size_t left = 99;
    pf_set_graceful_timeout(pf, LONG);
    fork_workers(pf, 1, is_told_to_end, NULL);
    UNTIL(GET(S.there) == 1);
    pf_signal_all_children(pf, SIGTERM);
    SET(S.told, 1);
    UNTIL(GET(S.there) == 2);
    pf_wait_all_children(pf, 4 * TIMEOUT, &left);
    is_int(left, 1, "for a worker that was told to end only the time for that counts");
    pf_set_graceful_timeout(pf, 0);
    finish(pf);

    pf = manager(TIMEOUT, 0);
    fork_workers(pf, 1, is_told_to_end, NULL);
    UNTIL(GET(S.there) == 1);
    pf_signal_all_children(pf, SIGTERM);
    SET(S.told, 1);
    pf_wait_all_children(pf, -1, &left);
    is_int(seen.killed, 1, "without such a time it is killed when it is late");
    pf_free(pf);
}

static int32_t is_stopped(pf_t *pf, void *data)
{
    (void)data;
    CHECK(pf_busy(pf, 0) == PF_OK);
    raise(SIGSTOP);
    return 99;
}

/* For a host with a loop of its own. */
static void pull(void)
{
    pf_t *pf = manager(LONG, 0);
    pf_event event;
    fork_workers(pf, 1, until_killed, NULL);
    pf_suspend(pf);
    pf_watch_children(pf);
    do {
        CHECK(pf_wait(pf, 0.1, &event) == PF_OK && event.type == PF_EVENT_WAIT);
    } while (event.timeout < 2);
    ok(event.timeout <= LONG, "WAIT is until the next look");
    is_int(pf_busy(pf, 0), PF_ERR_WRONG_PROCESS, "pf_busy in the manager");
    is_int(pf_tick(pf, 0), PF_ERR_WRONG_PROCESS, "pf_tick in the manager");
    is_int(pf_idle(pf), PF_ERR_WRONG_PROCESS, "pf_idle in the manager");
    finish(pf);

    pf = manager(TIMEOUT, 0);
    fork_workers(pf, 1, hangs, NULL);
    pf_suspend(pf);
    do {
        CHECK(pf_wait(pf, -1, &event) == PF_OK);
    } while (event.type != PF_EVENT_REAPED);
    is_int(event.status, SIGKILL, "pf_wait kills, outside of any run");
    pf_free(pf);
}

/* A worker has workers of its own, and is late itself. */
static int32_t is_manager(pf_t *pf, void *data)
{
    pf_t *inner;
    if (ADD(S.begun, 1) > 1)
        return until_killed(pf, data);
    CHECK(pf_busy(pf, LONG) == PF_OK);
    inner = pf_new();
    CHECK(pf_busy(inner, 0) == PF_ERR_WRONG_PROCESS);
    pf_set_worker_timeout(inner, TIMEOUT, 0);
    pf_set_max_workers(inner, 1);
    pf_set_on_child_reap(inner, on_child_reap, NULL);
    CHECK(pf_start(inner, hangs, NULL) == PF_OK);
    CHECK(seen.killed == 1);
    pf_signal_all_children(inner, SIGKILL);
    pf_wait_all_children(inner, -1, NULL);
    pf_free(inner);
    return checks();
}

static void nested(void)
{
    run(manager(TIMEOUT, 0), is_manager, "a worker that has workers of its own");
    is_int(seen.status, 0, "... and kills one of them, while it is busy itself");
}

/* A worker that writes what it likes, and rings all the time. */
static int32_t makes_noise(pf_t *pf, void *data)
{
    pf_own_line line;
    uint64_t *header;
    unsigned seed = 1;
    if (pf_worker_index(pf) != 0)
        return at_once(pf, data);
    if (!CHECK(pf_work_line(pf, &line)))
        return 99;
    header = (uint64_t *)(uintptr_t)line.looks_at;
    ADD(S.there, 1);
    while (1) {
        size_t word, value = rand_r(&seed);
        /* The lines of the first workers, and what the header has. */
        for (word = 128; word < 128 + 8 * 64; word++)
            __atomic_store_n(header + word, (uint64_t)rand_r(&seed) << (value & 32), __ATOMIC_SEQ_CST);
        for (word = 0; word < 8; word++)
            __atomic_store_n(header + word, (uint64_t)rand_r(&seed) << (value & 32), __ATOMIC_SEQ_CST);
        pf_ring(pf);
    }
    return 99;
}

static void count_reaped(pf_t *pf, const pf_event *exit, void *data)
{
    (void)exit;
    (void)data;
    if (++seen.reaped == 200)
        pf_signal(pf, SIGURG);
}

static void noise(void)
{
    pf_t *pf = manager(TIMEOUT, TIMEOUT);
    pf_set_ready_timeout(pf, TIMEOUT);
    pf_watch_ready(pf);
    pf_set_on_child_reap(pf, count_reaped, NULL);
    pf_set_max_workers(pf, 3);
    is_int(pf_start(pf, makes_noise, NULL), PF_OK, "beside a worker that spoils the timesheet the pool works");
    is_int(pf_signal_received(pf), SIGURG, "... until its signal");
    finish(pf);
}

static void are_stopped(void)
{
    run(manager(TIMEOUT, 0), is_stopped, "a worker that is stopped");
    is_int(seen.status, SIGKILL, "... by KILL");
}

#ifdef __linux__
#include <sys/ptrace.h>

static void cannot_trace(void *data)
{
    (void)data;
    _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : 1);
}

static int32_t is_busy_when_traced(pf_t *pf, void *data)
{
    UNTIL(GET(S.told));
    CHECK(pf_busy(pf, TIMEOUT) == PF_OK);
    ADD(S.there, 1);
    return until_killed(pf, data);
}

static void is_traced(void)
{
    pf_t *pf = manager(TIMEOUT, 0);
    size_t left = 99;
    pid_t pid;
    int status;
    if (is_under_valgrind() || HEAP_HAS_NO_FORK || in_child(cannot_trace, NULL) != 0) {
        skip("a worker that is traced", "ptrace is not to be had here");
        pf_free(pf);
        return;
    }
    fork_workers(pf, 1, is_busy_when_traced, NULL);
    pid = pf_next_worker(pf, 0);
    CHECK(ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0);
    SET(S.told, 1);
    UNTIL(GET(S.there));
    pf_wait_all_children(pf, 4 * TIMEOUT, &left);
    is_int(left, 1, "a worker that is traced is not killed");
    CHECK(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
    CHECK(ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0);
    pf_wait_all_children(pf, -1, &left);
    is_int(seen.killed, 1, "... until it is not traced any more");
    pf_free(pf);
}

/* The manager is stopped before its worker is due, and goes on when that is over. */
static double span;

static void manages(void *data)
{
    pf_t *pf = pf_new();
    (void)data;
    memset(&seen, 0, sizeof seen);
    pf_set_worker_timeout(pf, LONG, 0);
    pf_set_err_respawn_interval(pf, 0);
    pf_set_max_workers(pf, 1);
    pf_set_on_child_reap(pf, on_child_reap, NULL);
    CHECK(pf_start(pf, hangs, &span) == PF_OK);
    S.busy_at = seen.first_at;
    CHECK(seen.killed == 1);
    finish(pf);
    _exit(checks());
}

static void is_late_itself(void)
{
    double busy_at, stopped_at, goes_on_at;
    pid_t pid;
    int status;
    span = 0.5;
    do {
        /* Whoever is slow to stop it does so too late. */
        span *= 2;
        memset(shared_memory, 0, sizeof S);
        fflush(stdout);
        pid = fork();
        if (pid == 0)
            manages(NULL);
        UNTIL((busy_at = *(volatile double *)&S.busy_at) > 0);
        while (now() < busy_at + span / 2)
            nap();
        kill(pid, SIGSTOP);
        CHECK(waitpid(pid, &status, WUNTRACED) == pid);
        stopped_at = now();
        if (stopped_at > busy_at + span - 0.1 && WIFSTOPPED(status)) {
            kill(pid, SIGCONT);
            CHECK(waitpid(pid, &status, 0) == pid);
        }
    } while (!WIFSTOPPED(status));
    while (now() < busy_at + span + 1.6)
        nap();
    goes_on_at = now();
    kill(pid, SIGCONT);
    CHECK(waitpid(pid, &status, 0) == pid);
    is_int(status, 0, "a manager that was stopped when its worker was due kills it later");
    /* The worker has read the clock before it said that it is busy. */
    at_least(S.busy_at - goes_on_at, 1.5, "... after as long a time as it was late");
}
#else
static void is_traced(void)
{
    skip("a worker that is traced", "for Linux, where /proc tells");
}

static void is_late_itself(void)
{
    skip("a manager that was stopped", "for Linux");
}
#endif

int main(void)
{
    begin();
    shared_memory = shared(sizeof S);
    is_killed();
    is_replaced();
    is_due_soon();
    are_not_killed();
    set_in_a_run();
    is_told_first();
    only_grace_counts();
    are_stopped();
    pull();
    nested();
    noise();
    is_traced();
    is_late_itself();
    checks();
    return done();
}
