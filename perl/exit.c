/* The end of a worker with fast_exit: perl's hook for threads is what runs between the flushing of
 * handles and the destruction of everything, and may end the process there. */

#include "host.h"

#include <stdio.h>
#include <unistd.h>

static thrhook_proc_t hook_before;

static int
leave_fast(pTHX)
{
    (void)hook_before(aTHX);
    fflush(NULL);
    _exit(STATUS_EXIT);
}

void
leave_fast_at_exit(pTHX)
{
    if (PL_threadhook != leave_fast) {
        hook_before = PL_threadhook;
        PL_threadhook = leave_fast;
    }
}
