/* Two managers that trap the same signal, and a program that installs handlers of its own: whatever the order,
 * managers hear what they should, each handler of the program is called once, and in the end the
 * program has what it installed last. A worker or another child may come in between. */

#include "tap.h"

static const int SIGNAL = SIGUSR1;

/* ---- the program's handlers */

enum { DEFAULT, IGNORED, PLAIN, INFO, CHAINED, HANDLERS };

static int calls[HANDLERS];
static struct sigaction before_chained;

static void plain(int signal)
{
    (void)signal;
    calls[PLAIN]++;
}

static void info(int signal, siginfo_t *info, void *context)
{
    (void)context;
    calls[INFO] += info->si_signo == signal;
}

/* Calls what it has found, as handlers do that are installed over those of others. */
static void chained(int signal, siginfo_t *info, void *context)
{
    calls[CHAINED]++;
    if (before_chained.sa_flags & SA_SIGINFO)
        before_chained.sa_sigaction(signal, info, context);
    else if (before_chained.sa_handler != SIG_DFL && before_chained.sa_handler != SIG_IGN)
        before_chained.sa_handler(signal);
}

static struct sigaction action_of(int handler)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    switch (handler) {
    case DEFAULT: action.sa_handler = SIG_DFL; break;
    case IGNORED: action.sa_handler = SIG_IGN; break;
    case PLAIN:
        action.sa_handler = plain;
        sigaddset(&action.sa_mask, SIGHUP);
        break;
    case INFO:
        action.sa_sigaction = info;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        break;
    case CHAINED:
        action.sa_sigaction = chained;
        action.sa_flags = SA_SIGINFO | SA_RESTART;
        break;
    }
    return action;
}

/* ---- what is done */

enum {
    FIRST_TRAPS, SECOND_TRAPS, FIRST_GOES, SECOND_GOES,
    OLD_FIRST_GOES, OLD_SECOND_GOES, /* in a child: those of its parent */
    INSTALLS, /* and more, one for each handler */
    STEPS = INSTALLS + HANDLERS,
    FORK = STEPS
};

static const char *const name[STEPS + 1] = { "first traps", "second traps", "first goes", "second goes",
    "the parent's first goes", "the parent's second goes",
    "SIG_DFL", "SIG_IGN", "plain", "with siginfo", "one that calls what it found", "a fork" };

/* ---- what is and what should be */

static struct {
    pf_t *pf[2], *old[2];
    /* What should be. */
    int traps[2], old_traps[2];
    int is_ours;        /* or else the program's handler is in force */
    int handler;        /* the one that the program has installed last */
    int before_chained; /* what that one found: the program's, and ... */
    int over_ours;      /* ... whether there was ours over it */
    int is_new_child;   /* in which there was no manager yet */
} state;

static int steps[16], depth, failures;

static void fails(const char *what, int got, int expected)
{
    char text[512] = "";
    int i;
    if (failures++ > 5)
        return;
    for (i = 0; i < depth; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? ", " : "", name[steps[i]]);
    diag("%s: %s is %d, should be %d", text, what, got, expected);
}

static void is(const char *what, int got, int expected)
{
    if (got != expected)
        fails(what, got, expected);
}

/* Whether the step makes sense now. */
static int fits(int step, int is_child)
{
    switch (step) {
    case FIRST_TRAPS: case SECOND_TRAPS: return 1;
    case FIRST_GOES: case SECOND_GOES: return state.pf[step - FIRST_GOES] != NULL;
    case OLD_FIRST_GOES: case OLD_SECOND_GOES: return is_child && state.old[step - OLD_FIRST_GOES];
    /* One that finds itself would call itself for ever. */
    case INSTALLS + CHAINED: return state.handler != CHAINED;
    default: return 1;
    }
}

static void let_go(pf_t **pf, int *traps)
{
    pf_free(*pf);
    *pf = NULL;
    if (*traps) {
        *traps = 0;
        if (!state.traps[0] && !state.traps[1] && !state.old_traps[0] && !state.old_traps[1])
            state.is_ours = 0;
    }
}

/* What the managers of its parent trap and the program handles is the program's, from the first manager on. */
static pf_t *new_manager(void)
{
    if (state.is_new_child && !state.is_ours)
        state.old_traps[0] = state.old_traps[1] = 0;
    state.is_new_child = 0;
    return pf_new();
}

static void do_step(int step)
{
    struct sigaction action, found;
    int i;
    switch (step) {
    case FIRST_TRAPS: case SECOND_TRAPS:
        i = step - FIRST_TRAPS;
        if (!state.pf[i])
            state.pf[i] = new_manager();
        is("pf_trap_signal", pf_trap_signal(state.pf[i], SIGNAL, 0, 0), PF_OK);
        state.traps[i] = state.is_ours = 1;
        break;
    case FIRST_GOES: case SECOND_GOES:
        i = step - FIRST_GOES;
        let_go(&state.pf[i], &state.traps[i]);
        break;
    case OLD_FIRST_GOES: case OLD_SECOND_GOES:
        i = step - OLD_FIRST_GOES;
        let_go(&state.old[i], &state.old_traps[i]);
        break;
    default:
        action = action_of(step - INSTALLS);
        sigaction(SIGNAL, NULL, &found);
        if (step == INSTALLS + CHAINED) {
            before_chained = found;
            state.before_chained = state.handler;
            state.over_ours = state.is_ours;
        }
        sigaction(SIGNAL, &action, NULL);
        state.handler = step - INSTALLS;
        state.is_ours = 0;
    }
}

static void raises(void *data)
{
    (void)data;
    raise(SIGNAL);
}

static void look(void)
{
    struct sigaction now, program = action_of(state.handler);
    int expected[HANDLERS] = { 0 }, hears = state.is_ours, handler = state.handler, i;
    int flags = SA_ONSTACK | SA_RESTART | SA_SIGINFO;
    sigaction(SIGNAL, NULL, &now);
    is("the program's handler in force", now.sa_handler == program.sa_handler, !state.is_ours);
    if (now.sa_handler == SIG_DFL)
        return;
    if (state.is_ours && !state.traps[0] && !state.traps[1] && handler == DEFAULT) {
        /* A child with the handler of its parent's managers. */
        is("a signal that no manager traps", in_child(raises, NULL), 128 + SIGNAL);
        return;
    }
    if (!state.is_ours) {
        is("flags", now.sa_flags & flags, program.sa_flags & flags);
        is("mask", same_mask(&now.sa_mask, &program.sa_mask), 1);
    }
    expected[handler]++;
    if (handler == CHAINED) {
        hears |= state.over_ours;
        expected[state.before_chained]++;
    }
    expected[DEFAULT] = expected[IGNORED] = 0;
    memset(calls, 0, sizeof calls);
    raise(SIGNAL);
    for (i = PLAIN; i < HANDLERS; i++)
        is(i == PLAIN ? "plain called" : i == INFO ? "info called" : "chained called", calls[i], expected[i]);
    for (i = 0; i < 2; i++)
        if (state.pf[i]) {
            is(i ? "second hears" : "first hears", pf_peek_signal(state.pf[i]),
                hears && state.traps[i] ? SIGNAL : 0);
            pf_set_signal_received(state.pf[i], 0);
            pf_take_signal(state.pf[i], SIGNAL, false);
        }
}

/* The program's handlers in a worker of a manager that traps nothing itself. */
static void look_in_worker(void)
{
    pf_t *pf = new_manager();
    pf_event event;
    int status = -1;
    pid_t pid;
    pf_set_max_workers(pf, 1);
    pf_begin(pf);
    is("pf_next", pf_next(pf, &event), PF_OK);
    pid = fork();
    pf_forked(pf, pid);
    if (pid == 0) {
        struct sigaction now, expected;
        int is_trapped = state.traps[0] || state.traps[1] || state.old_traps[0] || state.old_traps[1];
        expected = action_of(is_trapped ? DEFAULT : state.handler);
        sigaction(SIGNAL, NULL, &now);
        _exit(now.sa_handler != expected.sa_handler);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            abort();
    is("a worker's handler", status, 0);
    pf_free(pf);
}

static void end(void)
{
    int i;
    struct sigaction program;
    for (i = 0; i < 2; i++) {
        if (state.pf[i])
            let_go(&state.pf[i], &state.traps[i]);
        if (state.old[i])
            let_go(&state.old[i], &state.old_traps[i]);
    }
    look();
    program = action_of(DEFAULT);
    sigaction(SIGNAL, &program, NULL);
}

/* ---- all orders */

static int orders;

/* From the beginning, since a manager that has gone does not come back. */
static void run(void)
{
    int i;
    memset(&state, 0, sizeof state);
    orders++;
    for (i = 0; i < depth; i++) {
        do_step(steps[i]);
        look();
    }
    end();
}

static void all(int most)
{
    int step;
    memset(&state, 0, sizeof state);
    if (depth == most) {
        /* Those that are shorter are the beginning of one of these. */
        run();
        return;
    }
    for (step = 0; step < STEPS; step++) {
        int i, alive[2] = { 0, 0 }, handler = DEFAULT;
        for (i = 0; i < depth; i++) {
            if (steps[i] < FIRST_GOES)
                alive[steps[i] - FIRST_TRAPS] = 1;
            else if (steps[i] < OLD_FIRST_GOES)
                alive[steps[i] - FIRST_GOES] = 0;
            else
                handler = steps[i] - INSTALLS;
        }
        for (i = 0; i < 2; i++)
            state.pf[i] = alive[i] ? (pf_t *)&state : NULL;
        state.handler = handler;
        if (!fits(step, 0))
            continue;
        steps[depth++] = step;
        all(most);
        depth--;
    }
}

static void in_one_process(void)
{
    depth = failures = orders = 0;
    all(is_under_valgrind() ? 3 : 5);
    is_int(failures, 0, "%d orders of two managers and the program's handlers", orders);
}

/* ---- the same with a child in between: a worker, or a process that the host has forked for itself */

static pf_t *asks;

static void become_child(int is_worker)
{
    int i;
    failures = 0;
    if (is_worker) {
        is("pf_forked", pf_forked(asks, 0), PF_OK);
        if (state.traps[0] || state.traps[1]) {
            state.is_ours = 0;
            state.handler = DEFAULT;
        }
    }
    for (i = 0; i < 2; i++) {
        state.old[i] = state.pf[i];
        state.old_traps[i] = is_worker ? 0 : state.traps[i];
        state.pf[i] = NULL;
        state.traps[i] = 0;
    }
    state.is_new_child = 1;
}

static const int child_steps[] = { FIRST_TRAPS, SECOND_TRAPS, FIRST_GOES, OLD_FIRST_GOES, OLD_SECOND_GOES,
    INSTALLS + PLAIN, INSTALLS + CHAINED };

#define CHOICES ((int)(sizeof child_steps / sizeof *child_steps))

/* In a child: the steps that `choice` says, one digit each. Returns whether they make sense. */
static int steps_of_child(int choice, int most)
{
    for (; most > 0; most--, choice /= CHOICES) {
        int step = child_steps[choice % CHOICES];
        if (!fits(step, 1))
            return 0;
        steps[depth++] = step;
        do_step(step);
        look();
    }
    return 1;
}

static void each_child(int is_worker, int most)
{
    int choice, choices = 1, status, i;
    for (i = 0; i < most; i++)
        choices *= CHOICES;
    for (choice = 0; choice < choices; choice++) {
        pid_t pid = fork();
        if (pid == 0) {
            become_child(is_worker);
            if (steps_of_child(choice, most)) {
                look_in_worker();
                end();
                pf_free(asks);
            }
            _exit(failures > 0);
        }
        if (waitpid(pid, &status, 0) != pid)
            abort();
        failures += status != 0;
        orders++;
    }
}

static void with_child(int is_worker)
{
    static const int before[][4] = {
        { -1 },
        { FIRST_TRAPS, -1 },
        { FIRST_TRAPS, SECOND_TRAPS, -1 },
        { INSTALLS + PLAIN, FIRST_TRAPS, -1 },
        { FIRST_TRAPS, INSTALLS + INFO, SECOND_TRAPS, -1 },
        { INSTALLS + INFO, FIRST_TRAPS, INSTALLS + CHAINED, -1 },
    };
    size_t i;
    int most = is_under_valgrind() || HEAP_HAS_NO_FORK ? 1 : is_worker ? 3 : 2;
    failures = orders = 0;
    for (i = 0; i < sizeof before / sizeof *before; i++) {
        pf_event event;
        memset(&state, 0, sizeof state);
        for (depth = 0; before[i][depth] >= 0; depth++) {
            steps[depth] = before[i][depth];
            do_step(steps[depth]);
            look();
        }
        steps[depth++] = FORK;
        asks = pf_new();
        if (is_worker) {
            pf_set_max_workers(asks, 1);
            pf_begin(asks);
            is("pf_next", pf_next(asks, &event), PF_OK);
        }
        fflush(stdout);
        each_child(is_worker, most);
        /* Without an answer. */
        pf_free(asks);
        depth--;
        look();
        end();
    }
    is_int(failures, 0, "%d orders with %s in between", orders,
        is_worker ? "a worker" : "a child of the program's own");
}

/* ---- masks, where a fork that was asked for has no answer */

static sigset_t mask_before;

static int has_mask_of_before(void)
{
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    return same_mask(&mask, &mask_before);
}

/* A manager that traps SIGNAL, and waits for the answer. */
static pf_t *asking(void)
{
    pf_t *pf = pf_new();
    pf_event event;
    pthread_sigmask(SIG_BLOCK, NULL, &mask_before);
    pf_trap_signal(pf, SIGNAL, 0, 0);
    pf_watch_children(pf);
    pf_set_max_workers(pf, 1);
    pf_begin(pf);
    if (pf_next(pf, &event) != PF_OK || event.type != PF_EVENT_FORK || has_mask_of_before())
        abort();
    return pf;
}

static void frees(void *pf)
{
    pf_free(pf);
    CHECK(has_mask_of_before());
}

static void becomes_manager(void *pf)
{
    CHECK(pf_become_manager(pf) == PF_OK);
    CHECK(has_mask_of_before());
    raise(SIGNAL);
    CHECK(pf_signal_received(pf) == SIGNAL);
    pf_free(pf);
    CHECK(has_mask_of_before());
}

static void begins(void *pf)
{
    CHECK(pf_begin(pf) == PF_OK);
    CHECK(has_mask_of_before());
    pf_free(pf);
}

static void unanswered(void)
{
    struct sigaction program = action_of(PLAIN), none = action_of(DEFAULT);
    sigset_t set;
    pf_t *pf = asking();
    pf_free(pf);
    ok(has_mask_of_before(), "pf_free with a fork that was asked for: the mask is that of before");

    pf = asking();
    is_int(in_child(frees, pf), 0, "... also in a child that has not answered");
    is_int(in_child(becomes_manager, pf), 0, "a child that becomes a manager has it too");
    is_int(in_child(begins, pf), 0, "... also by pf_begin");
    pf_free(pf);
    ok(has_mask_of_before(), "... so has the process that was to fork");

    sigemptyset(&set);
    sigaddset(&set, SIGNAL);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pf = asking();
    pf_free(pf);
    ok(has_mask_of_before(), "what the program blocks stays blocked");
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);

    sigaction(SIGNAL, &program, NULL);
    pf = asking();
    calls[PLAIN] = 0;
    raise(SIGNAL);
    is_int(calls[PLAIN], 0, "a signal that is held back until the answer");
    pf_free(pf);
    is_int(calls[PLAIN], 1, "... goes to the program when there is none");
    sigaction(SIGNAL, &none, NULL);
}

/* ---- at each of the calls that trap a signal, or give it back */

#if defined(__linux__) && defined(__GLIBC__) && !HEAP_HAS_NO_FORK
#define CAN_AIM 1
extern int __sigaction(int, const struct sigaction *, struct sigaction *);
#else
#define CAN_AIM 0
#endif

static int aimed_at, number_of_call, fires_at;
static void (*fires)(void);

#if CAN_AIM
/* In place of the C library's, which libprefork calls otherwise. */
int sigaction(int signal, const struct sigaction *action, struct sigaction *old)
{
    int result = __sigaction(signal, action, old);
    if (fires && signal == aimed_at && ++number_of_call == fires_at)
        fires();
    return result;
}
#endif

static int was_ours;

static void arrives(void)
{
    struct sigaction now;
    sigaction(aimed_at, NULL, &now);
    was_ours = now.sa_handler != plain && now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN;
    if (now.sa_handler != SIG_DFL)
        raise(aimed_at);
}

/* The first trap of a signal; each time it is another one. */
static void arrives_meanwhile(int handler)
{
    static int next;
    struct sigaction program = action_of(handler), none = action_of(DEFAULT);
    int ours = 0, calls_of_trap;
    fires_at = 0;
    do {
        pf_t *pf = pf_new();
        aimed_at = SIGRTMIN + 2 + next++;
        fires_at++;
        sigaction(aimed_at, &program, NULL);
        number_of_call = was_ours = calls[PLAIN] = 0;
        fires = arrives;
        pf_trap_signal(pf, aimed_at, 0, 0);
        fires = NULL;
        calls_of_trap = number_of_call;
        ours += was_ours;
        /* Before that the program has it. */
        if (was_ours)
            is_int(pf_peek_signal(pf), aimed_at, "a signal after call %d of a first trap is heard of", fires_at);
        if (handler == PLAIN && calls_of_trap >= fires_at)
            is_int(calls[PLAIN], 1, "... and the program's handler is called");
        pf_free(pf);
        sigaction(aimed_at, &none, NULL);
    } while (calls_of_trap >= fires_at);
    ok(ours > 0, "there were such calls");
}

static void forks(void)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        struct sigaction now;
        fires = NULL;
        pf_forked(asks, 0);
        sigaction(SIGNAL, NULL, &now);
        _exit(now.sa_handler != SIG_DFL && now.sa_handler != plain);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            abort();
    is("the handler of a worker", status, 0);
}

/* As another thread may do. */
static void forks_meanwhile(int traps)
{
    struct sigaction program = action_of(PLAIN), none = action_of(DEFAULT);
    int reached = 1, forked = 0;
    failures = depth = 0;
    aimed_at = SIGNAL;
    for (fires_at = 1; reached; fires_at++) {
        pf_t *pf = pf_new();
        pf_event event;
        sigaction(SIGNAL, &program, NULL);
        asks = pf_new();
        pf_set_max_workers(asks, 1);
        pf_begin(asks);
        pf_next(asks, &event);
        if (!traps)
            pf_trap_signal(pf, SIGNAL, 0, 0);
        number_of_call = 0;
        fires = forks;
        if (traps)
            pf_trap_signal(pf, SIGNAL, 0, 0);
        else
            pf_free(pf);
        fires = NULL;
        reached = number_of_call >= fires_at;
        forked += reached;
        if (traps)
            pf_free(pf);
        pf_free(asks);
        sigaction(SIGNAL, &none, NULL);
    }
    ok(forked > 0, "there were calls");
    is_int(failures, 0, "a worker that is forked at each call of %s has no handler of ours",
        traps ? "pf_trap_signal" : "pf_free");
}

/* While pf_free gives a signal back, another thread gets it. */
static pthread_t elsewhere;
static int woken, stop_elsewhere;

static void *lets_signals_in(void *data)
{
    sigset_t none;
    sigemptyset(&none);
    while (!GET(stop_elsewhere)) {
        sigsuspend(&none);
        ADD(woken, 1);
    }
    return data;
}

static void arrives_elsewhere(void)
{
    int before = GET(woken);
    fires = NULL;
    pthread_kill(elsewhere, aimed_at);
    UNTIL(GET(woken) > before);
}

static void given_back_meanwhile(void *handler)
{
    struct sigaction program = action_of(*(int *)handler);
    sigset_t all;
    pf_t *pf = pf_new();
    aimed_at = SIGNAL;
    sigaction(SIGNAL, &program, NULL);
    pf_trap_signal(pf, SIGNAL, 0, 0);
    sigfillset(&all);
    sigdelset(&all, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    if (pthread_create(&elsewhere, NULL, lets_signals_in, NULL) != 0)
        abort();
    number_of_call = calls[PLAIN] = 0;
    fires = arrives_elsewhere;
    pf_free(pf);
    /* No such call. */
    if (fires)
        _exit(77);
    if (!CHECK(calls[PLAIN] == 1))
        _exit(1);
    SET(stop_elsewhere, 1);
    pthread_kill(elsewhere, SIGNAL);
    pthread_join(elsewhere, NULL);
}

static void each_call_of_free(int handler, int expected, const char *name)
{
    int status, reached = 0;
    for (fires_at = 1; (status = in_child(given_back_meanwhile, &handler)) != 77; fires_at++) {
        reached++;
        is_int(status, expected, "a signal that comes to another thread after call %d of pf_free goes to %s", fires_at,
            name);
    }
    ok(reached > 0, "there were such calls");
}

int main(void)
{
    begin();
    in_one_process();
    with_child(1);
    with_child(0);
    unanswered();
    if (CAN_AIM) {
        arrives_meanwhile(PLAIN);
        arrives_meanwhile(IGNORED);
        arrives_meanwhile(DEFAULT);
        forks_meanwhile(1);
        forks_meanwhile(0);
        each_call_of_free(PLAIN, 0, "the program");
        each_call_of_free(DEFAULT, 128 + SIGNAL, "its default action");
    } else {
        skip("signals and forks while a signal is trapped", "the calls cannot be replaced");
    }
    return done();
}
