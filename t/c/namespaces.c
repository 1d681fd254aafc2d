/* Processes with the same number in PID namespaces of their own: a manager that is PID 1, and a worker, or a helper
 * that the host has forked, that is PID 1 as well. The one is not taken for the other. */

#define _GNU_SOURCE
#include "tap.h"

#ifdef __linux__
#include <sched.h>
#include <sys/syscall.h>

/* Runs `code` in a child that is PID 1 of a new namespace; returns its exit status. Root is not needed where users may
 * have namespaces. */
static int as_first_process(void (*code)(void *data), void *data)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (unshare(CLONE_NEWPID) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
            _exit(77);
        _exit(in_child(code, data));
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void can_nest(void *data)
{
    (void)data;
    _exit(getpid() == 1 && unshare(CLONE_NEWPID) == 0 ? 0 : 77);
}

static pid_t foreign(int status)
{
    siginfo_t info;
    pid_t child = fork();
    if (child == 0)
        _exit(status);
    waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);
    return child;
}

/* A manager of its own, whose children are not mixed up with those of the process above. */
static void manages(void)
{
    pf_t *own = pf_new();
    pf_event event;
    pid_t child = foreign(9);
    CHECK(pf_num_workers(own) == 0);
    CHECK(pf_wait(own, 0, &event) == PF_OK);
    CHECK(event.type == PF_EVENT_REAPED && event.pid == child && event.reason == PF_REASON_FOREIGN);
    pf_set_max_workers(own, 1);
    pf_trap_signal(own, SIGUSR1, 0, 0);
    fork_workers(own, 1, until_killed, NULL);
    raise(SIGUSR1);
    CHECK(pf_peek_signal(own) == SIGUSR1);
    finish(own);
}

static int32_t is_first_too(pf_t *pf, void *data)
{
    pf_event event;
    (void)data;
    CHECK(getpid() == 1);
    CHECK(pf_worker_index(pf) == 0);
    CHECK(pf_next(pf, &event) == PF_ERR_WRONG_PROCESS);
    CHECK(pf_begin(pf) == PF_ERR_WRONG_PROCESS);
    manages();
    pf_free(pf);
    manages();
    return checks();
}

static int status_of_worker;

static void note_status(pf_t *pf, const pf_event *exit, void *data)
{
    (void)data;
    status_of_worker = exit->status;
    pf_signal(pf, SIGURG);
}

static void worker_of_first(void *data)
{
    pf_t *pf = pf_new();
    (void)data;
    CHECK(getpid() == 1);
    pf_set_max_workers(pf, 1);
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    pf_set_on_child_reap(pf, note_status, NULL);
    CHECK(unshare(CLONE_NEWPID) == 0);
    CHECK(pf_start(pf, is_first_too, NULL) == PF_OK);
    CHECK(status_of_worker == 0);
    pf_free(pf);
}

static void is_no_manager(pf_t *pf, pf_scoreboard_t *board)
{
    pf_event event;
    CHECK(getpid() == 1);
    /* Handlers of the manager's do nothing here. */
    raise(SIGUSR1);
    CHECK(pf_peek_signal(pf) != SIGUSR1);
    CHECK(pf_next(pf, &event) == PF_ERR_WRONG_PROCESS);
    CHECK(pf_signal_all_children(pf, SIGKILL) == PF_ERR_WRONG_PROCESS);
    CHECK(pf_set_max_workers(pf, 3) == PF_ERR_WRONG_PROCESS);
    CHECK(pf_num_workers(pf) == 1);
    CHECK(pf_scoreboard_len(board) == 5);
    manages();
    CHECK(pf_become_manager(pf) == PF_OK);
    CHECK(pf_num_workers(pf) == 0);
    CHECK(pf_rest(pf) == PF_OK);
    CHECK(pf_next(pf, &event) == PF_OK);
    raise(SIGUSR1);
    CHECK(pf_peek_signal(pf) == SIGUSR1);
    pf_free(pf);
}

/* `data`: whether the helper is made by clone(2), of which no library hears. */
static void helper_of_first(void *data)
{
    pf_scoreboard_t *board = pf_scoreboard_new(NULL, 3);
    pf_t *pf = pf_new();
    int status, ends[2];
    pid_t pid;
    char byte = 0;
    pf_set_max_workers(pf, 1);
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    fork_workers(pf, 1, until_killed, NULL);
    if (pipe(ends) != 0)
        abort();
    if (*(int *)data)
        pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
    else {
        CHECK(unshare(CLONE_NEWPID) == 0);
        pid = fork();
    }
    if (pid == 0) {
        tap.checks_failed = 0;
        tap_arm();
        if (read(ends[0], &byte, 1) != 1)
            abort();
        is_no_manager(pf, board);
        _exit(checks());
    }
    /* Its children see that by the memory that they share. */
    pf_scoreboard_grow(board, 5);
    if (write(ends[1], &byte, 1) != 1)
        abort();
    waitpid(pid, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(pf_num_workers(pf) == 1);
    pf_signal_all_children(pf, SIGKILL);
    CHECK(pf_wait_all_children(pf, -1, NULL) == PF_OK);
    pf_free(pf);
    pf_scoreboard_free(board);
}

/* Without MADV_WIPEONFORK nothing tells a child of clone(2) from its parent, if both are PID 1. */
static int forks_can_wipe(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int can = page != MAP_FAILED && madvise(page, size, MADV_WIPEONFORK) == 0;
    munmap(page, size);
    return can;
}

int main(void)
{
    int by_clone = 0;
    begin();
    /* LeakSanitizer looks at a process by its number outside of the namespace. */
    if (HEAP_HAS_NO_FORK) {
        skip("processes with the same number", "LeakSanitizer needs the number outside");
        return done();
    }
    if (as_first_process(can_nest, NULL) != 0) {
        skip("processes with the same number", "there are no PID namespaces here");
        return done();
    }
    is_int(as_first_process(worker_of_first, NULL), 0, "a worker that is PID 1, of a manager that is PID 1");
    is_int(as_first_process(helper_of_first, &by_clone), 0, "a helper that is PID 1, of a manager that is PID 1");
    by_clone = 1;
    if (forks_can_wipe())
        is_int(as_first_process(helper_of_first, &by_clone), 0, "... made by clone");
    else
        skip("... made by clone", "the system has no MADV_WIPEONFORK");
    return done();
}
#else
int main(void)
{
    begin();
    skip("processes with the same number", "for Linux, which has PID namespaces");
    return done();
}
#endif
