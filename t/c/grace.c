/* pf_set_graceful_timeout: a worker that was told to end and does not is killed when its time is over, by whatever call
 * it was told, not before; and nobody else is. */

#include "tap.h"

#define GRACE 0.2
#define LONG 3600

/* What the hook has seen. */
static struct {
    int reaped, killed, ended;
    double first_at;
} seen;

static void on_child_reap(pf_t *pf, const pf_event *exit, void *data)
{
    (void)pf;
    (void)data;
    if (!seen.reaped++)
        seen.first_at = now();
    seen.killed += WIFSIGNALED(exit->status) && WTERMSIG(exit->status) == SIGKILL;
    seen.ended += WIFEXITED(exit->status) || WTERMSIG(exit->status) == SIGTERM;
}

/* A worker that no signal ends but KILL, and that says in shared memory when it is there. */
static int *there;

static int32_t stubborn(pf_t *pf, void *data)
{
    int signal;
    for (signal = 1; signal < 32; signal++)
        sigaction(signal, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
    ADD(*there, 1);
    return until_killed(pf, data);
}

/* One that has stopped itself. */
static int32_t stopped(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    ADD(*there, 1);
    raise(SIGSTOP);
    return 99;
}

/* One that ends by TERM. */
static int32_t obedient(pf_t *pf, void *data)
{
    ADD(*there, 1);
    return until_killed(pf, data);
}

/* One that leads a group, in which another process is as stubborn. Nobody else has the writing end of the pipe. */
static int group_pipe[2];

static int32_t leader(pf_t *pf, void *data)
{
    setpgid(0, 0);
    close(group_pipe[0]);
    if (fork() == 0)
        signal(SIGTERM, SIG_IGN);
    return stubborn(pf, data);
}

static pf_t *manager(uint32_t workers, pf_worker_fn work, int processes, double grace)
{
    pf_t *pf = pf_new();
    memset(&seen, 0, sizeof seen);
    SET(*there, 0);
    is_int(pf_set_graceful_timeout(pf, grace), PF_OK, "pf_set_graceful_timeout");
    pf_set_err_respawn_interval(pf, 0);
    fork_workers(pf, workers, work, NULL);
    UNTIL(GET(*there) == processes);
    pf_set_on_child_reap(pf, on_child_reap, NULL);
    return pf;
}

static void all_are_killed(pf_t *pf, int workers, double told_at, const char *how)
{
    size_t left = 99;
    is_int(pf_wait_all_children(pf, -1, &left), PF_OK, "%s: the wait for all ends", how);
    is_int(left, 0, "... nobody is left");
    is_int(seen.killed, workers, "... they were killed");
    at_least(seen.first_at - told_at, GRACE, "... not before their time was over");
    pf_free(pf);
}

static void told_by_a_call(void)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGQUIT };
    size_t i;
    for (i = 0; i < sizeof signals / sizeof *signals; i++) {
        pf_t *pf = manager(2, stubborn, 2, GRACE);
        const double told_at = now();
        is_int(pf_signal_all_children(pf, signals[i]), PF_OK, "pf_signal_all_children");
        all_are_killed(pf, 2, told_at, strsignal(signals[i]));
    }
}

static void told_again_and_again(void)
{
    pf_t *pf = manager(2, stubborn, 2, GRACE);
    const double told_at = now();
    size_t left = 2;
    while (left) {
        pf_signal_all_children(pf, SIGTERM);
        pf_wait_all_children(pf, 0.02, &left);
    }
    ok(1, "TERM every 0.02 s: the workers are gone all the same");
    is_int(seen.killed, 2, "... they were killed");
    at_least(seen.first_at - told_at, GRACE, "... not before their time was over");
    pf_free(pf);
}

static void told_by_a_trap(void)
{
    pf_t *pf = manager(2, stubborn, 2, GRACE);
    double told_at;
    pf_trap_signal(pf, SIGHUP, SIGTERM, 0);
    pf_signal(pf, SIGHUP);
    told_at = now();
    is_int(pf_start(pf, stubborn, NULL), PF_OK, "HUP, which sends TERM, ends the run");
    all_are_killed(pf, 2, told_at, "after a trapped signal");
}

static void stop_when_reaped(pf_t *pf, const pf_event *exit, void *data)
{
    on_child_reap(pf, exit, data);
    if (seen.killed == 2)
        pf_signal(pf, SIGURG);
}

static void told_while_the_next_run_is_on(void)
{
    pf_t *pf = manager(2, stubborn, 2, GRACE);
    const double told_at = now();
    pf_set_on_child_reap(pf, stop_when_reaped, NULL);
    pf_set_max_workers(pf, 4);
    pf_signal_all_children(pf, SIGTERM);
    is_int(pf_start(pf, obedient, NULL), PF_OK, "those of before are killed while the next run is on");
    is_int(seen.killed, 2, "... they and nobody else");
    at_least(seen.first_at - told_at, GRACE, "... not before their time was over");
    finish(pf);
}

static void told_one_by_one(void)
{
    pf_t *pf = manager(3, stubborn, 3, GRACE);
    const double told_at = now();
    size_t left = 99;
    is_int(pf_signal_staggered(pf, SIGTERM, GRACE), PF_OK, "pf_signal_staggered");
    pf_wait_all_children(pf, -1, &left);
    is_int(seen.killed, 3, "... all are killed");
    at_least(now() - told_at, 3 * GRACE, "... each when its own time is over");
    pf_free(pf);
}

static void is_one_too_many(void)
{
    pf_t *pf = manager(3, stubborn, 3, GRACE);
    pf_scoreboard_t *board = pf_scoreboard_new(NULL, 3);
    const double told_at = now();
    pf_set_scoreboard(pf, board);
    pf_set_spare_workers(pf, 1, 1, SIGUSR2);
    pf_set_on_child_reap(pf, stop_when_reaped, NULL);
    is_int(pf_start(pf, stubborn, NULL), PF_OK, "two workers too many, told by USR2, are killed");
    is_int(seen.killed, 2, "... they and nobody else");
    at_least(seen.first_at - told_at, GRACE, "... not before their time was over");
    is_int((int)pf_num_workers(pf), 1, "... one stays");
    finish(pf);
    pf_scoreboard_free(board);
}

static void are_stopped(void)
{
    pf_t *pf = manager(2, stopped, 2, GRACE);
    double told_at;
    siginfo_t info;
    pid_t pid = 0;
    while ((pid = pf_next_worker(pf, pid)) > 0)
        CHECK(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT) == 0);
    told_at = now();
    pf_signal_all_children(pf, SIGTERM);
    all_are_killed(pf, 2, told_at, "stopped workers");
}

static void lead_a_group(void)
{
    char byte;
    pf_t *pf;
    double told_at;
    if (pipe(group_pipe) != 0)
        abort();
    pf = manager(1, leader, 2, GRACE);
    close(group_pipe[1]);
    told_at = now();
    pf_signal_all_children(pf, -SIGTERM);
    all_are_killed(pf, 1, told_at, "TERM to a group");
    is_int((int)read(group_pipe[0], &byte, 1), 0, "... and so is all of the group");
    close(group_pipe[0]);
}

static void end_in_time(void)
{
    pf_t *pf = manager(2, obedient, 2, LONG);
    pf_signal_all_children(pf, SIGTERM);
    pf_wait_all_children(pf, -1, NULL);
    is_int(seen.ended, 2, "workers that end in time are not killed");
    pf_free(pf);
}

static void were_not_told(void)
{
    static const int others[] = { SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, 0 };
    size_t i, left = 99;
    pf_t *pf = manager(2, stubborn, 2, GRACE);
    for (i = 0; i < sizeof others / sizeof *others; i++)
        pf_signal_all_children(pf, others[i]);
    pf_wait_all_children(pf, 3 * GRACE, &left);
    is_int(left, 2, "HUP, USR1, USR2 and WINCH end nobody's time");
    is_int(pf_set_graceful_timeout(pf, 0), PF_OK, "0 is no limit");
    pf_signal_all_children(pf, SIGTERM);
    pf_wait_all_children(pf, 3 * GRACE, &left);
    is_int(left, 2, "... and nobody is killed");
    finish(pf);
}

/* The time of WAIT, for a host with a loop of its own. */
static void pull(void)
{
    pf_t *pf = manager(2, stubborn, 2, LONG);
    pf_event event;
    pf_watch_children(pf);
    do {
        CHECK(pf_wait(pf, 2, &event) == PF_OK && event.type == PF_EVENT_WAIT);
    } while (event.timeout >= 0);
    pf_signal_all_children(pf, SIGTERM);
    /* A look for children may come first. */
    CHECK(pf_wait(pf, 2, &event) == PF_OK && pf_next(pf, &event) == PF_OK && event.type == PF_EVENT_WAIT);
    ok(event.timeout > LONG / 2 && event.timeout <= LONG, "WAIT is until the time is over");
    pf_signal_all_children(pf, SIGKILL);
    pf_wait_all_children(pf, -1, NULL);
    pf_free(pf);

    pf = manager(1, stubborn, 1, GRACE);
    pf_watch_children(pf);
    pf_signal_all_children(pf, SIGTERM);
    do {
        CHECK(pf_wait(pf, -1, &event) == PF_OK);
    } while (event.type != PF_EVENT_REAPED);
    ok(WIFSIGNALED(event.status) && WTERMSIG(event.status) == SIGKILL, "... and pf_wait kills, outside of any run");
    pf_free(pf);
}

int main(void)
{
    begin();
    there = shared(sizeof *there);
    told_by_a_call();
    told_again_and_again();
    told_by_a_trap();
    told_while_the_next_run_is_on();
    told_one_by_one();
    is_one_too_many();
    are_stopped();
    lead_a_group();
    end_in_time();
    were_not_told();
    pull();
    checks();
    return done();
}
