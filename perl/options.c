/* Options and their accessors. What is obviously right is let pass here; what is not, or only perl can
 * tell (overloaded objects, say), goes to Options.pm, which knows what to say of it. */

#include "host.h"

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
is_set(pTHX_ SV *value)
{
    return SvROK(value) || SvTRUE_nomg(value);
}

static bool
is_plain_signal(pTHX_ SV *signal)
{
    int number;
    return !SvROK(signal) && (!SvTRUE_nomg(signal) || signal_number(aTHX_ signal, &number));
}

/* A signal to send, or [signal, seconds]. */
static bool
is_plain_action(pTHX_ SV *action)
{
    AV *pair;
    SV **interval;
    double seconds;
    if (!SvROK(action))
        return is_plain_signal(aTHX_ action);
    pair = (AV *)SvRV(action);
    if (SvTYPE(pair) != SVt_PVAV || SvOBJECT(pair) || SvRMAGICAL(pair) || av_len(pair) < 0
            || !*av_fetch(pair, 0, 1))
        return FALSE;
    interval = av_fetch(pair, 1, 0);
    return is_plain_signal(aTHX_ *av_fetch(pair, 0, 1))
        && (!interval || (plain_number(aTHX_ *interval, &seconds) && seconds >= 0
            && Perl_isfinite(seconds)));
}

HV *
plain_hash(pTHX_ SV *value)
{
    HV *hash = SvROK(value) ? (HV *)SvRV(value) : NULL;
    return hash && SvTYPE(hash) == SVt_PVHV && !SvOBJECT(hash) && !SvRMAGICAL(hash) ? hash : NULL;
}

static bool
are_plain_signals(pTHX_ SV *actions)
{
    HV *hash = plain_hash(aTHX_ actions);
    HE *entry;
    if (hash)
        hv_iterinit(hash);
    while (hash && (entry = hv_iternext(hash)))
        if (!is_plain_action(aTHX_ HeVAL(entry)))
            return FALSE;
    return hash != NULL;
}

kind_t
kind_of(pTHX_ const char *name)
{
    if (strEQ(name, "any"))
        return KIND_ANY;
    if (strEQ(name, "number"))
        return KIND_NUMBER;
    if (strEQ(name, "code"))
        return KIND_CODE;
    if (strEQ(name, "signals"))
        return KIND_SIGNALS;
    return KIND_OBJECT;
}

bool
is_plain_value(pTHX_ kind_t kind, SV *value)
{
    double number;
    switch (kind) {
        case KIND_ANY:
            return TRUE;
        case KIND_NUMBER:
            return plain_number(aTHX_ value, &number) && number >= 0 && Perl_isfinite(number);
        case KIND_CODE:
            return SvROK(value) ? SvTYPE(SvRV(value)) == SVt_PVCV : !SvTRUE(value);
        case KIND_SIGNALS:
            return are_plain_signals(aTHX_ value);
        case KIND_OBJECT:
            return !SvTRUE(value);
    }
    return FALSE;
}

/* What an accessor is for; it lives as long as the code, which is never freed. */
typedef struct {
    kind_t kind;
    const char *kind_name;
    I32 length;
    char name[1];
} accessor_t;

/* Gets a member, or sets it: to the one value, or to an array of several. The loops look at
 * most members, and are told when they change. */
XS_INTERNAL(XS_accessor)
{
    dXSARGS;
    const accessor_t *accessor = (const accessor_t *)CvXSUBANY(cv).any_ptr;
    SV *self = items ? ST(0) : &PL_sv_undef;
    SV *value;
    if (!SvROK(self) || SvTYPE(SvRV(self)) != SVt_PVHV)
        croak("%s is a method of an object, and %" SVf " is none", accessor->name, SVfARG(self));
    if (items == 1) {
        SV **member = hv_fetch((HV *)SvRV(self), accessor->name, accessor->length, 0);
        ST(0) = member ? sv_mortalcopy(*member) : &PL_sv_undef;
        XSRETURN(1);
    }
    value = sv_mortalcopy(ST(1));
    if (items > 2)
        value = sv_2mortal(newRV_noinc((SV *)av_make(items - 1, &ST(1))));
    else if (!is_plain_value(aTHX_ accessor->kind, value))
        check_option(aTHX_ accessor->kind_name, accessor->name, value);
    if (!hv_store((HV *)SvRV(self), accessor->name, accessor->length, SvREFCNT_inc(value), 0))
        SvREFCNT_dec(value);
    if (accessor->kind != KIND_ANY)
        wake(aTHX_ self);
    ST(0) = sv_mortalcopy(value);
    XSRETURN(1);
}

void
make_accessor(pTHX_ SV *package, SV *kind, SV *name)
{
    STRLEN length;
    const char *text = SvPV(name, length);
    SV *full_name = sv_2mortal(newSVpvf("%" SVf "::%" SVf, SVfARG(package), SVfARG(name)));
    accessor_t *accessor = (accessor_t *)safemalloc(sizeof(accessor_t) + length);
    CV *code;
    accessor->kind_name = savepv(SvPV_nolen(kind));
    accessor->kind = kind_of(aTHX_ accessor->kind_name);
    accessor->length = SvUTF8(name) ? -(I32)length : (I32)length;
    Copy(text, accessor->name, length + 1, char);
    code = newXS(NULL, XS_accessor, __FILE__);
    CvXSUBANY(code).any_ptr = accessor;
    /* By name newXS knows no UTF-8. */
    sv_setsv_mg((SV *)gv_fetchsv(full_name, GV_ADD, SVt_PVCV), sv_2mortal(newRV_noinc((SV *)code)));
}

void
check_option(pTHX_ const char *kind, const char *name, SV *value)
{
    dSP;
    PUSHMARK(SP);
    mXPUSHs(newSVpv(kind, 0));
    mXPUSHs(newSVpv(name, 0));
    XPUSHs(value);
    PUTBACK;
    call_pv("Parallel::Prefork::_check_value", G_VOID | G_DISCARD);
}
