/* What perl destroys at the end of a process, and whether anybody sees it. These see it:
 *
 * - an object with a destructor;
 * - a pipe whose process perl has to wait for;
 * - a socket that lingers;
 * - a handle with a layer that is not perl's own;
 * - XS code that wants to be called when a value is freed.
 *
 * All values are looked at, whatever holds them: perl destroys objects, the code of the file and what goes with these, and to find
 * out what that is would take longer. */

#include "destruction.h"

#include "filehandles.h"
#include "switches.h"

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

bool
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

/* A value that has neither flag is nothing but memory. Whatever magic a value has, perl gives it one of the latter three. */
#define SEEN_TO_GO_IF (SVs_OBJECT | SVs_GMG | SVs_SMG | SVs_RMG)

static bool
value_is_seen_to_go(pTHX_ harmless_t *known, SV *value, size_t *at_most)
{
    if (SvTYPE(value) == (svtype)SVTYPEMASK || !SvREFCNT(value))
        return FALSE;
    if (!SvOBJECT(value))
        return has_free_hook_of_xs(value);
    --*at_most;
    return !goes_unseen(aTHX_ known, value);
}

/* Each worker does it, and a program has tens of thousands of values: all but a few are passed with one look at their flags. */
bool
is_seen_to_go(pTHX_ size_t at_most)
{
    harmless_t known;
    bool is_seen = FALSE;
    SV *arena;
    if (PL_exitlistlen > 0 || PL_perl_destruct_level > 0 || getenv("PERL_DESTRUCT_LEVEL"))
        return TRUE;
    known.last = NULL;
    known.firsts = 0;
    known.others = NULL;
    for (arena = PL_sv_arenaroot; arena && !is_seen && at_most; arena = (SV *)SvANY(arena)) {
        const SV *end = &arena[SvREFCNT(arena)];
        SV *value;
        for (value = arena + 1; value < end; value++) {
            if (!(SvFLAGS(value) & SEEN_TO_GO_IF))
                continue;
            is_seen = value_is_seen_to_go(aTHX_ &known, value, &at_most);
            if (is_seen || !at_most)
                break;
        }
    }
    ptr_table_free(known.others);
    return is_seen;
}

#endif
