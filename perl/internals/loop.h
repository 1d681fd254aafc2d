/* The loop of start, and of wait_all_children, as long as no Perl code has a part in it. */

#ifndef PREFORK_LOOP_H
#define PREFORK_LOOP_H

#include "../handle.h"

/* How far the loop of start has come. */
typedef enum {
    RUN_NEXT,
    RUN_TURN,        /* only Perl code can do the next turn */
    RUN_LOOK,        /* signal_received has to be looked at */
    RUN_IN_WORKER,
    RUN_FORKED,      /* after_fork is due for event.pid */
    RUN_REAPED       /* on_child_reap is due for event.pid and event.status */
} run_t;

/* Goes on with the loop of start until there is something for Perl. With runs_code the worker never
 * comes back from start, see leave_evals. */
run_t run(pTHX_ host_t *host, SV *object, bool runs_code, pf_event *event);

/* What came up, and which worker it is about, as a new reference to an array; an empty one for a turn of the loop
 * in Perl. */
SV *told(pTHX_ run_t what, const pf_event *event);

/* The same for wait_all_children, which ends at `until` on the clock of monotonic(). Returns whether it
 * is at its end, or only has to look again; if not, a turn of it is left to Perl. */
bool drain(pTHX_ host_t *host, SV *object, double until);

/* What a sub does, as a number that stays its own even if the sub gets another body. */
UV keep_body(pTHX_ const CV *code);

#endif
