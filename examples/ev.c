/* A manager inside libev's event loop, which has other work too: 3 workers, and a port on
 * loopback where each client gets a line about them.
 *
 *     cc -o ev ev.c $(pkg-config --cflags --libs prefork) -lev
 *     ./ev 7777
 *     nc 127.0.0.1 7777
 *
 * Without a port, or with 0, it takes any free one. HUP replaces the workers. TERM and INT stop
 * them; the port answers until the last of them has ended.
 */

#define _GNU_SOURCE /* SOCK_NONBLOCK */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <ev.h>
#include <prefork.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pf_t *pf;
static struct ev_loop *loop;
static ev_io wakeup, listener;
static ev_timer timeout;

static void fail(const char *what)
{
    warnx("%s: %s", what, pf_error_message(pf));
    pf_signal_all_children(pf, SIGTERM);
    exit(1);
}

static void on_term(struct ev_loop *own, ev_signal *watcher, int events)
{
    (void)watcher, (void)events;
    ev_break(own, EVBREAK_ALL);
}

/* What a worker does, in a loop of its own. The manager's is not for it: both processes have the
 * same epoll descriptor, and what one changes there the other gets. */
static int work(void)
{
    struct ev_loop *own = ev_loop_new(EVFLAG_AUTO);
    ev_signal term;

    if (!own)
        errx(1, "ev_loop_new: no loop to be had");
    close(listener.fd);
    signal(SIGINT, SIG_IGN); /* Ctrl-C goes to all; the manager sends TERM */
    ev_signal_init(&term, on_term, SIGTERM);
    ev_signal_start(own, &term);
    printf("worker %d: pid %d, generation %llu\n", (int)pf_worker_index(pf), (int)getpid(),
        (unsigned long long)pf_generation(pf));
    fflush(stdout);
    ev_run(own, 0);
    ev_loop_destroy(own);
    return 0;
}

static pf_result fork_worker(void)
{
    pf_result result;
    uint32_t failures = 0;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid < 0) {
        const int error = errno;
        result = pf_fork_failed(pf, &failures);
        if (failures > 0)
            warnx("fork: %s (%u times)", strerror(error), (unsigned)failures);
        return result;
    }
    result = pf_forked(pf, pid);
    if (pid == 0)
        exit(result == PF_OK ? work() : 1);
    return result;
}

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

/* WAIT: the loop does the waiting. */
static void watch(const pf_event *wait)
{
    if (wait->fd != wakeup.fd) {
        ev_io_stop(loop, &wakeup);
        ev_io_set(&wakeup, wait->fd, EV_READ);
        ev_io_start(loop, &wakeup);
    }
    ev_timer_stop(loop, &timeout);
    if (wait->timeout >= 0) {
        ev_now_update(loop); /* the time-out counts from now, the loop's time may be older */
        ev_timer_set(&timeout, wait->timeout, 0);
        ev_timer_start(loop, &timeout);
    }
}

/* Does all that there is to do, and leaves the rest to the loop. */
static void turn(void)
{
    for (;;) {
        pf_result result = PF_OK;
        pf_event event;

        if (pf_next(pf, &event) != PF_OK)
            fail("pf_next");
        switch (event.type) {
        case PF_EVENT_FORK:
            result = fork_worker();
            break;
        case PF_EVENT_REAPED:
            report(&event);
            break;
        case PF_EVENT_WAIT:
            watch(&event);
            return;
        case PF_EVENT_STOPPED:
            result = event.signal == SIGHUP ? pf_begin(pf) : pf_drain(pf, 5);
            break;
        case PF_EVENT_TIMED_OUT:
            pf_signal_all_children(pf, SIGKILL);
            result = pf_drain(pf, -1);
            break;
        case PF_EVENT_DRAINED:
            ev_break(loop, EVBREAK_ALL);
            return;
        }
        if (result != PF_OK)
            fail("cannot go on");
    }
}

static void on_wakeup(struct ev_loop *same, ev_io *watcher, int events)
{
    (void)same, (void)watcher, (void)events;
    turn();
}

static void on_timeout(struct ev_loop *same, ev_timer *watcher, int events)
{
    (void)same, (void)watcher, (void)events;
    turn();
}

/* The program's other work. No worker is forked meanwhile, so none inherits the connection. */
static void on_client(struct ev_loop *same, ev_io *watcher, int events)
{
    const int client = accept(watcher->fd, NULL, NULL);
    int pid = 0;

    (void)same, (void)events;
    if (client < 0)
        return;
    dprintf(client, "generation %llu, %d workers:", (unsigned long long)pf_generation(pf),
        (int)pf_num_workers(pf));
    while ((pid = pf_next_worker(pf, pid)) != 0)
        dprintf(client, " %d", pid);
    dprintf(client, "\n");
    close(client);
}

static int listen_on(const char *port, struct sockaddr_in *at)
{
    const int yes = 1;
    socklen_t length = sizeof *at;
    unsigned number;
    char junk;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (sscanf(port, "%5u%c", &number, &junk) != 1 || number > 65535)
        errx(2, "give a port from 0 to 65535, not %s", port);
    memset(at, 0, sizeof *at);
    at->sin_family = AF_INET;
    at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at->sin_port = htons(number);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)at, length) != 0 || listen(fd, SOMAXCONN) != 0
            || getsockname(fd, (struct sockaddr *)at, &length) != 0)
        err(1, "cannot listen on port %u", number);
    return fd;
}

int main(int argc, char **argv)
{
    struct sockaddr_in at;
    const int fd = listen_on(argc > 1 ? argv[1] : "0", &at);

    /* Not ev_default_loop: that one handles SIGCHLD, and reaps every child by itself. */
    loop = ev_loop_new(EVFLAG_AUTO);
    if (!loop)
        errx(1, "ev_loop_new: no loop to be had");
    signal(SIGPIPE, SIG_IGN); /* a client may leave before its line */
    ev_io_init(&listener, on_client, fd, EV_READ);
    ev_io_start(loop, &listener);
    ev_io_init(&wakeup, on_wakeup, -1, EV_READ);
    ev_timer_init(&timeout, on_timeout, 0, 0);
    ev_timer_start(loop, &timeout); /* the first turn, at once */

    pf = pf_new();
    if (pf_set_max_workers(pf, 3) != PF_OK || pf_trap_signal(pf, SIGHUP, SIGTERM, 0) != PF_OK
            || pf_trap_signal(pf, SIGTERM, SIGTERM, 0) != PF_OK
            || pf_trap_signal(pf, SIGINT, SIGTERM, 0) != PF_OK || pf_watch_children(pf) != PF_OK
            || pf_begin(pf) != PF_OK)
        fail("cannot set up");
    printf("manager: pid %d, port %d\n", (int)getpid(), ntohs(at.sin_port));
    fflush(stdout);
    ev_run(loop, 0);

    printf("manager: stopped\n");
    ev_loop_destroy(loop);
    pf_free(pf);
    return 0;
}
