/* A host with threads: they allocate while it forks, hold locks of stdio, take the signals, run managers
 * of their own, call pf_signal and pf_wake. */

#include "tap.h"

static pthread_t start_thread(void *(*code)(void *data), void *data)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, code, data) != 0)
        abort();
    return thread;
}

/* ---- threads that hold malloc's lock while others fork */

static int stop_threads;

static void *allocate(void *data)
{
    unsigned n = 0;
    (void)data;
    while (!GET(stop_threads)) {
        /* Of sizes that come from the arena of all threads, too. */
        char *memory = malloc(n % 3 ? 100 + n % 5000 : 200000);
        if (memory)
            *(volatile char *)memory = 1;
        free(memory);
        if (++n % 1000 == 0)
            nap();
    }
    return NULL;
}

static int32_t allocates(pf_t *pf, void *data)
{
    int i;
    (void)data;
    for (i = 0; i < 200; i++) {
        void *memory = malloc(1000 + i);
        CHECK(memory != NULL);
        free(memory);
    }
    CHECK(pf_worker_index(pf) >= 0);
    CHECK(pf_start(pf, at_once, NULL) == PF_ERR_WRONG_PROCESS);
    CHECK(strlen(pf_error_message(pf)) > 0);
    pf_free(pf);
    return checks();
}

static int reaped, failed, stop_after;

static void count_reaped(pf_t *pf, const pf_event *exit, void *data)
{
    (void)data;
    failed += exit->status != 0;
    if (++reaped == stop_after)
        pf_signal(pf, SIGUSR1);
}

static void allocating(void)
{
    enum { THREADS = 3 };
    pthread_t thread[THREADS];
    pf_t *pf = pf_new();
    int i, forks = is_under_valgrind() ? 20 : 100;
    if (HEAP_HAS_NO_FORK) {
        pf_free(pf);
        skip("forks beside threads that allocate", "with AddressSanitizer no program can");
        return;
    }
    SET(stop_threads, 0);
    reaped = failed = 0;
    stop_after = forks;
    for (i = 0; i < THREADS; i++)
        thread[i] = start_thread(allocate, NULL);
    pf_set_max_workers(pf, 3);
    pf_set_on_child_reap(pf, count_reaped, NULL);
    is_int(pf_start(pf, allocates, NULL), PF_OK, "%d forks beside threads that allocate", forks);
    is_int(reaped, forks, "each worker has ended");
    is_int(failed, 0, "... and could allocate, and free the manager");
    SET(stop_threads, 1);
    for (i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    finish(pf);
}

/* ---- threads that hold locks of stdio */

static FILE *input;

static void *read_line(void *data)
{
    char line[16];
    *(int *)data = fgets(line, sizeof line, input) && strcmp(line, "line\n") == 0;
    return NULL;
}

static int holds_stdout, let_go_of_stdout;

static void *hold_stdout(void *data)
{
    (void)data;
    flockfile(stdout);
    SET(holds_stdout, 1);
    UNTIL(GET(let_go_of_stdout));
    funlockfile(stdout);
    return NULL;
}

/* Whether somebody has its lock. */
static int is_held(FILE *stream)
{
    if (ftrylockfile(stream) != 0)
        return 1;
    funlockfile(stream);
    return 0;
}

static int32_t prints(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    fprintf(stderr, "%s", "");
    return 0;
}

static void blocked_in_stdio(void)
{
    int ends[2], got_line = 0;
    pthread_t thread;
    pf_t *pf = pf_new();
    pf_result result;
    if (pipe(ends) != 0 || !(input = fdopen(ends[0], "r")))
        abort();
    thread = start_thread(read_line, &got_line);
    UNTIL(is_held(input));
    reaped = failed = 0;
    stop_after = 3;
    pf_set_max_workers(pf, 2);
    pf_set_on_child_reap(pf, count_reaped, NULL);
    is_int(pf_start(pf, prints, NULL), PF_OK, "a thread waits for input, in fgets: pf_start forks");
    is_int(failed, 0, "... and the workers end");
    is_int(write(ends[1], "line\n", 5), 5, "there is input");
    pthread_join(thread, NULL);
    ok(got_line, "... which the thread has got");
    finish(pf);
    fclose(input);
    close(ends[1]);

    pf = pf_new();
    thread = start_thread(hold_stdout, NULL);
    UNTIL(GET(holds_stdout));
    reaped = failed = 0;
    pf_set_max_workers(pf, 2);
    pf_set_on_child_reap(pf, count_reaped, NULL);
    result = pf_start(pf, prints, NULL);
    SET(let_go_of_stdout, 1);
    pthread_join(thread, NULL);
    ok(result == PF_OK && failed == 0, "a thread holds stdout: pf_start forks, and the workers end");
    finish(pf);
}

/* What is in the buffers of stdout and stderr is written once, in a program with threads too. */
static int32_t prints_worker(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    printf("worker\n");
    return 0;
}

static void *until_stopped(void *data)
{
    (void)data;
    UNTIL(GET(stop_threads));
    return NULL;
}

static void prints_once(void *data)
{
    int fd = open(data, O_WRONLY);
    pthread_t thread;
    pf_t *pf = pf_new();
    dup2(fd, STDOUT_FILENO);
    SET(stop_threads, 0);
    thread = start_thread(until_stopped, NULL);
    printf("manager\n");
    reaped = failed = 0;
    stop_after = 2;
    pf_set_max_workers(pf, 2);
    pf_set_on_child_reap(pf, count_reaped, NULL);
    pf_start(pf, prints_worker, NULL);
    SET(stop_threads, 1);
    pthread_join(thread, NULL);
    CHECK(pf_wait_all_children(pf, -1, NULL) == PF_OK);
    pf_free(pf);
}

static void stdout_once(void)
{
    char path[256], line[32];
    FILE *file;
    int managers = 0, workers = 0;
    is_int(in_child(prints_once, temporary(path)), 0, "a program with threads prints before the fork");
    file = fopen(path, "r");
    while (fgets(line, sizeof line, file)) {
        managers += strcmp(line, "manager\n") == 0;
        workers += strcmp(line, "worker\n") == 0;
    }
    fclose(file);
    unlink(path);
    is_int(managers, 1, "... which is written once");
    ok(workers >= 2, "... as is what the workers print");
}

/* ---- signals that come to other threads */

static void *sleep_with_signals(void *data)
{
    (void)data;
    while (!GET(stop_threads))
        nap();
    return NULL;
}

struct killer {
    pthread_t thread; /* that takes the signal */
    pid_t manager;
    int signal;
};

static void *kill_thread(void *data)
{
    struct killer *killer = data;
    UNTIL(is_asleep(killer->manager));
    pthread_kill(killer->thread, killer->signal);
    return NULL;
}

static void signals_elsewhere(void)
{
    pf_t *pf = pf_new();
    struct killer killer;
    pthread_t thread;
    sigset_t all;
    pf_event event;
    pid_t pid;
    SET(stop_threads, 0);
    pf_trap_signal(pf, SIGTERM, SIGTERM, 0);
    pf_watch_children(pf);
    killer.thread = start_thread(sleep_with_signals, NULL);
    /* All but that thread block what there is to block. */
    sigfillset(&all);
    sigdelset(&all, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    killer.manager = getpid();
    killer.signal = SIGTERM;
    thread = start_thread(kill_thread, &killer);
    fork_workers(pf, 2, until_killed, NULL);
    is_int(pf_start(pf, until_killed, NULL), PF_OK, "a signal that another thread takes ends pf_start");
    is_int(pf_signal_received(pf), SIGTERM, "... which tells of it");
    pthread_join(thread, NULL);
    /* Its TERM waits in the workers, which have the mask of the thread that forked them. */
    finish(pf);

    /* A host with an event loop: only the descriptor tells. */
    pf = pf_new();
    pf_trap_signal(pf, SIGTERM, 0, 0);
    pf_watch_children(pf);
    pf_set_max_workers(pf, 1);
    pf_begin(pf);
    while (pf_next(pf, &event) == PF_OK && event.type == PF_EVENT_FORK) {
        pid = fork();
        pf_forked(pf, pid);
        if (pid == 0)
            until_killed(pf, NULL);
    }
    is_int(event.type, PF_EVENT_WAIT, "an event loop waits");
    kill(getpid(), SIGTERM);
    {
        fd_set readable;
        FD_ZERO(&readable);
        FD_SET(event.fd, &readable);
        is_int(select(event.fd + 1, &readable, NULL, NULL, NULL), 1,
            "another thread takes the signal, and the descriptor tells");
    }
    pf_next(pf, &event);
    ok(event.type == PF_EVENT_STOPPED && event.signal == SIGTERM, "... as does the next event");
    finish(pf);
    SET(stop_threads, 1);
    pthread_join(killer.thread, NULL);
    pthread_sigmask(SIG_UNBLOCK, &all, NULL);
}

/* ---- pf_signal and pf_wake from other threads */

static int stopped;

static void *run_pool(void *data)
{
    pf_t *pf = data;
    pf_set_max_workers(pf, 2);
    if (pf_start(pf, until_killed, NULL) != PF_OK || pf_signal_received(pf) != SIGUSR2)
        return NULL;
    pf_signal_all_children(pf, SIGKILL);
    if (pf_wait_all_children(pf, -1, NULL) == PF_OK)
        SET(stopped, 1);
    return data;
}

static void *wait_long(void *data)
{
    pf_event event;
    /* Awake once, it sees what has changed. */
    if (pf_wait(data, -1, &event) == PF_OK && event.type == PF_EVENT_STOPPED)
        return data;
    return NULL;
}

static void *wake_often(void *data)
{
    int i;
    for (i = 0; i < 2000; i++) {
        pf_wake(data);
        pf_signal(data, SIGUSR1);
    }
    return NULL;
}

static void from_other_threads(void)
{
    pf_t *pf = pf_new();
    pthread_t thread[4];
    void *result;
    int i, runs = 0;
    thread[0] = start_thread(run_pool, pf);
    is_int(pf_signal(pf, SIGUSR2), PF_OK, "pf_signal from another thread than the manager's");
    pthread_join(thread[0], &result);
    ok(result == pf && GET(stopped), "... ends its pf_start");
    pf_free(pf);

    pf = pf_new();
    pf_set_max_workers(pf, 0);
    pf_begin(pf);
    thread[0] = start_thread(wait_long, pf);
    is_int(pf_wake(pf), PF_OK, "pf_wake from another thread");
    is_int(pf_signal(pf, SIGUSR2), PF_OK, "... and pf_signal");
    pthread_join(thread[0], &result);
    ok(result == pf, "... end its pf_wait");
    pf_free(pf);

    pf = pf_new();
    pf_set_max_workers(pf, 0);
    for (i = 0; i < 4; i++)
        thread[i] = start_thread(wake_often, pf);
    for (i = 0; i < 200; i++) {
        pf_start(pf, at_once, NULL);
        runs += pf_signal_received(pf) == SIGUSR1;
        pf_signal(pf, SIGUSR1); /* the others may be through by now */
    }
    is_int(runs, 200, "four threads call them at once");
    for (i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    pf_free(pf);
}

/* ---- a manager on each of several threads */

struct pool {
    int status, forks, reaped, right;
};

static int32_t exits_with(pf_t *pf, void *data)
{
    struct pool *pool = data;
    if (HEAP_HAS_NO_FORK)
        _exit(pool->status);
    pf_free(pf);
    return pool->status;
}

static void compare(pf_t *pf, const pf_event *exit, void *data)
{
    struct pool *pool = data;
    pool->right += exit->reason == PF_REASON_FAILED && WIFEXITED(exit->status)
        && WEXITSTATUS(exit->status) == pool->status;
    if (++pool->reaped == pool->forks)
        pf_signal(pf, SIGUSR1);
}

static void *manage(void *data)
{
    struct pool *pool = data;
    size_t left = 99;
    pf_t *pf = pf_new();
    pf_set_max_workers(pf, 2);
    pf_set_err_respawn_interval(pf, 0);
    pf_set_on_child_reap(pf, compare, pool);
    if (pf_start(pf, exits_with, pool) != PF_OK)
        return NULL;
    pf_wait_all_children(pf, -1, &left);
    pf_free(pf);
    return left == 0 ? data : NULL;
}

static void managers(void)
{
    enum { MANAGERS = 4 };
    struct pool pool[MANAGERS];
    pthread_t thread[MANAGERS];
    void *result;
    int i, ended = 0, right = 0, reaped = 0;
    memset(pool, 0, sizeof pool);
    for (i = 0; i < MANAGERS; i++) {
        pool[i].status = 10 + i;
        pool[i].forks = is_under_valgrind() ? 10 : 50;
        thread[i] = start_thread(manage, &pool[i]);
    }
    for (i = 0; i < MANAGERS; i++) {
        pthread_join(thread[i], &result);
        ended += result != NULL;
        right += pool[i].right;
        reaped += pool[i].reaped;
        ok(pool[i].reaped >= pool[i].forks, "manager %d has heard of its workers", i);
    }
    is_int(ended, MANAGERS, "managers on several threads at once");
    is_int(right, reaped, "each has heard of its own workers, with their statuses, and of no other child");
}

/* ---- code that waits for children of its own */

static void *run_commands(void *data)
{
    int i, *right = data;
    for (i = 0; i < 20; i++)
        *right += system("exit 9") == 9 << 8;
    SET(stop_threads, 1);
    return NULL;
}

static void stop_at_end(pf_t *pf, const pf_event *exit, void *data)
{
    ADD(*(int *)data, exit->reason == PF_REASON_FOREIGN);
    reaped++;
    if (GET(stop_threads))
        pf_signal(pf, SIGUSR1);
}

static int32_t naps(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    nap();
    return 0;
}

static void other_peoples_children(void)
{
    pf_t *pf = pf_new();
    pthread_t thread;
    int right = 0, foreign = 0;
    SET(stop_threads, 0);
    reaped = 0;
    pf_set_reap_foreign(pf, false);
    pf_set_max_workers(pf, 3);
    pf_set_on_child_reap(pf, stop_at_end, &foreign);
    thread = start_thread(run_commands, &right);
    is_int(pf_start(pf, naps, NULL), PF_OK, "a thread waits for children of its own, beside a manager");
    pthread_join(thread, NULL);
    is_int(right, 20, "... with pf_set_reap_foreign(false) it gets all of them");
    is_int(foreign, 0, "... and the manager none");
    finish(pf);
}

int main(void)
{
    begin();
    allocating();
    blocked_in_stdio();
    stdout_once();
    signals_elsewhere();
    from_other_threads();
    managers();
    other_peoples_children();
    return done();
}
