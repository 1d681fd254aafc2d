/* Modules that 0.18 loads and we do not need. */

#ifndef PREFORK_MODULES_H
#define PREFORK_MODULES_H

#include "object.h"

/* Loads the modules whose functions the program calls without having loaded them, of those that 0.18 would have loaded by
 * now; with a scoreboard those are more. */
void load_what_is_called(pTHX_ bool spare_workers);

/* The same for what needs no scoreboard, when all of the program is compiled: before it runs, as INIT does, or, if it runs
 * already, now. From now on the program is compiled as if these modules were loaded. */
void load_when_compiled(pTHX);

#endif
