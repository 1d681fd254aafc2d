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

/* pf_process_number tells each of them from the others. */
static void numbers(void *data)
{
    const uint64_t first = pf_process_number();
    uint64_t next;
    pid_t child;
    int status;
    (void)data;
    CHECK(getpid() == 1 && first != 0 && pf_process_number() == first);
    CHECK(unshare(CLONE_NEWPID) == 0);
    child = fork();
    if (child == 0) {
        next = pf_process_number();
        CHECK(getpid() == 1 && next != 0 && next != first && pf_process_number() == next);
        child = fork();
        if (child == 0) {
            CHECK(pf_process_number() != first && pf_process_number() != next);
            _exit(checks());
        }
        waitpid(child, &status, 0);
        CHECK(status == 0);
        _exit(checks());
    }
    waitpid(child, &status, 0);
    CHECK(status == 0 && pf_process_number() == first);
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
    /* Handlers of the manager's pass it on to the program, which ignores it. */
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
    CHECK(pf_suspend(pf) == PF_OK);
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
    signal(SIGUSR1, SIG_IGN);
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

/* ---- a scoreboard, whose workers are all PID 1 */

/* What goes wrong may leave workers that wait for ever: the first process takes all others with it. */
#define MUST(what) \
    do { \
        if (!CHECK(what)) \
            _exit(1); \
    } while (0)

static pf_scoreboard_t *board;

static struct {
    char wanted[4], shown[4];
} *orders;

/* A fork into a PID namespace of its own, of which no library hears. */
static pid_t fork_as_first(void)
{
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid < 0)
        abort();
    if (pid == 0)
        tap_in_child();
    return pid;
}

static void obeys(int place)
{
    char status = 0;
    CHECK(getpid() == 1);
    while (1) {
        char wanted = GET(orders->wanted[place]);
        if (wanted && !status)
            CHECK(pf_scoreboard_claim(board, (uint32_t)place) == PF_OK);
        if (wanted && wanted != status) {
            CHECK(pf_scoreboard_set_status(board, status = wanted) == PF_OK);
            SET(orders->shown[place], status);
        }
        if (checks())
            abort();
        nap();
    }
}

static void tell(int place, char status)
{
    SET(orders->wanted[place], status);
    UNTIL(GET(orders->shown[place]) == status);
}

static int board_is(const char *expected)
{
    char text[8] = "";
    pf_scoreboard_statuses(board, (uint8_t *)text, sizeof text - 1);
    if (strcmp(text, expected) != 0)
        diag("the scoreboard is %s, and not %s", text, expected);
    return strcmp(text, expected) == 0;
}

static int busy_slots(void)
{
    uint8_t text[4];
    int slot, busy = 0;
    pf_scoreboard_statuses(board, text, sizeof text);
    for (slot = 0; slot < 4; slot++)
        busy += text[slot] != '.' && text[slot] != '_';
    return busy;
}

/* The next event but FORK, which is answered, and its worker's pid noted. */
static pf_event next_event(pf_t *pf, pid_t pids[static 4])
{
    pf_event event;
    while (pf_next(pf, &event) == PF_OK && event.type == PF_EVENT_FORK) {
        pid_t pid = fork_as_first();
        pf_forked(pf, pid);
        if (pid == 0)
            obeys(pf_worker_index(pf));
        pids[event.index] = pid;
    }
    return event;
}

static pf_event rests(pf_t *pf, pid_t pids[static 4])
{
    pf_event event;
    do
        event = next_event(pf, pids);
    while (event.type != PF_EVENT_WAIT || (event.timeout >= 0 && event.timeout <= 0));
    return event;
}

static void ends(pf_t *pf, pid_t pid, pid_t pids[static 4])
{
    pf_event event;
    pf_suspend(pf);
    kill(pid, SIGKILL);
    do
        MUST(pf_wait(pf, -1, &event) == PF_OK);
    while (event.type != PF_EVENT_REAPED);
    MUST(event.pid == pid);
    next_event(pf, pids);
}

static void new_board(void)
{
    orders = shared(sizeof *orders);
    board = pf_scoreboard_new(NULL, 4);
}

static void end_board(pf_t *pf)
{
    finish(pf);
    pf_scoreboard_free(board);
    munmap(orders, sizeof *orders);
}

static void spare_workers_are_first(void *data)
{
    pf_t *pf = pf_new();
    pf_event event;
    pid_t pids[4] = { 0 };
    size_t told = 0;
    (void)data;
    new_board();
    pf_set_max_workers(pf, 4);
    pf_set_spare_workers(pf, 1, 1, SIGKILL);
    MUST(pf_set_scoreboard(pf, board) == PF_OK);
    pf_begin(pf);
    rests(pf, pids);
    MUST(pf_num_workers(pf) == 1);
    tell(0, '_');
    event = rests(pf, pids);
    MUST(pf_num_workers(pf) == 1);
    /* One that is busy is known to be. */
    tell(0, 'A');
    MUST(is_readable(event.fd));
    rests(pf, pids);
    MUST(pf_num_workers(pf) == 2);
    tell(1, '_');
    MUST(board_is("A_.."));
    pf_stop_workers(pf, 2, SIGURG, &told);
    MUST(told == 1);
    /* One that was told to stop and turns busy is noticed. */
    event = rests(pf, pids);
    tell(1, 'B');
    MUST(is_readable(event.fd));
    MUST(pf_num_stopping(pf) == 0);
    rests(pf, pids);
    MUST(pf_num_workers(pf) == 3);
    tell(2, '_');
    /* The slot of one that ends is free, and no other. */
    ends(pf, pids[0], pids);
    MUST(board_is(".B_."));
    MUST(pf_disown_worker(pf, pids[1]));
    ends(pf, pids[1], pids);
    MUST(board_is(".._."));
    end_board(pf);
}

/* The host decides, and frees the slots by the pids that it knows. */
static void slots_are_freed_by_the_host(void *data)
{
    pf_t *pf = pf_new();
    pid_t pids[4] = { 0 }, gone;
    int worker, status;
    (void)data;
    new_board();
    MUST(pf_set_scoreboard(pf, board) == PF_OK);
    pf_begin(pf);
    for (worker = 0; worker < 4; worker++) {
        pf_demand(pf, 1);
        next_event(pf, pids);
        tell(worker, 'A' + worker);
    }
    MUST(board_is("ABCD"));
    /* Before the manager knows that it has ended. */
    kill(pids[1], SIGKILL);
    MUST(waitpid(pids[1], &status, 0) == pids[1]);
    MUST(pf_scoreboard_clear(board, pids[1]));
    MUST(!pf_scoreboard_clear(board, pids[1]));
    MUST(board_is("A.CD"));
    MUST(pf_worker_reaped(pf, pids[1], status) == PF_OK);
    /* After it was reported, and before another one has its index. */
    ends(pf, pids[2], pids);
    MUST(board_is("A.CD"));
    MUST(pf_scoreboard_clear(board, pids[2]));
    MUST(board_is("A..D"));
    /* After another one has its index. */
    ends(pf, gone = pids[0], pids);
    memset(orders, 0, sizeof *orders);
    do {
        pf_demand(pf, 1);
        next_event(pf, pids);
    } while (pf_num_workers(pf) < 4);
    MUST(pids[0] != gone);
    MUST(board_is("A..D"));
    MUST(pf_scoreboard_clear(board, gone));
    MUST(board_is("...D"));
    tell(0, 'E');
    MUST(board_is("E..D"));
    /* After it was disowned, before it has a slot, and another one has its index. */
    MUST(pf_disown_worker(pf, gone = pids[1]));
    pf_demand(pf, 1);
    next_event(pf, pids);
    MUST(pids[1] != gone);
    tell(1, 'F');
    UNTIL(busy_slots() == 4);
    MUST(board_is("EFFD"));
    ends(pf, gone, pids);
    MUST(pf_scoreboard_clear(board, gone) && busy_slots() == 3);
    MUST(!pf_scoreboard_clear(board, gone) && busy_slots() == 3);
    ends(pf, pids[1], pids);
    MUST(pf_scoreboard_clear(board, pids[1]));
    MUST(board_is("E..D"));
    /* After it was disowned, and became a worker again. */
    MUST(pf_disown_worker(pf, pids[3]));
    MUST(pf_adopt_worker(pf, pids[3], 1) == PF_OK);
    ends(pf, pids[3], pids);
    MUST(pf_scoreboard_clear(board, pids[3]));
    MUST(board_is("E..."));
    /* What a worker has for its own number is nobody's here. */
    MUST(!pf_scoreboard_clear(board, 1));
    end_board(pf);
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
    is_int(as_first_process(numbers, NULL), 0, "a process has a number of its own");
    is_int(as_first_process(worker_of_first, NULL), 0, "a worker that is PID 1, of a manager that is PID 1");
    is_int(as_first_process(helper_of_first, &by_clone), 0, "a helper that is PID 1, of a manager that is PID 1");
    by_clone = 1;
    if (forks_can_wipe())
        is_int(as_first_process(helper_of_first, &by_clone), 0, "... made by clone");
    else
        skip("... made by clone", "the system has no MADV_WIPEONFORK");
    is_int(as_first_process(spare_workers_are_first, NULL), 0, "spare workers that are all PID 1");
    is_int(as_first_process(slots_are_freed_by_the_host, NULL), 0, "... whose slots the host frees");
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
