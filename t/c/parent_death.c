/* pf_set_parent_death_signal: workers that end with their manager, however that ends. */

#include "tap.h"

#ifdef __linux__

#define WORKERS 3

/* Each worker has the writing end of it, and nobody else: at its end all of them are gone. */
static int lives[2];
static int *there;

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
    killed("pf_start", by_start, SIGKILL);
    killed("pf_start", by_start, SIGTERM);
    killed("pull", by_pull, SIGKILL);
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
