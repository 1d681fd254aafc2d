/* Every function of the header, called as it should not be: with null, with absurd numbers, at the wrong
 * time and in the wrong process. It gives a code, says what was wrong, and writes nowhere. */

#include "tap.h"

#include <float.h>
#include <limits.h>
#include <math.h>

static void fill(void *memory, size_t size)
{
    memset(memory, 0xa5, size);
}

static int untouched(const void *memory, size_t size)
{
    const unsigned char *byte = memory;
    while (size-- > 0)
        if (*byte++ != 0xa5)
            return 0;
    return 1;
}

/* What calls are given to write to, and what tells that they have not. */
static struct out {
    pf_event event;
    size_t left, told;
    uint32_t report;
    uint64_t generation;
} out;

static int32_t never(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    return 99;
}

/* ---- null */

#define NULL_IS(call) is_int((call), PF_ERR_NULL, "%s", #call)
#define NOTHING(call) is_int((call), 0, "%s", #call)

/* `pf` is null, as one that was freed and set to null. */
static void null(pf_t *pf, pf_scoreboard_t *board)
{
    uint8_t statuses[4];
    pf_own_slot slot;
    pf_own_line line;
    fill(&out, sizeof out);
    fill(statuses, sizeof statuses);
    has(pf_error_message(pf), "null", "pf_error_message");
    NULL_IS(pf_begin(pf));
    NULL_IS(pf_become_manager(pf));
    NULL_IS(pf_resume(pf));
    NULL_IS(pf_suspend(pf));
    NULL_IS(pf_drain(pf, 0));
    NULL_IS(pf_next(pf, &out.event));
    NULL_IS(pf_next(pf, NULL));
    NULL_IS(pf_wait(pf, 0, &out.event));
    NULL_IS(pf_wait(pf, 0, NULL));
    NULL_IS(pf_forked(pf, 0));
    NULL_IS(pf_fork_failed(pf, &out.report));
    NULL_IS(pf_fork_failed(pf, NULL));
    NULL_IS(pf_child_ended(pf, 1));
    NULL_IS(pf_look_for_children(pf, true));
    NULL_IS(pf_watch_children(pf));
    NULL_IS(pf_set_sigchld_handled(pf, true));
    NULL_IS(pf_wake(pf));
    NULL_IS(pf_demand(pf, 1));
    NULL_IS(pf_set_lead(pf, PF_LEAD_SHARED));
    NOTHING(pf_wants_fork(pf));
    NULL_IS(pf_set_spawn_delay(pf, 1));
    ok(pf_spawn_delay(pf) <= 0, "pf_spawn_delay");
    pf_free(pf);
    NOTHING(pf_host_room(pf, 1) != NULL);
    NULL_IS(pf_set_max_workers(pf, 1));
    NOTHING(pf_max_workers(pf));
    NULL_IS(pf_set_spawn_interval(pf, 1));
    NULL_IS(pf_set_err_respawn_interval(pf, 1));
    NULL_IS(pf_set_graceful_timeout(pf, 1));
    NULL_IS(pf_watch_oom(pf));
    NULL_IS(pf_set_parent_death_signal(pf, SIGTERM));
    NULL_IS(pf_wait_readable(pf, NULL, 0, 0, NULL));
    NULL_IS(pf_set_stop_signal(pf, SIGUSR1));
    NOTHING(pf_stopping(pf));
    is_int(pf_stop_fd(pf), -1, "pf_stop_fd");
    NULL_IS(pf_set_worker_timeout(pf, 1, 0));
    NULL_IS(pf_set_ready_timeout(pf, 1));
    NULL_IS(pf_watch_ready(pf));
    NULL_IS(pf_ready(pf));
    NULL_IS(pf_busy(pf, 1));
    NULL_IS(pf_tick(pf, 1));
    NULL_IS(pf_idle(pf));
    NULL_IS(pf_ring(pf));
    NOTHING(pf_work_line(pf, &line));
    NOTHING(pf_work_line(pf, NULL));
    NULL_IS(pf_set_spare_workers(pf, 1, 2, SIGTERM));
    NULL_IS(pf_trap_signal(pf, SIGUSR1, SIGTERM, 0));
    NULL_IS(pf_set_reap_foreign(pf, false));
    NULL_IS(pf_set_huge_pages(pf, true));
    NULL_IS(pf_set_before_fork(pf, NULL, NULL));
    NULL_IS(pf_set_after_fork(pf, NULL, NULL));
    NULL_IS(pf_set_on_child_reap(pf, NULL, NULL));
    NULL_IS(pf_set_on_fork_failure(pf, NULL, NULL));
    NULL_IS(pf_set_on_kill_failure(pf, NULL, NULL));
    NULL_IS(pf_set_scoreboard(pf, NULL));
    NULL_IS(pf_signal(pf, SIGUSR1));
    NOTHING(pf_signal_received(pf));
    NOTHING(pf_peek_signal(pf));
    NULL_IS(pf_set_signal_received(pf, SIGUSR1));
    NULL_IS(pf_take_signal(pf, SIGUSR1, true));
    NULL_IS(pf_take_signal(pf, SIGUSR1, false));
    NOTHING(pf_show_next_signal(pf));
    NULL_IS(pf_signal_all_children(pf, SIGUSR1));
    NULL_IS(pf_signal_staggered(pf, SIGUSR1, 1));
    NULL_IS(pf_start(pf, never, NULL));
    NULL_IS(pf_start(pf, NULL, NULL));
    NULL_IS(pf_finish(pf, 0));
    NULL_IS(pf_wait_all_children(pf, 0, &out.left));
    NULL_IS(pf_wait_all_children(pf, 0, NULL));
    NOTHING(pf_num_workers(pf));
    NOTHING(pf_next_worker(pf, 0));
    NOTHING(pf_worker_generation(pf, getpid(), &out.generation));
    NOTHING(pf_worker_generation(pf, getpid(), NULL));
    NOTHING(pf_generation(pf));
    is_int(pf_worker_index(pf), -1, "pf_worker_index(pf)");
    NULL_IS(pf_set_generation(pf, 1));
    NOTHING(pf_num_stopping(pf));
    NULL_IS(pf_stop_workers(pf, 1, SIGTERM, &out.told));
    NULL_IS(pf_adopt_worker(pf, 1, 1));
    NULL_IS(pf_worker_reaped(pf, 1, 0));
    NULL_IS(pf_set_keep_reaped(pf, true));
    NOTHING(pf_disown_worker(pf, 1));
    NOTHING(pf_remove_reaped(pf, 1));
    NOTHING(pf_last_exit(pf, &out.event));
    NOTHING(pf_last_exit(pf, NULL));
    NOTHING(pf_exit_line(pf, (char *)statuses, sizeof statuses));
    NOTHING(pf_exit_line(pf, NULL, 1));

    pf_scoreboard_free(board);
    NULL_IS(pf_scoreboard_grow(board, 1));
    NOTHING(pf_scoreboard_len(board));
    NULL_IS(pf_scoreboard_claim(board, 0));
    NULL_IS(pf_scoreboard_set_status(board, 'A'));
    NULL_IS(pf_scoreboard_own_slot(board, &slot));
    NULL_IS(pf_scoreboard_end_change(board, 0, true));
    NOTHING(pf_scoreboard_clear(board, 1));
    NOTHING(pf_scoreboard_statuses(board, statuses, sizeof statuses));
    NOTHING(pf_scoreboard_watch(board, 0, 0));
    ok(untouched(&out, sizeof out) && untouched(statuses, sizeof statuses), "... and nothing was written");
}

static void no_place(void)
{
    pf_t *pf = pf_new();
    is_int(pf_next(pf, NULL), PF_ERR_NULL, "pf_next without a place for the event");
    has(pf_error_message(pf), "event", "... says what is null");
    pf_free(pf);
    pf = pf_new();
    is_int(pf_wait(pf, 0, NULL), PF_ERR_NULL, "... so does pf_wait");
    has(pf_error_message(pf), "event", "... too");
    is_int(pf_wait_all_children(pf, 0, NULL), PF_OK, "pf_wait_all_children needs none");
    pf_free(pf);
}

/* ---- absurd numbers */

/* The call is refused, and the message has each of the words in `what`. */
static void refused(pf_t *pf, pf_result result, const char *call, const char *value, const char *name)
{
    is_int(result, PF_ERR_INVALID_ARGUMENT, "%s: %s is refused", call, value);
    has(pf_error_message(pf), value, "... and named");
    if (name)
        has(pf_error_message(pf), name, "... as what it is");
}

static const struct {
    double seconds;
    const char *shown;
} not_seconds[] = { { NAN, "NaN" }, { -1, "-1" }, { -INFINITY, "-inf" }, { -1e300, "-1" } };

static const double long_seconds[] = { INFINITY, DBL_MAX, 1e300, 1e19, 1.8446744073709552e19 };

static const struct {
    int32_t signal;
    const char *shown;
} no_signals[] = { { INT_MIN, "-2147483648" }, { INT_MAX, "2147483647" }, { 4000, "4000" }, { 65, "65" },
    { -65, "-65" } };

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void seconds(void)
{
    pf_t *pf = pf_new();
    size_t i;
    for (i = 0; i < COUNT(not_seconds); i++) {
        double s = not_seconds[i].seconds;
        const char *shown = not_seconds[i].shown;
        int is_negative = s < 0; /* which stands for ever, in a time-out */
        refused(pf, pf_set_spawn_interval(pf, s), "pf_set_spawn_interval", shown, "spawn_interval");
        refused(pf, pf_set_err_respawn_interval(pf, s), "pf_set_err_respawn_interval", shown,
            "err_respawn_interval");
        refused(pf, pf_set_graceful_timeout(pf, s), "pf_set_graceful_timeout", shown, "graceful_timeout");
        refused(pf, pf_set_worker_timeout(pf, s, 0), "pf_set_worker_timeout", shown, "worker_timeout");
        refused(pf, pf_set_worker_timeout(pf, 1, s), "pf_set_worker_timeout", shown, "worker_timeout_grace");
        refused(pf, pf_set_ready_timeout(pf, s), "pf_set_ready_timeout", shown, "ready_timeout");
        is_int(pf_busy(pf, s), PF_ERR_INVALID_ARGUMENT, "pf_busy: %s", shown);
        is_int(pf_tick(pf, s), PF_ERR_INVALID_ARGUMENT, "pf_tick: %s", shown);
        refused(pf, pf_set_spawn_delay(pf, s), "pf_set_spawn_delay", shown, NULL);
        refused(pf, pf_trap_signal(pf, SIGUSR1, 0, s), "pf_trap_signal", shown, "interval");
        refused(pf, pf_signal_staggered(pf, SIGUSR1, s), "pf_signal_staggered", shown, "interval");
        if (is_negative)
            continue;
        fill(&out, sizeof out);
        refused(pf, pf_drain(pf, s), "pf_drain", shown, "timeout");
        refused(pf, pf_wait(pf, s, &out.event), "pf_wait", shown, "timeout");
        refused(pf, pf_wait_all_children(pf, s, &out.left), "pf_wait_all_children", shown, "timeout");
        ok(untouched(&out, sizeof out), "... and nothing is written");
    }
    {
        struct sigaction action;
        sigaction(SIGUSR1, NULL, &action);
        ok(action.sa_handler == SIG_DFL, "a trap that is refused installs no handler");
    }
    refused(pf, pf_set_graceful_timeout(pf, INFINITY), "pf_set_graceful_timeout", "inf", "graceful_timeout");
    refused(pf, pf_set_worker_timeout(pf, INFINITY, 0), "pf_set_worker_timeout", "inf", "worker_timeout");
    refused(pf, pf_set_ready_timeout(pf, INFINITY), "pf_set_ready_timeout", "inf", "ready_timeout");
    refused(pf, pf_set_worker_timeout(pf, 0, 1), "pf_set_worker_timeout", "worker_timeout_grace", "worker_timeout");
    pf_set_max_workers(pf, 1);
    pf_begin(pf);
    for (i = 0; i < COUNT(long_seconds); i++) {
        double s = long_seconds[i];
        is_int(pf_set_spawn_interval(pf, s), PF_OK, "%g s between two forks", s);
        is_int(pf_set_err_respawn_interval(pf, s), PF_OK, "... after a failure");
        is_int(pf_set_spawn_delay(pf, s), PF_OK, "... from now on");
        ok(pf_spawn_delay(pf) > 1e9, "... are long");
        is_int(pf_next(pf, &out.event), PF_OK, "... and wait");
        ok(out.event.type == PF_EVENT_WAIT && out.event.timeout >= 0, "... for that time");
        is_int(pf_trap_signal(pf, SIGUSR1, SIGTERM, s), PF_OK, "... between two workers");
        is_int(pf_signal_staggered(pf, SIGTERM, s), PF_OK, "... too");
        is_int(pf_drain(pf, s), PF_OK, "... for a drain");
        is_int(pf_wait_all_children(pf, s, &out.left), PF_OK, "... for all children");
        is_int(out.left, 0, "... that are not there");
        pf_set_spawn_delay(pf, 0);
        pf_resume(pf);
        is_int(pf_wait(pf, s, &out.event), PF_OK, "... for an event");
        is_int(out.event.type, PF_EVENT_FORK, "... that is due");
        pf_fork_failed(pf, NULL);
    }
    is_int(pf_drain(pf, -INFINITY), PF_OK, "-inf is for ever");
    is_int(pf_wait_all_children(pf, -INFINITY, NULL), PF_OK, "... for all children");
    is_int(pf_wait_all_children(pf, -0.0, NULL), PF_OK, "-0 is 0");
    is_int(pf_wait_all_children(pf, DBL_MIN, NULL), PF_OK, "... so is next to nothing");
    is_int(pf_wait(pf, DBL_MIN, &out.event), PF_OK, "... for an event");
    pf_free(pf);
}

static void signals(void)
{
    static const int untrappable[] = { SIGKILL, SIGSTOP, SIGCHLD, SIGSEGV, SIGILL, SIGFPE, 0, -15 };
    pf_t *pf = pf_new();
    char number[16];
    size_t i;
    for (i = 0; i < COUNT(no_signals); i++) {
        int32_t n = no_signals[i].signal;
        const char *shown = no_signals[i].shown;
        fill(&out, sizeof out);
        refused(pf, pf_trap_signal(pf, n, SIGTERM, 0), "pf_trap_signal", shown, "signal");
        refused(pf, pf_trap_signal(pf, SIGUSR1, n, 0), "pf_trap_signal, to send", shown, "signal");
        refused(pf, pf_set_spare_workers(pf, 1, 2, n), "pf_set_spare_workers", shown, "signal");
        refused(pf, pf_signal_all_children(pf, n), "pf_signal_all_children", shown, "signal");
        refused(pf, pf_signal_staggered(pf, n, 0), "pf_signal_staggered", shown, "signal");
        refused(pf, pf_stop_workers(pf, 1, n, &out.told), "pf_stop_workers", shown, "signal");
        is_int(pf_signal(pf, n), PF_ERR_INVALID_ARGUMENT, "pf_signal: %s is refused", shown);
        ok(untouched(&out, sizeof out), "nothing is written");
    }
    is_int(pf_signal(pf, 0), PF_ERR_INVALID_ARGUMENT, "pf_signal: 0 is refused");
    is_int(pf_signal(pf, SIGRTMAX + 1), PF_ERR_INVALID_ARGUMENT, "... so is what is above the last one");
    for (i = 0; i < COUNT(untrappable); i++) {
        snprintf(number, sizeof number, "%d", untrappable[i]);
        refused(pf, pf_trap_signal(pf, untrappable[i], 0, 0), "pf_trap_signal", number, "signal");
    }
    refused(pf, pf_set_spare_workers(pf, 1, 2, 0), "pf_set_spare_workers", "0", "signal");
    refused(pf, pf_set_spare_workers(pf, 5, 3, SIGTERM), "pf_set_spare_workers", "5", "3");
    refused(pf, pf_set_spare_workers(pf, UINT32_MAX, 0, SIGTERM), "pf_set_spare_workers", "4294967295", "0");
    is_int(pf_set_spare_workers(pf, UINT32_MAX, UINT32_MAX, SIGTERM), PF_OK,
        "pf_set_spare_workers: as many as there can be");
    is_int(pf_set_spare_workers(pf, 0, 0, SIGTERM), PF_OK, "pf_set_spare_workers: none");

    is_int(pf_set_signal_received(pf, INT_MIN), PF_OK, "pf_set_signal_received takes any number");
    is_int(pf_signal_received(pf), INT_MIN, "... and gives it back");
    is_int(pf_show_next_signal(pf), INT_MIN, "... as there is no other");
    pf_take_signal(pf, INT_MAX, true);
    pf_take_signal(pf, INT_MIN, false);
    pf_take_signal(pf, INT_MAX, false);
    is_int(pf_peek_signal(pf), 0, "pf_take_signal lives with any number");
    pf_free(pf);
}

static volatile sig_atomic_t hits;

static void hit(int signal)
{
    (void)signal;
    hits++;
}

static void pids(void)
{
    static const int32_t none[] = { 0, -1, INT_MIN };
    pf_t *pf = pf_new();
    char number[16];
    uint64_t generation = 0;
    size_t i;
    for (i = 0; i < COUNT(none); i++) {
        snprintf(number, sizeof number, "%d", none[i]);
        refused(pf, pf_adopt_worker(pf, none[i], 1), "pf_adopt_worker", number, "process id");
        ok(!pf_disown_worker(pf, none[i]) && !pf_remove_reaped(pf, none[i]),
            "pf_disown_worker and pf_remove_reaped: there is no %s", number);
        fill(&out, sizeof out);
        ok(!pf_worker_generation(pf, none[i], &out.generation) && untouched(&out, sizeof out),
            "pf_worker_generation: nor has it one");
        is_int(pf_worker_reaped(pf, none[i], 0), PF_OK, "pf_worker_reaped: nor was it there");
        is_int(pf_next_worker(pf, none[i]), 0, "pf_next_worker: nor is there one above");
    }
    is_int(pf_next_worker(pf, INT_MAX), 0, "pf_next_worker: nor above all");

    /* A pid that is no child of ours is not signalled, whoever says that it is a worker's. */
    signal(SIGUSR2, hit);
    is_int(pf_adopt_worker(pf, getpid(), UINT64_MAX), PF_OK, "this process is adopted");
    is_int(pf_adopt_worker(pf, INT_MAX, 0), PF_OK, "... and one that cannot be");
    ok(pf_worker_generation(pf, getpid(), &generation) && generation == UINT64_MAX, "... of any generation");
    is_int(pf_signal_all_children(pf, SIGUSR2), PF_OK, "pf_signal_all_children");
    is_int(pf_signal_staggered(pf, SIGUSR2, 0), PF_OK, "pf_signal_staggered");
    is_int(pf_stop_workers(pf, SIZE_MAX, SIGUSR2, &out.told), PF_OK, "pf_stop_workers");
    is_int(hits, 0, "... hit nobody who is no child");
    is_int(pf_wait_all_children(pf, -1, &out.left), PF_OK, "... they are waited for");
    is_int(out.left, 0, "... and not there");
    signal(SIGUSR2, SIG_DFL);
    pf_free(pf);
}

static void counts(void)
{
    pf_t *pf = pf_new();
    is_int(pf_set_max_workers(pf, UINT32_MAX), PF_OK, "pf_set_max_workers: as many as there can be");
    is_int(pf_max_workers(pf), UINT32_MAX, "... are to be");
    pf_set_max_workers(pf, 0);
    is_int(pf_set_generation(pf, UINT64_MAX), PF_OK, "pf_set_generation: the last one");
    ok(pf_generation(pf) == UINT64_MAX, "... is set");
    is_int(pf_begin(pf), PF_OK, "... and a run begins after it");
    is_int(pf_demand(pf, INT_MIN), PF_OK, "pf_demand: as few as there can be");
    pf_next(pf, &out.event);
    is_int(out.event.type, PF_EVENT_WAIT, "... is none");
    is_int(pf_demand(pf, INT_MAX), PF_OK, "as many as there can be");
    pf_next(pf, &out.event);
    is_int(out.event.type, PF_EVENT_FORK, "... is one, and then one more");
    refused(pf, pf_forked(pf, INT_MIN), "pf_forked", "-2147483648", "pid");
    refused(pf, pf_forked(pf, -1), "pf_forked", "-1", "pid");
    is_int(pf_fork_failed(pf, NULL), PF_OK, "the question is still open after that");
    refused(pf, pf_set_lead(pf, 3), "pf_set_lead", "3", "lead");
    is_int(pf_start(pf, never, NULL), PF_ERR_WRONG_STATE, "pf_start, where the host decides by itself");
    has(pf_error_message(pf), "pf_demand", "... says so");
    is_int(pf_stop_workers(pf, SIZE_MAX, SIGTERM, &out.told), PF_OK, "pf_stop_workers: all");
    is_int(out.told, 0, "... of nobody");
    pf_free(pf);
}

static void claims_absurdly(void *data)
{
    pf_scoreboard_t *board = data;
    pf_own_slot slot;
    int status;
    CHECK(pf_scoreboard_own_slot(board, NULL) == PF_ERR_NULL);
    CHECK(pf_scoreboard_own_slot(board, &slot) == PF_ERR_WRONG_STATE);
    CHECK(pf_scoreboard_end_change(board, 1, false) == PF_ERR_WRONG_STATE);
    CHECK(pf_scoreboard_claim(board, UINT32_MAX) == PF_OK);
    CHECK(pf_scoreboard_end_change(board, UINT32_MAX, false) == PF_OK);
    CHECK(pf_scoreboard_end_change(board, 0, true) == PF_OK);
    for (status = 0; status < 256; status++)
        pf_scoreboard_set_status(board, (uint8_t)status);
    CHECK(pf_scoreboard_set_status(board, 255) == PF_OK);
}

static void scoreboards(void)
{
    static const uint32_t too_many[] = { UINT32_MAX, 1048577, INT_MAX };
    char path[256], long_path[6000];
    uint8_t statuses[8];
    pf_scoreboard_t *board;
    size_t i;
    unlink(temporary(path));
    for (i = 0; i < COUNT(too_many); i++) {
        errno = 0;
        ok(!pf_scoreboard_new(NULL, too_many[i]) && errno == EINVAL, "a scoreboard of %u slots",
            (unsigned)too_many[i]);
        errno = 0;
        ok(!pf_scoreboard_new(path, too_many[i]) && errno == EINVAL, "... in a file");
        ok(access(path, F_OK) != 0, "... which does not stay");
    }
    errno = 0;
    ok(!pf_scoreboard_new("", 1) && errno == ENOENT, "a path that is empty");
    memset(long_path, 'x', sizeof long_path);
    long_path[sizeof long_path - 1] = '\0';
    errno = 0;
    ok(!pf_scoreboard_new(long_path, 1) && errno == ENAMETOOLONG, "a path that is too long");
    board = pf_scoreboard_new(NULL, 0);
    ok(board && pf_scoreboard_len(board) == 0, "no slots");
    is_int(pf_scoreboard_claim(board, 0), PF_ERR_NO_SLOT, "... for nobody");
    is_int(pf_scoreboard_statuses(board, NULL, SIZE_MAX), 0, "... have no statuses");
    pf_scoreboard_free(board);

    board = pf_scoreboard_new(NULL, 2);
    for (i = 0; i < COUNT(too_many); i++)
        is_int(pf_scoreboard_grow(board, too_many[i]), PF_ERR_INVALID_ARGUMENT, "to grow to %u slots",
            (unsigned)too_many[i]);
    is_int(pf_scoreboard_len(board), 2, "... changes nothing");
    is_int(in_child(claims_absurdly, board), 0, "any slot is claimed, and any status set");
    fill(statuses, sizeof statuses);
    is_int(pf_scoreboard_statuses(board, statuses, SIZE_MAX), 2, "room for all that memory has");
    ok(untouched(statuses + 2, sizeof statuses - 2), "... is filled as far as there are slots");
    ok(!pf_scoreboard_clear(board, 0) && !pf_scoreboard_clear(board, -1)
            && !pf_scoreboard_clear(board, INT_MIN) && !pf_scoreboard_clear(board, INT_MAX),
        "pids that nobody has, have no slot");
    pf_scoreboard_watch(board, INT_MIN, INT_MAX);
    pf_scoreboard_watch(board, INT_MAX, INT_MIN);
    pf_scoreboard_free(board);
}

/* ---- the wrong time */

static void wrong_time(void)
{
    pf_t *pf = pf_new();
    is_str(pf_error_message(pf), "", "before the first error there is no message");
    fill(&out, sizeof out);
    is_int(pf_forked(pf, 1), PF_ERR_WRONG_STATE, "pf_forked without a FORK");
    has(pf_error_message(pf), "no FORK event", "... says so");
    is_int(pf_forked(pf, 0), PF_ERR_WRONG_STATE, "... as a worker, too");
    is_int(pf_worker_index(pf), -1, "... which makes none");
    is_int(pf_fork_failed(pf, &out.report), PF_ERR_WRONG_STATE, "pf_fork_failed without a FORK");
    is_int(pf_resume(pf), PF_OK, "a message stays when a call succeeds");
    has(pf_error_message(pf), "no FORK event", "... until the next error");
    pf_suspend(pf);
    is_int(pf_finish(pf, 0), PF_ERR_WRONG_PROCESS, "pf_finish outside of a worker");
    has(pf_error_message(pf), "worker", "... says so");

    pf_set_max_workers(pf, 1);
    pf_begin(pf);
    pf_next(pf, &out.event);
    is_int(out.event.type, PF_EVENT_FORK, "a FORK");
    fill(&out, sizeof out);
    is_int(pf_next(pf, &out.event), PF_ERR_WRONG_STATE, "pf_next before it is answered");
    has(pf_error_message(pf), "FORK", "... says so");
    is_int(pf_wait(pf, -1, &out.event), PF_ERR_WRONG_STATE, "pf_wait too");
    is_int(pf_wait_all_children(pf, -1, &out.left), PF_ERR_WRONG_STATE, "pf_wait_all_children too");
    ok(untouched(&out, sizeof out), "none of them writes");
    is_int(pf_fork_failed(pf, NULL), PF_OK, "... it is answered");
    is_int(pf_fork_failed(pf, NULL), PF_ERR_WRONG_STATE, "... once");
    is_int(pf_forked(pf, 0), PF_ERR_WRONG_STATE, "... and not once more");
    is_int(pf_drain(pf, -1), PF_OK, "pf_drain");
    pf_next(pf, &out.event);
    pf_free(pf);
}

/* ---- in a hook */

static struct {
    int before, after, reap, failure; /* calls */
    int refused, expected;
} in_hooks;

static void refuse(pf_result got, pf_result expected)
{
    in_hooks.expected++;
    in_hooks.refused += got == expected;
}

static void start_before_fork(pf_t *pf, void *data)
{
    (void)data;
    in_hooks.before++;
    fill(&out, sizeof out);
    refuse(pf_start(pf, never, NULL), PF_ERR_WRONG_STATE);
    refuse(pf_next(pf, &out.event), PF_ERR_WRONG_STATE);
    refuse(pf_wait(pf, -1, &out.event), PF_ERR_WRONG_STATE);
    refuse(pf_wait_all_children(pf, -1, &out.left), PF_ERR_WRONG_STATE);
    refuse(pf_finish(pf, 0), PF_ERR_WRONG_PROCESS);
    refuse(pf_demand(pf, 5), PF_ERR_WRONG_STATE);
    refuse(pf_set_lead(pf, PF_LEAD_HOST), PF_ERR_WRONG_STATE);
    refuse(!untouched(&out, sizeof out), PF_OK);
}

static void start_after_fork(pf_t *pf, int32_t pid, void *data)
{
    (void)pid;
    (void)data;
    in_hooks.after++;
    refuse(pf_start(pf, never, NULL), PF_ERR_WRONG_STATE);
    refuse(pf_forked(pf, pid), PF_ERR_WRONG_STATE);
    refuse(pf_fork_failed(pf, NULL), PF_ERR_WRONG_STATE);
}

static void start_on_child_reap(pf_t *pf, const pf_event *exit, void *data)
{
    (void)exit;
    (void)data;
    refuse(pf_start(pf, never, NULL), PF_ERR_WRONG_STATE);
    refuse(pf_forked(pf, exit->pid), PF_ERR_WRONG_STATE);
    if (++in_hooks.reap == 3)
        pf_signal(pf, SIGUSR1);
}

static void hooks(void)
{
    pf_t *pf = pf_new();
    pf_set_max_workers(pf, 1);
    pf_set_before_fork(pf, start_before_fork, NULL);
    pf_set_after_fork(pf, start_after_fork, NULL);
    pf_set_on_child_reap(pf, start_on_child_reap, NULL);
    is_int(pf_start(pf, at_once, NULL), PF_OK, "a run whose hooks call what they may not");
    ok(in_hooks.before >= 3 && in_hooks.after == in_hooks.before && in_hooks.reap == 3,
        "goes on as if they had not");
    is_int(in_hooks.refused, in_hooks.expected, "each of those calls is refused");
    pf_set_on_child_reap(pf, NULL, NULL);
    pf_wait_all_children(pf, -1, NULL);
    pf_free(pf);
}

/* A hook that answers the FORK itself, or begins another run: the process that is forked all the same
 * must not be lost. */
static int meddled, lost;

static void meddle(pf_t *pf, void *data)
{
    if (meddled++ > 0)
        return;
    if (*(int *)data == 0)
        pf_begin(pf);
    else if (*(int *)data == 1)
        pf_fork_failed(pf, NULL);
    else
        pf_forked(pf, INT_MAX);
}

static void look_for_lost(pf_t *pf, int32_t pid, void *data)
{
    (void)data;
    lost += !pf_worker_generation(pf, pid, NULL);
    pf_signal(pf, SIGUSR1);
}

static int32_t is_worker(pf_t *pf, void *data)
{
    (void)data;
    return pf_worker_index(pf) < 0;
}

static void note_failure(pf_t *pf, const pf_event *exit, void *data)
{
    (void)pf;
    (void)data;
    lost += exit->reason == PF_REASON_FOREIGN || (exit->reason != PF_REASON_STOLEN && exit->status != 0);
}

static void meddling_hooks(void)
{
    static const char *names[] = { "pf_begin", "pf_fork_failed", "pf_forked" };
    int which;
    for (which = 0; which < 3; which++) {
        pf_t *pf = pf_new();
        size_t left = 99;
        meddled = lost = 0;
        pf_set_max_workers(pf, 1);
        pf_set_err_respawn_interval(pf, 0);
        pf_set_before_fork(pf, meddle, &which);
        pf_set_after_fork(pf, look_for_lost, NULL);
        pf_set_on_child_reap(pf, note_failure, NULL);
        is_int(pf_start(pf, is_worker, NULL), PF_OK, "%s in before_fork: the run goes on", names[which]);
        is_int(pf_wait_all_children(pf, -1, &left), PF_OK, "... and ends");
        is_int(lost, 0, "... and no process is lost, or a worker that is none");
        pf_free(pf);
    }
}

/* ---- the wrong process */

/* All that is the manager's. What must not be written to is filled before. */
static void manager_calls(pf_t *pf, pf_scoreboard_t *board)
{
    fill(&out, sizeof out);
#define REFUSED(call) CHECK((call) == PF_ERR_WRONG_PROCESS)
    REFUSED(pf_resume(pf));
    REFUSED(pf_suspend(pf));
    REFUSED(pf_drain(pf, 0));
    REFUSED(pf_next(pf, &out.event));
    REFUSED(pf_wait(pf, -1, &out.event));
    REFUSED(pf_wait_all_children(pf, -1, &out.left));
    REFUSED(pf_child_ended(pf, 1));
    REFUSED(pf_look_for_children(pf, true));
    REFUSED(pf_watch_children(pf));
    REFUSED(pf_set_sigchld_handled(pf, true));
    REFUSED(pf_demand(pf, 1));
    REFUSED(pf_set_lead(pf, PF_LEAD_LIBRARY));
    REFUSED(pf_set_spawn_delay(pf, 0));
    REFUSED(pf_set_max_workers(pf, 3));
    REFUSED(pf_set_spawn_interval(pf, 0));
    REFUSED(pf_set_err_respawn_interval(pf, 0));
    REFUSED(pf_set_graceful_timeout(pf, 0));
    REFUSED(pf_watch_oom(pf));
    REFUSED(pf_set_parent_death_signal(pf, 0));
    REFUSED(pf_set_worker_timeout(pf, 1, 0));
    REFUSED(pf_set_ready_timeout(pf, 1));
    REFUSED(pf_watch_ready(pf));
    REFUSED(pf_set_spare_workers(pf, 1, 2, SIGTERM));
    REFUSED(pf_trap_signal(pf, SIGUSR2, 0, 0));
    REFUSED(pf_set_reap_foreign(pf, false));
    REFUSED(pf_set_keep_reaped(pf, true));
    REFUSED(pf_set_huge_pages(pf, true));
    REFUSED(pf_set_before_fork(pf, NULL, NULL));
    REFUSED(pf_set_after_fork(pf, NULL, NULL));
    REFUSED(pf_set_on_child_reap(pf, NULL, NULL));
    REFUSED(pf_set_on_fork_failure(pf, NULL, NULL));
    REFUSED(pf_set_on_kill_failure(pf, NULL, NULL));
    REFUSED(pf_set_signal_received(pf, SIGUSR1));
    REFUSED(pf_take_signal(pf, SIGUSR1, true));
    REFUSED(pf_take_signal(pf, SIGUSR1, false));
    REFUSED(pf_signal_all_children(pf, SIGKILL));
    REFUSED(pf_signal_staggered(pf, SIGKILL, 0));
    REFUSED(pf_set_generation(pf, 99));
    REFUSED(pf_stop_workers(pf, 1, SIGKILL, &out.told));
    REFUSED(pf_adopt_worker(pf, getpid(), 1));
    REFUSED(pf_worker_reaped(pf, getpid(), 0));
    CHECK(strstr(pf_error_message(pf), "manager") != NULL);
    /* This one has no code; a worker that is alive stays. */
    CHECK(!pf_remove_reaped(pf, pf_next_worker(pf, 0)));
    CHECK(pf_forked(pf, 1) != PF_OK && pf_forked(pf, 0) != PF_OK);
    CHECK(pf_fork_failed(pf, &out.report) != PF_OK);
    CHECK(untouched(&out, sizeof out));
    /* These read, or do not mind. */
    CHECK(pf_max_workers(pf) == 2);
    CHECK(pf_spawn_delay(pf) <= 0);
    pf_num_stopping(pf);
    pf_signal_received(pf);
    pf_peek_signal(pf);
    pf_show_next_signal(pf);
    CHECK(pf_scoreboard_len(board) == 1);
}

static void only_a_manager(pf_t *pf, pf_scoreboard_t *board)
{
    REFUSED(pf_begin(pf));
    REFUSED(pf_become_manager(pf));
    REFUSED(pf_start(pf, never, NULL));
    REFUSED(pf_start(pf, NULL, NULL));
    REFUSED(pf_set_scoreboard(pf, board));
    REFUSED(pf_set_scoreboard(pf, NULL));
    REFUSED(pf_signal(pf, SIGUSR1));
    REFUSED(pf_wake(pf));
    CHECK(pf_generation(pf) == 1);
    CHECK(pf_next_worker(pf, 0) == 0 || pf_num_workers(pf) > 0);
}

static int32_t worker(pf_t *pf, void *data)
{
    manager_calls(pf, data);
    only_a_manager(pf, data);
    CHECK(pf_worker_index(pf) >= 0);
    return checks();
}

struct handles {
    pf_t *pf;
    pf_scoreboard_t *board;
};

static void helper(void *data)
{
    struct handles *handles = data;
    manager_calls(handles->pf, handles->board);
    CHECK(pf_finish(handles->pf, 0) == PF_ERR_WRONG_PROCESS);
    CHECK(pf_worker_index(handles->pf) == -1);
    CHECK(pf_generation(handles->pf) == 1);
    CHECK(pf_num_workers(handles->pf) == 2);
}

static int sum_of_statuses, reaps;

static void sum(pf_t *pf, const pf_event *exit, void *data)
{
    (void)data;
    sum_of_statuses += exit->status;
    if (++reaps == 2)
        pf_signal(pf, SIGUSR1);
}

static void helper_of_worker(void *data)
{
    pf_scoreboard_t *board = pf_scoreboard_new(NULL, 1);
    worker(data, board);
    pf_scoreboard_free(board);
}

static int32_t forks_helper(pf_t *pf, void *data)
{
    (void)data;
    return in_child(helper_of_worker, pf);
}

static void wrong_process(void)
{
    pf_t *pf = pf_new();
    pf_scoreboard_t *board = pf_scoreboard_new(NULL, 1);
    struct handles handles = { pf, board };
    pf_set_max_workers(pf, 2);
    pf_set_err_respawn_interval(pf, 3600);
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    pf_set_on_child_reap(pf, sum, NULL);
    is_int(pf_start(pf, worker, board), PF_OK, "workers that call all that is the manager's");
    is_int(sum_of_statuses, 0, "... are refused each time");
    pf_wait_all_children(pf, -1, NULL);
    pf_free(pf);

    pf = handles.pf = pf_new();
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    fork_workers(pf, 2, until_killed, NULL);
    is_int(in_child(helper, &handles), 0, "... so is a child of the manager's that is no worker");
    is_int(pf_num_workers(pf), 2, "its workers are still there");
    is_int(pf_max_workers(pf), 2, "... as many as there were to be");
    is_int(pf_generation(pf), 1, "... of that generation");
    is_int(pf_wait_all_children(pf, 0.02, &out.left), PF_OK, "... and alive");
    is_int(out.left, 2, "... both");
    finish(pf);

    pf = pf_new();
    reaps = sum_of_statuses = 0;
    pf_set_max_workers(pf, 2);
    pf_set_err_respawn_interval(pf, 3600);
    pf_set_on_child_reap(pf, sum, NULL);
    pf_start(pf, forks_helper, NULL);
    is_int(sum_of_statuses, 0, "... so is a child of a worker's");
    pf_wait_all_children(pf, -1, NULL);
    pf_free(pf);
    pf_scoreboard_free(board);
}

/* ---- functions without a handle */

static void without_handle(void)
{
    static const int32_t codes[] = { INT_MIN, -1, 11, INT_MAX };
    size_t i;
    for (i = 0; i < COUNT(codes); i++)
        is_str(pf_strerror(codes[i]), "unknown result code", "pf_strerror(%d)", (int)codes[i]);
    has(pf_version(), ".", "pf_version");
    ok(pf_decide(UINT32_MAX, 0, UINT32_MAX, 0, 1, 0, NULL, NULL) == -(int64_t)UINT32_MAX,
        "pf_decide: as many fewer as there can be");
    ok(pf_process_number() != 0, "pf_process_number");
    pf_free(NULL);
    pf_scoreboard_free(NULL);
}

int main(void)
{
    pf_t *pf;
    pf_scoreboard_t *board;
    begin();
    null(NULL, NULL);
    pf = pf_new();
    board = pf_scoreboard_new(NULL, 1);
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    pf_free(pf);
    pf_scoreboard_free(board);
    pf = NULL;
    board = NULL;
    null(pf, board);
    no_place();
    seconds();
    signals();
    pids();
    counts();
    scoreboards();
    wrong_time();
    hooks();
    meddling_hooks();
    wrong_process();
    without_handle();
    return done();
}
