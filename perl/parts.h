/* The parts of the module that are compiled when they are needed. */

#ifndef PREFORK_PARTS_H
#define PREFORK_PARTS_H

#include "object.h"

/* The source of this part of the module ("Loop" is Parallel/Prefork/Loop.pm), in a new value. Dies if there is no such part. */
SV *source_of_part(pTHX_ const char *part);

#endif
