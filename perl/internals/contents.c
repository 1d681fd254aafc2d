/* How a worker lets go of its manager object, which as a rule is at its exit.
 *
 * Perl frees some thirty values then, one by one. In a worker each page that this writes to is copied first, and that is more than
 * a tenth of all that a worker costs. So the worker does not free what only takes memory. It moves it into another hash, the
 * attic, which the manager has made, and which perl frees if it ever frees everything (PL_perl_destruct_level).
 *
 * Left to perl, which frees it with the object, is what somebody could see go:
 *
 * - an object, and code: there may be a destructor, and the package goes with the last of them;
 * - what somebody else holds, too;
 * - what somebody watches, by a weak reference or by magic;
 * - what takes much memory: the worker could want that back. */

#include "contents.h"

#include "../signals.h"
#include "switches.h"

#if TRICK_CONTENTS

/* Bytes that may be left in all; a manager object has 3,000. */
#define LITTLE 16384

#ifndef HvHasAUX    /* before perl 5.38 */
#define HvHasAUX(hv) SvOOK(hv)
#endif

typedef struct {
    SV *own_reference;
    size_t left;    /* of LITTLE */
} attic_t;

static bool is_mere_memory(pTHX_ SV *value, attic_t *attic);

static bool
has_room(attic_t *attic, size_t bytes)
{
    if (bytes > attic->left)
        return FALSE;
    attic->left -= bytes;
    return TRUE;
}

/* Of a hash's or an array's: none, or a tie. What a variable is tied to is held by it like an element. */
static bool
has_mere_magic(pTHX_ SV *value, attic_t *attic)
{
    const MAGIC *mg = SvMAGIC(value);
    return !mg || (mg->mg_type == PERL_MAGIC_tied && !mg->mg_moremagic && mg->mg_obj
        && is_mere_memory(aTHX_ mg->mg_obj, attic));
}

/* Perl notes one weak reference to a hash in this place, and several as an array. */
static bool
is_watched_by_others(HV *hash, const attic_t *attic)
{
    AV *watching = HvHasAUX(hash) ? HvAUX(hash)->xhv_backreferences : NULL;
    return watching && (SV *)watching != attic->own_reference;
}

static bool
array_is_mere_memory(pTHX_ AV *array, attic_t *attic)
{
    SSize_t i;
    /* What was shifted off is still allocated. */
    const size_t places = (size_t)(AvMAX(array) + 1 + (AvARRAY(array) - AvALLOC(array)));
    if (!AvREAL(array) || !has_room(attic, places * sizeof(SV *)) || !has_mere_magic(aTHX_ (SV *)array, attic))
        return FALSE;
    for (i = 0; i <= AvFILLp(array); i++)
        if (AvARRAY(array)[i] && !is_mere_memory(aTHX_ AvARRAY(array)[i], attic))
            return FALSE;
    return TRUE;
}

static bool
element_is_mere_memory(pTHX_ HE *element, attic_t *attic)
{
    return has_room(attic, sizeof(HE) + (size_t)HeKLEN(element)) && is_mere_memory(aTHX_ HeVAL(element), attic);
}

static bool
hash_is_mere_memory(pTHX_ HV *hash, attic_t *attic)
{
    STRLEN i;
    HE *element;
    if (!has_room(attic, (HvMAX(hash) + 1) * sizeof(HE *)) || is_watched_by_others(hash, attic)
            || !has_mere_magic(aTHX_ (SV *)hash, attic))
        return FALSE;
    for (i = 0; HvARRAY(hash) && i <= HvMAX(hash); i++)
        for (element = HvARRAY(hash)[i]; element; element = HeNEXT(element))
            if (!element_is_mere_memory(aTHX_ element, attic))
                return FALSE;
    return TRUE;
}

/* A string's memory may be longer than the string, or belong to a key. */
static bool
scalar_is_mere_memory(pTHX_ SV *value, attic_t *attic)
{
    if (SvTYPE(value) >= SVt_PVMG && SvMAGIC(value))
        return FALSE;
    if (SvROK(value))
        return SvWEAKREF(value) || is_mere_memory(aTHX_ SvRV(value), attic);
    return SvTYPE(value) < SVt_PV || (!SvOOK(value) && has_room(attic, SvLEN(value) + SvCUR(value)));
}

/* The object that {worker_pids} is tied to is ours. */
static bool
is_object_of_others(SV *value, const attic_t *attic)
{
    return SvOBJECT(value) && (!attic->own_reference || !SvROK(attic->own_reference)
        || SvRV(attic->own_reference) != value);
}

static bool
is_mere_memory(pTHX_ SV *value, attic_t *attic)
{
    if (SvREFCNT(value) != 1 || is_object_of_others(value, attic) || !has_room(attic, sizeof(SV) + sizeof(XPVMG)))
        return FALSE;
    if (SvTYPE(value) == SVt_PVAV)
        return array_is_mere_memory(aTHX_ (AV *)value, attic);
    if (SvTYPE(value) == SVt_PVHV)
        return hash_is_mere_memory(aTHX_ (HV *)value, attic);
    /* Not so: code, globs, handles, patterns. */
    return SvTYPE(value) <= SVt_PVMG && scalar_is_mere_memory(aTHX_ value, attic);
}

static bool
has_only_magic_of_ours(HV *object)
{
    const MAGIC *mg;
    for (mg = SvMAGIC(object); mg; mg = mg->mg_moremagic)
        if (!is_magic_of_ours(mg))
            return FALSE;
    return TRUE;
}

static bool
fits(HV *attic, HV *object)
{
    return attic && HvMAX(attic) == HvMAX(object);
}

void
make_attic(pTHX_ HV **attic, HV *object)
{
    if (fits(*attic, object))
        return;
    /* In one step: an immediate handler may call start, too. */
    CALL(
        if (!fits(*attic, object)) {
            SvREFCNT_dec(*attic);
            *attic = newHV();
            HvMAX(*attic) = HvMAX(object);
            Newxz(HvARRAY(*attic), HvMAX(*attic) + 1, HE *);
        }
    );
}

void
leave_contents(pTHX_ HV *object, HV *attic, SV *own_reference)
{
    attic_t into;
    STRLEN i;
    /* An object that stays may lose its magic too. Other magic may look at what is in the object, when it goes. And an element has
     * the same place in two hashes of one size and kind. */
    if (SvREFCNT(object) || SvTYPE(object) != SVt_PVHV || !has_only_magic_of_ours(object)
            || !fits(attic, object) || !HvARRAY(object) || !HvSHAREKEYS(object))
        return;
    into.own_reference = own_reference;
    into.left = LITTLE;
    for (i = 0; i <= HvMAX(object); i++) {
        HE **place = &HvARRAY(object)[i];
        while (*place) {
            HE *element = *place;
            if (element_is_mere_memory(aTHX_ element, &into)) {
                *place = HeNEXT(element);
                HeNEXT(element) = HvARRAY(attic)[i];
                HvARRAY(attic)[i] = element;
                HvTOTALKEYS(object)--;
                HvTOTALKEYS(attic)++;
            } else {
                place = &HeNEXT(element);
            }
        }
    }
}

#else

void
make_attic(pTHX_ HV **attic, HV *object)
{
    PERL_UNUSED_CONTEXT;
    PERL_UNUSED_VAR(attic);
    PERL_UNUSED_VAR(object);
}

void
leave_contents(pTHX_ HV *object, HV *attic, SV *own_reference)
{
    PERL_UNUSED_CONTEXT;
    PERL_UNUSED_VAR(object);
    PERL_UNUSED_VAR(attic);
    PERL_UNUSED_VAR(own_reference);
}

#endif
