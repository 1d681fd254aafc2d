/* The defaults in %SIG of a worker, made by the manager. */

#ifndef PREFORK_DEFAULTS_H
#define PREFORK_DEFAULTS_H

#include "../traps.h"

/* In the manager, before there are workers: what put_default needs is made beforehand. */
void make_defaults(pTHX_ host_t *host, const names_t *names);

/* In a worker in which signals are blocked: DEFAULT for a signal, by its name as a key of %SIG. False if perl has to store it,
 * when signals can arrive again: no code of the program's runs here, and somebody wants to know what is stored. */
bool put_default(pTHX_ host_t *host, SV *object, const char *name, I32 length);

/* After that, when signals can arrive again. */
void count_kept_handlers(pTHX_ host_t *host, SV *object);

#endif
