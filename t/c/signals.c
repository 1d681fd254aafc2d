/* Signals: those that are trapped, what the workers are then sent and when, and what the program
 * learns of them. */

#include "tap.h"

#define WORKERS 3

static struct {
    int ready;
    int send;        /* the first worker sends it to the manager */
    int got[NSIG];   /* how many workers have got the signal */
    pid_t first_got; /* the worker that got one first */
    double last_got; /* when the last one did */
} *common;

static pid_t manager_pid;
static pf_t *manager_of_handler;
static volatile sig_atomic_t signals_of_program;

static void note(int signal)
{
    ADD(common->got[signal], 1);
    __sync_bool_compare_and_swap(&common->first_got, 0, getpid());
    common->last_got = now();
}

static void note_and_go(int signal)
{
    note(signal);
    _exit(signal);
}

static void handle(int signal, void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigaction(signal, &action, NULL);
}

static void count(int signal)
{
    (void)signal;
    signals_of_program++;
}

/* Notes USR2 and goes on, notes TERM and goes. The first one sends the manager what it is told to. */
static int32_t noting(pf_t *pf, void *data)
{
    (void)data;
    handle(SIGUSR2, note);
    handle(SIGTERM, note_and_go);
    ADD(common->ready, 1);
    while (1) {
        if (pf_worker_index(pf) == 0 && GET(common->send) && is_asleep(manager_pid))
            kill(manager_pid, __atomic_exchange_n(&common->send, 0, __ATOMIC_SEQ_CST));
        nap();
    }
    return 99;
}

/* A manager of WORKERS workers that note signals; all of them are ready. */
static pf_t *noting_pool(void)
{
    pf_t *pf = pf_new();
    memset(common, 0, sizeof *common);
    manager_pid = getpid();
    fork_workers(pf, WORKERS, noting, NULL);
    UNTIL(GET(common->ready) == WORKERS);
    return pf;
}

/* The worker that comes first in the order of signals: its pid sorts first as a string. */
static pid_t first_worker(pf_t *pf)
{
    char first[16] = "", text[16];
    int32_t pid = 0;
    while ((pid = pf_next_worker(pf, pid)) != 0) {
        snprintf(text, sizeof text, "%d", (int)pid);
        if (!*first || strcmp(text, first) < 0)
            strcpy(first, text);
    }
    return atoi(first);
}

/* ---- traps and what they send */

static void actions(void)
{
    pf_t *pf = noting_pool();
    size_t left = 0;

    is_int(pf_trap_signal(pf, SIGHUP, 0, 0), PF_OK, "trap HUP and send nothing");
    is_int(pf_trap_signal(pf, SIGUSR1, SIGTERM, 0), PF_OK, "trap USR1");
    is_int(pf_trap_signal(pf, SIGUSR1, SIGUSR2, 0), PF_OK, "... with another action");
    is_int(pf_trap_signal(pf, SIGRTMIN + 1, SIGTERM, 0), PF_OK, "trap a real-time signal");

    SET(common->send, SIGHUP);
    is_int(pf_start(pf, noting, NULL), PF_OK, "HUP ends pf_start");
    is_int(pf_signal_received(pf), SIGHUP, "... which tells of it");

    SET(common->send, SIGUSR1);
    is_int(pf_start(pf, noting, NULL), PF_OK, "USR1 ends the next one");
    is_int(pf_signal_received(pf), SIGUSR1, "... which tells of it");
    UNTIL(GET(common->got[SIGUSR2]) == WORKERS);
    is_int(common->got[SIGUSR2], WORKERS, "each worker has got what the last action says");
    is_int(common->got[SIGTERM], 0, "... and not what the one before says, nor anything for HUP");

    SET(common->send, SIGRTMIN + 1);
    is_int(pf_start(pf, noting, NULL), PF_OK, "the real-time signal ends it too");
    is_int(pf_wait_all_children(pf, -1, &left), PF_OK, "... and all workers");
    is_int(common->got[SIGTERM], WORKERS, "... which have got TERM, each");
    is_int(common->ready, WORKERS, "nobody was replaced in three generations");
    is_int(pf_generation(pf), 4, "... as they were");
    pf_free(pf);
}

/* ---- one after the other */

static void staggered(void)
{
    pf_t *pf = noting_pool();
    size_t left = 0;
    double begun;
    pid_t first = first_worker(pf);

    pf_trap_signal(pf, SIGHUP, SIGUSR2, 3600);
    kill(getpid(), SIGHUP);
    is_int(pf_start(pf, noting, NULL), PF_OK, "a trap with an interval of an hour");
    UNTIL(GET(common->got[SIGUSR2]));
    pf_wait_all_children(pf, 0.03, &left);
    is_int(common->got[SIGUSR2], 1, "one worker has got the signal");
    is_int(common->first_got, first, "... the first of them");
    is_int(left, WORKERS, "... and the others wait for theirs");

    is_int(pf_signal_staggered(pf, SIGUSR2, 0.05), PF_OK, "pf_signal_staggered with 0.05 s");
    UNTIL(GET(common->got[SIGUSR2]) == 2);
    is_int(common->got[SIGUSR2], 2, "the first is sent it within the call");
    begun = now();
    while (GET(common->got[SIGUSR2]) < 1 + WORKERS)
        pf_wait_all_children(pf, 0.01, NULL);
    at_least(now() - begun, 0.05, "the others as the time comes");

    begun = now();
    pf_signal_staggered(pf, SIGTERM, 0.08);
    is_int(pf_wait_all_children(pf, -1, &left), PF_OK, "TERM to one after the other");
    at_least(common->last_got - begun, 0.08 * (WORKERS - 1), "... takes its time");
    is_int(common->got[SIGTERM], WORKERS, "... and reaches all");
    pf_free(pf);

    pf = noting_pool();
    first = first_worker(pf);
    pf_signal_staggered(pf, SIGUSR2, 0.02);
    UNTIL(GET(common->got[SIGUSR2]));
    is_int(pf_signal_staggered(pf, SIGTERM, 3600), PF_OK, "a staggered signal under way");
    while (pf_num_workers(pf) == WORKERS)
        pf_wait_all_children(pf, 0.01, &left);
    is_int(common->first_got, first, "the first has gone");
    pf_wait_all_children(pf, 0.05, &left);
    is_int(common->got[SIGUSR2], 1, "is replaced by the next one");
    finish(pf);
}

/* ---- process groups */

static int to_the_end[2];

static int32_t leads_a_group(pf_t *pf, void *data)
{
    (void)data;
    setpgid(0, 0);
    close(to_the_end[0]);
    if (fork() == 0)
        return until_killed(pf, NULL);
    ADD(common->ready, 1);
    return until_killed(pf, NULL);
}

static void groups(void)
{
    pf_t *pf = pf_new();
    char byte;
    size_t left = 99;
    memset(common, 0, sizeof *common);
    if (pipe(to_the_end) != 0)
        abort();
    pf_trap_signal(pf, SIGHUP, -SIGTERM, 0);
    fork_workers(pf, 2, leads_a_group, NULL);
    close(to_the_end[1]);
    UNTIL(GET(common->ready) == 2);
    kill(getpid(), SIGHUP);
    is_int(pf_start(pf, leads_a_group, NULL), PF_OK, "a trap that sends -TERM");
    is_int(pf_wait_all_children(pf, -1, &left), PF_OK, "ends the workers");
    is_int(read(to_the_end[0], &byte, 1), 0, "... and the children that are in their groups");
    close(to_the_end[0]);

    memset(common, 0, sizeof *common);
    if (pipe(to_the_end) != 0)
        abort();
    fork_workers(pf, 2, leads_a_group, NULL);
    close(to_the_end[1]);
    UNTIL(GET(common->ready) == 2);
    is_int(pf_signal_all_children(pf, -SIGTERM), PF_OK, "pf_signal_all_children with -TERM");
    is_int(pf_wait_all_children(pf, -1, &left), PF_OK, "ends the workers");
    is_int(read(to_the_end[0], &byte, 1), 0, "... and the children that are in their groups");
    close(to_the_end[0]);
    pf_free(pf);
}

/* ---- pf_signal_all_children */

static int32_t of_another_user(pf_t *pf, void *data)
{
    CHECK(setuid(pf_worker_index(pf) == 0 ? 65533 : 65534) == 0);
    ADD(common->ready, 1);
    return until_killed(pf, data);
}

static void all_children(void)
{
    pf_t *pf = noting_pool();
    char message[256];
    size_t left = 99;
    pid_t worker_0;

    is_int(pf_signal_all_children(pf, 0), PF_OK, "signal 0 is sent to check");
    is_int(pf_signal_all_children(pf, SIGUSR2), PF_OK, "USR2 to all");
    UNTIL(GET(common->got[SIGUSR2]) == WORKERS);
    is_int(pf_signal_all_children(pf, SIGTERM), PF_OK, "TERM to all");
    pf_wait_all_children(pf, -1, &left);
    is_int(common->got[SIGTERM], WORKERS, "... and all have got it");
    is_int(pf_signal_all_children(pf, SIGTERM), PF_OK, "to nobody");
    pf_free(pf);

    if (getuid() != 0) {
        skip("workers that may not be signalled", "needs root");
        return;
    }
    memset(common, 0, sizeof *common);
    pf = pf_new();
    fork_workers(pf, 2, of_another_user, NULL);
    UNTIL(GET(common->ready) == 2);
    if (seteuid(65534) != 0)
        abort();
    is_int(pf_signal_all_children(pf, SIGTERM), PF_ERR_SYSTEM, "a worker that may not be signalled");
    while (pf_num_workers(pf) == 2)
        pf_wait_all_children(pf, 0.01, &left);
    if (seteuid(0) != 0)
        abort();
    worker_0 = pf_next_worker(pf, 0);
    snprintf(message, sizeof message, "kill %d, %d: Operation not permitted", SIGTERM, (int)worker_0);
    is_str(pf_error_message(pf), message, "... is named");
    is_int(left, 1, "... and the other one was");
    finish(pf);
}

/* ---- what the program learns */

static void received(void)
{
    pf_t *pf = pf_new();
    pf_set_max_workers(pf, 0);
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    pf_trap_signal(pf, SIGUSR2, 0, 0);

    is_int(pf_signal_received(pf), 0, "no signal");
    kill(getpid(), SIGUSR1);
    is_int(pf_peek_signal(pf), SIGUSR1, "pf_peek_signal");
    is_int(pf_peek_signal(pf), SIGUSR1, "... does not read");
    is_int(pf_start(pf, at_once, NULL), PF_OK, "what was not read ends the next start");
    is_int(pf_peek_signal(pf), SIGUSR1, "... and is what it tells of");

    kill(getpid(), SIGUSR2);
    is_int(pf_signal_received(pf), SIGUSR1, "one that comes later does not hide it");
    is_int(pf_show_next_signal(pf), SIGUSR2, "after it was read pf_show_next_signal shows that one");
    is_int(pf_start(pf, at_once, NULL), PF_OK, "... which ends the next start");
    is_int(pf_signal_received(pf), SIGUSR2, "... that tells of it");

    kill(getpid(), SIGUSR2);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR2);
    is_int(pf_start(pf, at_once, NULL), PF_OK, "USR2, USR1, USR2: start returns");
    is_int(pf_signal_received(pf), SIGUSR2, "... on the first");
    is_int(pf_start(pf, at_once, NULL), PF_OK, "... and the next start");
    is_int(pf_signal_received(pf), SIGUSR1, "... on the second; equal ones are one");
    is_int(pf_set_signal_received(pf, 0), PF_OK, "pf_set_signal_received with none");
    is_int(pf_signal_received(pf), 0, "... leaves none");

    is_int(pf_set_signal_received(pf, -4711), PF_OK, "pf_set_signal_received with a number of the program's own");
    is_int(pf_peek_signal(pf), -4711, "... it is peeked");
    is_int(pf_signal_received(pf), -4711, "... and read");
    kill(getpid(), SIGUSR1);
    is_int(pf_set_signal_received(pf, 0), PF_OK, "... it does not take out a signal that was not read");
    is_int(pf_show_next_signal(pf), SIGUSR1, "... which waits");

    is_int(pf_take_signal(pf, SIGUSR1, false), PF_OK, "pf_take_signal");
    is_int(pf_peek_signal(pf), 0, "hides it");
    kill(getpid(), SIGUSR2);
    is_int(pf_start(pf, at_once, NULL), PF_OK, "the next start is ended by another");
    is_int(pf_signal_received(pf), SIGUSR2, "... which it tells of");

    kill(getpid(), SIGUSR1);
    is_int(pf_take_signal(pf, SIGUSR1, true), PF_OK, "pf_take_signal of one that is acted on");
    is_int(pf_peek_signal(pf), SIGUSR1, "shows it");
    kill(getpid(), SIGUSR2);
    is_int(pf_start(pf, at_once, NULL), PF_OK, "the next start is not ended by it");
    is_int(pf_signal_received(pf), SIGUSR2, "... but by another");
    pf_free(pf);
}

/* ---- dispositions and masks around the fork */

static int32_t looks_at_itself(pf_t *pf, void *data)
{
    struct sigaction term, chld, usr1;
    sigset_t mask;
    (void)data;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    CHECK(!sigismember(&mask, SIGTERM) && !sigismember(&mask, SIGRTMIN + 1));
    CHECK(!sigismember(&mask, SIGCHLD));
    CHECK(sigismember(&mask, SIGUSR2));
    sigaction(SIGTERM, NULL, &term);
    CHECK(term.sa_handler == SIG_DFL);
    sigaction(SIGCHLD, NULL, &chld);
    CHECK(chld.sa_handler == SIG_DFL);
    sigaction(SIGUSR1, NULL, &usr1);
    CHECK(usr1.sa_handler == count);
    raise(SIGUSR1);
    CHECK(signals_of_program == 1);
    CHECK(pf_signal_received(pf) == 0);
    return checks();
}

static int status_of_last = -1;

static void stop_with_status(pf_t *pf, const pf_event *exit, void *data)
{
    (void)data;
    status_of_last = exit->status;
    pf_signal(pf, SIGURG);
}

static void dispositions(void)
{
    pf_t *pf = pf_new();
    sigset_t usr2, before, after;
    signals_of_program = 0;
    handle(SIGTERM, count);
    handle(SIGUSR1, count);
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    sigprocmask(SIG_BLOCK, &usr2, NULL);
    sigprocmask(SIG_BLOCK, NULL, &before);
    pf_set_max_workers(pf, 1);
    pf_trap_signal(pf, SIGTERM, SIGTERM, 0);
    pf_trap_signal(pf, SIGRTMIN + 1, SIGTERM, 0);
    pf_set_on_child_reap(pf, stop_with_status, NULL);
    pf_start(pf, looks_at_itself, NULL);
    is_int(status_of_last, 0, "a worker has defaults for what is trapped and for CHLD, the program's own"
        " handlers for all else, and the mask that the program had");
    sigprocmask(SIG_BLOCK, NULL, &after);
    ok(same_mask(&before, &after), "... so has the manager its mask");
    finish(pf);
    sigprocmask(SIG_UNBLOCK, &usr2, NULL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
}

/* ---- the program's own handler, which calls pf_signal */

static void tell(int signal)
{
    signals_of_program++;
    pf_signal(manager_of_handler, signal);
}

static void own_handler(void)
{
    pf_t *pf = noting_pool();
    int i, refused = 0;
    size_t left = 0;
    signals_of_program = 0;
    manager_of_handler = pf;
    handle(SIGHUP, tell);
    SET(common->send, SIGHUP);
    is_int(pf_start(pf, noting, NULL), PF_OK, "pf_signal in the program's own handler ends pf_start");
    is_int(pf_signal_received(pf), SIGHUP, "... which tells of it");
    is_int(signals_of_program, 1, "... and the handler has run once");

    /* More than a pipe has room for. */
    errno = 0;
    for (i = 0; i < 70000; i++)
        refused += pf_signal(pf, SIGHUP) != PF_OK || pf_wake(pf) != PF_OK;
    is_int(refused, 0, "pf_signal and pf_wake, called often, never wait and never fail");
    is_int(errno, 0, "... and keep errno");
    is_int(pf_start(pf, noting, NULL), PF_OK, "... and end the next run");
    is_int(pf_signal_received(pf), SIGHUP, "... once");
    is_int(pf_wait_all_children(pf, 0.02, &left), PF_OK, "... and no more");
    is_int(left, WORKERS, "... with all workers there");
    finish(pf);
    signal(SIGHUP, SIG_DFL);
}

int main(void)
{
    begin();
    common = shared(sizeof *common);
    actions();
    staggered();
    groups();
    all_children();
    received();
    dispositions();
    own_handler();
    munmap(common, sizeof *common);
    return done();
}
