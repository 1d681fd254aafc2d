/* The end of a worker. Perl's hook for threads runs between the flushing of handles and the
 * destruction of everything: here that is made shorter, or with fast_exit left out. */

#include "host.h"

#include <stdio.h>
#include <unistd.h>

static thrhook_proc_t hook_before;
static pid_t fast_process;    /* what it forks by itself is no worker */

static int
leave(pTHX)
{
    const int is_vetoed = hook_before(aTHX);
    if (fast_process == getpid()) {
        fflush(NULL);
        _exit(STATUS_EXIT);
    }
    /* Perl would free the code of the main program, op by op, which is nothing that a program
     * can see; each page that it wrote to for that would be copied first. */
    PL_main_root = NULL;
    return is_vetoed;
}

void
leave_worker(pTHX_ bool fast)
{
    fast_process = fast ? getpid() : 0;
    if (PL_threadhook != leave) {
        hook_before = PL_threadhook;
        PL_threadhook = leave;
    }
}
