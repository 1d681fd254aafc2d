/* The handles behind Perl objects: they hang on the object by magic, where no program sees
 * them, and go when it goes. */

#include "host.h"

void
block_signals(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
}

void
unblock_signals(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

static int
free_host(pTHX_ SV *sv, MAGIC *mg)
{
    host_t *host = (host_t *)mg->mg_ptr;
    PERL_UNUSED_ARG(sv);
    /* A worker frees nothing of the manager's, and a process that ends nothing at all: each
     * page that it wrote to would be copied first. */
    if (host && !PL_dirty && pf_worker_index(host->pf) < 0) {
        CALL(pf_free(host->pf));
        SvREFCNT_dec(host->scoreboard);
        Safefree(host);
        mg->mg_ptr = NULL;
    }
    return 0;
}

static int
free_scoreboard(pTHX_ SV *sv, MAGIC *mg)
{
    PERL_UNUSED_ARG(sv);
    if (!PL_dirty) {
        CALL(pf_scoreboard_free((pf_scoreboard_t *)mg->mg_ptr));
        mg->mg_ptr = NULL;
    }
    return 0;
}

#ifdef USE_ITHREADS
/* The clone of an object gets nothing of the original's: a manager is one thread's. */
static int
dup_nothing(pTHX_ MAGIC *mg, CLONE_PARAMS *params)
{
    PERL_UNUSED_ARG(params);
    mg->mg_ptr = NULL;
    return 0;
}
#else
#define dup_nothing NULL
#endif

static MGVTBL host_magic = { NULL, NULL, NULL, NULL, free_host, NULL, dup_nothing, NULL };
static MGVTBL scoreboard_magic =
    { NULL, NULL, NULL, NULL, free_scoreboard, NULL, dup_nothing, NULL };

static MAGIC *
magic_of(pTHX_ SV *object, MGVTBL *kind)
{
    MAGIC *mg;
    if (!SvROK(object) || SvTYPE(SvRV(object)) != SVt_PVHV)
        croak("this is a method of an object, and %" SVf " is none", SVfARG(object));
    mg = mg_findext(SvRV(object), PERL_MAGIC_ext, kind);
    if (!mg) {
        mg = sv_magicext(SvRV(object), NULL, PERL_MAGIC_ext, kind, NULL, 0);
        mg->mg_flags |= MGf_DUP;
    }
    return mg;
}

/* The handle of an object, made when it is first needed: subclasses may bless their own. */
host_t *
host_of(pTHX_ SV *object)
{
    MAGIC *mg = magic_of(aTHX_ object, &host_magic);
    if (!mg->mg_ptr) {
        host_t *host;
        Newxz(host, 1, host_t);
        CALL(host->pf = pf_new());
        if (!host->pf) {
            Safefree(host);
            croak("libprefork cannot make a manager");
        }
        CALL(pf_demand(host->pf, 0));
        mg->mg_ptr = (char *)host;
    }
    return (host_t *)mg->mg_ptr;
}

pf_scoreboard_t *
scoreboard_of(pTHX_ SV *object)
{
    MAGIC *mg = magic_of(aTHX_ object, &scoreboard_magic);
    if (!mg->mg_ptr)
        croak("this scoreboard belongs to another thread, or was never made");
    return (pf_scoreboard_t *)mg->mg_ptr;
}

void
wake(pTHX_ SV *object)
{
    host_t *host = host_of(aTHX_ object);
    CALL(pf_wake(host->pf));
}

void
check_result(pTHX_ host_t *host, pf_result result)
{
    if (result != PF_OK)
        croak("%s", pf_error_message(host->pf));
}

/* A worker that starts workers of its own is the manager of a new pool. */
void
become_manager(pTHX_ host_t *host)
{
    pf_result result;
    if (pf_worker_index(host->pf) >= 0) {
        pf_t *pf;
        CALL(pf = pf_new(); pf_demand(pf, 0));
        if (!pf)
            croak("libprefork cannot make a manager");
        CALL(pf_free(host->pf));
        host->pf = pf;
    }
    CALL(result = pf_become_manager(host->pf));
    check_result(aTHX_ host, result);
}

bool
make_scoreboard(pTHX_ SV *object, const char *path, unsigned slots)
{
    MAGIC *mg = magic_of(aTHX_ object, &scoreboard_magic);
    pf_scoreboard_t *board;
    int error;
    CALL(board = pf_scoreboard_new(path, slots); error = errno);
    mg->mg_ptr = (char *)board;
    errno = error;
    return board != NULL;
}

bool
signal_number(pTHX_ SV *signal, int *number)
{
    sigset_t set;
    SvGETMAGIC(signal);
    if (!SvOK(signal) || SvROK(signal))
        return FALSE;
    if (looks_like_number(signal)) {
        *number = (int)SvIV_nomg(signal);
    } else {
        const char *name = SvPV_nomg_nolen(signal);
        const bool group = *name == '-';
        name += group;
        if (strnEQ(name, "SIG", 3))
            name += 3;
        *number = whichsig(name);
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
    const IV number = SvOK(pid) && looks_like_number(pid) ? SvIV(pid) : 0;
    return number > 0 && number <= I32_MAX ? (pid_t)number : 0;
}

bool
signal_is_noted(pTHX)
{
    int signal;
    for (signal = 1; !PL_sig_pending && PL_psig_pend && signal < SIG_SIZE; signal++)
        PL_sig_pending = PL_psig_pend[signal] != 0;
    return PL_sig_pending != 0;
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

bool
tie_worker_pids(pTHX_ host_t *host, SV *object)
{
    HV *table;
    SV *tie, *manager;
    SV *pids = member(aTHX_ object, "worker_pids");
    MAGIC *mg = SvROK(pids) && SvTYPE(SvRV(pids)) == SVt_PVHV && SvRMAGICAL(SvRV(pids))
        ? mg_find(SvRV(pids), PERL_MAGIC_tied) : NULL;
    HV *class = gv_stashpvs("Parallel::Prefork::WorkerPids", GV_ADD);
    size_t workers;
    if (mg && mg->mg_obj && SvROK(mg->mg_obj) && SvSTASH(SvRV(mg->mg_obj)) == class) {
        manager = member(aTHX_ mg->mg_obj, "manager");
        return SvROK(manager) && SvRV(manager) == SvRV(object);
    }
    CALL(workers = pf_num_workers(host->pf));
    if (workers || !plain_hash(aTHX_ pids) || HvUSEDKEYS(SvRV(pids)))
        return FALSE;
    tie = newRV_noinc((SV *)newHV());
    manager = newRV_inc(SvRV(object));
    (void)hv_stores((HV *)SvRV(tie), "manager", manager);
    sv_rvweaken(manager);
    table = newHV();
    hv_magic(table, (GV *)sv_bless(tie, class), PERL_MAGIC_tied);
    SvREFCNT_dec(tie);
    (void)hv_stores((HV *)SvRV(object), "worker_pids", newRV_noinc((SV *)table));
    return TRUE;
}
