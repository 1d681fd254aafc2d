/* The record of an end, in the REAPED event, and pf_exit_line. */

#include "tap.h"

#include <sys/resource.h>

/* What the hook has seen. */
static struct {
    pf_event event;
    char line[256];
    size_t length;
    int ends;
} seen;

static void on_child_reap(pf_t *pf, const pf_event *exit, void *data)
{
    (void)data;
    seen.event = *exit;
    seen.length = pf_exit_line(pf, seen.line, sizeof seen.line);
    seen.ends++;
}

static int *there;

static int32_t stubborn(pf_t *pf, void *data)
{
    signal(SIGTERM, SIG_IGN);
    ADD(*there, 1);
    return until_killed(pf, data);
}

static int32_t obedient(pf_t *pf, void *data)
{
    ADD(*there, 1);
    return until_killed(pf, data);
}

static int32_t fails(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    return 3;
}

static int32_t aborts(pf_t *pf, void *data)
{
    static const struct rlimit no_core;
    (void)pf;
    (void)data;
    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGABRT, SIG_DFL);
    abort();
}

/* A pool of one, whose end will be recorded. */
static pf_t *manager(pf_worker_fn work, int says_so)
{
    pf_t *pf = pf_new();
    memset(&seen, 0, sizeof seen);
    SET(*there, 0);
    pf_set_err_respawn_interval(pf, 0);
    pf_set_on_child_reap(pf, on_child_reap, NULL);
    fork_workers(pf, 1, work, NULL);
    UNTIL(GET(*there) == says_so);
    return pf;
}

/* Waits for the end, which is this one. `line` is what the line has after "worker 0 (pid N, generation 1) ", up to the
 * seconds, and after them. */
static void ends(pf_t *pf, const char *what, uint32_t cause, int sent, uint32_t flags, const char *line, const char *note)
{
    char expected[1024], begin[512];
    const pf_event *event = &seen.event;
    const size_t length = strlen(note);
    CHECK(pf_wait_all_children(pf, -1, NULL) == PF_OK);
    is_int(seen.ends, 1, "%s: one end", what);
    is_int(event->cause, cause, "... its cause");
    is_int(event->sent_signal, sent, "... the signal that was sent");
    is_int(event->flags, flags, "... the flags");
    ok(event->age > 0 && event->age < 600, "... the age");
    snprintf(begin, sizeof begin, "worker 0 (pid %d, generation 1) %s after ", event->pid, line);
    snprintf(expected, sizeof expected, "%s%.1f s%s", begin, event->age, note);
    if (!*line)
        is_int(seen.length, 0, "... no line");
    else
        ok(strcmp(seen.line, expected) == 0 && seen.length == strlen(expected) && length <= seen.length,
            "... the line: %s", seen.line);
    pf_free(pf);
}

static void by_itself(void)
{
    ends(manager(fails, 0), "a failure", PF_CAUSE_NONE, 0, 0, "exited with status 3", "");
    ends(manager(aborts, 0), "a fault", PF_CAUSE_EXTERNAL, 0, 0, "was killed by SIGABRT", "");
}

static void asked(void)
{
    pf_t *pf = manager(obedient, 1);
    pf_signal_all_children(pf, SIGTERM);
    ends(pf, "TERM", PF_CAUSE_ASKED, SIGTERM, 0, "", "");
    pf = manager(obedient, 1);
    pf_signal_all_children(pf, SIGUSR1);
    ends(pf, "USR1, which tells nobody to end", PF_CAUSE_ASKED, SIGUSR1, 0, "", "");
}

static void not_in_time(void)
{
    pf_t *pf = manager(stubborn, 1);
    pf_set_graceful_timeout(pf, 0.25);
    pf_signal_all_children(pf, SIGTERM);
    ends(pf, "a grace that is over", PF_CAUSE_ASKED, SIGTERM, PF_EXIT_GRACE_OVER, "was killed by SIGKILL",
        ": graceful_timeout of 0.25 s, it was sent SIGTERM");
}

static void from_outside(void)
{
    pf_t *pf = manager(stubborn, 1);
    kill(pf_next_worker(pf, 0), SIGKILL);
    ends(pf, "KILL from outside", PF_CAUSE_EXTERNAL, 0, 0, "was killed by SIGKILL", ": the manager did not send that");
    pf = manager(stubborn, 1);
    pf_signal_all_children(pf, SIGTERM);
    kill(pf_next_worker(pf, 0), SIGKILL);
    ends(pf, "KILL from outside after TERM", PF_CAUSE_EXTERNAL, SIGTERM, 0, "was killed by SIGKILL",
        ": the manager did not send that, it was sent SIGTERM");
}

static void stop_when_reaped(pf_t *pf, const pf_event *exit, void *data)
{
    on_child_reap(pf, exit, data);
    pf_signal(pf, SIGURG);
}

static void one_too_many(void)
{
    pf_t *pf = pf_new();
    pf_scoreboard_t *board = pf_scoreboard_new(NULL, 2);
    memset(&seen, 0, sizeof seen);
    SET(*there, 0);
    fork_workers(pf, 2, obedient, NULL);
    UNTIL(GET(*there) == 2);
    pf_set_scoreboard(pf, board);
    pf_set_spare_workers(pf, 1, 1, SIGUSR2);
    pf_set_on_child_reap(pf, stop_when_reaped, NULL);
    CHECK(pf_start(pf, obedient, NULL) == PF_OK);
    is_int(seen.event.cause, PF_CAUSE_SURPLUS, "a worker that is one too many: its cause");
    is_int(seen.event.sent_signal, SIGUSR2, "... the signal that it was sent");
    is_int(seen.length, 0, "... no line");
    finish(pf);
    pf_scoreboard_free(board);
}

static void texts(void)
{
    pf_t *pf = manager(fails, 0);
    char text[8] = "before!";
    is_int(pf_exit_line(pf, text, sizeof text), 0, "before any end there is no line");
    is_str(text, "", "... and the text is empty");
    CHECK(pf_wait_all_children(pf, -1, NULL) == PF_OK);
    is_int(pf_exit_line(pf, NULL, 0), seen.length, "without room the length is told");
    is_int(pf_exit_line(pf, text, sizeof text), seen.length, "with little room, too");
    is_str(text, "worker ", "... the line is cut, and ends");
    is_int(pf_exit_line(pf, text, 1), seen.length, "with room for the end alone");
    is_str(text, "", "... it ends");
    is_int(pf_exit_line(NULL, text, sizeof text), 0, "a null handle has no line");
    pf_free(pf);
}

int main(void)
{
    begin();
    there = shared(sizeof *there);
    by_itself();
    asked();
    not_in_time();
    from_outside();
    one_too_many();
    texts();
    return done();
}
