/* Modules that 0.18 loads and we do not need. A program may call their functions by their full names without having loaded
 * them by itself, as in POSIX::_exit(0). Perl has noted each such name when it compiled the call. So a module is loaded here if
 * a function of its package is named that is not there; a program that calls none has nothing of it to carry along.
 *
 * The plain path is to load all of them. */

#include "modules.h"

#include "switches.h"

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
    return hv_exists(GvHVn(PL_incgv), file, (I32)length + 3);
}

/* Whether code that was compiled names a function of a package that is not there. */
#if TRICK_SOURCES
static bool
lacks_function(pTHX_ HV *package)
{
    HE *entry;
    hv_iterinit(package);
    while ((entry = hv_iternext(package))) {
        const GV *gv = (const GV *)HeVAL(entry);
        I32 length;
        const char *name = hv_iterkey(entry, &length);
        if (SvTYPE(gv) == SVt_PVGV && isGV_with_GP(gv) && (length < 2 || name[length - 1] != ':')
                && !(GvCV(gv) && (CvROOT(GvCV(gv)) || CvXSUB(GvCV(gv))))
                && !GvAV(gv) && !GvHV(gv) && !GvIO(gv) && !(GvSV(gv) && SvOK(GvSV(gv))))
            return TRUE;
    }
    return FALSE;
}
#else
#define lacks_function(package) TRUE
#endif

static void
load_those_called(pTHX_ const char *const *modules, size_t length)
{
    size_t i;
    for (i = 0; i < length; i++) {
        HV *package = gv_stashpv(modules[i], TRICK_SOURCES ? 0 : GV_ADD);
        if (package && !is_loaded(aTHX_ modules[i]) && lacks_function(aTHX_ package)) {
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

void
load_before_run(pTHX)
{
#if TRICK_SOURCES
    if (PL_phase == PERL_PHASE_START) {
        if (!PL_initav)
            PL_initav = newAV();
        av_push(PL_initav, SvREFCNT_inc((SV *)get_cv("Parallel::Prefork::Core::load_what_is_called", 0)));
    }
#else
    PERL_UNUSED_CONTEXT;
#endif
}
