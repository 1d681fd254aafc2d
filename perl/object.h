/* The ground that all files of the Perl host stand on: what values of perl's say, read in C. No Perl code runs in here, but
 * where that is said. */

#ifndef PREFORK_OBJECT_H
#define PREFORK_OBJECT_H

#define PERL_NO_GET_CONTEXT
#include "EXTERN.h"
#include "perl.h"
#include "XSUB.h"

#include <signal.h>

#include "prefork-host.h"

/* A member of the object; undef if it has none of that name. Where the program has tied the object itself, its Perl code is
 * asked. */
static inline SV *member(pTHX_ SV *object, const char *name);
SV *member_by_length(pTHX_ SV *object, const char *name, I32 length);

/* Stores a copy there. What the program has hung on that member hears nothing of it; only if it has tied the object itself, its
 * Perl code is told. */
void set_member(pTHX_ SV *object, const char *name, SV *value);

/* The same for a number: in a worker it takes the place of one without another value's being made. */
void set_member_iv(pTHX_ SV *object, const char *name, IV value);

/* Whether a member is true, and the member that is a number: many macros of perl look at their argument several times, and must not
 * have a call there. */
bool member_is_true(pTHX_ SV *object, const char *name);
UV generation_of(pTHX_ SV *object);

/* Whether it is true, as far as C can tell: a reference is. */
bool is_set(pTHX_ SV *value);

/* Whether the object's signal_received holds something, as far as C can tell: an object of the
 * program's counts as something, as no Perl code may run here. */
bool signal_is_set(pTHX_ SV *object);

/* The hash behind a reference, if that is all it is. */
HV *plain_hash(pTHX_ SV *value);

/* 0 for undef; false for what only Perl code can read as a number. */
bool plain_number(pTHX_ SV *value, double *number);

/* A signal's number from a name ("TERM", "SIGTERM", "-TERM" for the group) or a number; false
 * when there is no such signal. */
bool signal_number(pTHX_ SV *signal, int *number);

/* A process id, as it is written as the key of a hash, and 0 for what is none. */
pid_t to_pid(pTHX_ SV *pid);

/* The nearest number that fits, for arguments of XS functions: a C conversion would make any number of one that does not. */
int to_int(pTHX_ SV *value);
unsigned to_unsigned(pTHX_ SV *value);

/* As a number of workers: with a fraction it is the next whole one. */
uint32_t to_count(double number);

/* What of ours hangs on an object, by magic that no program sees; NULL if nothing of that kind does. Croaks if it is no object
 * of a class like ours. */
MAGIC *attached(pTHX_ SV *object, MGVTBL *kind);

/* Hangs it there, in the place of what of that kind was. */
MAGIC *attach(pTHX_ SV *object, MGVTBL *kind, void *what);

/* The svt_dup of all our kinds: the clone of an object gets nothing of the original's, as a manager is one thread's. */
int clone_gets_nothing(pTHX_ MAGIC *mg, CLONE_PARAMS *params);
bool is_magic_of_ours(const MAGIC *mg);

/* Seconds on the clock that the core uses. */
double monotonic(void);

/* Croaks with the line of the program that called us. */
void croak_for_caller(pTHX_ SV *message);

/* The compiler knows how long a name is that stands in the code. */
static inline SV *
member(pTHX_ SV *object, const char *name)
{
    return member_by_length(aTHX_ object, name, (I32)strlen(name));
}

#endif
