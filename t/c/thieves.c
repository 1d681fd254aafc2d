/* Hosts in which somebody else takes SIGCHLD, or the children: another thread by signalfd(2), sigwait(3) or
 * waitpid(2), a hook that puts another handler in for a while. The manager finds the end of a worker all the same, and
 * where nobody can take anything it is never woken for that. */

#define _GNU_SOURCE
#include "tap.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#ifdef __linux__
#include <sys/signalfd.h>
#endif

static void handle(int signal, void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigaction(signal, &action, NULL);
}

static void ignore_it(int signal)
{
    (void)signal;
}

static sigset_t only(int signal)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    return set;
}

/* ---- workers that end when they are told to */

static struct {
    int started, told;
} *common;

static int32_t ends_when_told(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    if (ADD(common->started, 1) > 1) {
        /* The one that replaces it. */
        kill(getppid(), SIGTERM);
        return until_killed(NULL, NULL);
    }
    UNTIL(GET(common->told));
    return 3;
}

static int is_ended(void)
{
    siginfo_t info;
    info.si_pid = 0;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid != 0;
}

/* ---- thieves */

static int thief_is_there, has_stolen;

static void *reads_signalfd(void *data)
{
    (void)data;
#ifdef __linux__
    struct signalfd_siginfo info;
    sigset_t set = only(SIGCHLD);
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    SET(thief_is_there, 1);
    while (read(fd, &info, sizeof info) == sizeof info)
        ADD(has_stolen, 1);
#endif
    return NULL;
}

static void *waits_for_signal(void *data)
{
    sigset_t set = only(SIGCHLD);
    int signal;
    (void)data;
    SET(thief_is_there, 1);
    while (sigwait(&set, &signal) == 0)
        ADD(has_stolen, 1);
    return NULL;
}

static void *reaps_any(void *data)
{
    sigset_t set = only(SIGCHLD);
    int signal;
    (void)data;
    SET(thief_is_there, 1);
    while (sigwait(&set, &signal) == 0)
        if (GET(common->told) && !GET(has_stolen)) {
            while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
            ADD(has_stolen, 1);
        }
    return NULL;
}

static void start_thief(void *(*thief)(void *data))
{
    sigset_t set = only(SIGCHLD);
    pthread_t thread;
    /* In all threads, as signalfd(2) and sigwait(3) say. */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (pthread_create(&thread, NULL, thief, NULL) != 0)
        abort();
    UNTIL(GET(thief_is_there));
}

/* ---- the moment after the manager's last look */

static int strikes;

static void worker_ends_unnoticed(void)
{
    strikes = 0;
    SET(common->told, 1);
    UNTIL(GET(has_stolen));
}

#if defined(__linux__) && !HEAP_HAS_NO_FORK
#define CAN_AIM 1
/* In place of the C library's, which libprefork calls otherwise. */
pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
    pid_t reaped = (pid_t)syscall(SYS_wait4, pid, status, options, usage);
    if (strikes && reaped == 0 && GET(common->started) == 1)
        worker_ends_unnoticed();
    return reaped;
}
#else
#define CAN_AIM 0
#endif

/* ---- hosts */

struct host {
    const char *name;
    void (*run)(pf_t *pf);
    int strikes;
};

static int reason_of_last;

static void note_reason(pf_t *pf, const pf_event *exit, void *data)
{
    (void)pf;
    (void)data;
    reason_of_last = (int)exit->reason;
}

static void by_start(pf_t *pf)
{
    pf_set_on_child_reap(pf, note_reason, NULL);
    CHECK(pf_start(pf, ends_when_told, NULL) == PF_OK);
    CHECK(pf_signal_received(pf) == SIGTERM);
}

static void by_wait_all_children(pf_t *pf)
{
    size_t left = 99;
    pf_set_on_child_reap(pf, note_reason, NULL);
    fork_workers(pf, 1, ends_when_told, NULL);
    UNTIL(GET(common->started) == 1);
    strikes = 1;
    CHECK(pf_wait_all_children(pf, -1, &left) == PF_OK);
    CHECK(left == 0);
}

/* Answers FORK, and tells whether the one that replaces it has been forked. */
static int is_replaced(pf_t *pf, const pf_event *event)
{
    static int forked;
    if (event->type == PF_EVENT_REAPED)
        note_reason(pf, event, NULL);
    if (event->type == PF_EVENT_FORK) {
        pid_t pid = fork();
        pf_forked(pf, pid);
        if (pid == 0) {
            ends_when_told(pf, NULL);
            _exit(3);
        }
        return ++forked == 2;
    }
    return 0;
}

static void by_wait(pf_t *pf)
{
    pf_event event;
    pf_begin(pf);
    do
        CHECK(pf_wait(pf, -1, &event) == PF_OK);
    while (!is_replaced(pf, &event));
}

static void by_pull(pf_t *pf)
{
    pf_event event;
    pf_watch_children(pf);
    pf_begin(pf);
    do {
        CHECK(pf_next(pf, &event) == PF_OK);
        if (event.type == PF_EVENT_WAIT) {
            struct pollfd watched = { event.fd, POLLIN, 0 };
            if (!GET(common->told)) {
                UNTIL(GET(common->started) == 1);
                worker_ends_unnoticed();
            }
            poll(&watched, 1, event.timeout < 0 ? -1 : (int)(event.timeout * 1000) + 1);
        }
    } while (!is_replaced(pf, &event));
}

/* It has a handler of its own, for its own thread. */
static void by_own_handler(pf_t *pf)
{
    pf_event event;
    handle(SIGCHLD, ignore_it);
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    CHECK(pf_set_sigchld_handled(pf, true) == PF_OK);
    pf_begin(pf);
    do {
        CHECK(pf_next(pf, &event) == PF_OK);
        if (event.type == PF_EVENT_WAIT) {
            struct pollfd watched = { event.fd, POLLIN, 0 };
            if (!GET(common->told)) {
                UNTIL(GET(common->started) == 1);
                worker_ends_unnoticed();
            }
            if (poll(&watched, 1, event.timeout < 0 ? -1 : (int)(event.timeout * 1000) + 1) < 0)
                pf_child_ended(pf, 0);
        }
    } while (!is_replaced(pf, &event));
}

struct theft {
    const struct host *host;
    void *(*thief)(void *data);
};

/* Without a sanitizer's look for leaks, which the thief would be in the way of. */
static void happens(const struct theft *theft)
{
    pf_t *pf = pf_new();
    common = shared(sizeof *common);
    pf_set_max_workers(pf, 1);
    pf_set_err_respawn_interval(pf, 0);
    pf_trap_signal(pf, SIGTERM, 0, 0);
    start_thief(theft->thief);
    strikes = theft->host->strikes;
    theft->host->run(pf);
    CHECK((reason_of_last == PF_REASON_STOLEN) == (theft->thief == reaps_any));
    pf_signal_all_children(pf, SIGKILL);
    pf_wait_all_children(pf, -1, NULL);
    _exit(checks());
}

static void by_other_threads(void)
{
    static const struct host hosts[] = {
        { "pf_start", by_start, 1 },
        { "pf_wait_all_children", by_wait_all_children, 0 },
        { "pf_wait", by_wait, 1 },
        { "the pull API", by_pull, 0 },
        { "a host with a handler of its own", by_own_handler, 0 },
    };
    static const struct {
        const char *name;
        void *(*code)(void *data);
    } thieves[] = {
        { "reads a signalfd", reads_signalfd },
        { "calls sigwait", waits_for_signal },
        { "reaps any child", reaps_any },
    };
    enum { HOSTS = sizeof hosts / sizeof *hosts, THIEVES = sizeof thieves / sizeof *thieves };
    pid_t pid[HOSTS][THIEVES];
    int h, t, status;
    if (!CAN_AIM) {
        skip("threads that take SIGCHLD", "the calls cannot be replaced");
        return;
    }
    /* Side by side: each of them waits for a second. */
    fflush(stdout);
    for (h = 0; h < HOSTS; h++)
        for (t = 0; t < THIEVES; t++) {
            struct theft theft = { &hosts[h], thieves[t].code };
            pid[h][t] = fork();
            if (pid[h][t] == 0)
                happens(&theft);
        }
    for (h = 0; h < HOSTS; h++)
        for (t = 0; t < THIEVES; t++) {
            waitpid(pid[h][t], &status, 0);
            is_int(status, 0, "%s, and a thread that %s: the end of a worker is noticed", hosts[h].name,
                thieves[t].name);
        }
}

/* ---- a hook with another handler */

static pid_t first;
static void (*meanwhile)(int);

/* As programs do that call system(3) in the way of old. */
static void hides_sigchld(pf_t *pf, int32_t pid, void *data)
{
    int *forks = data;
    (void)pf;
    if (++*forks == 1)
        first = pid;
    if (*forks == 2) {
        struct sigaction before, other;
        memset(&other, 0, sizeof other);
        other.sa_handler = meanwhile;
        sigaction(SIGCHLD, &other, &before);
        SET(common->told, 1);
        UNTIL(is_ended() || kill(first, 0) != 0);
        sigaction(SIGCHLD, &before, NULL);
    }
}

static int32_t second_stays(pf_t *pf, void *data)
{
    (void)data;
    if (pf_worker_index(pf) == 1)
        return until_killed(NULL, NULL);
    return ends_when_told(pf, NULL);
}

static void by_a_hook(void)
{
    static void (*const handlers[])(int) = { SIG_DFL, SIG_IGN, ignore_it };
    static const char *names[] = { "the default", "SIG_IGN", "another handler" };
    int i, forks;
    for (i = 0; i < 3; i++) {
        pf_t *pf = pf_new();
        memset(common, 0, sizeof *common);
        forks = 0;
        meanwhile = handlers[i];
        pf_set_max_workers(pf, 2);
        pf_set_err_respawn_interval(pf, 0);
        /* Then no child has ended shortly before, which would be looked for again. */
        pf_set_spawn_interval(pf, 0.3);
        pf_trap_signal(pf, SIGTERM, 0, 0);
        pf_set_after_fork(pf, hides_sigchld, &forks);
        is_int(pf_start(pf, second_stays, NULL), PF_OK, "after_fork puts %s in for a while: a run", names[i]);
        is_int(forks, 3, "... in which the worker that has ended meanwhile is replaced");
        finish(pf);
    }
}

/* ---- a host that blocks SIGCHLD, and reads it from a signalfd in its own loop */

static void in_own_loop(void)
{
#ifdef __linux__
    sigset_t set = only(SIGCHLD), before;
    struct signalfd_siginfo info;
    pf_event event;
    pf_t *pf = pf_new();
    int fd, waits = 0;
    memset(common, 0, sizeof *common);
    pthread_sigmask(SIG_BLOCK, &set, &before);
    fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    pf_set_max_workers(pf, 1);
    pf_set_err_respawn_interval(pf, 0);
    /* The second worker sends it. */
    pf_trap_signal(pf, SIGTERM, 0, 0);
    pf_watch_children(pf);
    pf_begin(pf);
    do {
        pf_next(pf, &event);
        if (event.type == PF_EVENT_WAIT) {
            struct pollfd watched[2] = { { event.fd, POLLIN, 0 }, { fd, POLLIN, 0 } };
            waits++;
            SET(common->told, 1);
            poll(watched, 2, event.timeout < 0 ? -1 : (int)(event.timeout * 1000) + 1);
            while (read(fd, &info, sizeof info) == sizeof info)
                ;
        }
    } while (!is_replaced(pf, &event));
    ok(waits > 0, "a loop that reads SIGCHLD from a signalfd and tells nobody: a worker is replaced");
    close(fd);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    finish(pf);
#else
    skip("a loop that reads SIGCHLD from a signalfd", "there is none");
#endif
}

/* ---- where nobody can take it */

static void idle_start(pf_t *pf)
{
    pf_start(pf, until_killed, NULL);
}

static void does_nothing(pf_t *pf, int32_t pid, void *data)
{
    (void)pf;
    (void)pid;
    (void)data;
}

static void idle_with_hooks(pf_t *pf)
{
    pf_set_after_fork(pf, does_nothing, NULL);
    pf_start(pf, until_killed, NULL);
}

static void idle_drain(pf_t *pf)
{
    fork_workers(pf, 2, until_killed, NULL);
    pf_wait_all_children(pf, -1, NULL);
}

static void *ends_at_once(void *data)
{
    return data;
}

static void idle_after_a_thread(pf_t *pf)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, ends_at_once, NULL) != 0 || pthread_join(thread, NULL) != 0)
        abort();
    pf_start(pf, until_killed, NULL);
}

static void idle_blocked(pf_t *pf)
{
    sigset_t set = only(SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pf_start(pf, until_killed, NULL);
}

static void idle_pull(pf_t *pf)
{
    pf_event event;
    pf_watch_children(pf);
    pf_begin(pf);
    while (pf_next(pf, &event) == PF_OK)
        if (event.type == PF_EVENT_FORK) {
            pid_t pid = fork();
            pf_forked(pf, pid);
            if (pid == 0)
                until_killed(NULL, NULL);
        } else {
            struct pollfd watched = { event.fd, POLLIN, 0 };
            poll(&watched, 1, event.timeout < 0 ? -1 : (int)(event.timeout * 1000) + 1);
        }
}

/* How often a process that sleeps has gone to sleep; -1 if it does not sleep. */
static long sleeps_of(pid_t pid)
{
    char path[64], line[256], state = '?';
    long sleeps = -1;
    FILE *status;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    status = fopen(path, "r");
    while (status && fgets(line, sizeof line, status)) {
        sscanf(line, "State: %c", &state);
        sscanf(line, "voluntary_ctxt_switches: %ld", &sleeps);
    }
    if (status)
        fclose(status);
    return state == 'S' ? sleeps : -1;
}

static void never_woken(void)
{
    static const struct {
        const char *name;
        void (*run)(pf_t *pf);
    } hosts[] = {
        { "pf_start", idle_start },
        { "pf_start with a hook", idle_with_hooks },
        { "pf_start in a host that blocks SIGCHLD", idle_blocked },
        { "pf_start after another thread has ended", idle_after_a_thread },
        { "pf_wait_all_children", idle_drain },
        { "the pull API", idle_pull },
    };
    enum { HOSTS = sizeof hosts / sizeof *hosts };
    pid_t pid[HOSTS];
    int h, still = 0;
    if (is_under_valgrind() || HEAP_HAS_NO_FORK || access("/proc/self/status", R_OK) != 0) {
        skip("an idle manager is never woken", "here it has threads or wake-ups of the tool");
        return;
    }
    fflush(stdout);
    for (h = 0; h < HOSTS; h++) {
        pid[h] = fork();
        if (pid[h] == 0) {
            pf_t *pf = pf_new();
            setpgid(0, 0);
            pf_set_max_workers(pf, 2);
            pf_trap_signal(pf, SIGTERM, 0, 0);
            hosts[h].run(pf);
            _exit(1);
        }
    }
    /* Not while it begins; if it is woken in time that never comes. */
    while (still < HOSTS) {
        long before[HOSTS];
        int piece;
        for (h = 0; h < HOSTS; h++)
            before[h] = sleeps_of(pid[h]);
        for (piece = 0; piece < 500; piece++)
            nap();
        for (still = h = 0; h < HOSTS; h++)
            still += before[h] >= 0 && sleeps_of(pid[h]) == before[h];
    }
    for (h = 0; h < HOSTS; h++) {
        ok(1, "an idle manager is not woken: %s", hosts[h].name);
        kill(-pid[h], SIGKILL);
        waitpid(pid[h], NULL, 0);
    }
}

int main(void)
{
    begin();
    common = shared(sizeof *common);
    by_other_threads();
    by_a_hook();
    in_own_loop();
    never_woken();
    munmap(common, sizeof *common);
    return done();
}
