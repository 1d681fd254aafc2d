/* Options and their accessors.
 *
 * A value that is obviously right passes here, in C. All others go to Options.pm: it knows what to say of a wrong value,
 * and only Perl code can judge some right ones (overloaded objects, say). Accessors are C as well: a call of C code writes to
 * fewer pages than one of Perl code, and each such page is copied after a fork. */

#include "options.h"

#include "handle.h"

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
    if (strEQ(name, "ro"))
        return KIND_READ_ONLY;
    if (strEQ(name, "wo"))
        return KIND_WRITE_ONLY;
    if (strEQ(name, "number"))
        return KIND_NUMBER;
    if (strEQ(name, "code"))
        return KIND_CODE;
    if (strEQ(name, "log"))
        return KIND_LOG;
    if (strEQ(name, "signal"))
        return KIND_SIGNAL;
    if (strEQ(name, "signals"))
        return KIND_SIGNALS;
    return KIND_OBJECT;
}

bool
is_plain_value(pTHX_ kind_t kind, SV *value)
{
    double number;
    int signal;
    switch (kind) {
        case KIND_ANY:
        case KIND_READ_ONLY:
        case KIND_WRITE_ONLY:
            return TRUE;
        case KIND_NUMBER:
            return plain_number(aTHX_ value, &number) && number >= 0 && Perl_isfinite(number);
        case KIND_CODE:
            return SvROK(value) ? SvTYPE(SvRV(value)) == SVt_PVCV : !SvTRUE(value);
        case KIND_LOG:
            return !SvROK(value) || SvTYPE(SvRV(value)) == SVt_PVCV;
        case KIND_SIGNAL:
            return is_plain_signal(aTHX_ value) && (!SvTRUE_nomg(value) || (signal_number(aTHX_ value, &signal) && signal > 0));
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
    SV *package;             /* in which it was made, for what there may be to say of it */
    I32 length;
    char name[1];
} accessor_t;

/* The words are Class::Accessor::Lite's, which takes the one for the other. */
static void
refuse_access(pTHX_ const accessor_t *accessor, const char *what)
{
    croak("'%" HEKf "' cannot %s the value of '%s' on objects of class '%" SVf "'",
        HEKfARG(HvNAME_HEK(CopSTASH(PL_curcop))), what, accessor->name, SVfARG(accessor->package));
}

/* Gets a member, or sets it: to the one value, or to an array of several. The loops look at
 * most members, and are told when they change. */
XS_INTERNAL(XS_accessor)
{
    dXSARGS;
    const accessor_t *accessor = (const accessor_t *)CvXSUBANY(cv).any_ptr;
    SV *self = items ? ST(0) : &PL_sv_undef;
    SV *value, **member;
    if (accessor->kind == KIND_READ_ONLY && items != 1)
        refuse_access(aTHX_ accessor, "access");
    if (accessor->kind == KIND_WRITE_ONLY && items == 1)
        refuse_access(aTHX_ accessor, "alter");
    if (!SvROK(self) || SvTYPE(SvRV(self)) != SVt_PVHV)
        croak("%s is a method of an object, and %" SVf " is none", accessor->name, SVfARG(self));
    if (items == 1) {
        member = hv_fetch((HV *)SvRV(self), accessor->name, accessor->length, 0);
        ST(0) = member ? sv_mortalcopy(*member) : &PL_sv_undef;
        XSRETURN(1);
    }
    value = sv_mortalcopy(ST(1));
    if (items > 2)
        value = sv_2mortal(newRV_noinc((SV *)av_make(items - 1, &ST(1))));
    else if (!is_plain_value(aTHX_ accessor->kind, value))
        check_option(aTHX_ accessor->kind_name, accessor->name, value);
    member = hv_fetch((HV *)SvRV(self), accessor->name, accessor->length, 1);
    if (member) {
        /* The variable stays, with what the program has for it: a reference, an alias, a tie. */
        sv_setsv_mg(*member, value);
        value = sv_mortalcopy(*member);
    }
    if (accessor->kind >= KIND_NUMBER)
        wake(aTHX_ self);
    ST(0) = value;
    XSRETURN(1);
}

/* By name newXS knows no UTF-8. */
static void
install(pTHX_ SV *package, SV *name, CV *code)
{
    SV *full_name = sv_2mortal(newSVpvf("%" SVf "::%" SVf, SVfARG(package), SVfARG(name)));
    sv_setsv_mg((SV *)gv_fetchsv(full_name, GV_ADD, SVt_PVCV), sv_2mortal(newRV_noinc((SV *)code)));
}

void
make_accessor(pTHX_ SV *package, SV *kind, SV *name)
{
    STRLEN length;
    const char *text = SvPV(name, length);
    accessor_t *accessor = (accessor_t *)safemalloc(sizeof(accessor_t) + length);
    CV *code;
    accessor->kind_name = savepv(SvPV_nolen(kind));
    accessor->kind = kind_of(aTHX_ accessor->kind_name);
    accessor->package = accessor->kind == KIND_READ_ONLY || accessor->kind == KIND_WRITE_ONLY ? newSVsv(package) : NULL;
    accessor->length = SvUTF8(name) ? -(I32)length : (I32)length;
    Copy(text, accessor->name, length + 1, char);
    code = newXS(NULL, XS_accessor, __FILE__);
    CvXSUBANY(code).any_ptr = accessor;
    install(aTHX_ package, name, code);
}

/* A class of objects that are hashes of what the constructor is given, a list or a hash. */
XS_INTERNAL(XS_constructor)
{
    dXSARGS;
    const bool is_hash = items == 2 && SvROK(ST(1)) && SvTYPE(SvRV(ST(1))) == SVt_PVHV && !SvOBJECT(SvRV(ST(1)));
    HV *members = is_hash ? newHVhv((HV *)SvRV(ST(1))) : newHV();
    SV *object = sv_2mortal(newRV_noinc((SV *)members));
    I32 i;
    PERL_UNUSED_VAR(cv);
    if (items < 1 || SvROK(ST(0)))
        croak("new is a method of a class");
    for (i = 1; !is_hash && i < items; i += 2)
        (void)hv_store_ent(members, ST(i), i + 1 < items ? newSVsv(ST(i + 1)) : newSV(0), 0);
    ST(0) = sv_bless(object, gv_stashsv(ST(0), GV_ADD));
    XSRETURN(1);
}

void
make_constructor(pTHX_ SV *package)
{
    install(aTHX_ package, sv_2mortal(newSVpvs("new")), newXS(NULL, XS_constructor, __FILE__));
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
