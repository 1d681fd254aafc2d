/* churn-bare FORKS POOL
 *
 * The bare loop against which pf_start is measured. STDIN and STDOUT are as in churn-manager.pl.
 */

#include "worker.h"
#include <err.h>
#include <sys/wait.h>

int main(int argc, char **argv)
{
    const long forks = argc > 2 ? atol(argv[1]) : 0;
    const long pool = argc > 2 ? atol(argv[2]) : 0;
    long forked = 0, live = 0;

    say("begin\n");
    while (forked < forks) {
        pid_t pid;
        if (live == pool) {
            wait(NULL);
            live--;
        }
        pid = fork();
        if (pid < 0)
            err(1, "fork");
        if (pid == 0) {
            work();
            exit(0);
        }
        forked++;
        live++;
    }
    while (wait(NULL) > 0)
        ;
    return 0;
}
