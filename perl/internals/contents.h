/* How a worker lets go of what is in its manager object. */

#ifndef PREFORK_CONTENTS_H
#define PREFORK_CONTENTS_H

#include "../object.h"

/* In the manager: an empty hash that what is in the object may be put into later. *attic is the one of before, or NULL. */
void make_attic(pTHX_ HV **attic, HV *object);

/* In a worker, for the free hook of the object's magic: moves those elements to the attic whose end nobody could see. Perl then
 * frees the others. `own_reference` is a weak reference of ours to something in there, or NULL. */
void leave_contents(pTHX_ HV *object, HV *attic, SV *own_reference);

#endif
