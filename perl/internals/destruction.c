/* What perl destroys at the end of a process, and whether anybody sees it. These see it:
 *
 * - an object with a destructor;
 * - a pipe whose process perl has to wait for;
 * - a socket that lingers;
 * - a handle with a layer that is not perl's own;
 * - XS code that wants to be called when a value is freed.
 *
 * Perl destroys no packages there (perl_destruct with a level of 0): only objects, the code of the file, unless a sub in it has a
 * claim on that, and what goes with these. */

#include "destruction.h"

#include "handles.h"
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

/* What is_seen_to_go is about. */
typedef struct {
    harmless_t known;
    size_t at_most;          /* so many objects are still looked at */
    unsigned patience;       /* so many values that may go with objects are still looked at */
    bool takes_more;         /* others may go than were looked at */
} walk_t;

static bool goes_alone(pTHX_ walk_t *walk, const SV *value);

/* Whether it is in its package, which stays. */
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

/* Whatever magic a value has, perl gives it one of these. */
#define HAS_MAGIC (SVs_GMG | SVs_SMG | SVs_RMG)

/* How many values that go with objects are looked at before all are. */
#define PATIENCE 500

/* Objects come first. What XS code has hung on another value is in its magic, which is a cold page for each of some hundred values
 * (%SIG and %ENV, a glob for each sub). So the others are looked at only if more goes than objects and a few plain values. */
bool
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

#endif
