/* The pull API in the program's own loop, around poll(2). It keeps 3 workers, replaces one that
 * ends, reloads on HUP, and stops on TERM and INT. The numbers are the steps of prefork-pull(3).
 *
 *     cc -o pull pull.c $(pkg-config --cflags --libs prefork)
 */

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <prefork.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t term_received;

static void on_term(int signal)
{
    term_received = signal;
}

/* What a worker does: it waits for TERM. One that serves waits for clients as well. */
static int work(pf_t *pf)
{
    sigset_t term, none;

    sigemptyset(&none);
    term = none;
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL); /* it arrives in sigsuspend, never just before it */
    signal(SIGTERM, on_term);
    signal(SIGINT, SIG_IGN); /* Ctrl-C goes to all; the manager sends TERM */
    printf("worker %d: pid %d, generation %llu\n", (int)pf_worker_index(pf), (int)getpid(),
        (unsigned long long)pf_generation(pf));
    fflush(stdout);
    while (!term_received)
        sigsuspend(&none);
    return 0;
}

/* 4. FORK */
static pf_result fork_worker(pf_t *pf)
{
    pf_result result;
    uint32_t failures = 0;
    pid_t pid;

    fflush(NULL); /* or the worker prints once more what waits in the buffers */
    pid = fork();
    if (pid < 0) {
        const int error = errno;
        result = pf_fork_failed(pf, &failures);
        if (failures > 0)
            fprintf(stderr, "fork: %s (%u times)\n", strerror(error), (unsigned)failures);
        return result;
    }
    result = pf_forked(pf, pid);
    if (pid == 0)
        exit(result == PF_OK ? work(pf) : 1);
    return result;
}

/* 5. REAPED */
static void report(const pf_event *child)
{
    if (WIFSIGNALED(child->status))
        printf("worker %d: pid %d was killed by signal %d\n", (int)child->index, (int)child->pid,
            WTERMSIG(child->status));
    else
        printf("worker %d: pid %d exited with %d\n", (int)child->index, (int)child->pid,
            WEXITSTATUS(child->status));
    fflush(stdout);
}

/* 6. WAIT */
static void sleep_until(const pf_event *wait)
{
    struct pollfd fd = { wait->fd, POLLIN, 0 }; /* poll passes over -1 */
    const double ms = wait->timeout * 1000;
    int timeout = -1;

    if (ms >= INT_MAX)
        timeout = INT_MAX;
    else if (ms >= 0)
        timeout = (int)ms + ((int)ms < ms); /* up: a sleep that is too short repeats at once */
    poll(&fd, 1, timeout); /* whatever ended it, the next event tells what there is to do */
}

static int fail(pf_t *pf, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, pf_error_message(pf));
    pf_signal_all_children(pf, SIGTERM);
    pf_free(pf);
    return 1;
}

int main(void)
{
    pf_t *pf = pf_new(); /* 1. Set up */

    if (pf_set_max_workers(pf, 3) != PF_OK || pf_trap_signal(pf, SIGTERM, SIGTERM, 0) != PF_OK
            || pf_trap_signal(pf, SIGINT, SIGTERM, 0) != PF_OK
            || pf_trap_signal(pf, SIGHUP, SIGTERM, 0) != PF_OK || pf_watch_children(pf) != PF_OK)
        return fail(pf, "cannot set up");
    printf("manager: pid %d\n", (int)getpid());
    if (pf_begin(pf) != PF_OK) /* 2. Begin */
        return fail(pf, "pf_begin");

    for (;;) {
        pf_result result = PF_OK;
        pf_event event;

        if (pf_next(pf, &event) != PF_OK) /* 3. Ask */
            return fail(pf, "pf_next");
        switch (event.type) {
        case PF_EVENT_FORK: /* 4. */
            result = fork_worker(pf);
            break;
        case PF_EVENT_REAPED: /* 5. */
            report(&event);
            break;
        case PF_EVENT_WAIT: /* 6. */
            sleep_until(&event);
            break;
        case PF_EVENT_STOPPED: /* 7. The workers were sent TERM: go on with new ones, or wait */
            result = event.signal == SIGHUP ? pf_begin(pf) : pf_drain(pf, 5);
            break;
        case PF_EVENT_TIMED_OUT: /* 8. Some have not finished */
            result = pf_signal_all_children(pf, SIGKILL);
            if (result == PF_OK)
                result = pf_drain(pf, -1);
            break;
        case PF_EVENT_DRAINED: /* 8. All have */
            printf("manager: stopped\n");
            pf_free(pf);
            return 0;
        default: /* 9. */
            break;
        }
        if (result != PF_OK)
            return fail(pf, "cannot go on");
    }
}
