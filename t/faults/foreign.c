/* A C manager beside code that has children of its own: on_child_reap and a thread call system(3),
 * popen(3), and fork(2) with waitpid(2), while workers come and go. The arguments: how often each
 * of the two does so, and whether the manager reaps foreign children. Prints what came of it. */

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "prefork.h"

static int rounds;
static int wrong_in_hook;
static int wrong_in_thread;
static int in_hook;
static int in_thread;
static int workers_ended;
static int wrong_statuses;
static volatile int thread_is_done;

/* How many of the ways to have a child have not given the status that it ended with. One child has
 * ended for so many microseconds before anybody waits for it. */
static int own_children(int code, useconds_t unwaited)
{
    char command[40];
    FILE *output;
    pid_t pid;
    int status = -1;
    int wrong = 0;
    snprintf(command, sizeof command, "exit %d", code);
    if (system(command) != code << 8)
        wrong++;
    output = popen(command, "r");
    if (!output || pclose(output) != code << 8)
        wrong++;
    pid = fork();
    if (pid == 0)
        _exit(code);
    usleep(unwaited);
    if (waitpid(pid, &status, 0) != pid || status != code << 8)
        wrong++;
    return wrong;
}

static void *thread(void *data)
{
    (void)data;
    for (; in_thread < rounds; in_thread++)
        wrong_in_thread += own_children(1 + in_thread % 200, 20000);
    thread_is_done = 1;
    return NULL;
}

static int32_t work(pf_t *pf, void *data)
{
    (void)data;
    usleep((useconds_t)(getpid() % 20) * 100);
    return 1 + pf_worker_index(pf);
}

static void on_child_reap(pf_t *pf, const pf_event *exit, void *data)
{
    (void)data;
    if (exit->reason != PF_REASON_FOREIGN) {
        workers_ended++;
        if (exit->status != (int32_t)(1 + exit->index) << 8)
            wrong_statuses++;
    }
    /* In between the manager reaps whoever has ended, and the thread's must not be among them. */
    if (in_hook < rounds && workers_ended % 8 == 0)
        wrong_in_hook += own_children(1 + in_hook++ % 200, 1000);
    else if (in_hook >= rounds && thread_is_done)
        pf_signal(pf, SIGTERM);
}

static int forks;

static void after_fork(pf_t *pf, int32_t pid, void *data)
{
    (void)pf;
    (void)pid;
    (void)data;
    forks++;
}

int main(int argc, char **argv)
{
    pthread_t beside;
    size_t left = 99;
    pf_t *pf = pf_new();
    rounds = argc > 1 ? atoi(argv[1]) : 1;
    alarm(argc > 2 ? (unsigned)atoi(argv[2]) : 60);
    pf_set_max_workers(pf, 8);
    pf_set_err_respawn_interval(pf, 0);
    pf_trap_signal(pf, SIGTERM, SIGKILL, 0);
    pf_set_reap_foreign(pf, false);
    pf_set_on_child_reap(pf, on_child_reap, NULL);
    pf_set_after_fork(pf, after_fork, NULL);
    if (pthread_create(&beside, NULL, thread, NULL) != 0)
        return 1;
    if (pf_start(pf, work, NULL) != PF_OK)
        return 2;
    pf_set_on_child_reap(pf, NULL, NULL);
    pthread_join(beside, NULL);
    /* These were alive at the end, or had not been reported. */
    left = pf_num_workers(pf);
    printf("forks %d\nended %d\nleft %d\n", forks, workers_ended, (int)left);
    pf_wait_all_children(pf, -1, &left);
    printf("hook %d\nhook wrong %d\nthread %d\nthread wrong %d\nstatus wrong %d\nafterwards %d\n",
        3 * in_hook, wrong_in_hook, 3 * in_thread, wrong_in_thread, wrong_statuses, (int)left);
    pf_free(pf);
    return 0;
}
