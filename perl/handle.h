/* The handle behind a Perl object, and what the Perl host keeps beside it. */

#ifndef PREFORK_HANDLE_H
#define PREFORK_HANDLE_H

#include "signals.h"

/* Who decides whether a worker is wanted, and by what, as the core was told last. */
typedef struct {
    pf_lead lead;
    double max_workers, spawn_interval, err_respawn_interval;
    double graceful_timeout, worker_timeout, worker_timeout_grace, ready_timeout;
    double pause_shown;       /* what was stored in {_no_adjust_until} by us */
} policy_t;

/* From fork_begin to forked or fork_failed. */
typedef struct {
    bool is_under_way;
    sigset_t mask;           /* the program's, while signals are blocked */
    int pending;             /* PL_sig_pending, kept in the meantime */
} fork_t;

/* What is known of children that may have ended. */
typedef struct {
    unsigned long passed_on; /* how many notices of SIGCHLD have been passed on */
    bool timed_out;          /* nothing but time ended the last wait */
    bool is_named;           /* a SIGCHLD that names its child did, and no code of the program has run since */
    double due_at;          /* until then, on the core's clock, nothing is due as long as no code of the program runs */
} exits_t;

/* What the loops in C keep: see loop.c. */
typedef struct {
    GV *newborn;             /* $newborn of Prefork.pm; NULL until the first turn */
    UV body[14];             /* of each method that they do the work of, as of then */
    const SV *running;       /* the object's _goal when the loop of start began */
} loop_t;

/* Threads of a process have interpreters of their own. */
#ifdef MULTIPLICITY
#define THIS_INTERPRETER aTHX
#else
#define THIS_INTERPRETER NULL
#endif

/* This process, if it is a worker. */
typedef struct {
    bool is_one;
    bool is_fast;            /* its exit leaves out what perl does after END blocks... */
    pid_t pid;               /* ... in the process with this pid, and not in what it forks */
    const void *interpreter; /* the one that start was called in */
    SV *object;              /* what `current` gives: not counted, and NULL when it has gone */
} worker_t;

/* Elements of %SIG that the manager has made for its workers: see internals/defaults.c. */
typedef struct defaults {
    GV *sig;                 /* *SIG: a hash that is localized is not kept */
    unsigned made;
    SV *ready[16];
    unsigned kept;           /* handlers that a worker has not freed, each of which had a count of the object */
    void (*free)(pTHX_ struct defaults *defaults);
} defaults_t;

/* It hangs on the object, in the room that its handle has for that. In a worker that becomes a manager the handle is another
 * one. */
typedef struct host {
    pf_t *pf;
    policy_t policy;
    fork_t fork;
    exits_t exits;
    loop_t loop;
    worker_t worker;
    const struct host *outer; /* that of the worker which this process is beside */
    defaults_t defaults;
    bool signal_was_set;     /* what signal_received held when start looked last */
    bool keeps_reaped;       /* as keep_reaped has told the core */
    const SV *table;         /* the hash that shows the workers: they are others if {worker_pids} is another one */
    SV *tie;                 /* a weak reference to what ties that hash; each worker frees what is in the object, but not this */
    HV *attic;               /* for what a worker leaves of the object: see internals/contents.c */
    SV *scoreboard;          /* keeps alive what pf_set_scoreboard was given */
} host_t;

/* A compiler that takes this has room for it: pf_host_room gives nothing if not. */
typedef char host_fits_t[sizeof(host_t) <= PF_HOST_ROOM ? 1 : -1];

/* The handle of an object, made when it is first needed: subclasses may bless their own. */
host_t *host_of(pTHX_ SV *object);

/* Makes this process the manager, if it is a fork of the one that was; a worker that starts
 * workers of its own is the manager of a new pool. */
void become_manager(pTHX_ host_t *host);

/* Croaks with the handle's message if the result is an error. */
void check_result(pTHX_ host_t *host, pf_result result);

/* start looks around: something has changed. */
void wake(pTHX_ SV *object);

/* The handle whose worker this process is, or will be when it is forked; NULL if start was not called. */
const host_t *handle_of_workers(void);
void set_handle_of_workers(host_t *host);

/* The handle of which this process is a worker, as this interpreter sees it; NULL if it is none. */
const host_t *host_of_worker(pTHX);

/* The object behind that; NULL if there is none, or it has gone. */
SV *object_of_worker(pTHX);

#endif
