// libprefork: a prefork manager. Generated from src/capi; do not edit.
//
//     #include <err.h>
//     #include <prefork.h>
//     #include <signal.h>
//
//     static int32_t work(pf_t *pf, void *data) { ... return 0; }
//
//     pf_t *pf = pf_new();
//     pf_set_max_workers(pf, 4);
//     pf_trap_signal(pf, SIGTERM, SIGTERM, 0);        /* stop */
//     pf_trap_signal(pf, SIGHUP, SIGTERM, 0);         /* reload: TERM to these, then new ones */
//     do {
//         if (pf_start(pf, work, NULL) != PF_OK)
//             errx(1, "%s", pf_error_message(pf));
//     } while (pf_signal_received(pf) == SIGHUP);
//     pf_wait_all_children(pf, -1, NULL);
//     pf_free(pf);
//
// A worker has the default action of each trapped signal and of SIGCHLD; other signals are as in the manager. So TERM
// ends it at once, unless it waits by pf_wait_readable (examples/http.c) or handles that (examples/workers.c). The
// manual is prefork(3); each function has a page under its own name. For all of them:
//
// - A handle is used by one thread at a time, but for pf_signal and pf_wake, which other
//   threads and signal handlers may call as well.
// - A handle or a scoreboard is null or what pf_new or pf_scoreboard_new gave, until it is freed. Null gives
//   PF_ERR_NULL, or else 0, false or null (pf_worker_index, pf_stop_fd: -1).
// - Where a pointer is for something that the function writes, it can be written to. It is written to only if the call
//   succeeds. Strings that are returned are the library's.
// - Time-outs and intervals are seconds; a negative time-out never passes.
// - The host is who calls these functions: the program, or the code that brings them to another language. A run is from
//   pf_begin or pf_start to the signal that ends it, and a generation its number; a pool is the workers of one handle; a
//   slot is a worker's place in a scoreboard.
// - "Called by:" says from where a function may be called: from the manager of the handle (the process that called
//   pf_new or pf_become_manager), a worker (a process that was forked for a FORK event), a hook (which runs
//   in the manager), a signal handler, another thread than the one that uses the handle.
// - A function that returns a pf_result may return PF_ERR_PANIC: the library has a defect. The workers can still be
//   signalled and waited for.

#ifndef PREFORK_H
#define PREFORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

// The version of this header, as in "1.0.0"; that of the library is pf_version's.
#define PF_VERSION "1.0.0"
// The same as a number to compare: a byte each for major, minor and patch.
#define PF_VERSION_NUMBER 0x010000

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// ---- Results -------------------------------------------------------------------------------------
//
// Most functions return a pf_result: PF_OK, or what kind of thing went wrong. The sentence that goes with it,
// with the name and the value that are wrong, is pf_error_message's. A call that fails has changed nothing, unless
// its description says so.

// What a call has come to. Numbers are never reused.
typedef enum {
  // It worked.
  PF_OK = 0,
  // It worked, and this process is a worker now (pf_start without a function).
  PF_IN_WORKER = 1,
  // A pointer that must not be null is null.
  PF_ERR_NULL = 2,
  // An argument is not of the form or in the range that the function takes.
  PF_ERR_INVALID_ARGUMENT = 3,
  // The call does not fit what went before it: a FORK event that is not answered yet, or
  // an answer that nobody asked for.
  PF_ERR_WRONG_STATE = 4,
  // The call is the manager's and this is a worker, or the other way round.
  PF_ERR_WRONG_PROCESS = 5,
  // A system call failed; pf_error_message says which and why.
  PF_ERR_SYSTEM = 6,
  // The library has a defect. The workers can still be signalled and waited for.
  PF_ERR_PANIC = 7,
  // The scoreboard has no empty slot.
  PF_ERR_NO_SLOT = 8,
  // The worker is to stop; pf_stopping says why.
  PF_ERR_STOPPING = 9,
  // The time is over.
  PF_ERR_TIMED_OUT = 10,
} pf_result;

// ---- Events --------------------------------------------------------------------------------------
//
// A manager says what is to be done in events, one at a time. pf_start does what they say by itself; a host of
// the pull API (below) does it in its own loop. The hook on_child_reap gets the event of each child's end.

// For the member `flags`: the worker was killed by the manager, as it had not ended in time after
// it was told to (pf_set_graceful_timeout).
#define PF_EXIT_GRACE_OVER 1

// For the member `flags`: the system has killed the worker because memory was short, if
// pf_watch_oom was called before.
#define PF_EXIT_OUT_OF_MEMORY 2

// What a host is asked to do. New types may be added; treat one that you do not know as
// nothing to do, and call pf_next again.
typedef enum {
  // Fork a worker; answer with pf_forked in both processes, or with pf_fork_failed. The signals
  // that any manager of this process traps, and a watched SIGCHLD, are blocked until the answer.
  PF_EVENT_FORK = 1,
  // A child was reaped. No answer.
  PF_EVENT_REAPED = 2,
  // Nothing to do until a signal, the exit of a child, the descriptor or the time-out.
  PF_EVENT_WAIT = 3,
  // A trapped signal has ended the run.
  PF_EVENT_STOPPED = 4,
  // pf_drain: no worker is left.
  PF_EVENT_DRAINED = 5,
  // pf_drain: the time-out has passed, and workers are left.
  PF_EVENT_TIMED_OUT = 6,
  // A worker is ready for work. Only after pf_watch_ready. No answer.
  PF_EVENT_READY = 7,
  // The time of a worker is over (pf_set_graceful_timeout, pf_set_worker_timeout, pf_set_ready_timeout), and the
  // system has refused to kill it: it has changed its user, and the manager has no CAP_KILL (capabilities(7)). Once
  // for each worker, which is sent nothing more for that. It stays in the pool until it ends by itself, or somebody
  // else ends it. No answer.
  PF_EVENT_KILL_FAILED = 8,
} pf_event_type;

// Why a child is reported, by what the pool makes of it; how it ended is the status.
typedef enum {
  // A worker has ended; its status is zero, or it is of an earlier generation, whatever its
  // status is.
  PF_REASON_ENDED = 0,
  // A worker of the current generation has ended with a status that is not zero, be it by a
  // signal that the manager sent.
  PF_REASON_FAILED = 1,
  // A worker that was told to stop as one too many has ended, whatever its status is.
  PF_REASON_STOPPED = 2,
  // The worker's status went to somebody else, and is given as -1.
  PF_REASON_STOLEN = 3,
  // A child that is not a worker has ended.
  PF_REASON_FOREIGN = 4,
} pf_reason;

// What made a worker end, as far as the manager can know.
typedef enum {
  // Nothing that the manager knows of: it has ended by itself.
  PF_CAUSE_NONE = 0,
  // The program has told it to end, by a signal that the manager has sent (pf_trap_signal,
  // pf_signal_all_children); or another signal that was sent so has ended it.
  PF_CAUSE_ASKED = 1,
  // The manager has told it to end, as one too many.
  PF_CAUSE_SURPLUS = 2,
  // A signal that the manager has not sent, whether it was told to end or not: another process
  // has sent that, the system, or the worker has made a fault.
  PF_CAUSE_EXTERNAL = 3,
  // It was busy for too long, and the manager has told it so or killed it (pf_set_worker_timeout).
  PF_CAUSE_TIMEOUT = 4,
  // It was not ready in time, and the manager has killed it (pf_set_ready_timeout).
  PF_CAUSE_NOT_READY = 5,
} pf_cause;

// An event, and what it is about. Members that an event does not name are zero, and fd is -1.
typedef struct {
  // A pf_event_type.
  uint32_t type;
  // REAPED: a pf_reason.
  uint32_t reason;
  // REAPED: the child. READY, KILL_FAILED: the worker.
  int32_t pid;
  // REAPED: its raw status, as WIFEXITED and its kin take it; -1 if that is lost. KILL_FAILED: errno(3) of kill(2).
  int32_t status;
  // FORK, REAPED, READY, KILL_FAILED: the worker's generation.
  uint64_t generation;
  // FORK, REAPED, READY, KILL_FAILED: the worker's index.
  uint32_t index;
  // STOPPED: the signal. KILL_FAILED: SIGKILL.
  int32_t signal;
  // WAIT: seconds to wait at most; negative: no limit.
  double timeout;
  // WAIT: a descriptor to watch for reading, or -1; another one than before if the program has closed that. Only
  // pf_next reads from it. It may stay in a set that is watched, level-triggered or not.
  int32_t fd;
  // TIMED_OUT: workers that are left.
  uint32_t workers;
  // REAPED: what the child has used, with the descendants that it has waited for.
  struct rusage rusage;
  // WAIT: 1 if the manager will look for children that have ended when `timeout` is over, and not before. Thousands
  // of SIGCHLD may arrive until then, and tell nothing new: a host may block SIGCHLD for this wait.
  uint32_t may_block_sigchld;
  // REAPED: a pf_cause.
  uint32_t cause;
  // REAPED: the signal that the manager has sent the worker: the first that told it to end, or
  // else the last one; 0: none.
  int32_t sent_signal;
  // REAPED: PF_EXIT_GRACE_OVER, PF_EXIT_OUT_OF_MEMORY, or both.
  uint32_t flags;
  // REAPED: how many seconds after its fork its end was noticed.
  double age;
  // REAPED: how many pieces of work it had begun (pf_busy); 0 without pf_set_worker_timeout and
  // pf_set_ready_timeout.
  uint64_t requests;
  // REAPED: for how many seconds it had been busy; 0 if it was not, and where `requests` is.
  double busy_for;
  // Room for what later versions tell.
  uint32_t reserved[6];
} pf_event;

// ---- The handle, and functions of the host's -----------------------------------------------------
//
// A manager is a pf_t, into which only the functions below look. The host gives it up to six functions: the
// worker's code, which runs in each worker, and five hooks, which run in the manager. Each is called with the `data`
// that it was set with, and may call whatever names it in "Called by:".

// A manager. Opaque: it is made by pf_new, freed by pf_free, and used through its functions.
typedef struct pf_t pf_t;

// A worker's code. What it returns is the exit status of the worker. `data` is what pf_start
// was given. Of the functions on `pf` it may call those that name the worker in "Called by:".
typedef int32_t (*pf_worker_fn)(pf_t *pf, void *data);

// Called in the manager before each fork, with the `data` of pf_set_before_fork. The signals that are blocked from
// FORK to its answer are blocked meanwhile.
typedef void (*pf_before_fork_fn)(pf_t *pf, void *data);

// Called in the manager after each fork that has succeeded, with the `pid` of the new
// worker, which runs already, and the `data` of pf_set_after_fork.
typedef void (*pf_after_fork_fn)(pf_t *pf, int32_t pid, void *data);

// Called in the manager for each child that was reaped, with its REAPED event as `exit`,
// which is valid during the call, and the `data` of pf_set_on_child_reap.
typedef void (*pf_on_child_reap_fn)(pf_t *pf, const pf_event *exit, void *data);

// Called in the manager when forks fail, once a second at most: `error` is errno(3) of the
// last failure, `failures` is how many there were since the last call, and `data` is that of
// pf_set_on_fork_failure.
typedef void (*pf_on_fork_failure_fn)(pf_t *pf, int32_t error, uint32_t failures, void *data);

// Called in the manager for each worker whose time is over and that it may not kill, with its KILL_FAILED event as
// `event`, which is valid during the call, and the `data` of pf_set_on_kill_failure.
typedef void (*pf_on_kill_failure_fn)(pf_t *pf, const pf_event *event, void *data);

// ---- Life ----------------------------------------------------------------------------------------
//
// pf_new makes a manager, and pf_free takes it away; neither forks, signals or waits for anybody. A fork copies the
// handle with the process. In a worker the copy tells what the worker is; a process that the host has forked by itself
// becomes a manager of its own by pf_become_manager.

// Makes a manager: 10 workers, no spawn interval, a pause of 1 second after a failure, no
// signal trapped, no handler installed. Returns null if it cannot. Free it with pf_free.
//
// Called by: manager, worker, hook, other thread. A worker becomes the manager of workers of
// its own by this.
pf_t *pf_new(void);

// Frees a manager; null is allowed. No worker is signalled or waited for. Signals that were trapped, and SIGCHLD, get
// back the handlers that the program had before, if no other manager handles them and the program has not installed
// others since. In a worker this gives back those that pf_wait_readable and its kin have replaced; all others stay as
// they are. A FORK event that waits for its answer is withdrawn: the thread gets back the signal mask that it had
// before the event. After this its scoreboard may be freed, or given to another manager.
//
// Called by: manager, worker. Not from a hook of the same handle, whose caller goes on with
// it.
void pf_free(pf_t *pf);

// After a fork of the host's own, makes this process the manager of an empty pool, with the
// same settings and trapped signals; the workers, the scoreboard and the descriptors stay
// with the process that has them. Until then a trapped signal does in this process what it did
// before it was trapped. pf_begin does it too. In the manager itself it does nothing.
//
// Called by: manager. Also by a process that the host has forked by itself: pf_begin, pf_start and pf_set_scoreboard
// do it, too, and until then the calls of a manager return PF_ERR_WRONG_PROCESS there.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a worker, PF_ERR_SYSTEM if the signals cannot be
// trapped again (pipe2(2), sigaction(2)).
pf_result pf_become_manager(pf_t *pf);

// The version of the library that runs, as in "1.0.0"; never null, not to be freed.
//
// Called by: manager, worker, hook, signal handler, other thread.
const char *pf_version(void);

// ---- Settings ------------------------------------------------------------------------------------
//
// Set them before pf_start, or in a hook while it runs: they count from the next event on. What a new handle has
// stands in brackets. Workers have what was set when they were forked.

// Sets the number of `workers` to keep (10); with spare workers, the most there may be. A lower number stops nobody:
// workers that end are not replaced until there are fewer. With 0 none is forked.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
pf_result pf_set_max_workers(pf_t *pf,
                             uint32_t workers);

// The number of workers to keep, as pf_set_max_workers has set it; 0 for a null handle.
//
// Called by: manager, worker, hook.
uint32_t pf_max_workers(const pf_t *pf);

// Sets the seconds between two forks to `interval` (0). The same pause is made after a
// worker was told to stop as one too many.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `interval` is negative or
// not a number.
pf_result pf_set_spawn_interval(pf_t *pf, double interval);

// Sets a pause of `interval` seconds (1), in which no worker is forked. It begins when a fork has failed (then it is
// 0.05 seconds at least), and with a REAPED event of the current generation whose reason is FAILED or STOLEN.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `interval` is negative or
// not a number.
pf_result pf_set_err_respawn_interval(pf_t *pf,
                                      double interval);

// Sets how many seconds a worker has to end (0, which is no limit) after it was told so: by SIGINT, SIGQUIT or SIGTERM
// that the manager sends it, in whatever call, or by the `stop_signal` of pf_set_spare_workers. The first of these
// counts. When `timeout` is over, the worker is sent SIGKILL, once, by the next pf_next. WAIT ends in time for that,
// but one that was given before the signal was sent does not: call pf_next after that. If the first signal was to the
// worker's process group, so is SIGKILL. A signal that is refused (kill(2)) counts like one that is sent; if SIGKILL is
// refused, the host is told (PF_EVENT_KILL_FAILED). A change counts for workers that are told from then on.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `timeout` is negative, infinite or not a number.
pf_result pf_set_graceful_timeout(pf_t *pf,
                                  double timeout);

// Sets how many seconds a worker may be busy with one piece of work (0, which is no limit). A worker says by pf_busy,
// pf_tick and pf_idle what it does; one that says nothing is idle, and an idle one is never late. One that is late is
// sent SIGKILL by the next pf_next, once, and WAIT ends in time for that. With a `grace` above 0 it is sent SIGABRT
// first, for which the program may install a handler in its workers, and SIGKILL `grace` seconds later.
//
// Spared are: a worker that was told to end, whose time for that runs (pf_set_graceful_timeout); a worker that a
// debugger has hold of, as long as it has. If the manager itself was stopped for more than a second while it waited, a
// worker that was due meanwhile gets as much time again, `timeout` at most.
//
// A worker has the `timeout` that was set at its FORK. Workers that were forked before the first call have none. 0
// ends it for all. The manager wakes up once in `timeout`, whatever the number of workers, and when one is due.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if a number is negative, infinite or not a number, or if
// there is a `grace` and no `timeout`, PF_ERR_SYSTEM if there is no memory (mmap(2)) or no descriptor (pipe2(2)) for
// it.
pf_result pf_set_worker_timeout(pf_t *pf,
                                double timeout,
                                double grace);

// Sets how many seconds after its fork a worker has to be ready for work (0, which is no limit). It says so by
// pf_ready, or by the first pf_busy, pf_idle or pf_wait_readable. One that is not ready then is sent SIGKILL by the
// next pf_next, once, and WAIT ends in time for that. It has failed: its successor comes after err_respawn_interval.
// Set this only where workers say that they are ready; another program that a worker executes cannot.
//
// Spared are: a worker that was told to end, whose time for that runs (pf_set_graceful_timeout); a worker that a
// debugger has hold of, which has as much time again. If the manager itself was stopped for more than a second while
// it waited, a worker whose time was over meanwhile gets as much time again, `timeout` at most.
//
// It counts for workers that are forked from then on. 0 ends it for all.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `timeout` is negative, infinite or not a number,
// PF_ERR_SYSTEM if there is no memory (mmap(2)) or no descriptor (pipe2(2)) for it.
pf_result pf_set_ready_timeout(pf_t *pf,
                               double timeout);

// From now on pf_next and pf_wait tell when a worker is ready for work, by the event READY: once for each worker that
// is forked from now on, and not after its end. A worker is ready when it says so (pf_ready, pf_busy, pf_idle,
// pf_wait_readable) or, without pf_set_ready_timeout, when it has lived for a second. One that ends right after that
// may have no such event.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_SYSTEM if there is no memory (mmap(2)) or no descriptor (pipe2(2)) for it.
pf_result pf_watch_ready(pf_t *pf);

// From now on the event of a worker's end says whether the system has killed it because memory was
// short (PF_EXIT_OUT_OF_MEMORY): the system counts such kills for the control group that this process
// is in (oom_kill in memory.events, cgroups(7)). The count is read now, and whenever a worker was
// killed by a SIGKILL that the manager has not sent.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_SYSTEM if the system tells no such count; everything else
// works without it.
pf_result pf_watch_oom(pf_t *pf);

// Sets the `signal` that a worker is sent when its manager ends, in whatever way, SIGKILL included; 0, as in a new
// handle, for none. It counts for workers that are forked from then on, by fork(2): before any code of the host runs
// in one, pf_forked asks the system for it (PR_SET_PDEATHSIG in prctl(2)), and sends the signal if the manager is gone
// already. That one is not seen from a PID namespace of the worker's own.
//
// The system forgets it when the worker changes its user or its group; the first pf_wait_readable, pf_stopping or
// pf_stop_fd after that asks for it again, and sends the signal if the manager has gone meanwhile. It belongs to the
// thread that forks: so this and pf_begin are refused in another thread than the first one.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `signal` does not exist, PF_ERR_WRONG_STATE in another
// thread than the first one of the process.
pf_result pf_set_parent_death_signal(pf_t *pf,
                                     int32_t signal);

// Keeps between `min` and `max` idle workers, and no more than pf_set_max_workers says in
// all; those that are one too many are sent `stop_signal`. Needs a scoreboard
// (pf_set_scoreboard), without which every worker counts as idle. A process that has a slot there and is
// no worker counts as neither. With a `min` of 0 it is a fixed number again.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `max` is less than `min`, or
// `stop_signal` is no signal.
pf_result pf_set_spare_workers(pf_t *pf,
                               uint32_t min,
                               uint32_t max,
                               int32_t stop_signal);

// Traps `signal`: it ends pf_start, and each worker is sent `send` (0: nothing; negative: the process group that the
// worker leads, nobody if it leads none), all at once or, with an `interval` above 0, staggered: one worker every so
// many seconds, during later calls of pf_next, pf_start and pf_wait_all_children. It works from the moment of the
// call, by sigaction(2) with SA_RESTART; workers, those of other managers too, get the signal's default action. A
// handler that the program has is called after the library's, as its flags say; it may leave by siglongjmp(3), but not
// out of a call of the library. A second call for the same signal changes what is sent. If the program has installed a
// handler since, the library's goes in front of it and calls it.
//
// A host that wants to keep a handler of its own in front does not trap the signal: its handler calls pf_signal.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `signal` cannot be trapped
// (SIGKILL, SIGSTOP, SIGCHLD, SIGILL, SIGFPE, SIGSEGV, or none), `send` is no signal, or
// `interval` is negative or not a number, PF_ERR_SYSTEM if pipe2(2) or sigaction(2) fails.
pf_result pf_trap_signal(pf_t *pf,
                         int32_t signal,
                         int32_t send,
                         double interval);

// Sets whether children that are not workers are reaped too. If `reap` is true, as in a new handle, they are, and
// are reported with PF_REASON_FOREIGN. Set it to false if other code in the process waits for children of its own:
// popen(3), system(3), a library. They are left to that code then.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
pf_result pf_set_reap_foreign(pf_t *pf,
                              bool reap);

// Sets whether memory is moved to huge pages before forks: if `use_them` is true (in a new
// handle it is false), pf_next does that before it hands out the first FORK of each
// generation (pf_begin), or the next one if that is out already. A fork of a large process is then
// several times faster, as it copies a page table entry for each 2 MB and not for each 4 KB.
//
// It is done by madvise(2) with MADV_COLLAPSE, in Linux 6.1 and later; elsewhere nothing is done. This moves the
// private, anonymous, writable memory of the process, the heap included: huge pages of which at least 7 of 8 small
// pages are in use. It does not move stacks, locked memory, or what madvise(2) has excluded from huge pages or from
// forks. What is in the memory stays the same, and so do addresses. Whatever fails, the workers run.
//
// It takes time for each MB that is not in huge pages yet, during which pf_next does not return, and other threads
// may have to wait for their page faults. A trapped signal, or a pending one of HUP, INT, QUIT, TERM, USR1 and USR2,
// ends it; the next generation goes on. See prefork-settings(3) for when it pays.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
pf_result pf_set_huge_pages(pf_t *pf,
                            bool use_them);

// Sets the `hook` that pf_start calls in the manager before each fork, with `data`; null for
// none.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS.
pf_result pf_set_before_fork(pf_t *pf, pf_before_fork_fn hook, void *data);

// Sets the `hook` that pf_start calls in the manager after each fork, with `data`; null for
// none.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS.
pf_result pf_set_after_fork(pf_t *pf, pf_after_fork_fn hook, void *data);

// Sets the `hook` that pf_start and pf_wait_all_children call for each child that was
// reaped, with `data`; null for none.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS.
pf_result pf_set_on_child_reap(pf_t *pf, pf_on_child_reap_fn hook, void *data);

// Sets the `hook` that pf_start calls when forks fail, once a second at most, with `data`;
// null for none.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS.
pf_result pf_set_on_fork_failure(pf_t *pf, pf_on_fork_failure_fn hook, void *data);

// Sets the `hook` that pf_start and pf_wait_all_children call, with `data`, for each worker whose time is over and
// that the manager may not kill; null for none. They are the events PF_EVENT_KILL_FAILED.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS.
pf_result pf_set_on_kill_failure(pf_t *pf,
                                 pf_on_kill_failure_fn hook,
                                 void *data);

// ---- Run -----------------------------------------------------------------------------------------
//
// pf_start keeps the pool full until a trapped signal arrives, and then sends the workers what pf_trap_signal said.
// It returns in the manager, which starts again (a reload) or waits for its workers (a stop). A worker runs its code
// and ends; it never comes back to the manager's code.

// Keeps the workers running until a trapped signal arrives: forks them, reaps them, replaces
// them. Returns PF_OK in the manager, with the signal in pf_signal_received and the workers
// signalled as pf_trap_signal said; call it again to go on with a new generation.
//
// Each worker runs `worker` with `data` and exits with what that returns, by exit(3). If
// `worker` is null, pf_start returns PF_IN_WORKER in each worker, which ends with pf_finish.
//
// stdio is flushed before each fork(2), so that nothing is printed twice: all streams or, if the process has other
// threads, stdout and stderr, each unless some thread has it locked. SIGCHLD is watched as by pf_watch_children.
// Between hooks it may be blocked and taken by sigtimedwait(2); hooks and workers have the mask of before.
//
// Called by: manager.
//
// # Errors
// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS in a worker, PF_ERR_WRONG_STATE in a
// hook of a pf_start or after pf_demand or pf_set_lead (prefork-host.h), PF_ERR_SYSTEM if SIGCHLD cannot be watched.
pf_result pf_start(pf_t *pf,
                   pf_worker_fn worker,
                   void *data);

// Ends a worker with exit(3) and `code` as its status. It does not return, unless the call
// fails.
//
// Called by: worker.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in the manager.
pf_result pf_finish(pf_t *pf, int32_t code);

// Waits until every worker has ended, for `timeout` seconds at most (negative: for ever),
// reaps them, and sets `left` (null is allowed) to the number that is left: 0, unless the
// time is over. Nobody is signalled by this, but a staggered signal goes on. Trapped signals
// wait meanwhile, for pf_show_next_signal or the next run.
//
// Called by: manager, hook. Of the hooks only from on_child_reap and after_fork.
//
// # Errors
// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS in a worker, PF_ERR_WRONG_STATE in the
// hook before_fork, PF_ERR_INVALID_ARGUMENT if `timeout` is not a number, PF_ERR_SYSTEM if
// SIGCHLD cannot be watched.
pf_result pf_wait_all_children(pf_t *pf, double timeout, size_t *left);

// ---- Signals -------------------------------------------------------------------------------------
//
// pf_trap_signal (above) says which signals end a run. Each ends one; equal signals that wait count as one. A signal
// that the program reads between two runs (pf_signal_received) is the program's, and ends no run. The manager signals
// nobody but children that were not reaped yet, and the process groups that these lead.

// Tells that `signal` has arrived: where the host owns the handler, or to end the run from a hook or a thread. It ends
// the run, trapped or not; if pf_trap_signal has trapped it, the workers are sent what that said, otherwise nothing. A
// wait that is under way in another thread ends, if its event has a descriptor (pf_wake). Equal signals that wait
// count as one. It keeps errno(3).
//
// Called by: manager, hook, signal handler, other thread.
//
// # Errors
// PF_ERR_NULL, PF_ERR_INVALID_ARGUMENT for a number that is no signal's,
// PF_ERR_WRONG_PROCESS in a worker. No message is left.
pf_result pf_signal(pf_t *pf,
                    int32_t signal);

// Ends a wait that is under way, and gives the next WAIT a time-out of 0 seconds: something has changed that the host
// wants looked at. WAIT has a descriptor after the first pf_trap_signal, pf_watch_children or pf_set_scoreboard;
// before that it ends by a signal only.
//
// Called by: manager, hook, signal handler, other thread.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a worker. No message is left.
pf_result pf_wake(pf_t *pf);

// The signal that ended the last run; 0 if there is none. It stays until the program has read it and another one
// arrives; then it is that one. This call counts as reading: the next pf_begin or pf_start clears what was read. What
// was not read ends the next run at once.
//
// Called by: manager, worker, hook. In a worker it is what the manager had at the fork.
int32_t pf_signal_received(pf_t *pf);

// Stores `value` as what pf_signal_received returns: a signal, 0 for none, or any other
// number that means something to the host. What the program had read is settled by this; a
// trapped signal that it has not read keeps waiting.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a worker.
pf_result pf_set_signal_received(pf_t *pf, int32_t value);

// If the program knows of no signal, or has read the one that it knows of, and another one
// waits, that one is what it reads next. Returns what pf_signal_received would return then.
// For programs that wait and poll between runs, and for hosts that act on signals by
// themselves.
//
// Called by: manager, hook.
int32_t pf_show_next_signal(pf_t *pf);

// Sends `signal` to each worker at once (kill(2)), in the order in which their pids sort as
// strings; a negative one goes to the process groups that they lead, 0 only checks. Nobody
// but children of this process that have not been reaped is signalled. It is no error if a
// worker is gone, or leads no process group.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `signal` does not exist,
// PF_ERR_SYSTEM if a worker may not be signalled, because it runs as another user; the
// others were.
pf_result pf_signal_all_children(pf_t *pf, int32_t signal);

// ---- Pull: the manager in a loop of the host's ---------------------------------------------------
//
// pf_next says what is to be done and returns at once; the host does it, answers a FORK, and asks again. It says WAIT
// when there is nothing to do: then the host sleeps, with an event loop of its own, until the descriptor or the
// time-out of that event. pf_wait is the same with a sleep of the library's.
//
// First call pf_watch_children, or handle SIGCHLD yourself and call pf_child_ended: without either nobody notices that
// a worker ends. prefork-pull(3) has the steps, examples/pull.c a program.

// Begins a run: the generation goes up by one, and from now on pf_next keeps the pool full.
// A trapped signal that arrived before, and that the program has not read
// (pf_signal_received), ends it at once. A FORK event that waits for its answer is
// withdrawn. In a process that the host has forked by itself it does what pf_become_manager
// does, first.
//
// Called by: manager.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a worker, PF_ERR_WRONG_STATE in a hook of pf_start,
// PF_ERR_SYSTEM as pf_become_manager.
pf_result pf_begin(pf_t *pf);

// Goes on with the run that pf_begin began, after pf_suspend, pf_drain or a STOPPED event: the
// pool is kept full again, and the generation stays what it is.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
pf_result pf_resume(pf_t *pf);

// No worker is forked from now on, and no signal ends the run; pf_next reaps and sends what
// is due. pf_resume ends that. A new handle is suspended until pf_begin.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
pf_result pf_suspend(pf_t *pf);

// No worker is forked from now on; pf_next reaps until none is left (DRAINED) or `timeout`
// seconds have passed (TIMED_OUT; negative: never). Another call sets another time. Nobody
// is signalled by this. After either event the manager is suspended (pf_suspend).
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `timeout` is not a number.
pf_result pf_drain(pf_t *pf, double timeout);

// The next event, into `event`. It waits for nothing, never forks and calls nothing of the host's. After a FORK
// event, answer before the next call. It reaps by wait4(2) with WNOHANG and sends by kill(2). One thing takes time:
// with pf_set_huge_pages, memory is moved before the first FORK of a generation.
//
// Called by: manager.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_STATE after a FORK event without an answer, PF_ERR_WRONG_PROCESS
// in a worker.
pf_result pf_next(pf_t *pf,
                  pf_event *event);

// The next event that is not WAIT, into `event`: pf_next and, in between, the sleep that
// WAIT asks for (poll(2)), of `timeout` seconds in all at most (negative: for ever). When
// the time is over it is a WAIT; if the call fails, what is in `event` means nothing. Signals
// that pf_trap_signal trapped, and SIGCHLD, end the sleep even if the thread blocks them.
//
// For hosts that have nothing else to wait for; pf_begin, pf_drain and pf_suspend say what for.
//
// Called by: manager.
//
// # Errors
// PF_ERR_INVALID_ARGUMENT if `timeout` is not a number, those of pf_watch_children, those of
// pf_next.
pf_result pf_wait(pf_t *pf, double timeout, pf_event *event);

// Answers FORK with `pid`, which is what fork(2) returned: the worker's in the manager, 0 in
// the worker. The worker gets the default action of every signal that a manager of this
// process traps (pf_trap_signal) and of a watched SIGCHLD (sigaction(2)), and both get back
// the signal mask that they had before the event. In the worker it is async-signal-safe.
//
// A worker may be made in other ways than by fork(2). A child that shares the memory of the manager, as those of
// vfork(2) and posix_spawn(3) do, must not call the library: it executes another program, and the manager alone
// answers. The host does there what pf_forked does in other workers. Before pf_next it keeps its signal mask
// (sigprocmask(2)), and gives the child that one: by POSIX_SPAWN_SETSIGMASK, or after vfork(2) by sigprocmask(2).
// After vfork(2) it gives the trapped signals their default actions first. Such a worker has no slot in the
// scoreboard, and counts as idle. If the child was made by clone(2) with another exit signal than SIGCHLD, or with
// none, the system does not tell the library of its end: the host calls pf_child_ended. A manager that uses
// pf_watch_children also finds it by itself, within two seconds. Before Linux 4.7 such a worker is taken for one that
// somebody else has reaped.
//
// Called by: manager, worker. In the worker as the first call on the handle; not from hooks.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_STATE if no FORK event waits for an answer,
// PF_ERR_INVALID_ARGUMENT for a negative `pid`: call pf_fork_failed then.
pf_result pf_forked(pf_t *pf,
                    int32_t pid);

// Answers FORK when fork(2) has failed. No worker is forked for err_respawn_interval then, 0.05 seconds
// at least. `report` (null is allowed) is set to the number of failures that should be
// reported now: 0 if one was reported less than a second ago, otherwise those since then.
// Look at errno(3) before.
//
// Called by: manager.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_STATE if no FORK event waits for an answer.
pf_result pf_fork_failed(pf_t *pf,
                         uint32_t *report);

// Lets the library handle SIGCHLD (sigaction(2)): the descriptor of WAIT then tells of children too. A handler that
// the program had before is still called. pf_wait, pf_start and pf_wait_all_children call this by themselves. SIGCHLD
// may miss this thread: another thread or handler takes it, or the thread blocks it. Where that can happen, WAIT lasts
// 1 second at most, and pf_next then looks for children. It also looks once after code of the host has run, within
// that second. A host that makes a thread, or changes the handler or the mask of SIGCHLD, during a WAIT calls pf_next
// again before it sleeps.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_SYSTEM if there is no descriptor left for the
// pipe (pipe2(2)).
pf_result pf_watch_children(pf_t *pf);

// Tells that SIGCHLD has arrived, where the host owns its handler. `pid` is the child that it has named (si_pid of
// siginfo_t), or 0 where the host does not know that. The next pf_next looks for children that have ended, and for
// workers that somebody else has reaped.
//
// If `pid` is a worker's, the next pf_next works in this order: it reaps that worker by its pid, without a look at
// other children; it gives the FORK for its successor; in a large pool it gives a short WAIT; it looks for other
// children that have ended, as of several SIGCHLD that are pending only the first one is kept. It may be called for
// several before the next pf_next, and with any number that a siginfo_t had.
//
// Called by: manager, hook. Not by the handler of SIGCHLD itself, which may note the number and call pf_wake so
// that the host comes to this.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
pf_result pf_child_ended(pf_t *pf,
                         int32_t pid);

// ---- Work ----------------------------------------------------------------------------------------
//
// A worker says here when it is ready for work, when it begins a piece of work, and when it waits for one. After
// pf_set_worker_timeout the manager ends a worker that is busy for too long, after pf_set_ready_timeout one that is
// not ready. Without these, and pf_watch_ready, the calls do nothing, and cost next to nothing. So they do in a
// process that a worker has forked by itself. They are for workers: in a manager they fail, and leave no message.

// The worker is ready for work: it has loaded and opened what it needs. The manager is woken if it wants to be told
// (pf_watch_ready). Later calls change nothing. Whoever calls pf_busy, pf_idle or
// pf_wait_readable first says it by that.
//
// Called by: worker, signal handler.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a manager.
pf_result pf_ready(const pf_t *pf);

// The worker begins a piece of work, and will be done within `seconds` (0: those of pf_set_worker_timeout). Called
// again without pf_idle in between, it begins the next one.
//
// Called by: worker, signal handler.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a manager, PF_ERR_INVALID_ARGUMENT if `seconds` is negative, infinite or not a
// number.
pf_result pf_busy(const pf_t *pf,
                  double seconds);

// The worker goes on, and will be done within `seconds` from now. With 0 it may take as long as it likes, until the
// next call of pf_tick or pf_busy.
//
// Called by: worker, signal handler.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a manager, PF_ERR_INVALID_ARGUMENT if `seconds` is negative, infinite or not a
// number.
pf_result pf_tick(const pf_t *pf,
                  double seconds);

// The worker is done, and waits for work: it may wait for as long as it likes.
//
// Called by: worker, signal handler.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a manager.
pf_result pf_idle(const pf_t *pf);

// ---- Facts about workers -------------------------------------------------------------------------
//
// These look into the table of workers and change nothing. A worker is in it from its fork until its end was told.
// In a worker they tell what was so when it was forked.

// The number of workers: those alive, and the one whose end is being reported. In a worker,
// as many as there were when it was forked. 0 for a null handle.
//
// Called by: manager, worker, hook.
size_t pf_num_workers(const pf_t *pf);

// The lowest worker pid above `pid`; 0 when there is none. Starting from 0 this visits all
// of them, whatever comes and goes meanwhile.
//
// Called by: manager, worker, hook.
int32_t pf_next_worker(const pf_t *pf, int32_t pid);

// Returns whether `pid` is a worker's; if so, `generation` (null is allowed) is set to the
// generation that it was forked in.
//
// Called by: manager, worker, hook.
bool pf_worker_generation(const pf_t *pf, int32_t pid, uint64_t *generation);

// In the manager the current generation: 0 before the first run, one more with each. In a
// worker the generation that it was forked in. 0 for a null handle.
//
// Called by: manager, worker, hook.
uint64_t pf_generation(const pf_t *pf);

// In a worker its index: the lowest number from 0 that no other worker had when it was
// forked. -1 in the manager, and for a null handle.
//
// Called by: manager, worker, hook.
int32_t pf_worker_index(const pf_t *pf);

// Writes a line for people into `text`, which has room for `size` bytes: about the child whose end
// was told last, by a REAPED event or to on_child_reap, if there is something out of the ordinary
// about it. There is nothing if it was no worker, if it has exited with 0, or if a signal that
// the manager has sent it has ended it. In the manner of snprintf(3): the line has no newline, a NUL at its
// end, and is cut where there is no room for it; null is allowed for a `size` of 0. Returns how
// many bytes the whole line has, without the NUL; 0 if there is nothing to say. Some lines:
//
// - worker 3 (pid 4711, generation 2) was killed by SIGKILL after 12.3 s: graceful_timeout of 2 s, it was sent SIGTERM
// - worker 2 (pid 4714, generation 2) was killed by SIGKILL after 12.3 s, 41 requests: worker_timeout of 10 s, busy for 10.0 s
// - worker 0 (pid 4712, generation 2) was killed by SIGSEGV after 0.2 s (core dumped)
// - worker 1 (pid 4713, generation 2) exited with status 2 after 1.0 s
//
// The words may change with any release; a program looks at the event.
//
// Called by: manager, hook.
size_t pf_exit_line(const pf_t *pf,
                    char *text,
                    size_t size);

// ---- The worker's wait ---------------------------------------------------------------------------
//
// A worker waits for its sockets and for its end by one call, pf_wait_readable, so that it finishes what it has begun
// and drops no request. A worker with an event loop watches pf_stop_fd there, and asks pf_stopping.
//
// The first call of one of the three, in each worker, installs the library's handler for TERM, INT, QUIT and the
// `stop_signal` of pf_set_spare_workers: from then on these do not end the worker. Without such a call a worker has
// none of this. prefork-stopping(3) has more.

// Why a worker is to stop.
typedef enum {
  // It is not.
  PF_STOP_NONE = 0,
  // TERM, INT, QUIT or the `stop_signal` of pf_set_spare_workers has arrived, from whomever.
  PF_STOP_SIGNAL = 1,
  // The manager has ended, perhaps by SIGKILL.
  PF_STOP_MANAGER_GONE = 2,
} pf_stop_reason;

// Waits until one of the `n` descriptors `fds` is readable, has come to its end or has an error (poll(2)), and sets
// `which` (null is allowed) to its place in `fds`. Waits for `timeout` seconds at most (negative: for ever). `n` may
// be 0, and `fds` null then.
//
// Once the worker is to stop it returns PF_ERR_STOPPING, at once, whatever is readable. Of several descriptors that
// are readable it gives the one behind that of the last call, so that none has to wait for ever. Other signals do not
// end the wait; their handlers run. Signals that tell the worker to stop are let in meanwhile, even if the thread
// blocks them.
//
// From the return with a descriptor to the next call the worker is busy, as pf_busy and pf_idle tell
// (pf_set_worker_timeout).
//
// Another worker may be faster at accept(2). So a listener should not block.
//
// Called by: worker.
//
// # Errors
// PF_ERR_STOPPING, PF_ERR_TIMED_OUT; PF_ERR_NULL, PF_ERR_WRONG_PROCESS in the manager, and in a child of the worker if
// the worker has made such a call before (it gets PF_ERR_STOPPING otherwise), PF_ERR_INVALID_ARGUMENT if `timeout` is
// not a number or a descriptor is not open, PF_ERR_SYSTEM if there are too few descriptors, at the first call
// (epoll_create1(2), pidfd_open(2), pipe2(2)), or too many to wait for (poll(2)).
pf_result pf_wait_readable(pf_t *pf,
                           const int32_t *fds,
                           size_t n,
                           double timeout,
                           int32_t *which);

// Why this worker is to stop, or PF_STOP_NONE. It waits for nothing.
//
// PF_STOP_NONE also if the call fails: in another process than a worker, and where the system has too few descriptors.
// pf_error_message then says so.
//
// Called by: worker.
pf_stop_reason pf_stopping(pf_t *pf);

// A descriptor that becomes readable when this worker is to stop, and stays so, for an event loop. Do not read from
// it, and do not close it. Returns -1 if the call fails, as for pf_wait_readable, and for a null handle;
// pf_error_message says why.
//
// Where pidfd_open(2) is refused (before Linux 5.3, or by a filter of system calls) it is readable once a second, too.
// So ask pf_stopping each time: the descriptor is not readable then, unless the worker is to stop. Call this again
// before each turn of the loop, or after each piece of work, if the program changes handlers of signals after the
// first call.
//
// Called by: worker.
int32_t pf_stop_fd(pf_t *pf);

// ---- Scoreboard ----------------------------------------------------------------------------------
//
// Workers say here whether they are busy, in memory that they share with the manager. A manager with a scoreboard can
// keep a number of idle workers (pf_set_spare_workers), and anybody can look at it in a file. It takes no lock, and a
// worker that dies at any moment leaves nothing wrong behind.

// A scoreboard. Opaque.
typedef struct pf_scoreboard_t pf_scoreboard_t;

// Makes a scoreboard for as many workers as there are `slots`. With a `path` it is in a file
// of that name, which must not exist, of mode 0600, one line of 16 bytes a worker: status,
// pid, newline. With null it is in memory. Make it before the workers are forked. Returns
// null with errno(3) set if it cannot (open(2), mmap(2); EINVAL for more than 1,048,576
// slots). Free it with pf_scoreboard_free.
//
// Called by: manager, worker, hook, other thread.
pf_scoreboard_t *pf_scoreboard_new(const char *path, uint32_t slots);

// Frees a scoreboard; null is allowed. Other processes keep theirs, and a file stays.
//
// Called by: manager, worker, hook. Not before the handle that has it is freed, or has
// another one.
void pf_scoreboard_free(pf_scoreboard_t *scoreboard);

// Makes room for `slots` workers in all, for a larger pf_set_max_workers; workers that run
// already see it. A scoreboard never shrinks.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_INVALID_ARGUMENT for more than 1,048,576 slots, PF_ERR_SYSTEM with
// errno(3) set if the file cannot be made longer.
pf_result pf_scoreboard_grow(pf_scoreboard_t *scoreboard, uint32_t slots);

// The number of slots; 0 for a null pointer.
//
// Called by: manager, worker, hook.
uint32_t pf_scoreboard_len(pf_scoreboard_t *scoreboard);

// This process becomes the owner of a slot and is idle ('_') from now on: of slot `hint` if
// that is free, of the first free one otherwise. A worker of a manager passes its
// pf_worker_index: the manager looks there first, and then at all slots.
//
// A worker of the manager that has the scoreboard (pf_set_scoreboard) is known to it by a number that it was given at
// its fork, so that it may be in a PID namespace of its own, where it has another pid (unshare(2), clone(2)). Any
// other process may have a slot too, and set a status, as a worker does: a child of a worker, a process that the host
// has forked by itself, and all where the scoreboard is no manager's. It is known by the pid that it has for itself.
// The text of a slot has that pid in any case.
//
// Called by: worker. Once, after pf_forked, before it sets a status.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_STATE if this process owns one already, PF_ERR_NO_SLOT.
pf_result pf_scoreboard_claim(pf_scoreboard_t *scoreboard,
                              uint32_t hint);

// Sets the `status` of this process, a character: '_' is idle, '.' means no worker and is
// not for workers to set, any other is busy.
//
// Called by: worker.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_STATE if this process owns no slot.
pf_result pf_scoreboard_set_status(pf_scoreboard_t *scoreboard, uint8_t status);

// Writes the status of each slot into `statuses` (null is allowed), `len` bytes at most and
// without a NUL at the end, and returns the number of slots.
//
// Called by: manager, worker, hook.
size_t pf_scoreboard_statuses(pf_scoreboard_t *scoreboard, uint8_t *statuses, size_t len);

// Gives the manager the `scoreboard` of its workers: it tells who is idle, and its changes end a wait. Null takes it
// out. The scoreboard must live until then, or until pf_free, and is one manager's at a time: of two that are given
// it, only the last one is woken by its changes. Workers of the one before keep their slots.
//
// Called by: manager, hook. Before the workers are forked that are to use it: others are known by the pid that they
// have for themselves (pf_scoreboard_claim).
//
// # Errors
// PF_ERR_NULL if `pf` is null, PF_ERR_WRONG_PROCESS in a worker, PF_ERR_SYSTEM if there is
// no descriptor left for the pipe (pipe2(2)).
pf_result pf_set_scoreboard(pf_t *pf,
                            pf_scoreboard_t *scoreboard);

// ---- Errors --------------------------------------------------------------------------------------
//
// pf_strerror has a sentence for each result, pf_error_message what the last call that failed had to say. Both
// return strings that are the library's, and never null.

// The meaning of a result `code`, in English; "unknown result code" for a number that is
// none. Never null, not to be freed.
//
// Called by: manager, worker, hook, signal handler, other thread.
const char *pf_strerror(int32_t code);

// What the last failing call on this handle had to say: what was wrong, with its value.
// Empty before the first failure; never null, not to be freed. Valid until the next call on
// the handle. No message is left where the handle is null, by pf_signal and pf_wake, and by
// functions that have no manager's handle.
//
// Called by: manager, worker, hook.
const char *pf_error_message(const pf_t *pf);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PREFORK_H */
