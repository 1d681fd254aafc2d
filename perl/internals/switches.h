/* Which of the tricks of this directory are used: README.md here says what each relies on, and what it buys. Without one there is a
 * plain path, by what perl documents.
 *
 * `perl Makefile.PL PLAIN=1` leaves all of them out; so does a perl that is newer than those that they were tried with. One
 * alone goes by `perl Makefile.PL DEFINE=-DTRICK_EXIT=0`. */

#ifndef PREFORK_SWITCHES_H
#define PREFORK_SWITCHES_H

#define NEWEST_TESTED 42    /* perl 5.42, see script/perls */

#if defined(PREFORK_PLAIN) || PERL_VERSION > NEWEST_TESTED
#define TRICKS 0
#else
#define TRICKS 1
#endif

#ifndef TRICK_DEFAULTS
#define TRICK_DEFAULTS TRICKS
#endif
#ifndef TRICK_EXIT
#define TRICK_EXIT TRICKS
#endif
#ifndef TRICK_CONTENTS
#define TRICK_CONTENTS TRICKS
#endif
#ifndef TRICK_FAST_EXIT
#define TRICK_FAST_EXIT TRICKS
#endif
#ifndef TRICK_LEXICALS
#define TRICK_LEXICALS TRICK_FAST_EXIT
#endif

#endif
