/* What the tests in C share: TAP on stdout, a deadline for each process, checks in workers that
 * become their exit status, and waiting without a race. */

#ifndef TAP_H
#define TAP_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "prefork-host.h"

static struct {
    pid_t owner;
    unsigned deadline;
    int tests;
    int failed;
    int checks_failed;
    int diag_fd;
    int *processes;
    char title[512];
} tap = { .diag_fd = STDERR_FILENO };

static inline void diag(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline void diag(const char *format, ...)
{
    char text[1024];
    va_list args;
    int length;
    va_start(args, format);
    length = snprintf(text, sizeof text, "# ");
    length += vsnprintf(text + length, sizeof text - length - 1, format, args);
    va_end(args);
    if (length > (int)sizeof text - 2)
        length = (int)sizeof text - 2;
    text[length++] = '\n';
    /* In one piece, and past stdio: workers write here too. */
    if (write(tap.diag_fd, text, length) < 0)
        return;
}

/* AddressSanitizer does not set free the locks of its heap in a fork: a child of a process in which other
 * threads allocate may not allocate. */
#ifdef __SANITIZE_ADDRESS__
#define HEAP_HAS_NO_FORK 1
#else
#define HEAP_HAS_NO_FORK 0
#endif

/* Memory that this process and all that it forks have in common; zero. */
static inline void *shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        abort();
    return memory;
}

/* A fork does not inherit the alarm. */
static inline void tap_arm(void)
{
    alarm(tap.deadline);
}

static inline void tap_in_child(void)
{
    __atomic_add_fetch(tap.processes, 1, __ATOMIC_SEQ_CST);
    tap.checks_failed = 0;
    tap_arm();
}

/* First of all, in main. */
static inline void begin(void)
{
    const char *deadline = getenv("PF_TEST_DEADLINE");
    tap.owner = getpid();
    tap.deadline = deadline ? (unsigned)atoi(deadline) : 600;
    tap_arm();
    tap.processes = shared(sizeof *tap.processes);
    *tap.processes = 1;
    pthread_atfork(NULL, NULL, tap_in_child);
}

/* The name of a test. One that begins with "..." goes on with that of the last test that does not, so that a line alone
 * tells what has failed. */
static inline void tap_print_name(const char *name)
{
    if (strncmp(name, "...", 3) == 0)
        printf("%s ", tap.title);
    else
        snprintf(tap.title, sizeof tap.title, "%s", name);
    printf("%s", name);
}

static inline int tap_result(int passed, const char *format, va_list args)
{
    char name[sizeof tap.title];
    if (getpid() != tap.owner) {
        diag("a test outside of the process that counts them: %s", format);
        abort();
    }
    tap.tests++;
    tap.failed += !passed;
    printf("%sok %d - ", passed ? "" : "not ", tap.tests);
    vsnprintf(name, sizeof name, format, args);
    tap_print_name(name);
    printf("\n");
    fflush(stdout);
    return passed;
}

static inline int ok(int passed, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline int ok(int passed, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tap_result(passed, format, args);
    va_end(args);
    return passed;
}

static inline int is_int(intmax_t got, intmax_t expected, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static inline int is_int(intmax_t got, intmax_t expected, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!tap_result(got == expected, format, args))
        diag("got %jd, expected %jd", got, expected);
    va_end(args);
    return got == expected;
}

static inline int is_str(const char *got, const char *expected, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static inline int is_str(const char *got, const char *expected, const char *format, ...)
{
    int same = got && expected ? strcmp(got, expected) == 0 : got == expected;
    va_list args;
    va_start(args, format);
    if (!tap_result(same, format, args))
        diag("got \"%s\", expected \"%s\"", got ? got : "(null)", expected ? expected : "(null)");
    va_end(args);
    return same;
}

/* Passes if `part` occurs in `text`. */
static inline int has(const char *text, const char *part, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static inline int has(const char *text, const char *part, const char *format, ...)
{
    int found = text && strstr(text, part) != NULL;
    va_list args;
    va_start(args, format);
    if (!tap_result(found, format, args))
        diag("no \"%s\" in \"%s\"", part, text ? text : "(null)");
    va_end(args);
    return found;
}

/* Passes if `got` is no less than `least`. Seconds have no upper bound that a busy machine keeps. */
static inline int at_least(double got, double least, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static inline int at_least(double got, double least, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!tap_result(got >= least, format, args))
        diag("got %g, expected %g at least", got, least);
    va_end(args);
    return got >= least;
}

static inline void skip(const char *name, const char *reason)
{
    printf("ok %d - ", ++tap.tests);
    tap_print_name(name);
    printf(" # SKIP %s\n", reason);
    fflush(stdout);
}

/* Last of all, in main; returns its exit status. */
static inline int done(void)
{
    printf("# %d processes\n1..%d\n", *tap.processes, tap.tests);
    fflush(stdout);
    return tap.failed > 0;
}

/* In a worker, where ok may not be called: a failure is shown, and goes into `checks`. */
#define CHECK(what) tap_check(!!(what), #what, __FILE__, __LINE__)

static inline int tap_check(int passed, const char *what, const char *file, int line)
{
    if (!passed) {
        diag("%s:%d: in process %d: not so: %s", file, line, (int)getpid(), what);
        tap.checks_failed++;
    }
    return passed;
}

/* What a worker returns: 0 if each CHECK of this process has passed. */
static inline int checks(void)
{
    return tap.checks_failed > 0;
}

/* Seconds on a clock that does not jump. */
static inline double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static inline void nap(void)
{
    struct timespec piece = { 0, 5000000 };
    nanosleep(&piece, NULL);
}

/* Waits until something is so, which other processes or threads do in their own time; the alarm ends
 * it if that never comes. */
#define UNTIL(what) \
    do { \
        while (!(what)) \
            nap(); \
    } while (0)

static inline int same_mask(const sigset_t *one, const sigset_t *other)
{
    int signal, same = 1;
    for (signal = 1; signal <= SIGRTMAX; signal++)
        same &= sigismember(one, signal) == sigismember(other, signal);
    return same;
}

static inline int is_readable(int fd)
{
    struct pollfd pollfd = { fd, POLLIN, 0 };
    return poll(&pollfd, 1, 0) == 1;
}

/* Whether a process sleeps in a system call. */
static inline int is_asleep(pid_t pid)
{
    char path[64], state = '?';
    FILE *stat;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    stat = fopen(path, "r");
    if (!stat)
        return 1; /* no /proc: nothing can be told */
    if (fscanf(stat, "%*d (%*[^)]) %c", &state) != 1)
        state = '?';
    fclose(stat);
    return state == 'S';
}

/* Valgrind does some system calls before it applies the limits of the program, or in its own way. */
static inline int is_under_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded && strstr(preloaded, "vgpreload");
}

#define ADD(counter, n) __atomic_add_fetch(&(counter), (n), __ATOMIC_SEQ_CST)
#define GET(counter) __atomic_load_n(&(counter), __ATOMIC_SEQ_CST)
#define SET(counter, n) __atomic_store_n(&(counter), (n), __ATOMIC_SEQ_CST)

/* A file of this name is made; the caller unlinks it. */
static inline char *temporary(char path[static 256])
{
    const char *folder = getenv("TMPDIR");
    int fd;
    snprintf(path, 256, "%s/prefork-c-XXXXXX", folder ? folder : "/tmp");
    fd = mkstemp(path);
    if (fd < 0)
        abort();
    close(fd);
    return path;
}

/* Forks a process that is no worker and runs `code` in it; returns its exit status, or 128 and the
 * signal that killed it. */
static inline int in_child(void (*code)(void *data), void *data)
{
    int status;
    pid_t pid;
    fflush(stdout);
    pid = fork();
    if (pid < 0)
        abort();
    if (pid == 0) {
        code(data);
        exit(checks());
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            abort();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A worker that stays until a signal ends it. */
static inline int32_t until_killed(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    while (1)
        pause();
    return 99;
}

/* A worker that goes at once, well. */
static inline int32_t at_once(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    return 0;
}

/* Runs a pool until `workers` have been forked, and returns; they go on. */
struct forks_wanted {
    uint32_t forked, wanted;
};

static inline void stop_when_forked(pf_t *pf, int32_t pid, void *data)
{
    struct forks_wanted *forks = data;
    (void)pid;
    if (++forks->forked == forks->wanted)
        pf_signal(pf, SIGURG);
}

static inline void fork_workers(pf_t *pf, uint32_t workers, pf_worker_fn worker, void *data)
{
    struct forks_wanted forks = { 0, workers };
    pf_set_max_workers(pf, workers);
    pf_set_after_fork(pf, stop_when_forked, &forks);
    if (pf_start(pf, worker, data) != PF_OK || pf_signal_received(pf) != SIGURG
            || pf_num_workers(pf) != workers) {
        diag("fork_workers: %zu workers: %s", pf_num_workers(pf), pf_error_message(pf));
        abort();
    }
    pf_set_after_fork(pf, NULL, NULL);
}

/* Ends all workers by KILL, waits for them, and frees the manager. */
static inline void finish(pf_t *pf)
{
    size_t left = 99;
    pf_set_on_child_reap(pf, NULL, NULL);
    if (pf_signal_all_children(pf, SIGKILL) != PF_OK
            || pf_wait_all_children(pf, -1, &left) != PF_OK || left != 0) {
        diag("finish: %zu workers left: %s", left, pf_error_message(pf));
        abort();
    }
    pf_free(pf);
}

#endif
