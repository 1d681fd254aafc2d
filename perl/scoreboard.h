/* Scoreboards behind Perl objects. */

#ifndef PREFORK_SCOREBOARD_H
#define PREFORK_SCOREBOARD_H

#include "signals.h"

/* What hangs on a scoreboard of ours. */
typedef struct {
    pf_scoreboard_t *board;
    pf_own_slot slot;        /* of this process, once it has set a status... */
    bool is_quick;           /* ... if there is one, and no file to keep up to date */
} board_t;

/* Makes the scoreboard of an object, in a file of this name or (undef) in memory; false with errno set. */
bool make_scoreboard(pTHX_ SV *object, SV *filename, unsigned slots);

/* Both croak if there is none. */
board_t *board_of(pTHX_ SV *object);
pf_scoreboard_t *scoreboard_of(pTHX_ SV *object);

/* The first character of a status; croaks if it is empty. */
uint8_t status_character(pTHX_ SV *status);

/* Sets the status of this process; false if it has no slot. */
bool set_status(pTHX_ board_t *board, uint8_t status);

/* Tells what the methods scoreboard (of a manager) and set_status (of a scoreboard) are, as code
 * references, where no program has put others in their place. */
void know_methods(pTHX_ SV *scoreboard, SV *set_status);

/* The scoreboard of a manager, if to set a status by its methods would come to that; otherwise, or
 * if that is not certain, NULL. */
board_t *plain_board(pTHX_ SV *self);

#endif
