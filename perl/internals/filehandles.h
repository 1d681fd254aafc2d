/* Perl's handles at the end of a worker. */

#ifndef PREFORK_FILEHANDLES_H
#define PREFORK_FILEHANDLES_H

#include "../object.h"

/* Whether anybody could tell that a handle is not closed, but left to the end of the process. */
bool closes_visibly(pTHX_ IO *io);

/* Closes all handles for which that is more than to flush them and to forget them. Nobody may use them afterwards. */
void finish_handles(pTHX);

#endif
