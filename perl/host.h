/* What the files of the Perl front share: the handle behind a Perl object, the fork, the wait, the loop. */

#ifndef PERL_HOST_H
#define PERL_HOST_H

#define PERL_NO_GET_CONTEXT
#include "EXTERN.h"
#include "perl.h"
#include "XSUB.h"

#include <signal.h>

#include "prefork-host.h"

/* What the core decides by, as the program has set it. */
typedef struct {
    double max_workers, spawn_interval, err_respawn_interval;
} settings_t;

/* What hangs on a Perl object of ours: its handle, and what the front keeps beside it, in that handle's room. In a worker
 * that becomes a manager the handle is another one. */
typedef struct {
    pf_t *pf;
    sigset_t mask;           /* the program's, while signals are blocked around a fork */
    SV *scoreboard;          /* keeps alive what pf_set_scoreboard was given */
    pf_lead lead;            /* who decides, as the core was told last */
    settings_t passed;       /* and by what, if it shares that */
    double rest_shown;       /* what was stored in {_no_adjust_until} by us */
    bool keeps_reaped;       /* what the core was told of that last */
    unsigned long exits;     /* how many notices of SIGCHLD have been passed on */
    bool timed_out;          /* nothing but time ended the last wait */
    bool is_named;           /* a SIGCHLD that names its child did, and no code of the program has run since */
    double look_at;          /* until then, on the core's clock, nothing is due as long as no code of the program runs */
    bool is_forking;         /* from fork_begin to forked or fork_failed */
    int pending;             /* PL_sig_pending, kept in the meantime */
    const SV *running;       /* the object's _goal when the loop in C began */
    bool signal_was_set;     /* what signal_received held when start looked last */
    HV *stash;               /* the object's class when its methods were looked up... */
    U32 changes;             /* ... and which state of perl's caches of methods that was */
    bool is_plain;           /* no method that start calls was overridden there */
    unsigned methods;        /* these are they */
    struct { const CV *code; UV body; } method[16];
    GV *newborn;             /* $newborn of Prefork.pm, as of then */
    GV *sig;                 /* *SIG: a hash that is localized is not kept */
    unsigned defaults;       /* how many elements of it are ready for a worker */
    SV *ready[16];
    bool defaults_left;      /* a worker has still to store some of them as the program would */
    unsigned handlers_kept;  /* handlers that a worker has not freed, each of which had a count of the object */
    bool is_worker;          /* this process is one... */
    bool is_fast;            /* ... with fast_exit... */
    uint64_t process;        /* ... and this, then, is its pf_process_number */
    const SV *table;         /* the hash that shows the workers: they are others if {worker_pids} is another one */
    const void *interpreter; /* the one that start was called in */
} host_t;

/* A compiler that takes this has room for it: pf_host_room gives nothing if not. */
typedef char host_fits_t[sizeof(host_t) <= PF_HOST_ROOM ? 1 : -1];

/* What hangs on a scoreboard of ours. */
typedef struct {
    pf_scoreboard_t *board;
    pf_own_slot slot;        /* of this process, once it has set a status... */
    bool is_quick;           /* ... if there is one, and no file to keep up to date */
} board_t;

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

/* For C handlers that are put in while signals are blocked: whether another thread than the one that blocks them got this
 * one. Then that one gets it now. */
bool is_passed_on(int signal);

/* What the program has for a signal while signals are blocked here. */
void program_action(int signal, struct sigaction *action);

/* The handle of an object, made when it is first needed: subclasses may bless their own. */
host_t *host_of(pTHX_ SV *object);

/* Makes this process the manager, if it is a fork of the one that was; a worker that starts
 * workers of its own is the manager of a new pool. */
void become_manager(pTHX_ host_t *host);

/* Whether the object's signal_received holds something, as far as C can tell: an object of the
 * program's counts as something, as no Perl code may run here. */
bool signal_is_set(pTHX_ SV *object);

/* Makes the scoreboard of an object, in a file of this name or (undef) in memory; false with errno set. */
bool make_scoreboard(pTHX_ SV *object, SV *filename, unsigned slots);
pf_scoreboard_t *scoreboard_of(pTHX_ SV *object);
board_t *board_of(pTHX_ SV *object);

/* Sets the status of this process; false if it has no slot. */
bool set_status(board_t *board, uint8_t status);

/* Tells what the methods scoreboard (of a manager) and set_status (of a scoreboard) are, as code
 * references, where no program has put others in their place. */
void know_methods(pTHX_ SV *scoreboard, SV *set_status);

/* The scoreboard of a manager, if to set a status by its methods would come to that; otherwise, or
 * if that is not certain, NULL. */
board_t *plain_board(pTHX_ SV *self);

/* The first character of a status; croaks if it is empty. */
uint8_t status_character(pTHX_ SV *status);

/* Croaks with the handle's message if the result is an error. */
void check_result(pTHX_ host_t *host, pf_result result);

/* A signal's number from a name ("TERM", "SIGTERM", "-TERM" for the group) or a number; false
 * when there is no such signal. */
bool signal_number(pTHX_ SV *signal, int *number);

/* A process id, as it is written as the key of a hash, and 0 for what is none. */
pid_t to_pid(pTHX_ SV *pid);

/* The nearest number that fits, for arguments of XS functions: a C conversion would make any number of one that does not. */
int to_int(pTHX_ SV *value);
unsigned to_unsigned(pTHX_ SV *value);

/* Whether perl has noted a signal whose handler is still to run. A handler that dies while
 * another signal is noted leaves that one behind: noted, and nothing tells perl to look. */
bool signal_is_noted(pTHX);

/* Runs the handlers of what is noted. */
void run_handlers(pTHX_ host_t *host);

/* A member of the object; undef if it has none of that name. */
SV *member(pTHX_ SV *object, const char *name);

/* Seconds on the clock that the core uses. */
double monotonic(void);

/* Croaks with the line of the program that called us. */
void croak_for_caller(pTHX_ SV *message);

/* Forks a worker: its pid in the manager; 0 in the worker, where enter_worker has to follow; -1 if
 * there is none now, after a warning when it is time for one. */
pid_t fork_worker(pTHX_ host_t *host, SV *object);

/* The parts of that, for a fork that is Perl code. Blocks every signal and asks the core for a
 * fork, for which forked or fork_failed must follow; from here to there no Perl handler runs.
 * False if it is not to fork now. */
bool fork_begin(pTHX_ host_t *host, SV *object);

/* fork has returned this pid, in the manager or (0) in the worker. */
void forked(pTHX_ host_t *host, int pid);

/* fork has failed, or was left without an outcome. Returns how many failures to report now. */
unsigned fork_failed(pTHX_ host_t *host);

/* In the worker, before any code of the program's, after set_default for each trapped signal: the rest, and
 * signals can arrive from there on. */
void enter_worker(pTHX_ host_t *host, SV *object);

/* The worker's code must never come back into the manager's: evals around start are left for good,
 * so that die ends the process as perl ends it. */
void leave_evals(pTHX);

/* In a worker: its exit takes as few pages as it can. Fast, it leaves out all that perl does after END
 * blocks and the flushing of handles; otherwise only what nobody would see. */
void leave_worker(pTHX_ host_t *host, bool fast);

/* In the manager, before there are workers: what they would all do at their exit is done once. */
void prepare_to_leave(pTHX_ host_t *host, SV *object);

/* The handle is about to be freed. */
void forget_leaving(const host_t *host);

/* Whether anybody could tell that a handle is not closed, but left to the end of the process. */
bool closes_visibly(pTHX_ IO *io);

/* Closes all handles for which that is more than to flush them and to forget them. Nobody may use them afterwards. */
void finish_handles(pTHX);

/* Whether this magic is what ties one of our objects to its handle. */
bool is_magic_of_ours(const MAGIC *mg);

/* Tells the core what the object wants of it, before each pf_next. */
void set_goal(pTHX_ host_t *host, SV *object);

/* The next child that was reaped, into event; false if there is none. With blocking, waits
 * once for something to happen before it says so: adjust also ends that when the pool
 * may be adjusted, and max_wait (if 0 or more) after so many seconds. Those before it of whom nobody needs to be
 * told are up to `untold`; no handler runs between them. Whom it tells of is in the table until keep_reaped says that those before
 * need not be kept, and the next one is asked for. */
bool next_exit(pTHX_ SV *object, host_t *host, pf_event *event, bool blocking, bool adjust,
    double max_wait, unsigned untold);

/* What an option is to be, and what an accessor is for that has no option behind it. */
typedef enum { KIND_ANY, KIND_READ_ONLY, KIND_WRITE_ONLY, KIND_NUMBER, KIND_CODE, KIND_SIGNALS, KIND_OBJECT } kind_t;
kind_t kind_of(pTHX_ const char *name);

/* Whether a value is so obviously one of its kind that nobody else needs to look. */
bool is_plain_value(pTHX_ kind_t kind, SV *value);

/* 0 for undef; false for what only Perl code can read as a number. */
bool plain_number(pTHX_ SV *value, double *number);

/* The hash behind a reference, if that is all it is. */
HV *plain_hash(pTHX_ SV *value);

/* Whether it is true, as far as C can tell: a reference is. */
bool is_set(pTHX_ SV *value);

/* Dies if Options.pm finds the value wrong. */
void check_option(pTHX_ const char *kind, const char *name, SV *value);

/* The method `name` of `package`, for a member of a kind. */
void make_accessor(pTHX_ SV *package, SV *kind, SV *name);

/* The method new of `package`, as Class::Accessor::Lite makes it. */
void make_constructor(pTHX_ SV *package);

/* The handlers in %SIG: of a trapped signal, which calls _trapped, and of SIGCHLD. */
void trap(pTHX_ SV *self, SV *name);
void trap_sigchld(pTHX);

/* How often SIGCHLD was noticed, and the child that the last one named, if that is known; whether $SIG{CHLD} is
 * ours. */
extern volatile unsigned long exit_notices;
extern volatile pid_t ended_child;
bool sigchld_is_ours(pTHX);

/* Whether the system calls perl for a signal, which then calls what is in %SIG. Others install handlers in C that perl's
 * tables do not show: libev does. */
bool is_perls_handler(const struct sigaction *action);

/* Whether it is the one that calls what is in %SIG at once (POSIX::SigAction without `safe`). */
bool is_perls_immediate_handler(pTHX_ const struct sigaction *action);

/* What SIGCHLD calls in a sleep (SA_SIGINFO), where it is ours to notice. */
void note_sigchld(int signal, siginfo_t *info, void *context);

/* In a worker in which signals are blocked, DEFAULT for a signal, by its name as a key of %SIG. No code of the program's runs: where
 * somebody wants to know what is stored in %SIG, only the system's disposition is set, and defaults_left says so. */
void set_default(pTHX_ host_t *host, SV *object, const char *name, I32 length);

/* The store that was left, as perl makes it, when signals can arrive again. */
void set_default_by_store(pTHX_ host_t *host, SV *object, const char *name, I32 length);

/* In the manager: what that needs is made beforehand. */
void make_defaults(pTHX_ host_t *host, SV *object);
void free_defaults(pTHX_ host_t *host);

/* Calls it for each name in trap_signals, if that is a plain hash, and writes to nothing for that. */
void for_each_trapped(pTHX_ host_t *host, SV *object,
    void (*call)(pTHX_ host_t *host, SV *object, const char *name, I32 length));

/* Loads the modules whose functions the program calls without having loaded them, of those that 0.18 would have loaded by
 * now; with a scoreboard those are more. */
void load_what_is_called(pTHX_ bool spare_workers);

/* Has that done before the program runs, as INIT does; perl would say that it is too late for that where it is. */
void load_before_run(pTHX);

/* Whether {worker_pids} is the hash that shows the workers. */
bool is_tied(pTHX_ const host_t *host, SV *object);

/* start looks around: something has changed. */
void wake(pTHX_ SV *object);

/* How far the loop of start has come. */
typedef enum {
    RUN_NEXT,
    RUN_TURN,        /* only Perl code can do the next turn */
    RUN_LOOK,        /* signal_received has to be looked at */
    RUN_IN_WORKER,
    RUN_FORKED,      /* after_fork is due for event.pid */
    RUN_REAPED       /* on_child_reap is due for event.pid and event.status */
} run_t;

/* What a sub does, as a number that stays its own even if the sub gets another body. */
UV keep_body(pTHX_ const CV *code);

/* Goes on with the loop of start until there is something for Perl. With runs_code the worker never
 * comes back from start, see leave_evals. */
run_t run(pTHX_ host_t *host, SV *object, bool runs_code, pf_event *event);

/* What came up, and which worker it is about, as a new reference to an array; an empty one for a turn of the loop
 * in Perl. */
SV *told(pTHX_ run_t what, const pf_event *event);

/* Whether run is all that start needs, as far as can be told when it begins. */
bool runs_alone(pTHX_ host_t *host, SV *object);

/* start, from its loop on, for which something may come up that is Perl's to do. Returns whether this is the manager;
 * a worker returns only if it has no code. */
bool start(pTHX_ SV *object, SV *code);

/* Calls a worker's code, on a context stack of its own, which keeps next, last and goto inside. */
void run_worker(pTHX_ SV *code);

/* The same for wait_all_children, which ends at `until` on the clock of monotonic(). Returns whether it
 * is at its end, or only has to look again; if not, a turn of it is left to Perl. */
bool drain(pTHX_ host_t *host, SV *object, double until);

/* Whether workers of whose exit next_exit has told stay in the table until they are taken out. */
void keep_reaped(pTHX_ host_t *host, bool keep);

/* Ties {worker_pids} to the table of the core; false if it holds something, or has taken the place of another one, or is a tie of the
 * program's, which only Perl code can look at. */
bool tie_worker_pids(pTHX_ host_t *host, SV *object);

/* Who decides from now on: the core by the settings, where no method of the loop is overridden, or the program. */
void take_lead(pTHX_ host_t *host, pf_lead lead);

/* What is wanted of a pool of so many workers: the core's rule, for methods that come by these numbers in their own way. */
IV decide(pTHX_ double workers, double max_workers, double idle, double leaving, double min_spare, double max_spare);

/* Forking rests for so many seconds. The end of that by the wall clock, 0 for no rest, is then in
 * {_no_adjust_until}: for subclasses that have a loop of their own; ours asks the core. */
void update_spawn_delay(pTHX_ host_t *host, SV *object, double rest);

/* The program may have stored another end there by itself, as overrides of _update_spawn_delay do: then that counts. */
void follow_rest(pTHX_ host_t *host, SV *object);

/* Takes a worker whose exit has been reported out of the table. Its generation, or -1. */
IV release_worker(pTHX_ host_t *host, SV *object, pid_t pid);

/* What the program has stored in worker_pids for a pid is of no use any more. */
void forget_stored(pTHX_ SV *object, pid_t pid);

#endif
