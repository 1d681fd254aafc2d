/* Handlers of the program's that do not return to ours: they jump, fork, exit, end their thread, or take their time
 * while another one forks. Whatever they do, managers of this process and of its children trap signals and give them
 * back. */

#include "tap.h"

#include <setjmp.h>

static const int SIGNAL = SIGUSR1;

static void handle(int signal, void (*function)(int), int flags)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = function;
    action.sa_flags = flags;
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, NULL);
}

static int is_handled_by(int signal, void (*function)(int))
{
    struct sigaction now;
    sigaction(signal, NULL, &now);
    return now.sa_handler == function;
}

/* A manager comes, hears a signal, and goes. */
static void manages(void)
{
    pf_t *pf = pf_new();
    handle(SIGUSR2, SIG_DFL, 0);
    CHECK(pf_trap_signal(pf, SIGUSR2, 0, 0) == PF_OK);
    CHECK(pf_trap_signal(pf, SIGNAL, 0, 0) == PF_OK);
    CHECK(pf_watch_children(pf) == PF_OK);
    raise(SIGUSR2);
    CHECK(pf_signal_received(pf) == SIGUSR2);
    pf_free(pf);
    CHECK(is_handled_by(SIGUSR2, SIG_DFL));
}

/* ---- it jumps */

static sigjmp_buf away;
static volatile int jumps;

static void jumps_away(int signal)
{
    (void)signal;
    jumps++;
    siglongjmp(away, 1);
}

static int has_jumped(void)
{
    if (sigsetjmp(away, 1) == 0) {
        raise(SIGNAL);
        return 0;
    }
    return 1;
}

/* The same from further down the stack. */
static int has_jumped_from(int depth)
{
    volatile char room[256];
    room[0] = (char)depth;
    return depth > 0 ? has_jumped_from(depth - 1) && room[0] == (char)depth : has_jumped();
}

static void jumping(void *flags)
{
    static char stack[1 << 16];
    stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
    int i;
    sigset_t before, after;
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    sigaltstack(&alternate, NULL);
    for (i = 0; i < 20; i++) {
        pf_t *pf = pf_new();
        handle(SIGNAL, jumps_away, *(int *)flags);
        CHECK(pf_trap_signal(pf, SIGNAL, 0, 0) == PF_OK);
        CHECK(has_jumped());
        CHECK(pf_signal_received(pf) == SIGNAL);
        CHECK(pf_trap_signal(pf, SIGHUP, 0, 0) == PF_OK);
        CHECK(has_jumped());
        manages();
        pf_free(pf);
        CHECK(is_handled_by(SIGNAL, jumps_away));
        CHECK(has_jumped());
    }
    CHECK(jumps == 60);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    CHECK(same_mask(&before, &after));
}

/* The same for one that was installed over ours, and has a manager over it. */
static void jumping_between(void *data)
{
    pf_t *below = pf_new(), *above = pf_new();
    int i;
    (void)data;
    CHECK(pf_trap_signal(below, SIGNAL, 0, 0) == PF_OK);
    handle(SIGNAL, jumps_away, 0);
    CHECK(pf_trap_signal(above, SIGNAL, 0, 0) == PF_OK);
    for (i = 1; i <= 20; i++) {
        CHECK(has_jumped() && jumps == i);
        CHECK(pf_signal_received(above) == SIGNAL);
    }
    for (i = 1; i <= 20; i++) {
        CHECK(has_jumped_from(i) && jumps == 20 + i);
        CHECK(pf_signal_received(above) == SIGNAL);
    }
    pf_free(above);
    manages();
    pf_free(below);
}

/* ---- it forks */

static int status_of_child;

static void waits_for(pid_t pid)
{
    while (waitpid(pid, &status_of_child, 0) < 0)
        if (errno != EINTR)
            abort();
}

static void forks(int signal)
{
    pid_t pid;
    (void)signal;
    pid = fork();
    if (pid == 0) {
        handle(SIGNAL, SIG_DFL, 0);
        manages();
        _exit(checks());
    }
    waits_for(pid);
}

static pid_t forked;

static void forks_and_returns(int signal)
{
    (void)signal;
    forked = fork();
}

static void forking(void *data)
{
    pf_t *pf = pf_new();
    (void)data;
    handle(SIGNAL, forks, 0);
    CHECK(pf_trap_signal(pf, SIGNAL, 0, 0) == PF_OK);
    raise(SIGNAL);
    CHECK(status_of_child == 0);
    CHECK(pf_signal_received(pf) == SIGNAL);

    handle(SIGNAL, forks_and_returns, 0);
    CHECK(pf_trap_signal(pf, SIGNAL, 0, 0) == PF_OK);
    raise(SIGNAL);
    if (forked == 0) {
        handle(SIGNAL, SIG_DFL, 0);
        manages();
        pf_free(pf);
        _exit(checks());
    }
    waits_for(forked);
    CHECK(status_of_child == 0);
    manages();
    pf_free(pf);
}

/* ---- it exits */

static pf_t *of_exit;

static void frees(void)
{
    pf_free(of_exit);
    manages();
}

static void exits(int signal)
{
    (void)signal;
    exit(42 + checks());
}

static void exiting(void *data)
{
    (void)data;
    of_exit = pf_new();
    handle(SIGNAL, exits, 0);
    CHECK(pf_trap_signal(of_exit, SIGNAL, 0, 0) == PF_OK);
    atexit(frees);
    raise(SIGNAL);
}

/* ---- it ends its thread */

static void ends_thread(int signal)
{
    (void)signal;
    pthread_exit(NULL);
}

static void *raises(void *data)
{
    pthread_kill(pthread_self(), SIGNAL);
    return data;
}

static pthread_t start_thread(void *(*code)(void *data))
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, code, NULL) != 0)
        abort();
    return thread;
}

static void ending_threads(void *data)
{
    pf_t *pf = pf_new();
    int i;
    (void)data;
    handle(SIGNAL, ends_thread, 0);
    for (i = 0; i < 20; i++) {
        CHECK(pf_trap_signal(pf, SIGNAL, 0, 0) == PF_OK);
        pthread_join(start_thread(raises), NULL);
        CHECK(pf_signal_received(pf) == SIGNAL);
        manages();
    }
    pf_free(pf);
}

/* ---- it takes its time, on another thread */

static int is_inside, may_return;

static void takes_its_time(int signal)
{
    (void)signal;
    SET(is_inside, 1);
    UNTIL(GET(may_return));
}

static void manages_in_child(void *data)
{
    (void)data;
    manages();
}

static void taking_time(void *data)
{
    pf_t *pf = pf_new();
    pthread_t thread;
    (void)data;
    handle(SIGNAL, takes_its_time, 0);
    CHECK(pf_trap_signal(pf, SIGNAL, 0, 0) == PF_OK);
    thread = start_thread(raises);
    UNTIL(GET(is_inside));
    CHECK(pf_signal_received(pf) == SIGNAL);
    manages();
    CHECK(in_child(manages_in_child, NULL) == 0);
    pf_free(pf);
    CHECK(in_child(manages_in_child, NULL) == 0);
    SET(may_return, 1);
    pthread_join(thread, NULL);
}

/* ---- a thread forks while another one traps and frees */

static int stop_threads;

static void *comes_and_goes(void *data)
{
    while (!GET(stop_threads)) {
        pf_t *pf = pf_new();
        pf_trap_signal(pf, SIGNAL, 0, 0);
        pf_trap_signal(pf, SIGHUP, 0, 0);
        raise(SIGNAL);
        pf_free(pf);
    }
    return data;
}

static void between(void *data)
{
    pthread_t thread[2];
    int i;
    (void)data;
    handle(SIGNAL, SIG_IGN, 0);
    for (i = 0; i < 2; i++)
        thread[i] = start_thread(comes_and_goes);
    for (i = 0; i < 1000 && checks() == 0; i++)
        CHECK(in_child(manages_in_child, NULL) == 0);
    SET(stop_threads, 1);
    for (i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
}

int main(void)
{
    int plain = 0, on_stack = SA_ONSTACK;
    begin();
    is_int(in_child(jumping, &plain), 0,
        "a handler that leaves by siglongjmp: managers come and go, and hear the signal");
    is_int(in_child(jumping, &on_stack), 0,
        "a handler that leaves the alternate stack by siglongjmp: managers come and go, and hear the signal");
    is_int(in_child(jumping_between, NULL), 0,
        "a handler that leaves by siglongjmp, installed between two managers, is called each time");
    is_int(in_child(forking, NULL), 0, "a handler that forks: its child may be a manager, in the handler or after it");
    is_int(in_child(exiting, NULL), 42, "a handler that exits: what is called then frees managers, and makes others");
    is_int(in_child(ending_threads, NULL), 0, "a handler that ends its thread");
    if (HEAP_HAS_NO_FORK) {
        skip("handlers on other threads, and forks", "with AddressSanitizer no child may allocate");
    } else {
        is_int(in_child(taking_time, NULL), 0,
            "a handler that runs on another thread is waited for by nobody, a child neither");
        if (is_under_valgrind())
            skip("children that are forked while other threads trap and free",
                "what those threads have is lost in the child");
        else
            is_int(in_child(between, NULL), 0,
                "children that are forked while other threads trap and free are managers");
    }
    return done();
}
