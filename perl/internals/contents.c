/* How a worker lets go of its manager object.
 *
 * As a rule that is at the worker's exit. Perl then frees some thirty values one by one, and in a worker each page that this
 * writes to is copied first: more than a tenth of all that a worker costs. But for its memory nobody could tell whether a plain
 * value was freed. So those stay as they are, and perl frees the others, in its own time: objects with a destructor, code, what
 * somebody else holds, or watches by a weak reference or by magic, and what is so large that a worker could want the memory. */

#include "contents.h"

#include "destruction.h"
#include "switches.h"

#if TRICK_CONTENTS

#define MANY_ELEMENTS 63
#define MANY_BYTES 1024
#define DEEP 4

#ifndef HvHasAUX    /* before perl 5.38 */
#define HvHasAUX(hv) SvOOK(hv)
#endif

static bool is_mere_memory(pTHX_ SV *value, const SV *known, unsigned depth);

static bool
is_mere_reference(pTHX_ SV *reference, const SV *known, unsigned depth)
{
    return SvWEAKREF(reference) || is_mere_memory(aTHX_ SvRV(reference), known, depth + 1);
}

/* A tie is like an element. */
static bool
has_mere_magic(pTHX_ SV *value, const SV *known, unsigned depth)
{
    const MAGIC *mg = SvMAGIC(value);
    return !mg || (mg->mg_type == PERL_MAGIC_tied && !mg->mg_moremagic
        && mg->mg_obj && is_mere_memory(aTHX_ mg->mg_obj, known, depth));
}

static bool
array_is_mere_memory(pTHX_ AV *array, const SV *known, unsigned depth)
{
    SSize_t i;
    if (!AvREAL(array) || AvFILLp(array) >= MANY_ELEMENTS || !has_mere_magic(aTHX_ (SV *)array, known, depth))
        return FALSE;
    for (i = 0; i <= AvFILLp(array); i++)
        if (AvARRAY(array)[i] && !is_mere_memory(aTHX_ AvARRAY(array)[i], known, depth))
            return FALSE;
    return TRUE;
}

static bool
is_watched(HV *hash, const SV *known)
{
    const AV *watching = HvHasAUX(hash) ? HvAUX(hash)->xhv_backreferences : NULL;
    return watching && (const SV *)watching != known;
}

static bool
hash_is_mere_memory(pTHX_ HV *hash, const SV *known, unsigned depth)
{
    STRLEN i;
    const HE *element;
    if (HvMAX(hash) > MANY_ELEMENTS || is_watched(hash, known)
            || !has_mere_magic(aTHX_ (SV *)hash, known, depth))
        return FALSE;
    for (i = 0; HvARRAY(hash) && i <= HvMAX(hash); i++)
        for (element = HvARRAY(hash)[i]; element; element = HeNEXT(element))
            if (!is_mere_memory(aTHX_ HeVAL(element), known, depth))
                return FALSE;
    return TRUE;
}

/* Whether nothing else holds the value, and nobody could tell whether it went. */
static bool
is_mere_memory(pTHX_ SV *value, const SV *known, unsigned depth)
{
    if (SvREFCNT(value) != 1 || depth > DEEP || (SvOBJECT(value) && has_destructor(aTHX_ SvSTASH(value))))
        return FALSE;
    switch (SvTYPE(value)) {
        case SVt_PVAV:
            return array_is_mere_memory(aTHX_ (AV *)value, known, depth);
        case SVt_PVHV:
            return hash_is_mere_memory(aTHX_ (HV *)value, known, depth);
        default:
            if (SvTYPE(value) > SVt_PVMG || (SvTYPE(value) == SVt_PVMG && SvMAGIC(value)))
                return FALSE;
            if (SvROK(value))
                return is_mere_reference(aTHX_ value, known, depth);
            return SvTYPE(value) < SVt_PV || SvLEN(value) <= MANY_BYTES;
    }
}

static bool
has_only_magic_of_ours(HV *hash)
{
    const MAGIC *mg;
    for (mg = SvMAGIC(hash); mg; mg = mg->mg_moremagic)
        if (!is_magic_of_ours(mg))
            return FALSE;
    return TRUE;
}

void
leave_contents(pTHX_ HV *object, const SV *known)
{
    STRLEN i;
    /* Somebody may take the magic off an object that stays. And perl may have to free everything. */
    if (SvREFCNT(object) || SvTYPE(object) != SVt_PVHV || HvMAX(object) > MANY_ELEMENTS
            || !has_only_magic_of_ours(object) || everything_goes(aTHX))
        return;
    for (i = 0; HvARRAY(object) && i <= HvMAX(object); i++) {
        HE **place = &HvARRAY(object)[i];
        while (*place) {
            if (is_mere_memory(aTHX_ HeVAL(*place), known, 0)) {
                *place = HeNEXT(*place);
                HvTOTALKEYS(object)--;
            } else {
                place = &HeNEXT(*place);
            }
        }
    }
}

#else

void
leave_contents(pTHX_ HV *object, const SV *known)
{
    PERL_UNUSED_CONTEXT;
    PERL_UNUSED_VAR(object);
    PERL_UNUSED_VAR(known);
}

#endif
