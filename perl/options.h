/* Options and their accessors. */

#ifndef PREFORK_OPTIONS_H
#define PREFORK_OPTIONS_H

#include "object.h"

/* What an option is to be, and what an accessor is for that has no option behind it. */
typedef enum { KIND_ANY, KIND_READ_ONLY, KIND_WRITE_ONLY, KIND_NUMBER, KIND_CODE, KIND_LOG, KIND_SIGNAL, KIND_SIGNALS, KIND_OBJECT } kind_t;
kind_t kind_of(pTHX_ const char *name);

/* Whether a value is so obviously one of its kind that nobody else needs to look. */
bool is_plain_value(pTHX_ kind_t kind, SV *value);

/* Dies if Options.pm finds the value wrong. */
void check_option(pTHX_ const char *kind, const char *name, SV *value);

/* The method `name` of `package`, for a member of a kind. */
void make_accessor(pTHX_ SV *package, SV *kind, SV *name);

/* The method new of `package`, as Class::Accessor::Lite makes it. */
void make_constructor(pTHX_ SV *package);

#endif
