/* The C host of 22-worker-timeout.t. Its first argument says what the workers do:
 *
 *     near TIMEOUT PERIODS MARGIN    so many busy periods, which end less than MARGIN seconds before they are due
 *     hung TIMEOUT KIND GRACE        hang: in "a loop", "C" (no signal is let in), "a lock" or "the hook"
 *     steady TIMEOUT SECONDS STEP    one piece of work after the other
 *
 * While they are steady, USR1 makes the present piece of work take SECONDS more, USR2 makes it take for ever, and
 * whoever gets URG has a clock that is STEP seconds later.
 *
 * They end by TERM to the manager. What is said of them is the same as of the workers in Perl there. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "prefork-host.h"

/* A C library that is older than time namespaces does not know it (sched.h of Linux, since 5.6). */
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

#define WORKERS 4
#define PIECE 20 /* naps */

/* What a worker of "near" is at; shared memory, by its index. */
static struct record {
    double due;
    int state, in_time, late;
} *records;

enum { BUSY, DONE_IN_TIME, DONE_LATE };

static const char *kind;
static double timeout, seconds, margin;
static int periods;
static volatile sig_atomic_t is_slow, hangs;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* In one piece: others write there too. */
static void say(const char *word, double time)
{
    char line[80];
    const int length = snprintf(line, sizeof line, "%s %d %.9f\n", word, (int)getpid(), time);
    if (write(STDOUT_FILENO, line, (size_t)length) != length)
        _exit(1);
}

static void nap(double length)
{
    const struct timespec time = { 0, (long)(length * 1e9) };
    if (length > 0)
        nanosleep(&time, NULL);
}

static void loop(void)
{
    static volatile int turns;
    while (turns >= 0)
        turns = 1;
}

static int32_t near(pf_t *pf, void *data)
{
    struct record *record = &records[pf_worker_index(pf)];
    unsigned short seed[3] = { (unsigned short)getpid() };
    pf_own_line line;
    int i;
    (void)data;
    record->state = DONE_IN_TIME;
    record->in_time = record->late = 0;
    if (!pf_work_line(pf, &line))
        return 1;
    for (i = 0; i < periods; i++) {
        double end;
        /* Not before that, but when exactly is to be seen only afterwards. */
        record->due = now() + timeout;
        record->state = BUSY;
        pf_busy(pf, 0);
        record->due = (double)__atomic_load_n(line.due, __ATOMIC_SEQ_CST) / 1e9;
        end = record->due - margin * erand48(seed);
        nap(end - now() - 0.0005);
        while (now() < end)
            ;
        pf_idle(pf);
        record->state = now() < record->due ? DONE_IN_TIME : DONE_LATE;
        record->in_time += record->state == DONE_IN_TIME;
        record->late += record->state == DONE_LATE;
    }
    return 0;
}

static void hangs_in_handler(int signal)
{
    (void)signal;
    loop();
}

static int32_t hung(pf_t *pf, void *data)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    sigset_t all;
    (void)data;
    signal(SIGABRT, hangs_in_handler);
    say("busy", now());
    pf_busy(pf, 0);
    if (strcmp(kind, "a lock") == 0) {
        pthread_mutex_lock(&lock);
        pthread_mutex_lock(&lock);
    }
    if (strcmp(kind, "C") == 0) {
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, NULL);
        for (;;)
            pause();
    }
    loop();
    return 1;
}

static void be_slow(int signal)
{
    (void)signal;
    is_slow = 1;
}

static void hang(int signal)
{
    (void)signal;
    hangs = 1;
}

static int32_t steady(pf_t *pf, void *data)
{
    int is_first = 1;
    (void)data;
    for (;;) {
        int i;
        pf_busy(pf, 0);
        for (i = 0; i < PIECE; i++)
            nap(0.01);
        if (is_slow) {
            const double end = now() + seconds;
            is_slow = 0;
            while (now() < end)
                nap(0.01);
        }
        while (hangs)
            nap(0.01);
        if (is_first)
            say("up", now());
        is_first = 0;
        pf_idle(pf);
    }
    return 1;
}

/* Another time namespace, whose clock is so many seconds later. Whoever gets URG goes there. */
static int later;

static void go_there(int signal)
{
    (void)signal;
    if (setns(later, CLONE_NEWTIME) != 0)
        _exit(1);
}

static int make_later(const char *step)
{
    char offset[80];
    const int length = snprintf(offset, sizeof offset, "monotonic %s 0\n", step);
    const int here = open("/proc/self/ns/time", O_RDONLY);
    int offsets;
    if (here < 0 || unshare(CLONE_NEWTIME) != 0)
        return 0;
    offsets = open("/proc/self/timens_offsets", O_WRONLY);
    if (offsets < 0 || write(offsets, offset, (size_t)length) != length)
        return 0;
    later = open("/proc/self/ns/time_for_children", O_RDONLY);
    /* Otherwise the workers would be there from the beginning. */
    return later >= 0 && setns(here, CLONE_NEWTIME) == 0;
}

static void on_child_reap(pf_t *pf, const pf_event *exit, void *data)
{
    const struct record *record = &records[exit->index];
    (void)pf;
    (void)data;
    printf("reaped %d %d %d %.9f %d %d\n", (int)exit->pid, (int)exit->status, record->state, record->due,
        record->in_time, record->late);
}

int main(int argc, char **argv)
{
    pf_t *pf = pf_new();
    pf_worker_fn work = near;
    double grace = 0;
    if (argc < 5)
        return 1;
    timeout = atof(argv[2]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    records = mmap(NULL, WORKERS * sizeof *records, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (strcmp(argv[1], "near") == 0) {
        periods = atoi(argv[3]);
        margin = atof(argv[4]);
    } else if (strcmp(argv[1], "hung") == 0) {
        work = hung;
        kind = argv[3];
        grace = atof(argv[4]);
    } else {
        work = steady;
        seconds = atof(argv[3]);
        signal(SIGUSR1, be_slow);
        signal(SIGUSR2, hang);
        if (atof(argv[4]) > 0 && !make_later(argv[4])) {
            printf("refused\n");
            return 0;
        }
        signal(SIGURG, go_there);
    }
    pf_set_max_workers(pf, WORKERS);
    pf_set_err_respawn_interval(pf, 0);
    pf_set_worker_timeout(pf, timeout, grace);
    pf_trap_signal(pf, SIGTERM, SIGKILL, 0);
    pf_set_on_child_reap(pf, on_child_reap, NULL);
    if (pf_start(pf, work, NULL) != PF_OK)
        return 1;
    pf_set_on_child_reap(pf, NULL, NULL);
    pf_wait_all_children(pf, -1, NULL);
    pf_free(pf);
    return 0;
}
