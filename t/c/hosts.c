/* What C programs do beside the manager: hooks that call it, workers that have workers, handlers
 * of their own, misuse. Speaks TAP. */

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "prefork.h"

static int tests;

static void ok(int passed, const char *name)
{
    printf("%sok %d - %s\n", passed ? "" : "not ", ++tests, name);
    fflush(stdout);
}

static void own_handler(int signal)
{
    (void)signal;
}

static int32_t until_term(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    pause();
    return 1;
}

static int32_t at_once(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    return 0;
}

/* A worker that is a manager of its own, and answers with what its worker's end was. */
static int32_t inner_manager(pf_t *outer, void *data)
{
    pf_t *pf = pf_new();
    size_t left = 1;
    (void)data;
    if (pf_start(outer, at_once, NULL) != PF_ERR_WRONG_PROCESS)
        return 1;
    pf_set_max_workers(pf, 1);
    if (pf_trap_signal(pf, SIGUSR1, SIGTERM, 0) != PF_OK)
        return 2;
    kill(getpid(), SIGUSR1);
    if (pf_start(pf, until_term, NULL) != PF_OK || pf_signal_received(pf) != SIGUSR1)
        return 3;
    if (pf_wait_all_children(pf, -1, &left) != PF_OK || left != 0)
        return 4;
    pf_free(pf);
    return 42;
}

static int exit_code = -1;

static void stop_when_reaped(pf_t *pf, const pf_event *exit, void *data)
{
    (void)data;
    exit_code = WEXITSTATUS(exit->status);
    pf_signal(pf, SIGUSR1);
}

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

static void misuse(void)
{
    pf_event event;
    pf_t *pf = pf_new();

    ok(pf_next(NULL, &event) == PF_ERR_NULL && pf_next(pf, NULL) == PF_ERR_NULL, "null is an error");
    ok(pf_num_workers(NULL) == 0 && pf_worker_index(NULL) == -1 && pf_next_worker(NULL, 0) == 0,
        "a number of a null handle is neutral");
    pf_free(NULL);
    ok(pf_forked(pf, 1) == PF_ERR_WRONG_STATE, "an answer that nobody asked for");
    ok(strstr(pf_error_message(pf), "no FORK event") != NULL, "... with a message");
    ok(pf_set_spawn_interval(pf, -1) == PF_ERR_INVALID_ARGUMENT
            && strstr(pf_error_message(pf), "spawn_interval") && strstr(pf_error_message(pf), "-1"),
        "a bad value is named");
    ok(pf_trap_signal(pf, SIGKILL, SIGTERM, 0) == PF_ERR_INVALID_ARGUMENT
            && pf_trap_signal(pf, SIGTERM, 4000, 0) == PF_ERR_INVALID_ARGUMENT
            && pf_trap_signal(pf, SIGCHLD, 0, 0) == PF_ERR_INVALID_ARGUMENT,
        "signals that cannot be trapped or sent");
    ok(pf_finish(pf, 0) == PF_ERR_WRONG_PROCESS, "pf_finish is not the manager's");
    pf_begin(pf);
    ok(pf_next(pf, &event) == PF_OK && event.type == PF_EVENT_FORK, "a fork is asked for");
    ok(pf_next(pf, &event) == PF_ERR_WRONG_STATE, "and has to be answered first");
    ok(pf_forked(pf, -1) == PF_ERR_INVALID_ARGUMENT, "not with -1");
    ok(pf_fork_failed(pf, NULL) == PF_OK, "a failure is an answer");
    ok(pf_next(pf, &event) == PF_OK && event.type == PF_EVENT_WAIT && event.timeout > 0.04,
        "after which forking rests");
    ok(strcmp(pf_strerror(PF_ERR_NULL), pf_strerror(4711)) != 0, "pf_strerror knows its codes");
    pf_free(pf);
}

int main(void)
{
    struct sigaction action = { 0 };
    pf_t *pf;
    size_t left = 99;

    alarm(60);
    misuse();

    action.sa_handler = own_handler;
    sigaction(SIGUSR1, &action, NULL);
    pf = pf_new();
    pf_set_max_workers(pf, 1);
    pf_trap_signal(pf, SIGUSR1, SIGTERM, 0);
    pf_set_on_child_reap(pf, stop_when_reaped, NULL);
    ok(pf_start(pf, inner_manager, NULL) == PF_OK, "a worker with a worker");
    ok(exit_code == 42, "has trapped and waited for itself");
    pf_set_on_child_reap(pf, NULL, NULL);
    ok(pf_wait_all_children(pf, -1, &left) == PF_OK && left == 0, "everybody is gone");

    pf_set_on_child_reap(pf, wait_in_hook, NULL);
    ok(pf_start(pf, at_once, NULL) == PF_OK && waited_in_hook == 3,
        "a hook may wait, and the run goes on");
    pf_set_on_child_reap(pf, NULL, NULL);
    pf_wait_all_children(pf, -1, NULL);
    pf_free(pf);

    sigaction(SIGUSR1, NULL, &action);
    ok(action.sa_handler == own_handler, "pf_free gives a handler back");
    sigaction(SIGCHLD, NULL, &action);
    ok(action.sa_handler == SIG_DFL, "and SIGCHLD");

    pf = pf_new();
    pf_set_max_workers(pf, 2);
    pf_trap_signal(pf, SIGUSR1, SIGTERM, 0);
    pf_signal(pf, SIGUSR1);
    ok(pf_start(pf, until_term, NULL) == PF_OK && pf_num_workers(pf) == 0,
        "a signal before the start ends it at once");
    kill(getpid(), SIGUSR1);
    ok(pf_start(pf, until_term, NULL) == PF_OK, "a signal can be trapped again");
    pf_wait_all_children(pf, -1, NULL);
    pf_free(pf);

    printf("1..%d\n", tests);
    return 0;
}
