/* The pull API: a host that asks for each event, forks by itself and answers; pf_wait; workers that
 * come and go without the library; a host that decides by itself; generations. */

#include "tap.h"

#include <sys/stat.h>

/* The next event; what goes wrong shows as an event of type 0. */
static pf_event next(pf_t *pf)
{
    pf_event event;
    memset(&event, 0, sizeof event);
    if (pf_next(pf, &event) != PF_OK)
        diag("pf_next: %s", pf_error_message(pf));
    return event;
}

static pf_event wait_for(pf_t *pf, double timeout)
{
    pf_event event;
    memset(&event, 0, sizeof event);
    if (pf_wait(pf, timeout, &event) != PF_OK)
        diag("pf_wait: %s", pf_error_message(pf));
    return event;
}

/* Answers a FORK event with a worker that runs `code`, or that stays until it is killed. */
static pid_t answer(pf_t *pf, int32_t (*code)(pf_t *pf, void *data), void *data)
{
    pid_t pid = fork();
    if (pid < 0)
        abort();
    if (pf_forked(pf, pid) != PF_OK) {
        diag("pf_forked: %s", pf_error_message(pf));
        abort();
    }
    if (pid == 0)
        exit(code(pf, data));
    return pid;
}

/* A child that the library does not know of. */
static pid_t own_child(int status)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (status < 0)
            until_killed(NULL, NULL);
        _exit(status);
    }
    return pid;
}

static int32_t exits_with(pf_t *pf, void *data)
{
    (void)pf;
    return *(int *)data;
}

/* Whether all that an event does not name is zero. */
static int names_only(pf_event event, uint32_t type)
{
    static const pf_event zero;
    size_t i;
    const char *rest = (const char *)&event.rusage, *end = (const char *)(&event + 1);
    if (event.type != type)
        return 0;
    for (i = 0; rest + i < end && type != PF_EVENT_REAPED; i++)
        if (rest[i] != 0)
            return 0;
    if (type != PF_EVENT_REAPED
            && (event.reason != zero.reason || event.pid != zero.pid || event.status != zero.status))
        return 0;
    if (type != PF_EVENT_REAPED && type != PF_EVENT_FORK
            && (event.generation != zero.generation || event.index != zero.index))
        return 0;
    if (type != PF_EVENT_STOPPED && event.signal != 0)
        return 0;
    if (type != PF_EVENT_TIMED_OUT && event.workers != 0)
        return 0;
    return 1;
}

/* ---- the numbered steps: begin, next, fork, answer, wait, reap, stop, drain */

static int *gate;

static int32_t is_worker(pf_t *pf, void *data)
{
    uint64_t generation = 99;
    pf_event event;
    CHECK(pf_worker_index(pf) == *(int *)data);
    CHECK(pf_generation(pf) == 1);
    CHECK(pf_num_workers(pf) == (size_t)*(int *)data);
    CHECK(pf_next(pf, &event) == PF_ERR_WRONG_PROCESS);
    CHECK(!pf_worker_generation(pf, getpid(), &generation) && generation == 99);
    if (checks())
        return 99;
    if (*(int *)data)
        return until_killed(pf, NULL);
    UNTIL(GET(*gate));
    return 0;
}

static void steps(void)
{
    pf_t *pf = pf_new();
    pf_event event;
    pid_t pid[2], reaped;
    int i, got_to_fd = 0;
    uint64_t generation = 0;
    gate = shared(sizeof *gate);

    event = next(pf);
    ok(names_only(event, PF_EVENT_WAIT), "before pf_begin there is nothing to do");
    ok(event.timeout < 0 && event.fd == -1, "... for any time, and nothing to watch");
    is_int(pf_trap_signal(pf, SIGHUP, 0, 0), PF_OK, "a trap");
    event = next(pf);
    ok(event.type == PF_EVENT_WAIT && event.fd >= 0, "gives the wait a descriptor");
    ok(!is_readable(event.fd), "... that is not readable yet");
    pf_set_max_workers(pf, 2);
    event = next(pf);
    ok(event.type == PF_EVENT_WAIT && event.timeout >= 0 && event.timeout <= 0,
        "a setting that changes makes the next wait end at once");
    is_int(pf_watch_children(pf), PF_OK, "pf_watch_children");

    is_int(pf_begin(pf), PF_OK, "pf_begin");
    is_int(pf_generation(pf), 1, "... a new generation");
    for (i = 0; i < 2; i++) {
        event = next(pf);
        ok(names_only(event, PF_EVENT_FORK), "worker %d is to be forked", i);
        ok(event.index == (uint32_t)i && event.generation == 1, "... with its index and generation");
        pid[i] = answer(pf, is_worker, &i);
    }
    is_int(pf_num_workers(pf), 2, "two workers");
    is_int(pf_next_worker(pf, 0), pid[0] < pid[1] ? pid[0] : pid[1], "pf_next_worker: the lower pid");
    is_int(pf_next_worker(pf, pf_next_worker(pf, 0)), pid[0] < pid[1] ? pid[1] : pid[0],
        "... the higher");
    is_int(pf_next_worker(pf, pid[0] < pid[1] ? pid[1] : pid[0]), 0, "... and no more");
    ok(pf_worker_generation(pf, pid[0], &generation) && generation == 1, "pf_worker_generation");
    ok(pf_worker_generation(pf, pid[0], NULL), "... without a place for it");
    generation = 99;
    ok(!pf_worker_generation(pf, getpid(), &generation) && generation == 99,
        "... of a process that is no worker");

    /* Until the first has been reaped: this is all that an event loop does. */
    while ((event = next(pf)).type == PF_EVENT_WAIT) {
        struct pollfd pollfd = { event.fd, POLLIN, 0 };
        SET(*gate, 1);
        poll(&pollfd, 1, -1); /* the handler of SIGCHLD may interrupt it */
        got_to_fd += is_readable(event.fd);
    }
    ok(got_to_fd >= 1, "the end of a worker makes the descriptor readable");
    ok(names_only(event, PF_EVENT_REAPED), "... it is reaped");
    is_int(event.pid, pid[0], "... with its pid");
    is_int(event.status, 0, "... its status");
    is_int(event.index, 0, "... its index");
    is_int(event.generation, 1, "... its generation");
    is_int(event.reason, PF_REASON_ENDED, "... and why");
    is_int(pf_num_workers(pf), 2, "until the host goes on it is counted");
    ok(pf_remove_reaped(pf, pid[0]), "or until pf_remove_reaped");
    is_int(pf_num_workers(pf), 1, "... and no more");
    ok(!pf_remove_reaped(pf, pid[0]), "... which takes it out once");
    ok(!pf_remove_reaped(pf, pid[1]) && pf_num_workers(pf) == 2 - 1,
        "... and leaves one that is alive where it is");

    event = next(pf);
    ok(event.type == PF_EVENT_FORK && event.index == 0, "its index is given again");
    pf_set_err_respawn_interval(pf, 3600);
    is_int(pf_fork_failed(pf, NULL), PF_OK, "pf_fork_failed is an answer too");
    next(pf); /* it ends at once, for a setting has changed */
    event = next(pf);
    ok(names_only(event, PF_EVENT_WAIT), "... after which there is a pause");
    at_least(pf_spawn_delay(pf), 3000, "... for err_respawn_interval");

    kill(getpid(), SIGHUP);
    event = next(pf);
    ok(names_only(event, PF_EVENT_STOPPED), "a trapped signal stops the run");
    is_int(event.signal, SIGHUP, "... as the event tells");
    is_int(pf_drain(pf, 3600), PF_OK, "pf_drain with a time-out");
    event = next(pf);
    ok(names_only(event, PF_EVENT_WAIT), "waits");
    at_least(event.timeout, 1e-9, "... for a time");
    is_int(pf_drain(pf, 0.05), PF_OK, "pf_drain with another time-out");
    event = wait_for(pf, -1);
    ok(names_only(event, PF_EVENT_TIMED_OUT), "until it is over");
    is_int(event.workers, 1, "... with one worker left");
    pf_drain(pf, -1);
    pf_signal_all_children(pf, SIGKILL);
    event = wait_for(pf, -1);
    ok(event.type == PF_EVENT_REAPED && event.pid == pid[1] && WTERMSIG(event.status) == SIGKILL,
        "the other one is killed and reaped");
    is_int(event.reason, PF_REASON_FAILED, "... which is a failure");
    reaped = event.pid;
    event = next(pf);
    ok(names_only(event, PF_EVENT_DRAINED), "then nobody is left");
    ok(!pf_worker_generation(pf, reaped, NULL), "... nor known");
    event = next(pf);
    is_int(event.type, PF_EVENT_WAIT, "... and nothing is to be done any more");
    pf_free(pf);
    munmap(gate, sizeof *gate);
}

/* ---- rest, run, wake */

static void goals(void)
{
    pf_t *pf = pf_new();
    pf_event event;
    pf_set_max_workers(pf, 1);
    pf_begin(pf);
    is_int(pf_suspend(pf), PF_OK, "pf_suspend");
    next(pf); /* it ends at once, for max_workers has changed */
    event = next(pf);
    ok(event.type == PF_EVENT_WAIT && event.timeout < 0, "no worker is forked");
    is_int(pf_wake(pf), PF_OK, "pf_wake");
    event = next(pf);
    ok(event.type == PF_EVENT_WAIT && event.timeout >= 0 && event.timeout <= 0,
        "makes the next wait end at once");
    event = next(pf);
    ok(event.type == PF_EVENT_WAIT && event.timeout < 0, "... that one only");
    is_int(pf_resume(pf), PF_OK, "pf_resume");
    event = next(pf);
    is_int(event.type, PF_EVENT_FORK, "goes on");
    is_int(event.generation, 1, "... with the same generation");
    answer(pf, until_killed, NULL);
    finish(pf);
}

/* ---- forks that fail */

static void fork_failures(void)
{
    pf_t *pf = pf_new();
    uint32_t report = 99, reported = 0, failures = 0;
    double begun = now();
    pf_set_max_workers(pf, 1);
    pf_set_err_respawn_interval(pf, 0);
    pf_begin(pf);
    next(pf);
    is_int(pf_fork_failed(pf, &report), PF_OK, "pf_fork_failed");
    is_int(report, 1, "the first failure is to be told of");
    do {
        while (wait_for(pf, -1).type != PF_EVENT_FORK)
            ;
        failures++;
        pf_fork_failed(pf, &report);
        reported += report;
    } while (!report);
    at_least(now() - begun, 1, "the next ones after a second");
    is_int(reported, failures, "... all at once");
    ok(failures >= 1 && failures <= 20, "... and there is one every 50 ms at most");
    pf_free(pf);
}

/* ---- pf_wait */

static void counts(int signal)
{
    (void)signal;
}

static void interrupts(void *data)
{
    int i;
    for (i = 0; i < 3; i++) {
        UNTIL(is_asleep(*(pid_t *)data));
        kill(*(pid_t *)data, SIGUSR1);
        nap();
    }
    exit(0);
}

static void waiting(void)
{
    pf_t *pf = pf_new();
    pf_event event;
    pid_t self = getpid(), helper;
    double begun;

    pf_set_reap_foreign(pf, false);
    event = wait_for(pf, 0);
    ok(names_only(event, PF_EVENT_WAIT), "pf_wait with 0 s and nothing to do gives WAIT");
    begun = now();
    event = wait_for(pf, 0.05);
    at_least(now() - begun, 0.05 - 1e-6, "... with 0.05 s, after them");
    is_int(event.type, PF_EVENT_WAIT, "... too");

    signal(SIGUSR1, counts);
    helper = fork();
    if (helper == 0)
        interrupts(&self);
    begun = now();
    event = wait_for(pf, 0.1);
    at_least(now() - begun, 0.1 - 1e-6, "signals of the program's own do not make it shorter");
    is_int(event.type, PF_EVENT_WAIT, "... nor an event");
    kill(helper, SIGKILL);
    waitpid(helper, NULL, 0);
    signal(SIGUSR1, SIG_DFL);

    pf_set_max_workers(pf, 1);
    pf_begin(pf);
    event = wait_for(pf, 3600);
    is_int(event.type, PF_EVENT_FORK, "an event ends it");
    answer(pf, at_once, NULL);
    event = wait_for(pf, -1);
    is_int(event.type, PF_EVENT_REAPED, "... so does the end of a worker");
    pf_free(pf);
}

/* ---- signals around the answer to FORK */

static void masks(void)
{
    pf_t *pf = pf_new();
    sigset_t before, during, after;
    int status = 0;
    pid_t pid;
    pf_set_max_workers(pf, 1);
    pf_trap_signal(pf, SIGTERM, 0, 0);
    pf_trap_signal(pf, SIGRTMIN + 2, 0, 0);
    pf_watch_children(pf);
    pf_begin(pf);
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    is_int(next(pf).type, PF_EVENT_FORK, "a FORK");
    pthread_sigmask(SIG_BLOCK, NULL, &during);
    ok(sigismember(&during, SIGTERM) && sigismember(&during, SIGRTMIN + 2)
            && sigismember(&during, SIGCHLD), "blocks what the library handles, until the answer");
    kill(getpid(), SIGTERM);
    is_int(pf_peek_signal(pf), 0, "... so a signal waits");
    pid = answer(pf, exits_with, &status);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    ok(same_mask(&before, &after), "... which gives back the mask");
    is_int(pf_peek_signal(pf), SIGTERM, "... and lets the signal in");
    is_int(next(pf).type, PF_EVENT_STOPPED, "... that stops the run");
    pf_drain(pf, -1);
    is_int(wait_for(pf, -1).pid, pid, "the worker was not hit by it");
    pf_begin(pf);
    next(pf);
    pf_fork_failed(pf, NULL);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    ok(same_mask(&before, &after), "... so does pf_fork_failed give it back");
    pf_free(pf);
}

/* ---- workers that come and go without the library */

static void strangers(void)
{
    pf_t *pf = pf_new();
    pf_event event;
    pid_t pid, other;
    int status;
    uint64_t generation = 0;

    /* Adopted. */
    pid = own_child(-1);
    is_int(pf_adopt_worker(pf, pid, 7), PF_OK, "pf_adopt_worker");
    is_int(pf_num_workers(pf), 1, "makes a child a worker");
    is_int(pf_adopt_worker(pf, pid, 8), PF_OK, "again");
    ok(pf_num_workers(pf) == 1 && pf_worker_generation(pf, pid, &generation) && generation == 8,
        "... changes its generation and nothing else");
    is_int(pf_signal_all_children(pf, SIGTERM), PF_OK, "... it is signalled");
    event = wait_for(pf, -1);
    ok(event.type == PF_EVENT_REAPED && event.pid == pid && event.generation == 8,
        "... and reaped as what it is");
    is_int(event.reason, PF_REASON_ENDED, "... of another generation than the current one");
    is_int(WTERMSIG(event.status), SIGTERM, "... ended by the signal");

    /* Forgotten. */
    next(pf);
    pid = own_child(-1);
    pf_adopt_worker(pf, pid, 0);
    ok(pf_disown_worker(pf, pid), "pf_disown_worker");
    ok(!pf_disown_worker(pf, pid), "... knows it no more");
    is_int(pf_num_workers(pf), 0, "... nor is it counted");
    pf_signal_all_children(pf, SIGKILL);
    ok(kill(pid, 0) == 0 && waitpid(pid, &status, WNOHANG) == 0, "... nor signalled");
    kill(pid, SIGTERM);
    event = wait_for(pf, -1);
    ok(event.type == PF_EVENT_REAPED && event.pid == pid && event.reason == PF_REASON_FOREIGN,
        "... it is reaped as a foreign child");
    ok(event.generation == 0 && event.index == 0 && WTERMSIG(event.status) == SIGTERM,
        "... with its status, and no generation");

    /* Reaped by the host, which tells. */
    pid = own_child(3);
    pf_adopt_worker(pf, pid, 0);
    waitpid(pid, &status, 0);
    is_int(pf_worker_reaped(pf, pid, status), PF_OK, "pf_worker_reaped");
    is_int(pf_signal_all_children(pf, SIGTERM), PF_OK, "... it is not signalled");
    event = wait_for(pf, 0.01);
    is_int(event.type, PF_EVENT_WAIT, "... it is not reported");
    is_int(pf_num_workers(pf), 0, "... and leaves the pool");

    /* Reaped by the host, which does not tell. */
    other = own_child(-1); /* or wait4(2) would tell that there is nobody */
    pid = own_child(3);
    pf_adopt_worker(pf, pid, 0);
    waitpid(pid, &status, 0);
    is_int(pf_look_for_children(pf, true), PF_OK, "pf_look_for_children");
    event = wait_for(pf, -1);
    ok(event.type == PF_EVENT_REAPED && event.pid == pid && event.reason == PF_REASON_STOLEN,
        "finds a worker that somebody else has reaped");
    is_int(event.status, -1, "... whose status is lost");
    pid = own_child(3);
    pf_adopt_worker(pf, pid, 0);
    waitpid(pid, &status, 0);
    is_int(pf_child_ended(pf, 0), PF_OK, "... so does pf_child_ended without a number");
    event = wait_for(pf, -1);
    ok(event.type == PF_EVENT_REAPED && event.pid == pid && event.reason == PF_REASON_STOLEN,
        "... when it was heard of");
    kill(other, SIGKILL);
    event = wait_for(pf, -1);
    ok(event.pid == other && event.reason == PF_REASON_FOREIGN, "a foreign child is reaped");

    /* With nobody to tell apart. */
    pid = own_child(3);
    pf_adopt_worker(pf, pid, 0);
    waitpid(pid, &status, 0);
    event = wait_for(pf, -1);
    ok(event.pid == pid && event.reason == PF_REASON_STOLEN, "the last child, reaped by somebody else");

    /* Foreign children that are somebody else's. */
    is_int(pf_set_reap_foreign(pf, false), PF_OK, "pf_set_reap_foreign(false)");
    other = own_child(5);
    pid = own_child(6);
    pf_adopt_worker(pf, pid, 0);
    event = wait_for(pf, -1);
    ok(event.pid == pid && WEXITSTATUS(event.status) == 6, "a worker is reaped");
    ok(wait_for(pf, 0.02).type == PF_EVENT_WAIT, "a foreign child is not");
    ok(waitpid(other, &status, 0) == other && WEXITSTATUS(status) == 5, "... and can be waited for");
    pf_set_reap_foreign(pf, true);
    other = own_child(5);
    event = wait_for(pf, -1);
    ok(event.pid == other && event.reason == PF_REASON_FOREIGN, "pf_set_reap_foreign(true)");
    pf_free(pf);
}

/* ---- workers that stay until they are taken out */

static void kept(void)
{
    pf_t *pf = pf_new();
    pf_event event;
    pid_t pids[3];
    int i;
    for (i = 0; i < 3; i++)
        pf_adopt_worker(pf, pids[i] = own_child(i), 0);
    is_int(pf_set_keep_reaped(pf, true), PF_OK, "pf_set_keep_reaped");
    for (i = 0; i < 3; i++) {
        event = wait_for(pf, -1);
        ok(event.type == PF_EVENT_REAPED && event.reason != PF_REASON_FOREIGN, "a worker ends");
    }
    ok(wait_for(pf, 0.02).type == PF_EVENT_WAIT, "there are no others");
    is_int(pf_num_workers(pf), 3, "all three are counted");
    is_int(pf_signal_all_children(pf, SIGKILL), PF_OK, "... and not signalled, as they are gone");
    ok(pf_remove_reaped(pf, pids[0]) && pf_disown_worker(pf, pids[1]), "two are taken out");
    is_int(pf_num_workers(pf), 1, "one is left");
    pf_drain(pf, -1);
    ok(next(pf).type == PF_EVENT_DRAINED, "... and nobody is waited for");
    is_int(pf_set_keep_reaped(pf, false), PF_OK, "pf_set_keep_reaped(false)");
    is_int(pf_num_workers(pf), 1, "... takes nobody out");
    ok(next(pf).type == PF_EVENT_WAIT, "pf_next");
    is_int(pf_num_workers(pf), 0, "... takes out whom the host has kept");
    pf_free(pf);
}

/* ---- pf_stop_workers */

static void stopping(void)
{
    pf_t *pf = pf_new();
    pf_event event;
    size_t told = 99;
    pid_t last = 0;
    pf_set_max_workers(pf, 3);
    pf_begin(pf);
    while ((event = next(pf)).type == PF_EVENT_FORK)
        last = answer(pf, until_killed, NULL);
    is_int(pf_num_stopping(pf), 0, "nobody was told to stop");
    is_int(pf_stop_workers(pf, 1, 0, &told), PF_OK, "pf_stop_workers");
    is_int(told, 1, "... tells one");
    is_int(pf_num_stopping(pf), 1, "... as pf_num_stopping tells");
    is_int(pf_stop_workers(pf, 1, 0, &told), PF_OK, "again");
    is_int(told, 0, "... nobody: one is on its way");
    is_int(pf_stop_workers(pf, 99, 0, NULL), PF_OK, "more than there are, and nobody asks");
    is_int(pf_num_stopping(pf), 3, "... tells all");
    pf_suspend(pf);
    kill(last, SIGTERM);
    event = wait_for(pf, -1);
    ok(event.pid == last && event.reason == PF_REASON_STOPPED, "one that was told has STOPPED");
    finish(pf);
}

/* ---- a host that decides by itself */

static void demands(void)
{
    pf_t *pf = pf_new();
    double begun;
    pf_event event;
    pf_set_max_workers(pf, 0);
    pf_trap_signal(pf, SIGHUP, 0, 0);
    pf_begin(pf);
    is_int(pf_demand(pf, 1), PF_OK, "pf_demand");
    event = next(pf);
    is_int(event.type, PF_EVENT_FORK, "is for the next event, whatever max_workers says");
    answer(pf, until_killed, NULL);
    is_int(next(pf).type, PF_EVENT_WAIT, "... and for no other");
    pf_demand(pf, 0);
    is_int(next(pf).type, PF_EVENT_WAIT, "0 demands none");
    pf_demand(pf, -1);
    is_int(next(pf).type, PF_EVENT_WAIT, "... so does -1");
    kill(getpid(), SIGHUP);
    is_int(next(pf).type, PF_EVENT_WAIT, "a signal does not stop the run");
    is_int(pf_signal_received(pf), SIGHUP, "... but is there");
    pf_demand(pf, 1);
    next(pf);
    begun = now();
    pf_fork_failed(pf, NULL);
    do {
        pf_demand(pf, 1);
        event = next(pf);
    } while (event.type != PF_EVENT_FORK);
    at_least(now() - begun, 0.05, "after a fork that failed there is a short pause");
    pf_fork_failed(pf, NULL);
    finish(pf);
}

/* ---- a host that has something to do before each fork */

static void shares_the_lead(void)
{
    pf_t *pf = pf_new();
    pf_event event;
    int status = 3;
    int32_t low, high;
    pf_set_max_workers(pf, 1);
    pf_set_err_respawn_interval(pf, 3600);
    pf_trap_signal(pf, SIGHUP, 0, 0);
    is_int(pf_set_lead(pf, PF_LEAD_SHARED), PF_OK, "pf_set_lead");
    ok(!pf_wants_fork(pf), "no worker is wanted before the run");
    pf_begin(pf);
    ok(pf_wants_fork(pf), "... and one in it");
    event = next(pf);
    is_int(event.type, PF_EVENT_WAIT, "... which is not forked before it is demanded");
    ok(event.timeout >= 0 && event.timeout <= 0, "... but the wait ends at once");
    pf_demand(pf, 1);
    is_int(next(pf).type, PF_EVENT_FORK, "... and then it is");
    answer(pf, exits_with, &status);
    ok(!pf_wants_fork(pf), "no other is wanted");
    kill(getpid(), SIGHUP);
    do {
        pf_child_ended(pf, 0);
        event = next(pf);
    } while (event.type == PF_EVENT_WAIT);
    is_int(event.type, PF_EVENT_REAPED, "a signal does not stop the run");
    next(pf);
    ok(pf_wants_fork(pf), "after a failure one is wanted: the pauses are the host's");
    pf_set_spawn_delay(pf, 3600);
    ok(!pf_wants_fork(pf), "... and while it makes one none is");
    event = next(pf);
    ok(event.timeout > 0, "... and the wait is until its end");
    pf_set_spawn_delay(pf, 0);
    ok(pf_wants_fork(pf), "... and then one is");
    is_int((int)pf_decide(3, 5, 0, 0, 0, 0, NULL, NULL), 1, "pf_decide: a worker more");
    is_int((int)pf_decide(5, 5, 0, 0, 0, 0, NULL, NULL), 0, "... none");
    is_int((int)pf_decide(5, 9, 4, 1, 1, 2, &low, &high), -2, "... two idle ones fewer");
    ok(low == 2 && high == 3, "... unless 2 or 3 are busy");
    is_int((int)pf_decide(5, 5, 0, 0, 0, 0, &low, &high), 0, "... none, without spare workers");
    ok(low == INT32_MIN && high == INT32_MAX, "... however many are busy");
    finish(pf);
}

/* ---- generations */

static void generations(void)
{
    pf_t *pf = pf_new();
    pf_event event;
    int failure = 3;
    pid_t old, current;
    pf_set_max_workers(pf, 2);
    is_int(pf_set_generation(pf, 41), PF_OK, "pf_set_generation");
    is_int(pf_generation(pf), 41, "... sets it");
    pf_begin(pf);
    event = next(pf);
    is_int(event.generation, 42, "a run begins with the next");
    old = answer(pf, exits_with, &failure);
    pf_begin(pf);
    event = next(pf);
    ok(event.type == PF_EVENT_FORK && event.generation == 43, "... and so does each");
    current = answer(pf, exits_with, &failure);
    pf_suspend(pf);
    while (pf_num_workers(pf) > 0) {
        event = wait_for(pf, 0);
        if (event.type != PF_EVENT_REAPED)
            continue;
        if (event.pid == old)
            ok(event.generation == 42 && event.reason == PF_REASON_ENDED,
                "a failure in an earlier generation is none");
        else
            ok(event.pid == current && event.generation == 43 && event.reason == PF_REASON_FAILED,
                "a failure in the current one is one");
    }
    pf_free(pf);
}

/* ---- after a fork of the host's own */

static ino_t file_of(int fd)
{
    struct stat stat_of;
    return fstat(fd, &stat_of) == 0 ? stat_of.st_ino : 0;
}

static ino_t pipe_of_parent;

static void becomes_manager(void *data)
{
    pf_t *pf = data;
    pf_event event;
    CHECK(pf_set_max_workers(pf, 1) == PF_ERR_WRONG_PROCESS);
    CHECK(pf_next(pf, &event) == PF_ERR_WRONG_PROCESS);
    CHECK(pf_become_manager(pf) == PF_OK);
    CHECK(pf_num_workers(pf) == 0 && pf_next_worker(pf, 0) == 0);
    CHECK(pf_generation(pf) == 1);
    /* With the same pipe, each would take the other's wake-ups. */
    pf_suspend(pf);
    event = next(pf);
    CHECK(event.type == PF_EVENT_WAIT && file_of(event.fd) != pipe_of_parent);
    CHECK(pf_set_max_workers(pf, 1) == PF_OK);
    CHECK(pf_begin(pf) == PF_OK && pf_generation(pf) == 2);
    event = wait_for(pf, -1);
    CHECK(event.type == PF_EVENT_FORK && event.index == 0 && event.generation == 2);
    answer(pf, until_killed, NULL);
    kill(getpid(), SIGHUP);
    event = wait_for(pf, -1);
    CHECK(event.type == PF_EVENT_STOPPED && event.signal == SIGHUP);
    CHECK(pf_signal_all_children(pf, SIGKILL) == PF_OK);
    CHECK(pf_wait_all_children(pf, -1, NULL) == PF_OK);
    pf_free(pf);
}

/* A child that is no manager has the handlers of one. */
static void is_signalled(void *data)
{
    (void)data;
    CHECK(raise(SIGCHLD) == 0);
    /* No manager of this process traps it: it ends the process, as it would without the library. */
    raise(SIGHUP);
}

static void begins(void *data)
{
    pf_t *pf = data;
    pf_event event;
    CHECK(pf_begin(pf) == PF_OK);
    CHECK(pf_num_workers(pf) == 0);
    event = wait_for(pf, -1);
    CHECK(event.type == PF_EVENT_FORK && event.index == 0);
    pf_fork_failed(pf, NULL);
    pf_free(pf);
}

static void own_forks(void)
{
    pf_t *pf = pf_new();
    pf_event event;
    sigset_t chld;
    size_t left = 99;
    int fd;
    pid_t pid;
    pf_set_max_workers(pf, 2);
    pf_trap_signal(pf, SIGHUP, SIGTERM, 0);
    pf_watch_children(pf);
    pf_begin(pf);
    next(pf);
    pid = answer(pf, until_killed, NULL);
    pf_suspend(pf);
    pipe_of_parent = file_of(next(pf).fd);
    pf_resume(pf);
    is_int(pf_become_manager(pf), PF_OK, "pf_become_manager in the manager does nothing");
    is_int(pf_num_workers(pf), 1, "... to its workers");
    pf_suspend(pf);
    pf_set_reap_foreign(pf, false);
    pf_next(pf, &event);
    fd = event.fd;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    /* The end of that child is a sign as well, which has to wait until this has looked. */
    pthread_sigmask(SIG_BLOCK, &chld, NULL);
    is_int(in_child(is_signalled, NULL), 128 + SIGHUP, "a child that is signalled ends");
    ok(!is_readable(fd), "... wakes nobody");
    pthread_sigmask(SIG_UNBLOCK, &chld, NULL);
    pf_set_reap_foreign(pf, true);
    pf_resume(pf);
    is_int(in_child(becomes_manager, pf), 0, "a child becomes the manager of a pool of its own");
    is_int(in_child(begins, pf), 0, "... by pf_begin, too");
    event = next(pf);
    ok(event.type == PF_EVENT_FORK && event.index == 1, "its parent goes on as before");
    pf_fork_failed(pf, NULL);
    is_int(pf_peek_signal(pf), 0, "... knows nothing of the child's signals");
    kill(getpid(), SIGHUP);
    is_int(wait_for(pf, -1).type, PF_EVENT_STOPPED, "... has its traps");
    pf_drain(pf, -1);
    event = wait_for(pf, -1);
    ok(event.pid == pid && WTERMSIG(event.status) == SIGTERM, "... and its worker");
    is_int(pf_wait_all_children(pf, -1, &left), PF_OK, "nobody is left");
    pf_free(pf);
}

/* ---- many that are waited for */

static void put_off(void)
{
    enum { WORKERS = 300 };
    pf_t *pf = pf_new();
    pf_event event;
    int turns = 0;

    fork_workers(pf, WORKERS, until_killed, NULL);
    pf_drain(pf, -1);
    ok(next(pf).type == PF_EVENT_WAIT, "many are waited for, and all run");
    /* It is over before we look if the machine has had something else to do. */
    do {
        pf_child_ended(pf, 0);
        event = next(pf);
    } while (!event.may_block_sigchld && turns++ < 10000);
    ok(event.type == PF_EVENT_WAIT && event.may_block_sigchld == 1 && event.timeout > 0 && event.timeout < 0.01,
        "after a look that found none the next is put off, until which SIGCHLD tells nothing new");
    usleep(1000);
    event = next(pf);
    ok(event.type == PF_EVENT_WAIT && event.may_block_sigchld == 0, "... once");
    pf_suspend(pf);
    pf_child_ended(pf, 0);
    event = next(pf);
    ok(event.type == PF_EVENT_WAIT && event.may_block_sigchld == 0, "... and none if nobody waits for all of them");
    finish(pf);
}

/* ---- SIGCHLD that names a child */

/* Waits until a child has ended, and leaves it as it is. */
static void until_ended(pid_t pid)
{
    siginfo_t info;
    while (waitid(P_PID, pid, &info, WEXITED | WNOWAIT) < 0)
        if (errno != EINTR)
            abort();
}

static void named(void)
{
    pf_t *pf = pf_new();
    pf_event event;
    pid_t pid[3], other;
    int i, status;

    pf_set_max_workers(pf, 3);
    pf_begin(pf);
    for (i = 0; i < 3; i++) {
        next(pf);
        pid[i] = answer(pf, until_killed, NULL);
    }
    is_int(next(pf).type, PF_EVENT_WAIT, "three workers run");
    for (i = 0; i < 3; i++) {
        kill(pid[i], SIGKILL);
        until_ended(pid[i]);
    }
    pf_set_err_respawn_interval(pf, 0);
    is_int(pf_child_ended(pf, pid[2]), PF_OK, "pf_child_ended");
    is_int(pf_child_ended(pf, pid[1]), PF_OK, "... of another one");
    for (i = 2; i > 0; i--) {
        event = next(pf);
        ok(event.type == PF_EVENT_REAPED && event.pid == pid[i] && WTERMSIG(event.status) == SIGKILL
                && event.reason == PF_REASON_FAILED && event.index == (uint32_t)i,
            "the one that was named is reaped before others");
        event = next(pf);
        ok(event.type == PF_EVENT_FORK && event.index == (uint32_t)i, "... and replaced");
        pid[i] = answer(pf, until_killed, NULL);
    }
    event = next(pf);
    ok(event.type == PF_EVENT_REAPED && event.pid == pid[0], "the one that nobody has named is found too");
    next(pf);
    pid[0] = answer(pf, until_killed, NULL);

    /* Those that have not ended, or are no workers, are a notice and no more. */
    pf_child_ended(pf, pid[1]);
    pf_child_ended(pf, 0);
    pf_child_ended(pf, -1);
    pf_child_ended(pf, INT32_MIN);
    pf_child_ended(pf, getpid());
    is_int(next(pf).type, PF_EVENT_WAIT, "nobody has ended");
    is_int(pf_num_workers(pf), 3, "... and all are there");
    kill(pid[1], SIGSTOP);
    waitpid(pid[1], &status, WUNTRACED);
    pf_child_ended(pf, pid[1]);
    is_int(next(pf).type, PF_EVENT_WAIT, "one was only stopped");
    pf_set_reap_foreign(pf, false);
    other = own_child(5);
    until_ended(other);
    pf_child_ended(pf, other);
    is_int(next(pf).type, PF_EVENT_WAIT, "a foreign child that is somebody else's is not reaped");
    ok(waitpid(other, &status, WNOHANG) == other && WEXITSTATUS(status) == 5, "... and can be waited for");
    kill(pid[2], SIGKILL);
    until_ended(pid[2]);
    pf_child_ended(pf, pid[2]);
    ok(next(pf).pid == pid[2], "a worker is");
    next(pf);
    pf_fork_failed(pf, NULL);
    pf_suspend(pf);
    pf_set_reap_foreign(pf, true);
    kill(pid[0], SIGKILL);
    waitpid(pid[0], &status, 0);
    pf_child_ended(pf, pid[0]);
    event = wait_for(pf, -1);
    ok(event.pid == pid[0] && event.reason == PF_REASON_STOLEN, "one that somebody else has reaped is noticed");
    finish(pf);
}

/* ---- facts without a manager */

static void facts(void)
{
    static const int codes[] = { PF_OK, PF_IN_WORKER, PF_ERR_NULL, PF_ERR_INVALID_ARGUMENT,
        PF_ERR_WRONG_STATE, PF_ERR_WRONG_PROCESS, PF_ERR_SYSTEM, PF_ERR_PANIC, PF_ERR_NO_SLOT,
        PF_ERR_STOPPING, PF_ERR_TIMED_OUT };
    static const int unknown[] = { -1, 11, 4711, INT32_MIN, INT32_MAX };
    const int n = sizeof codes / sizeof *codes;
    int i, j, distinct = 0, same = 0;
    char version[32];
    for (i = 0; i < n; i++) {
        int differs = strlen(pf_strerror(codes[i])) > 0;
        for (j = 0; j < i; j++)
            differs &= strcmp(pf_strerror(codes[i]), pf_strerror(codes[j])) != 0;
        distinct += differs && strcmp(pf_strerror(codes[i]), pf_strerror(-1)) != 0;
    }
    is_int(distinct, n, "each result code has words of its own");
    for (i = 0; i < 5; i++)
        same += strcmp(pf_strerror(unknown[i]), "unknown result code") == 0;
    is_int(same, 5, "... so have those that do not exist, the same");
    is_str(pf_strerror(PF_OK), "success", "PF_OK");

    is_str(pf_version(), PF_VERSION, "the library is of the header's version");
    snprintf(version, sizeof version, "%d.%d.%d", PF_VERSION_NUMBER >> 16,
        PF_VERSION_NUMBER >> 8 & 255, PF_VERSION_NUMBER & 255);
    is_str(version, PF_VERSION, "... which is the same as a number");
}

int main(void)
{
    begin();
    steps();
    goals();
    fork_failures();
    waiting();
    masks();
    strangers();
    kept();
    stopping();
    demands();
    shares_the_lead();
    generations();
    own_forks();
    put_off();
    named();
    facts();
    return done();
}
