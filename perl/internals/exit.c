/* The end of a worker.
 *
 * At exit perl looks at all values four times and destroys what it can. In a worker each page that this writes to is copied
 * first. So the worker looks once whether anybody could see the destruction (destruction.c), and leaves it out if not.
 * END blocks have run by then, and handles are flushed. Functions of atexit(3) follow. Perl's hook for threads
 * (PL_threadhook) makes this possible: perl calls it after the flush and before the destruction, and it may forbid the
 * latter.
 *
 * With fast_exit nobody looks: `leave` closes those handles for which that is work, and calls _exit(2). */

#include "exit.h"

#include "contents.h"
#include "destruction.h"
#include "filehandles.h"
#include "switches.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#if TRICK_EXIT || TRICK_FAST_EXIT

static thrhook_proc_t hook_before;   /* whose place ours has taken... */
static thrhook_proc_t first_hook;    /* ... and when that was done first */

#if TRICK_EXIT
/* A few classes have most of the objects; start is not to take longer the more objects there are. */
#define WARM_UP_OBJECTS 2000

/* What perl finds out about the methods of classes it keeps. The manager object goes in each worker. */
static void
warm_up(pTHX_ SV *object)
{
    HV *class = SvSTASH(SvRV(object));
    (void)is_seen_to_go(aTHX_ WARM_UP_OBJECTS);
    if (!has_destructor(aTHX_ class)) {
        SV *another = newRV_noinc((SV *)newHV());
        sv_bless(another, class);
        SvREFCNT_dec(another);
    }
}
#else
#define is_seen_to_go(at_most) TRUE
#define warm_up(unused_and_object) NOOP
#endif

static int
leave(pTHX)
{
    static bool is_leaving;
    const host_t *leaving = handle_of_workers();
    int is_vetoed = FALSE;
    /* Another module's hook, put in after ours, may call ours, and ours was put in again after it: the first one of all then
     * is called by the inner call. Perl's own does nothing; then nothing is written here, where each worker comes by. */
    if (is_leaving)
        return first_hook(aTHX);
    if (hook_before != Perl_nothreadhook) {
        is_leaving = TRUE;
        is_vetoed = hook_before(aTHX);
        is_leaving = FALSE;
    }
    /* The threads of a worker have interpreters of their own. */
    if (!leaving || !leaving->worker.is_one || leaving->worker.interpreter != THIS_INTERPRETER)
        return is_vetoed;
    if (TRICK_FAST_EXIT && leaving->worker.is_fast && leaving->worker.pid == getpid()) {
        finish_handles(aTHX);
        fflush(NULL);
        _exit(STATUS_EXIT);
    }
    return is_vetoed || !is_seen_to_go(aTHX_ SIZE_MAX);
}

#if TRICK_LEXICALS
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

#else
#define keep_lexicals(unused) NOOP
#endif

/* Perl binds a function of the C library's when it calls it first: every worker would bind longjmp at
 * its exit, and take page faults for that. */
XS_INTERNAL(XS_croak)
{
    PERL_UNUSED_VAR(cv);
    croak("%s", "");
}

static void
bind_longjmp(pTHX)
{
    CV *code = newXS(NULL, XS_croak, __FILE__);
    dSP;
    ENTER;
    SAVEGENERICSV(GvSV(PL_errgv));
    GvSV(PL_errgv) = newSVpvs("");
    SAVESPTR(PL_diehook);
    PL_diehook = NULL;
    PUSHMARK(SP);
    call_sv((SV *)code, G_VOID | G_DISCARD | G_EVAL | G_NODEBUG);
    LEAVE;
    SvREFCNT_dec((SV *)code);
}

/* In a process that a worker has forked by itself, and that is none. It may have the worker's pid, in a namespace of its own; a
 * child of clone(2), for which nobody calls this, is told by its pid. pf_process_number would tell all, for three page faults
 * in each worker. */
static void
forget_worker(void)
{
    const host_t *host = handle_of_workers();
    if (host && host->worker.is_fast)
        ((host_t *)host)->worker.is_fast = FALSE;
}

void
prepare_to_leave(pTHX_ host_t *host, SV *object)
{
    static bool is_told_of_forks;
    if (!is_told_of_forks)
        is_told_of_forks = pthread_atfork(NULL, NULL, forget_worker) == 0;
    if (PL_threadhook != leave) {
        /* In one step: an immediate handler may call start, too. */
        CALL(
            if (PL_threadhook != leave) {
                hook_before = PL_threadhook;
                if (!first_hook)
                    first_hook = hook_before;
                PL_threadhook = leave;
            }
        );
        bind_longjmp(aTHX);
    }
    host->worker.interpreter = THIS_INTERPRETER;
    set_handle_of_workers(host);
    make_attic(aTHX_ &host->attic, (HV *)SvRV(object));
    warm_up(aTHX_ object);
}

void
leave_worker(pTHX_ host_t *host, bool fast)
{
    host->worker.is_one = TRUE;
    host->worker.is_fast = fast;
    set_handle_of_workers(host);
    if (fast) {
        host->worker.pid = getpid();
        keep_lexicals(aTHX);
    }
}

#else

void
prepare_to_leave(pTHX_ host_t *host, SV *object)
{
    host->worker.interpreter = THIS_INTERPRETER;
    set_handle_of_workers(host);
    make_attic(aTHX_ &host->attic, (HV *)SvRV(object));
}

void
leave_worker(pTHX_ host_t *host, bool fast)
{
    PERL_UNUSED_CONTEXT;
    host->worker.is_one = TRUE;
    host->worker.is_fast = fast;
}

#endif
