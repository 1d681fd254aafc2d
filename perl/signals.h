/* Signals that are blocked, and signals that perl has noted. */

#ifndef PREFORK_SIGNALS_H
#define PREFORK_SIGNALS_H

#include "object.h"

/* No Rust frame is on the stack while Perl code can run: die, exit and immediate signal
 * handlers longjmp. So every call that changes something has signals blocked around it. */
#define CALL(call) STMT_START { \
        const int errno_before = errno; \
        sigset_t mask_before; \
        block_signals(&mask_before); \
        call; \
        unblock_signals(&mask_before); \
        errno = errno_before; \
    } STMT_END

/* Blocks every signal in this thread, and puts the mask of before back. Where there are other threads, perl's handlers send
 * what those get in the meantime to this one. */
void block_signals(sigset_t *before);
void unblock_signals(const sigset_t *before);

/* From the one to the other perl runs no handler, deferred or immediate. It runs them after that. */
typedef struct {
    sigset_t mask;           /* the program's */
    int pending;             /* PL_sig_pending */
} held_signals_t;

void hold_signals(pTHX_ held_signals_t *held);
void release_signals(pTHX_ const held_signals_t *held);

/* The same, but where there are other threads these signals are let in as before, and their handlers stay where they are. It
 * is for signals that the core's handler is called for, which other threads may call. */
void block_signals_but(const sigset_t *let_in, sigset_t *before);

/* For C handlers that are put in while signals are blocked: whether this one came to another thread than the manager's, and
 * not because it was sent to that thread. Then the manager's thread gets it now. */
bool is_passed_on(int signal, const siginfo_t *info);

/* What the program has for a signal while signals are blocked here. */
void program_action(int signal, struct sigaction *action);

/* Whether the system calls perl for a signal, which then calls what is in %SIG. Others install handlers in C that perl's
 * tables do not show: libev does. */
bool is_perls_handler(const struct sigaction *action);

/* Whether perl has noted a signal whose handler is still to run. A handler that dies while
 * another signal is noted leaves that one behind: noted, and nothing tells perl to look. */
bool signal_is_noted(pTHX);

/* Whether perl has noted this one. Then it is noted no more: the handler in %SIG is not called for it. */
bool take_noted(pTHX_ int signal);

/* In a worker that was just forked: what perl has noted is the manager's. */
void forget_noted_signals(pTHX);

#endif
