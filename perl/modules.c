/* Modules that 0.18 loads and we do not need. A program may call their functions by their full names without having loaded
 * them by itself, as in POSIX::_exit(0). Perl notes each such name in the package when it compiles the call. So a module is
 * loaded here if a function of its package is named that is not there; a program that calls none has nothing of it to carry
 * along.
 *
 * No documentation says that perl does so. Where it does not (`notes_calls`), all of them are loaded, as 0.18 loads them. */

#include "modules.h"

#include "subs.h"

/* Those that 0.18 loads in any case, and those that it loads when it makes a scoreboard. */
static const char *const loaded_before[] = { "Time::HiRes", "List::Util", "Exporter", "Proc::Wait3", "XSLoader" };
static const char *const loaded_with_scoreboard[] = { "POSIX", "Fcntl", "File::Temp", "File::Basename", "File::Path", "Cwd", "Carp",
    "Errno", "Scalar::Util", "List::MoreUtils", "Scope::Guard", "Signal::Mask", "IPC::Signal" };

static bool
is_loaded(pTHX_ const char *module)
{
    char file[32];
    size_t length = 0;
    for (; *module; module++) {
        file[length++] = *module == ':' ? '/' : *module;
        module += *module == ':';
    }
    Copy(".pm", file + length, 3, char);
    return hv_exists(get_hv("INC", GV_ADD), file, (I32)length + 3);
}

/* Whether this entry of a package is that of a function which code calls, and which is not there. */
static bool
is_lacking(const SV *entry)
{
    const GV *gv = (const GV *)entry;
    return SvTYPE(gv) == SVt_PVGV && isGV_with_GP(gv) && !(GvCV(gv) && has_body(GvCV(gv)))
        && !GvAV(gv) && !GvHV(gv) && !GvIO(gv) && !(GvSV(gv) && SvOK(GvSV(gv)));
}

static bool
lacks_function(pTHX_ HV *package)
{
    HE *entry;
    hv_iterinit(package);
    while ((entry = hv_iternext(package))) {
        I32 length;
        const char *name = hv_iterkey(entry, &length);
        /* With colons it is a package in this one. */
        if (is_lacking(HeVAL(entry)) && (length < 2 || name[length - 1] != ':'))
            return TRUE;
    }
    return FALSE;
}

/* Prefork.pm has a call of this function, which is nowhere. */
static bool
notes_calls(pTHX)
{
    SV **entry = hv_fetchs(gv_stashpvs("Parallel::Prefork::Core", GV_ADD), "nowhere", 0);
    return entry && is_lacking(*entry);
}

static void
load_those_called(pTHX_ const char *const *modules, size_t length)
{
    const bool all = !notes_calls(aTHX);
    size_t i;
    for (i = 0; i < length; i++) {
        HV *package = gv_stashpv(modules[i], all ? GV_ADD : 0);
        if (package && !is_loaded(aTHX_ modules[i]) && (all || lacks_function(aTHX_ package))) {
            dSP;
            PUSHMARK(SP);
            mXPUSHs(newSVpv(modules[i], 0));
            PUTBACK;
            call_pv("Parallel::Prefork::_load_module", G_VOID | G_DISCARD);
        }
    }
}

void
load_what_is_called(pTHX_ bool spare_workers)
{
    load_those_called(aTHX_ loaded_before, C_ARRAY_LENGTH(loaded_before));
    if (spare_workers)
        load_those_called(aTHX_ loaded_with_scoreboard, C_ARRAY_LENGTH(loaded_with_scoreboard));
}

XS_INTERNAL(XS_load_what_is_called)
{
    dXSARGS;
    PERL_UNUSED_VAR(items);
    load_what_is_called(aTHX_ FALSE);
    XSRETURN_EMPTY;
}

/* An XSUB of that name is an INIT block. Perl drops its own claim on such a block in each worker, at the exit; with another one no
 * worker has to free it. */
void
load_when_compiled(pTHX)
{
    if (PL_phase == PERL_PHASE_START)
        SvREFCNT_inc_simple_void_NN(newXS("Parallel::Prefork::Core::INIT", XS_load_what_is_called, __FILE__));
    else
        load_what_is_called(aTHX_ FALSE);
}
