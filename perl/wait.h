/* The one wait of the Perl host. */

#ifndef PREFORK_WAIT_H
#define PREFORK_WAIT_H

#include "handle.h"

/* Tells the core what the object wants of it, before each pf_next. */
void set_goal(pTHX_ host_t *host, SV *object);

/* Runs the handlers of the signals that perl has noted. */
void run_handlers(pTHX_ host_t *host);

/* How next_exit waits. */
typedef struct {
    bool blocking;           /* waits once for something to happen before it says that there is none; */
    bool adjust;             /* that also ends when the pool may be adjusted, */
    double max_wait;         /* and after so many seconds, if that is 0 or more */
    unsigned untold;         /* so many exits nobody needs to be told of; no handler runs between them */
} how_t;

/* The next child that was reaped, into event; false if there is none. Whom it tells of is in the table until keep_reaped says
 * that those before need not be kept, and the next one is asked for. */
bool next_exit(pTHX_ SV *object, host_t *host, pf_event *event, how_t how);

#endif
