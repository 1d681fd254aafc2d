/* The wait of a worker, and how it learns that it is to stop. */

#ifndef PREFORK_STOP_H
#define PREFORK_STOP_H

#include "handle.h"

/* What wait_readable waits for: copies of the handles that it was given, and for how many seconds; -1 for ever. */
typedef struct {
    AV *handles;
    double timeout;
} awaited_t;

/* In a worker that was just forked: what is known is about the process that has forked it. */
void forget_stop(void);

/* Reads the arguments: handles, or one array of them (undef: none) and a time-out. Croaks if they are neither. */
awaited_t awaited(pTHX_ SV **arguments, SSize_t count);

/* Waits until one of the handles is readable, and returns its place; -1 if the time is over, or the worker is to stop. */
SSize_t wait_readable(pTHX_ SV *object, host_t *host, const awaited_t *what);

/* Why the worker is to stop. */
pf_stop_reason stopping(pTHX_ SV *object, host_t *host);

/* What is readable when the worker is to stop. */
int stop_fd(pTHX_ SV *object, host_t *host);

#endif
