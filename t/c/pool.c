/* The pool: its size, who is forked and when, the hooks, what is told of a worker that has ended,
 * pf_start with a function and without, pf_wait_all_children. */

#include "tap.h"

#include <sys/resource.h>

/* What the manager has seen in its hooks. */
static struct {
    int before, after, reaped;
    int in_order, in_manager, with_data;
    pid_t forked[64], gone[64];
    double before_at[64], reaped_at[64], delay[64];
    pf_event exit[64];
    size_t counted[64];
} seen;

static int stop_after; /* forks or reaps, by the hook */
static int marker;

static void before_fork(pf_t *pf, void *data)
{
    (void)pf;
    seen.in_order += seen.before == seen.after;
    seen.in_manager += getpid() == tap.owner;
    seen.with_data += data == &marker;
    seen.before_at[seen.before++] = now();
}

static void after_fork(pf_t *pf, int32_t pid, void *data)
{
    seen.in_order += seen.before == seen.after + 1;
    seen.in_manager += getpid() == tap.owner;
    seen.with_data += data == &marker;
    seen.forked[seen.after++] = pid;
    if (seen.after == stop_after)
        pf_signal(pf, SIGUSR1);
}

static void on_child_reap(pf_t *pf, const pf_event *exit, void *data)
{
    seen.in_manager += getpid() == tap.owner;
    seen.with_data += data == &marker;
    seen.exit[seen.reaped] = *exit;
    seen.counted[seen.reaped] = pf_num_workers(pf);
    seen.delay[seen.reaped] = pf_spawn_delay(pf);
    seen.reaped_at[seen.reaped] = now();
    if (++seen.reaped == stop_after)
        pf_signal(pf, SIGUSR1);
}

/* A manager of `workers` workers whose hooks write to `seen`. */
static pf_t *manager(uint32_t workers)
{
    pf_t *pf = pf_new();
    memset(&seen, 0, sizeof seen);
    stop_after = -1;
    pf_set_max_workers(pf, workers);
    pf_set_before_fork(pf, before_fork, &marker);
    pf_set_after_fork(pf, after_fork, &marker);
    pf_set_on_child_reap(pf, on_child_reap, &marker);
    return pf;
}

/* ---- start with a function; what is told of a worker that has ended */

static double cpu(const struct rusage *used)
{
    return (double)(used->ru_utime.tv_sec + used->ru_stime.tv_sec)
        + (double)(used->ru_utime.tv_usec + used->ru_stime.tv_usec) / 1e6;
}

static int *gate;

static int32_t one_of_each(pf_t *pf, void *data)
{
    struct rusage used;
    UNTIL(GET(*gate)); /* until all are there, or one would be replaced under its index */
    CHECK(data == &marker);
    CHECK(pf_generation(pf) == 1);
    switch (pf_worker_index(pf)) {
    case 0:
        return checks() ? 99 : 0;
    case 1:
        return checks() ? 99 : 42;
    case 2:
        raise(SIGKILL);
        return 99;
    case 3:
        do
            getrusage(RUSAGE_SELF, &used);
        while (cpu(&used) < 0.2);
        return 300;
    default:
        return until_killed(pf, data);
    }
}

static void ends(void)
{
    pf_t *pf = manager(5);
    const pf_event *by_index[5] = { NULL };
    size_t left = 0;
    int i, generation_1 = 0, own_pid = 0;

    is_int(pf_generation(pf), 0, "no generation before the first start");
    is_int(pf_worker_index(pf), -1, "the manager has no index");
    gate = shared(sizeof *gate);
    stop_after = 5;
    pf_set_on_child_reap(pf, NULL, NULL);
    is_int(pf_start(pf, one_of_each, &marker), PF_OK, "pf_start, until the fifth fork");
    is_int(seen.before, 5, "before_fork was called for each worker");
    is_int(seen.after, 5, "... so was after_fork");
    is_int(seen.in_order, 10, "... in turn");
    is_int(seen.in_manager, 10, "... in the manager");
    is_int(seen.with_data, 10, "... with its data");
    is_int(pf_num_workers(pf), 5, "there are five workers");
    is_int(pf_generation(pf), 1, "of generation 1");

    SET(*gate, 1);
    stop_after = -1;
    pf_set_on_child_reap(pf, on_child_reap, &marker);
    /* The fifth stays until this kills it, so that it is reaped last. */
    while (seen.reaped < 4)
        pf_wait_all_children(pf, 0.01, &left);
    is_int(left, 1, "one is left after four have ended");
    is_int(kill(seen.forked[4], SIGTERM), 0, "... which is killed");
    is_int(pf_wait_all_children(pf, -1, &left), PF_OK, "pf_wait_all_children");
    is_int(left, 0, "nobody is left");

    for (i = 0; i < seen.reaped; i++) {
        const pf_event *exit = &seen.exit[i];
        if (exit->index < 5)
            by_index[exit->index] = exit;
        generation_1 += exit->generation == 1;
        own_pid += exit->index < 5 && exit->pid == seen.forked[exit->index];
        if (exit->type != PF_EVENT_REAPED)
            diag("an exit of type %u", (unsigned)exit->type);
    }
    is_int(seen.reaped, 5, "each was reported once");
    is_int(seen.in_manager, 15, "... in the manager");
    is_int(seen.with_data, 15, "... with the hook's data");
    is_int(generation_1, 5, "... as of its generation");
    is_int(own_pid, 5, "... with the index and the pid that it had");
    is_int(seen.counted[4], 1, "the one that is reported is still counted");
    for (i = 0; i < 5; i++)
        if (!by_index[i])
            return;
    ok(WIFEXITED(by_index[0]->status) && WEXITSTATUS(by_index[0]->status) == 0,
        "a worker that returned 0 has exited with 0");
    is_int(by_index[0]->reason, PF_REASON_ENDED, "... which is no failure");
    is_int(WEXITSTATUS(by_index[1]->status), 42, "what a worker returns is its exit status");
    is_int(by_index[1]->reason, PF_REASON_FAILED, "... a failure");
    ok(WIFSIGNALED(by_index[2]->status) && WTERMSIG(by_index[2]->status) == SIGKILL,
        "a worker that was killed");
    is_int(WEXITSTATUS(by_index[3]->status), 300 & 255, "of a status above 255 the low byte");
    at_least(cpu(&by_index[3]->rusage), 0.2, "rusage is that of the worker: one that has worked");
    ok(cpu(&by_index[4]->rusage) < cpu(&by_index[3]->rusage), "... and one that has not, has used less");
    at_least(by_index[4]->rusage.ru_maxrss, 1, "... with its memory");
    ok(WIFSIGNALED(by_index[4]->status) && WTERMSIG(by_index[4]->status) == SIGTERM,
        "a worker that the program has killed");
    pf_free(pf);
    munmap(gate, sizeof *gate);
}

/* ---- the pool's size, and changes to it while it runs */

static int tickets[2];

/* Each byte in `tickets` lets one worker go. */
static int32_t until_ticket(pf_t *pf, void *data)
{
    char status;
    (void)pf;
    (void)data;
    while (read(tickets[0], &status, 1) < 0)
        ;
    return status;
}

static void let_go(int workers)
{
    while (workers-- > 0)
        if (write(tickets[1], "", 1) != 1)
            abort();
}

static void grow_then_shrink(pf_t *pf, int32_t pid, void *data)
{
    after_fork(pf, pid, data);
    if (seen.after == 2)
        pf_set_max_workers(pf, 4);
    if (seen.after == 4) {
        pf_set_max_workers(pf, 1);
        let_go(3);
    }
}

static void stop_at_one(pf_t *pf, const pf_event *exit, void *data)
{
    on_child_reap(pf, exit, data);
    /* This one is still counted. */
    if (pf_num_workers(pf) == 2)
        pf_signal(pf, SIGUSR1);
}

static void size(void)
{
    pf_t *pf = pf_new();
    int i, replaced = 0;
    is_int(pf_max_workers(pf), 10, "there are to be 10 workers, if nobody says otherwise");
    pf_free(pf);

    pf = manager(2);
    is_int(pf_max_workers(pf), 2, "or as many as the program says");
    if (pipe(tickets) != 0)
        abort();
    stop_after = 2;
    pf_start(pf, until_ticket, NULL);
    is_int(pf_num_workers(pf), 2, "two are forked");
    stop_after = -1;
    let_go(2);
    pf_wait_all_children(pf, -1, NULL);

    /* Each that goes is replaced, under its index. */
    memset(&seen, 0, sizeof seen);
    let_go(5);
    stop_after = 7;
    pf_set_on_child_reap(pf, NULL, NULL);
    pf_start(pf, until_ticket, NULL);
    is_int(seen.after, 7, "workers that go are replaced");
    ok(pf_num_workers(pf) <= 2, "... and are never more than there are to be");
    pf_set_on_child_reap(pf, on_child_reap, &marker);
    let_go(2);
    pf_wait_all_children(pf, -1, NULL);
    for (i = 0; i < seen.reaped; i++)
        replaced += seen.exit[i].index < 2;
    is_int(replaced, seen.reaped, "... under the indexes 0 and 1");
    pf_free(pf);

    pf = manager(2);
    pf_set_after_fork(pf, grow_then_shrink, &marker);
    pf_set_on_child_reap(pf, stop_at_one, &marker);
    is_int(pf_start(pf, until_ticket, NULL), PF_OK, "a pool that grows and shrinks as it runs");
    is_int(seen.after, 4, "two workers, then two more, and no other");
    is_int(seen.reaped, 3, "those that were too many went when they liked");
    is_int(pf_num_workers(pf), 1, "... and one stays");
    is_int(seen.exit[0].reason, PF_REASON_ENDED, "nobody had told them to go");
    let_go(1);
    pf_wait_all_children(pf, -1, NULL);
    pf_free(pf);
    close(tickets[0]);
    close(tickets[1]);

    pf = manager(0);
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    kill(getpid(), SIGUSR1);
    is_int(pf_start(pf, at_once, NULL), PF_OK, "a pool of nobody");
    is_int(seen.before, 0, "... forks nobody");
    pf_free(pf);
}

/* ---- intervals */

static struct {
    int runs;
    double failed_at;
} *first;

static int32_t fails_first(pf_t *pf, void *data)
{
    if (ADD(first->runs, 1) > 1)
        return at_once(pf, data);
    first->failed_at = now();
    return 1;
}

static int32_t fails(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    return 1;
}

static void long_interval_at_last(pf_t *pf, void *data)
{
    before_fork(pf, data);
    if (seen.before == 4)
        pf_set_spawn_interval(pf, 3600);
}

static void intervals(void)
{
    pf_t *pf = manager(4);
    double begun;
    int i, kept = 0;

    pf_set_spawn_interval(pf, 0.05);
    stop_after = 4;
    pf_set_before_fork(pf, long_interval_at_last, &marker);
    pf_set_on_child_reap(pf, NULL, NULL);
    is_int(pf_start(pf, until_killed, NULL), PF_OK, "four workers, spawn_interval 0.05");
    for (i = 1; i < 4; i++)
        kept += seen.before_at[i] - seen.before_at[i - 1] >= 0.05;
    is_int(kept, 3, "as much is between each two forks");
    at_least(pf_spawn_delay(pf), 3000, "... and pf_spawn_delay tells of it");
    finish(pf);

    first = shared(sizeof *first);
    pf = manager(1);
    pf_set_err_respawn_interval(pf, 0.2);
    stop_after = 2;
    is_int(pf_start(pf, fails_first, NULL), PF_OK, "one that fails, err_respawn_interval 0.2");
    at_least(seen.before_at[1] - first->failed_at, 0.2, "after a failure there is a pause");
    stop_after = -1;
    pf_wait_all_children(pf, -1, NULL);
    ok(seen.reaped == 2 && seen.delay[1] <= 0, "after one that has ended well it does not");
    pf_free(pf);
    munmap(first, sizeof *first);

    pf = manager(1);
    pf_set_err_respawn_interval(pf, 3600);
    pf_set_after_fork(pf, NULL, NULL);
    stop_after = 1;
    pf_start(pf, fails, NULL);
    at_least(seen.delay[0], 3000, "pf_spawn_delay tells of that pause too");
    pf_free(pf);

    pf = manager(1);
    pf_set_spawn_delay(pf, 3600);
    at_least(pf_spawn_delay(pf), 3000, "pf_set_spawn_delay");
    begun = now();
    pf_set_spawn_delay(pf, 0.15);
    stop_after = 1;
    pf_set_on_child_reap(pf, NULL, NULL);
    pf_start(pf, at_once, NULL);
    at_least(now() - begun, 0.15, "... is replaced by the next, and makes a run begin with a pause");
    pf_set_spawn_delay(pf, 3600);
    pf_set_spawn_delay(pf, 0);
    ok(pf_spawn_delay(pf) <= 0, "... or with none");
    finish(pf);
}

/* ---- a new generation */

static pid_t pid_of_manager;
static int generations_ended;

static void reload_when_full(pf_t *pf, int32_t pid, void *data)
{
    after_fork(pf, pid, data);
    if (seen.after % 3 == 0)
        kill(pid_of_manager, seen.after < 9 ? SIGHUP : SIGURG);
}

static void reload(void)
{
    pf_t *pf = manager(3);
    int i, right = 0;
    pid_of_manager = getpid();
    pf_trap_signal(pf, SIGHUP, SIGTERM, 0);
    pf_trap_signal(pf, SIGURG, SIGTERM, 0);
    pf_set_after_fork(pf, reload_when_full, &marker);
    /* Workers of an earlier generation that are killed do not make the new ones wait. */
    pf_set_err_respawn_interval(pf, 3600);
    do {
        if (pf_start(pf, until_killed, NULL) != PF_OK)
            break;
        generations_ended++;
        is_int(pf_generation(pf), generations_ended, "generation %d", generations_ended);
    } while (pf_signal_received(pf) == SIGHUP);
    is_int(generations_ended, 3, "a manager that reloads twice");
    is_int(seen.after, 9, "... has forked all of its workers three times");
    is_int(seen.reaped, 6, "... and replaced each of two generations");
    for (i = 0; i < seen.reaped; i++)
        right += seen.exit[i].generation == (i < 3 ? 1 : 2) && seen.exit[i].index < 3
            && seen.exit[i].reason == PF_REASON_ENDED && WTERMSIG(seen.exit[i].status) == SIGTERM
            && seen.delay[i] <= 0;
    is_int(right, 6, "... by the signal for that, under the same indexes, and without a pause");
    pf_wait_all_children(pf, -1, NULL);
    is_int(seen.reaped, 9, "the last generation ends as it was told to");
    pf_free(pf);
}

/* ---- fork fails */

static struct {
    int calls;
    int32_t error[8];
    uint32_t failures[8];
    double at[8];
} failed;

static struct rlimit most;

static double first_try;

static void note_first_try(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    if (first_try <= 0)
        first_try = now();
}

static void on_fork_failure(pf_t *pf, int32_t error, uint32_t failures, void *data)
{
    struct rlimit again = most;
    CHECK(pf_start(pf, at_once, NULL) == PF_ERR_WRONG_STATE);
    CHECK(pf_fork_failed(pf, NULL) == PF_ERR_WRONG_STATE);
    failed.error[failed.calls] = error;
    failed.failures[failed.calls] = failures;
    failed.at[failed.calls++] = now();
    CHECK(data == &marker);
    again.rlim_cur = again.rlim_max;
    if (failed.calls == 2)
        setrlimit(RLIMIT_NPROC, &again);
}

static void stop_at_first(pf_t *pf, int32_t pid, void *data)
{
    (void)pid;
    (void)data;
    pf_signal(pf, SIGUSR1);
}

/* The limit does not hold for root. */
static void fork_fails(void *data)
{
    struct rlimit none;
    pf_t *pf = pf_new();
    uint32_t failures;
    int *fork_worked = data;
    pid_t pid;
    if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        exit(77);
    if (getrlimit(RLIMIT_NPROC, &most) != 0)
        exit(77);
    none = most;
    none.rlim_cur = 0;
    if (setrlimit(RLIMIT_NPROC, &none) != 0)
        exit(77);
    pid = fork();
    if (pid == 0)
        _exit(0);
    if (pid > 0) {
        waitpid(pid, NULL, 0);
        exit(77);
    }
    pf_set_max_workers(pf, 1);
    pf_set_err_respawn_interval(pf, 0);
    pf_set_before_fork(pf, note_first_try, NULL);
    pf_set_on_fork_failure(pf, on_fork_failure, &marker);
    pf_set_after_fork(pf, stop_at_first, NULL);
    CHECK(pf_start(pf, at_once, NULL) == PF_OK);
    *fork_worked = pf_num_workers(pf) == 1;
    CHECK(failed.calls == 2);
    CHECK(failed.error[0] == EAGAIN && failed.error[1] == EAGAIN);
    failures = failed.failures[1];
    CHECK(failed.failures[0] == 1);
    /* It tries again every 50 ms at most, and tells of it every second at most. */
    CHECK(failures >= 1 && failures <= 21);
    CHECK(failed.at[1] - first_try >= 1);
    CHECK(pf_wait_all_children(pf, -1, NULL) == PF_OK);
    pf_free(pf);
}

static void failures(void)
{
    int *fork_worked = shared(sizeof *fork_worked);
    int status = in_child(fork_fails, fork_worked);
    if (status == 77) {
        skip("fork fails", "RLIMIT_NPROC does not keep this process from forking");
        return;
    }
    is_int(status, 0, "a fork that fails (RLIMIT_NPROC) is tried again and told of in time");
    ok(*fork_worked, "... and the pool is filled when forks work again");
    munmap(fork_worked, sizeof *fork_worked);
}

/* ---- start without a function, and stdio */

static const char *atexit_file;

static void at_exit(void)
{
    int fd = open(atexit_file, O_WRONLY | O_APPEND);
    char line[32];
    int length = snprintf(line, sizeof line, "%d\n", (int)getpid());
    if (fd < 0 || write(fd, line, length) != length)
        abort();
    close(fd);
}

static int lines(const char *path)
{
    FILE *file = fopen(path, "r");
    int c, n = 0;
    while ((c = getc(file)) != EOF)
        n += c == '\n';
    fclose(file);
    return n;
}

static void in_workers(void *data)
{
    char **paths = data;
    FILE *out = fopen(paths[0], "w");
    pf_t *pf = manager(2);
    pf_result result;
    atexit_file = paths[1];
    atexit(at_exit);
    tap.owner = getpid();
    stop_after = 2;
    pf_set_on_child_reap(pf, NULL, NULL);

    fprintf(out, "manager\n"); /* stays in the buffer */
    result = pf_start(pf, NULL, NULL);
    if (result == PF_IN_WORKER) {
        CHECK(getpid() != tap.owner && pf_worker_index(pf) >= 0);
        fprintf(out, "worker\n");
        CHECK(pf_finish(pf, checks() ? 99 : 7 + pf_worker_index(pf)) == PF_OK);
        _exit(98);
    }
    CHECK(result == PF_OK);
    CHECK(pf_finish(pf, 3) == PF_ERR_WRONG_PROCESS);
    stop_after = -1;
    pf_set_on_child_reap(pf, on_child_reap, &marker);
    CHECK(pf_wait_all_children(pf, -1, NULL) == PF_OK);
    CHECK(seen.reaped == 2);
    CHECK(WEXITSTATUS(seen.exit[0].status) == 7 + (int)seen.exit[0].index);
    CHECK(WEXITSTATUS(seen.exit[1].status) == 7 + (int)seen.exit[1].index);
    pf_free(pf);
    fclose(out);
    _exit(checks());
}

static void without_function(void)
{
    char out[256], exits[256], *paths[] = { temporary(out), temporary(exits) };
    int status;
    status = in_child(in_workers, paths);
    is_int(status, 0, "pf_start without a function returns in the workers; pf_finish ends them");
    is_int(lines(out), 3, "what was in a buffer before the fork is written once");
    is_int(lines(exits), 2, "a worker's exit handlers run, once");
    unlink(out);
    unlink(exits);
}

/* ---- pf_wait_all_children */

static void waits(void)
{
    pf_t *pf = manager(3);
    size_t left = 99;
    double begun;
    siginfo_t info;
    pf_result result;

    is_int(pf_wait_all_children(pf, -1, &left), PF_OK, "nobody to wait for");
    is_int(left, 0, "... is nobody left");

    stop_after = 3;
    pf_set_on_child_reap(pf, NULL, NULL);
    pf_start(pf, until_killed, NULL);
    left = 99;
    is_int(pf_wait_all_children(pf, 0, &left), PF_OK, "a time-out of 0");
    is_int(left, 3, "... tells how many are left");
    begun = now();
    left = 99;
    result = pf_wait_all_children(pf, 0.05, &left);
    at_least(now() - begun, 0.05 - 1e-6, "a time-out of 0.05 s takes that long");
    ok(result == PF_OK && left == 3, "... if nobody goes");
    is_int(pf_wait_all_children(pf, 0.001, NULL), PF_OK, "`left` may be null");

    kill(seen.forked[0], SIGKILL);
    /* It is dead and nobody has reaped it. */
    waitid(P_PID, seen.forked[0], &info, WEXITED | WNOWAIT);
    pf_wait_all_children(pf, 0, &left);
    is_int(left, 2, "a time-out of 0 reaps those that have ended");
    kill(seen.forked[1], SIGKILL);
    kill(seen.forked[2], SIGKILL);
    left = 99;
    is_int(pf_wait_all_children(pf, -0.5, &left), PF_OK, "a negative time-out");
    is_int(left, 0, "... waits for all");
    pf_free(pf);
}

int main(void)
{
    begin();
    ends();
    size();
    intervals();
    reload();
    failures();
    without_function();
    waits();
    return done();
}
