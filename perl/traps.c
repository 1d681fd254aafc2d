/* What is in %SIG: the manager's handlers, and the defaults of its workers.
 *
 * The trap handlers are XSUBs and no closures: a closure has a pad of its own, all of which each worker would free. */

#include "traps.h"

volatile unsigned long exit_notices;
volatile pid_t ended_child;

/* The object that a trap handler belongs to. */
static MGVTBL trap_magic = { NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL };

XS_INTERNAL(XS_trapped)
{
    dXSARGS;
    MAGIC *mg = mg_findext((SV *)cv, PERL_MAGIC_ext, &trap_magic);
    SV *signal = items ? ST(0) : &PL_sv_undef;
    SV *self = sv_2mortal(newRV_inc(mg->mg_obj));
    PUSHMARK(SP);
    XPUSHs(self);
    XPUSHs(signal);
    PUTBACK;
    call_pv("Parallel::Prefork::_trapped", G_VOID | G_DISCARD);
    XSRETURN(0);
}

static SV *
new_trap(pTHX_ SV *self)
{
    CV *handler = newXS(NULL, XS_trapped, __FILE__);
    MAGIC *mg = sv_magicext((SV *)handler, SvRV(self), PERL_MAGIC_ext, &trap_magic, NULL, 0);
    mg->mg_flags |= MGf_DUP;
    return newRV_noinc((SV *)handler);
}

/* $SIG{CHLD}: perl calls it with the name of the signal, which is not looked at. */
XS_INTERNAL(XS_child_exited)
{
    PERL_UNUSED_VAR(cv);
    PERL_UNUSED_CONTEXT;
    exit_notices++;
    PL_stack_sp = PL_stack_base + POPMARK;
}

static SV *
sigchld_handler(pTHX)
{
    CV *handler = get_cvs("Parallel::Prefork::Core::child_exited", 0);
    return newRV_inc((SV *)(handler ? handler
        : newXS("Parallel::Prefork::Core::child_exited", XS_child_exited, __FILE__)));
}

static bool
calls(SV *handler, XSUBADDR_t function)
{
    return handler && SvROK(handler) && SvTYPE(SvRV(handler)) == SVt_PVCV
        && CvISXSUB((const CV *)SvRV(handler)) && CvXSUB((const CV *)SvRV(handler)) == function;
}

bool
is_trap(pTHX_ SV *handler, SV *object)
{
    const MAGIC *mg = calls(handler, XS_trapped) ? mg_findext(SvRV(handler), PERL_MAGIC_ext, &trap_magic) : NULL;
    PERL_UNUSED_CONTEXT;
    return mg && mg->mg_obj == SvRV(object);
}

bool
is_sigchld_handler(pTHX_ SV *handler)
{
    PERL_UNUSED_CONTEXT;
    return calls(handler, XS_child_exited);
}

bool
sigchld_is_ours(pTHX)
{
    return PL_psig_ptr && is_sigchld_handler(aTHX_ PL_psig_ptr[SIGCHLD]);
}

void
note_sigchld(int signal, siginfo_t *info, void *context)
{
    PERL_UNUSED_VAR(context);
    /* It is to end the sleep of the manager's thread. */
    if (is_passed_on(signal, info))
        return;
    /* One that was stopped has not ended, nor has one that sends SIGCHLD by kill. */
    ended_child = info->si_code == CLD_EXITED || info->si_code == CLD_KILLED || info->si_code == CLD_DUMPED
        ? info->si_pid : 0;
    exit_notices++;
}

static void
set_handler(pTHX_ SV *name, SV *handler)
{
    HE *entry = hv_fetch_ent(get_hv("SIG", GV_ADD), name, 1, 0);
    SV *slot = HeVAL(entry);
    sv_setsv(slot, sv_2mortal(handler));
    SvSETMAGIC(slot);
}

/* Perl says so only under warnings of the code that stores a handler. */
void
trap(pTHX_ SV *self, SV *name)
{
    if (whichsig_sv(name) <= 0)
        warn("No such signal: SIG%" SVf, SVfARG(name));
    else
        set_handler(aTHX_ name, new_trap(aTHX_ self));
}

void
trap_sigchld(pTHX)
{
    set_handler(aTHX_ newSVpvs_flags("CHLD", SVs_TEMP), sigchld_handler(aTHX));
}

void
for_each_name(pTHX_ const names_t *names, void (*call)(pTHX_ void *with, const char *name, I32 length), void *with)
{
    HE *entry;
    SSize_t i;
    for (i = 0; i < names->length; i++) {
        STRLEN length;
        const char *name = SvPV(names->list[i], length);
        call(aTHX_ with, name, SvUTF8(names->list[i]) ? -(I32)length : (I32)length);
    }
    if (names->hash)
        hv_iterinit(names->hash);
    while (names->hash && (entry = hv_iternext(names->hash))) {
        STRLEN length;
        const char *name = HePV(entry, length);
        call(aTHX_ with, name, HeUTF8(entry) ? -(I32)length : (I32)length);
    }
}

names_t
trapped_signals(pTHX_ SV *object)
{
    names_t names = { NULL, 0, NULL };
    names.hash = plain_hash(aTHX_ member(aTHX_ object, "trap_signals"));
    return names;
}

static void
set_default_action(pTHX_ void *unused, const char *name, I32 length)
{
    const int signal = length > 0 ? whichsig_pvn(name, (STRLEN)length) : -1;
    PERL_UNUSED_VAR(unused);
    if (signal > 0)
        (void)rsignal(signal, SIG_DFL);
}

void
set_default_actions(pTHX_ const names_t *names)
{
    for_each_name(aTHX_ names, set_default_action, NULL);
    set_default_action(aTHX_ NULL, "CHLD", 4);
}

static void
set_default_handler(pTHX_ void *unused, const char *name, I32 length)
{
    SV **slot = hv_fetch(get_hv("SIG", GV_ADD), name, length, 1);
    PERL_UNUSED_VAR(unused);
    if (slot) {
        sv_setpvs(*slot, "DEFAULT");
        SvSETMAGIC(*slot);
    }
}

void
set_default_handlers(pTHX_ const names_t *names)
{
    for_each_name(aTHX_ names, set_default_handler, NULL);
    set_default_handler(aTHX_ NULL, "CHLD", 4);
}
