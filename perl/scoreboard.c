/* Scoreboards behind Perl objects, and the status that a worker sets.
 *
 * A worker sets its status in C (`set_status`), in the memory of the scoreboard that pf_scoreboard_own_slot
 * gives, in the steps of status.h. This takes no system call unless the manager has to be woken: no Rust runs, so no signal
 * has to be blocked. An immediate handler may leave by longjmp between any two steps. Perl then calls a destructor on its
 * savestack (`end_change`), in which the core ends the change with signals blocked. A scoreboard with a file always
 * goes through the core. */

#include "scoreboard.h"

#include "status.h"
#include "work.h"

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

static MGVTBL scoreboard_magic =
    { NULL, NULL, NULL, NULL, free_scoreboard, NULL, clone_gets_nothing, NULL };

board_t *
board_of(pTHX_ SV *object)
{
    MAGIC *mg = attached(aTHX_ object, &scoreboard_magic);
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

/* On the scoreboard of its pool a worker says what it does; another one has other meanings. */
static void
is_told(pTHX_ const board_t *board, uint8_t status)
{
    const host_t *host = host_of_worker(aTHX);
    const MAGIC *mg = host && host->scoreboard && is_heard(host)
        ? mg_findext(host->scoreboard, PERL_MAGIC_ext, &scoreboard_magic) : NULL;
    if (mg && (const board_t *)mg->mg_ptr == board)
        status_is_set(aTHX_ status);
}

bool
set_status(pTHX_ board_t *board, uint8_t status)
{
    pf_result result;
#ifdef CAN_CHANGE_STATUS
    if (board->is_quick) {
        set_status_quickly(board, status);
        is_told(aTHX_ board, status);
        return TRUE;
    }
#endif
    CALL(result = pf_scoreboard_set_status(board->board, status);
        board->is_quick = pf_scoreboard_own_slot(board->board, &board->slot) == PF_OK);
    if (result == PF_OK)
        is_told(aTHX_ board, status);
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

/* The bytes that perl has for the name, as its own open takes them. One with a NUL is cut nowhere: there is no such file. */
bool
make_scoreboard(pTHX_ SV *object, SV *filename, unsigned slots)
{
    const char *path = NULL;
    STRLEN length = 0;
    board_t *board;
    int error;
    (void)attached(aTHX_ object, &scoreboard_magic);
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
    attach(aTHX_ object, &scoreboard_magic, board);
    return TRUE;
}
