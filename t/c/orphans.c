/* Workers whose manager is gone, killed or freed: they go on, and what they say of themselves ends none of them. */

#include "tap.h"

/* The others may not have the write(2) of the library replaced. */
#if defined(__linux__) && defined(__GLIBC__) && !HEAP_HAS_NO_FORK
#include <sys/syscall.h>
#define CAN_COUNT 1
#else
#define CAN_COUNT 0
#endif

static struct {
    int ready, has_slept, is_gone, handled, broken;
} *common;

#if CAN_COUNT
/* In place of the C library's, which libprefork calls otherwise: counts what nobody can read any more. */
ssize_t write(int fd, const void *bytes, size_t count)
{
    ssize_t written = syscall(SYS_write, fd, bytes, count);
    if (written < 0 && errno == EPIPE)
        ADD(common->broken, 1);
    return written;
}
#endif

static int told[2]; /* a byte for each worker that has lived on */
static pf_scoreboard_t *board;

enum { DEFAULT, HANDLED, PENDING };

static void note(int signal)
{
    (void)signal;
    ADD(common->handled, 1);
}

static int32_t lives_on(pf_t *pf, void *data)
{
    int how = *(int *)data, i;
    sigset_t set, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    if (how == HANDLED)
        signal(SIGPIPE, note);
    if (how == PENDING) {
        sigprocmask(SIG_BLOCK, &set, NULL);
        raise(SIGPIPE);
    }
    CHECK(pf_scoreboard_claim(board, (uint32_t)pf_worker_index(pf)) == PF_OK);
    ADD(common->ready, 1);
    UNTIL(GET(common->is_gone));
    for (i = 0; i < 10; i++) {
        errno = 0;
        CHECK(pf_scoreboard_set_status(board, i % 2 ? '_' : 'A') == PF_OK);
        CHECK(errno == 0);
    }
    sigpending(&pending);
    CHECK(sigismember(&pending, SIGPIPE) == (how == PENDING));
    if (checks() == 0 && write(told[1], "w", 1) != 1)
        return 1;
    return 0;
}

static void stop_when_ready(pf_t *pf, int32_t pid, void *data)
{
    struct forks_wanted *forks = data;
    (void)pid;
    if (++forks->forked == forks->wanted)
        pf_signal(pf, SIGURG);
}

/* The manager, in a process of its own. */
static void manages(int how, int frees)
{
    pf_t *pf = pf_new();
    pf_event event;
    struct forks_wanted forks = { 0, 2 };
    board = pf_scoreboard_new(NULL, 4);
    pf_set_scoreboard(pf, board);
    pf_set_spare_workers(pf, 2, 4, SIGTERM);
    pf_set_max_workers(pf, 4);
    pf_set_after_fork(pf, stop_when_ready, &forks);
    pf_start(pf, lives_on, &how);
    close(told[1]);
    UNTIL(GET(common->ready) == 2);
    /* It sleeps once more: the bounds are there that workers look at, and nobody has woken it since. */
    pf_set_after_fork(pf, NULL, NULL);
    pf_resume(pf);
    if (pf_wait(pf, 0.01, &event) != PF_OK || event.type != PF_EVENT_WAIT)
        abort();
    if (frees)
        pf_free(pf);
    SET(common->has_slept, 1);
    /* Workers may wake nobody through a process that is still there. */
    until_killed(NULL, NULL);
}

static int workers_left(int how, int frees)
{
    char byte;
    int left = 0;
    pid_t manager;
    memset(common, 0, sizeof *common);
    if (pipe(told) != 0)
        abort();
    fflush(stdout);
    manager = fork();
    if (manager == 0) {
        close(told[0]);
        manages(how, frees);
        _exit(1);
    }
    close(told[1]);
    UNTIL(GET(common->has_slept));
    if (!frees) {
        kill(manager, SIGKILL);
        waitpid(manager, NULL, 0);
    }
    SET(common->is_gone, 1);
    /* Until the last worker has gone. */
    while (read(told[0], &byte, 1) == 1)
        left++;
    close(told[0]);
    if (frees) {
        kill(manager, SIGKILL);
        waitpid(manager, NULL, 0);
    }
    return left;
}

static void live_on(int how, int frees, const char *name)
{
    is_int(workers_left(how, frees), 2, "workers live on %s", name);
    /* One that is killed leaves the bounds that workers look at, and they try; pf_free takes them away. */
    if (!CAN_COUNT)
        skip("... and wake a manager that is not there", "the call cannot be replaced");
    else if (frees)
        is_int(common->broken, 0, "... and have nobody to wake");
    else
        ok(common->broken > 0, "... and wake a manager that is not there: %d times", common->broken);
}

int main(void)
{
    begin();
    common = shared(sizeof *common);
    live_on(DEFAULT, 0, "when their manager was killed");
    live_on(DEFAULT, 1, "... and when it has freed its handle");
    live_on(HANDLED, 0, "... also those with a handler for SIGPIPE");
    is_int(common->handled, 0, "... which is not called");
    live_on(PENDING, 0, "... and those that hold one back, which they still have");
    munmap(common, sizeof *common);
    return done();
}
