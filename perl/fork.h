/* The fork, and the time around it, in which no handler runs. */

#ifndef PREFORK_FORK_H
#define PREFORK_FORK_H

#include "traps.h"

/* Forks a worker: its pid in the manager; 0 in the worker, where enter_worker has to follow; -1 if
 * there is none now, after a warning when it is time for one. */
pid_t fork_worker(pTHX_ host_t *host, SV *object);

/* The parts of that, for a fork that is Perl code. Blocks every signal and asks the core for a
 * fork, for which forked or fork_failed must follow; from here to there no Perl handler runs.
 * False if it is not to fork now. */
bool fork_begin(pTHX_ host_t *host, SV *object);

/* fork has returned this pid, in the manager or (0) in the worker. */
void forked(pTHX_ host_t *host, int pid);

/* fork has failed, or was left without an outcome. Returns how many failures to report now. */
unsigned fork_failed(pTHX_ host_t *host);

/* In the worker, before any code of the program's: its handlers for these signals are the default ones, and signals can
 * arrive from there on. */
void enter_worker(pTHX_ host_t *host, SV *object, const names_t *trapped);

/* The worker's code must never come back into the manager's: evals around start are left for good,
 * so that die ends the process as perl ends it. */
void leave_evals(pTHX);

/* Calls a worker's code, on a context stack of its own, which keeps next, last and goto inside. */
void run_worker(pTHX_ SV *code);

#endif
