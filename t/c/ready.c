/* pf_set_ready_timeout: a worker that is not ready in time is killed, once and not before its time, and replaced; one that
 * has said so is not. pf_watch_ready: each worker that gets ready is told, once. */

#include "tap.h"

#define TIMEOUT 0.2
#define LONG 3600

/* What the workers and the manager have in common. */
static struct shared {
    int there, told, said, forked, ended;
    double ended_at;
} *shared_memory;
#define S (*shared_memory)

/* What the hooks have seen. */
static struct {
    int reaped, killed, not_ready, late;
    double forks_at, first_at;
    pf_event first;
    char line[256];
} seen;

static void before_fork(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    if (seen.forks_at <= 0)
        seen.forks_at = now();
}

static void on_child_reap(pf_t *pf, const pf_event *exit, void *data)
{
    (void)data;
    if (!seen.reaped++) {
        seen.first_at = now();
        seen.first = *exit;
        pf_exit_line(pf, seen.line, sizeof seen.line);
    }
    seen.killed += WIFSIGNALED(exit->status) && WTERMSIG(exit->status) == SIGKILL;
    seen.not_ready += exit->cause == PF_CAUSE_NOT_READY;
    seen.late += exit->cause == PF_CAUSE_TIMEOUT;
    pf_signal(pf, SIGURG);
}

static pf_t *manager(double timeout)
{
    pf_t *pf = pf_new();
    memset(&seen, 0, sizeof seen);
    memset(shared_memory, 0, sizeof S);
    is_int(pf_set_ready_timeout(pf, timeout), PF_OK, "pf_set_ready_timeout");
    pf_set_err_respawn_interval(pf, 0);
    pf_set_max_workers(pf, 1);
    pf_set_before_fork(pf, before_fork, NULL);
    pf_set_on_child_reap(pf, on_child_reap, NULL);
    return pf;
}

/* Runs until the first worker has ended, which has to be killed as it was not ready. */
static void is_killed(pf_t *pf, pf_worker_fn work, void *data, const char *who)
{
    seen.forks_at = 0;
    is_int(pf_start(pf, work, data), PF_OK, "%s ends", who);
    is_int(seen.first.status, SIGKILL, "... by KILL");
    is_int((intmax_t)seen.first.cause, PF_CAUSE_NOT_READY, "... as it was not ready");
    at_least(seen.first_at - seen.forks_at, TIMEOUT, "... not before its time is over");
}

static void one_that_says_nothing(void)
{
    pf_t *pf = manager(TIMEOUT);
    pf_event event;
    is_killed(pf, until_killed, NULL, "a worker that never says that it is ready");
    is_int((intmax_t)seen.first.reason, PF_REASON_FAILED, "... which is a failure");
    is_int(seen.first.sent_signal, SIGKILL, "... and was sent KILL alone");
    has(seen.line, "was killed by SIGKILL after ", "... which is said to people");
    has(seen.line, " s: ready_timeout of 0.2 s", "... and why");
    pf_set_err_respawn_interval(pf, LONG);
    is_int(pf_start(pf, until_killed, NULL), PF_OK, "its successor is killed, too");
    pf_begin(pf);
    is_int(pf_wait(pf, 0.5, &event), PF_OK, "... then comes the pause after a failure");
    is_int((intmax_t)event.type, PF_EVENT_WAIT, "... and no fork");
    finish(pf);
}

static int32_t stops(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    raise(SIGSTOP);
    return 99;
}

/* Its child is no worker: what that says is nothing. */
static int32_t forks(pf_t *pf, void *data)
{
    if (fork() == 0) {
        CHECK(pf_ready(pf) == PF_OK);
        CHECK(pf_busy(pf, 0) == PF_OK);
        CHECK(pf_idle(pf) == PF_OK);
        ADD(S.said, 1);
        _exit(checks());
    }
    return until_killed(pf, data);
}

/* So do libraries hang that take a lock in a worker which another thread has held at the fork. */
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static int32_t takes_the_lock(pf_t *pf, void *data)
{
    (void)data;
    ADD(S.there, 1);
    pthread_mutex_lock(&held);
    CHECK(pf_ready(pf) == PF_OK);
    return 99;
}

static void *holds_the_lock(void *data)
{
    (void)data;
    pthread_mutex_lock(&held);
    SET(S.told, 1);
    UNTIL(GET(S.ended));
    pthread_mutex_unlock(&held);
    return NULL;
}

static void a_lock_at_the_fork(void)
{
    pthread_t thread;
    pf_t *pf = manager(TIMEOUT);
    CHECK(pthread_create(&thread, NULL, holds_the_lock, NULL) == 0);
    UNTIL(GET(S.told));
    is_killed(pf, takes_the_lock, NULL, "a worker that waits for a lock which a thread held at the fork");
    SET(S.ended, 1);
    pthread_join(thread, NULL);
    finish(pf);
}

static int32_t ticks(pf_t *pf, void *data)
{
    CHECK(pf_tick(pf, LONG) == PF_OK);
    return until_killed(pf, data);
}

static void others_that_are_killed(void)
{
    pf_t *pf = manager(TIMEOUT);
    is_killed(pf, stops, NULL, "a worker that is stopped");
    finish(pf);
    pf = manager(TIMEOUT);
    is_killed(pf, ticks, NULL, "a worker that only says that it goes on");
    finish(pf);
    pf = manager(TIMEOUT);
    is_killed(pf, forks, NULL, "a worker whose child says that it is ready");
    UNTIL(GET(S.said) >= 1);
    finish(pf);
}

/* Each says it in its own way. */
static pf_t *own_handle;

static void says_so(int signal)
{
    (void)signal;
    CHECK(pf_ready(own_handle) == PF_OK);
}

static int32_t is_ready(pf_t *pf, void *data)
{
    (void)data;
    own_handle = pf;
    switch (pf_worker_index(pf)) {
        case 0:
            CHECK(pf_ready(pf) == PF_OK);
            break;
        case 1:
            CHECK(pf_busy(pf, 0) == PF_OK);
            break;
        case 2:
            CHECK(pf_idle(pf) == PF_OK);
            break;
        case 3:
            CHECK(pf_wait_readable(pf, NULL, 0, 0, NULL) == PF_ERR_TIMED_OUT);
            break;
        default:
            signal(SIGUSR1, says_so);
            raise(SIGUSR1);
            break;
    }
    if (checks() == 0)
        ADD(S.said, 1);
    return until_killed(pf, NULL);
}
#define WAYS 5

/* The manager does not look meanwhile, however long that takes: nobody has to be quick. */
static void wait_until_it_has_said_so(pf_t *pf, int32_t pid, void *data)
{
    const struct forks_wanted *forks = data;
    UNTIL(GET(S.said) == (int)forks->forked + 1);
    stop_when_forked(pf, pid, data);
}

/* Runs until `more` workers have been forked beside those that are there; the hook counts them. */
static void fork_more(pf_t *pf, uint32_t more, pf_worker_fn work, pf_after_fork_fn hook)
{
    struct forks_wanted forks = { 0, more };
    pf_set_max_workers(pf, (uint32_t)pf_num_workers(pf) + more);
    pf_set_after_fork(pf, hook, &forks);
    CHECK(pf_start(pf, work, NULL) == PF_OK && forks.forked == more);
    pf_set_after_fork(pf, NULL, NULL);
}

/* The same, and each of them has said it. */
static void fork_ready(pf_t *pf, uint32_t workers, pf_worker_fn work)
{
    fork_more(pf, workers, work, wait_until_it_has_said_so);
}

static void who_has_said_so_lives(void)
{
    pf_t *pf = manager(TIMEOUT);
    size_t left = 99;
    fork_ready(pf, WAYS, is_ready);
    pf_wait_all_children(pf, 4 * TIMEOUT, &left);
    is_int((intmax_t)left, WAYS, "workers that have said that they are ready live on");
    is_int(seen.reaped, 0, "... all of them");
    pf_set_max_workers(pf, WAYS + 1);
    is_killed(pf, until_killed, NULL, "one beside them that does not");
    is_int(seen.reaped, 1, "... and no other does");
    finish(pf);
}

static void takes_it_back(pf_t *pf, int32_t pid, void *data)
{
    CHECK(pf_set_ready_timeout(pf, 0) == PF_OK);
    stop_when_forked(pf, pid, data);
}

static void set_in_a_run(void)
{
    pf_t *pf = manager(0);
    size_t left = 99;
    fork_workers(pf, 1, until_killed, NULL);
    is_int(pf_set_ready_timeout(pf, TIMEOUT), PF_OK, "a time-out, when a worker is there");
    pf_wait_all_children(pf, 3 * TIMEOUT, &left);
    is_int((intmax_t)left, 1, "... does not count for that one");
    pf_set_ready_timeout(pf, LONG);
    fork_more(pf, 1, until_killed, stop_when_forked);
    pf_set_ready_timeout(pf, TIMEOUT);
    pf_wait_all_children(pf, 3 * TIMEOUT, &left);
    is_int((intmax_t)left, 2, "... nor does it for one that has more time");
    pf_set_max_workers(pf, 3);
    is_killed(pf, until_killed, NULL, "one that is forked then");
    is_int(seen.reaped, 1, "... and no other does");
    finish(pf);

    pf = manager(TIMEOUT);
    fork_more(pf, 1, until_killed, takes_it_back);
    pf_wait_all_children(pf, 3 * TIMEOUT, &left);
    is_int((intmax_t)left, 1, "a time-out that is taken back is so for all");
    finish(pf);
}

/* Together with other time-outs. The worker with index 0 does not end, 1 is busy for ever once it is told, and 2 is not
 * ready: so nobody is late before all are there. */
static int32_t by_index(pf_t *pf, void *data)
{
    const int32_t index = pf_worker_index(pf);
    signal(SIGTERM, SIG_IGN);
    if (index < 2)
        CHECK(pf_ready(pf) == PF_OK);
    ADD(S.said, 1);
    if (index == 1) {
        UNTIL(GET(S.told));
        CHECK(pf_busy(pf, 0) == PF_OK);
    }
    return until_killed(pf, data);
}

static int has_grace_over;

static void tell_the_last(pf_t *pf, const pf_event *exit, void *data)
{
    on_child_reap(pf, exit, data);
    has_grace_over += (exit->flags & PF_EXIT_GRACE_OVER) != 0;
    if (seen.reaped == 2)
        pf_signal_all_children(pf, SIGTERM);
}

static void three_times(void)
{
    pf_t *pf = manager(TIMEOUT);
    size_t left = 99;
    pf_set_worker_timeout(pf, TIMEOUT, 0);
    pf_set_graceful_timeout(pf, TIMEOUT);
    pf_set_on_child_reap(pf, tell_the_last, NULL);
    fork_ready(pf, 3, by_index);
    SET(S.told, 1);
    pf_wait_all_children(pf, -1, &left);
    is_int((intmax_t)seen.killed, 3, "of three workers that hang each is killed");
    is_int(seen.not_ready, 1, "... one as it was not ready");
    is_int(seen.late, 1, "... one as it was busy for too long");
    is_int(has_grace_over, 1, "... one as it did not end");
    pf_free(pf);
}

static int32_t is_never_ready(pf_t *pf, void *data)
{
    signal(SIGTERM, SIG_IGN);
    ADD(S.said, 1);
    return until_killed(pf, data);
}

static void tells_to_end(pf_t *pf, int32_t pid, void *data)
{
    UNTIL(GET(S.said) == 1);
    CHECK(pf_signal_all_children(pf, SIGTERM) == PF_OK);
    stop_when_forked(pf, pid, data);
}

static void told_to_end(void)
{
    pf_t *pf = manager(TIMEOUT);
    size_t left = 99;
    pf_set_graceful_timeout(pf, LONG);
    fork_more(pf, 1, is_never_ready, tells_to_end);
    pf_wait_all_children(pf, 3 * TIMEOUT, &left);
    is_int((intmax_t)left, 1, "for a worker that was told to end only the time for that counts");
    pf_set_graceful_timeout(pf, 0);
    finish(pf);
}

/* The event. */

/* The next event that is no WAIT. */
static pf_event next_of(pf_t *pf)
{
    pf_event event;
    do {
        if (!CHECK(pf_wait(pf, -1, &event) == PF_OK))
            abort();
    } while (event.type == PF_EVENT_WAIT);
    return event;
}

/* The descriptor of WAIT, when nothing is left to tell. The first look may leave a byte there. */
static int wait_fd(pf_t *pf)
{
    pf_event event;
    int waits = 0;
    while (waits < 2) {
        if (!CHECK(pf_wait(pf, 0, &event) == PF_OK))
            abort();
        waits += event.type == PF_EVENT_WAIT;
    }
    return event.fd;
}

static int32_t says_it_again_and_again(pf_t *pf, void *data)
{
    int i;
    (void)data;
    UNTIL(GET(S.told) == 1);
    CHECK(pf_ready(pf) == PF_OK);
    ADD(S.there, 1);
    UNTIL(GET(S.told) == 2);
    for (i = 0; i < 1000; i++)
        CHECK(pf_ready(pf) == PF_OK && pf_busy(pf, 0) == PF_OK && pf_idle(pf) == PF_OK);
    ADD(S.said, 1);
    return until_killed(pf, NULL);
}

static void is_told_once(double timeout)
{
    pf_t *pf = manager(timeout);
    pf_event event;
    pid_t pid;
    is_int(pf_watch_ready(pf), PF_OK, "pf_watch_ready");
    fork_workers(pf, 1, says_it_again_and_again, NULL);
    pid = pf_next_worker(pf, 0);
    pf_suspend(pf);
    SET(S.told, 1);
    /* If it is slow it has lived for a second. */
    UNTIL(GET(S.there));
    event = next_of(pf);
    is_int((intmax_t)event.type, PF_EVENT_READY, "a worker that says that it is ready");
    is_int(event.pid, pid, "... by its pid");
    is_int((intmax_t)event.index, 0, "... its index");
    is_int((intmax_t)event.generation, 1, "... and its generation");
    is_int(is_readable(wait_fd(pf)), 0, "... is told once");
    SET(S.told, 2);
    UNTIL(GET(S.said));
    is_int(is_readable(wait_fd(pf)), 0, "... and wakes the manager no more, however often it says so");
    pf_signal_all_children(pf, SIGKILL);
    event = next_of(pf);
    is_int((intmax_t)event.type, PF_EVENT_REAPED, "... the next event is its end");
    pf_free(pf);
}

static void is_told_when_it_has_lived(void)
{
    pf_t *pf = manager(0);
    pf_event event;
    double forked_at;
    pf_watch_ready(pf);
    forked_at = now();
    fork_workers(pf, 2, until_killed, NULL);
    pf_suspend(pf);
    event = next_of(pf);
    is_int((intmax_t)event.type, PF_EVENT_READY, "a worker that says nothing is ready");
    at_least(now() - forked_at, 1, "... after a second");
    event = next_of(pf);
    is_int((intmax_t)event.type, PF_EVENT_READY, "... as is another one");
    is_int((intmax_t)event.index, 1, "... with its own index");
    finish(pf);

    pf = manager(TIMEOUT);
    pf_watch_ready(pf);
    fork_workers(pf, 1, until_killed, NULL);
    pf_suspend(pf);
    event = next_of(pf);
    is_int((intmax_t)event.type, PF_EVENT_REAPED, "one that had to say it is not");
    is_int((intmax_t)event.cause, PF_CAUSE_NOT_READY, "... but is killed");
    pf_free(pf);
}

static void is_not_told_where_nobody_asks(void)
{
    pf_t *pf = manager(LONG);
    pf_event event;
    int fd;
    fork_ready(pf, 1, is_ready);
    pf_suspend(pf);
    pf_signal_all_children(pf, SIGKILL);
    event = next_of(pf);
    is_int((intmax_t)event.type, PF_EVENT_REAPED, "without pf_watch_ready there is no event of it");
    is_int(pf_ready(pf), PF_ERR_WRONG_PROCESS, "pf_ready in the manager");
    pf_free(pf);

    pf = manager(LONG);
    fork_workers(pf, 1, says_it_again_and_again, NULL);
    pf_suspend(pf);
    fd = wait_fd(pf);
    SET(S.told, 1);
    UNTIL(GET(S.there));
    is_int(is_readable(fd), 0, "... nor is the manager woken for it");
    finish(pf);

    pf = manager(0);
    pf_watch_ready(pf);
    fork_ready(pf, WAYS, is_ready);
    is_int((intmax_t)pf_num_workers(pf), WAYS, "pf_start goes on after such events");
    pf_wait_all_children(pf, 0, NULL);
    finish(pf);
}

/* The worker has the end of a pipe that is not the manager's any more. It says it when the manager has looked for children
 * once more, a second after code of the host has run. */
static int32_t says_it_late(pf_t *pf, void *data)
{
    double told_at;
    UNTIL(GET(S.told));
    told_at = now();
    while (now() < told_at + 2.5)
        nap();
    CHECK(pf_ready(pf) == PF_OK);
    return until_killed(pf, data);
}

static void is_told_without_the_pipe(void)
{
    pf_t *pf = manager(LONG);
    pf_event event;
    pf_watch_ready(pf);
    fork_workers(pf, 1, says_it_late, NULL);
    pf_suspend(pf);
    close(wait_fd(pf));
    wait_fd(pf);
    SET(S.told, 1);
    event = next_of(pf);
    is_int((intmax_t)event.type, PF_EVENT_READY, "a worker is ready that was forked before the pipe was closed");
    finish(pf);
}

#ifdef __linux__
#include <sys/ptrace.h>

static void cannot_trace(void *data)
{
    (void)data;
    _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : 1);
}

static void seize(pf_t *pf, int32_t pid, void *data)
{
    CHECK(ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0);
    stop_when_forked(pf, pid, data);
}

static void is_traced(void)
{
    pf_t *pf = manager(TIMEOUT);
    size_t left = 99;
    pid_t pid;
    int status;
    if (is_under_valgrind() || HEAP_HAS_NO_FORK || in_child(cannot_trace, NULL) != 0) {
        skip("a worker that is traced", "ptrace is not to be had here");
        pf_free(pf);
        return;
    }
    fork_more(pf, 1, until_killed, seize);
    pid = pf_next_worker(pf, 0);
    pf_wait_all_children(pf, 4 * TIMEOUT, &left);
    is_int((intmax_t)left, 1, "a worker that is traced is not killed");
    CHECK(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
    CHECK(ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0);
    pf_wait_all_children(pf, -1, &left);
    is_int(seen.not_ready, 1, "... until it is not traced any more");
    pf_free(pf);
}

/* The manager is stopped before its workers have to be ready, and goes on when that is over. */
static double span;

static int32_t is_ready_when_told(pf_t *pf, void *data)
{
    ADD(S.there, 1);
    if (pf_worker_index(pf) == 0) {
        UNTIL(GET(S.told));
        CHECK(pf_ready(pf) == PF_OK);
        ADD(S.said, 1);
    }
    return until_killed(pf, data);
}

static void manages(void)
{
    size_t left = 99;
    pf_t *pf = pf_new();
    pf_set_ready_timeout(pf, span);
    pf_set_on_child_reap(pf, on_child_reap, NULL);
    fork_workers(pf, 2, is_ready_when_told, NULL);
    SET(S.forked, 1);
    while (seen.reaped == 0)
        pf_wait_all_children(pf, 0.1, &left);
    S.ended_at = seen.first_at;
    CHECK(left == 1 && seen.not_ready == 1 && seen.first.index == 1);
    pf_wait_all_children(pf, 0.5, &left);
    CHECK(left == 1);
    finish(pf);
    _exit(checks());
}

static void is_late_itself(void)
{
    double begun_at, forked_at, goes_on_at;
    pid_t pid;
    int status, is_in_time;
    span = 0.5;
    do {
        /* Whoever is slow to stop it does so too late. */
        span *= 2;
        memset(shared_memory, 0, sizeof S);
        memset(&seen, 0, sizeof seen);
        fflush(stdout);
        begun_at = now();
        pid = fork();
        if (pid == 0)
            manages();
        UNTIL(GET(S.forked) && GET(S.there) == 2);
        forked_at = now();
        while (now() < forked_at + span / 4)
            nap();
        kill(pid, SIGSTOP);
        CHECK(waitpid(pid, &status, WUNTRACED) == pid);
        is_in_time = WIFSTOPPED(status) && now() < begun_at + span - 0.1;
        if (!is_in_time && WIFSTOPPED(status)) {
            SET(S.told, 1);
            kill(pid, SIGKILL);
            CHECK(waitpid(pid, &status, 0) == pid);
        }
    } while (!is_in_time);
    SET(S.told, 1);
    UNTIL(GET(S.said));
    while (now() < forked_at + span + 2)
        nap();
    goes_on_at = now();
    kill(pid, SIGCONT);
    CHECK(waitpid(pid, &status, 0) == pid);
    is_int(status, 0, "a manager that was stopped kills nobody who was ready meanwhile");
    at_least(S.ended_at - goes_on_at, span < 1.5 ? span : 1.5,
        "... and gives one that was not as long a time as it was late");
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
    one_that_says_nothing();
    others_that_are_killed();
    a_lock_at_the_fork();
    who_has_said_so_lives();
    set_in_a_run();
    three_times();
    told_to_end();
    is_told_once(0);
    is_told_once(LONG);
    is_told_when_it_has_lived();
    is_not_told_where_nobody_asks();
    is_told_without_the_pipe();
    is_traced();
    is_late_itself();
    is_int(checks(), 0, "nothing else has failed in this process");
    return done();
}
