/* What C programs do beside the manager: hooks that call it, workers that have workers, workers that
 * free it or exec, exit handlers, children of the program's own. */

#include "tap.h"

#include <sys/stat.h>

/* ---- a worker that is a manager of its own */

static int32_t inner_manager(pf_t *outer, void *data)
{
    pf_t *pf = pf_new();
    size_t left = 1;
    (void)data;
    CHECK(pf_start(outer, at_once, NULL) == PF_ERR_WRONG_PROCESS);
    CHECK(pf_num_workers(pf) == 0 && pf_generation(pf) == 0 && pf_worker_index(pf) == -1);
    pf_set_max_workers(pf, 1);
    CHECK(pf_trap_signal(pf, SIGUSR1, SIGTERM, 0) == PF_OK);
    kill(getpid(), SIGUSR1);
    CHECK(pf_start(pf, until_killed, NULL) == PF_OK && pf_signal_received(pf) == SIGUSR1);
    fork_workers(pf, 2, until_killed, NULL);
    pf_signal_all_children(pf, SIGTERM);
    CHECK(pf_wait_all_children(pf, -1, &left) == PF_OK && left == 0);
    pf_free(pf);
    return checks() ? 1 : 42;
}

static int exit_code = -1;

static void stop_when_reaped(pf_t *pf, const pf_event *exit, void *data)
{
    (void)data;
    exit_code = WIFEXITED(exit->status) ? WEXITSTATUS(exit->status) : -1;
    pf_signal(pf, SIGUSR1);
}

static void nested(void)
{
    size_t left = 99;
    pf_t *pf = pf_new();
    pf_set_max_workers(pf, 1);
    pf_trap_signal(pf, SIGUSR1, SIGTERM, 0);
    pf_set_on_child_reap(pf, stop_when_reaped, NULL);
    is_int(pf_start(pf, inner_manager, NULL), PF_OK, "a worker with workers");
    is_int(exit_code, 42, "... has trapped, forked and waited for itself");
    pf_set_on_child_reap(pf, NULL, NULL);
    is_int(pf_wait_all_children(pf, -1, &left), PF_OK, "all others are waited for");
    is_int(left, 0, "... and gone");
    pf_free(pf);
}

/* ---- hooks that call the manager */

static int waited_in_hook;

static void wait_in_hook(pf_t *pf, const pf_event *exit, void *data)
{
    size_t left = 99;
    (void)exit;
    (void)data;
    if (pf_start(pf, at_once, NULL) != PF_ERR_WRONG_STATE)
        return;
    if (pf_wait_all_children(pf, 0, &left) == PF_OK && ++waited_in_hook == 3)
        pf_signal(pf, SIGUSR1);
}

static int killed_by_hook;

static void kill_in_hook(pf_t *pf, int32_t pid, void *data)
{
    (void)data;
    CHECK(pf_worker_generation(pf, pid, NULL));
    /* The hook is called before anybody can know whether the worker has begun. */
    CHECK(pf_signal_all_children(pf, SIGKILL) == PF_OK);
    CHECK(pf_wait_all_children(pf, -1, NULL) == PF_OK);
    CHECK(pf_num_workers(pf) == 0);
    if (++killed_by_hook == 2)
        pf_signal(pf, SIGUSR1);
}

static int waits_refused;

static void wait_before_fork(pf_t *pf, void *data)
{
    (void)data;
    waits_refused += pf_wait_all_children(pf, 0, NULL) == PF_ERR_WRONG_STATE;
}

static void drop_hooks(pf_t *pf, int32_t pid, void *data)
{
    (void)pid;
    ++*(int *)data;
    pf_set_after_fork(pf, NULL, NULL);
}

static void hooks(void)
{
    pf_t *pf = pf_new();
    int calls = 0;
    pf_set_max_workers(pf, 1);
    pf_set_on_child_reap(pf, wait_in_hook, NULL);
    is_int(pf_start(pf, at_once, NULL), PF_OK, "a hook may wait");
    is_int(waited_in_hook, 3, "... and the run goes on; pf_start in it is refused");
    pf_set_on_child_reap(pf, NULL, NULL);
    pf_wait_all_children(pf, -1, NULL);

    pf_set_err_respawn_interval(pf, 0);
    pf_set_before_fork(pf, wait_before_fork, NULL);
    pf_set_after_fork(pf, kill_in_hook, NULL);
    is_int(pf_start(pf, until_killed, NULL), PF_OK, "a hook may kill, and wait");
    is_int(killed_by_hook, 2, "... and the run goes on");
    is_int(waits_refused, 2, "before_fork may not wait: the fork is asked for");
    pf_set_before_fork(pf, NULL, NULL);

    pf_set_max_workers(pf, 3);
    pf_set_after_fork(pf, drop_hooks, &calls);
    pf_set_on_child_reap(pf, stop_when_reaped, NULL);
    is_int(pf_start(pf, at_once, NULL), PF_OK, "a hook may take itself out");
    is_int(calls, 1, "... and is called no more");
    pf_set_on_child_reap(pf, NULL, NULL);
    pf_wait_all_children(pf, -1, NULL);
    pf_free(pf);
}

/* ---- pf_free in a worker, exit handlers */

static int *exits;

static void count_exit(void)
{
    ADD(*exits, 1);
}

static int32_t frees(pf_t *pf, void *data)
{
    struct sigaction term;
    (void)data;
    pf_free(pf);
    sigaction(SIGUSR1, NULL, &term);
    CHECK(term.sa_handler == SIG_DFL);
    return checks() ? 1 : 21;
}

static void frees_and_exits(void *data)
{
    pf_t *pf = pf_new();
    (void)data;
    atexit(count_exit);
    pf_set_err_respawn_interval(pf, 0);
    pf_set_max_workers(pf, 1);
    pf_set_on_child_reap(pf, stop_when_reaped, NULL);
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    CHECK(pf_start(pf, frees, NULL) == PF_OK);
    CHECK(exit_code == 21);
    CHECK(GET(*exits) >= 1);
    CHECK(pf_start(pf, frees, NULL) == PF_OK);
    pf_set_on_child_reap(pf, NULL, NULL);
    CHECK(pf_wait_all_children(pf, -1, NULL) == PF_OK);
    pf_free(pf);
    SET(*exits, 0);
}

static void freed_in_worker(void)
{
    exits = shared(sizeof *exits);
    is_int(in_child(frees_and_exits, NULL), 0, "a worker may free the manager; that of the program goes on");
    is_int(*exits, 1, "exit handlers run once in each process");
    munmap(exits, sizeof *exits);
}

/* ---- a program that is exec'd */

static char *self;

/* How many descriptors are open to the file of this number. */
static int descriptors_of(ino_t inode)
{
    struct stat stat_of;
    int fd, open = 0;
    for (fd = 0; fd < 64; fd++)
        open += fstat(fd, &stat_of) == 0 && stat_of.st_ino == inode;
    return open;
}

static int descriptors(void)
{
    int fd, open = 0;
    for (fd = 0; fd < 64; fd++)
        open += fcntl(fd, F_GETFD) >= 0;
    return open;
}

static int is_like_new(const char *pipe, const char *file)
{
    sigset_t mask;
    struct sigaction term, chld;
    int signal, blocked = 0;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    for (signal = 1; signal <= SIGRTMAX; signal++)
        blocked += sigismember(&mask, signal) == 1;
    CHECK(blocked == 0);
    sigaction(SIGTERM, NULL, &term);
    sigaction(SIGCHLD, NULL, &chld);
    CHECK(term.sa_handler == SIG_DFL && chld.sa_handler == SIG_DFL);
    CHECK(descriptors_of(strtoull(pipe, NULL, 10)) == 0);
    CHECK(descriptors_of(strtoull(file, NULL, 10)) == 0);
    return checks() ? 1 : 17;
}

static struct {
    char pipe[32], file[32];
} inodes;

static int32_t execs(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    execl(self, self, inodes.pipe, inodes.file, (char *)NULL);
    return 99;
}

static void exec_d(void)
{
    pf_t *pf;
    pf_event event;
    pf_scoreboard_t *board;
    struct stat stat_of;
    int before = descriptors();
    char path[256];
    pid_t pid;
    unlink(temporary(path));
    board = pf_scoreboard_new(path, 2);
    pf = pf_new();
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    pf_trap_signal(pf, SIGTERM, 0, 0);
    pf_set_scoreboard(pf, board);
    pf_next(pf, &event);
    stat(path, &stat_of);
    snprintf(inodes.file, sizeof inodes.file, "%ju", (uintmax_t)stat_of.st_ino);
    is_int(descriptors_of(stat_of.st_ino), 1, "a scoreboard has a descriptor");
    fstat(event.fd, &stat_of);
    snprintf(inodes.pipe, sizeof inodes.pipe, "%ju", (uintmax_t)stat_of.st_ino);
    is_int(descriptors_of(stat_of.st_ino), 3, "a manager with a scoreboard has three");
    pf_set_max_workers(pf, 1);
    pf_set_on_child_reap(pf, stop_when_reaped, NULL);
    pf_start(pf, execs, NULL);
    is_int(exit_code, 17, "a program that a worker execs has none of them, and no mask");

    pf_set_max_workers(pf, 0);
    pf_wait_all_children(pf, -1, NULL);
    pid = fork();
    if (pid == 0)
        _exit(execs(pf, NULL));
    pf_suspend(pf);
    pf_wait(pf, -1, &event);
    ok(event.pid == pid && WEXITSTATUS(event.status) == 17, "... nor has one that the manager execs");
    pf_free(pf);
    pf_scoreboard_free(board);
    unlink(path);
    is_int(descriptors(), before, "in the end all of them are closed");
}

/* ---- children of the program's own */

static void own_children(void)
{
    pf_t *pf = pf_new();
    char line[32] = "";
    FILE *command;
    fork_workers(pf, 2, until_killed, NULL);
    is_int(system("exit 7"), 7 << 8, "system(3) gives the status of its command");
    command = popen("echo here; exit 3", "r");
    ok(command && fgets(line, sizeof line, command) && strcmp(line, "here\n") == 0,
        "popen(3) reads its command");
    is_int(pclose(command), 3 << 8, "... and has its status");
    finish(pf);
}

/* ---- signals that come before the start, and managers one after the other */

static void before_start(void)
{
    pf_t *pf = pf_new();
    pf_set_max_workers(pf, 2);
    pf_trap_signal(pf, SIGUSR1, SIGTERM, 0);
    pf_signal(pf, SIGUSR1);
    is_int(pf_start(pf, until_killed, NULL), PF_OK, "a signal before the start ends it at once");
    is_int(pf_num_workers(pf), 0, "... before anybody is forked");
    kill(getpid(), SIGUSR1);
    is_int(pf_start(pf, until_killed, NULL), PF_OK, "... so does the next one");
    pf_free(pf);
    pf = pf_new();
    pf_trap_signal(pf, SIGUSR1, SIGTERM, 0);
    kill(getpid(), SIGUSR1);
    is_int(pf_start(pf, until_killed, NULL), PF_OK, "a signal can be trapped again by the next manager");
    is_int(pf_num_workers(pf), 0, "... as before");
    pf_free(pf);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return is_like_new(argv[1], argv[2]);
    self = argv[0];
    begin();
    nested();
    hooks();
    freed_in_worker();
    exec_d();
    own_children();
    before_start();
    return done();
}
