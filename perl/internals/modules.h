/* Modules that 0.18 loads and we do not need. */

#ifndef PREFORK_MODULES_H
#define PREFORK_MODULES_H

#include "../object.h"

/* Loads the modules whose functions the program calls without having loaded them, of those that 0.18 would have loaded by
 * now; with a scoreboard those are more. */
void load_what_is_called(pTHX_ bool spare_workers);

/* Has that done before the program runs, as INIT does; perl would say that it is too late for that where it is. */
void load_before_run(pTHX);

#endif
