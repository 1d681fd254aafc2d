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
        SV *scoreboard = host->scoreboard;
        free_defaults(aTHX_ host);
        /* In a worker, which has become a manager, it is another handle that this lies in, and its exit looks at it. */
        if (!host->is_worker)
            forget_leaving(host);
        CALL(pf_free(host->pf));
        SvREFCNT_dec(scoreboard);
        mg->mg_ptr = NULL;
    }
    return 0;
}

static int
free_scoreboard(pTHX_ SV *sv, MAGIC *mg)
{
    PERL_UNUSED_ARG(sv);
    if (!PL_dirty && mg->mg_ptr) {
        board_t *board = (board_t *)mg->mg_ptr;
        CALL(pf_scoreboard_free(board->board));
        Safefree(board);
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

bool
is_magic_of_ours(const MAGIC *mg)
{
    return mg->mg_virtual == &host_magic || mg->mg_virtual == &scoreboard_magic;
}

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
        pf_t *pf;
        CALL(pf = pf_new());
        if (!pf)
            croak("libprefork cannot make a manager");
        /* The wait lets SIGCHLD in, and looks for children before. */
        CALL(pf_demand(pf, 0); pf_set_sigchld_handled(pf, TRUE));
        mg->mg_ptr = (char *)pf_host_room(pf, sizeof(host_t));
        ((host_t *)mg->mg_ptr)->pf = pf;
    }
    return (host_t *)mg->mg_ptr;
}

board_t *
board_of(pTHX_ SV *object)
{
    MAGIC *mg = magic_of(aTHX_ object, &scoreboard_magic);
    if (!mg->mg_ptr)
        croak("this scoreboard belongs to another thread, or was never made");
    return (board_t *)mg->mg_ptr;
}

pf_scoreboard_t *
scoreboard_of(pTHX_ SV *object)
{
    return board_of(aTHX_ object)->board;
}

static bool
is_busy(uint8_t status)
{
    return status != '_' && status != '.';
}

#ifdef __GNUC__
#define LOAD(from) __atomic_load_n(from, __ATOMIC_SEQ_CST)
#define SWAP(where, old, with) \
    __atomic_compare_exchange_n(where, old, with, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

static bool
wakes_manager(const pf_own_slot *slot, int32_t busy)
{
    return busy < LOAD(slot->low) || busy > LOAD(slot->high) || LOAD(slot->mark);
}

/* Sets the status as pf_scoreboard_own_slot says, without a system call. False if that is not
 * enough and nothing is changed. An immediate handler may leave by longjmp between any two steps, or
 * set a status by itself: then the status is not the old one any more, and the number that was
 * counted is taken back. */
static bool
set_status_quickly(const pf_own_slot *slot, uint8_t status)
{
    uint8_t old = LOAD(slot->status);
    int32_t busy;
    bool is_set;
    if (is_busy(old) == is_busy(status))
        return SWAP(slot->status, &old, status);
    busy = LOAD(slot->busy);
    if (is_busy(status)) {
        if (wakes_manager(slot, busy + 1) || !SWAP(slot->busy, &busy, busy + 1))
            return FALSE;
        busy++;
        is_set = SWAP(slot->status, &old, status);
        if (!is_set)
            __atomic_fetch_sub(slot->busy, 1, __ATOMIC_SEQ_CST);
    } else {
        if (wakes_manager(slot, busy - 1))
            return FALSE;
        is_set = SWAP(slot->status, &old, status);
        if (is_set)
            busy = __atomic_sub_fetch(slot->busy, 1, __ATOMIC_SEQ_CST);
    }
    if (is_set && wakes_manager(slot, busy)) {
        /* The manager has set other bounds meanwhile. All over again, so that it is woken; unless a
         * handler has done that already. */
        sigset_t before;
        block_signals(&before);
        is_set = SWAP(slot->status, &status, old) == 0;
        if (!is_set)
            __atomic_fetch_add(slot->busy, is_busy(old) ? 1 : -1, __ATOMIC_SEQ_CST);
        unblock_signals(&before);
    }
    return is_set;
}
#endif

bool
set_status(board_t *board, uint8_t status)
{
    pf_result result;
#ifdef __GNUC__
    if (board->is_quick && set_status_quickly(&board->slot, status))
        return TRUE;
#endif
    CALL(result = pf_scoreboard_set_status(board->board, status);
        board->is_quick = pf_scoreboard_own_slot(board->board, &board->slot) == PF_OK);
    return result == PF_OK;
}

/* Of one interpreter: others do not find theirs here, and call the methods. */
static CV *plain_scoreboard, *plain_set_status;

void
know_methods(pTHX_ SV *scoreboard, SV *set_status)
{
    plain_scoreboard = (CV *)SvREFCNT_inc(SvRV(scoreboard));
    plain_set_status = (CV *)SvREFCNT_inc(SvRV(set_status));
}

static bool
has_method(pTHX_ SV *object, const char *name, CV *plain)
{
    GV *method;
    if (!SvROK(object) || !SvOBJECT(SvRV(object)) || SvTYPE(SvRV(object)) != SVt_PVHV)
        return FALSE;
    method = gv_fetchmeth(SvSTASH(SvRV(object)), name, strlen(name), 0);
    return method && GvCV(method) == plain;
}

board_t *
plain_board(pTHX_ SV *self)
{
    MAGIC *mg;
    SV **board;
    if (!has_method(aTHX_ self, "scoreboard", plain_scoreboard))
        return NULL;
    board = hv_fetchs((HV *)SvRV(self), "scoreboard", 0);
    if (!board || !has_method(aTHX_ *board, "set_status", plain_set_status))
        return NULL;
    mg = mg_findext(SvRV(*board), PERL_MAGIC_ext, &scoreboard_magic);
    return mg ? (board_t *)mg->mg_ptr : NULL;
}

uint8_t
status_character(pTHX_ SV *status)
{
    STRLEN length = 0;
    const char *text = SvOK(status) ? SvPVbyte(status, length) : "";
    if (length == 0)
        croak_for_caller(aTHX_ newSVpvs("set_status: the status must be a character, and it is empty"));
    return (uint8_t)text[0];
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

/* A worker that starts workers of its own is the manager of a new pool. Its first handle stays, with what is in its
 * room. */
void
become_manager(pTHX_ host_t *host)
{
    pf_result result;
    if (pf_worker_index(host->pf) >= 0) {
        pf_t *pf;
        CALL(pf = pf_new(); pf_demand(pf, 0));
        if (!pf)
            croak("libprefork cannot make a manager");
        if (pf_host_room(host->pf, 0) != host)
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
    board_t *board;
    int error;
    Newxz(board, 1, board_t);
    CALL(board->board = pf_scoreboard_new(path, slots); error = errno);
    if (!board->board) {
        Safefree(board);
        board = NULL;
    }
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
