/* What the system refuses for a while: nothing that was there is lost by that, and no child is taken for gone. */

#define _GNU_SOURCE
#include "tap.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/resource.h>

#ifdef __linux__
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

/* No descriptor is left when a process that the host has forked by itself becomes a manager. */
static void becomes_manager(void *data)
{
    pf_t *pf = pf_new();
    struct rlimit none = { 0, 0 }, before;
    pid_t pid;
    int status;
    (void)data;
    CHECK(pf_trap_signal(pf, SIGUSR1, 0, 0) == PF_OK);
    pid = fork();
    if (pid == 0) {
        getrlimit(RLIMIT_NOFILE, &before);
        none.rlim_max = before.rlim_max;
        setrlimit(RLIMIT_NOFILE, &none);
        CHECK(pf_begin(pf) == PF_ERR_SYSTEM);
        CHECK(pf_become_manager(pf) == PF_ERR_SYSTEM);
        setrlimit(RLIMIT_NOFILE, &before);
        CHECK(pf_begin(pf) == PF_OK);
        raise(SIGUSR1);
        CHECK(pf_peek_signal(pf) == SIGUSR1);
        pf_free(pf);
        _exit(checks());
    }
    waitpid(pid, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    pf_free(pf);
}

/* A host that watches the descriptor with epoll(7) sees by its number that it is another one. */
static void another_number(void *data)
{
    pf_t *pf = pf_new();
    pf_event event;
    int fd;
    (void)data;
    pf_set_max_workers(pf, 0);
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    pf_watch_children(pf);
    pf_begin(pf);
    do
        pf_next(pf, &event);
    while (event.type != PF_EVENT_WAIT);
    fd = event.fd;
    close(fd);
    CHECK(pf_trap_signal(pf, SIGUSR2, 0, 0) == PF_OK);
    do
        pf_next(pf, &event);
    while (event.type != PF_EVENT_WAIT);
    CHECK(event.fd >= 0 && event.fd != fd);
    CHECK(fcntl(event.fd, F_GETFD) >= 0);
    pf_free(pf);
}

static double processor_time(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec)
        + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* Where no descriptor is allowed poll(2) takes none: the manager sleeps all the same. */
static void no_descriptor(void *data)
{
    pf_t *pf = pf_new();
    pf_scoreboard_t *board = pf_scoreboard_new(NULL, 4);
    struct rlimit none = { 0, 0 }, before;
    pf_event event;
    (void)data;
    pf_set_max_workers(pf, 1);
    pf_set_scoreboard(pf, board);
    pf_set_spare_workers(pf, 1, 1, SIGTERM);
    fork_workers(pf, 1, until_killed, NULL);
    getrlimit(RLIMIT_NOFILE, &before);
    none.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_NOFILE, &none);
    CHECK(pf_wait(pf, 2, &event) == PF_OK && event.type == PF_EVENT_WAIT);
    CHECK(processor_time() < 1);
    setrlimit(RLIMIT_NOFILE, &before);
    pf_suspend(pf);
    finish(pf);
    pf_scoreboard_free(board);
}

#if defined(__linux__) && defined(SYS_waitid) && defined(SYS_ppoll) && defined(SYS_pselect6)
/* From here on the system refuses these calls. */
static void refuse(unsigned call, unsigned other, unsigned error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, other, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(77);
}

/* Filters that refuse what the library sleeps by: it sleeps by something else. */
static void sleeps_otherwise(void *data)
{
    const unsigned *other = (const unsigned *)data;
    pf_t *pf = pf_new();
    pf_event event;
    pid_t pid;
    refuse(SYS_ppoll, *other, ENOSYS);
    pf_set_max_workers(pf, 1);
    pf_trap_signal(pf, SIGUSR1, 0, 0);
    fork_workers(pf, 1, until_killed, NULL);
    /* This time may pass in several sleeps. */
    CHECK(pf_wait(pf, 1, &event) == PF_OK && event.type == PF_EVENT_WAIT);
    CHECK(processor_time() < 0.5);
    pid = pf_next_worker(pf, 0);
    pf_suspend(pf);
    kill(pid, SIGKILL);
    CHECK(pf_wait(pf, -1, &event) == PF_OK && event.type == PF_EVENT_REAPED && event.pid == pid);
    raise(SIGUSR1);
    CHECK(pf_peek_signal(pf) == SIGUSR1);
    finish(pf);
    _exit(checks());
}

/* A filter that refuses waitid(2): what it would say is not known, and nothing else. */
static void filtered(void *data)
{
    pf_t *pf = pf_new();
    pf_event event;
    pid_t pid;
    int i;
    (void)data;
    refuse(SYS_waitid, SYS_waitid, EPERM);
    pf_set_reap_foreign(pf, false);
    pf_set_max_workers(pf, 2);
    fork_workers(pf, 2, until_killed, NULL);
    for (i = 0; i < 20; i++) {
        pf_child_ended(pf, 0);
        CHECK(pf_next(pf, &event) == PF_OK && event.type == PF_EVENT_WAIT);
    }
    CHECK(pf_num_workers(pf) == 2);
    pid = pf_next_worker(pf, 0);
    pf_suspend(pf);
    kill(pid, SIGKILL);
    CHECK(pf_wait(pf, -1, &event) == PF_OK && event.type == PF_EVENT_REAPED && event.pid == pid);
    CHECK(event.status == SIGKILL && event.reason != PF_REASON_STOLEN);
    finish(pf);
    /* What a sanitizer does at the exit may be refused as well. */
    _exit(checks());
}
#endif

int main(void)
{
    begin();
    is_int(in_child(becomes_manager, NULL), 0,
        "no descriptor for a new manager: its traps are installed when there are some");
    is_int(in_child(another_number, NULL), 0, "a pipe that is made anew has another number");
    if (is_under_valgrind())
        skip("no descriptor is allowed", "Valgrind uses some of its own, and time");
    else
        is_int(in_child(no_descriptor, NULL), 0, "no descriptor is allowed: the manager sleeps all the same");
#if defined(__linux__) && defined(SYS_waitid) && defined(SYS_ppoll) && defined(SYS_pselect6)
    {
        static const unsigned other[] = { SYS_ppoll, SYS_pselect6 };
        size_t i;
        for (i = 0; i < sizeof other / sizeof *other; i++) {
            const int status = is_under_valgrind() ? 77 : in_child(sleeps_otherwise, (void *)(uintptr_t)&other[i]);
            if (status == 77)
                skip("what it sleeps by is refused", "no filter can be set here");
            else
                is_int(status, 0, "ppoll(2)%s is refused: the manager sleeps otherwise", i ? ", and pselect(2)," : "");
        }
    }
    {
        const int status = is_under_valgrind() ? 77 : in_child(filtered, NULL);
        if (status == 77)
            skip("waitid(2) is refused", "no filter can be set here");
        else
            is_int(status, 0, "waitid(2) is refused: no worker is taken for one that somebody else has reaped");
    }
#else
    skip("waitid(2) is refused", "there are no filters here");
#endif
    return done();
}
