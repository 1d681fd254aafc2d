/* The scoreboard, in memory and in a file, alone and with a manager that keeps spare workers. */

#include "tap.h"

#include <sys/stat.h>
#include <sys/syscall.h>

static char *read_file(const char *path, char text[static 4096])
{
    FILE *file = fopen(path, "r");
    size_t length;
    if (!file)
        abort();
    length = fread(text, 1, 4095, file);
    text[length] = '\0';
    fclose(file);
    return text;
}

/* The statuses of all slots as a string. */
static char *statuses(pf_scoreboard_t *board, char text[static 64])
{
    size_t n = pf_scoreboard_statuses(board, (uint8_t *)text, 63);
    text[n] = '\0';
    return text;
}

#define MOST 16

static struct {
    char status[MOST]; /* what each worker is to show; 0 for nothing yet */
    int shown[MOST];
} *orders;

/* ---- slots */

static pf_scoreboard_t *board;

static void claims(void *data)
{
    char text[64];
    int hint = *(int *)data;
    CHECK(pf_scoreboard_set_status(board, 'A') == PF_ERR_WRONG_STATE);
    CHECK(pf_scoreboard_claim(board, hint) == PF_OK);
    CHECK(statuses(board, text)[hint] == '_');
    CHECK(pf_scoreboard_claim(board, hint) == PF_ERR_WRONG_STATE);
    CHECK(pf_scoreboard_set_status(board, 'A' + hint) == PF_OK);
    CHECK(statuses(board, text)[hint] == 'A' + hint);
    pf_scoreboard_free(board);
}

static void claims_another(void *data)
{
    CHECK(pf_scoreboard_claim(board, *(int *)data) == PF_OK);
    CHECK(pf_scoreboard_set_status(board, '*') == PF_OK);
    pf_scoreboard_free(board);
}

static void finds_none(void *data)
{
    (void)data;
    CHECK(pf_scoreboard_claim(board, 0) == PF_ERR_NO_SLOT);
    CHECK(pf_scoreboard_claim(board, UINT32_MAX) == PF_ERR_NO_SLOT);
    pf_scoreboard_free(board);
}

static void note_child(void *data)
{
    *(pid_t *)data = getpid();
    CHECK(pf_scoreboard_claim(board, 0) == PF_OK);
    CHECK(pf_scoreboard_set_status(board, 'x') == PF_OK);
    pf_scoreboard_free(board);
}

static void sets_by_itself(void *data)
{
    pf_scoreboard_t *board = data;
    pf_own_slot slot;
    CHECK(pf_scoreboard_own_slot(board, &slot) == PF_ERR_WRONG_STATE);
    CHECK(pf_scoreboard_claim(board, 1) == PF_OK);
    CHECK(pf_scoreboard_own_slot(board, &slot) == PF_OK);
    CHECK(*slot.status == '_' && *slot.busy == 0 && *slot.mark == 0 && *slot.changes % 64 == 0);
    pf_scoreboard_watch(board, -1, 7);
    CHECK(*slot.low == -1 && *slot.high == 7);
    CHECK(pf_scoreboard_set_status(board, 'A') == PF_OK);
    CHECK(*slot.status == 'A' && *slot.busy == 1);
    *slot.status = 'B';
}

static void has_a_file(void *data)
{
    pf_own_slot slot;
    CHECK(pf_scoreboard_claim(data, 0) == PF_OK);
    CHECK(pf_scoreboard_own_slot(data, &slot) == PF_ERR_WRONG_STATE);
}

/* Counts its changes, and leaves one before the status, where it is counted already. */
static void leaves_a_change(void *data)
{
    pf_scoreboard_t *board = data;
    pf_own_slot slot;
    uint32_t *changes, before;
    CHECK(pf_scoreboard_end_change(board, 0, true) == PF_ERR_WRONG_STATE);
    CHECK(pf_scoreboard_claim(board, 0) == PF_OK);
    CHECK(pf_scoreboard_own_slot(board, &slot) == PF_OK);
    changes = slot.changes;
    before = *changes;
    ADD(*changes, 1);
    ADD(*slot.busy, 1);
    CHECK(pf_scoreboard_watch(board, 0, 5) && *slot.busy == 1);
    CHECK(pf_scoreboard_end_change(board, before, false) == PF_OK);
    CHECK(*changes == before + 1 + PF_CHANGE_END);
    CHECK(pf_scoreboard_end_change(board, before, true) == PF_OK);
    CHECK(*changes == before + 1 + PF_CHANGE_END);
    CHECK(pf_scoreboard_watch(board, 0, 5) && *slot.busy == 0);
    /* Here it ends in the middle of one. */
    ADD(*changes, 1);
    ADD(*slot.busy, 1);
    *(pid_t *)orders = getpid();
}

static void reads_busy(void *data)
{
    pf_own_slot slot;
    CHECK(pf_scoreboard_claim(data, 0) == PF_OK);
    CHECK(pf_scoreboard_own_slot(data, &slot) == PF_OK && *slot.busy == 0);
}

static void own_slot(const char *path)
{
    char text[8] = "";
    pf_scoreboard_t *board = pf_scoreboard_new(NULL, 2);
    is_int(in_child(sets_by_itself, board), 0, "a process may set its status by itself");
    pf_scoreboard_statuses(board, (uint8_t *)text, 2);
    ok(strcmp(text, ".B") == 0, "... which others see");
    pf_scoreboard_free(board);
    orders = shared(sizeof *orders);
    board = pf_scoreboard_new(NULL, 1);
    is_int(in_child(leaves_a_change, board), 0, "one that counts its changes may leave one: it is put right");
    pf_scoreboard_watch(board, 0, 5);
    ok(pf_scoreboard_clear(board, *(pid_t *)orders), "... and may die in one");
    ok(pf_scoreboard_watch(board, 0, 5), "... nothing is in doubt then");
    is_int(in_child(reads_busy, board), 0, "... and the number is right");
    pf_scoreboard_free(board);
    munmap(orders, sizeof *orders);
    board = pf_scoreboard_new(path, 1);
    is_int(in_child(has_a_file, board), 0, "... not where there is a file to be kept up to date");
    pf_scoreboard_free(board);
}

static void slots(const char *path, const char *kind)
{
    char text[64];
    int hint;
    pid_t *pid = shared(sizeof *pid);

    board = pf_scoreboard_new(path, 3);
    ok(board != NULL, "a scoreboard %s", kind);
    is_int(pf_scoreboard_len(board), 3, "of three slots");
    is_str(statuses(board, text), "...", "that nobody has");
    memset(text, '#', sizeof text);
    is_int(pf_scoreboard_statuses(board, (uint8_t *)text, 1), 3, "a short array is told how many");
    ok(text[0] == '.' && text[1] == '#', "... and filled only as far as it goes");
    is_int(pf_scoreboard_statuses(board, NULL, 99), 3, "... so is none at all");

    hint = 2;
    is_int(in_child(claims, &hint), 0, "a process claims the slot that it wants, and writes to it");
    is_str(statuses(board, text), "..C", "... which all see");
    is_int(in_child(claims_another, &hint), 0, "the next process gets another one");
    is_str(statuses(board, text), "*.C", "... the first that is free");
    hint = 99;
    is_int(in_child(claims_another, &hint), 0, "... so does one that wants what is not there");
    is_str(statuses(board, text), "**C", "... which fills it");
    is_int(in_child(finds_none, NULL), 0, "then there is no slot");

    is_int(pf_scoreboard_grow(board, 5), PF_OK, "pf_scoreboard_grow");
    is_str(statuses(board, text), "**C..", "makes room and keeps what is there");
    is_int(pf_scoreboard_grow(board, 2), PF_OK, "fewer slots");
    is_int(pf_scoreboard_len(board), 5, "... take none away");
    pf_scoreboard_free(board);

    board = pf_scoreboard_new(NULL, 1);
    is_int(in_child(note_child, pid), 0, "a process that goes without a word");
    is_str(statuses(board, text), "x", "leaves its status");
    ok(!pf_scoreboard_clear(board, getpid()), "pf_scoreboard_clear of a process that has no slot");
    is_str(statuses(board, text), "x", "... clears none");
    ok(pf_scoreboard_clear(board, *pid), "of that one");
    is_str(statuses(board, text), ".", "... clears its");
    ok(!pf_scoreboard_clear(board, *pid), "... once");
    pf_scoreboard_free(board);
    munmap(pid, sizeof *pid);
}

static void writes_its_line(void *data)
{
    *(pid_t *)data = getpid();
    CHECK(pf_scoreboard_claim(board, 1) == PF_OK);
    CHECK(pf_scoreboard_set_status(board, 'W') == PF_OK);
    pf_scoreboard_free(board);
}

/* In place of the C library's. */
static int refuses_fchmod;

int fchmod(int fd, mode_t mode)
{
    if (refuses_fchmod) {
        errno = EPERM;
        return -1;
    }
    return (int)syscall(SYS_fchmod, fd, mode);
}

static void file(void)
{
    char path[256], text[4096], expected[4096];
    struct stat stat_of;
    pid_t *pid = shared(sizeof *pid);
    unlink(temporary(path));
    board = pf_scoreboard_new(path, 2);
    ok(stat(path, &stat_of) == 0 && (stat_of.st_mode & 07777) == 0600 && stat_of.st_size == 32,
        "the file has mode 0600 and 16 bytes a slot");
    in_child(writes_its_line, pid);
    snprintf(expected, sizeof expected, ".              \nW%-14d\n", (int)*pid);
    is_str(read_file(path, text), expected, "... it can be read while it is in use");
    pf_scoreboard_grow(board, 3);
    strcat(expected, ".              \n");
    is_str(read_file(path, text), expected, "... and grows");
    pf_scoreboard_free(board);
    ok(access(path, F_OK) == 0, "... it stays when the scoreboard goes");

    errno = 0;
    ok(pf_scoreboard_new(path, 2) == NULL, "a file that is there is not used");
    is_int(errno, EEXIST, "... as errno tells");
    is_str(read_file(path, text), expected, "... nor changed");
    unlink(path);
    refuses_fchmod = 1;
    errno = 0;
    ok(pf_scoreboard_new(path, 2) == NULL, "a file system that does not know of modes");
    is_int(errno, EPERM, "... as errno tells");
    refuses_fchmod = 0;
    ok(access(path, F_OK) != 0, "... keeps no file for the next one to find");
    errno = 0;
    ok(pf_scoreboard_new("/nowhere/board", 2) == NULL, "a folder that is not there");
    is_int(errno, ENOENT, "... errno tells too");
    munmap(pid, sizeof *pid);
}

/* ---- spare workers */

/* Shows what it is told to show. */
static int32_t shows(pf_t *pf, void *data)
{
    int index = pf_worker_index(pf);
    char status = '_', text[64];
    (void)data;
    CHECK(pf_scoreboard_claim(board, index) == PF_OK);
    CHECK(statuses(board, text)[index] == '_');
    if (checks())
        return 99;
    SET(orders->shown[index], '_');
    while (1) {
        char wanted = GET(orders->status[index]);
        if (wanted && wanted != status) {
            pf_scoreboard_set_status(board, status = wanted);
            SET(orders->shown[index], status);
        }
        nap();
    }
    return 99;
}

static void forget_orders(const pf_event *exit)
{
    SET(orders->status[exit->index], 0);
    SET(orders->shown[exit->index], 0);
}

static int stop_signal, stopped, forked;

/* Goes on until nothing is to be done for now; each new worker has shown itself by then. */
static void settle(pf_t *pf)
{
    pf_event event;
    while (pf_wait(pf, 0, &event) == PF_OK && event.type != PF_EVENT_WAIT) {
        if (event.type == PF_EVENT_FORK) {
            pid_t pid = fork();
            pf_forked(pf, pid);
            if (pid == 0)
                exit(shows(pf, NULL));
            forked++;
            UNTIL(GET(orders->shown[event.index]));
        } else if (event.type == PF_EVENT_REAPED) {
            stopped += event.reason == PF_REASON_STOPPED && WTERMSIG(event.status) == stop_signal;
            forget_orders(&event);
        }
    }
}

/* The event that a sleeping manager is woken to. */
static pf_event woken(pf_t *pf)
{
    pf_event event;
    memset(&event, 0, sizeof event);
    pf_wait(pf, -1, &event);
    return event;
}

static void show(int index, char status)
{
    SET(orders->status[index], status);
}

static void spare_workers(const char *path, int signal, const char *kind)
{
    pf_t *pf = pf_new();
    pf_event event;
    char text[64];
    pid_t pid;
    orders = shared(sizeof *orders);
    board = pf_scoreboard_new(path, MOST);
    stop_signal = signal;
    stopped = forked = 0;
    pf_set_max_workers(pf, 5);
    is_int(pf_set_spare_workers(pf, 2, 3, signal), PF_OK, "two to three spare workers, %s", kind);
    is_int(pf_set_scoreboard(pf, board), PF_OK, "... and their scoreboard");
    pf_begin(pf);
    settle(pf);
    is_int(pf_num_workers(pf), 2, "a pool begins with the least");
    is_str(statuses(board, text), "__..............", "... that are idle");

    show(0, 'A');
    event = woken(pf);
    ok(event.type == PF_EVENT_FORK && event.index == 2, "a worker that gets busy wakes the manager");
    pid = fork();
    pf_forked(pf, pid);
    if (pid == 0)
        exit(shows(pf, NULL));
    UNTIL(GET(orders->shown[2]));
    show(1, 'B');
    UNTIL(GET(orders->shown[1]) == 'B');
    settle(pf);
    is_int(pf_num_workers(pf), 4, "there are two idle ones beside two busy ones");
    show(2, 'C');
    show(3, 'D');
    UNTIL(GET(orders->shown[2]) == 'C' && GET(orders->shown[3]) == 'D');
    settle(pf);
    show(4, 'E');
    UNTIL(GET(orders->shown[4]) == 'E');
    settle(pf);
    is_int(pf_num_workers(pf), 5, "... but never more workers than there may be");

    show(0, '_');
    show(1, '_');
    show(2, '_');
    UNTIL(GET(orders->shown[0]) == '_' && GET(orders->shown[1]) == '_' && GET(orders->shown[2]) == '_');
    settle(pf);
    is_int(stopped, 0, "three idle ones are not too many");
    show(3, '_');
    event = woken(pf);
    ok(event.type == PF_EVENT_REAPED && event.reason == PF_REASON_STOPPED
            && WTERMSIG(event.status) == stop_signal,
        "the fourth wakes the manager, and one is stopped, by the signal for that");
    is_int(event.index, 3, "... not the youngest, which is busy");
    is_int(statuses(board, text)[3], '_', "... which has its slot for the host to look at");
    forget_orders(&event);
    settle(pf);
    is_int(pf_num_workers(pf), 4, "one only");
    is_int(statuses(board, text)[3], '.', "... whose slot is free");

    is_int(pf_set_spare_workers(pf, 4, 9, signal), PF_OK, "other numbers, as it runs");
    settle(pf);
    is_int(pf_num_workers(pf), 5, "are kept");
    is_int(pf_set_max_workers(pf, 7), PF_OK, "... so is another number in all");
    show(0, 'E');
    UNTIL(GET(orders->shown[0]) == 'E');
    settle(pf);
    is_int(pf_num_workers(pf), 6, "... with four idle ones");

    is_int(pf_set_spare_workers(pf, 0, 0, signal), PF_OK, "0 spare workers");
    settle(pf);
    is_int(pf_num_workers(pf), 7, "is a pool of a fixed number");
    is_int(pf_set_scoreboard(pf, NULL), PF_OK, "the scoreboard is taken out");
    show(1, 'F');
    UNTIL(GET(orders->shown[1]) == 'F');
    ok(pf_wait(pf, 0.02, &event) == PF_OK && event.type == PF_EVENT_WAIT, "... and wakes nobody");
    finish(pf);
    pf_scoreboard_free(board);
    munmap(orders, sizeof *orders);
    if (path)
        unlink(path);
}

/* ---- pf_scoreboard_watch, for a host that decides by itself */

static void watch(void)
{
    pf_t *pf = pf_new();
    char text[64];
    pf_event event;
    pid_t pid;
    orders = shared(sizeof *orders);
    board = pf_scoreboard_new(NULL, 1);
    is_int(pf_set_scoreboard(pf, board), PF_OK, "a scoreboard that is watched");
    pf_begin(pf);
    pf_demand(pf, 1);
    pf_next(pf, &event);
    pid = fork();
    pf_forked(pf, pid);
    if (pid == 0)
        exit(shows(pf, NULL));
    UNTIL(GET(orders->shown[0]));
    ok(pf_scoreboard_watch(board, 0, 0), "pf_scoreboard_watch: no busy worker, and that is exact");
    do
        pf_next(pf, &event);
    while (event.type != PF_EVENT_WAIT);
    ok(event.type == PF_EVENT_WAIT && event.timeout != 0, "nothing to do");
    show(0, 'A');
    UNTIL(GET(orders->shown[0]) == 'A');
    pf_next(pf, &event);
    ok(event.type == PF_EVENT_WAIT && event.timeout >= 0 && event.timeout <= 0,
        "a busy one wakes the manager");
    ok(pf_scoreboard_watch(board, 1, 1), "again, with one busy worker");
    pf_next(pf, &event);
    ok(event.type == PF_EVENT_WAIT && event.timeout != 0, "nothing to do");
    show(0, '_');
    UNTIL(GET(orders->shown[0]) == '_');
    pf_next(pf, &event);
    ok(event.type == PF_EVENT_WAIT && event.timeout >= 0 && event.timeout <= 0,
        "an idle one wakes it too");
    pf_scoreboard_watch(board, 0, 0);
    is_int(pf_set_scoreboard(pf, NULL), PF_OK, "the scoreboard is taken out");
    pf_next(pf, &event);
    show(0, 'A');
    UNTIL(GET(orders->shown[0]) == 'A');
    ok(!is_readable(event.fd), "... and wakes nobody any more");
    pf_set_scoreboard(pf, board);
    pf_suspend(pf);
    kill(pid, SIGKILL);
    pf_wait(pf, -1, &event);
    pf_next(pf, &event);
    ok(pf_num_workers(pf) == 0 && statuses(board, text)[0] == 'A',
        "the slot of a worker that is gone is the host's, who decides");
    ok(pf_scoreboard_clear(board, pid), "... and who frees it");
    finish(pf);
    pf_scoreboard_free(board);
    munmap(orders, sizeof *orders);
}

/* ---- workers that are not reaped by the manager, or are no workers any more */

static int32_t is_busy(pf_t *pf, void *data)
{
    (void)data;
    CHECK(pf_scoreboard_claim(board, pf_worker_index(pf)) == PF_OK);
    CHECK(pf_scoreboard_set_status(board, 'A') == PF_OK);
    while (1)
        pause();
    return 99;
}

static char all[64];

/* The last worker, with the slots of all in `all`. */
static pid_t all_are_busy(pf_t *pf)
{
    fork_workers(pf, 2, is_busy, NULL);
    UNTIL(strcmp(statuses(board, all), "AA") == 0);
    return pf_next_worker(pf, pf_next_worker(pf, 0));
}

static void reap_event(pf_t *pf, pid_t pid, int reason)
{
    pf_event event;
    pf_suspend(pf);
    do
        pf_wait(pf, -1, &event);
    while (event.type != PF_EVENT_REAPED);
    ok(event.pid == pid && (int)event.reason == reason, "... it is reported");
}

static void ends_elsewhere(void)
{
    pf_t *pf;
    pf_event event;
    pid_t pid;
    int status;
    board = pf_scoreboard_new(NULL, 2);

    pf = pf_new();
    pf_set_scoreboard(pf, board);
    pid = all_are_busy(pf);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    is_int(pf_worker_reaped(pf, pid, status), PF_OK, "a worker that the host reaps");
    ok(strchr(statuses(board, all), '.') != NULL, "... has no slot");
    finish(pf);
    is_str(statuses(board, all), "..", "... nor has anybody at the end");

    pf = pf_new();
    pf_set_scoreboard(pf, board);
    pid = all_are_busy(pf);
    ok(pf_disown_worker(pf, pid), "a worker that is disowned");
    is_str(statuses(board, all), "AA", "... has its slot as long as it lives");
    kill(pid, SIGKILL);
    reap_event(pf, pid, PF_REASON_FOREIGN);
    is_str(statuses(board, all), "AA", "... and for its host to look at");
    pf_next(pf, &event);
    ok(strchr(statuses(board, all), '.') != NULL, "... and not for longer");
    finish(pf);

    pf = pf_new();
    pf_set_scoreboard(pf, board);
    pf_set_reap_foreign(pf, false);
    pid = all_are_busy(pf);
    pf_disown_worker(pf, pid);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    pf_worker_reaped(pf, pid, status);
    ok(strchr(statuses(board, all), '.') != NULL, "one that is disowned, and reaped by the host, has none");
    finish(pf);

    pf = pf_new();
    pf_set_scoreboard(pf, board);
    pid = all_are_busy(pf);
    kill(pid, SIGKILL);
    reap_event(pf, pid, PF_REASON_FAILED);
    is_int(pf_worker_reaped(pf, pid, 0), PF_OK, "to tell what was reported");
    is_str(statuses(board, all), "AA", "... frees no slot before its time");
    pf_set_scoreboard(pf, NULL);
    ok(strchr(statuses(board, all), '.') != NULL, "a scoreboard that is taken out has no slot of the dead");
    pf_set_scoreboard(pf, board);
    pid = pf_next_worker(pf, 0) == pid ? pf_next_worker(pf, pid) : pf_next_worker(pf, 0);
    kill(pid, SIGKILL);
    reap_event(pf, pid, PF_REASON_FAILED);
    pf_free(pf);
    is_str(statuses(board, all), "..", "... nor has that of a manager that is freed");
    pf_scoreboard_free(board);
}

/* ---- a worker that has closed what it does not know */

static void closes_all(void)
{
    int fd;
    CHECK(pf_scoreboard_claim(board, 0) == PF_OK);
    for (fd = 3; fd < 256; fd++)
        close(fd);
    SET(orders->shown[0], '_');
    UNTIL(GET(orders->status[0]));
    CHECK(pf_scoreboard_set_status(board, 'A') == PF_OK);
    while (1)
        pause();
}

static void without_descriptors(void)
{
    pf_t *pf = pf_new();
    pf_event event;
    pid_t pid;
    orders = shared(sizeof *orders);
    board = pf_scoreboard_new(NULL, 2);
    pf_set_max_workers(pf, 2);
    pf_set_spare_workers(pf, 1, 2, SIGKILL);
    is_int(pf_set_scoreboard(pf, board), PF_OK, "a pool of one spare worker");
    pf_begin(pf);
    event = woken(pf);
    is_int(event.type, PF_EVENT_FORK, "... which is forked");
    pid = fork();
    pf_forked(pf, pid);
    if (pid == 0)
        closes_all();
    UNTIL(GET(orders->shown[0]));
    do
        pf_next(pf, &event);
    while (event.type != PF_EVENT_WAIT);
    /* Whether there are other threads, some C libraries do not know: then the first wait has an end. */
    while (event.type == PF_EVENT_WAIT && event.timeout >= 0) {
        nap();
        pf_next(pf, &event);
    }
    ok(event.type == PF_EVENT_WAIT && event.timeout < 0, "... and for which the manager waits without an end");
    show(0, 'A');
    event = woken(pf);
    is_int(event.type, PF_EVENT_FORK, "one without descriptors still finds a way to wake it");
    pf_fork_failed(pf, NULL);
    finish(pf);
    pf_scoreboard_free(board);
    munmap(orders, sizeof *orders);
}

/* ---- workers whose slot is not that of their index */

static void take_slot_0(void *data)
{
    (void)data;
    CHECK(pf_scoreboard_claim(board, 0) == PF_OK);
    CHECK(pf_scoreboard_set_status(board, 'X') == PF_OK);
    SET(orders->shown[15], 'X');
    while (1)
        pause();
}

/* An order to take the orders of another place from now on, as that of the index may be a successor's. */
enum { MOVE = '>', MOVED = MOST - 2 };

/* Claims a slot when it is told to, whichever that is, and then shows what it is told. */
static void obeys_late(int place)
{
    char status = 0;
    SET(orders->shown[place], 1);
    while (1) {
        char wanted = GET(orders->status[place]);
        if (wanted == MOVE) {
            place = MOVED;
            wanted = 0;
        }
        if (wanted && !status)
            CHECK(pf_scoreboard_claim(board, place) == PF_OK);
        if (wanted && wanted != status)
            pf_scoreboard_set_status(board, status = wanted);
        SET(orders->shown[place], status ? status : 1);
        nap();
    }
}

/* The last one that has had the index. */
static pid_t late_pids[MOST];

/* Answers FORK events until there is a WAIT or something else. */
static pf_event fork_late_ones(pf_t *pf)
{
    pf_event event;
    while (pf_next(pf, &event) == PF_OK && event.type == PF_EVENT_FORK) {
        pid_t pid = fork();
        pf_forked(pf, pid);
        if (pid == 0)
            obeys_late(pf_worker_index(pf));
        late_pids[event.index] = pid;
        UNTIL(GET(orders->shown[event.index]));
    }
    return event;
}

static void show_late(int index, char status)
{
    show(index, status);
    UNTIL(GET(orders->shown[index]) == status);
}

/* A process that is no worker has the slot of the first one's index. */
static pid_t slot_0_is_taken(pf_t *pf, uint32_t min, uint32_t max)
{
    pid_t pid;
    orders = shared(sizeof *orders);
    board = pf_scoreboard_new(NULL, 8);
    pf_set_max_workers(pf, 4);
    pf_set_spare_workers(pf, min, max, SIGUSR2);
    pf_set_scoreboard(pf, board);
    pf_set_reap_foreign(pf, false);
    pid = fork();
    if (pid == 0)
        take_slot_0(NULL);
    UNTIL(GET(orders->shown[15]));
    pf_begin(pf);
    return pid;
}

static void end_process(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0)
        if (errno != EINTR)
            abort();
    pf_scoreboard_clear(board, pid);
}

static void end_board(pf_t *pf)
{
    finish(pf);
    pf_scoreboard_free(board);
    munmap(orders, sizeof *orders);
}

static void slot_of_another(void)
{
    pf_t *pf = pf_new();
    pf_event event;
    pid_t taker = slot_0_is_taken(pf, 1, 2);
    char text[64];
    fork_late_ones(pf);
    is_int(pf_num_workers(pf), 1, "a busy process that is no worker has the slot of its index: a worker is idle");
    show_late(0, '_');
    event = fork_late_ones(pf);
    is_int(pf_num_workers(pf), 1, "... when it has another slot too");
    show_late(0, 'A');
    is_str(statuses(board, text), "XA......", "the worker is busy in that");
    event = fork_late_ones(pf);
    is_int(pf_num_workers(pf), 2, "... so that there is none idle, and one more is forked");
    show_late(1, '_');
    end_process(taker);
    is_str(statuses(board, text), ".A_.....", "the slot of its index is free again");
    fork_late_ones(pf);
    show_late(1, 'B');
    event = fork_late_ones(pf);
    is_int(pf_num_workers(pf), 3, "... which tells nothing of it either");
    ok(event.type == PF_EVENT_WAIT, "nothing else is to be done");
    end_board(pf);
}

static void slot_of_a_disowned_one(void)
{
    pf_t *pf = pf_new();
    pid_t first;
    pf_event event;
    size_t told = 0;
    int reaped;
    end_process(slot_0_is_taken(pf, 1, 2));
    fork_late_ones(pf);
    show_late(0, 'A');
    fork_late_ones(pf);
    show_late(1, '_');
    first = pf_next_worker(pf, 0);
    ok(pf_disown_worker(pf, first), "a busy worker is disowned, and keeps its slot");
    SET(orders->status[0], 0);
    pf_set_spare_workers(pf, 2, 3, SIGUSR2);
    fork_late_ones(pf);
    is_int(pf_num_workers(pf), 2, "... the one that gets its index is idle");
    is_int(pf_adopt_worker(pf, first, 1), PF_OK, "the first is adopted, with another index");
    pf_stop_workers(pf, 3, SIGKILL, &told);
    is_int(told, 2, "... all but one are told to stop");
    for (reaped = 0; reaped < 2; reaped++) {
        pf_suspend(pf);
        do
            pf_wait(pf, -1, &event);
        while (event.type != PF_EVENT_REAPED);
        ok(event.pid != first, "... not the one that is busy");
    }
    end_board(pf);
}

/* Its turning busy wakes the manager: it has no idle one any more, and no other change tells that. */
static void told_to_stop_elsewhere(void)
{
    pf_t *pf = pf_new();
    pid_t taker = slot_0_is_taken(pf, 0, 1);
    pf_event event;
    size_t told = 0;
    pf_set_spare_workers(pf, 1, 1, SIGUSR2);
    fork_late_ones(pf);
    pf_stop_workers(pf, 1, SIGURG, &told);
    is_int(told, 1, "a worker without a slot is told to stop");
    event = fork_late_ones(pf);
    is_int(pf_num_workers(pf), 2, "... another one takes its place");
    show_late(1, '_');
    do
        event = fork_late_ones(pf);
    while (event.timeout >= 0 && event.timeout <= 0);
    show_late(0, '_');
    ok(is_readable(event.fd), "... it claims a slot that is not that of its index: that wakes the manager");
    do
        event = fork_late_ones(pf);
    while (event.timeout >= 0 && event.timeout <= 0);
    ok(!is_readable(event.fd), "... once");
    is_int(pf_num_stopping(pf), 1, "... it is on its way out");
    show_late(0, 'A');
    ok(is_readable(event.fd), "... whose turning busy wakes it too");
    is_int(pf_num_stopping(pf), 0, "... and is seen");
    end_process(taker);
    end_board(pf);
}

/* ---- busy processes that are no workers: they are among the busy ones of the scoreboard, and in no pool */

static pid_t no_worker(void)
{
    pid_t pid = fork();
    if (pid == 0)
        obeys_late(15);
    UNTIL(GET(orders->shown[15]));
    return pid;
}

/* The wait that the pool comes to; nothing is left in the pipe then. */
static pf_event comes_to_rest(pf_t *pf)
{
    pf_event event;
    do
        event = fork_late_ones(pf);
    while (event.type != PF_EVENT_WAIT || (event.timeout >= 0 && event.timeout <= 0));
    return event;
}

static pf_t *busy_pool(void)
{
    pf_t *pf = pf_new();
    int worker;
    orders = shared(sizeof *orders);
    board = pf_scoreboard_new(NULL, 8);
    pf_set_max_workers(pf, 6);
    pf_set_spare_workers(pf, 1, 2, SIGUSR2);
    pf_set_scoreboard(pf, board);
    pf_set_reap_foreign(pf, false);
    pf_begin(pf);
    for (worker = 0; worker < 4; worker++) {
        comes_to_rest(pf);
        show_late(worker, 'A');
    }
    comes_to_rest(pf);
    show_late(4, '_');
    return pf;
}

/* One of these workers is idle. Two more turn idle, of which the second is one too many. */
static void one_too_many(pf_t *pf, int workers, const char *what)
{
    pf_event event = comes_to_rest(pf);
    is_int(pf_num_workers(pf), workers, "%s", what);
    show_late(0, '_');
    comes_to_rest(pf);
    ok(!is_readable(event.fd), "... two idle workers are not too many");
    show_late(1, '_');
    ok(is_readable(event.fd), "... three are, which wakes the manager");
    event = woken(pf);
    ok(event.type == PF_EVENT_REAPED && event.reason == PF_REASON_STOPPED, "... and one is stopped");
    forget_orders(&event);
    comes_to_rest(pf);
    is_int(pf_num_workers(pf), workers - 1, "... one only");
}

static void end_busy_pool(pf_t *pf, pid_t other)
{
    end_process(other);
    end_board(pf);
}

static void beside_the_pool(void)
{
    pf_t *pf = busy_pool();
    pf_event event = comes_to_rest(pf);
    pid_t other = no_worker();
    show_late(15, 'X');
    ok(is_readable(event.fd), "a process that is no worker claims a slot, and turns busy: that wakes the manager");
    one_too_many(pf, 5, "a busy process is no worker");
    event = comes_to_rest(pf);
    show_late(15, '_');
    ok(is_readable(event.fd), "... it turns idle: that wakes the manager");
    event = comes_to_rest(pf);
    ok(!is_readable(event.fd), "... once");
    end_busy_pool(pf, other);

    pf = busy_pool();
    other = no_worker();
    show_late(15, 'X');
    comes_to_rest(pf);
    show_late(15, '_');
    one_too_many(pf, 5, "an idle process is no worker either");
    end_busy_pool(pf, other);

    pf = busy_pool();
    other = no_worker();
    show_late(15, 'X');
    comes_to_rest(pf);
    pf_adopt_worker(pf, other, 1);
    event = comes_to_rest(pf);
    is_int(pf_num_workers(pf), 6, "a busy process that becomes a worker");
    show_late(15, '_');
    ok(!is_readable(event.fd), "... is one among others: two idle ones are not too many");
    show_late(0, '_');
    ok(is_readable(event.fd), "... and three are");
    end_board(pf);
}

static void beside_a_disowned_one(void)
{
    pf_t *pf = busy_pool();
    pf_event event;
    comes_to_rest(pf);
    show_late(4, 'A');
    comes_to_rest(pf);
    show_late(5, '_');
    ok(pf_disown_worker(pf, late_pids[4]), "a busy worker is disowned");
    one_too_many(pf, 5, "... and is one no more");
    end_busy_pool(pf, late_pids[4]);

    pf = busy_pool();
    comes_to_rest(pf);
    show_late(4, 'A');
    comes_to_rest(pf);
    show(5, MOVE);
    UNTIL(GET(orders->shown[MOVED]));
    late_pids[MOVED] = late_pids[5];
    show(5, 0);
    ok(pf_disown_worker(pf, late_pids[MOVED]), "one that has no slot yet is disowned");
    comes_to_rest(pf);
    show_late(5, '_');
    event = comes_to_rest(pf);
    show_late(MOVED, 'X');
    ok(is_readable(event.fd), "... claims one, and turns busy: that wakes the manager");
    one_too_many(pf, 6, "... and it is no worker");
    end_busy_pool(pf, late_pids[MOVED]);
}

/* ---- who is who: managers one after the other, processes that workers have forked, other managers' workers */

static int32_t low, high;

static void looks_at_bounds(void *data)
{
    pf_own_slot slot;
    *(pid_t *)data = getpid();
    CHECK(pf_scoreboard_claim(board, 4) == PF_OK);
    CHECK(pf_scoreboard_own_slot(board, &slot) == PF_OK);
    CHECK(*slot.low == low && *slot.high == high && *slot.mark == 0);
}

static void ends_as(pf_t *pf, pid_t pid, int reason)
{
    pf_event event;
    kill(pid, SIGKILL);
    reap_event(pf, pid, reason);
    pf_next(pf, &event);
}

static void one_manager_after_the_other(void)
{
    pf_t *pf = pf_new(), *other = pf_new();
    pid_t *pid = shared(sizeof *pid), first[2], second[2];
    pf_event event;
    board = pf_scoreboard_new(NULL, 5);
    pf_set_scoreboard(pf, board);
    fork_workers(pf, 2, is_busy, NULL);
    UNTIL(strcmp(statuses(board, all), "AA...") == 0);
    first[1] = pf_next_worker(pf, first[0] = pf_next_worker(pf, 0));
    pf_set_spare_workers(pf, 1, 1, SIGKILL);
    pf_resume(pf);
    pf_next(pf, &event);
    is_int(event.type, PF_EVENT_WAIT, "a manager that looks at its scoreboard");
    pf_free(pf);
    low = INT32_MIN;
    high = INT32_MAX;
    is_int(in_child(looks_at_bounds, pid), 0, "... leaves no bounds when it is freed");
    pf_scoreboard_clear(board, *pid);
    pf_set_scoreboard(other, board);
    fork_workers(other, 2, is_busy, NULL);
    UNTIL(strcmp(statuses(board, all), "AAAA.") == 0);
    second[1] = pf_next_worker(other, second[0] = pf_next_worker(other, 0));
    ends_as(other, second[0], PF_REASON_FAILED);
    ok(strcmp(statuses(board, all), "AA.A.") == 0 || strcmp(all, "AAA..") == 0,
        "the slot of the next one's worker is free when that ends, and no other: %s", all);
    ends_as(other, first[0], PF_REASON_FOREIGN);
    ends_as(other, first[1], PF_REASON_FOREIGN);
    ok(strncmp(statuses(board, all), "..", 2) == 0, "... and so are those of the first one's workers: %s", all);
    pf = pf_new();
    pf_set_scoreboard(pf, board);
    pf_scoreboard_watch(board, low = -1, high = 7);
    pf_free(other);
    is_int(in_child(looks_at_bounds, pid), 0, "... one that is freed takes none from the manager that has it now");
    pf_scoreboard_clear(board, *pid);
    pf_set_spare_workers(pf, 1, 1, SIGKILL);
    ends_as(pf, second[1], PF_REASON_FOREIGN);
    is_str(statuses(board, all), ".....", "... and of the second one's");
    finish(pf);
    pf_scoreboard_free(board);
    munmap(pid, sizeof *pid);
}

static pid_t *others;

static int32_t forks_and_claims(pf_t *pf, void *data)
{
    pid_t pid = fork();
    (void)data;
    CHECK(pf_scoreboard_claim(board, pid == 0 ? 3 : (uint32_t)pf_worker_index(pf)) == PF_OK);
    CHECK(pf_scoreboard_claim(board, 2) == PF_ERR_WRONG_STATE);
    CHECK(pf_scoreboard_set_status(board, pid == 0 ? 'x' : 'A') == PF_OK);
    if (checks())
        abort();
    if (pid > 0)
        SET(*others, pid);
    while (1)
        pause();
    return 99;
}

static void child_of_a_worker(void)
{
    pf_t *pf = pf_new();
    others = shared(sizeof *others);
    board = pf_scoreboard_new(NULL, 4);
    pf_set_scoreboard(pf, board);
    fork_workers(pf, 1, forks_and_claims, NULL);
    UNTIL(GET(*others) && strcmp(statuses(board, all), "A..x") == 0);
    ends_as(pf, pf_next_worker(pf, 0), PF_REASON_FAILED);
    is_str(statuses(board, all), "...x", "a worker's child keeps its slot when the worker ends");
    kill(*others, SIGKILL);
    ok(pf_scoreboard_clear(board, *others), "... and is known by its pid");
    is_str(statuses(board, all), "....", "... which frees the slot");
    finish(pf);
    pf_scoreboard_free(board);
    munmap(others, sizeof *others);
}

/* A worker of another manager, and a process that becomes a worker, are forked between the FORK event and the fork. */
static void others_between_event_and_fork(void)
{
    pf_t *pf = pf_new(), *other = pf_new();
    pf_event event;
    pid_t worker, foreign, adopted;
    orders = shared(sizeof *orders);
    board = pf_scoreboard_new(NULL, 4);
    pf_set_scoreboard(pf, board);
    pf_set_max_workers(pf, 2);
    pf_set_spare_workers(pf, 1, 2, SIGUSR2);
    pf_begin(pf);
    pf_next(pf, &event);
    is_int(event.type, PF_EVENT_FORK, "a worker is to be forked");
    fork_workers(other, 1, is_busy, NULL);
    UNTIL(strcmp(statuses(board, all), "A...") == 0);
    foreign = pf_next_worker(other, 0);
    adopted = fork();
    if (adopted == 0)
        obeys_late(1);
    is_int(pf_adopt_worker(pf, adopted, 1), PF_OK, "... another process becomes one before that");
    show_late(1, 'x');
    worker = fork();
    pf_forked(pf, worker);
    if (worker == 0)
        exit(is_busy(pf, NULL));
    UNTIL(strcmp(statuses(board, all), "AxA.") == 0);
    pf_next(pf, &event);
    is_int(event.type, PF_EVENT_WAIT, "... then there are as many as there may be");
    show_late(1, '_');
    ends_as(pf, worker, PF_REASON_FAILED);
    is_str(statuses(board, all), "A_..", "a worker's end frees its slot, and not those of the others");
    ends_as(pf, adopted, PF_REASON_FAILED);
    is_str(statuses(board, all), "A...", "... the process that has become a worker");
    finish(other);
    ok(pf_scoreboard_clear(board, foreign), "... and the worker of another manager");
    is_str(statuses(board, all), "....", "... whose ends free their own");
    end_board(pf);
}

int main(void)
{
    char path[256];
    begin();
    slot_of_another();
    slot_of_a_disowned_one();
    told_to_stop_elsewhere();
    beside_the_pool();
    beside_a_disowned_one();
    one_manager_after_the_other();
    child_of_a_worker();
    others_between_event_and_fork();
    without_descriptors();
    ends_elsewhere();
    slots(NULL, "in memory");
    unlink(temporary(path));
    slots(path, "in a file");
    unlink(path);
    own_slot(path);
    unlink(path);
    file();
    spare_workers(NULL, SIGUSR2, "scoreboard in memory");
    unlink(temporary(path));
    spare_workers(path, SIGKILL, "scoreboard in a file");
    watch();
    return done();
}
