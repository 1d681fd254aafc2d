/* Who decides whether a worker is wanted, and by what. */

#ifndef PREFORK_POLICY_H
#define PREFORK_POLICY_H

#include "handle.h"

/* Who decides from now on: the core by the settings, where no method of the loop is overridden, or the program. */
void take_lead(pTHX_ host_t *host, pf_lead lead);

/* The core decides by what the program has set, which may be another value at each turn. False if that is something that only
 * Perl code can look at. */
bool pass_settings(pTHX_ host_t *host, SV *object);

/* A member that is a number of seconds; 0 for none, and for what is no such number. */
double seconds_member(pTHX_ SV *object, const char *name);

/* How long a worker may take to end that is told so from now on: to be called before one is. */
void pass_graceful_timeout(pTHX_ host_t *host, SV *object);

/* What a worker is sent when its manager ends: it counts for the next run. */
pf_result pass_death_signal(pTHX_ host_t *host, SV *object);

/* A pool whose numbers a method has come by in its own way. */
typedef struct {
    double workers, max_workers, idle, stopping, min_spare, max_spare;
} pool_t;

/* What is wanted of it, by the core's rule; and (NULL is allowed) with fewer busy workers than `low`, or more than `high`,
 * something else would be. */
IV decide(const pool_t *pool, int32_t *low, int32_t *high);

/* No worker is forked for so many seconds. The end of that by the wall clock, 0 for none, is then in
 * {_no_adjust_until}: for subclasses that have a loop of their own; ours asks the core. */
void update_spawn_delay(pTHX_ host_t *host, SV *object, double pause);

/* The program sees that it does; the core knows already. */
void show_pause(pTHX_ host_t *host, SV *object, double pause);

/* The program may have stored another end there by itself, as overrides of _update_spawn_delay do: then that counts. */
void follow_pause(pTHX_ host_t *host, SV *object);

#endif
