/* What is in %SIG: the manager's handlers, and the defaults of its workers. */

#ifndef PREFORK_TRAPS_H
#define PREFORK_TRAPS_H

#include "handle.h"

/* The handlers in %SIG: of a trapped signal, which calls _trapped, and of SIGCHLD. */
void trap(pTHX_ SV *self, SV *name);
void trap_sigchld(pTHX);

/* How often SIGCHLD was noticed, and the child that the last one named, if that is known; whether $SIG{CHLD} is
 * ours. */
extern volatile unsigned long exit_notices;
extern volatile pid_t ended_child;
bool sigchld_is_ours(pTHX);

/* What SIGCHLD calls in a sleep (SA_SIGINFO), where it is ours to notice. */
void note_sigchld(int signal, siginfo_t *info, void *context);

/* Names of signals: those of a list, and the keys of a hash, if there is one. */
typedef struct {
    SV **list;
    SSize_t length;
    HV *hash;
} names_t;

/* Those of the trapped signals, if trap_signals is a plain hash. */
names_t trapped_signals(pTHX_ SV *object);

/* Calls it for each of them, and makes no value for that. A negative length is UTF-8: no signal has such a name. */
void for_each_name(pTHX_ const names_t *names, void (*call)(pTHX_ void *with, const char *name, I32 length), void *with);

/* In a worker in which signals are blocked, the system's default actions for these signals and SIGCHLD. No code of the program's
 * runs. */
void set_default_actions(pTHX_ const names_t *names);

/* The rest, when signals can arrive again: perl, and whoever has hung something on %SIG, knows
 * of it. */
void set_default_handlers(pTHX_ const names_t *names);

/* Whether what is in %SIG is a handler of ours: for trapped signals of this object, or for SIGCHLD. */
bool is_trap(pTHX_ SV *handler, SV *object);
bool is_sigchld_handler(pTHX_ SV *handler);

#endif
