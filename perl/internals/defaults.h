/* The defaults in %SIG of a worker, made by the manager. */

#ifndef PREFORK_DEFAULTS_H
#define PREFORK_DEFAULTS_H

#include "../traps.h"

/* In the manager, before there are workers: what put_defaults needs is made beforehand. */
void make_defaults(pTHX_ host_t *host, const names_t *names);

/* In a worker in which signals are blocked: the system's default actions for these signals and SIGCHLD, and DEFAULT in %SIG. False
 * if perl has to store the latter, when signals can arrive again: no code of the program's runs here, and somebody wants to
 * know what is stored. */
bool put_defaults(pTHX_ host_t *host, SV *object, const names_t *names);

/* After that, when signals can arrive again. */
void count_kept_handlers(pTHX_ host_t *host, SV *object);

#endif
