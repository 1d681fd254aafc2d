/* Huge pages before the fork: the manager's memory is moved to them when its first worker is due, once in
 * each generation, if that was asked for; and whatever the kernel has against it, the workers run. */

#define _GNU_SOURCE
#include "tap.h"

#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

/* Linux 6.1; the headers of older systems do not have it. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static size_t huge, small;

static struct {
    char *start;
    size_t size;
} data;

static unsigned error_of_first; /* that a case gives where the data begin; 0: none */

/* In place of the C library's, which libprefork calls otherwise. On a busy machine the kernel may have a page in other
 * hands for a moment, and says EAGAIN; here it is asked until it is done, so that what is tested is not the machine. */
int madvise(void *start, size_t size, int advice)
{
    long result;
    do
        result = syscall(SYS_madvise, start, size, advice);
    while (result != 0 && errno == EAGAIN && advice == MADV_COLLAPSE
        && !(start == data.start && error_of_first == EAGAIN));
    return (int)result;
}

/* ---- what there is */

static size_t huge_page_size(void)
{
    FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "r");
    size_t size = 0;
    if (!file)
        return 0;
    if (fscanf(file, "%zu", &size) != 1)
        size = 0;
    fclose(file);
    return size;
}

/* Bytes of the mappings between two addresses that are in huge pages, as the kernel tells it. */
static size_t in_huge_pages(const void *from, size_t size)
{
    FILE *file = fopen("/proc/self/smaps", "r");
    char line[4096];
    size_t start, end, kb, sum = 0;
    int is_in = 0;
    if (!file)
        abort();
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "%zx-%zx ", &start, &end) == 2)
            is_in = start < (size_t)from + size && end > (size_t)from;
        else if (is_in && sscanf(line, "AnonHugePages: %zu kB", &kb) == 1)
            sum += kb << 10;
    }
    fclose(file);
    return sum;
}

static size_t resident(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    size_t pages = 0;
    if (!file || fscanf(file, "%*u %zu", &pages) != 1)
        abort();
    fclose(file);
    return pages * small;
}

/* So many huge pages' worth of memory, in a mapping that no other is joined to; none of it has been written to.
 * Where it is the system's policy that everybody gets huge pages at once, this does not: the first page of each
 * is looked at while the rest is out of bounds, which gives the range a table of small ones. */
static char *memory(size_t pages)
{
    size_t i;
    char *start = mmap(NULL, (pages + 2) * huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        abort();
    start += huge - (size_t)start % huge;
    for (i = 0; i < pages; i++)
        if (mprotect(start + i * huge, small, PROT_READ | PROT_WRITE) != 0 || *(volatile char *)(start + i * huge))
            abort();
    if (mprotect(start, pages * huge, PROT_READ | PROT_WRITE) != 0)
        abort();
    return start;
}

/* Each small page gets a text of its own. */
static void fill_in(char *start, size_t size)
{
    size_t at;
    for (at = 0; at < size; at += small)
        snprintf(start + at, small, "page %zu", at / small);
}

static int is_intact(const char *start, size_t size)
{
    char expected[40];
    size_t at;
    for (at = 0; at < size; at += small) {
        snprintf(expected, sizeof expected, "page %zu", at / small);
        if (strcmp(start + at, expected) != 0)
            return 0;
    }
    return 1;
}

/* ---- the pool */

static int32_t reads_and_writes(pf_t *pf, void *unused)
{
    (void)pf;
    (void)unused;
    CHECK(is_intact(data.start, data.size));
    data.start[0] = 'w';
    data.start[data.size - small] = 'w';
    CHECK(strcmp(data.start, "wage 0") == 0);
    return checks();
}

static int failures;

static void on_reap(pf_t *pf, const pf_event *exit, void *unused)
{
    (void)pf;
    (void)unused;
    failures += exit->status != 0;
}

/* A generation with two workers that look at the data, write to them and go. */
static void run_generation(pf_t *pf)
{
    failures = 0;
    pf_set_on_child_reap(pf, on_reap, NULL);
    fork_workers(pf, 2, reads_and_writes, NULL);
    pf_wait_all_children(pf, -1, NULL);
    is_int(failures, 0, "workers find the data as they were, and write to their own");
    ok(is_intact(data.start, data.size), "... and the manager has what it had");
}

static pf_t *manager(bool use_them)
{
    pf_t *pf = pf_new();
    pf_trap_signal(pf, SIGURG, 0, 0);
    pf_set_err_respawn_interval(pf, 0);
    is_int(pf_set_huge_pages(pf, use_them), PF_OK, "pf_set_huge_pages(%s)", use_them ? "true" : "false");
    return pf;
}

/* The next event of a pool that is driven by hand; after a fork that failed it takes 0.05 s. */
static pf_event next_fork(pf_t *pf)
{
    pf_event event;
    if (pf_wait(pf, -1, &event) != PF_OK)
        abort();
    return event;
}

static void when(void)
{
    const size_t size = 8 * huge;
    pf_t *pf = manager(true);
    data.start = memory(8);
    data.size = size;
    fill_in(data.start, size);
    is_int(in_huge_pages(data.start, size), 0, "the data are in small pages");
    pf_set_max_workers(pf, 2);
    pf_begin(pf);
    is_int(in_huge_pages(data.start, size), 0, "... after pf_begin too: more may come until a fork");
    is_int(next_fork(pf).type, PF_EVENT_FORK, "a fork is due");
    is_int(in_huge_pages(data.start, size), size, "... and all of them are in huge ones");
    ok(is_intact(data.start, size), "... and what they were");
    pf_fork_failed(pf, NULL);

    {
        char *later = memory(2);
        fill_in(later, 2 * huge);
        is_int(next_fork(pf).type, PF_EVENT_FORK, "the next fork of the generation");
        is_int(in_huge_pages(later, 2 * huge), 0, "... moves nothing");
        pf_fork_failed(pf, NULL);
        pf_begin(pf);
        is_int(next_fork(pf).type, PF_EVENT_FORK, "the first one of the next generation");
        is_int(in_huge_pages(later, 2 * huge), 2 * huge, "... moves what has come since");
        pf_fork_failed(pf, NULL);
        munmap(later, 2 * huge);
    }
    pf_free(pf);
    munmap(data.start, size);
}

static void workers(void)
{
    pf_t *pf = manager(true);
    data.start = memory(8);
    data.size = 8 * huge;
    fill_in(data.start, data.size);
    run_generation(pf);
    is_int(in_huge_pages(data.start, data.size), data.size, "the manager has huge pages");
    fork_workers(pf, 1, until_killed, NULL);
    is_int(in_huge_pages(data.start, data.size), data.size, "... which it shares with a worker");
    data.start[huge] = 'p'; /* as it was */
    ok(in_huge_pages(data.start, data.size) < data.size, "... until it writes to one of them");
    pf_signal_all_children(pf, SIGKILL);
    pf_wait_all_children(pf, -1, NULL);
    run_generation(pf);
    is_int(in_huge_pages(data.start, data.size), data.size, "... and the next generation shares all again");
    finish(pf);
    munmap(data.start, data.size);
}

static void not_asked_for(void)
{
    pf_t *pf = pf_new();
    data.start = memory(4);
    data.size = 4 * huge;
    fill_in(data.start, data.size);
    pf_trap_signal(pf, SIGURG, 0, 0);
    run_generation(pf);
    is_int(in_huge_pages(data.start, data.size), 0, "who does not ask for huge pages has none");
    pf_set_huge_pages(pf, true);
    pf_set_huge_pages(pf, false);
    run_generation(pf);
    is_int(in_huge_pages(data.start, data.size), 0, "... nor who does not want them any more");
    finish(pf);
    munmap(data.start, data.size);
}

/* ---- what is left alone */

static void left_alone(void)
{
    pf_t *pf = manager(true);
    char *holes = memory(8), *zeros = memory(8), *excluded = memory(2), *unforked = memory(2);
    char *dense = memory(2);
    size_t at, before;
    volatile char sink = 0;
    for (at = 0; at < 8 * huge; at += 2 * small)
        holes[at] = 'h';
    for (at = 0; at < 8 * huge; at += small)
        sink = sink + zeros[at];
    fill_in(zeros, huge);
    fill_in(excluded, 2 * huge);
    madvise(excluded, 2 * huge, MADV_NOHUGEPAGE);
    fill_in(unforked, 2 * huge);
    madvise(unforked, 2 * huge, MADV_DONTFORK);
    /* Nearly full: a seventh more is allowed. */
    for (at = 0; at < 2 * huge; at += small)
        if (at / small % 10 != 9)
            dense[at] = 'd';
    before = resident();
    pf_set_max_workers(pf, 1);
    pf_begin(pf);
    is_int(next_fork(pf).type, PF_EVENT_FORK, "a fork is due");
    is_int(in_huge_pages(holes, 8 * huge), 0, "memory that is half holes is left alone");
    is_int(in_huge_pages(zeros, 8 * huge), huge, "... and what was read only, which is no memory yet");
    is_int(in_huge_pages(excluded, 2 * huge), 0, "... and what MADV_NOHUGEPAGE says no to");
    is_int(in_huge_pages(unforked, 2 * huge), 0, "... and what workers do not inherit");
    is_int(in_huge_pages(dense, 2 * huge), 2 * huge, "a few holes do not matter");
    ok(dense[0] == 'd' && dense[9 * small] == 0, "... and are zeros");
    ok(resident() < before + 4 * huge, "... it has cost next to no memory");
    pf_fork_failed(pf, NULL);
    pf_free(pf);
    munmap(holes, 8 * huge);
    munmap(zeros, 8 * huge);
    munmap(excluded, 2 * huge);
    munmap(unforked, 2 * huge);
    munmap(dense, 2 * huge);
}

/* A pool for whose manager a signal is pending has better things to do. */
static void signalled(void *unused)
{
    pf_t *pf = pf_new();
    sigset_t term;
    (void)unused;
    data.start = memory(4);
    data.size = 4 * huge;
    fill_in(data.start, data.size);
    pf_set_huge_pages(pf, true);
    pf_set_max_workers(pf, 1);
    pf_set_err_respawn_interval(pf, 0);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    raise(SIGTERM);
    pf_begin(pf);
    CHECK(next_fork(pf).type == PF_EVENT_FORK);
    CHECK(in_huge_pages(data.start, data.size) == 0);
    CHECK(is_intact(data.start, data.size));
    pf_fork_failed(pf, NULL);
    signal(SIGTERM, SIG_IGN);
    sigprocmask(SIG_UNBLOCK, &term, NULL);
    pf_begin(pf);
    CHECK(next_fork(pf).type == PF_EVENT_FORK);
    CHECK(in_huge_pages(data.start, data.size) == data.size);
    pf_free(pf);
}

/* ---- where the kernel does not do it */

/* From now on madvise(MADV_COLLAPSE) fails: with `of_empty` for an empty range, with `of_first` where the data
 * begin, with `of_others` for others; 0: it is done. */
static int refuse(unsigned of_empty, unsigned of_first, unsigned of_others)
{
#define ANSWER(error) BPF_STMT(BPF_RET | BPF_K, (error) ? SECCOMP_RET_ERRNO | (error) : SECCOMP_RET_ALLOW)
#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define UNLESS(value, skipped) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skipped)
    struct sock_filter filter[] = {
        LOAD(nr),
        UNLESS(SYS_madvise, 9),
        LOAD(args[2]),
        UNLESS(MADV_COLLAPSE, 7),
        LOAD(args[1]),
        UNLESS(0, 1),
        ANSWER(of_empty),
        LOAD(args[0]),
        UNLESS((uint32_t)(uintptr_t)data.start, 1),
        ANSWER(of_first),
        ANSWER(of_others),
        ANSWER(0),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

struct refusal {
    const char *debug;       /* the value of PREFORK_DEBUG, or NULL */
    unsigned of_empty, of_first, of_others;
    const char *said;        /* all that is to stand on stderr */
    size_t moved;            /* huge pages' worth of the data */
};

/* Three generations of workers, with stderr in a file. */
static void run_refused(void *argument)
{
    const struct refusal *refusal = argument;
    char path[256], said[4096];
    pf_t *pf = pf_new();
    ssize_t length;
    int generation, fd = open(temporary(path), O_RDWR);
    tap.diag_fd = dup(STDERR_FILENO);
    data.start = memory(16);
    data.size = 16 * huge;
    fill_in(data.start, data.size);
    if (refusal->debug)
        setenv("PREFORK_DEBUG", refusal->debug, 1);
    else
        unsetenv("PREFORK_DEBUG");
    error_of_first = refusal->of_first;
    if (!CHECK(refuse(refusal->of_empty, refusal->of_first, refusal->of_others)))
        return;
    dup2(fd, STDERR_FILENO);
    pf_trap_signal(pf, SIGURG, 0, 0);
    pf_set_huge_pages(pf, true);
    pf_set_on_child_reap(pf, on_reap, NULL);
    for (generation = 0; generation < 3; generation++) {
        fork_workers(pf, 2, reads_and_writes, NULL);
        CHECK(pf_wait_all_children(pf, -1, NULL) == PF_OK);
    }
    CHECK(failures == 0);
    CHECK(is_intact(data.start, data.size));
    CHECK(in_huge_pages(data.start, data.size) == refusal->moved * huge);
    length = pread(fd, said, sizeof said - 1, 0);
    said[length < 0 ? 0 : length] = '\0';
    if (!CHECK(strcmp(said, refusal->said) == 0))
        diag("stderr has: %s", said);
    unlink(path);
    finish(pf);
}

#define FAILED(why) "prefork: not all is in huge pages: madvise(MADV_COLLAPSE): " why "\n"

/* The data are moved in two pieces. `all_are`: the kernel lacks nothing but what is refused here. */
static void refused(int all_are)
{
    static const char lacking[] =
        "prefork: no huge pages: this kernel has none, or no MADV_COLLAPSE (Linux 6.1)\n";
    static const struct {
        const char *name;
        struct refusal refusal;
    } cases[] = {
        { "an older kernel", { "1", EINVAL, EINVAL, EINVAL, lacking, 0 } },
        { "an older kernel, and nobody asks", { NULL, EINVAL, EINVAL, EINVAL, "", 0 } },
        { "an older kernel, and PREFORK_DEBUG is 0", { "0", EINVAL, EINVAL, EINVAL, "", 0 } },
        { "a sandbox that does not know the call", { "1", ENOSYS, ENOSYS, ENOSYS, lacking, 0 } },
        { "no memory", { "1", 0, ENOMEM, 0, FAILED("Out of memory"), 0 } },
        { "the cgroup's limit", { "1", 0, EBUSY, 0, FAILED("Device or resource busy"), 0 } },
        { "pages that are in use", { "1", 0, EAGAIN, 0, FAILED("Try again"), 8 } },
        { "a range that is refused", { "1", 0, EINVAL, 0, FAILED("Invalid argument"), 8 } },
        { "each range is refused", { "1", 0, EINVAL, EINVAL, FAILED("Invalid argument"), 0 } },
        { "pages in use, and nobody asks", { NULL, 0, EAGAIN, 0, "", 8 } },
    };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof *cases; i++)
        if (all_are || cases[i].refusal.of_empty)
            is_int(in_child(run_refused, (void *)&cases[i].refusal), 0, "%s: workers run", cases[i].name);
}

int main(void)
{
    begin();
    small = (size_t)sysconf(_SC_PAGESIZE);
    huge = huge_page_size();
    /* A process must not stop at what its kernel lacks; what it has is tested where it is there. */
    if (huge == 0 || huge > 8 << 20 || madvise(NULL, 0, MADV_COLLAPSE) != 0) {
        skip("huge pages", "this kernel has none, or no MADV_COLLAPSE (Linux 6.1), or very large ones");
        huge = 2 << 20;
        not_asked_for();
        refused(0);
        return done();
    }
    when();
    workers();
    not_asked_for();
    left_alone();
    is_int(in_child(signalled, NULL), 0, "a signal that waits for the manager comes first");
    refused(1);
    return done();
}
