/* Spare workers: a TCP echo server on loopback, where each connection keeps one worker busy. The
 * manager keeps 2 or 3 more workers idle, up to 10 in all. It prints the scoreboard when it has
 * changed: '.' is no worker, '_' an idle one, 'C' one with a connection.
 *
 *     cc -o spare spare.c $(pkg-config --cflags --libs prefork)
 *     ./spare 7777
 *     nc 127.0.0.1 7777
 *
 * Run nc in several other terminals. Without a port, or with 0, the server takes any free one.
 * HUP replaces the workers. TERM and INT stop the server. A client ends its connection; after
 * TERM or INT the server does, after 10 seconds.
 */

#define _GNU_SOURCE /* ppoll, SOCK_NONBLOCK */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <prefork.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_WORKERS 10

static volatile sig_atomic_t term_received;

static void on_term(int signal)
{
    term_received = signal;
}

static void echo(int client)
{
    char bytes[4096];
    ssize_t got;

    while ((got = read(client, bytes, sizeof bytes)) > 0) {
        ssize_t sent = 0, n;
        while (sent < got && (n = write(client, bytes + sent, got - sent)) > 0)
            sent += n;
        if (sent < got)
            return;
    }
}

static int serve(pf_t *pf, pf_scoreboard_t *scoreboard, int listener)
{
    struct pollfd ready = { listener, POLLIN, 0 };
    sigset_t term, none;

    sigemptyset(&none);
    term = none;
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL); /* TERM waits for the end of a connection */
    signal(SIGTERM, on_term);
    signal(SIGINT, SIG_IGN); /* Ctrl-C goes to all; the manager sends TERM */

    /* Its own slot; from now on the manager counts this worker as idle. */
    if (pf_scoreboard_claim(scoreboard, pf_worker_index(pf)) != PF_OK)
        return 1;
    while (!term_received) {
        int client = ppoll(&ready, 1, NULL, &none) > 0 ? accept(listener, NULL, NULL) : -1;
        if (client >= 0) { /* another worker may have been faster */
            pf_scoreboard_set_status(scoreboard, 'C');
            echo(client);
            close(client);
            pf_scoreboard_set_status(scoreboard, '_');
        }
        sigprocmask(SIG_UNBLOCK, &term, NULL); /* ppoll lets no signal in if clients are waiting */
        sigprocmask(SIG_BLOCK, &term, NULL);
    }
    return 0;
}

/* The answer to a FORK event. */
static pf_result fork_worker(pf_t *pf, pf_scoreboard_t *scoreboard, int listener)
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
        exit(result == PF_OK ? serve(pf, scoreboard, listener) : 1);
    return result;
}

static void print_if_changed(pf_scoreboard_t *scoreboard)
{
    static char printed[MAX_WORKERS + 1];
    char now[MAX_WORKERS + 1] = "";

    pf_scoreboard_statuses(scoreboard, (uint8_t *)now, MAX_WORKERS);
    if (strcmp(now, printed) != 0) {
        printf("%s\n", strcpy(printed, now));
        fflush(stdout);
    }
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

static void fail(pf_t *pf, const char *what)
{
    warnx("%s: %s", what, pf_error_message(pf));
    pf_signal_all_children(pf, SIGTERM);
    exit(1);
}

int main(int argc, char **argv)
{
    struct sockaddr_in at;
    const int listener = listen_on(argc > 1 ? argv[1] : "0", &at);
    pf_scoreboard_t *scoreboard = pf_scoreboard_new(NULL, MAX_WORKERS);
    pf_t *pf = pf_new();
    int is_running = 1;

    if (!scoreboard)
        err(1, "pf_scoreboard_new");
    signal(SIGPIPE, SIG_IGN); /* a client may leave before its echo */
    if (pf_set_max_workers(pf, MAX_WORKERS) != PF_OK
            || pf_set_spare_workers(pf, 2, 3, SIGTERM) != PF_OK
            || pf_set_scoreboard(pf, scoreboard) != PF_OK
            || pf_trap_signal(pf, SIGHUP, SIGTERM, 0) != PF_OK
            || pf_trap_signal(pf, SIGTERM, SIGTERM, 0) != PF_OK
            || pf_trap_signal(pf, SIGINT, SIGTERM, 0) != PF_OK || pf_begin(pf) != PF_OK)
        fail(pf, "cannot set up");
    printf("manager: pid %d, port %d\n", (int)getpid(), ntohs(at.sin_port));

    while (is_running) {
        pf_result result = PF_OK;
        pf_event event;

        if (pf_wait(pf, 0.2, &event) != PF_OK)
            fail(pf, "pf_wait");
        switch (event.type) {
        case PF_EVENT_FORK:
            result = fork_worker(pf, scoreboard, listener);
            break;
        case PF_EVENT_REAPED: /* its slot is free from the next call on */
            /* One that TERM killed had not begun. */
            if (WIFSIGNALED(event.status) && WTERMSIG(event.status) != SIGTERM)
                warnx("pid %d was killed by signal %d", (int)event.pid, WTERMSIG(event.status));
            break;
        case PF_EVENT_STOPPED:
            result = event.signal == SIGHUP ? pf_begin(pf) : pf_drain(pf, 10);
            break;
        case PF_EVENT_TIMED_OUT:
            pf_signal_all_children(pf, SIGKILL);
            result = pf_drain(pf, -1);
            break;
        case PF_EVENT_DRAINED:
            is_running = 0;
            break;
        default: /* PF_EVENT_WAIT: 0.2 seconds are over */
            break;
        }
        if (result != PF_OK)
            fail(pf, "cannot go on");
        print_if_changed(scoreboard);
    }
    printf("manager: stopped\n");
    pf_free(pf);
    pf_scoreboard_free(scoreboard);
    return 0;
}
