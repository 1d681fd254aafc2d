/* Who decides whether a worker is wanted, and by what. */

#ifndef PREFORK_POLICY_H
#define PREFORK_POLICY_H

#include "handle.h"

/* Who decides from now on: the core by the settings, where no method of the loop is overridden, or the program. */
void take_lead(pTHX_ host_t *host, pf_lead lead);

/* The core decides by what the program has set, which may be another value at each turn. False if that is something that only
 * Perl code can look at. */
bool pass_settings(pTHX_ host_t *host, SV *object);

/* What is wanted of a pool of so many workers: the core's rule, for methods that come by these numbers in their own way. */
IV decide(pTHX_ double workers, double max_workers, double idle, double stopping, double min_spare, double max_spare);

/* No worker is forked for so many seconds. The end of that by the wall clock, 0 for none, is then in
 * {_no_adjust_until}: for subclasses that have a loop of their own; ours asks the core. */
void update_spawn_delay(pTHX_ host_t *host, SV *object, double pause);

/* The program sees that it does; the core knows already. */
void show_pause(pTHX_ host_t *host, SV *object, double pause);

/* The program may have stored another end there by itself, as overrides of _update_spawn_delay do: then that counts. */
void follow_pause(pTHX_ host_t *host, SV *object);

#endif
