#include "object.h"

#include <time.h>

static bool
is_tied_itself(pTHX_ SV *object)
{
    return SvTIED_mg(SvRV(object), PERL_MAGIC_tied) != NULL;
}

SV *
member_by_length(pTHX_ SV *object, const char *name, I32 length)
{
    SV **found = hv_fetch((HV *)SvRV(object), name, length, 0);
    /* What a tied hash gives has magic of its own. */
    if (found && SvGMAGICAL(*found) && is_tied_itself(aTHX_ object))
        SvGETMAGIC(*found);
    return found ? *found : &PL_sv_undef;
}

static SV *
member_to_set(pTHX_ SV *object, const char *name)
{
    return *hv_fetch((HV *)SvRV(object), name, (I32)strlen(name), 1);
}

static void
tell_tie(pTHX_ SV *object, SV *member)
{
    if (is_tied_itself(aTHX_ object))
        SvSETMAGIC(member);
}

void
set_member(pTHX_ SV *object, const char *name, SV *value)
{
    SV *member = member_to_set(aTHX_ object, name);
    sv_setsv_nomg(member, value);
    tell_tie(aTHX_ object, member);
}

void
set_member_iv(pTHX_ SV *object, const char *name, IV value)
{
    SV *member = member_to_set(aTHX_ object, name);
    sv_setiv(member, value);
    tell_tie(aTHX_ object, member);
}

bool
member_is_true(pTHX_ SV *object, const char *name)
{
    SV *value = member(aTHX_ object, name);
    return cBOOL(SvTRUE(value));
}

UV
generation_of(pTHX_ SV *object)
{
    SV *generation = member(aTHX_ object, "generation");
    return SvUV(generation);
}

bool
is_set(pTHX_ SV *value)
{
    return SvROK(value) || SvTRUE_nomg(value);
}

bool
signal_is_set(pTHX_ SV *object)
{
    return is_set(aTHX_ member(aTHX_ object, "signal_received"));
}

HV *
plain_hash(pTHX_ SV *value)
{
    HV *hash = SvROK(value) ? (HV *)SvRV(value) : NULL;
    return hash && SvTYPE(hash) == SVt_PVHV && !SvOBJECT(hash) && !SvRMAGICAL(hash) ? hash : NULL;
}

bool
plain_number(pTHX_ SV *value, double *number)
{
    *number = 0;
    if (SvROK(value) || SvGMAGICAL(value) || (SvOK(value) && !looks_like_number(value)))
        return FALSE;
    if (SvOK(value))
        *number = SvNV_nomg(value);
    return TRUE;
}

bool
signal_number(pTHX_ SV *signal, int *number)
{
    sigset_t set;
    SvGETMAGIC(signal);
    if (!SvOK(signal) || SvROK(signal))
        return FALSE;
    if (looks_like_number(signal)) {
        /* Not all numbers fit into an int, which would make another signal of them. */
        const NV value = SvNV_nomg(signal);
        if (!(value > -SIG_SIZE && value < SIG_SIZE))
            return FALSE;
        *number = (int)value;
    } else {
        STRLEN length;
        const char *name = SvPV_nomg(signal, length);
        const bool group = *name == '-';
        name += group;
        length -= group;
        if (length > 3 && strnEQ(name, "SIG", 3)) {
            name += 3;
            length -= 3;
        }
        *number = whichsig_pvn(name, length);
        if (*number < 0)
            return FALSE;
        if (group)
            *number = -*number;
    }
    sigemptyset(&set);
    return *number == 0 || sigaddset(&set, abs(*number)) == 0;
}

pid_t
to_pid(pTHX_ SV *pid)
{
    UV number;
    STRLEN length, digits;
    const char *text;
    SvGETMAGIC(pid);
    if (!SvOK(pid))
        return 0;
    text = SvPV_nomg(pid, length);
    for (digits = 0; digits < length && isDIGIT(text[digits]); digits++)
        ;
    if (length == 0 || length > 10 || digits < length || text[0] == '0')
        return 0;
    number = strtoul(text, NULL, 10);
    return number <= I32_MAX ? (pid_t)number : 0;
}

int
to_int(pTHX_ SV *value)
{
    const NV number = SvNV(value);
    return number >= I32_MAX ? I32_MAX : number <= I32_MIN ? I32_MIN : (int)number;
}

unsigned
to_unsigned(pTHX_ SV *value)
{
    const NV number = SvNV(value);
    return number >= U32_MAX ? U32_MAX : number > 0 ? (unsigned)number : 0;
}

uint32_t
to_count(double number)
{
    const double whole = Perl_ceil(number);
    return !(whole > 0) ? 0 : whole < (double)UINT32_MAX ? (uint32_t)whole : UINT32_MAX;
}

MAGIC *
attached(pTHX_ SV *object, MGVTBL *kind)
{
    if (!SvROK(object) || SvTYPE(SvRV(object)) != SVt_PVHV)
        croak("this is a method of an object, and %" SVf " is none", SVfARG(object));
    return mg_findext(SvRV(object), PERL_MAGIC_ext, kind);
}

MAGIC *
attach(pTHX_ SV *object, MGVTBL *kind, void *what)
{
    MAGIC *mg = attached(aTHX_ object, kind);
    if (mg) {
        mg->mg_ptr = (char *)what;
    } else {
        mg = sv_magicext(SvRV(object), NULL, PERL_MAGIC_ext, kind, (char *)what, 0);
        mg->mg_flags |= MGf_DUP;
    }
    return mg;
}

int
clone_gets_nothing(pTHX_ MAGIC *mg, CLONE_PARAMS *params)
{
    PERL_UNUSED_CONTEXT;
    PERL_UNUSED_ARG(params);
    mg->mg_ptr = NULL;
    return 0;
}

bool
is_magic_of_ours(const MAGIC *mg)
{
    return mg->mg_virtual && mg->mg_virtual->svt_dup == clone_gets_nothing;
}

double
monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void
croak_for_caller(pTHX_ SV *message)
{
    dSP;
    PUSHMARK(SP);
    mXPUSHs(message);
    PUTBACK;
    call_pv("Parallel::Prefork::_croak", G_VOID);
}
