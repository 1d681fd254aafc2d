/* What is in a manager object, and how a worker lets go of it. */

#ifndef PREFORK_CONTENTS_H
#define PREFORK_CONTENTS_H

#include "../object.h"

/* For the free hook of a manager object's magic, in a worker: takes those elements out of the object whose end nobody can see, and
 * leaves them in memory. Perl then frees the others. `known` is a weak reference of ours to something in there, which is left so
 * as well; it may be NULL. */
void leave_contents(pTHX_ HV *object, const SV *known);

#endif
