/* The end of a worker.
 *
 * At exit perl looks at all values four times and destroys what it can. In a worker each page that this writes to is copied
 * first. So the worker looks once whether anybody could see the destruction (`is_seen_to_go`):
 *
 * - an object with a destructor;
 * - a pipe whose process perl has to wait for;
 * - a socket that lingers;
 * - a handle with a layer that is not perl's own;
 * - XS code that wants to be called when a value is freed.
 *
 * If there is none, it leaves the destruction out. END blocks have run by then, and handles are flushed. Functions of
 * atexit(3) follow. Perl's hook for threads (PL_threadhook) makes this possible: perl calls it after the flush and before the
 * destruction, and it may forbid the latter.
 *
 * With fast_exit nobody looks: `leave` closes those handles for which that is work, and calls _exit(2). */

#include "exit.h"

#include "handles.h"
#include "switches.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#if TRICK_EXIT || TRICK_FAST_EXIT

static thrhook_proc_t hook_before;   /* whose place ours has taken... */
static thrhook_proc_t first_hook;    /* ... and when that was done first */

#ifdef MULTIPLICITY
#define THIS_INTERPRETER aTHX
#else
#define THIS_INTERPRETER NULL
#endif

#if TRICK_EXIT
/* Perl does not call a destructor that does nothing, such as IO::Handle's, either. */
static bool
does_nothing(const CV *code)
{
    const OP *first;
    if (CvISXSUB(code) || !CvSTART(code))
        return CvCONST(code);
    first = CvSTART(code)->op_next;
    return CvCONST(code) || first->op_type == OP_LEAVESUB
        || (first->op_type == OP_PUSHMARK && first->op_next->op_type == OP_RETURN);
}

static bool
has_destructor(pTHX_ HV *class)
{
    GV *method;
    /* Perl calls nothing for a class that is gone. */
    if (!HvNAME(class))
        return FALSE;
    /* To ask for the methods of others may be an error: there C3 may find no order. */
    if (strNE(HvMROMETA(class)->mro_which->name, "dfs"))
        return TRUE;
    method = gv_fetchmeth_pvn(class, "DESTROY", 7, -1, 0);
    if (method && GvCV(method))
        return !does_nothing(GvCV(method));
    return gv_fetchmeth_pvn(class, "AUTOLOAD", 8, -1, 0) != NULL;
}

/* Whether code that may do anything is called when an object goes: of XS code, or perl's for in-place edit. */
static bool
has_free_hook(pTHX_ const SV *object)
{
    const MAGIC *mg;
    PERL_UNUSED_CONTEXT;
    for (mg = SvMAGIC(object); mg; mg = mg->mg_moremagic)
        if (mg->mg_virtual && mg->mg_virtual->svt_free && mg->mg_type != PERL_MAGIC_backref
                && mg->mg_type != PERL_MAGIC_utf8 && !is_magic_of_ours(mg))
            return TRUE;
    return FALSE;
}

/* The same for a value that is no object: only XS code counts. What perl itself hangs on a variable does nothing that
 * shows when it goes. */
static bool
has_free_hook_of_xs(const SV *value)
{
    const MAGIC *mg;
    if (SvTYPE(value) < SVt_PVMG)
        return FALSE;
    for (mg = SvMAGIC(value); mg; mg = mg->mg_moremagic)
        if (mg->mg_type == PERL_MAGIC_ext && mg->mg_virtual && mg->mg_virtual->svt_free && !is_magic_of_ours(mg))
            return TRUE;
    return FALSE;
}

/* Classes whose objects go without anybody seeing it. Each class is examined once, as a program may have many objects of
 * many classes, in any order. The first classes are on the stack: memory from perl would be more pages to copy, in each
 * worker. */
typedef struct {
    HV *last;
    HV *first[16];
    unsigned firsts;
    PTR_TBL_t *others;
} harmless_t;

static bool
is_harmless(pTHX_ harmless_t *known, HV *class)
{
    unsigned i;
    if (known->last == class)
        return TRUE;
    for (i = 0; i < known->firsts; i++)
        if (known->first[i] == class)
            break;
    if (i == known->firsts && !(known->others && ptr_table_fetch(known->others, class))) {
        if (has_destructor(aTHX_ class))
            return FALSE;
        if (known->firsts < C_ARRAY_LENGTH(known->first)) {
            known->first[known->firsts++] = class;
        } else {
            if (!known->others)
                known->others = ptr_table_new();
            ptr_table_store(known->others, class, class);
        }
    }
    known->last = class;
    return TRUE;
}

static bool
goes_unseen(pTHX_ harmless_t *known, SV *object)
{
    return is_harmless(aTHX_ known, SvSTASH(object)) && !has_free_hook(aTHX_ object)
        && !(SvTYPE(object) == SVt_PVIO && closes_visibly(aTHX_ (IO *)object));
}

/* What is_seen_to_go is about. */
typedef struct {
    harmless_t known;
    size_t at_most;          /* so many objects are still looked at */
    unsigned patience;       /* so many values that may go with objects are still looked at */
    bool takes_more;         /* others may go than were looked at */
} walk_t;

static bool goes_alone(pTHX_ walk_t *walk, const SV *value);

/* Where it stays, as packages do. */
static bool
is_in_package(pTHX_ const GV *gv)
{
    SV **slot = isGV_with_GP(gv) && GvSTASH(gv)
        ? hv_fetch(GvSTASH(gv), GvNAME(gv), GvNAMEUTF8(gv) ? -(I32)GvNAMELEN(gv) : (I32)GvNAMELEN(gv), 0) : NULL;
    return slot && *slot == (const SV *)gv;
}

/* Whether nothing is called when this value goes together with an object. An object is looked at by itself. */
static bool
goes_along(pTHX_ walk_t *walk, const SV *value)
{
    if (!value || SvOBJECT(value) || (SvTYPE(value) == SVt_PVGV && is_in_package(aTHX_ (const GV *)value)))
        return TRUE;
    return walk->patience && walk->patience-- && !(SvTYPE(value) >= SVt_PVMG && SvMAGIC(value)) && goes_alone(aTHX_ walk, value);
}

/* The same for the variables and constants of a sub. */
static bool
pads_go_along(pTHX_ walk_t *walk, const CV *code)
{
    PADLIST *pads = CvISXSUB(code) ? NULL : CvPADLIST(code);
    SSize_t depth, i;
    for (depth = 1; pads && depth <= PadlistMAX(pads); depth++) {
        PAD *pad = PadlistARRAY(pads)[depth];
        for (i = 0; pad && i <= PadMAX(pad); i++)
            if (!goes_along(aTHX_ walk, PadARRAY(pad)[i]))
                return FALSE;
    }
    return TRUE;
}

/* The same for what this value holds. */
static bool
goes_alone(pTHX_ walk_t *walk, const SV *value)
{
    const HE *entry;
    SSize_t i;
    switch (SvTYPE(value)) {
        case SVt_PVIO:
            return TRUE;
        case SVt_PVCV:
            return pads_go_along(aTHX_ walk, (const CV *)value);
        case SVt_PVAV:
            for (i = 0; i <= AvFILLp((const AV *)value); i++)
                if (!goes_along(aTHX_ walk, AvARRAY((const AV *)value)[i]))
                    return FALSE;
            return TRUE;
        case SVt_PVHV:
            for (i = 0; HvARRAY((const HV *)value) && i <= (SSize_t)HvMAX((const HV *)value); i++)
                for (entry = HvARRAY((const HV *)value)[i]; entry; entry = HeNEXT(entry))
                    if (!goes_along(aTHX_ walk, HeVAL(entry)))
                        return FALSE;
            return TRUE;
        default:
            if (SvTYPE(value) > SVt_PVMG)
                return FALSE;
            return !SvROK(value) || SvWEAKREF(value) || goes_along(aTHX_ walk, SvRV(value));
    }
}

static bool
object_is_seen_to_go(pTHX_ walk_t *walk, SV *object)
{
    walk->at_most--;
    if (!goes_unseen(aTHX_ &walk->known, object))
        return TRUE;
    if (!walk->takes_more)
        walk->takes_more = SvMAGIC(object) || !goes_alone(aTHX_ walk, object);
    return FALSE;
}

static bool
other_is_seen_to_go(pTHX_ walk_t *walk, SV *value)
{
    PERL_UNUSED_CONTEXT;
    PERL_UNUSED_VAR(walk);
    return !SvOBJECT(value) && has_free_hook_of_xs(value);
}

/* Whether a value that has one of these flags is seen to go. A program has tens of thousands of values: all but a few are passed
 * with one look at their flags. */
static bool
one_is_seen_to_go(pTHX_ walk_t *walk, U32 flags, bool (*is_seen)(pTHX_ walk_t *walk, SV *value))
{
    SV *arena;
    for (arena = PL_sv_arenaroot; arena && walk->at_most; arena = (SV *)SvANY(arena)) {
        const SV *end = &arena[SvREFCNT(arena)];
        SV *value;
        for (value = arena + 1; value < end && walk->at_most; value++)
            if ((SvFLAGS(value) & flags) && SvTYPE(value) != (svtype)SVTYPEMASK && SvREFCNT(value)
                    && is_seen(aTHX_ walk, value))
                return TRUE;
    }
    return FALSE;
}

/* What may be called by a value that goes is in its magic, which is a cold page for each of some hundred values (%SIG and %ENV, a
 * glob for each sub). But perl destroys no packages here: only objects, the code of the file, unless a sub in it has a claim on
 * that, and what goes with these. So the others are looked at only if more goes than a few plain values. */
#define PATIENCE 500

/* Whatever magic a value has, perl gives it one of these. */
#define HAS_MAGIC (SVs_GMG | SVs_SMG | SVs_RMG)

/* Whether anybody could tell that perl's destruction of everything was left out. It walks through all values
 * four times, and in a worker each page that it writes to is copied first. This walks as perl does, past `at_most` objects. */
static bool
is_seen_to_go(pTHX_ size_t at_most)
{
    walk_t walk;
    bool is_seen;
    if (PL_exitlistlen > 0 || PL_perl_destruct_level > 0 || getenv("PERL_DESTRUCT_LEVEL"))
        return TRUE;
    walk.known.last = NULL;
    walk.known.firsts = 0;
    walk.known.others = NULL;
    walk.at_most = at_most;
    walk.patience = PATIENCE;
    walk.takes_more = PL_main_cv && SvREFCNT(PL_main_cv) == 1 && !pads_go_along(aTHX_ &walk, PL_main_cv);
    is_seen = one_is_seen_to_go(aTHX_ &walk, SVs_OBJECT, object_is_seen_to_go)
        || (walk.takes_more && one_is_seen_to_go(aTHX_ &walk, HAS_MAGIC, other_is_seen_to_go));
    ptr_table_free(walk.known.others);
    return is_seen;
}

/* A few classes have most of the objects; start is not to take longer the more objects there are. */
#define WARM_UP_OBJECTS 2000

/* What perl finds out about the methods of classes it keeps. The manager object goes in each worker. */
static void
warm_up(pTHX_ SV *object)
{
    HV *class = SvSTASH(SvRV(object));
    (void)is_seen_to_go(aTHX_ WARM_UP_OBJECTS);
    if (!has_destructor(aTHX_ class))
        SvREFCNT_dec(sv_bless(newRV_noinc((SV *)newHV()), class));
}
#else
#define is_seen_to_go(at_most) TRUE
#define warm_up(object) PERL_UNUSED_VAR(object)
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
    PERL_UNUSED_CONTEXT;
    PERL_UNUSED_VAR(object);
    set_handle_of_workers(host);
}

void
leave_worker(pTHX_ host_t *host, bool fast)
{
    PERL_UNUSED_CONTEXT;
    host->worker.is_one = TRUE;
    host->worker.is_fast = fast;
}

#endif
