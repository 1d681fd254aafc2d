/* pf_wait_readable, pf_stopping, pf_stop_fd: a worker leaves when it is told to or its manager is gone, and not for
 * anything else; and its signals do what the program has said. */

#define _GNU_SOURCE
#include "tap.h"

#include <math.h>
#include <stddef.h>

#ifdef __linux__
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#define LEFT 7 /* what a worker returns that has left its wait as it should */
#define ROUNDS 10

/* Workers that are there; shared memory. */
static int *there;

/* What the hook has seen. */
static struct {
    int reaped, left;
} seen;

static void on_child_reap(pf_t *pf, const pf_event *exit, void *data)
{
    (void)pf;
    (void)data;
    seen.reaped++;
    seen.left += WIFEXITED(exit->status) && WEXITSTATUS(exit->status) == LEFT;
}

static int32_t waits(pf_t *pf, void *data)
{
    (void)data;
    CHECK(pf_stopping(pf) == PF_STOP_NONE);
    ADD(*there, 1);
    CHECK(pf_wait_readable(pf, NULL, 0, -1, NULL) == PF_ERR_STOPPING);
    CHECK(pf_stopping(pf) == PF_STOP_SIGNAL);
    CHECK(pf_wait_readable(pf, NULL, 0, -1, NULL) == PF_ERR_STOPPING);
    return checks() ? 1 : LEFT;
}

static pf_t *manager(uint32_t workers, pf_worker_fn work, void *data)
{
    pf_t *pf = pf_new();
    memset(&seen, 0, sizeof seen);
    SET(*there, 0);
    pf_set_on_child_reap(pf, on_child_reap, NULL);
    pf_trap_signal(pf, SIGTERM, SIGTERM, 0);
    fork_workers(pf, workers, work, data);
    UNTIL(GET(*there) == (int)workers || seen.reaped);
    return pf;
}

static void all_leave(pf_t *pf, int signal, const char *what)
{
    const int workers = (int)pf_num_workers(pf);
    pf_signal_all_children(pf, signal);
    pf_wait_all_children(pf, -1, NULL);
    is_int(seen.left, workers, "%s", what);
    pf_free(pf);
}

static void told_by_a_signal(void)
{
    all_leave(manager(3, waits, NULL), SIGTERM, "workers that wait leave by TERM");
    all_leave(manager(3, waits, NULL), SIGINT, "workers that wait leave by INT");
    all_leave(manager(3, waits, NULL), SIGQUIT, "workers that wait leave by QUIT");
}

/* The signal comes just before the wait, in it, and after some that were over at once. */
static int32_t waits_a_little_later(pf_t *pf, void *data)
{
    volatile int turns = 3000 * pf_worker_index(pf) * *(int *)data;
    pf_stopping(pf);
    ADD(*there, 1);
    while (turns > 0)
        turns--;
    for (turns = 0; turns < 3; turns++)
        pf_wait_readable(pf, NULL, 0, 0, NULL);
    return pf_wait_readable(pf, NULL, 0, -1, NULL) == PF_ERR_STOPPING ? LEFT : 1;
}

static void told_at_any_moment(void)
{
    int round, left = 0;
    for (round = 0; round < ROUNDS; round++) {
        pf_t *pf = manager(10, waits_a_little_later, &round);
        pf_signal_all_children(pf, SIGTERM);
        pf_wait_all_children(pf, -1, NULL);
        left += seen.left;
        pf_free(pf);
    }
    is_int(left, 10 * ROUNDS, "TERM at about the moment of the wait ends it, each time");
}

static void told_as_one_too_many(void)
{
    pf_t *pf = pf_new();
    pf_scoreboard_t *board = pf_scoreboard_new(NULL, 3);
    memset(&seen, 0, sizeof seen);
    SET(*there, 0);
    pf_set_scoreboard(pf, board);
    pf_set_spare_workers(pf, 3, 3, SIGUSR2);
    pf_set_on_child_reap(pf, on_child_reap, NULL);
    fork_workers(pf, 3, waits, NULL);
    UNTIL(GET(*there) == 3);
    all_leave(pf, SIGUSR2, "workers that wait leave by the stop_signal of pf_set_spare_workers");
    pf_scoreboard_free(board);
}

/* Handlers of the program's */

static volatile sig_atomic_t handled;
static volatile pid_t sender;

static void handler(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    handled++;
    sender = info->si_pid;
}

static void handle(int signal)
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
    sigaction(signal, &action, NULL);
}

static int32_t handles(pf_t *pf, void *data)
{
    const pid_t parent = getppid();
    (void)data;
    handle(SIGTERM);
    CHECK(pf_stopping(pf) == PF_STOP_NONE);
    /* Another one, after the library's. */
    handle(SIGINT);
    CHECK(pf_wait_readable(pf, NULL, 0, 0, NULL) == PF_ERR_TIMED_OUT);
    raise(SIGINT);
    CHECK(handled == 1 && pf_stopping(pf) == PF_STOP_SIGNAL);
    ADD(*there, 1);
    UNTIL(handled == 2);
    CHECK(sender == parent);
    CHECK(pf_wait_readable(pf, NULL, 0, -1, NULL) == PF_ERR_STOPPING);
    return checks() ? 1 : LEFT;
}

static int32_t ignores(pf_t *pf, void *data)
{
    struct sigaction now;
    (void)data;
    signal(SIGINT, SIG_IGN);
    CHECK(pf_stopping(pf) == PF_STOP_NONE);
    signal(SIGQUIT, SIG_IGN);
    raise(SIGINT);
    CHECK(pf_wait_readable(pf, NULL, 0, 0.05, NULL) == PF_ERR_TIMED_OUT);
    raise(SIGQUIT);
    CHECK(pf_wait_readable(pf, NULL, 0, 0.05, NULL) == PF_ERR_TIMED_OUT);
    CHECK(sigaction(SIGINT, NULL, &now) == 0 && now.sa_handler == SIG_IGN);
    CHECK(sigaction(SIGQUIT, NULL, &now) == 0 && now.sa_handler == SIG_IGN);
    return waits(pf, NULL);
}

static int32_t blocks(pf_t *pf, void *data)
{
    sigset_t term, now;
    int fds[2], turns = 0;
    (void)data;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    CHECK(pipe(fds) == 0 && write(fds[1], "x", 1) == 1);
    CHECK(pf_stopping(pf) == PF_STOP_NONE);
    while (pf_wait_readable(pf, fds, 1, -1, NULL) == PF_OK) {
        if (turns++ == 0)
            ADD(*there, 1);
        nap();
    }
    sigprocmask(SIG_BLOCK, NULL, &now);
    CHECK(turns > 0 && same_mask(&now, &term));
    return checks() ? 1 : LEFT;
}

static int32_t gives_back(pf_t *pf, void *data)
{
    struct sigaction now;
    (void)data;
    handle(SIGINT);
    CHECK(pf_stopping(pf) == PF_STOP_NONE);
    CHECK(sigaction(SIGTERM, NULL, &now) == 0 && now.sa_handler != SIG_DFL);
    pf_free(pf);
    CHECK(sigaction(SIGTERM, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
    CHECK(sigaction(SIGQUIT, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
    CHECK(sigaction(SIGINT, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == handler);
    ADD(*there, 1);
    _exit(checks() ? 1 : LEFT);
}

static void handlers(void)
{
    all_leave(manager(1, handles, NULL), SIGTERM, "the program's own handlers run, with their siginfo, and the wait ends");
    all_leave(manager(1, ignores, NULL), SIGTERM, "signals that the program ignores stay ignored");
    all_leave(manager(1, blocks, NULL), SIGTERM,
        "TERM ends the wait even if the thread blocks it, and a descriptor is always readable");
    all_leave(manager(1, gives_back, NULL), 0, "pf_free in a worker gives the program's handlers back");
}

static int32_t interrupted(pf_t *pf, void *data)
{
    double begun;
    (void)data;
    handle(SIGUSR1);
    CHECK(pf_stopping(pf) == PF_STOP_NONE);
    ADD(*there, 1);
    do {
        begun = now();
        CHECK(pf_wait_readable(pf, NULL, 0, 0.1, NULL) == PF_ERR_TIMED_OUT);
        CHECK(now() - begun >= 0.1);
    } while (handled < 5);
    return checks() ? 1 : LEFT;
}

static void other_signals(void)
{
    pf_t *pf = manager(1, interrupted, NULL);
    size_t left = 1;
    while (left) {
        pf_signal_all_children(pf, SIGUSR1);
        pf_wait_all_children(pf, 0.02, &left);
    }
    is_int(seen.left, 1, "USR1 does not end the wait, and its handler runs meanwhile");
    pf_free(pf);
}

/* Children of a worker */

static int32_t has_children(pf_t *pf, void *data)
{
    int status, own;
    (void)data;
    handle(SIGINT);
    CHECK(pf_stopping(pf) == PF_STOP_NONE);
    for (own = 0; own < 2; own++) {
        pid_t pid = fork();
        if (pid == 0) {
            raise(own ? SIGINT : SIGTERM);
            CHECK(handled == 1);
            CHECK(pf_stopping(pf) == PF_STOP_NONE);
            CHECK(pf_wait_readable(pf, NULL, 0, 0, NULL) == PF_ERR_WRONG_PROCESS);
            CHECK(pf_stop_fd(pf) == -1);
            _exit(checks() ? 1 : 5);
        }
        waitpid(pid, &status, 0);
        CHECK(own ? WIFEXITED(status) && WEXITSTATUS(status) == 5 : WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
        CHECK(handled == 0 && pf_stopping(pf) == PF_STOP_NONE);
    }
    return waits(pf, NULL);
}

static void children(void)
{
    all_leave(manager(1, has_children, NULL), SIGTERM,
        "a child of a worker has the actions of before, tells the worker nothing, and cannot wait");
}

/* Descriptors */

static int32_t watches(pf_t *pf, void *data)
{
    int fds[3][2], ends[4], which = 99, i;
    (void)data;
    for (i = 0; i < 3; i++) {
        CHECK(pipe(fds[i]) == 0);
        ends[i] = fds[i][0];
    }
    CHECK(pf_wait_readable(pf, ends, 3, 0, &which) == PF_ERR_TIMED_OUT && which == 99);
    CHECK(write(fds[0][1], "x", 1) == 1 && write(fds[2][1], "x", 1) == 1);
    for (i = 0; i < 4; i++)
        CHECK(pf_wait_readable(pf, ends, 3, -1, &which) == PF_OK && which == (i % 2 ? 2 : 0));
    CHECK(pf_wait_readable(pf, ends + 1, 2, -1, NULL) == PF_OK);
    close(fds[1][1]);
    CHECK(pf_wait_readable(pf, ends + 1, 1, -1, &which) == PF_OK && which == 0);
    which = 99;
    close(ends[1]);
    CHECK(pf_wait_readable(pf, ends, 3, -1, &which) == PF_ERR_INVALID_ARGUMENT && which == 99);
    CHECK(strstr(pf_error_message(pf), "fds[1]"));
    ends[3] = -1;
    CHECK(pf_wait_readable(pf, ends + 2, 2, -1, &which) == PF_ERR_INVALID_ARGUMENT);
    CHECK(strstr(pf_error_message(pf), "fds[1] is -1"));
    CHECK(pf_wait_readable(pf, NULL, 1, 0, NULL) == PF_ERR_NULL);
    CHECK(pf_wait_readable(pf, ends, SIZE_MAX, 0, NULL) == PF_ERR_INVALID_ARGUMENT);
    CHECK(pf_wait_readable(pf, NULL, 0, NAN, NULL) == PF_ERR_INVALID_ARGUMENT);
    return waits(pf, NULL);
}

/* The descriptor of the library is closed by a program that closes what it does not know. */
static int32_t closes(pf_t *pf, void *data)
{
    const int fd = pf_stop_fd(pf);
    int other;
    (void)data;
    CHECK(fd > 2 && !is_readable(fd) && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
    for (other = fd - 4 < 3 ? 3 : fd - 4; other <= fd; other++)
        close(other);
    CHECK(pf_wait_readable(pf, NULL, 0, 0.01, NULL) == PF_ERR_TIMED_OUT);
    return waits(pf, NULL);
}

static int32_t has_loop(pf_t *pf, void *data)
{
    struct pollfd stop = { pf_stop_fd(pf), POLLIN, 0 };
    (void)data;
    CHECK(poll(&stop, 1, 0) == 0);
    ADD(*there, 1);
    while (poll(&stop, 1, -1) != 1)
        continue;
    CHECK(pf_stop_fd(pf) == stop.fd && is_readable(stop.fd));
    CHECK(pf_stopping(pf) == PF_STOP_SIGNAL);
    return checks() ? 1 : LEFT;
}

static void descriptors(void)
{
    all_leave(manager(1, watches, NULL), SIGTERM,
        "a worker is told which descriptor is readable, each in its turn, and which is not open");
    all_leave(manager(1, closes, NULL), SIGTERM, "a worker that has closed the library's descriptors leaves its wait");
    all_leave(manager(2, has_loop, NULL), SIGTERM, "pf_stop_fd becomes readable when a worker is to stop");
}

/* The pull API, and the manager itself */

static void pull(void)
{
    pf_t *pf = pf_new();
    pf_event event;
    pid_t pid;
    memset(&seen, 0, sizeof seen);
    SET(*there, 0);
    pf_set_max_workers(pf, 1);
    pf_watch_children(pf);
    pf_begin(pf);
    do
        pf_next(pf, &event);
    while (event.type != PF_EVENT_FORK);
    pid = fork();
    pf_forked(pf, pid);
    if (pid == 0)
        exit(waits(pf, NULL));
    UNTIL(GET(*there) == 1);
    is_int(pf_wait_readable(pf, NULL, 0, -1, NULL), PF_ERR_WRONG_PROCESS, "the manager has no such wait");
    has(pf_error_message(pf), "no worker", "... and is told so");
    is_int(pf_stopping(pf), PF_STOP_NONE, "... it is not to stop");
    is_int(pf_stop_fd(pf), -1, "... and has no descriptor for that");
    is_int(pf_set_stop_signal(pf, SIGUSR1), PF_ERR_WRONG_PROCESS, "... nor a signal");
    pf_signal_all_children(pf, SIGTERM);
    pf_suspend(pf);
    do
        pf_wait(pf, -1, &event);
    while (event.type != PF_EVENT_REAPED);
    ok(WIFEXITED(event.status) && WEXITSTATUS(event.status) == LEFT, "a worker of the pull API leaves its wait");
    pf_free(pf);
}

/* The end of the manager */

static struct {
    int reports[2]; /* a pipe for workers whose manager is gone */
    int waits_first, has_pidfd;
} orphan;

static int32_t is_orphan(pf_t *pf, void *data)
{
    const pid_t parent = getppid();
    char result;
    (void)data;
    if (orphan.waits_first)
        CHECK(pf_stopping(pf) == PF_STOP_NONE);
    ADD(*there, 1);
    if (!orphan.waits_first)
        UNTIL(getppid() != parent);
    CHECK(pf_wait_readable(pf, NULL, 0, -1, NULL) == PF_ERR_STOPPING);
    CHECK(pf_stopping(pf) == PF_STOP_MANAGER_GONE);
    CHECK(is_readable(pf_stop_fd(pf)));
    result = checks() ? '1' : '0';
    if (write(orphan.reports[1], &result, 1) != 1)
        return 1;
    return 0;
}

/* Refuses pidfd_open(2) to this process and all that it forks; false if the system does not let us. */
static int refuse_pidfd(void)
{
#if defined(__linux__) && defined(SYS_pidfd_open)
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
#else
    return 0;
#endif
}

#define CANNOT 3

static void manages_until_killed(void *data)
{
    (void)data;
    if (!orphan.has_pidfd && !refuse_pidfd())
        _exit(CANNOT);
    manager(2, is_orphan, NULL);
    raise(SIGKILL);
}

static void manager_is_killed(const char *what)
{
    char results[3] = "";
    int got = 0, status;
    if (pipe(orphan.reports) != 0)
        abort();
    status = in_child(manages_until_killed, NULL);
    close(orphan.reports[1]);
    if (status == CANNOT) {
        skip(what, "no filter of system calls here");
    } else {
        while (got < 2) {
            const ssize_t size = read(orphan.reports[0], results + got, sizeof results - 1 - (size_t)got);
            if (size <= 0)
                break;
            got += (int)size;
        }
        is_str(results, "00", "%s", what);
    }
    close(orphan.reports[0]);
}

static void manager_ends(void)
{
    orphan.has_pidfd = orphan.waits_first = 1;
    manager_is_killed("workers that wait leave when their manager is killed");
    orphan.waits_first = 0;
    manager_is_killed("workers leave that begin to wait when their manager is gone");
    orphan.has_pidfd = 0;
    orphan.waits_first = 1;
    manager_is_killed("workers leave, too, where the system has no pidfd_open(2)");
}

int main(void)
{
    begin();
    there = shared(sizeof *there);
    told_by_a_signal();
    told_at_any_moment();
    told_as_one_too_many();
    handlers();
    other_signals();
    children();
    descriptors();
    pull();
    manager_ends();
    checks();
    return done();
}
