/* What perl destroys at the end of a process, and whether anybody sees it. */

#ifndef PREFORK_DESTRUCTION_H
#define PREFORK_DESTRUCTION_H

#include "../object.h"

/* Whether anybody could tell that perl's destruction of everything was left out. That walks through all values
 * four times, and in a worker each page that it writes to is copied first. This walks as perl does, past `at_most` objects. */
bool is_seen_to_go(pTHX_ size_t at_most);

/* Whether code that does anything is called when an object of this class goes. */
bool has_destructor(pTHX_ HV *class);

#endif
