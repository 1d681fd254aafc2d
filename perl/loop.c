/* The loop of start, and of wait_all_children, as long as no Perl code has a part in it.
 *
 * After a fork each page that the manager or the worker writes to is copied first (copy-on-write, see ARCHITECTURE.md),
 * and perl writes to many pages for each op that calls something. So this loop does the turns of classes that override
 * none of `methods`. All other turns are done by Loop.pm, which calls each method, as 0.18 did.
 *
 * - `run` returns to Perl for what is Perl's: a signal to look at, a hook to call.
 * - `class_is_plain` looks for an override in each turn, as perl does at each call. Perl keeps what it has found, so this is
 *   no search through the classes.
 * - While `run` fills a pool, it looks for children after a fork only if SIGCHLD was noted, or if something of the core's
 *   is due (`due_at`). Code of the program that runs in between makes it look again. */

#include "loop.h"

#include "fork.h"
#include "policy.h"
#include "subs.h"
#include "traps.h"
#include "wait.h"
#include "workers.h"

/* The methods that the loops do the work of. */
#define METHOD(name) { name, sizeof name - 1 }
static const struct { const char *name; size_t length; } methods[] = {
    METHOD("signal_received"), METHOD("trap_signals"), METHOD("num_workers"), METHOD("max_workers"), METHOD("spawn_interval"),
    METHOD("err_respawn_interval"), METHOD("before_fork"), METHOD("after_fork"), METHOD("on_child_reap"),
    METHOD("_on_child_reap"), METHOD("_decide_action"), METHOD("_update_spawn_delay"), METHOD("_wait"), METHOD("_max_wait"),
};
#undef METHOD

/* The sub that perl calls for it; NULL if there is none. */
static const CV *
method_of(pTHX_ HV *class, size_t i)
{
    GV *method = gv_fetchmeth_pvn(class, methods[i].name, methods[i].length, 0, 0);
    return method ? GvCV(method) : NULL;
}

/* Each interpreter has compiled its own: this is where the bodies are noted in one. */
static SV *
noted_bodies(pTHX)
{
    return get_sv("Parallel::Prefork::bodies", GV_ADDMULTI);
}

void
note_methods(pTHX)
{
    HV *class = gv_stashpvs("Parallel::Prefork", 0);
    UV body[C_ARRAY_LENGTH(methods)];
    size_t i;
    for (i = 0; i < C_ARRAY_LENGTH(methods); i++)
        body[i] = keep_body(aTHX_ method_of(aTHX_ class, i));
    sv_setpvn(noted_bodies(aTHX), (const char *)body, sizeof body);
}

/* What the loops look at in each turn. */
static void
prepare(pTHX_ host_t *host)
{
    STRLEN length;
    SV *bodies = noted_bodies(aTHX);
    const char *noted = SvPV(bodies, length);
    if (length == sizeof host->loop.body)
        Copy(noted, host->loop.body, length, char);
    host->loop.newborn = gv_fetchpvs("Parallel::Prefork::newborn", GV_ADD, SVt_PV);
}

/* Whether none of the methods is overridden: the sub is another one then, or has another body. */
static bool
class_is_plain(pTHX_ host_t *host, SV *object)
{
    HV *class = SvSTASH(SvRV(object));
    size_t i;
    if (!host->loop.newborn)
        prepare(aTHX_ host);
    for (i = 0; i < C_ARRAY_LENGTH(methods); i++) {
        const CV *method = method_of(aTHX_ class, i);
        if (!method || !has_body(method) || body_of(method) != host->loop.body[i])
            return FALSE;
    }
    return TRUE;
}

/* Whether after_fork runs, and this loop has been called by it. */
static bool
has_newborn(pTHX_ const host_t *host)
{
    return SvTRUE_nomg(GvSV(host->loop.newborn));
}

/* Whether there is a hook to call. What a tie gives only Perl code can ask for. */
static bool
has_hook(pTHX_ SV *object, const char *name)
{
    SV *hook = member(aTHX_ object, name);
    return SvGMAGICAL(hook) || is_set(aTHX_ hook);
}

/* Whether Perl code is to hear of the child that was reaped last. */
static bool
is_heard_of(pTHX_ host_t *host, SV *object)
{
    size_t line = 0;
    if (has_hook(aTHX_ object, "on_child_reap"))
        return TRUE;
    if (has_hook(aTHX_ object, "log_exits"))
        CALL(line = pf_exit_line(host->pf, NULL, 0));
    return line > 0;
}

/* Whether the object has become, or was from the start, something that only Perl code can drive. */
static bool
is_plain(pTHX_ host_t *host, SV *object)
{
    SV *actions = member(aTHX_ object, "trap_signals");
    return class_is_plain(aTHX_ host, object)
        && is_tied(aTHX_ host, object)
        && !SvGMAGICAL(actions) && (!SvOK(actions) || plain_hash(aTHX_ actions))
        && !has_hook(aTHX_ object, "__dbg_callback")
        && !has_newborn(aTHX_ host);
}

bool
runs_alone(pTHX_ host_t *host, SV *object)
{
    return is_plain(aTHX_ host, object) && !has_hook(aTHX_ object, "before_fork") && !has_hook(aTHX_ object, "after_fork")
        && !has_hook(aTHX_ object, "on_child_reap");
}

/* Whether a look for children may find one, or do something that has become due. */
static bool
is_due(const host_t *host)
{
    return host->exits.passed_on != exit_notices || monotonic() >= host->exits.due_at;
}

static void
enter(pTHX_ host_t *host, SV *object, bool runs_code)
{
    names_t trapped;
    if (runs_code)
        leave_evals(aTHX);
    trapped = trapped_signals(aTHX_ object);
    enter_worker(aTHX_ host, object, &trapped);
    if (signal_is_set(aTHX_ object))
        my_exit(0);
}

/* One turn: a fork if a worker is wanted, and otherwise a wait; then a look for a child that has
 * exited, where there may be one. RUN_NEXT if the next turn can follow at once. */
static run_t
turn(pTHX_ host_t *host, SV *object, bool runs_code, pf_event *event)
{
    how_t how = { FALSE, FALSE, -1, 0 };
    bool is_wanted;
    run_handlers(aTHX_ host);
    if (!is_plain(aTHX_ host, object))
        return RUN_TURN;
    /* What start has seen and found to be false is an object that only perl can ask. */
    if (signal_is_set(aTHX_ object))
        return host->signal_was_set ? RUN_TURN : RUN_LOOK;
    if (!pass_settings(aTHX_ host, object))
        return RUN_TURN;

    follow_pause(aTHX_ host, object);
    CALL(
        set_goal(aTHX_ host, object);
        is_wanted = pf_wants_fork(host->pf);
    );
    if (is_wanted && has_hook(aTHX_ object, "before_fork"))
        return RUN_WANTED;
    if (is_wanted) {
        event->pid = fork_worker(aTHX_ host, object);
        if (event->pid == 0) {
            enter(aTHX_ host, object, runs_code);
            return RUN_IN_WORKER;
        }
        if (event->pid < 0) {
            show_pause(aTHX_ host, object, host->policy.err_respawn_interval);
            return RUN_NEXT;
        }
        if (has_hook(aTHX_ object, "after_fork"))
            return RUN_FORKED;
        /* The pause before is over, or there would have been no fork. */
        if (host->policy.spawn_interval > 0)
            update_spawn_delay(aTHX_ host, object, host->policy.spawn_interval);
        if (!is_due(host))
            return RUN_NEXT;
    }
    how.blocking = !is_wanted;
    /* A handler may have asked for an exit by itself, with _wait. */
    keep_reaped(aTHX_ host, FALSE);
    if (!next_exit(aTHX_ object, host, event, how))
        return RUN_NEXT;
    if (is_heard_of(aTHX_ host, object))
        return RUN_REAPED;
    if (remove_reaped(aTHX_ host, object, event->pid) == (IV)generation_of(aTHX_ object)
            && event->status != 0)
        update_spawn_delay(aTHX_ host, object, host->policy.err_respawn_interval);
    return RUN_NEXT;
}

run_t
run(pTHX_ host_t *host, SV *object, bool runs_code, pf_event *event)
{
    run_t what;
    ENTER;
    SAVESPTR(host->loop.running);
    host->loop.running = member(aTHX_ object, "_goal");
    host->exits.due_at = 0;
    host->exits.is_named = FALSE;
    keep_reaped(aTHX_ host, FALSE);
    do {
        what = turn(aTHX_ host, object, runs_code, event);
    } while (what == RUN_NEXT);
    LEAVE;
    return what;
}

/* So many exits are taken without a look at what else there is: a handler waits for some of them, some 0.2 ms. */
#define AT_ONCE 64

bool
drain(pTHX_ host_t *host, SV *object, double until)
{
    how_t how = { TRUE, FALSE, -1, 0 };
    size_t workers;
    do {
        pf_event event;
        HV *stored;
        run_handlers(aTHX_ host);
        if (!class_is_plain(aTHX_ host, object) || has_hook(aTHX_ object, "on_child_reap")
                || has_hook(aTHX_ object, "log_exits") || !is_tied(aTHX_ host, object) || has_newborn(aTHX_ host))
            return FALSE;
        stored = stored_in(aTHX_ object);
        how.untold = stored && HvUSEDKEYS(stored) ? 0 : AT_ONCE;
        keep_reaped(aTHX_ host, FALSE);
        if (next_exit(aTHX_ object, host, &event, how)) {
            bool was_worker;
            CALL(was_worker = pf_disown_worker(host->pf, event.pid));
            if (was_worker)
                drop_stored(aTHX_ object, event.pid);
        }
        CALL(workers = pf_num_workers(host->pf));
    } while (workers && monotonic() < until);
    return TRUE;
}
