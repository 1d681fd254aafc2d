/* A prefork HTTP server on loopback: 4 workers, and no request fails while they are replaced.
 *
 *     cc -o http http.c $(pkg-config --cflags --libs prefork)
 *     ./http 8080
 *
 * Without a port it takes any free one. HUP replaces the workers one after the other. TERM and
 * INT stop the server when the requests at hand are answered, or after 30 seconds. QUIT, and a
 * second TERM or INT, stop it at once. */

#define _GNU_SOURCE /* SOCK_NONBLOCK */
#include <arpa/inet.h>
#include <err.h>
#include <poll.h>
#include <prefork.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int32_t listener;

static void answer(int client, pf_t *pf)
{
    char in[8192] = "", body[100];
    struct pollfd more = { client, POLLIN, 0 };
    ssize_t n, size = 0;
    bool is_head, is_good;

    while (!strstr(in, "\r\n\r\n") && (n = read(client, in + size, sizeof in - 1 - size)) > 0)
        in[size += n] = '\0';
    is_head = strncmp(in, "HEAD ", 5) == 0; /* as for GET, without the body */
    is_good = strstr(in, "\r\n\r\n") && (is_head || strncmp(in, "GET ", 4) == 0);
    n = snprintf(body, sizeof body, "worker %d, pid %d, generation %llu\n",
        (int)pf_worker_index(pf), (int)getpid(), (unsigned long long)pf_generation(pf));
    dprintf(client, "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
        "Connection: close\r\n\r\n%s", is_good ? "200 OK" : "400 Bad Request", (int)n,
        is_head ? "" : body);
    shutdown(client, SHUT_WR); /* to close with input unread may destroy the answer on its way */
    while (!is_good && poll(&more, 1, 500) > 0 && read(client, in, sizeof in) > 0)
        continue;
    close(client);
}

static int32_t serve(pf_t *pf, void *data)
{
    (void)data;
    signal(SIGHUP, SIG_IGN); /* a terminal sends HUP to all; the manager answers it */
    while (pf_wait_readable(pf, &listener, 1, -1, NULL) == PF_OK) {
        int client = accept(listener, NULL, NULL);
        if (client >= 0) /* another worker may have been faster */
            answer(client, pf);
    }
    return 0;
}

static void log_exit(pf_t *pf, const pf_event *child, void *data)
{
    char line[300];

    (void)child, (void)data;
    if (pf_exit_line(pf, line, sizeof line) > 0) /* nothing for an end as it should be */
        warnx("%s", line);
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof at;
    pf_t *pf = pf_new();
    unsigned port = 0;
    size_t left = 0;
    char junk;

    if (argc > 1 && (sscanf(argv[1], "%5u%c", &port, &junk) != 1 || port > 65535))
        errx(2, "give a port from 0 to 65535, not %s", argv[1]);
    at.sin_port = htons(port);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (bind(listener, (struct sockaddr *)&at, length) || listen(listener, SOMAXCONN)
            || getsockname(listener, (struct sockaddr *)&at, &length))
        err(1, "cannot listen on port %u", port);
    signal(SIGPIPE, SIG_IGN); /* a client may leave before its answer */
    pf_watch_oom(pf); /* where the system tells it, log_exit does */
    if (pf_set_max_workers(pf, 4) || pf_set_on_child_reap(pf, log_exit, NULL)
            || pf_set_worker_timeout(pf, 20, 0) /* who takes longer for a request is replaced... */
            || pf_set_graceful_timeout(pf, 30)  /* ... and who takes longer to end is killed */
            || pf_trap_signal(pf, SIGHUP, SIGTERM, 0.1) || pf_trap_signal(pf, SIGTERM, SIGTERM, 0)
            || pf_trap_signal(pf, SIGINT, SIGTERM, 0) || pf_trap_signal(pf, SIGQUIT, SIGKILL, 0))
        errx(1, "cannot set up: %s", pf_error_message(pf));
    printf("manager %d: http://127.0.0.1:%d/\n", (int)getpid(), ntohs(at.sin_port));
    do /* a server with a configuration reads it here */
        if (pf_start(pf, serve, NULL) != PF_OK)
            errx(1, "pf_start: %s", pf_error_message(pf));
    while (pf_signal_received(pf) == SIGHUP);

    signal(SIGHUP, SIG_IGN); /* too late for that */
    pf_set_signal_received(pf, 0);
    do
        pf_wait_all_children(pf, 0.1, &left);
    while (left > 0 && pf_show_next_signal(pf) == 0);
    pf_signal_all_children(pf, SIGKILL);
    pf_wait_all_children(pf, -1, NULL);
    pf_free(pf);
    return 0;
}
