/* Modules that 0.18 loads and we do not need. A program may call their functions by their full names without having loaded
 * them by itself, as in POSIX::_exit(0). Perl notes each such name in the package when it compiles the call. So a module is
 * loaded here if a function of its package is named that is not there; a program that calls none has nothing of it to carry
 * along.
 *
 * No documentation says that perl does so. Where it does not (`notes_calls`), all of them are loaded, as 0.18 loads them.
 *
 * A call without parentheses, `Time::HiRes::time - $start`, perl compiles only if it knows the function by then. So those of the
 * modules that 0.18 has loaded when `use` returns are declared, each with its prototype: as `sub Time::HiRes::time();` does. */

#include "modules.h"

#include "subs.h"

/* Those that 0.18 loads in any case, and those that it loads when it makes a scoreboard. */
static const char *const loaded_before[] = { "Time::HiRes", "List::Util", "Exporter", "Proc::Wait3", "XSLoader" };
static const char *const loaded_with_scoreboard[] = { "POSIX", "Fcntl", "File::Temp", "File::Basename", "File::Path", "Cwd", "Carp",
    "Errno", "Scalar::Util", "List::MoreUtils", "Scope::Guard", "Signal::Mask", "IPC::Signal" };

/* What perl knows of the functions of a module: their names, and their prototypes where they have one. They are those of the oldest
 * perl that we promise: one that a module does not have would be there for `can`. */
static const struct { const char *package, *functions; } declared[] = {
    { "Time::HiRes", "alarm($;$) clock() clock_getres(;$) clock_gettime(;$) clock_nanosleep($$;$) getitimer($) gettimeofday() lstat(;$) "
        "nanosleep($) setitimer($$;$) sleep(;@) stat(;$) time() tv_interval ualarm($;$) usleep($) utime($$@) " },
    { "List::Util", "all(&@) any(&@) first(&@) head($@) max(@) maxstr(@) min(@) minstr(@) none(&@) notall(&@) pairfirst(&@) "
        "pairgrep(&@) pairkeys(@) pairmap(&@) pairs(@) pairvalues(@) product(@) reduce(&@) reductions(&@) sample($@) shuffle(@) "
        "sum(@) sum0(@) tail($@) uniq(@) uniqint(@) uniqnum(@) uniqstr(@) unpairs(@) " },
    { "Proc::Wait3", "wait3 " },
};

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

/* Perl keeps a declaration so, until code is compiled that names the function: the prototype stands where its glob would, or -1. */
static void
declare(pTHX_ HV *package, const char *name, size_t length, const char *prototype, size_t prototype_length)
{
    SV *declaration = prototype ? newSVpvn(prototype, prototype_length) : newSViv(-1);
    if (hv_exists(package, name, (I32)length) || !hv_store(package, name, (I32)length, declaration, 0))
        SvREFCNT_dec_NN(declaration);
}

static void
declare_functions(pTHX)
{
    size_t i;
    for (i = 0; i < C_ARRAY_LENGTH(declared); i++) {
        const char *name = declared[i].functions;
        HV *package = is_loaded(aTHX_ declared[i].package) ? NULL : gv_stashpv(declared[i].package, GV_ADD);
        while (package && *name) {
            const size_t length = strcspn(name, "( ");
            const char *prototype = name[length] == '(' ? name + length + 1 : NULL;
            const size_t prototype_length = prototype ? strcspn(prototype, ")") : 0;
            declare(aTHX_ package, name, length, prototype, prototype_length);
            name += length + (prototype ? prototype_length + 2 : 0) + 1;
        }
    }
}

/* An XSUB of that name is an INIT block. Perl drops its own claim on such a block in each worker, at the exit; with another one no
 * worker has to free it. */
void
load_when_compiled(pTHX)
{
    if (notes_calls(aTHX))
        declare_functions(aTHX);
    if (PL_phase == PERL_PHASE_START) {
        CV *block = newXS("Parallel::Prefork::Core::INIT", XS_load_what_is_called, __FILE__);
        SvREFCNT_inc_simple_void_NN(block);
    } else {
        load_what_is_called(aTHX_ FALSE);
    }
}
