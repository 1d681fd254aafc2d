/* pf_set_parent_death_signal: workers that end with their manager, however that ends. */

#include "tap.h"

#ifdef __linux__
#include <sys/prctl.h>

#define WORKERS 3

/* Each worker has the writing end of it, and nobody else: at its end all of them are gone. */
static int lives[2];
static int *there, *right;

static int32_t stubborn(pf_t *pf, void *data)
{
    signal(SIGTERM, SIG_IGN);
    ADD(*there, 1);
    return until_killed(pf, data);
}

static void by_pull(pf_t *pf)
{
    pf_event event;
    pf_begin(pf);
    while (pf_wait(pf, -1, &event) == PF_OK) {
        pid_t pid;
        if (event.type != PF_EVENT_FORK)
            continue;
        pid = fork();
        pf_forked(pf, pid);
        if (pid == 0)
            _exit(stubborn(pf, NULL));
    }
}

static void by_start(pf_t *pf)
{
    pf_start(pf, stubborn, NULL);
}

/* A manager in a process of its own, which is killed. */
static void killed(const char *name, void (*manage)(pf_t *), int signal)
{
    char byte;
    int status;
    pid_t manager;
    SET(*there, 0);
    CHECK(pipe(lives) == 0);
    manager = fork();
    if (manager == 0) {
        pf_t *pf = pf_new();
        close(lives[0]);
        pf_set_max_workers(pf, WORKERS);
        CHECK(pf_set_parent_death_signal(pf, SIGKILL) == PF_OK);
        manage(pf);
        _exit(1);
    }
    close(lives[1]);
    UNTIL(GET(*there) == WORKERS);
    kill(manager, signal);
    CHECK(waitpid(manager, &status, 0) == manager);
    is_int(WTERMSIG(status), signal, "%s: the manager is killed by signal %d", name, signal);
    is_int((int)read(lives[0], &byte, 1), 0, "... and its workers with it");
    close(lives[0]);
}

/* As when a worker changes its user, and its manager ends before the worker has made the next call. */
static int32_t asks_too_late(pf_t *pf, void *data)
{
    const pid_t manager = getppid();
    (void)data;
    prctl(PR_SET_PDEATHSIG, 0);
    ADD(*there, 1);
    UNTIL(getppid() != manager);
    pf_stopping(pf);
    return until_killed(pf, NULL);
}

static void by_start_too_late(pf_t *pf)
{
    pf_start(pf, asks_too_late, NULL);
}

/* It is told once: by the system, or by the call. */
static volatile sig_atomic_t told;

static void is_told(int signal)
{
    (void)signal;
    told++;
}

static int32_t is_told_once(pf_t *pf, void *data)
{
    const pid_t manager = getppid();
    const int is_forgotten = pf_worker_index(pf) == 0;
    (void)data;
    signal(SIGUSR2, is_told);
    if (is_forgotten)
        prctl(PR_SET_PDEATHSIG, 0);
    ADD(*there, 1);
    UNTIL(getppid() != manager);
    UNTIL(is_forgotten || told);
    CHECK(pf_stopping(pf) == PF_STOP_MANAGER_GONE);
    CHECK(pf_stopping(pf) == PF_STOP_MANAGER_GONE);
    CHECK(told == 1);
    ADD(*right, checks() == 0);
    return 0;
}

static void told_once(void)
{
    char byte;
    pid_t manager;
    SET(*there, 0);
    CHECK(pipe(lives) == 0);
    manager = fork();
    if (manager == 0) {
        pf_t *pf = pf_new();
        close(lives[0]);
        pf_set_max_workers(pf, WORKERS);
        pf_set_parent_death_signal(pf, SIGUSR2);
        signal(SIGUSR2, SIG_IGN);
        pf_start(pf, is_told_once, NULL);
        _exit(1);
    }
    close(lives[1]);
    UNTIL(GET(*there) == WORKERS);
    kill(manager, SIGKILL);
    waitpid(manager, NULL, 0);
    is_int((int)read(lives[0], &byte, 1), 0, "workers with a handler for the signal leave");
    is_int(GET(*right), WORKERS, "... and were sent it once, whoever has sent it");
    close(lives[0]);
}

static void *refused(void *data)
{
    pf_t *pf = data;
    is_int(pf_set_parent_death_signal(pf, SIGTERM), PF_ERR_WRONG_STATE, "in another thread it is refused");
    ok(strstr(pf_error_message(pf), "first thread") != NULL, "... and the message says what to do");
    is_int(pf_set_parent_death_signal(pf, 0), PF_OK, "... to take it back is not");
    return NULL;
}

static void *begins(void *data)
{
    is_int(pf_begin(data), PF_ERR_WRONG_STATE, "nor does pf_begin work there");
    return NULL;
}

static void in_thread(void *(*what)(void *), pf_t *pf)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, what, pf) == 0);
    pthread_join(thread, NULL);
}

static void in_threads(void)
{
    pf_t *pf = pf_new();
    in_thread(refused, pf);
    CHECK(pf_set_parent_death_signal(pf, SIGTERM) == PF_OK);
    in_thread(begins, pf);
    is_int(pf_begin(pf), PF_OK, "in the first one it does");
    pf_free(pf);
}

static void no_signals(void)
{
    static const int none[] = { -1, -9, 65, 4711, INT32_MIN, INT32_MAX };
    pf_t *pf = pf_new();
    size_t i;
    for (i = 0; i < sizeof none / sizeof *none; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", none[i]);
        is_int(pf_set_parent_death_signal(pf, none[i]), PF_ERR_INVALID_ARGUMENT, "%d is no signal", none[i]);
        ok(strstr(pf_error_message(pf), value) != NULL, "... and the message names it");
    }
    pf_free(pf);
}

int main(void)
{
    begin();
    there = shared(sizeof *there);
    right = shared(sizeof *right);
    killed("pf_start", by_start, SIGKILL);
    killed("pf_start", by_start, SIGTERM);
    killed("pull", by_pull, SIGKILL);
    killed("a worker that the system has forgotten", by_start_too_late, SIGKILL);
    told_once();
    in_threads();
    no_signals();
    return done();
}

#else

int main(void)
{
    begin();
    is_int(pf_set_parent_death_signal(pf_new(), SIGTERM), PF_ERR_SYSTEM, "this system has no such signal");
    return done();
}

#endif
