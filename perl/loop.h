/* The loop of start, and of wait_all_children, as long as no Perl code has a part in it. */

#ifndef PREFORK_LOOP_H
#define PREFORK_LOOP_H

#include "handle.h"

/* How far the loop of start has come. */
typedef enum {
    RUN_NEXT,
    RUN_TURN,        /* only Perl code can do the next turn */
    RUN_LOOK,        /* signal_received has to be looked at */
    RUN_WANTED,      /* a worker is wanted, and before_fork is due */
    RUN_IN_WORKER,
    RUN_FORKED,      /* after_fork is due for event.pid */
    RUN_REAPED       /* on_child_reap is due for event.pid and event.status */
} run_t;

/* Notes what the methods do that these loops do the work of: nobody has overridden one yet. */
void note_methods(pTHX);

/* Whether nothing of the loop of start is Perl's, as far as can be seen: no hook to call, no method overridden. */
bool runs_alone(pTHX_ host_t *host, SV *object);

/* Goes on with the loop of start until there is something for Perl. With runs_code the worker never
 * comes back from start, see leave_evals. */
run_t run(pTHX_ host_t *host, SV *object, bool runs_code, pf_event *event);

/* The same for wait_all_children, which ends at `until` on the clock of monotonic(). Returns whether it
 * is at its end, or only has to look again; if not, a turn of it is left to Perl. */
bool drain(pTHX_ host_t *host, SV *object, double until);

#endif
