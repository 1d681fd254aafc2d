/* The steps of a change of status exist twice: in the core (src/os/slots.rs), and in C for the Perl front
 * (perl/status.h). Here both run one instruction at a time, and another process looks at the memory after each: what
 * it sees has to be the steps that pf_scoreboard_own_slot lists. */

#include "tap.h"
#include "../../perl/status.h"

#ifdef CAN_CHANGE_STATUS

/* Elsewhere an atomic operation may be a loop that never ends where it is interrupted in each turn. There, and where
 * nobody may trace, what is seen at the end has to do. */
#if defined(__linux__) && (defined(__x86_64__) || defined(__i386__))
#include <sys/ptrace.h>
#define TRACE_ME() ptrace(PTRACE_TRACEME, 0, NULL, NULL)
#define STEP(pid) ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL)
#else
#define TRACE_ME() (-1)
#define STEP(pid) (-1)
#endif

static bool is_tracing;

/* What others see of one process's status, and of how many are busy. */
typedef struct {
    uint8_t status;
    int32_t busy;
    uint32_t changes;        /* since the first look */
} seen_t;

#define MOST 16

static struct {
    pf_own_slot slot;
    uint32_t changes_before;
    bool is_over;
} *told;

static pf_scoreboard_t *board;

static void core_sets(uint8_t status)
{
    pf_scoreboard_set_status(board, status);
}

static void c_sets(uint8_t status)
{
    change_t change;
    if (replace_status(&told->slot, status))
        return;
    begin_change(&told->slot, &change);
    make_change(&told->slot, status, &change);
    told->is_over = change.is_over;
    if (!change.is_over)
        pf_scoreboard_end_change(board, change.before, change.is_whole);
}

static void is_watched(void (*set)(uint8_t status), uint8_t from, uint8_t to)
{
    if (pf_scoreboard_claim(board, 0) != PF_OK || pf_scoreboard_set_status(board, from) != PF_OK
            || pf_scoreboard_own_slot(board, &told->slot) != PF_OK || (is_tracing && TRACE_ME() != 0))
        _exit(99);
    told->changes_before = GET(*told->slot.changes);
    if (is_tracing)
        raise(SIGSTOP);
    set(to);
    _exit(0);
}

static seen_t look(void)
{
    seen_t seen;
    seen.status = GET(*told->slot.status);
    seen.busy = GET(*told->slot.busy);
    seen.changes = GET(*told->slot.changes) - told->changes_before;
    return seen;
}

static bool are_same(seen_t one, seen_t other)
{
    return one.status == other.status && one.busy == other.busy && one.changes == other.changes;
}

static size_t write_seen(char *text, size_t size, seen_t seen)
{
    return (size_t)snprintf(text, size, "%c%d+%u ", seen.status, (int)seen.busy, (unsigned)seen.changes);
}

/* What is seen while a process turns its status from one into the other, as text. */
static void steps_of(void (*set)(uint8_t status), uint8_t from, uint8_t to, char *text, size_t size)
{
    seen_t last;
    size_t length = 0;
    int status = 0;
    pid_t pid;
    told->is_over = true;
    fflush(stdout);
    pid = fork();
    if (pid == 0)
        is_watched(set, from, to);
    memset(&last, 0, sizeof last);
    while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
        const seen_t seen = look();
        if ((length == 0 || !are_same(seen, last)) && length < size)
            length += write_seen(text + length, size - length, seen);
        last = seen;
        if (STEP(pid) != 0)
            abort();
    }
    if (!is_tracing)
        write_seen(text, size, look());
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    pf_scoreboard_clear(board, pid);
}

/* The number of busy ones wakes the manager if it leaves these bounds. */
static void both_take(const char *expected, uint8_t from, uint8_t to, int low, int high, const char *what)
{
    char core[256], in_c[256];
    if (!is_tracing)
        while (strchr(expected, ' ')[1] != '\0')
            expected = strchr(expected, ' ') + 1;
    board = pf_scoreboard_new(NULL, 1);
    pf_scoreboard_watch(board, low, high);
    steps_of(core_sets, from, to, core, sizeof core);
    is_str(core, expected, "%s: the core", what);
    pf_scoreboard_watch(board, low, high);
    steps_of(c_sets, from, to, in_c, sizeof in_c);
    is_str(in_c, expected, "%s: in C", what);
    ok(told->is_over == (low < 0 && high > 0), "... which knows whether the manager has to be woken");
    pf_scoreboard_free(board);
}

static void cannot_trace(void *data)
{
    (void)data;
    _exit(TRACE_ME() == 0 ? 0 : 1);
}

static void steps(void)
{
    told = shared(sizeof *told);
    both_take("_0+0 _0+1 _1+1 A1+1 A1+64 ", '_', 'A', -1, 9, "a worker turns busy");
    both_take("A1+0 A1+1 _1+1 _0+1 _0+64 ", 'A', '_', -1, 9, "... and idle");
    both_take("_0+0 _0+1 _1+1 A1+1 A1+64 ", '_', 'A', -1, 0, "it turns busy, and wakes the manager");
    both_take("A1+0 A1+1 _1+1 _0+1 _0+64 ", 'A', '_', 1, 9, "... and idle");
    both_take("A1+0 B1+0 ", 'A', 'B', -1, 9, "it stays busy");
    both_take("_0+0 .0+0 ", '_', '.', -1, 9, "it is not busy, and not there");
    munmap(told, sizeof *told);
}

int main(void)
{
    begin();
    is_tracing = !is_under_valgrind() && !HEAP_HAS_NO_FORK && in_child(cannot_trace, NULL) == 0;
    if (!is_tracing)
        skip("the steps on the way", "they cannot be traced here");
    steps();
    return done();
}
#else
int main(void)
{
    begin();
    skip("the steps of a change of status", "the Perl front calls the core with this compiler");
    return done();
}
#endif
