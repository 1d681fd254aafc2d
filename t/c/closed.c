/* The program closes descriptors that are not its own, as those do that become daemons, and its files get their
 * numbers. Nothing is written to these files, read from them, or closed; the manager has a new pipe, and goes on. */

#include "tap.h"

#include <sys/resource.h>
#include <sys/stat.h>

enum { LAST = 40 };

static char path[256];

/* Closes all from 3 on, or only `fd` (if it is not negative). The program's file gets their numbers. */
static void take(int fd)
{
    int file = open(path, O_RDWR), number;
    if (fd >= 0) {
        dup2(file, fd);
        close(file);
        return;
    }
    for (number = 3; number < LAST; number++)
        if (number != file)
            dup2(file, number);
}

static void begin_file(void)
{
    FILE *file = fopen(temporary(path), "w");
    if (!file || fputs("program\n", file) < 0 || fclose(file) != 0)
        abort();
}

static void give_back(void)
{
    int number;
    for (number = 3; number < LAST; number++)
        close(number);
}

/* Whether all that is open below LAST is the program's file, which is as it was. */
static int is_untouched(void)
{
    struct stat file, now;
    int number;
    if (stat(path, &file) != 0 || file.st_size != 8)
        return 0;
    for (number = 3; number < LAST; number++)
        if (fstat(number, &now) != 0 || now.st_ino != file.st_ino || now.st_dev != file.st_dev
                || lseek(number, 0, SEEK_CUR) != 0)
            return 0;
    return 1;
}

/* Ends the run when the manager sleeps. */
static int32_t ends_it(pf_t *pf, void *data)
{
    int asleep = 0;
    (void)pf;
    CHECK(data == NULL || is_untouched());
    while (asleep < 20) {
        nap();
        asleep = is_asleep(getppid()) ? asleep + 1 : 0;
    }
    kill(getppid(), checks() ? SIGKILL : SIGUSR1);
    return until_killed(NULL, NULL);
}

static pf_t *manager(void)
{
    pf_t *pf = pf_new();
    pf_set_max_workers(pf, 1);
    pf_set_err_respawn_interval(pf, 0);
    if (pf_trap_signal(pf, SIGUSR1, 0, 0) != PF_OK || pf_watch_children(pf) != PF_OK)
        abort();
    return pf;
}

static void before_start(void *data)
{
    pf_t *pf = manager();
    (void)data;
    take(-1);
    raise(SIGUSR1);
    CHECK(is_untouched());
    CHECK(pf_start(pf, ends_it, pf) == PF_OK);
    CHECK(pf_signal_received(pf) == SIGUSR1);
    CHECK(is_untouched());
    CHECK(pf_start(pf, ends_it, pf) == PF_OK);
    CHECK(pf_signal_received(pf) == SIGUSR1);
    pf_signal(pf, SIGUSR1);
    pf_wake(pf);
    CHECK(is_untouched());
    finish(pf);
    CHECK(is_untouched());
    give_back();
}

static void take_all(pf_t *pf, int32_t pid, void *data)
{
    (void)pf;
    (void)pid;
    if (++*(int *)data == 1)
        take(-1);
}

static int32_t ends_at_once_or_ends_it(pf_t *pf, void *data)
{
    return *(int *)data == 0 ? 0 : ends_it(pf, NULL);
}

static void in_a_hook(void *data)
{
    pf_t *pf = manager();
    pf_scoreboard_t *board = data ? pf_scoreboard_new(NULL, 5) : NULL;
    int forks = 0;
    if (board)
        pf_set_scoreboard(pf, board);
    pf_set_after_fork(pf, take_all, &forks);
    CHECK(pf_start(pf, ends_at_once_or_ends_it, &forks) == PF_OK);
    CHECK(pf_signal_received(pf) == SIGUSR1 && forks == 2);
    CHECK(is_untouched());
    finish(pf);
    CHECK(is_untouched());
    pf_scoreboard_free(board);
    give_back();
}

static void by_pull(void *data)
{
    pf_t *pf = manager();
    pf_event event;
    int fd;
    (void)data;
    CHECK(pf_next(pf, &event) == PF_OK && event.type == PF_EVENT_WAIT);
    fd = event.fd;
    CHECK(pf_next(pf, &event) == PF_OK && event.fd == fd);
    take(-1);
    CHECK(pf_next(pf, &event) == PF_OK && event.type == PF_EVENT_WAIT);
    CHECK(event.fd >= LAST && event.timeout >= 0 && event.timeout <= 0);
    fd = event.fd;
    CHECK(pf_next(pf, &event) == PF_OK && event.fd == fd);
    CHECK(!is_readable(fd));
    raise(SIGUSR1);
    CHECK(is_readable(fd));
    CHECK(pf_next(pf, &event) == PF_OK);
    CHECK(!is_readable(fd));
    CHECK(is_untouched());
    /* A descriptor for another purpose of the library's. */
    take(fd);
    CHECK(pf_trap_signal(pf, SIGUSR2, 0, 0) == PF_OK);
    raise(SIGUSR2);
    CHECK(pf_next(pf, &event) == PF_OK && event.fd != fd);
    raise(SIGUSR2);
    CHECK(is_readable(event.fd));
    CHECK(is_untouched());
    pf_free(pf);
    CHECK(is_untouched());
    give_back();
}

/* One end is gone; the other would raise SIGPIPE. */
static void one_end(void *data)
{
    int number, is_read = *(int *)data, ours[2], n = 0;
    struct stat file;
    pf_event event;
    pf_t *pf = manager();
    CHECK(pf_next(pf, &event) == PF_OK);
    for (number = 3; number < LAST && n < 2; number++)
        if (fcntl(number, F_GETFL) >= 0 && fcntl(number, F_GETFD) == FD_CLOEXEC)
            ours[n++] = number;
    CHECK(n == 2);
    CHECK((ours[0] == event.fd) != (ours[1] == event.fd));
    take(is_read ? event.fd : ours[ours[0] == event.fd]);
    raise(SIGUSR1);
    pf_wake(pf);
    CHECK(pf_peek_signal(pf) == SIGUSR1);
    CHECK(stat(path, &file) == 0 && file.st_size == 8);
    CHECK(pf_start(pf, ends_it, NULL) == PF_OK);
    CHECK(pf_start(pf, ends_it, NULL) == PF_OK);
    finish(pf);
}

/* Without a descriptor for a new one the manager looks once a second, and has one again as soon as it can. */
static void none_left(void *data)
{
    struct rlimit limit;
    pf_t *pf = manager();
    pf_event event;
    (void)data;
    /* The first wait is over at once, as something was set. */
    CHECK(pf_next(pf, &event) == PF_OK && event.fd >= 0);
    take(-1);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = LAST;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        abort();
    CHECK(pf_next(pf, &event) == PF_OK && event.type == PF_EVENT_WAIT);
    CHECK(event.fd == -1 && event.timeout > 0 && event.timeout <= 1);
    limit.rlim_cur = LAST + 10;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        abort();
    CHECK(pf_next(pf, &event) == PF_OK && event.fd >= LAST);
    CHECK(is_untouched());
    pf_free(pf);
    CHECK(is_untouched());
}

/* ---- spare workers, of which some have ends of the pipe that is gone */

static pf_scoreboard_t *board;
static int *told_busy;

static int32_t says_what_it_is_told(pf_t *pf, void *data)
{
    (void)data;
    if (pf_scoreboard_claim(board, (uint32_t)pf_worker_index(pf)) != PF_OK)
        return 1;
    while (1) {
        if (GET(*told_busy) > pf_worker_index(pf))
            pf_scoreboard_set_status(board, 'A');
        nap();
    }
    return 99;
}

static void take_all_then_tell(pf_t *pf, int32_t pid, void *data)
{
    int *forks = data;
    (void)pid;
    ++*forks;
    if (*forks == 2) {
        take(-1);
        SET(*told_busy, 2);
    }
    if (*forks == 4)
        pf_signal(pf, SIGUSR1);
}

static void spare(void *data)
{
    pf_t *pf = manager();
    int forks = 0, status;
    (void)data;
    told_busy = shared(sizeof *told_busy);
    board = pf_scoreboard_new(NULL, 10);
    pf_set_scoreboard(pf, board);
    pf_set_max_workers(pf, 10);
    pf_set_spare_workers(pf, 2, 10, SIGTERM);
    pf_set_after_fork(pf, take_all_then_tell, &forks);
    CHECK(pf_start(pf, says_what_it_is_told, NULL) == PF_OK);
    CHECK(forks == 4);
    /* Those of before are alive: nobody who reads is no reason for SIGPIPE. */
    CHECK(waitpid(-1, &status, WNOHANG) == 0);
    CHECK(pf_num_workers(pf) == 4);
    CHECK(is_untouched());
    finish(pf);
    pf_scoreboard_free(board);
    CHECK(is_untouched());
    give_back();
}

/* ---- a worker whose end of the pipe nobody reads, and one that can wake the manager */

/* Turns busy when it reads a byte, and says so. */
static pid_t turns_busy(pf_t *pf, int index, int tell[2], int told[2])
{
    pid_t pid;
    char byte;
    if (pipe(tell) != 0 || pipe(told) != 0)
        abort();
    pid = fork();
    if (pf_forked(pf, pid) != PF_OK)
        abort();
    if (pid != 0)
        return pid;
    close(tell[1]);
    if (pf_scoreboard_claim(board, (uint32_t)index) == PF_OK && read(tell[0], &byte, 1) == 1
            && pf_scoreboard_set_status(board, 'A') == PF_OK && write(told[1], "t", 1) == 1)
        until_killed(pf, NULL);
    _exit(1);
}

static void turn_busy(int tell[2], int told[2])
{
    char byte;
    if (write(tell[1], "b", 1) != 1 || read(told[0], &byte, 1) != 1)
        abort();
}

/* Who has written to a pipe without a reader has not woken the manager, and keeps nobody else from that. */
static void in_vain(void *data)
{
    pf_t *pf = pf_new();
    pf_event event;
    int tell[2][2], told[2][2];
    (void)data;
    board = pf_scoreboard_new(NULL, 10);
    pf_set_scoreboard(pf, board);
    pf_set_max_workers(pf, 10);
    pf_set_spare_workers(pf, 1, 10, SIGTERM);
    pf_begin(pf);
    CHECK(pf_next(pf, &event) == PF_OK && event.type == PF_EVENT_FORK);
    turns_busy(pf, 0, tell[0], told[0]);
    CHECK(pf_next(pf, &event) == PF_OK && event.type == PF_EVENT_WAIT);
    close(event.fd);
    /* It makes another pipe before it sleeps. */
    CHECK(pf_next(pf, &event) == PF_OK && event.type == PF_EVENT_WAIT);
    pf_set_spare_workers(pf, 2, 10, SIGTERM);
    CHECK(pf_next(pf, &event) == PF_OK && event.type == PF_EVENT_FORK);
    turns_busy(pf, 1, tell[1], told[1]);
    do
        CHECK(pf_next(pf, &event) == PF_OK && event.type == PF_EVENT_WAIT);
    while (event.timeout == 0);
    CHECK(event.fd >= 0 && !is_readable(event.fd));
    turn_busy(tell[0], told[0]);
    turn_busy(tell[1], told[1]);
    CHECK(is_readable(event.fd));
    /* One more idle worker is wanted for each that is busy now. */
    CHECK(pf_next(pf, &event) == PF_OK && event.type == PF_EVENT_FORK);
    pf_fork_failed(pf, NULL);
    finish(pf);
    pf_scoreboard_free(board);
    give_back();
}

/* ---- a signal handler of the program, while the manager sleeps */

static int *handled;

static void takes_all(int signal)
{
    (void)signal;
    if (ADD(*handled, 1) == 1)
        take(-1);
}

static void closes_all(int signal)
{
    int number;
    (void)signal;
    if (ADD(*handled, 1) == 1)
        for (number = 3; number < LAST; number++)
            close(number);
}

/* Has the handler run when the manager sleeps, and ends the run when that sleeps again. */
static int32_t interrupts(pf_t *pf, void *data)
{
    int asleep = 0;
    (void)pf;
    (void)data;
    while (asleep < 20) {
        nap();
        asleep = is_asleep(getppid()) ? asleep + 1 : 0;
    }
    kill(getppid(), SIGUSR2);
    UNTIL(GET(*handled));
    /* For one that never sleeps again the alarm comes. */
    for (asleep = 0; asleep < 20; asleep = is_asleep(getppid()) ? asleep + 1 : 0)
        nap();
    kill(getppid(), SIGUSR1);
    return until_killed(NULL, NULL);
}

enum { WITH_BOARD = 1, IS_TRAPPED = 2, IS_BLOCKED = 4, CLOSES_ONLY = 8 };

static void in_a_handler(void *data)
{
    int how = *(int *)data;
    pf_t *pf = manager();
    struct sigaction action;
    sigset_t usr2;
    handled = shared(sizeof *handled);
    memset(&action, 0, sizeof action);
    action.sa_handler = how & CLOSES_ONLY ? closes_all : takes_all;
    sigaction(SIGUSR2, &action, NULL);
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    board = how & WITH_BOARD ? pf_scoreboard_new(NULL, 5) : NULL;
    if (board)
        pf_set_scoreboard(pf, board);
    if (how & IS_TRAPPED)
        pf_trap_signal(pf, SIGUSR2, 0, 0);
    if (how & IS_BLOCKED)
        sigprocmask(SIG_BLOCK, &usr2, NULL);
    do {
        CHECK(pf_start(pf, interrupts, NULL) == PF_OK);
    } while (pf_signal_received(pf) == SIGUSR2);
    CHECK(pf_signal_received(pf) == SIGUSR1);
    if (!(how & CLOSES_ONLY))
        CHECK(is_untouched());
    finish(pf);
    if (!(how & CLOSES_ONLY))
        CHECK(is_untouched());
    pf_scoreboard_free(board);
    give_back();
}

/* The file of a scoreboard: it is not written to, nor closed, once its number is the program's. */
static void board_file(void *data)
{
    static char file_path[256];
    pf_scoreboard_t *file_board;
    (void)data;
    temporary(file_path);
    unlink(file_path);
    file_board = pf_scoreboard_new(file_path, 2);
    CHECK(file_board != NULL);
    take(-1);
    CHECK(pf_scoreboard_grow(file_board, 4) == PF_OK);
    CHECK(pf_scoreboard_len(file_board) == 4);
    CHECK(pf_scoreboard_claim(file_board, 0) == PF_OK);
    CHECK(pf_scoreboard_set_status(file_board, 'A') == PF_OK);
    CHECK(is_untouched());
    pf_scoreboard_free(file_board);
    CHECK(is_untouched());
    unlink(file_path);
    give_back();
}

int main(void)
{
    int yes = 1, no = 0, how;
    begin();
    begin_file();
    is_int(in_child(before_start, NULL), 0, "descriptors that the program closes before pf_start");
    is_int(in_child(in_a_hook, NULL), 0, "... in a hook");
    is_int(in_child(in_a_hook, &yes), 0, "... in a hook, with a scoreboard");
    is_int(in_child(by_pull, NULL), 0, "... in a host of the pull API");
    is_int(in_child(one_end, &yes), 0, "... of a pipe that it reads from");
    is_int(in_child(one_end, &no), 0, "... of a pipe that it writes to");
    if (is_under_valgrind())
        skip("... and there is none left", "Valgrind has some of its own");
    else
        is_int(in_child(none_left, NULL), 0, "... and there is none left");
    is_int(in_child(spare, NULL), 0, "... beside workers that have the old pipe");
    is_int(in_child(in_vain, NULL), 0, "... of which one has tried to wake the manager");
    for (how = 0; how < 16; how++) {
        if ((how & IS_BLOCKED) && !(how & IS_TRAPPED))
            continue;
        is_int(in_child(in_a_handler, &how), 0, "... in a handler that interrupts %s%s%s%s",
            how & WITH_BOARD ? "ppoll(2)" : "a wait", how & IS_TRAPPED ? ", of a trapped signal" : "",
            how & IS_BLOCKED ? " that is blocked" : "", how & CLOSES_ONLY ? ", without a file" : "");
    }
    is_int(in_child(board_file, NULL), 0, "... of a scoreboard's file");
    unlink(path);
    return done();
}
