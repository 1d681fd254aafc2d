/* The handles behind Perl objects. They hang on the object by magic, where no program sees them, and go when it goes.
 *
 * A worker sets its status here in C (`set_status`), in the memory of the scoreboard that pf_scoreboard_own_slot
 * gives, in the steps of status.h. This takes no system call unless the manager has to be woken: no Rust runs, so no signal
 * has to be blocked. An immediate handler may leave by longjmp between any two steps. Perl then calls a destructor on its
 * savestack (`end_change`), in which the core ends the change with signals blocked. A scoreboard with a file always
 * goes through the core. */

#include "host.h"
#include "status.h"

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
find_magic(pTHX_ SV *object, MGVTBL *kind)
{
    if (!SvROK(object) || SvTYPE(SvRV(object)) != SVt_PVHV)
        croak("this is a method of an object, and %" SVf " is none", SVfARG(object));
    return mg_findext(SvRV(object), PERL_MAGIC_ext, kind);
}

static MAGIC *
add_magic(pTHX_ SV *object, MGVTBL *kind, void *what)
{
    MAGIC *mg = sv_magicext(SvRV(object), NULL, PERL_MAGIC_ext, kind, (char *)what, 0);
    mg->mg_flags |= MGf_DUP;
    return mg;
}

static pf_t *
new_handle(void)
{
    pf_t *pf = pf_new();
    pf_set_lead(pf, PF_LEAD_HOST);
    /* The wait lets SIGCHLD in, and looks for children before. */
    pf_set_sigchld_handled(pf, TRUE);
    return pf;
}

/* The handle of an object, made when it is first needed: subclasses may bless their own. An immediate handler that
 * needs it too finds none, or all of it. */
host_t *
host_of(pTHX_ SV *object)
{
    MAGIC *mg = find_magic(aTHX_ object, &host_magic);
    if (!mg || !mg->mg_ptr) {
        pf_t *pf = NULL;
        CALL(
            mg = find_magic(aTHX_ object, &host_magic);
            if (!mg || !mg->mg_ptr)
                pf = new_handle();
            if (pf) {
                host_t *host = (host_t *)pf_host_room(pf, sizeof(host_t));
                host->pf = pf;
                host->lead = PF_LEAD_HOST;
                if (mg)
                    mg->mg_ptr = (char *)host;
                else
                    mg = add_magic(aTHX_ object, &host_magic, host);
            }
        );
        if (!mg || !mg->mg_ptr)
            croak("libprefork cannot make a manager");
    }
    return (host_t *)mg->mg_ptr;
}

board_t *
board_of(pTHX_ SV *object)
{
    MAGIC *mg = find_magic(aTHX_ object, &scoreboard_magic);
    if (!mg || !mg->mg_ptr)
        croak("this scoreboard belongs to another thread, or was never made");
    return (board_t *)mg->mg_ptr;
}

pf_scoreboard_t *
scoreboard_of(pTHX_ SV *object)
{
    return board_of(aTHX_ object)->board;
}

#ifdef CAN_CHANGE_STATUS
/* A change that is under way. */
typedef struct {
    const board_t *board;
    change_t change;
} left_t;

/* An immediate handler may have left by longjmp after any step. */
static void
end_change(pTHX_ void *left)
{
    change_t *change = &((left_t *)left)->change;
    PERL_UNUSED_CONTEXT;
    if (!change->is_over)
        CALL(
            pf_scoreboard_end_change(((left_t *)left)->board->board, change->before, change->is_whole);
            change->is_over = TRUE;
        );
}

/* Sets the status without a system call unless the manager has to be woken. */
static void
set_status_quickly(const board_t *board, uint8_t status)
{
    dTHX;
    left_t left;
    if (replace_status(&board->slot, status))
        return;
    left.board = board;
    begin_change(&board->slot, &left.change);
    ENTER;
    SAVEDESTRUCTOR_X(end_change, &left);
    make_change(&board->slot, status, &left.change);
    if (!left.change.is_over)
        end_change(aTHX_ &left);
    LEAVE;
}
#endif

bool
set_status(board_t *board, uint8_t status)
{
    pf_result result;
#ifdef CAN_CHANGE_STATUS
    if (board->is_quick) {
        set_status_quickly(board, status);
        return TRUE;
    }
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
    const char *text;
    /* Before it is asked whether it is defined: $1 and substr are not until then. */
    SvGETMAGIC(status);
    text = SvOK(status) ? SvPVbyte_nomg(status, length) : "";
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
        CALL(
            pf = new_handle();
            if (pf) {
                if (pf_host_room(host->pf, 0) != host)
                    pf_free(host->pf);
                host->pf = pf;
                host->lead = PF_LEAD_HOST;
                host->keeps_reaped = FALSE;
            }
        );
        if (!pf)
            croak("libprefork cannot make a manager");
    }
    CALL(result = pf_become_manager(host->pf));
    check_result(aTHX_ host, result);
}

/* The bytes that perl has for the name, as its own open takes them. One with a NUL is cut nowhere: there is no such file. */
bool
make_scoreboard(pTHX_ SV *object, SV *filename, unsigned slots)
{
    MAGIC *mg = find_magic(aTHX_ object, &scoreboard_magic);
    const char *path = NULL;
    STRLEN length = 0;
    board_t *board;
    int error;
    SvGETMAGIC(filename);
    if (SvOK(filename))
        path = SvPV_nomg(filename, length);
    if (SvTAINTED(filename)) {
        TAINT;
        TAINT_PROPER("sysopen");
    }
    if (path && memchr(path, '\0', length)) {
        errno = ENOENT;
        return FALSE;
    }
    Newxz(board, 1, board_t);
    CALL(board->board = pf_scoreboard_new(path, slots); error = errno);
    if (!board->board) {
        Safefree(board);
        errno = error;
        return FALSE;
    }
    if (mg)
        mg->mg_ptr = (char *)board;
    else
        add_magic(aTHX_ object, &scoreboard_magic, board);
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
    SV *tie, *manager, *shown;
    SV *pids = member(aTHX_ object, "worker_pids");
    MAGIC *mg = SvROK(pids) && SvTYPE(SvRV(pids)) == SVt_PVHV && SvRMAGICAL(SvRV(pids))
        ? mg_find(SvRV(pids), PERL_MAGIC_tied) : NULL;
    HV *class = gv_stashpvs("Parallel::Prefork::WorkerPids", GV_ADD);
    size_t workers;
    if (mg && mg->mg_obj && SvROK(mg->mg_obj) && SvSTASH(SvRV(mg->mg_obj)) == class && SvRV(pids) == host->table) {
        manager = member(aTHX_ mg->mg_obj, "manager");
        return SvROK(manager) && SvRV(manager) == SvRV(object);
    }
    CALL(workers = pf_num_workers(host->pf));
    if (workers || !plain_hash(aTHX_ pids) || HvUSEDKEYS(SvRV(pids)) || SvROK(member(aTHX_ object, "_table")))
        return FALSE;
    tie = newRV_noinc((SV *)newHV());
    manager = newRV_inc(SvRV(object));
    (void)hv_stores((HV *)SvRV(tie), "manager", manager);
    sv_rvweaken(manager);
    table = newHV();
    hv_magic(table, (GV *)sv_bless(tie, class), PERL_MAGIC_tied);
    shown = newRV_inc(SvRV(tie));
    SvREFCNT_dec(tie);
    sv_rvweaken(shown);
    (void)hv_stores((HV *)SvRV(object), "_table", shown);
    (void)hv_stores((HV *)SvRV(object), "worker_pids", newRV_noinc((SV *)table));
    host->table = (SV *)table;
    return TRUE;
}

void
keep_reaped(pTHX_ host_t *host, bool keep)
{
    PERL_UNUSED_CONTEXT;
    if (host->keeps_reaped != keep) {
        CALL(
            if (pf_set_keep_reaped(host->pf, keep) == PF_OK)
                host->keeps_reaped = keep;
        );
    }
}
