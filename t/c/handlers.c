/* Handlers and masks that the program has of its own: they come back, they are called, and they do not
 * keep a manager from seeing its signals and its children. */

#include "tap.h"

#include <sys/auxv.h>

/* Older C libraries do not have the name. */
#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

static volatile sig_atomic_t calls, calls_of_other, sender;

static void handler(int signal)
{
    (void)signal;
    calls++;
}

static void other_handler(int signal)
{
    (void)signal;
    calls_of_other++;
}

static void info_handler(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    calls++;
    sender = info->si_pid;
}

static struct sigaction action_of(void (*function)(int), int flags, int blocked)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = function;
    action.sa_flags = flags;
    sigemptyset(&action.sa_mask);
    if (blocked)
        sigaddset(&action.sa_mask, blocked);
    return action;
}

static struct sigaction now_is(int signal)
{
    struct sigaction action;
    sigaction(signal, NULL, &action);
    return action;
}

static int same_action(struct sigaction one, struct sigaction other)
{
    /* The C library adds a flag of the kernel's. */
    int flags = SA_NOCLDSTOP | SA_NOCLDWAIT | SA_NODEFER | SA_ONSTACK | SA_RESETHAND | SA_RESTART
        | SA_SIGINFO;
    return one.sa_handler == other.sa_handler && (one.sa_flags & flags) == (other.sa_flags & flags)
        && same_mask(&one.sa_mask, &other.sa_mask);
}

/* ---- given back */

static void given_back(void)
{
    struct sigaction before[5];
    const char *name[5] = { "a handler with flags and a mask", "one that takes siginfo", "SIG_IGN",
        "SIG_DFL", "one that is called once" };
    int i, signals[] = { SIGUSR1, SIGCHLD, SIGRTMIN + 3 };
    size_t s;
    before[0] = action_of(handler, SA_RESTART | SA_NODEFER | SA_ONSTACK, SIGUSR2);
    before[1] = action_of(NULL, SA_SIGINFO, SIGHUP);
    before[1].sa_sigaction = info_handler;
    before[2] = action_of(SIG_IGN, 0, 0);
    before[3] = action_of(SIG_DFL, 0, 0);
    before[4] = action_of(handler, SA_RESETHAND, 0);
    for (s = 0; s < sizeof signals / sizeof *signals; s++)
        for (i = 0; i < 5; i++) {
            pf_t *pf = pf_new();
            sigaction(signals[s], &before[i], NULL);
            if (signals[s] == SIGCHLD)
                pf_watch_children(pf);
            else
                pf_trap_signal(pf, signals[s], 0, 0);
            ok(!same_action(now_is(signals[s]), before[i]), "signal %d has another handler",
                signals[s]);
            pf_free(pf);
            ok(same_action(now_is(signals[s]), before[i]), "... and gets back %s", name[i]);
            signal(signals[s], SIG_DFL);
        }
}

/* Any order of two managers that trap the same signals. */
static void two_managers(int first)
{
    struct sigaction usr1 = action_of(handler, SA_RESTART, SIGUSR2);
    pf_t *pf[2];
    pf_t *one, *other;
    int ours;
    sigaction(SIGUSR1, &usr1, NULL);
    sigaction(SIGCHLD, &usr1, NULL);
    pf[0] = pf_new();
    pf_trap_signal(pf[0], SIGUSR1, 0, 0);
    pf_watch_children(pf[0]);
    pf[1] = pf_new();
    pf_trap_signal(pf[1], SIGUSR1, 0, 0);
    pf_trap_signal(pf[1], SIGUSR2, 0, 0);
    pf_watch_children(pf[1]);
    kill(getpid(), SIGUSR1);
    ok(pf_signal_received(pf[0]) == SIGUSR1 && pf_signal_received(pf[1]) == SIGUSR1,
        "two managers hear of a signal");
    pf_set_signal_received(pf[0], 0);
    pf_set_signal_received(pf[1], 0);
    one = pf[first];
    other = pf[!first];
    pf_free(one);
    ours = !same_action(now_is(SIGUSR1), usr1) && !same_action(now_is(SIGCHLD), usr1);
    ok(ours, "when the %s of them goes the handler stays", first ? "second" : "first");
    kill(getpid(), SIGUSR1);
    is_int(pf_signal_received(other), SIGUSR1, "... and tells the other one");
    is_int(now_is(SIGUSR2).sa_handler == SIG_DFL, first == 1, "what only one traps goes with that one");
    pf_free(other);
    ok(same_action(now_is(SIGUSR1), usr1) && same_action(now_is(SIGCHLD), usr1),
        "then the program has its own back");
    ok(now_is(SIGUSR2).sa_handler == SIG_DFL, "for each signal");
    signal(SIGUSR1, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
}

static void later_handler_stays(void)
{
    struct sigaction later = action_of(handler, SA_RESTART, SIGUSR2);
    pf_t *pf = pf_new();
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    pf_watch_children(pf);
    sigaction(SIGUSR1, &later, NULL);
    sigaction(SIGCHLD, &later, NULL);
    pf_free(pf);
    ok(same_action(now_is(SIGUSR1), later) && same_action(now_is(SIGCHLD), later),
        "a handler that the program has installed since is left there");
    pf = pf_new();
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    calls = 0;
    kill(getpid(), SIGUSR1);
    is_int(pf_signal_received(pf), SIGUSR1, "the next manager traps all the same");
    pf_free(pf);
    ok(same_action(now_is(SIGUSR1), later), "... and gives that one back");
    signal(SIGUSR1, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
}

/* ---- called */

static void called(void)
{
    pf_t *pf = pf_new();
    struct sigaction action = action_of(handler, 0, 0);
    sigaction(SIGUSR1, &action, NULL);
    action = action_of(NULL, SA_SIGINFO, 0);
    action.sa_sigaction = info_handler;
    sigaction(SIGUSR2, &action, NULL);
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    pf_trap_signal(pf, SIGUSR2, 0, 0);
    calls = 0;
    sender = 0;
    kill(getpid(), SIGUSR1);
    is_int(calls, 1, "the program's own handler is called too");
    kill(getpid(), SIGUSR2);
    ok(calls == 2 && sender == getpid(), "... with siginfo, where it takes that");
    pf_free(pf);
    calls = 0;
    kill(getpid(), SIGUSR1);
    is_int(calls, 1, "after pf_free it is the only one");

    action = action_of(other_handler, 0, 0);
    sigaction(SIGUSR1, &action, NULL);
    pf = pf_new();
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    calls = calls_of_other = 0;
    kill(getpid(), SIGUSR1);
    is_int(calls_of_other, 1, "for the next manager it is the handler that there is then");
    is_int(calls, 0, "... and not one of earlier days");
    pf_free(pf);

    signal(SIGUSR1, SIG_IGN);
    pf = pf_new();
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    calls = calls_of_other = 0;
    kill(getpid(), SIGUSR1);
    is_int(pf_signal_received(pf), SIGUSR1, "a signal that the program ignores is trapped");
    is_int(calls + calls_of_other, 0, "... and no handler of earlier days is called");
    pf_free(pf);
    signal(SIGUSR1, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
}

/* ---- called with its mask */

static int inside, most_inside, raises;
static sigset_t mask_inside;

/* Two signals that have it block each other: one is never within the other. */
static void one_at_a_time(int signal)
{
    if (++inside > most_inside)
        most_inside = inside;
    pthread_sigmask(SIG_BLOCK, NULL, &mask_inside);
    calls++;
    if (raises-- > 0)
        raise(signal == SIGUSR1 ? SIGUSR2 : SIGUSR1);
    inside--;
}

static void one_with_info(int signal, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_pid == getpid())
        one_at_a_time(signal);
}

static struct sigaction to_ours;

static void goes_on_to_ours(int signal, siginfo_t *info, void *context)
{
    to_ours.sa_sigaction(signal, info, context);
}

static void raise_masked(int signal, int times, const char *what)
{
    sigset_t before, after;
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    inside = most_inside = 0;
    calls = 0;
    raises = times;
    errno = 4711;
    raise(signal);
    is_int(errno, 4711, "%s: errno is as it was", what);
    is_int(calls, 1 + times, "... each is handled");
    is_int(most_inside, 1, "... none of them within another");
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    ok(same_mask(&before, &after), "... and the mask is as it was");
}

static void called_with_its_mask(void)
{
    struct sigaction usr1 = action_of(one_at_a_time, 0, SIGUSR2);
    struct sigaction usr2 = action_of(one_at_a_time, SA_RESTART, SIGUSR1), none, over;
    sigset_t hup;
    pf_t *pf = pf_new(), *other;
    sigaction(SIGUSR1, &usr1, NULL);
    sigaction(SIGUSR2, &usr2, NULL);
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    pf_trap_signal(pf, SIGUSR2, 0, 0);
    raise_masked(SIGUSR1, 1, "handlers that block each other");
    raise_masked(SIGUSR2, 3, "... and the other way round");
    sigemptyset(&hup);
    sigaddset(&hup, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &hup, NULL);
    raise_masked(SIGUSR1, 1, "where the program blocks another one");
    ok(sigismember(&mask_inside, SIGHUP), "... that stays blocked meanwhile");
    pthread_sigmask(SIG_UNBLOCK, &hup, NULL);

    /* The same function with another mask is another handler. */
    none = action_of(one_at_a_time, 0, 0);
    sigaction(SIGUSR1, &none, NULL);
    other = pf_new();
    pf_trap_signal(other, SIGUSR1, 0, 0);
    calls = raises = 0;
    raise(SIGUSR1);
    ok(calls == 1 && !sigismember(&mask_inside, SIGUSR2), "one that is installed anew without a mask has none");
    sigaction(SIGUSR1, &usr1, NULL);
    pf_trap_signal(other, SIGUSR1, 0, 0);
    raise_masked(SIGUSR1, 1, "... and has one again");

    sigaction(SIGUSR1, NULL, &to_ours);
    over = action_of(NULL, SA_SIGINFO, SIGHUP);
    over.sa_sigaction = goes_on_to_ours;
    sigaction(SIGUSR1, &over, NULL);
    pf_trap_signal(other, SIGUSR1, 0, 0);
    raise_masked(SIGUSR1, 1, "... under another handler, which calls ours");
    pf_free(other);
    pf_free(pf);

    usr1 = action_of(NULL, SA_SIGINFO, SIGUSR2);
    usr1.sa_sigaction = one_with_info;
    sigaction(SIGUSR1, &usr1, NULL);
    sigaction(SIGUSR2, &usr2, NULL);
    pf = pf_new();
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    pf_trap_signal(pf, SIGUSR2, 0, 0);
    raise_masked(SIGUSR1, 1, "one that takes siginfo");
    pf_free(pf);
    signal(SIGUSR1, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
}

/* ---- called as its flags say */

static char alternate_stack[1 << 16];
static int is_on_stack;

static void looks_at_stack(int signal)
{
    /* AddressSanitizer may have variables elsewhere. */
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    (void)signal;
    calls++;
    is_on_stack = here >= (uintptr_t)alternate_stack && here < (uintptr_t)alternate_stack + sizeof alternate_stack;
}

static int is_on_stack_with(void (*function)(int), int flags)
{
    struct sigaction action = action_of(function, flags, 0);
    pf_t *pf = pf_new();
    sigaction(SIGUSR1, &action, NULL);
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    calls = 0;
    is_on_stack = -1;
    raise(SIGUSR1);
    CHECK(calls == 1);
    pf_free(pf);
    signal(SIGUSR1, SIG_DFL);
    return is_on_stack;
}

static void on_stack(void *data)
{
    stack_t alternate, none;
    pf_t *pf = pf_new();
    (void)data;
    memset(&alternate, 0, sizeof alternate);
    memset(&none, 0, sizeof none);
    alternate.ss_sp = alternate_stack;
    alternate.ss_size = sizeof alternate_stack;
    none.ss_flags = SS_DISABLE;
    sigaltstack(&alternate, NULL);
    CHECK(is_on_stack_with(looks_at_stack, SA_ONSTACK) == 1);
    CHECK(is_on_stack_with(looks_at_stack, SA_ONSTACK | SA_RESTART | SA_NODEFER) == 1);
    CHECK(is_on_stack_with(looks_at_stack, 0) == 0);
    /* Who has no handler may have threads with small stacks. */
    pf_trap_signal(pf, SIGUSR2, 0, 0);
    CHECK(now_is(SIGUSR2).sa_flags & SA_ONSTACK);
    pf_free(pf);
    sigaltstack(&none, NULL);
}

/* The system calls the handlers of signals that are let in together one on top of the other, as far as their masks let it. */
static void many_at_once(void *data)
{
    static const int trapped[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGALRM, SIGIO, SIGURG };
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    /* A frame of the system's and what the library needs; far from the room that ten frames need. */
    const size_t least = getauxval(AT_MINSIGSTKSZ) ? (size_t)getauxval(AT_MINSIGSTKSZ) : 2048;
    const size_t room = least + 4096, size = (room + page - 1) / page * page;
    char *guarded = mmap(NULL, page + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t alternate, none;
    struct sigaction theirs = action_of(other_handler, 0, 0), ours;
    sigset_t all, before;
    pf_t *pf = pf_new();
    size_t i, seen = 0;
    int32_t signal;
    (void)data;
    CHECK(guarded != MAP_FAILED && mprotect(guarded, page, PROT_NONE) == 0);
    memset(&alternate, 0, sizeof alternate);
    memset(&none, 0, sizeof none);
    alternate.ss_sp = guarded + page;
    alternate.ss_size = room;
    none.ss_flags = SS_DISABLE;
    CHECK(sigaltstack(&alternate, NULL) == 0);
    for (i = 0; i < sizeof trapped / sizeof *trapped; i++)
        CHECK(pf_trap_signal(pf, trapped[i], 0, 0) == PF_OK);
    /* What is blocked may be given to a thread whose handler is not made for that. So it is these alone. */
    sigaction(SIGPIPE, &theirs, NULL);
    CHECK(pf_trap_signal(pf, SIGPIPE, 0, 0) == PF_OK);
    ours = now_is(SIGHUP);
    CHECK(sigismember(&ours.sa_mask, SIGURG) == 1);
    CHECK(sigismember(&ours.sa_mask, SIGPIPE) == 0 && sigismember(&ours.sa_mask, SIGPROF) == 0);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    for (i = 0; i < sizeof trapped / sizeof *trapped; i++)
        raise(trapped[i]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (signal = pf_signal_received(pf); signal; signal = pf_signal_received(pf)) {
        seen++;
        pf_set_signal_received(pf, 0);
        pf_show_next_signal(pf);
    }
    CHECK(seen == sizeof trapped / sizeof *trapped);
    pf_free(pf);
    CHECK(now_is(SIGPIPE).sa_handler == other_handler);
    sigaltstack(&none, NULL);
    munmap(guarded, page + size);
}

/* A handler is called in the middle of raise(3), of which compilers think that it calls nothing of ours. */
static volatile int depth, most_deep;

static void raises_itself(int signal)
{
    calls++;
    if (++depth > most_deep)
        most_deep = depth;
    if (calls == 1)
        raise(signal);
    depth--;
}

static int deep_with(int flags, int blocked)
{
    struct sigaction action = action_of(raises_itself, flags, blocked);
    sigset_t before, after;
    pf_t *pf = pf_new();
    sigaction(SIGUSR1, &action, NULL);
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    calls = depth = most_deep = 0;
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    raise(SIGUSR1);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    CHECK(calls == 2 && depth == 0 && same_mask(&before, &after));
    CHECK(pf_signal_received(pf) == SIGUSR1);
    pf_free(pf);
    signal(SIGUSR1, SIG_DFL);
    return most_deep;
}

static void deferred(void *data)
{
    (void)data;
    CHECK(deep_with(0, 0) == 1);
    CHECK(deep_with(SA_NODEFER, 0) == 2);
    CHECK(deep_with(SA_NODEFER, SIGUSR2) == 2);
    CHECK(deep_with(SA_NODEFER, SIGUSR1) == 1);
}

static struct sigaction below_itself;

/* Between two managers: it calls what it found, after its own signal has interrupted it. */
static void raises_and_calls(int signal)
{
    raises_itself(signal);
    below_itself.sa_handler(signal);
}

static void deferred_between(void *data)
{
    struct sigaction below = action_of(other_handler, 0, 0), action = action_of(raises_and_calls, SA_NODEFER, 0);
    pf_t *pf = pf_new(), *above = pf_new();
    (void)data;
    sigaction(SIGUSR1, &below, NULL);
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    sigaction(SIGUSR1, &action, &below_itself);
    pf_trap_signal(above, SIGUSR1, 0, 0);
    calls = calls_of_other = depth = most_deep = 0;
    raise(SIGUSR1);
    CHECK(calls == 2 && calls_of_other == 2 && most_deep == 2);
    pf_free(above);
    pf_free(pf);
}

static int hears(pf_t *pf, int signal)
{
    int heard;
    raise(signal);
    heard = pf_signal_received(pf) == signal;
    pf_set_signal_received(pf, 0);
    return heard;
}

static void once(void *data)
{
    struct sigaction action = action_of(handler, SA_RESETHAND, 0);
    pf_t *pf = pf_new(), *other = pf_new();
    (void)data;
    sigaction(SIGUSR1, &action, NULL);
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    calls = 0;
    CHECK(hears(pf, SIGUSR1) && calls == 1);
    CHECK(hears(pf, SIGUSR1) && calls == 1);
    /* Installed anew it is called once more. */
    sigaction(SIGUSR1, &action, NULL);
    pf_trap_signal(other, SIGUSR1, 0, 0);
    CHECK(hears(pf, SIGUSR1) && hears(other, SIGUSR1) && calls == 2);
    pf_free(other);
    CHECK(now_is(SIGUSR1).sa_handler != SIG_DFL);
    pf_free(pf);
    CHECK(now_is(SIGUSR1).sa_handler == SIG_DFL);
}

/* A handler that wants to hear of ends only. */
static void without_stops(void *data)
{
    struct sigaction action = action_of(handler, SA_NOCLDSTOP | SA_RESTART, 0);
    pf_t *pf = pf_new();
    pid_t pid;
    int status;
    (void)data;
    sigaction(SIGCHLD, &action, NULL);
    pf_watch_children(pf);
    calls = 0;
    pid = fork();
    if (pid == 0) {
        raise(SIGSTOP);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    CHECK(calls == 0);
    kill(pid, SIGCONT);
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    CHECK(calls == 1);
    pf_free(pf);
}

/* One function for two signals: each is called within the other. */
static struct sigaction below_usr1, below_usr2;

static void for_two(int signal)
{
    calls++;
    if (signal == SIGUSR1)
        raise(SIGUSR2);
    (signal == SIGUSR1 ? below_usr1 : below_usr2).sa_handler(signal);
}

static void two_signals(void *data)
{
    struct sigaction action = action_of(for_two, 0, 0);
    pf_t *below = pf_new(), *above = pf_new();
    (void)data;
    pf_trap_signal(below, SIGUSR1, 0, 0);
    pf_trap_signal(below, SIGUSR2, 0, 0);
    sigaction(SIGUSR1, &action, &below_usr1);
    sigaction(SIGUSR2, &action, &below_usr2);
    pf_trap_signal(above, SIGUSR1, 0, 0);
    pf_trap_signal(above, SIGUSR2, 0, 0);
    calls = 0;
    raise(SIGUSR1);
    CHECK(calls == 2);
    pf_free(below);
    pf_free(above);
}

static void called_as_its_flags_say(void)
{
    is_int(in_child(on_stack, NULL), 0, "a handler is called on the stack that it wants");
    is_int(in_child(deferred, NULL), 0, "... is interrupted by its own signal, if it wants to be");
    is_int(in_child(deferred_between, NULL), 0, "... also between two managers");
    is_int(in_child(once, NULL), 0, "... is called once, if it wants that");
    is_int(in_child(without_stops, NULL), 0, "... is told of children that stop, unless it wants not to be");
    is_int(in_child(two_signals, NULL), 0, "... within itself, for another signal");
    is_int(in_child(many_at_once, NULL), 0, "ten signals at once need no more of a small stack than one");
}

/* ---- ours without a manager */

static pf_t *of_children;

/* Ours was saved, and is put back when the manager has gone. */
static void put_back(const struct sigaction *before)
{
    struct sigaction ours;
    pf_t *pf = pf_new();
    sigaction(SIGTERM, before, NULL);
    pf_trap_signal(pf, SIGTERM, 0, 0);
    ours = now_is(SIGTERM);
    pf_free(pf);
    CHECK(same_action(now_is(SIGTERM), *before));
    sigaction(SIGTERM, &ours, NULL);
}

static void put_back_default(void *data)
{
    struct sigaction none = action_of(SIG_DFL, 0, 0);
    put_back(&none);
    if (data)
        pf_trap_signal(of_children = pf_new(), SIGUSR1, 0, 0);
    raise(SIGTERM);
}

static void put_back_ignored(void *data)
{
    struct sigaction ignored = action_of(SIG_IGN, 0, 0);
    (void)data;
    put_back(&ignored);
    raise(SIGTERM);
}

static void put_back_handled(void *data)
{
    struct sigaction handled = action_of(handler, 0, 0);
    pf_t *pf = pf_new();
    (void)data;
    put_back(&handled);
    calls = 0;
    raise(SIGTERM);
    CHECK(calls == 1);
    /* It has a manager again. */
    pf_trap_signal(pf, SIGTERM, 0, 0);
    CHECK(hears(pf, SIGTERM) && calls == 2);
    pf_free(pf);
    raise(SIGTERM);
    CHECK(calls == 3);
}

/* One that was over ours, and calls that, when no manager is there any more. */
static struct sigaction was_found;

static void calls_found(int signal)
{
    calls++;
    was_found.sa_handler(signal);
}

static void over_ours(void *data)
{
    struct sigaction action = action_of(calls_found, 0, 0);
    pf_t *pf = pf_new(), *above = pf_new();
    (void)data;
    pf_trap_signal(pf, SIGTERM, 0, 0);
    sigaction(SIGTERM, &action, &was_found);
    pf_free(pf);
    calls = 0;
    raise(SIGTERM);
    CHECK(calls == 1);
    pf_trap_signal(above, SIGTERM, 0, 0);
    CHECK(hears(above, SIGTERM) && calls == 2);
    pf_free(above);
    raise(SIGTERM);
    CHECK(calls == 3 && now_is(SIGTERM).sa_handler == calls_found);
}

static void child_of_program(void *data)
{
    (void)data;
    raise(SIGTERM);
}

static void inherited(void *data)
{
    pf_t *pf = pf_new();
    (void)data;
    pf_trap_signal(pf, SIGTERM, 0, 0);
    CHECK(in_child(child_of_program, NULL) == 128 + SIGTERM);
    CHECK(hears(pf, SIGTERM));
    pf_free(pf);
}

/* The default action of TSTP, twice; its process group is no orphan. */
static void stops(void *data)
{
    struct sigaction ours;
    pf_t *pf = pf_new();
    (void)data;
    setpgid(0, 0);
    pf_trap_signal(pf, SIGTSTP, 0, 0);
    ours = now_is(SIGTSTP);
    pf_free(pf);
    sigaction(SIGTSTP, &ours, NULL);
    raise(SIGTSTP);
    CHECK(same_action(now_is(SIGTSTP), ours));
    raise(SIGTSTP);
    _exit(checks());
}

static int stops_seen(void)
{
    int status, seen = 0;
    pid_t pid;
    fflush(stdout);
    pid = fork();
    if (pid == 0)
        stops(NULL);
    while (waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status)) {
        seen += WSTOPSIG(status) == SIGTSTP;
        kill(pid, SIGCONT);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? seen : -1;
}

static void without_a_manager(void)
{
    int other = 1;
    is_int(in_child(put_back_default, NULL), 128 + SIGTERM,
        "ours is put back when its manager has gone: TERM ends the process, as before");
    is_int(in_child(put_back_default, &other), 128 + SIGTERM, "... also if there is one that does not trap it");
    is_int(in_child(put_back_ignored, NULL), 0, "... or it is ignored, as before");
    is_int(in_child(put_back_handled, NULL), 0, "... or the program's handler is called");
    is_int(in_child(over_ours, NULL), 0, "a handler over ours keeps the signal to itself");
    is_int(in_child(inherited, NULL), 0, "TERM ends a child that the program has forked, and not its manager");
    if (is_under_valgrind())
        skip("TSTP stops a process that has ours without a manager", "Valgrind does not stop");
    else
        is_int(stops_seen(), 2, "TSTP stops a process that has ours without a manager, each time");
}

/* ---- SIGCHLD */

static void stop(pf_t *pf, const pf_event *exit, void *data)
{
    *(pf_event *)data = *exit;
    pf_signal(pf, SIGURG);
}

static int32_t exits_with_5(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    return 5;
}

/* Whether a manager of one worker sees its end. */
static int sees_children(pf_t *pf)
{
    pf_event exit;
    memset(&exit, 0, sizeof exit);
    pf_set_max_workers(pf, 1);
    pf_set_err_respawn_interval(pf, 0);
    pf_set_on_child_reap(pf, stop, &exit);
    if (pf_start(pf, exits_with_5, NULL) != PF_OK)
        return 0;
    pf_set_on_child_reap(pf, NULL, NULL);
    return pf_wait_all_children(pf, -1, NULL) == PF_OK && WIFEXITED(exit.status)
        && WEXITSTATUS(exit.status) == 5;
}

static struct sigaction chained;

static void chains(int signal)
{
    calls++;
    chained.sa_handler(signal);
}

static void block_chld(pf_t *pf, int32_t pid, void *data)
{
    sigset_t set;
    (void)pf;
    (void)pid;
    (void)data;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void ignore_chld(pf_t *pf, int32_t pid, void *data)
{
    (void)pf;
    (void)pid;
    (void)data;
    signal(SIGCHLD, SIG_IGN);
}

static void sigchld(void)
{
    struct sigaction action = action_of(other_handler, 0, 0), mine;
    pf_event exit;
    sigset_t set;
    pf_t *pf = pf_new();

    sigaction(SIGCHLD, &action, NULL);
    calls = calls_of_other = 0;
    ok(sees_children(pf), "a program with a handler for SIGCHLD");
    ok(calls_of_other >= 1, "... which is called");
    is_int(calls, 0, "... and no other one");
    pf_free(pf);

    pf = pf_new();
    pf_watch_children(pf);
    mine = action_of(other_handler, SA_RESTART, 0);
    sigaction(SIGCHLD, &mine, NULL);
    calls_of_other = 0;
    ok(sees_children(pf), "one that is installed later, and does not call ours");
    ok(calls_of_other >= 1, "... which is called");
    ok(same_action(now_is(SIGCHLD), mine), "... and stays");
    pf_free(pf);

    pf = pf_new();
    pf_watch_children(pf);
    sigaction(SIGCHLD, NULL, &chained);
    mine = action_of(chains, 0, 0);
    sigaction(SIGCHLD, &mine, NULL);
    calls = 0;
    ok(sees_children(pf) && calls >= 1, "one that is installed later, and calls ours");
    pf_free(pf);
    ok(same_action(now_is(SIGCHLD), mine), "... stays");
    pf = pf_new();
    calls = 0;
    ok(sees_children(pf) && calls >= 1, "... and does not go round in circles with the next manager");
    pf_free(pf);
    signal(SIGCHLD, SIG_DFL);

    signal(SIGCHLD, SIG_IGN);
    pf = pf_new();
    ok(sees_children(pf), "SIGCHLD ignored before: no status is lost");
    pf_free(pf);
    ok(now_is(SIGCHLD).sa_handler == SIG_IGN, "... and it is ignored again after");
    signal(SIGCHLD, SIG_DFL);

    action = action_of(handler, SA_NOCLDWAIT, 0);
    sigaction(SIGCHLD, &action, NULL);
    pf = pf_new();
    ok(sees_children(pf), "a handler with SA_NOCLDWAIT: no status is lost");
    pf_free(pf);
    ok(same_action(now_is(SIGCHLD), action), "... and it is back again");
    signal(SIGCHLD, SIG_DFL);

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pf = pf_new();
    ok(sees_children(pf), "SIGCHLD blocked");
    pf_free(pf);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);

    pf = pf_new();
    pf_set_after_fork(pf, block_chld, NULL);
    ok(sees_children(pf), "SIGCHLD blocked as it runs");
    pf_free(pf);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);

    pf = pf_new();
    memset(&exit, 0, sizeof exit);
    pf_set_max_workers(pf, 1);
    pf_set_after_fork(pf, ignore_chld, NULL);
    pf_set_on_child_reap(pf, stop, &exit);
    is_int(pf_start(pf, exits_with_5, NULL), PF_OK, "SIGCHLD ignored as it runs");
    ok(exit.reason == PF_REASON_STOLEN ? exit.status == -1 : WEXITSTATUS(exit.status) == 5,
        "... the worker is reported, if without its status");
    is_int(pf_wait_all_children(pf, -1, NULL), PF_OK, "... and waited for");
    pf_free(pf);
    signal(SIGCHLD, SIG_DFL);
}

/* ---- blocked signals */

static int32_t sends_term(pf_t *pf, void *data)
{
    sigset_t mask;
    (void)pf;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    CHECK(sigismember(&mask, SIGTERM));
    UNTIL(is_asleep(*(pid_t *)data));
    kill(*(pid_t *)data, SIGTERM);
    return checks();
}

static void blocked(void)
{
    pf_t *pf;
    sigset_t set, before, after;
    size_t left;
    pid_t self = getpid();
    pf_event exit;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    memset(&exit, 0, sizeof exit);
    pf = pf_new();
    pf_set_max_workers(pf, 1);
    pf_trap_signal(pf, SIGTERM, 0, 0);
    pf_set_on_child_reap(pf, stop, &exit);
    pf_set_err_respawn_interval(pf, 3600);
    do
        pf_start(pf, sends_term, &self);
    while (pf_signal_received(pf) != SIGTERM);
    ok(1, "TERM, which the program blocks, ends pf_start");
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    ok(same_mask(&before, &after), "... and stays blocked");
    pf_wait_all_children(pf, -1, &left);
    is_int(exit.status, 0, "... in the worker too");
    pf_set_on_child_reap(pf, NULL, NULL);
    pf_set_signal_received(pf, 0);
    pf_take_signal(pf, SIGURG, false);

    kill(getpid(), SIGTERM);
    is_int(pf_start(pf, until_killed, NULL), PF_OK, "one that waits since before the start");
    is_int(pf_signal_received(pf), SIGTERM, "... ends it too");
    finish(pf);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int main(void)
{
    begin();
    given_back();
    two_managers(0);
    two_managers(1);
    later_handler_stays();
    called();
    called_with_its_mask();
    called_as_its_flags_say();
    without_a_manager();
    sigchld();
    blocked();
    return done();
}
