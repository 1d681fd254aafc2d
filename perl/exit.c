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

static bool
holds_something(pTHX_ SV *value)
{
    switch (SvTYPE(value)) {
        case SVt_PVAV:
            return AvFILLp((AV *)value) >= 0;
        case SVt_PVHV:
            return HvUSEDKEYS((HV *)value) > 0;
        default:
            return SvOK(value);
    }
}

/* exit frees the "my" variables of the file, one by one, before the hook can see it. One that
 * somebody else has a claim on is left alone; those that hold nothing may belong to a block that is
 * still to come. */
static void
keep_lexicals(pTHX)
{
    PADLIST *padlist = PL_main_cv ? CvPADLIST(PL_main_cv) : NULL;
    PADNAMELIST *names = padlist ? PadlistNAMES(padlist) : NULL;
    PAD *pad = padlist && PadlistMAX(padlist) >= 1 ? PadlistARRAY(padlist)[1] : NULL;
    SSize_t i;
    for (i = 1; names && pad && i <= PadnamelistMAX(names) && i <= PadMAX(pad); i++) {
        PADNAME *name = PadnamelistARRAY(names)[i];
        SV *value = PadARRAY(pad)[i];
        if (name && PadnamePV(name) && PadnameLEN(name) > 1 && value && !PadnameOUTER(name)
                && !PadnameIsOUR(name) && holds_something(aTHX_ value))
            SvREFCNT_inc_void(value);
    }
}

void
leave_worker(pTHX_ bool fast)
{
    fast_process = fast ? getpid() : 0;
    if (fast)
        keep_lexicals(aTHX);
    if (PL_threadhook != leave) {
        hook_before = PL_threadhook;
        PL_threadhook = leave;
    }
}
