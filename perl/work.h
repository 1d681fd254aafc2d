/* What a worker says of its work, and that it is ready for it. */

#ifndef PREFORK_WORK_H
#define PREFORK_WORK_H

#include "handle.h"

/* No other number of seconds: as long as the manager has set for this worker. */
#define SECONDS_AS_SET (-1.0)

/* The argument of a method, SECONDS_AS_SET if it is undef or NULL; croaks if it is no number of seconds. */
double seconds_of_work(pTHX_ const char *method, SV *seconds);

/* Whether anybody hears what workers say: there is a time-out for it. */
bool is_heard(const host_t *host);

/* In a worker that was just forked: what is known of a line is about the process that has forked it. */
void forget_line(void);

/* The methods ready, busy, tick and idle. They croak in a manager. */
void is_ready_for_work(pTHX_ const host_t *host);
void begin_work(pTHX_ const host_t *host, double seconds);
void go_on_with_work(pTHX_ const host_t *host, double seconds);
void end_work(pTHX_ const host_t *host);

/* A worker has set its status on a scoreboard, which says the same; nothing in a process that is no worker. */
void status_is_set(pTHX_ uint8_t status);

/* How long workers may be busy that are forked from now on, and what then becomes of them. */
void pass_worker_timeout(pTHX_ host_t *host, SV *object);

/* How long after their fork workers have to be ready that are forked from now on. */
void pass_ready_timeout(pTHX_ host_t *host, SV *object);

/* If the program has taken one of these back, that is so for all workers from now on. */
void end_timeouts(pTHX_ host_t *host, SV *object);

/* In a worker: the hook of the program runs when it is late. */
void handle_lateness(pTHX_ const host_t *host, SV *object);

#endif
