/* The C host of 25-term-in-wait_readable.t, in the manner of the Perl one there:
 *
 *     PATH BY HEAD_START STEP SCATTER
 *
 * BY "timer" each worker sends TERM to itself. The manager knows by the exit status whether that has met it asleep,
 * and the next worker aims by that. */

#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "prefork.h"

static int listener, is_timed;
static double head_start, step, scatter, delay = 0.00005;

/* In one piece: others write there too. */
static void say(const char *text)
{
    const size_t length = strlen(text);
    if (write(STDOUT_FILENO, text, length) != (ssize_t)length)
        _exit(3);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static long sleeps(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_nvcsw;
}

static void set_timer(void)
{
    struct sigevent event = { 0 };
    struct itimerspec once = { { 0, 0 }, { 0, 0 } };
    timer_t timer;
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGTERM;
    srand((unsigned)getpid());
    once.it_value.tv_nsec = (long)((delay + scatter * rand() / RAND_MAX) * 1e9);
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 || timer_settime(timer, 0, &once, NULL) != 0)
        _exit(3);
}

/* Answers the request of a client; returns whether there was one. */
static int answer(int client)
{
    char request[100], text[120];
    ssize_t length = read(client, request, sizeof request - 1);
    if (length <= 0)
        return 0;
    request[length] = '\0';
    length = snprintf(text, sizeof text, "you said %s", request);
    return write(client, text, (size_t)length) == length;
}

static int32_t work(pf_t *pf, void *data)
{
    const long before = sleeps();
    char line[80];
    int answered = 0, was_asleep;
    (void)data;
    /* From now on TERM is a reason to leave. */
    pf_stopping(pf);
    snprintf(line, sizeof line, "aim %d\n", (int)getpid());
    say(line);
    if (is_timed)
        set_timer();
    else {
        const double until = now() + head_start;
        while (now() < until)
            ;
    }
    while (pf_wait_readable(pf, &listener, 1, -1, NULL) == PF_OK) {
        const int client = accept(listener, NULL, NULL);
        if (client < 0)
            continue;
        answered += answer(client);
        close(client);
    }
    was_asleep = sleeps() > before;
    snprintf(line, sizeof line, "back %d %d\n", was_asleep, answered);
    say(line);
    return was_asleep;
}

static void on_child_reap(pf_t *pf, const pf_event *exit, void *data)
{
    (void)pf;
    (void)data;
    delay += WEXITSTATUS(exit->status) == 1 ? -step : step;
    if (delay < step)
        delay = step;
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    pf_t *pf = pf_new();
    if (argc < 6)
        return 1;
    is_timed = strcmp(argv[2], "timer") == 0;
    head_start = atof(argv[3]);
    step = atof(argv[4]);
    scatter = atof(argv[5]);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", argv[1]);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 100) != 0)
        return 1;
    say("listens\n");
    pf_set_max_workers(pf, 1);
    pf_set_err_respawn_interval(pf, 0);
    pf_trap_signal(pf, SIGTERM, SIGTERM, 0);
    pf_set_on_child_reap(pf, on_child_reap, NULL);
    if (pf_start(pf, work, NULL) != PF_OK)
        return 1;
    pf_wait_all_children(pf, -1, NULL);
    pf_free(pf);
    return 0;
}
