/* Several managers in one process: each hears of its own workers, whoever reaps them. */

#include "tap.h"

/* ---- one after the other */

static int32_t exits_with(pf_t *pf, void *data)
{
    (void)pf;
    return *(int *)data;
}

static struct tally {
    int reaped, status, foreign;
} tally[3];

static void count(pf_t *pf, const pf_event *exit, void *data)
{
    struct tally *mine = data;
    (void)pf;
    mine->reaped++;
    mine->foreign += exit->reason == PF_REASON_FOREIGN || exit->reason == PF_REASON_STOLEN;
    mine->status = WEXITSTATUS(exit->status);
}

static void in_turns(void)
{
    pf_t *pf[2];
    int status[2] = { 11, 22 }, i, turn;
    size_t left;
    memset(tally, 0, sizeof tally);
    for (i = 0; i < 2; i++) {
        pf[i] = pf_new();
        pf_set_on_child_reap(pf[i], count, &tally[i]);
        pf_set_err_respawn_interval(pf[i], 3600);
        pf_trap_signal(pf[i], SIGUSR1, 0, 0);
    }
    for (turn = 0; turn < 3; turn++) {
        for (i = 0; i < 2; i++) {
            pf_set_spawn_delay(pf[i], 0);
            pf_set_signal_received(pf[i], 0);
            fork_workers(pf[i], 2, exits_with, &status[i]);
        }
        for (i = 0; i < 2; i++)
            pf_wait_all_children(pf[i], -1, &left);
    }
    is_int(tally[0].reaped, 6, "two managers in turns: the first has heard of all its workers");
    is_int(tally[1].reaped, 6, "... so has the second");
    ok(tally[0].status == 11 && tally[1].status == 22, "... with their statuses");
    is_int(tally[0].foreign + tally[1].foreign, 0, "... and of nobody else's");

    kill(getpid(), SIGUSR1);
    ok(pf_start(pf[0], at_once, NULL) == PF_OK && pf_start(pf[1], at_once, NULL) == PF_OK,
        "a signal that both trap ends both");
    ok(pf_signal_received(pf[0]) == SIGUSR1 && pf_signal_received(pf[1]) == SIGUSR1,
        "... which both tell");
    pf_signal(pf[0], SIGUSR2);
    is_int(pf_signal_received(pf[0]), SIGUSR2, "pf_signal is for one of them");
    is_int(pf_peek_signal(pf[1]), SIGUSR1, "... and not for the other");
    pf_free(pf[0]);
    pf_free(pf[1]);
}

/* ---- at the same time, by the pull API */

static pid_t fork_one(pf_t *pf, int status)
{
    pf_event event;
    pid_t pid;
    if (pf_wait(pf, -1, &event) != PF_OK || event.type != PF_EVENT_FORK)
        return -1;
    pid = fork();
    pf_forked(pf, pid);
    if (pid == 0) {
        if (status < 0)
            until_killed(pf, NULL);
        _exit(status);
    }
    return pid;
}

/* Until it is a zombie, so that whoever looks next reaps it. */
static void wait_for_end(pid_t pid)
{
    siginfo_t info;
    waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
}

static void interleaved(void)
{
    pf_t *one = pf_new(), *other = pf_new();
    pf_event event;
    pid_t a, b, child;
    pf_set_max_workers(one, 1);
    pf_set_max_workers(other, 1);
    pf_begin(one);
    pf_begin(other);
    a = fork_one(one, -1);
    b = fork_one(other, 33);
    wait_for_end(b);
    is_int(pf_wait(one, 0.02, &event), PF_OK, "one manager looks");
    is_int(event.type, PF_EVENT_WAIT, "... and tells nothing of a worker of the other");
    is_int(pf_num_workers(other), 1, "... which has it still");
    is_int(pf_wait(other, -1, &event), PF_OK, "the other looks");
    ok(event.type == PF_EVENT_REAPED && event.pid == b, "... and tells of it");
    is_int(WEXITSTATUS(event.status), 33, "... with its status");
    is_int(event.reason, PF_REASON_FAILED, "... as of its own");
    is_int(event.index, 0, "... and its index");

    pf_suspend(other);
    child = fork();
    if (child == 0)
        _exit(44);
    wait_for_end(child);
    pf_wait(other, -1, &event);
    ok(event.pid == child && event.reason == PF_REASON_FOREIGN && WEXITSTATUS(event.status) == 44,
        "a child of nobody's is told to the one that looks");

    /* A worker that ends before its pid is told; the other manager reaps it meanwhile. */
    pf_resume(other);
    pf_set_err_respawn_interval(other, 0);
    pf_set_spawn_delay(other, 0);
    pf_wait(other, -1, &event);
    is_int(event.type, PF_EVENT_FORK, "a fork");
    b = fork();
    if (b == 0) {
        pf_forked(other, 0);
        _exit(55);
    }
    wait_for_end(b);
    pf_look_for_children(one, true);
    pf_wait(one, 0.02, &event);
    is_int(event.type, PF_EVENT_WAIT, "one looks before the other has answered");
    is_int(pf_forked(other, b), PF_OK, "... with a pid that was reaped");
    pf_suspend(other);
    is_int(pf_wait(other, -1, &event), PF_OK, "who looks then");
    ok(event.pid == b && WEXITSTATUS(event.status) == 55 && event.reason == PF_REASON_FAILED,
        "... finds it, with its status");

    /* The fork of one fails; a foreign child that the other has kept for it comes back. */
    pf_resume(other);
    pf_set_spawn_delay(other, 0);
    pf_wait(other, -1, &event);
    child = fork();
    if (child == 0)
        _exit(66);
    wait_for_end(child);
    pf_wait(one, 0.02, &event);
    is_int(event.type, PF_EVENT_WAIT, "a child that might be the other's worker is kept");
    ok(!is_readable(event.fd), "... and one waits on");
    pf_fork_failed(other, NULL);
    ok(is_readable(event.fd), "... until the other's fork has failed");
    pf_wait(one, -1, &event);
    ok(event.pid == child && event.reason == PF_REASON_FOREIGN && WEXITSTATUS(event.status) == 66,
        "... and told when it is none");
    pf_suspend(other);

    /* One goes, with a worker alive. */
    pf_free(one);
    kill(a, SIGTERM);
    pf_wait(other, -1, &event);
    ok(event.pid == a && event.reason == PF_REASON_FOREIGN && WTERMSIG(event.status) == SIGTERM,
        "the workers of a manager that is gone are foreign to the other");
    pf_free(other);
}

/* ---- one inside the other */

static pf_t *inner;

static void wait_for_inner(pf_t *pf, const pf_event *exit, void *data)
{
    size_t left = 99;
    count(pf, exit, data);
    if (tally[0].reaped == 1) {
        CHECK(pf_wait_all_children(inner, -1, &left) == PF_OK);
        CHECK(left == 0);
    }
}

static void nested(void)
{
    pf_t *outer = pf_new();
    int status[2] = { 1, 2 };
    size_t left = 99;
    inner = pf_new();
    memset(tally, 0, sizeof tally);
    fork_workers(outer, 3, exits_with, &status[0]);
    fork_workers(inner, 3, exits_with, &status[1]);
    pf_set_on_child_reap(outer, wait_for_inner, &tally[0]);
    pf_set_on_child_reap(inner, count, &tally[1]);
    pf_wait_all_children(outer, -1, &left);
    is_int(left, 0, "a hook of one manager waits for another one's workers");
    ok(tally[1].reaped == 3 && tally[1].status == 2, "... which has heard of all of them");
    ok(tally[0].reaped == 3 && tally[0].status == 1, "... so has the one whose hook it is");
    is_int(tally[0].foreign + tally[1].foreign, 0, "nobody was taken for a stranger");
    is_int(tap.checks_failed, 0, "... and none failed inside");
    pf_free(inner);
    pf_free(outer);
}

/* ---- what is kept for one that does not want foreign children */

static void without_foreign(void)
{
    pf_t *one = pf_new(), *other = pf_new();
    pf_event event;
    pid_t a, b, child;
    int status;
    pf_set_reap_foreign(one, false);
    pf_set_reap_foreign(other, false);
    pf_set_max_workers(one, 1);
    pf_set_max_workers(other, 1);
    pf_begin(one);
    pf_begin(other);
    a = fork_one(one, 5);
    b = fork_one(other, 6);
    pf_suspend(one);
    pf_suspend(other);
    child = fork();
    if (child == 0)
        _exit(7);
    wait_for_end(a);
    wait_for_end(b);
    wait_for_end(child);
    pf_wait(other, -1, &event);
    ok(event.pid == b && WEXITSTATUS(event.status) == 6, "two managers that reap only their own");
    pf_wait(one, -1, &event);
    ok(event.pid == a && WEXITSTATUS(event.status) == 5, "... each");
    pf_wait(one, 0.02, &event);
    is_int(event.type, PF_EVENT_WAIT, "... and no other child");
    ok(waitpid(child, &status, WNOHANG) == child && WEXITSTATUS(status) == 7,
        "... which the program has for itself");
    pf_free(one);
    pf_free(other);
}

/* ---- one that goes before its fork has an outcome */

static pid_t foreign(int status)
{
    pid_t child = fork();
    if (child == 0)
        _exit(status);
    wait_for_end(child);
    return child;
}

static void freed_before_the_answer(void)
{
    pf_t *one = pf_new(), *other = pf_new();
    pf_event event;
    pid_t child;
    pf_set_max_workers(one, 1);
    pf_begin(one);
    is_int(pf_next(one, &event), PF_OK, "one manager is asked to fork");
    is_int(event.type, PF_EVENT_FORK, "... and does not answer");
    child = foreign(21);
    pf_wait(other, 0.02, &event);
    is_int(event.type, PF_EVENT_WAIT, "a child that might be its worker is kept by another one");
    pf_free(one);
    pf_wait(other, 0, &event);
    ok(event.type == PF_EVENT_REAPED && event.pid == child && event.reason == PF_REASON_FOREIGN
            && WEXITSTATUS(event.status) == 21,
        "... which tells of it when the one is freed");
    child = foreign(22);
    pf_child_ended(other, 0);
    pf_wait(other, 0, &event);
    ok(event.type == PF_EVENT_REAPED && event.pid == child && WEXITSTATUS(event.status) == 22,
        "... and keeps none from then on");
    pf_free(other);
}

/* ---- a worker that is handed over */

static void handed_over(void)
{
    pf_t *one = pf_new(), *other = pf_new();
    pf_event event;
    pid_t pid;
    pf_set_max_workers(one, 1);
    pf_begin(one);
    pid = fork_one(one, -1);
    pf_suspend(one);
    ok(pf_disown_worker(one, pid), "one manager disowns a worker");
    is_int(pf_adopt_worker(other, pid, 3), PF_OK, "... and another adopts it");
    kill(pid, SIGTERM);
    wait_for_end(pid);
    pf_wait(one, 0.02, &event);
    is_int(event.type, PF_EVENT_WAIT, "... which is nothing to the first any more");
    pf_wait(other, -1, &event);
    ok(event.pid == pid && event.generation == 3 && WTERMSIG(event.status) == SIGTERM,
        "... and reaped by its new one");
    pf_free(one);
    pf_free(other);
}

/* ---- many */

static void many(void)
{
    enum { MANAGERS = 20 };
    pf_t *pf[MANAGERS];
    pf_event event;
    int i, right = 0;
    pid_t pid[MANAGERS];
    for (i = 0; i < MANAGERS; i++) {
        pf[i] = pf_new();
        pf_set_max_workers(pf[i], 1);
        pf_begin(pf[i]);
    }
    for (i = 0; i < MANAGERS; i++)
        pid[i] = fork_one(pf[i], i);
    for (i = MANAGERS; i-- > 0;) {
        pf_suspend(pf[i]);
        pf_wait(pf[i], -1, &event);
        right += event.type == PF_EVENT_REAPED && event.pid == pid[i] && WEXITSTATUS(event.status) == i;
    }
    is_int(right, MANAGERS, "of many managers each gets its own worker's status");
    for (i = 0; i < MANAGERS; i++)
        pf_free(pf[i]);
}

/* What one manager traps is no trap in the workers of another. */
static void signals_of_others(void)
{
    pf_t *a = pf_new(), *b = pf_new();
    size_t left = 99;
    is_int(pf_trap_signal(a, SIGHUP, SIGTERM, 0), PF_OK, "one manager traps HUP");
    fork_workers(b, 1, until_killed, NULL);
    is_int(pf_signal_all_children(b, SIGHUP), PF_OK, "a worker of another one is sent HUP");
    is_int(pf_wait_all_children(b, 20, &left), PF_OK, "... and is waited for");
    is_int(left, 0, "... it has ended by that");
    pf_free(b);
    pf_free(a);
}

/* ---- room for the host */

static int is_zero(const char *bytes, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++)
        if (bytes[i])
            return 0;
    return 1;
}

static uintptr_t page_of(const void *address)
{
    return (uintptr_t)address / 4096;
}

static int32_t looks_into_room(pf_t *pf, void *data)
{
    char *room = pf_host_room(pf, 1);
    (void)data;
    return room && room[0] == 'm' && (room[0] = 'w');
}

static void rooms(void)
{
    pf_t *pf[2] = { pf_new(), pf_new() };
    char *room[2];
    int status;
    int i;
    pf_event event;
    for (i = 0; i < 2; i++) {
        room[i] = pf_host_room(pf[i], PF_HOST_ROOM);
        ok(room[i] && is_zero(room[i], PF_HOST_ROOM), "a handle has room for its host");
        memset(room[i], 'm', PF_HOST_ROOM);
    }
    ok(page_of(pf[0]) == page_of(room[0]) && page_of(room[0]) == page_of(room[0] + PF_HOST_ROOM - 1),
        "... in the page of the first handle");
    ok(room[0] != room[1] && room[0][0] == 'm' && pf_host_room(pf[0], 1) == room[0],
        "... for itself, and always the same");
    ok(!pf_host_room(pf[0], PF_HOST_ROOM + 1), "... and no more than that");
    pf_set_max_workers(pf[0], 1);
    pf_trap_signal(pf[0], SIGUSR1, 0, 0);
    fork_workers(pf[0], 1, looks_into_room, NULL);
    pf_wait(pf[0], -1, &event);
    status = event.type == PF_EVENT_REAPED ? WEXITSTATUS(event.status) : -1;
    is_int(status, 1, "a worker finds there what the manager has left");
    is_int(room[0][0], 'm', "... and has it for itself");
    pf_free(pf[0]);
    pf[0] = pf_new();
    room[0] = pf_host_room(pf[0], PF_HOST_ROOM);
    ok(room[0] && is_zero(room[0], PF_HOST_ROOM), "nothing is left of the host of an earlier handle");
    ok(room[1][PF_HOST_ROOM - 1] == 'm', "... and nothing of another one's is lost");
    pf_free(pf[0]);
    pf_free(pf[1]);
}

/* ---- one child, two managers */

/* `which` of them waits first. The first one may have disowned it by then, or be gone. */
static void one_of_both(int which, const char *before, const char *name)
{
    pf_t *pf[2] = { pf_new(), pf_new() };
    int i, status = 33;
    pid_t pid;
    memset(tally, 0, sizeof tally);
    for (i = 0; i < 2; i++)
        pf_set_on_child_reap(pf[i], count, &tally[i]);
    fork_workers(pf[0], 1, exits_with, &status);
    pid = pf_next_worker(pf[0], 0);
    is_int(pf_adopt_worker(pf[1], pid, 1), PF_OK, "%s", name);
    if (strcmp(before, "disown") == 0)
        pf_disown_worker(pf[0], pid);
    if (strcmp(before, "free") == 0) {
        pf_free(pf[0]);
        pf[0] = NULL;
    }
    for (i = 0; i < 2; i++)
        if (pf[i ^ which])
            pf_wait_all_children(pf[i ^ which], -1, NULL);
    is_int(tally[1].reaped, 1, "... the one that has adopted it hears of its end");
    is_int(tally[0].reaped, *before ? 0 : 1, "... and so does the one that has forked it, if it still has it");
    ok(tally[1].status == 33 && (*before || tally[0].status == 33), "... with its status");
    is_int(tally[0].foreign + tally[1].foreign, 0, "... and as its own worker");
    pf_free(pf[0]);
    pf_free(pf[1]);
}

int main(void)
{
    begin();
    in_turns();
    interleaved();
    nested();
    without_foreign();
    freed_before_the_answer();
    handed_over();
    many();
    signals_of_others();
    rooms();
    one_of_both(0, "", "two managers have a child");
    one_of_both(1, "", "... and the other one waits first");
    one_of_both(1, "disown", "... or the first has disowned it");
    one_of_both(1, "free", "... or is gone");
    return done();
}
