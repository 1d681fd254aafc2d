/* Compares a worker of pf_start with a child of fork(2): the masks and actions of signals, and the
 * open descriptors. Prints what differs. */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "prefork.h"

static char from_child[4096], from_worker[4096];
static int tell[2];

static void nothing(int signal)
{
    (void)signal;
}

static void facts(int to)
{
    char text[4096] = "", line[256];
    size_t used = 0;
    int fd;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, "SigBlk", 6) || !strncmp(line, "SigIgn", 6) || !strncmp(line, "SigCgt", 6))
            used += (size_t)sprintf(text + used, "%s", line);
    if (status)
        fclose(status);
    for (fd = 0; fd < 64; fd++) {
        struct stat is;
        if (fstat(fd, &is) == 0)
            used += (size_t)sprintf(text + used, "fd %d: %lu %o %o\n", fd, (unsigned long)is.st_ino,
                is.st_mode, fcntl(fd, F_GETFL));
    }
    if (write(to, text, used) < 0)
        perror("write");
}

static int32_t work(pf_t *pf, void *data)
{
    (void)pf;
    (void)data;
    facts(tell[1]);
    return 0;
}

static void reaped(pf_t *pf, const pf_event *exit, void *data)
{
    (void)pf;
    (void)exit;
    (void)data;
    kill(getpid(), SIGTERM);
}

int main(void)
{
    pf_t *pf;
    sigset_t set;
    struct sigaction action;
    pid_t pid;

    memset(&action, 0, sizeof action);
    action.sa_handler = nothing;
    sigaction(SIGUSR2, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGWINCH);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (pipe(tell) != 0)
        return 1;

    pid = fork();
    if (pid == 0) {
        facts(tell[1]);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    if (read(tell[0], from_child, sizeof from_child - 1) < 0)
        return 1;

    pf = pf_new();
    pf_set_max_workers(pf, 1);
    pf_trap_signal(pf, SIGTERM, 0, 0);
    pf_trap_signal(pf, SIGHUP, 0, 0);
    pf_set_on_child_reap(pf, reaped, NULL);
    if (pf_start(pf, work, NULL) != PF_OK)
        fprintf(stderr, "%s\n", pf_error_message(pf));
    if (read(tell[0], from_worker, sizeof from_worker - 1) < 0)
        return 1;
    pf_wait_all_children(pf, -1, NULL);
    pf_free(pf);
    if (strcmp(from_child, from_worker) == 0)
        printf("the same\n");
    else
        printf("a child:\n%s\na worker:\n%s", from_child, from_worker);
    return 0;
}
