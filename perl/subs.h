/* What a sub does. A sub can be given another body, and stay the same. */

#ifndef PREFORK_SUBS_H
#define PREFORK_SUBS_H

#include "object.h"

/* Whether it has a body: one that is only declared has none. */
bool has_body(const CV *code);

/* Its body, as a number; 0 for none. */
UV body_of(const CV *code);

/* The same, and no other sub will ever have that number. */
UV keep_body(pTHX_ const CV *code);

#endif
