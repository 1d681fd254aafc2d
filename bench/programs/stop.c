/* stop PID...
 *
 * The end of stay-bare.pl in C. The process of stay-bare.pl executes this program, so its workers stay its children. TERM
 * is blocked when it begins; this program takes it.
 */

#include "worker.h"
#include <err.h>
#include <signal.h>
#include <sys/wait.h>

int main(int argc, char **argv)
{
    sigset_t term;
    int signal, i;

    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    if (sigwait(&term, &signal))
        errx(1, "sigwait");
    for (i = 1; i < argc; i++)
        if (kill((pid_t)atol(argv[i]), SIGTERM))
            err(1, "kill %s", argv[i]);
    while (wait(NULL) > 0)
        ;
    say("stopped\n");
    return 0;
}
