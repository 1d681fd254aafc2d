// libprefork, for hosts in other languages. Generated from src/capi; do not edit.
//
// What a host in another language needs: to decide by itself how many workers there are, to keep a table
// of its own, to wait by itself. The Perl module uses it. These functions may change with any release; what prefork.h
// has does not.

#ifndef PREFORK_HOST_H
#define PREFORK_HOST_H

#include "prefork.h"

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// How many bytes pf_host_room has.
#define PF_HOST_ROOM 768

// What is added to `changes` of pf_own_slot at the end of a change.
#define PF_CHANGE_END 63

// In `flags` of pf_own_line: the worker is ready for work.
#define PF_LINE_READY 1

// In `flags` of pf_own_line: it is at work.
#define PF_LINE_BUSY 2

// In `flags` of pf_own_line: the manager wants to be woken when the worker is ready.
#define PF_LINE_AWAITED 4

// Who decides that a worker is forked, or stopped.
typedef enum {
  // The library: the next pf_next tells FORK when a worker is wanted.
  PF_LEAD_LIBRARY = 0,
  // The library decides by the settings, and the host says when it is ready: it asks pf_wants_fork, and calls
  // pf_demand then. WAIT ends when a worker is wanted. A trapped signal ends no run. The host frees the slots of the
  // scoreboard, and makes the pauses by pf_set_spawn_delay, but for the one after a fork that has failed.
  PF_LEAD_SHARED = 1,
  // The host: it demands each worker, and max_workers means nothing. Signals, slots and pauses as with
  // PF_LEAD_SHARED.
  PF_LEAD_HOST = 2,
} pf_lead;

// The slot of this process in shared memory, and what a change of its status is compared with. All
// of it is read and written by other processes at the same time: use atomic operations that
// are sequentially consistent, and nothing else.
typedef struct {
  // The status of this process.
  uint8_t *status;
  // The number of busy workers: those whose status is neither '_' nor '.'.
  int32_t *busy;
  // If `busy` becomes less than this, the manager has to be woken. Not to be written.
  const int32_t *low;
  // If `busy` becomes more than this, the manager has to be woken. Not to be written.
  const int32_t *high;
  // If it is not 0, any change between busy and idle has to wake the manager. Not to be
  // written.
  const uint8_t *mark;
  // Where the changes of this process between busy and idle are counted.
  uint32_t *changes;
} pf_own_slot;

// The line of a worker on the timesheet, in shared memory, for a host that says what it has to say without a call of
// the library. Others read and write it at the same time: use atomic operations that are sequentially consistent, and
// nothing else. Times are nanoseconds of CLOCK_MONOTONIC. (CLOCK_MONOTONIC_COARSE is behind that, in a virtual machine by
// more than one would think: the worker would be due too early.)
typedef struct {
  // When the worker is due; 0: at no time.
  uint64_t *due;
  // How many pieces of work it has begun.
  uint64_t *requests;
  // When it began the last one or, if it is idle, when it became that.
  uint64_t *changed_at;
  // PF_LINE_READY, PF_LINE_BUSY, PF_LINE_AWAITED.
  uint32_t *flags;
  // How long a piece of work takes that the worker says no other time for; 0: for ever. Not to be written.
  const uint64_t *span;
  // When the manager looks. Not to be written.
  const uint64_t *looks_at;
  // What has to be `its_life` as long as this process is the worker, and is something else in what it forks. Null if
  // nobody can tell. Not to be written.
  const uint64_t *life;
  // What `life` points at in the worker.
  uint64_t its_life;
} pf_own_line;

// Memory for `size` bytes of the host's own, PF_HOST_ROOM at most, or null. It is aligned for a
// uint64_t, begins with zeros, is always the same of one handle, and goes with it.
//
// It lies in the page to which the library writes around each fork, where the handle is the first one of the
// process. A host that keeps there what it changes for each fork has no other page copied for that, in the manager
// or in the worker.
//
// Called by: manager, worker, hook, signal handler, other thread.
void *pf_host_room(pf_t *pf,
                   size_t size);

// A number of this process, which is never 0 and stays the same as long as the process lives. No process that it
// descends from has the same one, as may be with pids: each may be PID 1 in a PID namespace of its own. Where the
// kernel tells nothing better (before Linux 4.14), it is the pid.
//
// The first call in a process writes to a page of memory that the process has for this.
//
// Called by: manager, worker, hook, other thread.
uint64_t pf_process_number(void);

// Sets who has the `lead`, a pf_lead; in a new handle it is PF_LEAD_LIBRARY. Only with that pf_start is allowed.
//
// Called by: manager.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_WRONG_STATE in a hook of pf_start, PF_ERR_INVALID_ARGUMENT if there is
// no such lead.
pf_result pf_set_lead(pf_t *pf,
                      uint32_t lead);

// Returns whether a worker is wanted now, and may be forked: always false with PF_LEAD_HOST, and where no run is under
// way.
//
// Called by: manager, hook.
bool pf_wants_fork(pf_t *pf);

// Returns what a pool with these numbers wants: 1, one worker more; 0, nothing; less than 0, so many fewer. It has
// so many `workers`, and `max_workers` are the most. If `min_spare` is not 0, between `min_spare` and `max_spare` of
// them are to be idle; `idle` says how many are, and `stopping` how many of these were told to stop. It is the rule
// by which the library decides, for hosts that come by these numbers in their own way.
//
// `low` and `high` (null is allowed) are set for pf_scoreboard_watch: with fewer busy workers than `low`, or more than
// `high`, the answer is another one. They do not depend on `idle`. Without spare workers there are no such numbers,
// and they are INT32_MIN and INT32_MAX.
//
// Called by: manager, worker, hook, signal handler, other thread.
int64_t pf_decide(uint32_t workers,
                  uint32_t max_workers,
                  uint32_t idle,
                  uint32_t stopping,
                  uint32_t min_spare,
                  uint32_t max_spare,
                  int32_t *low,
                  int32_t *high);

// A positive number of `workers` asks the next pf_next for one FORK; 0 or less asks for none. If a fork has just
// failed, pf_next gives a WAIT instead, and the demand is over: demand again after it. With PF_LEAD_LIBRARY this first
// sets the lead to PF_LEAD_HOST.
//
// Called by: manager.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_WRONG_STATE in a hook of pf_start.
pf_result pf_demand(pf_t *pf,
                    int32_t workers);

// The library asks for no fork for `delay` seconds from now on; 0 ends such a pause. This replaces what was set
// before. A host with PF_LEAD_HOST reads the pause back by pf_spawn_delay: a fork that it demands does not wait for
// it. A fork that has just failed is not tried again for 0.05 seconds all the same.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `delay` is negative or not a
// number.
pf_result pf_set_spawn_delay(pf_t *pf,
                             double delay);

// The seconds in which no worker is forked, from now on; 0 if one may be forked now, and for a null handle.
//
// Called by: manager, worker, hook.
double pf_spawn_delay(const pf_t *pf);

// What pf_signal_received would return, without reading it: the next run still ends by it.
//
// Called by: manager, worker, hook.
int32_t pf_peek_signal(pf_t *pf);

// Takes `signal` out of the queue: the host deals with it by itself, and it ends no run any more. If `show` is true,
// the host acts on it now, and pf_signal_received returns it next; another one that arrives is not shown before it was
// read. If `show` is false, the program keeps it to itself, and pf_signal_received does not return it.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a worker.
pf_result pf_take_signal(pf_t *pf,
                         int32_t signal,
                         bool show);

// Sends `signal` to one worker at once, and to the next ones `interval` seconds apart during
// later calls of pf_next, pf_start and pf_wait_all_children. Workers that are forked later
// are not sent it. It replaces one that is still under way.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `signal` does not exist, or
// `interval` is negative or not a number.
pf_result pf_signal_staggered(pf_t *pf, int32_t signal, double interval);

// Tells that children may have ended without a notice, because SIGCHLD had its default
// disposition for a while; with a true `each_worker`, that it was ignored, so that the
// system may have reaped them by itself. The next pf_next looks, in the latter case for each
// worker by its pid (waitid(2)).
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
pf_result pf_look_for_children(pf_t *pf, bool each_worker);

// Tells whether the host's own handler of SIGCHLD, or its wait, gets each SIGCHLD that comes to its thread:
// `handled` is true then. From the first call on, children are looked for once a second where one may end without a
// notice: if `handled` is false, or as long as the process has, or may have, other threads, any of which may take
// the signal (sigwait(3), signalfd(2), a handler that runs there). WAIT has a time-out then. Without a call the
// library trusts the host, and does not look by itself. It means nothing where the library handles SIGCHLD
// (pf_watch_children), which then finds out by itself.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
pf_result pf_set_sigchld_handled(pf_t *pf,
                                 bool handled);

// Sets the current generation to `generation`; workers that are forked from now on belong to
// it.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
pf_result pf_set_generation(pf_t *pf, uint64_t generation);

// Enters the process `pid`, which the host forked by itself, as a worker of `generation`. A worker that is there
// already only changes its generation. If another manager of this process has it, too, each of them is told of its
// end.
//
// This and the four functions after it are for a host that decides by itself who is a worker. Adopt: the host has
// forked it. Reaped: the host has reaped it. Disown: it is taken out, alive or not. Remove: it is taken out after its
// REAPED event, for which a host keeps it (pf_set_keep_reaped).
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `pid` is not positive.
pf_result pf_adopt_worker(pf_t *pf,
                          int32_t pid,
                          uint64_t generation);

// Tells that the host has reaped the worker `pid` by itself, with the raw `status` of wait4(2); it is not signalled
// any more, and leaves the pool as after a REAPED event. With PF_LEAD_LIBRARY its slot in the scoreboard is free at
// once, also that of a worker that was disowned (pf_disown_worker). Otherwise nothing happens if there is no such
// worker. Nor does anything if the status is none of an end (WIFSTOPPED, WIFCONTINUED): such a worker is alive, and
// stays.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
pf_result pf_worker_reaped(pf_t *pf,
                           int32_t pid,
                           int32_t status);

// Writes the REAPED event that was told last into `exit`, without rusage; or of an end that the host has told by
// pf_worker_reaped after that. Returns whether there was one.
//
// Called by: manager, hook.
bool pf_last_exit(const pf_t *pf,
                  pf_event *exit);

// Takes the worker `pid` out of the pool, alive or not; it is not counted or signalled any more, and when it exits it
// is reported as a foreign child; with PF_LEAD_LIBRARY that frees its slot in the scoreboard. A host that reaps
// foreign children by itself (pf_set_reap_foreign) calls pf_worker_reaped for it. Returns whether there was one.
//
// Called by: manager, hook.
bool pf_disown_worker(pf_t *pf,
                      int32_t pid);

// Takes the worker `pid`, whose REAPED event the host has handled, out of the pool;
// otherwise the next pf_next does. A worker that is alive stays. Returns whether there was
// one.
//
// Called by: manager, hook.
bool pf_remove_reaped(pf_t *pf, int32_t pid);

// Sets whether a worker whose REAPED event was given stays in the pool: if `keep` is true, it is counted, and not
// signalled, until pf_remove_reaped or pf_disown_worker takes it out, for a host that first collects exits and looks
// each pid up later; pf_drain does not wait for it. If it is false, as in a new handle, the next pf_next takes out all
// that are kept.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS.
pf_result pf_set_keep_reaped(pf_t *pf,
                             bool keep);

// The number of workers that were told to stop as one too many, are still there, and are
// idle by the scoreboard.
//
// Called by: manager, worker, hook.
size_t pf_num_stopping(const pf_t *pf);

// Sends `signal` to as many workers as it takes for `surplus` of them to be on their way
// out: idle ones by the scoreboard, of the oldest generation first, each only once ever.
// `told` (null is allowed) is set to the number of those that were sent it now.
//
// Called by: manager, hook.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `signal` does not exist.
pf_result pf_stop_workers(pf_t *pf, size_t surplus, int32_t signal, size_t *told);

// Sets by which `signal`, beside TERM, INT and QUIT, this worker is told to stop (pf_wait_readable), in the place of
// the `stop_signal` of pf_set_spare_workers. It is for a host that sends another one by pf_stop_workers.
//
// Called by: worker. Before its first pf_wait_readable, pf_stopping or pf_stop_fd.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS, PF_ERR_INVALID_ARGUMENT if `signal` does not exist.
pf_result pf_set_stop_signal(pf_t *pf,
                             int32_t signal);

// Frees the slots of a process that is gone, by its `pid`: of a worker of a manager that has, or had, this
// scoreboard, that is what fork(2) returned, and of any other process the pid that it had for itself
// (pf_scoreboard_claim). Returns whether it had one. With PF_LEAD_LIBRARY a manager does it by itself: for each
// child whose end was reported, a worker or not, with the first call after that, and for those that the host has
// reaped, in pf_worker_reaped.
//
// Called by: manager, hook.
bool pf_scoreboard_clear(pf_scoreboard_t *scoreboard,
                         int32_t pid);

// From now on a worker whose change of status makes the number of busy workers less than `low` or more than `high`
// wakes the manager of pf_set_scoreboard, once; so does a worker that pf_stop_workers has told to stop, whenever it
// turns busy or idle. A busy process that is no worker and has a slot counts as well, as pf_scoreboard_statuses shows
// it. It is for hosts with PF_LEAD_HOST; pf_set_spare_workers does not need it. Call it and then read the statuses,
// and do both again after each wake-up: a change before the call shows in them, and a change after it wakes the
// manager. It returns false if a change may be missed (a worker was killed in the middle of one, has closed the
// descriptor to wake the manager by, or was told to stop before it has claimed a slot): then call it again within a
// second.
//
// Called by: manager, hook.
bool pf_scoreboard_watch(pf_scoreboard_t *scoreboard,
                         int32_t low,
                         int32_t high);

// Sets `slot` to the slot of this process, for a host that sets a status so often that a call of
// pf_scoreboard_set_status is too slow, because it has to block signals around it. A status that takes the place of
// another busy one, or of another one that is not busy, by compare-and-exchange, changes nothing else. One that turns
// the process busy or idle takes these steps:
//
// 1. keep `changes` as `before`, then add 1 to it;
// 2. for busy, add 1 to `busy`;
// 3. exchange the status;
// 4. if the old one was busy, take 1 from `busy`;
// 5. add PF_CHANGE_END to `changes`;
// 6. if `busy` is less than `low` or more than `high`, or `mark` is not 0, call pf_scoreboard_end_change with `before` and
//    true.
//
// The lowest six bits of `changes` are then how many changes are under way, one within the other if a signal handler
// makes one. So the manager knows which process has died, or has left, in the middle of one, and puts `busy` right. If
// a signal handler leaves one by longjmp(3), call pf_scoreboard_end_change. The pointers are good until
// pf_scoreboard_free.
//
// Called by: worker.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_STATE if this process owns no slot, or the scoreboard is in a file,
// which only pf_scoreboard_set_status keeps up to date.
pf_result pf_scoreboard_own_slot(pf_scoreboard_t *scoreboard,
                                 pf_own_slot *slot);

// Ends a change that began when `changes` of pf_own_slot was `before`, and wakes the manager if that is called for.
// With a false `is_whole` any of the first four steps may be missing, and the manager is woken in any case. What was
// added at its end is not added again.
//
// Called by: worker.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_STATE if this process owns no slot.
pf_result pf_scoreboard_end_change(pf_scoreboard_t *scoreboard,
                                   uint32_t before,
                                   bool is_whole);

// Sets `line` to the line of this worker, and returns whether it has one: not without pf_set_worker_timeout,
// pf_set_ready_timeout or pf_watch_ready. What pf_busy does is:
//
// 1. if `flags` has PF_LINE_AWAITED, call pf_ready;
// 2. set `flags` to PF_LINE_READY | PF_LINE_BUSY, add 1 to `requests`, set `changed_at` to now;
// 3. set `due`: to 0, or to now and as long as it may take;
// 4. if `due` is not 0, and less than `looks_at`, call pf_ring.
//
// pf_tick does 3 and 4. pf_idle does 1, sets `flags` to PF_LINE_READY, `changed_at` to now, and then `due` to 0. All of
// it may be left after any step.
//
// Called by: worker.
bool pf_work_line(const pf_t *pf,
                  pf_own_line *line);

// Wakes the manager, so that it looks at the timesheet.
//
// Called by: worker, signal handler.
//
// # Errors
// PF_ERR_NULL, PF_ERR_WRONG_PROCESS in a manager.
pf_result pf_ring(const pf_t *pf);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PREFORK_HOST_H */
