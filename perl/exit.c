/* The end of a worker. Perl's hook for threads runs between the flushing of handles and the
 * destruction of everything: here that is made shorter, or with fast_exit left out. */

#include "host.h"

#include <stdio.h>
#include <unistd.h>

static thrhook_proc_t hook_before;
static const void *worker;    /* the interpreter: threads of the worker's have others */
static pid_t fast_process;    /* what it forks by itself is no worker */

#ifdef MULTIPLICITY
#define THIS_INTERPRETER aTHX
#else
#define THIS_INTERPRETER &fast_process
#endif

static int
leave(pTHX)
{
    const int is_vetoed = hook_before(aTHX);
    if (worker != THIS_INTERPRETER)
        return is_vetoed;
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

/* The last statement of the file that is in no block. */
static U32
last_statement(pTHX)
{
    U32 last = 0;
    const OP *op = PL_main_root && (PL_main_root->op_flags & OPf_KIDS)
        ? cUNOPx(PL_main_root)->op_first : NULL;
    for (; op; op = OpSIBLING(op))
        if (op->op_type == OP_NEXTSTATE || op->op_type == OP_DBSTATE)
            last = cCOPx(op)->cop_seq;
    return last;
}

/* exit frees the "my" variables of the file, one by one, before the hook can see it. One that
 * somebody else has a claim on is left alone. Those of a block, which may be left and entered
 * again before the exit, are out of scope where the file's last statement is. */
static void
keep_lexicals(pTHX)
{
    PADLIST *padlist = PL_main_cv ? CvPADLIST(PL_main_cv) : NULL;
    PADNAMELIST *names = padlist ? PadlistNAMES(padlist) : NULL;
    PAD *pad = padlist && PadlistMAX(padlist) >= 1 ? PadlistARRAY(padlist)[1] : NULL;
    const U32 last = last_statement(aTHX);
    SSize_t i;
    for (i = 1; names && pad && i <= PadnamelistMAX(names) && i <= PadMAX(pad); i++) {
        PADNAME *name = PadnamelistARRAY(names)[i];
        SV *value = PadARRAY(pad)[i];
        if (name && PadnamePV(name) && PadnameLEN(name) > 1 && value && !PadnameOUTER(name)
                && !PadnameIsOUR(name) && COP_SEQ_RANGE_HIGH(name) >= last && holds_something(aTHX_ value))
            SvREFCNT_inc_void(value);
    }
}

void
leave_worker(pTHX_ bool fast)
{
    worker = THIS_INTERPRETER;
    fast_process = fast ? getpid() : 0;
    if (fast)
        keep_lexicals(aTHX);
    if (PL_threadhook != leave) {
        hook_before = PL_threadhook;
        PL_threadhook = leave;
    }
}
