/* What is in %SIG: the manager's handlers, and the defaults of its workers.
 *
 * In a worker each page that is written to after the fork is copied first. A store to %SIG by perl, and the end of the
 * handler that was there, write to a dozen pages. So the manager makes the worker's elements of %SIG beforehand
 * (`make_defaults`). For each of them the worker changes two pointers only: that of perl's hash, and that of perl's table
 * of handlers. For the same reason the trap handlers are XSUBs and no closures.
 *
 * The manager's handlers hold the manager object. A worker that replaces such a handler leaks it, and corrects the count of
 * the object later, where nobody could see the difference (`set_default`). */

#include "host.h"

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

/* A closure as perl would make it has a pad of its own, all of which each worker would free. */
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
sigchld_is_ours(pTHX)
{
    return PL_psig_ptr && calls(PL_psig_ptr[SIGCHLD], XS_child_exited);
}

bool
is_perls_handler(const struct sigaction *action)
{
    /* Perl gives its functions to the system by either type, and has made more of them in the course of time. */
    const Sighandler_t function = (Sighandler_t)action->sa_handler;
    if (function == PL_csighandlerp)
        return TRUE;
#if PERL_VERSION >= 32
    return function == (Sighandler_t)PL_csighandler1p || function == (Sighandler_t)PL_csighandler3p;
#else
    return FALSE;
#endif
}

bool
is_perls_immediate_handler(pTHX_ const struct sigaction *action)
{
    const Sighandler_t function = (Sighandler_t)action->sa_handler;
#if PERL_VERSION >= 32
    if (function == (Sighandler_t)PL_sighandler1p || function == (Sighandler_t)PL_sighandler3p)
        return TRUE;
#endif
    return function == (Sighandler_t)PL_sighandlerp;
}

void
note_sigchld(int signal, siginfo_t *info, void *context)
{
    PERL_UNUSED_VAR(context);
    /* It is to end the sleep of the manager's thread. */
    if (is_passed_on(signal))
        return;
    /* One that was stopped has not ended, nor has one that sends SIGCHLD by kill. */
    ended_child = info->si_code == CLD_EXITED || info->si_code == CLD_KILLED || info->si_code == CLD_DUMPED
        ? info->si_pid : 0;
    exit_notices++;
}

static void
set_handler(pTHX_ SV *name, SV *handler)
{
    SV *slot = HeVAL(hv_fetch_ent(get_hv("SIG", GV_ADD), name, 1, 0));
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
for_each_trapped(pTHX_ host_t *host, SV *object,
    void (*call)(pTHX_ host_t *host, SV *object, const char *name, I32 length))
{
    HV *actions = plain_hash(aTHX_ member(aTHX_ object, "trap_signals"));
    STRLEN i;
    for (i = 0; actions && HvARRAY(actions) && i <= HvMAX(actions); i++) {
        const HE *entry;
        for (entry = HvARRAY(actions)[i]; entry; entry = HeNEXT(entry))
            call(aTHX_ host, object, HeKEY(entry), HeKUTF8(entry) ? -HeKLEN(entry) : HeKLEN(entry));
    }
}

/* Perl's own magic, and nothing else: none of a module that wants to be told of what happens to the value, and is called
 * for it as perl calls it. */
static bool
has_only_magic(const SV *value, char type)
{
    const MAGIC *mg = SvTYPE(value) >= SVt_PVMG ? SvMAGIC(value) : NULL;
    return mg && mg->mg_type == type && !mg->mg_moremagic
        && (!mg->mg_virtual || (mg->mg_virtual >= PL_magic_vtables && mg->mg_virtual < PL_magic_vtables + magic_vtable_max
            && !mg->mg_virtual->svt_copy));
}

/* A program may have put another hash in its place, or tied it; a module may have hung something on it (Coro does). */
static bool
is_plain_sig(pTHX_ HV *handlers)
{
    PERL_UNUSED_CONTEXT;
    return PL_psig_ptr && handlers && has_only_magic((SV *)handlers, PERL_MAGIC_sig);
}

static MAGIC *
element_magic(pTHX_ SV *element)
{
    return SvTYPE(element) >= SVt_PVMG ? mg_find(element, PERL_MAGIC_sigelem) : NULL;
}

static bool
is_element(pTHX_ SV *element, const char *name, I32 length)
{
    const MAGIC *mg = element_magic(aTHX_ element);
    return mg->mg_len == length && memEQ(mg->mg_ptr, name, (size_t)length);
}

/* The element of %SIG that a worker has for this name; NULL if there is none. */
static SV *
ready_default(pTHX_ host_t *host, const char *name, I32 length)
{
    unsigned i;
    for (i = 0; i < host->defaults; i++)
        if (is_element(aTHX_ host->ready[i], name, length))
            return host->ready[i];
    return NULL;
}

static void
make_default(pTHX_ host_t *host, SV *object, const char *name, I32 length)
{
    /* A negative length is UTF-8: no signal has such a name. */
    const int number = length > 0 ? whichsig_pvn(name, (STRLEN)length) : -1;
    SV *element;
    PERL_UNUSED_VAR(object);
    if (number <= 0 || !is_plain_sig(aTHX_ GvHV(host->sig)) || host->defaults == C_ARRAY_LENGTH(host->ready)
            || ready_default(aTHX_ host, name, length))
        return;
    element = newSVpvs("DEFAULT");
    mg_copy((SV *)GvHV(host->sig), element, name, length);
    if (!element_magic(aTHX_ element)) {
        SvREFCNT_dec(element);
        return;
    }
    element_magic(aTHX_ element)->mg_private = (U16)number;
    /* The hash and the table of handlers will hold it, and nobody counts then. */
    SvREFCNT(element) = 2;
    host->ready[host->defaults++] = element;
}

void
free_defaults(pTHX_ host_t *host)
{
    while (host->defaults) {
        SV *element = host->ready[--host->defaults];
        SvREFCNT(element) = 1;
        SvREFCNT_dec(element);
    }
    SvREFCNT_dec((SV *)host->sig);
    host->sig = NULL;
}

void
make_defaults(pTHX_ host_t *host, SV *object)
{
    if (!host->sig)
        host->sig = (GV *)SvREFCNT_inc(gv_fetchpvs("SIG", GV_ADD, SVt_PVHV));
    for_each_trapped(aTHX_ host, object, make_default);
    make_default(aTHX_ host, object, "CHLD", 4);
}

/* Whether a handler is ours, tied to this object and nothing else, and only perl's hash and perl's table know of it. */
static bool
is_only_tied(pTHX_ SV *handler, SV *object)
{
    const CV *code;
    const MAGIC *mg;
    if (SvREFCNT(handler) != 2 || !calls(handler, XS_trapped))
        return FALSE;
    code = (const CV *)SvRV(handler);
    mg = SvMAGIC(code);
    return SvREFCNT(code) == 1 && !SvOBJECT(code) && mg->mg_virtual == &trap_magic && !mg->mg_moremagic
        && mg->mg_obj == SvRV(object);
}

/* Whether it can be put aside as it is: nobody has hung anything on it, and nobody but perl's hash and perl's table has a claim
 * on it. */
static bool
is_plain_element(pTHX_ SV *element, int signal)
{
    const bool is_handler = PL_psig_ptr[signal] == element;
    return has_only_magic(element, PERL_MAGIC_sigelem) && SvREFCNT(element) == (is_handler ? 2 : 1);
}

void
set_default(pTHX_ host_t *host, SV *object, const char *name, I32 length)
{
    SV *element = ready_default(aTHX_ host, name, length);
    SV **slot = element && is_plain_sig(aTHX_ GvHV(host->sig)) ? hv_fetch(GvHV(host->sig), name, length, 0) : NULL;
    const int signal = element ? element_magic(aTHX_ element)->mg_private
        : length > 0 ? whichsig_pvn(name, (STRLEN)length) : -1;
    if (signal > 0)
        (void)rsignal(signal, SIG_DFL);
    if (!slot || (*slot != element && !is_plain_element(aTHX_ *slot, signal))) {
        host->defaults_left = TRUE;
    } else if (*slot != element) {
        SV *old = *slot;
        SV *handler = PL_psig_ptr[signal];
        const bool is_only_tie = handler == old && is_only_tied(aTHX_ old, object);
        *slot = PL_psig_ptr[signal] = element;
        if (is_only_tie) {
            /* The old handler is leaked on purpose: to free it would write to one more page. It holds a count of the object.
             * enter_worker takes that count back (handlers_kept), so the object goes as it would. Only the last
             * sweep of perl_destruct frees the handler, and counts mean nothing then (PL_in_clean_all). */
            host->handlers_kept++;
        } else if (handler != old || !calls(old, XS_child_exited)) {
            /* What goes with it may be the program's, whose code is not to run here. */
            sv_2mortal(handler);
            sv_2mortal(old);
        }
    }
}

void
set_default_by_store(pTHX_ host_t *host, SV *object, const char *name, I32 length)
{
    SV **slot = hv_fetch(get_hv("SIG", GV_ADD), name, length, 1);
    PERL_UNUSED_VAR(host);
    PERL_UNUSED_VAR(object);
    if (slot) {
        sv_setpvs(*slot, "DEFAULT");
        SvSETMAGIC(*slot);
    }
}
