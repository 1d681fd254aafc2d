/* Workers whose manager is gone, killed or freed: they go on, and what they say of themselves ends none of them. */

#include "tap.h"

static struct {
    int ready, is_gone, handled;
} *common;

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

/* The manager, in a process of its own; it frees its handle, or goes on until it is killed. */
static void manages(int how, int frees)
{
    pf_t *pf = pf_new();
    struct forks_wanted forks = { 0, 2 };
    board = pf_scoreboard_new(NULL, 4);
    pf_set_scoreboard(pf, board);
    pf_set_spare_workers(pf, 2, 4, SIGTERM);
    pf_set_max_workers(pf, 4);
    if (frees)
        pf_set_after_fork(pf, stop_when_ready, &forks);
    pf_start(pf, lives_on, &how);
    UNTIL(GET(common->ready) == 2);
    /* It sleeps once more: the bounds are there that workers look at. */
    pf_set_after_fork(pf, NULL, NULL);
    pf_run(pf);
    {
        pf_event event;
        pf_wait(pf, 0.01, &event);
    }
    pf_free(pf);
    SET(common->is_gone, 1);
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
    UNTIL(GET(common->ready) == 2);
    if (frees)
        UNTIL(GET(common->is_gone));
    else
        UNTIL(is_asleep(manager));
    kill(manager, SIGKILL);
    waitpid(manager, NULL, 0);
    SET(common->is_gone, 1);
    /* Until the last worker has gone. */
    while (read(told[0], &byte, 1) == 1)
        left++;
    close(told[0]);
    return left;
}

int main(void)
{
    begin();
    common = shared(sizeof *common);
    is_int(workers_left(DEFAULT, 0), 2, "workers live on when their manager was killed");
    is_int(workers_left(DEFAULT, 1), 2, "... and when it has freed its handle");
    is_int(workers_left(HANDLED, 0), 2, "... also those with a handler for SIGPIPE");
    is_int(common->handled, 0, "... which is not called");
    is_int(workers_left(PENDING, 0), 2, "... and those that hold one back, which they still have");
    munmap(common, sizeof *common);
    return done();
}
