/* The workers, as {worker_pids} shows them. */

#ifndef PREFORK_WORKERS_H
#define PREFORK_WORKERS_H

#include "handle.h"

/* Whether {worker_pids} is the hash that shows the workers. */
bool is_tied(pTHX_ const host_t *host, SV *object);

/* Ties {worker_pids} to the table of the core; false if it holds something, or has taken the place of another one, or is a tie of the
 * program's, which only Perl code can look at. */
bool tie_worker_pids(pTHX_ host_t *host, SV *object);

/* The hash that shows the workers from now on, and what ties it; NULL for none. */
void set_table(pTHX_ host_t *host, SV *table, SV *tie);

/* Whether workers of whose exit next_exit has told stay in the table until they are taken out. */
void keep_reaped(pTHX_ host_t *host, bool keep);

/* Takes a worker whose exit has been reported out of the table. Its generation, or -1. */
IV remove_reaped(pTHX_ host_t *host, SV *object, pid_t pid);

/* What the program has stored in worker_pids, by pid; NULL if nothing. */
HV *stored_in(pTHX_ SV *object);

/* What it has stored for a pid is of no use any more. */
void drop_stored(pTHX_ SV *object, pid_t pid);

#endif
