/* The C host of 23-exit-record.t, in the manner of the Perl one there. */

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "prefork.h"

#define TIMEOUT 0.1
#define SHORT 0.05
#define LONG 3600

static const char *how;
static char **kinds;
static int number_of_kinds, workers, forks, ends;
static int there[2], go[2];

static bool is_alone(const char *kind)
{
    return strcmp(kinds[0], kind) == 0;
}

static void nap(double length)
{
    const struct timespec time = { 0, (long)(length * 1e9) };
    nanosleep(&time, NULL);
}

static void nap_on(void)
{
    for (;;)
        nap(0.01);
}

static void end_by(int signal)
{
    raise(signal);
    nap_on();
}

static void exit_0(int signal)
{
    (void)signal;
    _exit(0);
}

static void exit_1(int signal)
{
    (void)signal;
    _exit(1);
}

static void exit_4(int signal)
{
    (void)signal;
    _exit(4);
}

static void end_by_segv(int signal)
{
    (void)signal;
    end_by(SIGSEGV);
}

static void end_by_kill(int signal)
{
    (void)signal;
    end_by(SIGKILL);
}

/* What is done when all are there: how the worker ends of itself, if it does. */
static void end_of_itself(const char *kind)
{
    if (strcmp(kind, "exits with 0") == 0)
        _exit(0);
    if (strcmp(kind, "exits with 3") == 0 || strcmp(kind, "is reaped by other code") == 0)
        _exit(3);
    if (strcmp(kind, "ends by SEGV") == 0)
        end_by(SIGSEGV);
    if (strcmp(kind, "ends by KILL") == 0)
        end_by(SIGKILL);
    if (strcmp(kind, "is late, and hangs") == 0) {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, NULL);
    }
    nap_on();
}

static void answer_term(const char *kind)
{
    static const struct {
        const char *kind;
        void (*answer)(int);
    } answers[] = {
        { "answers TERM with 0", exit_0 },
        { "answers TERM with 4", exit_4 },
        { "answers TERM with SEGV", end_by_segv },
        { "answers TERM with KILL", end_by_kill },
        { "does not end by TERM", SIG_IGN },
    };
    size_t i;
    for (i = 0; i < sizeof answers / sizeof *answers; i++)
        if (strcmp(kind, answers[i].kind) == 0)
            signal(SIGTERM, answers[i].answer);
}

static int32_t work(pf_t *pf, void *data)
{
    const char *kind = kinds[pf_worker_index(pf) % number_of_kinds];
    const bool is_late = strncmp(kind, "is late", 7) == 0;
    char byte;
    (void)data;
    srand((unsigned)getpid());
    close(go[1]);
    answer_term(kind);
    signal(SIGABRT, exit_1);
    if (write(there[1], ".", 1) != 1 || read(go[0], &byte, 1) != 0)
        nap_on();
    if (is_late)
        pf_busy(pf, 0);
    else if (strcmp(how, "at once") == 0)
        nap(TIMEOUT + 0.01 * rand() / RAND_MAX);
    end_of_itself(kind);
    return 99;
}

static const char *name(int signal)
{
    switch (signal) {
        case 0:
            return "-";
        case SIGTERM:
            return "TERM";
        case SIGKILL:
            return "KILL";
        case SIGUSR1:
            return "USR1";
        case SIGABRT:
            return "ABRT";
        default:
            return "?";
    }
}

static void tell(pf_t *pf, const pf_event *exit, void *data)
{
    static const char *const causes[] = { "-", "asked", "surplus", "external", "timeout" };
    (void)data;
    printf("%s: %s %s %d ", kinds[exit->index % (unsigned)number_of_kinds], causes[exit->cause],
        name(exit->sent_signal), exit->flags & PF_EXIT_GRACE_OVER ? 1 : 0);
    if (exit->reason == PF_REASON_STOLEN)
        printf("stolen\n");
    else if (WIFSIGNALED(exit->status))
        printf("signal %d\n", WTERMSIG(exit->status));
    else
        printf("exit %d\n", WEXITSTATUS(exit->status));
    if (++ends == workers - 1 && is_alone("is one too many"))
        pf_signal(pf, SIGURG);
}

static void stop_when_full(pf_t *pf, int32_t pid, void *data)
{
    (void)pid;
    (void)data;
    if (++forks == workers)
        pf_signal(pf, SIGURG);
}

static void start(pf_t *pf)
{
    if (pf_start(pf, work, NULL) != PF_OK)
        exit(1);
}

static void steal_all(pf_t *pf)
{
    int32_t pid = 0;
    while ((pid = pf_next_worker(pf, pid)) != 0)
        waitpid(pid, NULL, 0);
}

static void stop_surplus(pf_t *pf)
{
    pf_set_spare_workers(pf, 1, 1, SIGUSR1);
    start(pf);
    pf_set_on_child_reap(pf, NULL, NULL);
    pf_signal_all_children(pf, SIGKILL);
    pf_set_spare_workers(pf, (uint32_t)workers, (uint32_t)workers, SIGUSR1);
}

static void one_round(pf_t *pf, int of_themselves)
{
    int seen;
    char byte;
    forks = ends = 0;
    if (pipe(there) != 0 || pipe(go) != 0)
        exit(1);
    pf_set_on_child_reap(pf, NULL, NULL);
    start(pf);
    for (seen = 0; seen < workers; seen++)
        if (read(there[0], &byte, 1) != 1)
            exit(1);
    pf_set_on_child_reap(pf, tell, NULL);
    close(go[1]);
    if (is_alone("is reaped by other code"))
        steal_all(pf);
    else if (is_alone("is one too many"))
        stop_surplus(pf);
    else if (strcmp(how, "at once") == 0) {
        pf_wait_all_children(pf, TIMEOUT + 0.01 * rand() / RAND_MAX, NULL);
        pf_signal_all_children(pf, SIGTERM);
    } else if (!is_alone("is late, and hangs")) {
        while (ends < of_themselves)
            pf_wait_all_children(pf, 0.01, NULL);
        pf_signal_all_children(pf,
            is_alone("is sent KILL") ? SIGKILL : is_alone("is sent USR1") ? SIGUSR1 : SIGTERM);
    }
    pf_wait_all_children(pf, -1, NULL);
    close(there[0]);
    close(there[1]);
    close(go[0]);
}

int main(int argc, char **argv)
{
    const struct rlimit no_core = { 0, 0 };
    pf_t *pf = pf_new();
    pf_scoreboard_t *board;
    int rounds, of_a_kind;
    if (argc < 6)
        return 1;
    how = argv[1];
    rounds = atoi(argv[2]);
    of_a_kind = atoi(argv[3]);
    kinds = argv + 5;
    number_of_kinds = argc - 5;
    workers = of_a_kind * number_of_kinds;
    setvbuf(stdout, NULL, _IOLBF, 0);
    setrlimit(RLIMIT_CORE, &no_core);
    board = pf_scoreboard_new(NULL, (uint32_t)workers);
    pf_set_scoreboard(pf, board);
    pf_set_max_workers(pf, (uint32_t)workers);
    pf_set_spare_workers(pf, (uint32_t)workers, (uint32_t)workers, SIGUSR1);
    pf_set_err_respawn_interval(pf, 0);
    pf_set_after_fork(pf, stop_when_full, NULL);
    /* Whoever is to be killed is killed soon, and nobody else is. */
    pf_set_worker_timeout(pf, TIMEOUT, is_alone("is late, and hangs") ? SHORT : LONG);
    pf_set_graceful_timeout(pf, is_alone("does not end by TERM") ? SHORT : 0);
    while (rounds-- > 0)
        one_round(pf, atoi(argv[4]) * of_a_kind);
    pf_free(pf);
    pf_scoreboard_free(board);
    return 0;
}
