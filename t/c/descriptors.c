/* Descriptors: a program without stdin, stdout or stderr, one that has none left, and what becomes of
 * the library's own. */

#include "tap.h"

#include <sys/resource.h>
#include <sys/stat.h>

static int is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* ---- without stdin, stdout or stderr */

static int closed_stdio; /* a bit for each of the three */

static int32_t prints(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    if (closed_stdio & 2) {
        printf("to nobody\n");
        fflush(stdout);
    }
    if (closed_stdio & 4)
        fprintf(stderr, "to nobody\n");
    return 0;
}

static int reaped;

static void count_reaped(pf_t *pf, const pf_event *exit, void *data)
{
    *(int *)data |= exit->status;
    if (++reaped == 5)
        pf_signal(pf, SIGUSR1);
}

static int32_t sends_usr1(pf_t *pf, void *data)
{
    UNTIL(is_asleep(*(pid_t *)data));
    kill(*(pid_t *)data, SIGUSR1);
    return until_killed(pf, NULL);
}

static void without_stdio(void *data)
{
    int fd, status = 0;
    pid_t self = getpid();
    pf_event event;
    pf_t *pf;
    (void)data;
    tap.diag_fd = fcntl(STDERR_FILENO, F_DUPFD, 10);
    for (fd = 0; fd < 3; fd++)
        if (closed_stdio & 1 << fd)
            close(fd);
    pf = pf_new();
    memset(&event, 0, sizeof event);
    CHECK(pf_trap_signal(pf, SIGUSR1, 0, 0) == PF_OK);
    CHECK(pf_watch_children(pf) == PF_OK);
    for (fd = 0; fd < 3; fd++)
        CHECK(is_open(fd) == !(closed_stdio & 1 << fd));
    CHECK(pf_next(pf, &event) == PF_OK && event.fd > 2);

    /* What workers print does not go to the manager. */
    pf_set_max_workers(pf, 2);
    pf_set_on_child_reap(pf, count_reaped, &status);
    CHECK(pf_start(pf, prints, NULL) == PF_OK && status == 0);
    pf_set_on_child_reap(pf, NULL, NULL);
    CHECK(pf_wait_all_children(pf, -1, NULL) == PF_OK);

    /* A daemon opens /dev/null in their place, however late; signals arrive all the same. */
    fd = open("/dev/null", O_RDWR);
    for (; fd < 2; fd = dup(fd))
        ;
    dup2(fd, 0);
    dup2(fd, 1);
    CHECK(pf_start(pf, sends_usr1, &self) == PF_OK && pf_signal_received(pf) == SIGUSR1);
    finish(pf);
}

static void stdio(void)
{
    for (closed_stdio = 0; closed_stdio < 8; closed_stdio++)
        is_int(in_child(without_stdio, NULL), 0, "a program with%s stdin, with%s stdout, with%s stderr",
            closed_stdio & 1 ? "out" : "", closed_stdio & 2 ? "out" : "", closed_stdio & 4 ? "out" : "");
}

/* ---- none left */

static struct rlimit limit;

/* So that `left` more can be opened, and no descriptor below the limit is free otherwise. */
static void leave(int left)
{
    struct rlimit less = limit;
    int fd, free_found = 0;
    for (fd = 0; free_found < left || is_open(fd); fd++)
        free_found += !is_open(fd);
    less.rlim_cur = fd;
    if (setrlimit(RLIMIT_NOFILE, &less) != 0)
        abort();
}

static void leave_enough(void)
{
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        abort();
}

static int count_open(void)
{
    int fd, open = 0;
    for (fd = 0; fd < 256; fd++)
        open += is_open(fd);
    return open;
}

static void none_left(void)
{
    pf_t *pf = pf_new();
    pf_event event;
    pf_scoreboard_t *board = pf_scoreboard_new(NULL, 1);
    struct sigaction action;
    char path[256];
    int few, before = count_open();
    size_t left = 99;
    unlink(temporary(path));
    getrlimit(RLIMIT_NOFILE, &limit);
    memset(&event, 0xa5, sizeof event);
    for (few = 0; few < 2; few++) {
        leave(few);
        is_int(pf_trap_signal(pf, SIGUSR1, 0, 0), PF_ERR_SYSTEM, "pf_trap_signal with %d left", few);
        leave_enough();
        is_str(pf_error_message(pf), "pipe2: Too many open files", "... says why");
        sigaction(SIGUSR1, NULL, &action);
        ok(action.sa_handler == SIG_DFL, "... and has installed nothing");
        leave(few);
        is_int(pf_watch_children(pf), PF_ERR_SYSTEM, "pf_watch_children");
        is_int(pf_set_scoreboard(pf, board), PF_ERR_SYSTEM, "pf_set_scoreboard");
        is_int(pf_wait(pf, 0, &event), PF_ERR_SYSTEM, "pf_wait");
        is_int(pf_wait_all_children(pf, -1, &left), PF_ERR_SYSTEM, "pf_wait_all_children");
        is_int(pf_start(pf, at_once, NULL), PF_ERR_SYSTEM, "pf_start");
        leave_enough();
        is_int(count_open(), before, "none of them leaves a descriptor");
    }
    ok(left == 99 && event.type == 0xa5a5a5a5, "... or writes to what it was given");
    leave(0);
    errno = 0;
    ok(pf_scoreboard_new(path, 1) == NULL, "pf_scoreboard_new with a file");
    is_int(errno, EMFILE, "... errno says why");
    leave_enough();
    if (is_under_valgrind())
        skip("... and leaves no file", "Valgrind opens it and gives EMFILE then");
    else
        ok(access(path, F_OK) != 0, "... and leaves no file");
    unlink(path);

    leave(2);
    is_int(pf_trap_signal(pf, SIGUSR1, 0, 0), PF_OK, "a manager needs two");
    is_int(pf_watch_children(pf), PF_OK, "... and no more");
    is_int(pf_set_scoreboard(pf, board), PF_ERR_SYSTEM, "... until it has a scoreboard");
    leave(1);
    is_int(pf_set_scoreboard(pf, board), PF_OK, "... which takes a third, for the workers");
    fork_workers(pf, 2, until_killed, NULL);
    leave_enough();
    is_int(count_open(), before + 3, "... it has three");
    finish(pf);
    is_int(count_open(), before, "... and gives them back");
    pf_scoreboard_free(board);
}

/* Descriptors 0 to 2 are free and no others: the pipe may not be there. */
static void only_stdio_left(void *data)
{
    pf_t *pf = pf_new();
    int fd;
    (void)data;
    tap.diag_fd = fcntl(STDERR_FILENO, F_DUPFD, 10);
    for (fd = 0; fd < 3; fd++)
        close(fd);
    leave(3);
    CHECK(pf_trap_signal(pf, SIGUSR1, 0, 0) == PF_ERR_SYSTEM);
    CHECK(!is_open(0) && !is_open(1) && !is_open(2));
    leave_enough();
    CHECK(strstr(pf_error_message(pf), "Too many open files")
        || strstr(pf_error_message(pf), "Invalid argument"));
    CHECK(pf_trap_signal(pf, SIGUSR1, 0, 0) == PF_OK);
    CHECK(!is_open(0) && !is_open(1) && !is_open(2));
    pf_free(pf);
}

/* ---- many managers */

static void many(void)
{
    int i, before = count_open(), same = 0;
    for (i = 0; i < 300; i++) {
        pf_t *pf = pf_new();
        pf_trap_signal(pf, SIGUSR1, 0, 0);
        pf_watch_children(pf);
        pf_free(pf);
        same += count_open() == before;
    }
    is_int(same, 300, "300 managers, one after the other, leave no descriptor");
}

int main(void)
{
    begin();
    stdio();
    none_left();
    is_int(in_child(only_stdio_left, NULL), 0, "nothing of the library's is stdin, stdout or stderr");
    many();
    return done();
}
