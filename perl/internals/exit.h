/* The end of a worker. */

#ifndef PREFORK_EXIT_H
#define PREFORK_EXIT_H

#include "../handle.h"

/* In the manager, before there are workers: what they would all do at their exit is done once. */
void prepare_to_leave(pTHX_ host_t *host, SV *object);

/* In a worker: its exit takes as few pages as it can. Fast, it leaves out all that perl does after END
 * blocks and the flushing of handles; otherwise only what nobody would see. */
void leave_worker(pTHX_ host_t *host, bool fast);

#endif
