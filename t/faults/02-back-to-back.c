/* The C host of 02-back-to-back.t, in the manner of the Perl one there. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "prefork.h"

static int told[2];

static void spin(double seconds)
{
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) / 1e9
        < seconds);
}

static double some(double seconds)
{
    return seconds * rand() / RAND_MAX;
}

/* Tells of each signal it gets; both are blocked since before the fork. */
static int32_t work(pf_t *pf, void *data)
{
    sigset_t set;
    (void)pf;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    alarm(600); /* it may be stopped or forgotten; the manager ends long before */
    close(*(int *)data);
    close(told[0]);
    if (write(told[1], "up\n", 3) != 3)
        return 1;
    for (;;) {
        const int signal = sigwaitinfo(&set, NULL);
        if (signal > 0 && write(told[1], signal == SIGUSR1 ? "USR1\n" : "USR2\n", 5) != 5)
            return 1;
    }
}

static void lost(pf_t *pf, void *data)
{
    (void)data;
    if (pf_max_workers(pf) == 1)
        return;
    printf("TERM, and runs on, ");
    exit(0);
}

static void close_ours(pf_t *pf, int32_t pid, void *data)
{
    (void)pf;
    (void)pid;
    (void)data;
    close(told[1]);
}

/* Runs the pool, and returns whether TERM ended it. */
static int stopped(pf_t *pf, int *sent)
{
    int signal;
    if (pf_start(pf, work, sent) != PF_OK)
        exit(1);
    signal = pf_signal_received(pf);
    printf(signal == SIGHUP ? "HUP " : "TERM ");
    return signal == SIGTERM;
}

static void manage(int sent)
{
    char got[256] = "", byte;
    size_t length = 0;
    int signals = 0, hups = 0;
    sigset_t set;
    pf_t *pf = pf_new();
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    pf_set_max_workers(pf, 1);
    pf_set_before_fork(pf, lost, NULL);
    pf_set_after_fork(pf, close_ours, NULL);
    pf_trap_signal(pf, SIGHUP, SIGUSR1, 0);
    pf_trap_signal(pf, SIGTERM, SIGUSR2, 0);
    while (!stopped(pf, &sent))
        hups++;
    while (read(sent, &byte, 1) != 0)
        ;
    if (hups == 0) {
        pf_set_max_workers(pf, 2);
        stopped(pf, &sent);
    }
    while (signals < 2 && read(told[0], &byte, 1) == 1) {
        signals += byte == '\n';
        got[length++] = byte == '\n' ? ' ' : byte;
    }
    pf_signal_all_children(pf, SIGKILL);
    pf_wait_all_children(pf, -1, NULL);
    while (length < sizeof(got) - 1 && read(told[0], &byte, 1) == 1)
        got[length++] = byte == '\n' ? ' ' : byte;
    printf("worker %s", strncmp(got, "USR2 USR1 ", 11) == 0 ? "USR1 USR2 " : got);
    exit(0);
}

int main(int argc, char **argv)
{
    const int trials = argc > 1 ? atoi(argv[1]) : 1;
    int trial;
    for (trial = 0; trial < trials; trial++) {
        int sent[2], status, length = 0;
        char up[4] = "";
        pid_t manager;
        if (pipe(told) != 0 || pipe(sent) != 0)
            return 1;
        manager = fork();
        if (manager < 0)
            return 1;
        if (manager == 0) {
            close(sent[1]);
            manage(sent[0]);
        }
        printf("manager %d\n", (int)manager);
        fflush(stdout);
        close(told[1]);
        while (length < 3 && read(told[0], up + length, 1) == 1)
            length++;
        close(told[0]);
        spin(some(0.0005));
        kill(manager, trial % 2 ? SIGTERM : SIGHUP);
        spin(trial % 4 < 2 ? 0 : some(0.0002));
        kill(manager, trial % 2 ? SIGHUP : SIGTERM);
        close(sent[0]);
        close(sent[1]);
        waitpid(manager, &status, 0);
        printf("end %d\n", status);
        fflush(stdout);
    }
    return 0;
}
