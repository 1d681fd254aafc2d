/* Signals while pf_start holds SIGCHLD back and takes it where it sleeps: none is lost, all are acted on in the order
 * in which they arrive, handlers of the program run as before, and its code never sees the mask of the loop. */

#define _GNU_SOURCE
#include "tap.h"

#include <sys/syscall.h>

static const int TRAPPED = SIGTERM;

static pf_t *manager(uint32_t workers)
{
    pf_t *pf = pf_new();
    pf_set_max_workers(pf, workers);
    pf_set_err_respawn_interval(pf, 0);
    if (pf_trap_signal(pf, TRAPPED, 0, 0) != PF_OK)
        abort();
    return pf;
}

/* As `finish`, for workers that end by themselves: none is killed while a sanitizer looks for leaks. */
static void leave(pf_t *pf)
{
    pf_set_on_child_reap(pf, NULL, NULL);
    if (pf_wait_all_children(pf, -1, NULL) != PF_OK)
        abort();
    pf_free(pf);
}

static void handle(int signal, void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigaction(signal, &action, NULL);
}

/* Some microseconds, in which this process runs. */
static void spin(unsigned microseconds)
{
    double end = now() + microseconds / 1e6;
    while (now() < end)
        ;
}

/* ---- no signal is lost */

static int *count;

static int32_t every_tenth_ends_it(pf_t *pf, void *data)
{
    int number = ADD(*count, 1);
    (void)pf;
    (void)data;
    if (number % 10 == 0)
        kill(getppid(), TRAPPED);
    return 0;
}

static void busy(void)
{
    int i, ended = 0;
    for (i = 0; i < 200; i++) {
        pf_t *pf = manager(1 + i % 5);
        ended += pf_start(pf, every_tenth_ends_it, NULL) == PF_OK && pf_signal_received(pf) == TRAPPED;
        leave(pf);
    }
    is_int(ended, 200, "a signal ends a pool whose workers exit at once");
}

static int32_t sends_when_asleep(pf_t *pf, void *data)
{
    (void)pf;
    UNTIL(is_asleep(getppid()));
    kill(getppid(), *(int *)data);
    return until_killed(NULL, NULL);
}

static void idle(void)
{
    int i, ended = 0, signal = TRAPPED;
    for (i = 0; i < 20; i++) {
        pf_t *pf = manager(1);
        ended += pf_start(pf, sends_when_asleep, &signal) == PF_OK && pf_signal_received(pf) == TRAPPED;
        finish(pf);
    }
    is_int(ended, 20, "a signal ends an idle pool");
}

/* ---- pf_signal and pf_wake by handlers of the program */

static pf_t *the_manager;
static int handled;

static void on_usr1(int signal)
{
    (void)signal;
    handled++;
    pf_wake(the_manager);
    pf_signal(the_manager, SIGURG);
}

static int32_t sends_usr1_after(pf_t *pf, void *data)
{
    (void)pf;
    spin(*(unsigned *)data);
    kill(getppid(), SIGUSR1);
    return until_killed(NULL, NULL);
}

static void woken_by_handlers(void)
{
    int ended = 0;
    unsigned after;
    handle(SIGUSR1, on_usr1);
    handled = 0;
    for (after = 0; after < 400; after++) {
        unsigned microseconds = after / 2;
        the_manager = manager(1);
        ended += pf_start(the_manager, sends_usr1_after, &microseconds) == PF_OK
            && pf_signal_received(the_manager) == SIGURG;
        finish(the_manager);
    }
    is_int(ended, 400, "pf_signal in a handler ends the sleep, whenever the signal comes");
    is_int(handled, 400, "... which runs once for each");
    handle(SIGUSR1, SIG_DFL);
}

/* ---- the same, aimed at the calls between the last look at what has come and the sleep */

/* A glibc before 2.32 does not say whether there is one thread; pf_start waits as pf_wait does then. */
#if defined(__linux__) && defined(__GLIBC_PREREQ) && !HEAP_HAS_NO_FORK
#if __GLIBC_PREREQ(2, 32)
#define HOLDS_SIGCHLD 1
#endif
#endif
#ifdef HOLDS_SIGCHLD
#define CAN_AIM 1
extern int __sigaction(int, const struct sigaction *, struct sigaction *);
#else
#define CAN_AIM 0
#endif

static int takes, looks, fires_at_take, fires_at_look, refuses;

static void usr1_arrives(void)
{
    raise(SIGUSR1);
}

static void (*what_happens)(void) = usr1_arrives;

#if CAN_AIM
/* In place of the C library's, which libprefork calls otherwise. */
int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
    if (++takes == fires_at_take)
        what_happens();
    if (refuses) {
        errno = ENOSYS;
        return -1;
    }
    return (int)syscall(SYS_rt_sigtimedwait, set, info, timeout, 8);
}

int sigaction(int signal, const struct sigaction *action, struct sigaction *old)
{
    if (signal == SIGCHLD && !action && ++looks == fires_at_look)
        what_happens();
    return __sigaction(signal, action, old);
}
#endif

/* Ends the run another way if the manager goes on sleeping. */
static int32_t ends_it_when_it_sleeps_on(pf_t *pf, void *data)
{
    int asleep = 0;
    (void)pf;
    (void)data;
    while (asleep < 20) {
        nap();
        asleep = is_asleep(getppid()) ? asleep + 1 : 0;
    }
    SET(*count, 1);
    kill(getppid(), TRAPPED);
    return until_killed(NULL, NULL);
}

/* Whether SIGUSR1 at this call ended the run; -1 if there was no such call. */
static int aimed(int *fires_at, int *calls, int number)
{
    the_manager = manager(1);
    handled = *calls = *count = 0;
    *fires_at = number;
    pf_start(the_manager, ends_it_when_it_sleeps_on, NULL);
    *fires_at = 0;
    finish(the_manager);
    return handled ? GET(*count) == 0 : -1;
}

static void woken_at_the_last_moment(void)
{
    int number, ended;
    if (!CAN_AIM) {
        skip("pf_signal in a handler at the last moment", "the calls cannot be replaced");
        return;
    }
    handle(SIGUSR1, on_usr1);
    for (number = 1; (ended = aimed(&fires_at_take, &takes, number)) >= 0; number++)
        ok(ended, "pf_signal in a handler ends the sleep that is about to begin");
    ok(number > 1, "there was one");
    for (number = 1; (ended = aimed(&fires_at_look, &looks, number)) >= 0; number++)
        ok(ended, "... also right after the last look at what has come");
    ok(number > 1, "there was one");
    handle(SIGUSR1, SIG_DFL);
}

static void term_and_hup_arrive(void)
{
    raise(SIGTERM);
    raise(SIGHUP);
}

static void in_order(void)
{
    pf_t *pf;
    if (!CAN_AIM) {
        skip("TERM, then HUP", "the calls cannot be replaced");
        return;
    }
    pf = manager(1);
    pf_trap_signal(pf, SIGHUP, 0, 0);
    what_happens = term_and_hup_arrive;
    takes = *count = 0;
    fires_at_take = 1;
    pf_start(pf, ends_it_when_it_sleeps_on, NULL);
    fires_at_take = 0;
    what_happens = usr1_arrives;
    is_int(pf_signal_received(pf), SIGTERM, "TERM, then HUP: the first ends the run");
    is_int(pf_show_next_signal(pf), SIGHUP, "... and the second is not lost");
    finish(pf);
}

static void refused(void)
{
    pf_t *pf = manager(1);
    int signal = TRAPPED;
    takes = *count = 0;
    refuses = 1;
    is_int(pf_start(pf, every_tenth_ends_it, NULL), PF_OK, "a run on a system that refuses such a wait ends");
    is_int(pf_start(pf, sends_when_asleep, &signal), PF_OK, "... also an idle one");
    refuses = 0;
    ok(takes <= 1, "... and it is tried once");
    finish(pf);
}

/* ---- masks */

static struct {
    sigset_t before, expected_in_before_fork;
    int hooks, wrong;
} *mask;

static int has_mask(const sigset_t *expected)
{
    sigset_t now;
    pthread_sigmask(SIG_BLOCK, NULL, &now);
    return same_mask(&now, expected);
}

static void before_fork_has_mask(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    mask->hooks |= 1;
    mask->wrong += !has_mask(&mask->expected_in_before_fork);
}

static void after_fork_has_mask(pf_t *pf, int32_t pid, void *data)
{
    (void)pf;
    (void)pid;
    (void)data;
    mask->hooks |= 2;
    mask->wrong += !has_mask(&mask->before);
}

static void reap_has_mask(pf_t *pf, const pf_event *event, void *data)
{
    (void)pf;
    (void)event;
    (void)data;
    mask->hooks |= 4;
    mask->wrong += !has_mask(&mask->before);
}

static int32_t worker_has_mask(pf_t *pf, void *data)
{
    (void)data;
    if (!has_mask(&mask->before))
        ADD(mask->wrong, 1);
    return every_tenth_ends_it(pf, NULL);
}

/* `hooks`: a bit for each. */
static void masks(int hooks, int blocks_sigchld)
{
    pf_t *pf = manager(3);
    sigset_t set, old;
    memset(mask, 0, sizeof *mask);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    if (blocks_sigchld)
        sigaddset(&set, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    pthread_sigmask(SIG_BLOCK, NULL, &mask->before);
    mask->expected_in_before_fork = mask->before;
    sigaddset(&mask->expected_in_before_fork, TRAPPED);
    sigaddset(&mask->expected_in_before_fork, SIGCHLD);
    pf_set_before_fork(pf, hooks & 1 ? before_fork_has_mask : NULL, NULL);
    pf_set_after_fork(pf, hooks & 2 ? after_fork_has_mask : NULL, NULL);
    pf_set_on_child_reap(pf, hooks & 4 ? reap_has_mask : NULL, NULL);
    *count = 0;
    is_int(pf_start(pf, worker_has_mask, NULL), PF_OK, "hooks %d, SIGCHLD %s: a run", hooks,
        blocks_sigchld ? "blocked" : "not blocked");
    ok(has_mask(&mask->before), "... after which the mask is as before");
    is_int(mask->hooks, hooks, "... the hooks were called");
    is_int(mask->wrong, 0, "... with the mask that is documented, and so were the workers");
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    leave(pf);
}

/* ---- handlers of before */

static struct {
    int calls, signal, code, value;
    pid_t pid;
} seen;

static void on_signal(int signal, siginfo_t *info, void *context)
{
    (void)context;
    seen.calls++;
    seen.signal = signal;
    seen.code = info->si_code;
    seen.value = info->si_value.sival_int;
    seen.pid = info->si_pid;
}

static void handle_info(int signal)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    memset(&seen, 0, sizeof seen);
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO;
    sigaction(signal, &action, NULL);
}

static int32_t queues(pf_t *pf, void *data)
{
    union sigval value;
    (void)pf;
    value.sival_ptr = NULL; /* all of it */
    value.sival_int = 42;
    SET(*count, getpid());
    if (*(int *)data)
        UNTIL(is_asleep(getppid()));
    sigqueue(getppid(), TRAPPED, value);
    return until_killed(NULL, NULL);
}

static void handlers_of_before(void)
{
    pf_t *pf;
    int asleep;
    for (asleep = 0; asleep < 2; asleep++) {
        handle_info(TRAPPED);
        pf = manager(1);
        is_int(pf_start(pf, queues, &asleep), PF_OK, "a trapped signal ends the run");
        is_int(seen.calls, 1, "... and its handler of before is called once");
        ok(seen.signal == TRAPPED && seen.code == SI_QUEUE && seen.value == 42 && seen.pid == *count,
            "... with what the sender gave");
        finish(pf);
    }
    handle(TRAPPED, SIG_DFL);

    handle_info(SIGCHLD);
    pf = manager(1);
    *count = 0;
    is_int(pf_start(pf, every_tenth_ends_it, NULL), PF_OK, "a run in a program that has a handler for SIGCHLD");
    ok(seen.calls >= 9, "... which is called for each child");
    leave(pf);
    handle(SIGCHLD, SIG_IGN);
    pf = manager(2);
    *count = 0;
    is_int(pf_start(pf, every_tenth_ends_it, NULL), PF_OK, "a run in a program that ignores SIGCHLD");
    leave(pf);
    handle(SIGCHLD, SIG_DFL);
}

static void ignores_sigchld(pf_t *pf, int32_t pid, void *data)
{
    (void)pf;
    (void)pid;
    (void)data;
    handle(SIGCHLD, SIG_IGN);
}

static void ignored_meanwhile(void)
{
    pf_t *pf = manager(1);
    *count = 8;
    pf_set_after_fork(pf, ignores_sigchld, NULL);
    is_int(pf_start(pf, every_tenth_ends_it, NULL), PF_OK, "a hook makes the program ignore SIGCHLD");
    handle(SIGCHLD, SIG_DFL);
    leave(pf);
}

/* ---- other threads, who may take the signals */

/* Leaves without a look for leaks, which other threads of the manager would be in the way of. */
static int32_t every_tenth_ends_it_at_once(pf_t *pf, void *data)
{
    _exit(every_tenth_ends_it(pf, data));
}

/* It takes every signal that the manager holds back, such as that of the worker which has just ended. */
static void *takes_signals(void *data)
{
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    SET(*(int *)data, 1);
    while (GET(*(int *)data) == 1)
        nap();
    return NULL;
}

static pthread_t appeared;
static int appeared_state;

static void a_thread_appears(void)
{
    siginfo_t info;
    if (pthread_create(&appeared, NULL, takes_signals, &appeared_state))
        abort();
    UNTIL(GET(appeared_state) == 1);
    do {
        nap();
        info.si_pid = 0;
    } while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0);
    nap();
}

/* Libraries stop their threads before a fork, and start them again after it. In a process of its own: the C
 * library never says again that there is one thread. */
static void thread_in_between(int *fires_at, int number, const char *when)
{
    int status;
    pid_t pid;
    if (!CAN_AIM) {
        skip("a thread that appears during a run", "the calls cannot be replaced");
        return;
    }
    pid = fork();
    if (pid == 0) {
        pf_t *pf = manager(1);
        what_happens = a_thread_appears;
        *count = takes = looks = 0;
        *fires_at = number;
        /* On a busy machine several workers may have ended when it looks: then it looks less often in one run. */
        do {
            if (pf_start(pf, every_tenth_ends_it, NULL) != PF_OK)
                _exit(1);
        } while (appeared_state != 1);
        SET(appeared_state, 2);
        pthread_join(appeared, NULL);
        leave(pf);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    is_int(status, 0, when);
}

static void *waits(void *data)
{
    UNTIL(GET(*(int *)data));
    return NULL;
}

static void threads(void)
{
    pthread_t thread;
    int is_over = 0;
    pf_t *pf = manager(3);
    pthread_create(&thread, NULL, waits, &is_over);
    *count = takes = 0;
    is_int(pf_start(pf, every_tenth_ends_it_at_once, NULL), PF_OK, "a run beside another thread");
    is_int(takes, 0, "... which the signals may go to: the manager does not wait for them alone");
    SET(is_over, 1);
    pthread_join(thread, NULL);
    *count = 0;
    is_int(pf_start(pf, every_tenth_ends_it_at_once, NULL), PF_OK, "... and after it");
    leave(pf);
}

/* ---- stdio */

static FILE *file;

static void prints(pf_t *pf, const pf_event *event, void *data)
{
    (void)pf;
    (void)event;
    ++*(int *)data;
    fputc('r', file);
}

/* How often it is in the file. */
static int in_file(const char *path, int character)
{
    FILE *stream = fopen(path, "r");
    int n = 0, c;
    if (!stream)
        abort();
    while ((c = getc(stream)) != EOF)
        n += c == character;
    fclose(stream);
    return n;
}

static int forked, prints_at_fork;

static void prints_after_fork(void)
{
    if (prints_at_fork) {
        forked++;
        fputc('f', file);
    }
}

static void printed_once(void)
{
    char path[256];
    pf_t *pf = manager(2);
    int reaped = 0;
    file = fopen(temporary(path), "w");
    if (!file)
        abort();
    fputc('b', file);
    *count = 0;
    pf_start(pf, every_tenth_ends_it, NULL);
    fputc('c', file);
    pf_start(pf, every_tenth_ends_it, NULL);
    fflush(file);
    is_int(in_file(path, 'b'), 1, "what was printed before a run is in the file once");
    is_int(in_file(path, 'c'), 1, "... and between two");

    pf_set_on_child_reap(pf, prints, &reaped);
    pf_start(pf, every_tenth_ends_it, NULL);
    fflush(file);
    is_int(in_file(path, 'r'), reaped, "... and by a hook");
    pf_set_on_child_reap(pf, NULL, NULL);

    pthread_atfork(NULL, prints_after_fork, NULL);
    prints_at_fork = 1;
    pf_start(pf, every_tenth_ends_it, NULL);
    prints_at_fork = 0;
    fflush(file);
    ok(forked > 1, "there is a handler at forks");
    is_int(in_file(path, 'f'), forked, "... and what it prints is in the file once");
    leave(pf);
    fclose(file);
    unlink(path);
}

int main(void)
{
    int hooks, number;
    begin();
    count = shared(sizeof *count);
    mask = shared(sizeof *mask);
    busy();
    idle();
    woken_by_handlers();
    woken_at_the_last_moment();
    for (hooks = 0; hooks < 8; hooks++)
        masks(hooks, hooks % 2);
    masks(0, 1);
    handlers_of_before();
    ignored_meanwhile();
    printed_once();
    in_order();
    refused();
    thread_in_between(&fires_at_take, 3,
        "a thread that appears, and gets a SIGCHLD, when the manager is about to sleep");
    for (number = 3; number < 9; number++)
        thread_in_between(&fires_at_look, number, "... or a moment before");
    threads(); /* last: the C library never says again that there is one thread */
    return done();
}
