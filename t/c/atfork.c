/* Programs whose pthread_atfork(3) handlers close all descriptors, and open files of their own: those stay, and the
 * manager goes on. And one that closes the library's descriptors again and again. */

#include "tap.h"

#include <sys/stat.h>

static int reopens; /* a bit for the parent, one for the child */
enum { IN_PARENT = 1, IN_CHILD = 2 };

enum { FIRST = 3, LAST = 40 };

static struct {
    int workers, intact;
} *common;

static char path[256];
static struct stat file;

/* Nobody has read from it either. */
static int is_file(int fd)
{
    struct stat now;
    return fstat(fd, &now) == 0 && now.st_dev == file.st_dev && now.st_ino == file.st_ino
        && lseek(fd, 0, SEEK_CUR) == 0;
}

/* All that there may be of the library's becomes a file of the program's. */
static void reopen(void)
{
    int fd, opened = open(path, O_RDWR);
    for (fd = FIRST; fd <= LAST; fd++)
        if (fd != opened)
            dup2(opened, fd);
    if (opened > LAST)
        close(opened);
}

static int all_intact(void)
{
    int fd, intact = 1;
    for (fd = FIRST; fd <= LAST; fd++)
        intact &= is_file(fd);
    return intact;
}

static int forks;

/* Once, after the manager has waited: what it does to these files later can be seen. */
static void in_parent(void)
{
    if (reopens & IN_PARENT && ++forks == 3)
        reopen();
}

static void in_the_child(void)
{
    if (reopens & IN_CHILD)
        reopen();
}

/* The last one ends the run. */
static int32_t looks(pf_t *pf, void *data)
{
    (void)pf;
    ADD(common->intact, all_intact());
    if (ADD(common->workers, 1) == 5)
        kill(*(pid_t *)data, SIGUSR1);
    return 0;
}

/* No hook, so that nothing but the fork runs code of the program. */
static void pool(void *data)
{
    pf_t *pf = pf_new();
    pid_t self = getpid();
    pf_scoreboard_t *board = pf_scoreboard_new(NULL, 4);
    reopens = *(int *)data;
    memset(common, 0, sizeof *common);
    pf_set_max_workers(pf, 1);
    /* With one it sleeps with the descriptor. */
    if (reopens & IN_PARENT)
        CHECK(pf_set_scoreboard(pf, board) == PF_OK);
    CHECK(pf_trap_signal(pf, SIGUSR1, SIGKILL, 0) == PF_OK);
    CHECK(pf_start(pf, looks, &self) == PF_OK);
    CHECK(pf_signal_received(pf) == SIGUSR1);
    CHECK(pf_wait_all_children(pf, -1, NULL) == PF_OK);
    if (reopens & IN_CHILD)
        CHECK(common->intact == common->workers);
    CHECK(common->workers >= 5);
    if (reopens & IN_PARENT)
        CHECK(forks >= 3 && all_intact());
    pf_free(pf);
    pf_scoreboard_free(board);
}

/* ---- closed again and again */

/* Pages that are in memory, as the system has it; 0 if it does not say. */
static long resident(void)
{
    long all, in_memory = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return 0;
    if (fscanf(file, "%ld %ld", &all, &in_memory) != 2)
        in_memory = 0;
    fclose(file);
    return in_memory;
}

static void close_again_and_again(void *data)
{
    pf_t *pf = pf_new();
    pf_event event;
    long before = 0, grown;
    int i, times = is_under_valgrind() || HEAP_HAS_NO_FORK ? 500 : 30000;
    (void)data;
    pf_set_max_workers(pf, 0);
    CHECK(pf_trap_signal(pf, SIGUSR1, 0, 0) == PF_OK);
    for (i = 0; i < times && checks() == 0; i++) {
        CHECK(pf_next(pf, &event) == PF_OK && event.type == PF_EVENT_WAIT);
        close(event.fd);
        CHECK(pf_trap_signal(pf, SIGUSR1, 0, 0) == PF_OK);
        raise(SIGUSR1);
        pf_next(pf, &event);
        CHECK(pf_signal_received(pf) == SIGUSR1);
        if (i == 400)
            before = resident();
    }
    grown = resident() - before;
    /* 32 bytes for each would be 240 pages. */
    if (times > 500 && !CHECK(grown < 200))
        diag("%ld pages more", grown);
    pf_free(pf);
}

int main(void)
{
    int where, opened;
    begin();
    common = shared(sizeof *common);
    opened = open(temporary(path), O_WRONLY);
    if (opened < 0 || write(opened, path, sizeof path) != sizeof path || fstat(opened, &file) != 0)
        abort();
    close(opened);
    pthread_atfork(NULL, in_parent, in_the_child);
    for (where = IN_PARENT; where <= (IN_PARENT | IN_CHILD); where++)
        is_int(in_child(pool, &where), 0,
            "the program's own files take the place of all descriptors in a fork, in the %s",
            where == IN_PARENT ? "manager" : where == IN_CHILD ? "worker" : "manager and the worker");
    is_int(in_child(close_again_and_again, NULL), 0, "a program closes the descriptor again and again: no memory goes");
    unlink(path);
    munmap(common, sizeof *common);
    return done();
}
