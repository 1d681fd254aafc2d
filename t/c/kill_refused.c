/* Workers that are to be killed, as their time is over, and that the manager may not signal: the host hears of each,
 * once. They are not sent KILL again, and their end is not said to be the manager's doing.
 *
 * The manager gives its right away (CAP_KILL) with the effective user of root, and takes it back with that. Workers
 * become another user. */

#include "tap.h"

#define GRACE 0.2
#define MANAGERS_USER 65534
#define WORKERS_USER 65533

/* What the workers and the manager have in common. */
static struct shared {
    int there, may_leave;
} *shared_memory;
#define S (*shared_memory)

/* What the hooks have seen. */
static struct {
    int refused, reaped;
    pf_event refusal, exit;
    char line[256];
} seen;

/* Whether the manager may signal all its workers. */
static void let_manager_kill(int may)
{
    CHECK(seteuid(may ? 0 : MANAGERS_USER) == 0);
}

static int32_t leave(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    UNTIL(GET(S.may_leave));
    return checks();
}

static int32_t changes_its_user(pf_t *pf, void *data)
{
    CHECK(setuid(WORKERS_USER) == 0);
    ADD(S.there, 1);
    return leave(pf, data);
}

/* It is told to end while that can be told to it. */
static int32_t changes_its_user_when_told(pf_t *pf, void *data)
{
    CHECK(pf_stop_fd(pf) >= 0);
    ADD(S.there, 1);
    UNTIL(pf_stopping(pf) == PF_STOP_SIGNAL);
    return changes_its_user(pf, data);
}

static int32_t hangs(pf_t *pf, void *data)
{
    CHECK(pf_busy(pf, 0) == PF_OK);
    return changes_its_user(pf, data);
}

static int32_t leads_a_group(pf_t *pf, void *data)
{
    CHECK(setpgid(0, 0) == 0);
    return changes_its_user(pf, data);
}

/* A child in its group stays the manager's user, and holds `data` open until it is killed. */
static int32_t leads_a_group_of_others(pf_t *pf, void *data)
{
    CHECK(setpgid(0, 0) == 0);
    if (fork() == 0)
        until_killed(pf, data);
    close(*(int *)data);
    return changes_its_user(pf, data);
}

static void on_kill_failure(pf_t *pf, const pf_event *event, void *data)
{
    if (!seen.refused++)
        seen.refusal = *event;
    CHECK(data == &seen);
    CHECK(pf_signal(pf, SIGURG) == PF_OK);
    SET(S.may_leave, 1);
}

static void on_child_reap(pf_t *pf, const pf_event *exit, void *data)
{
    (void)data;
    if (!seen.reaped++) {
        seen.exit = *exit;
        pf_exit_line(pf, seen.line, sizeof seen.line);
    }
}

static pf_t *manager(double graceful_timeout)
{
    pf_t *pf = pf_new();
    memset(&seen, 0, sizeof seen);
    memset(shared_memory, 0, sizeof S);
    pf_set_graceful_timeout(pf, graceful_timeout);
    pf_set_on_child_reap(pf, on_child_reap, NULL);
    let_manager_kill(1);
    return pf;
}

static void end(pf_t *pf)
{
    let_manager_kill(1);
    finish(pf);
}

/* After the fork of each worker: before anything else it comes to where it says that it is there. */
static void is_there(pf_t *pf, int32_t pid, void *data)
{
    struct forks_wanted *forks = data;
    (void)pid;
    UNTIL(GET(S.there) == (int)forks->forked + 1);
    if (++forks->forked == forks->wanted) {
        let_manager_kill(0);
        CHECK(pf_signal(pf, SIGURG) == PF_OK);
    }
}

/* So many workers, none of which may be signalled from then on. */
static void fork_them(pf_t *pf, uint32_t n, pf_worker_fn work, void *data)
{
    struct forks_wanted forks = { 0, n };
    pf_set_max_workers(pf, n);
    pf_set_after_fork(pf, is_there, &forks);
    CHECK(pf_start(pf, work, data) == PF_OK);
    pf_set_after_fork(pf, NULL, NULL);
}

static pf_t *pool(double graceful_timeout, uint32_t n, pf_worker_fn work, void *data)
{
    pf_t *pf = manager(graceful_timeout);
    fork_them(pf, n, work, data);
    return pf;
}

/* The next event is that of a worker that may not be killed. */
static pid_t is_refused(pf_t *pf, const char *what)
{
    pf_event event;
    is_int(pf_wait(pf, -1, &event), PF_OK, "%s", what);
    is_int((intmax_t)event.type, PF_EVENT_KILL_FAILED, "... tells of one that may not be killed");
    is_int(event.status, EPERM, "... why");
    is_int(event.signal, SIGKILL, "... and what it was to be sent");
    return event.pid;
}

/* The next event is the end of a worker that has left by itself. */
static pf_event ends_by_itself(pf_t *pf)
{
    pf_event event;
    SET(S.may_leave, 1);
    is_int(pf_wait(pf, -1, &event), PF_OK, "... the next event");
    is_int((intmax_t)event.type, PF_EVENT_REAPED, "... is its end");
    is_int(event.status, 0, "... by itself");
    is_int((intmax_t)event.flags, 0, "... and not by the manager");
    return event;
}

static void the_event(void)
{
    pf_t *pf = pool(GRACE, 2, changes_its_user, NULL);
    pf_event event;
    pid_t pids[2];
    double told_at = now();
    uint64_t generation = 0;
    is_int(pf_signal_all_children(pf, SIGTERM), PF_ERR_SYSTEM, "workers that may not be told to end");
    pids[0] = is_refused(pf, "when their time is over");
    at_least(now() - told_at, GRACE, "... and not before");
    pids[1] = is_refused(pf, "the other one");
    ok(pids[0] != pids[1], "... is another one");
    ok(pf_worker_generation(pf, pids[0], &generation) && pf_worker_generation(pf, pids[1], &generation),
        "... and both are workers still");
    let_manager_kill(1);
    is_int(pf_wait(pf, 2 * GRACE, &event), PF_OK, "later, when they may be killed");
    is_int((intmax_t)event.type, PF_EVENT_WAIT, "... they are not sent KILL again");
    ends_by_itself(pf);
    ends_by_itself(pf);
    end(pf);
}

static void who_it_is(void)
{
    pf_t *pf = pool(GRACE, 2, changes_its_user, NULL);
    pf_event event;
    int indexes = 0, i;
    pf_set_generation(pf, 7);
    pf_signal_all_children(pf, SIGTERM);
    for (i = 0; i < 2; i++) {
        uint64_t generation = 0;
        CHECK(pf_wait(pf, -1, &event) == PF_OK);
        CHECK(pf_worker_generation(pf, event.pid, &generation));
        CHECK(event.generation == generation && generation != 7);
        CHECK(event.fd == -1 && event.reason == 0);
        indexes |= 1 << event.index;
    }
    is_int(indexes, 3, "each event has the index of its worker");
    SET(S.may_leave, 1);
    end(pf);
}

static void the_record_of_its_end(void)
{
    pf_t *pf = pool(GRACE, 1, changes_its_user_when_told, NULL);
    pf_event exit;
    let_manager_kill(1);
    pf_signal_all_children(pf, SIGTERM);
    UNTIL(GET(S.there) == 2);
    let_manager_kill(0);
    is_refused(pf, "a worker that has changed its user after it was told to end");
    exit = ends_by_itself(pf);
    is_int((intmax_t)exit.cause, PF_CAUSE_ASKED, "... which it was asked for");
    is_int(exit.sent_signal, SIGTERM, "... by TERM");
    is_int((intmax_t)pf_exit_line(pf, NULL, 0), 0, "... and about which there is nothing to say");
    end(pf);

    pf = pool(GRACE, 1, changes_its_user, NULL);
    pf_signal_all_children(pf, SIGTERM);
    {
        const pid_t pid = is_refused(pf, "a worker that is killed by somebody else then");
        pf_event event;
        let_manager_kill(1);
        kill(pid, SIGKILL);
        is_int(pf_wait(pf, -1, &event), PF_OK, "... its end");
        is_int((intmax_t)event.cause, PF_CAUSE_EXTERNAL, "... is not the manager's doing");
        is_int(event.sent_signal, 0, "... which could send it nothing");
        pf_exit_line(pf, seen.line, sizeof seen.line);
        has(seen.line, " s: the manager did not send that", "... and so people are told");
    }
    end(pf);
}

/* One worker, whose time may begin with its fork: nothing is done about that before it has become another user. */
static void fork_one(pf_t *pf, pf_worker_fn work)
{
    pf_event event;
    pid_t pid;
    pf_set_max_workers(pf, 1);
    CHECK(pf_begin(pf) == PF_OK);
    CHECK(pf_next(pf, &event) == PF_OK && event.type == PF_EVENT_FORK);
    fflush(stdout);
    pid = fork();
    CHECK(pid >= 0 && pf_forked(pf, pid) == PF_OK);
    if (pid == 0)
        exit(work(pf, NULL));
    UNTIL(GET(S.there) == 1);
    let_manager_kill(0);
    CHECK(pf_suspend(pf) == PF_OK);
}

static void all_kinds_of_time(void)
{
    int kind;
    for (kind = 0; kind < 3; kind++) {
        const char *const names[] = { "worker_timeout", "worker_timeout_grace", "ready_timeout" };
        pf_t *pf = manager(0);
        pf_event exit;
        if (kind < 2)
            pf_set_worker_timeout(pf, GRACE, kind ? GRACE : 0);
        else
            pf_set_ready_timeout(pf, GRACE);
        fork_one(pf, kind < 2 ? hangs : changes_its_user);
        is_refused(pf, names[kind]);
        exit = ends_by_itself(pf);
        is_int((intmax_t)exit.cause, PF_CAUSE_NONE, "... nor for that");
        end(pf);
    }
}

static void groups(void)
{
    int to_the_end[2];
    char byte;
    pf_t *pf = pool(GRACE, 1, leads_a_group, NULL);
    pf_signal_all_children(pf, -SIGTERM);
    is_refused(pf, "a worker that leads a group");
    ends_by_itself(pf);
    end(pf);

    CHECK(pipe(to_the_end) == 0);
    pf = pool(GRACE, 1, leads_a_group_of_others, &to_the_end[1]);
    close(to_the_end[1]);
    pf_signal_all_children(pf, -SIGTERM);
    is_int(read(to_the_end[0], &byte, 1), 0, "a group that is told to end, but for the worker that leads it");
    is_refused(pf, "a worker whose group may be killed, and itself may not");
    ends_by_itself(pf);
    end(pf);
}

/* The hook ends the run, and lets the workers leave. */
static void the_hook(void)
{
    size_t left = 99;
    pf_t *pf = pool(GRACE, 1, changes_its_user, NULL);
    is_int(pf_set_on_kill_failure(pf, on_kill_failure, &seen), PF_OK, "pf_set_on_kill_failure");
    pf_signal_all_children(pf, SIGTERM);
    is_int(pf_wait_all_children(pf, -1, &left), PF_OK, "pf_wait_all_children");
    is_int(seen.refused, 1, "... calls the hook once");
    is_int(seen.refusal.status, EPERM, "... with the event");
    ok(seen.refusal.pid > 0 && seen.refusal.pid == seen.exit.pid, "... of the worker");
    is_int(seen.reaped, 1, "... and goes on");
    is_int((intmax_t)left, 0, "... until all have ended");
    end(pf);

    pf = pool(GRACE, 1, changes_its_user, NULL);
    pf_set_on_kill_failure(pf, on_kill_failure, &seen);
    pf_set_max_workers(pf, 1);
    pf_signal_all_children(pf, SIGTERM);
    is_int(pf_start(pf, changes_its_user, NULL), PF_OK, "pf_start");
    is_int(seen.refused, 1, "... calls it too");
    ok(seen.refusal.pid > 0, "... with the event");
    pf_wait_all_children(pf, -1, &left);
    is_int(seen.refused, 1, "... once, whatever comes later");
    end(pf);

    pf = pool(GRACE, 1, changes_its_user, NULL);
    pf_signal_all_children(pf, SIGTERM);
    is_int(pf_wait_all_children(pf, 3 * GRACE, &left), PF_OK, "without a hook nobody is called");
    is_int((intmax_t)left, 1, "... and the worker is waited for");
    SET(S.may_leave, 1);
    end(pf);
}

static void one_too_many(void)
{
    size_t told = 99;
    pf_t *pf = pool(GRACE, 1, changes_its_user, NULL);
    is_int(pf_stop_workers(pf, 1, SIGUSR1, &told), PF_OK, "a worker that is one too many, and may not be told so");
    is_refused(pf, "... nor killed");
    ends_by_itself(pf);
    end(pf);
}

/* As in 0.18: what the program sends is its own affair. */
static void what_the_program_sends(void)
{
    pf_event event;
    pf_t *pf = pool(0, 1, changes_its_user, NULL);
    is_int(pf_signal_all_children(pf, SIGKILL), PF_ERR_SYSTEM, "KILL that the program sends, and may not");
    pf_trap_signal(pf, SIGUSR1, SIGKILL, 0);
    kill(getpid(), SIGUSR1);
    pf_set_max_workers(pf, 1);
    is_int(pf_begin(pf), PF_OK, "... also by a trap");
    is_int(pf_wait(pf, -1, &event), PF_OK, "... the next event");
    is_int((intmax_t)event.type, PF_EVENT_STOPPED, "... is that of the signal");
    is_int(pf_wait(pf, GRACE, &event), PF_OK, "... and then");
    is_int((intmax_t)event.type, PF_EVENT_WAIT, "... there is none");
    SET(S.may_leave, 1);
    end(pf);

    pf = pool(3600, 1, changes_its_user, NULL);
    pf_signal_all_children(pf, SIGTERM);
    pf_signal_all_children(pf, SIGKILL);
    is_int(pf_wait(pf, GRACE, &event), PF_OK, "the same while a time to end runs");
    is_int((intmax_t)event.type, PF_EVENT_WAIT, "... is told to nobody");
    SET(S.may_leave, 1);
    end(pf);
}

int main(void)
{
    begin();
    shared_memory = shared(sizeof S);
    if (getuid() != 0) {
        skip("workers that may not be killed", "only root can become another user");
        return done();
    }
    the_event();
    who_it_is();
    the_record_of_its_end();
    all_kinds_of_time();
    groups();
    the_hook();
    one_too_many();
    what_the_program_sends();
    is_int(checks(), 0, "nothing else has failed in this process");
    return done();
}
