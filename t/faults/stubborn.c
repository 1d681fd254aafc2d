/* A worker that TERM does not end, for any manager to execute:
 *
 *     stubborn KIND [group]
 *
 * KIND is what keeps it: ignores (it ignores TERM), stopped (SIGSTOP), traced (another process has stopped it by
 * ptrace(2)), vfork (it waits for a child that never executes anything) or helper (it ignores TERM, and so does a
 * process that it has forked and that has all its files). It says "up PID KIND" as it comes to that. With "group" it
 * leads a process group, and its helper says "helper PID". "stubborn can-trace" exits with 0 if ptrace(2) is to be
 * had here.
 *
 * Nobody outlives the manager, and no process that a worker has forked outlives the worker, but for the helper of a
 * group: that ends by KILL to the group, or by its alarm. */

#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* Seconds after which a helper is of no use to any test. */
#define LAST_RESORT 300

static void nothing(int signal)
{
    (void)signal;
}

/* In one piece: others write there too. */
static void say(const char *word, pid_t pid, const char *kind)
{
    char line[80];
    const int length = snprintf(line, sizeof line, "%s %d %s\n", word, (int)pid, kind);
    if (write(STDOUT_FILENO, line, (size_t)length) != length)
        _exit(1);
}

static void wait_for_ever(void)
{
    for (;;)
        pause();
}

/* A process ends with its parent, also if that has ended already. */
static void end_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
}

/* Stops the process `worker` for as long as this one lives. */
static int trace(pid_t worker)
{
    int status;
    return ptrace(PTRACE_SEIZE, worker, NULL, NULL) == 0 && ptrace(PTRACE_INTERRUPT, worker, NULL, NULL) == 0
        && waitpid(worker, &status, __WALL) == worker;
}

static void be_traced(void)
{
    const pid_t self = getpid();
    if (fork() == 0) {
        end_with(self);
        signal(SIGTERM, SIG_IGN); /* it is in the worker's group */
        if (!trace(self))
            _exit(1);
        say("up", self, "traced");
        wait_for_ever();
    }
    wait_for_ever();
}

/* Without a handler for TERM the system would end it. */
static void wait_by_vfork(void)
{
    const pid_t self = getpid();
    signal(SIGTERM, nothing);
    say("up", self, "vfork");
    if (vfork() == 0) {
        end_with(self);
        wait_for_ever();
    }
    _exit(1);
}

static void have_helper(int is_group)
{
    const pid_t self = getpid();
    signal(SIGTERM, SIG_IGN);
    if (fork() == 0) {
        if (is_group) {
            alarm(LAST_RESORT);
            say("helper", getpid(), "");
        } else
            end_with(self);
        wait_for_ever();
    }
    say("up", self, "helper");
    wait_for_ever();
}

static int can_trace(void)
{
    const pid_t child = fork();
    int can;
    if (child == 0) {
        end_with(getppid());
        wait_for_ever();
    }
    can = child > 0 && trace(child);
    kill(child, SIGKILL);
    return can;
}

int main(int argc, char **argv)
{
    const char *kind = argc > 1 ? argv[1] : "";
    const int is_group = argc > 2;
    if (strcmp(kind, "can-trace") == 0)
        return !can_trace();
    end_with(getppid());
    if (is_group)
        setpgid(0, 0);
    if (strcmp(kind, "traced") == 0)
        be_traced();
    if (strcmp(kind, "vfork") == 0)
        wait_by_vfork();
    if (strcmp(kind, "helper") == 0)
        have_helper(is_group);
    if (strcmp(kind, "ignores") == 0)
        signal(SIGTERM, SIG_IGN);
    say("up", getpid(), kind);
    if (strcmp(kind, "stopped") == 0)
        raise(SIGSTOP);
    wait_for_ever();
}
