/* The loop of start, and of wait_all_children, as long as no Perl code has a part in it. The plain path is Loop.pm alone.
 *
 * After a fork each page that the manager or the worker writes to is copied first (copy-on-write, see ARCHITECTURE.md),
 * and perl writes to many pages for each op that calls something. So this loop does the turns of classes that override
 * no method of %PLAIN (Prefork.pm). All other turns are done by Loop.pm, which calls each method, as 0.18 did.
 *
 * - `run` returns to Perl for what is Perl's: a signal to look at, a hook to call.
 * - `class_is_plain` knows whether a method is overridden. Perl counts how often it has invalidated its caches of methods,
 *   and these counters say when to look again. A sub that has got another body is noticed by its body (`body_of`).
 * - While `run` fills a pool, it looks for children after a fork only if SIGCHLD was noted, or if something of the core's
 *   is due (`due_at`). Code of the program that runs in between makes it look again. */

#include "loop.h"

#include "../fork.h"
#include "../policy.h"
#include "../traps.h"
#include "../wait.h"
#include "../workers.h"
#include "switches.h"

#if TRICK_LOOP

/* What a sub does, as a number: it can be given another body, and stay the same. */
static UV
body_of(pTHX_ const CV *code)
{
    PERL_UNUSED_CONTEXT;
    if (!CvISXSUB(code))
        return PTR2UV(CvROOT(code));
    return CvXSUBANY(code).any_ptr ? PTR2UV(CvXSUBANY(code).any_ptr) : PTR2UV(CvXSUB(code));
}

/* The same, and nothing else will ever be that number: a body that perl frees (undef &sub) leaves its address to the next
 * one that is compiled. So it is kept, by the count that threads share it by. */
UV
keep_body(pTHX_ const CV *code)
{
    if (!CvISXSUB(code) && CvROOT(code)) {
        OP_REFCNT_LOCK;
        (void)OpREFCNT_inc(CvROOT(code));
        OP_REFCNT_UNLOCK;
    }
    return body_of(aTHX_ code);
}

/* Notes the methods of the class that the loop would call. False if one is not what %PLAIN knows. */
static bool
note_methods(pTHX_ host_t *host, HV *stash)
{
    HV *plain = get_hv("Parallel::Prefork::PLAIN", 0);
    bool is_plain = plain != NULL;
    HE *entry;
    host->class.newborn = gv_fetchpvs("Parallel::Prefork::newborn", GV_ADD, SVt_PV);
    host->class.methods = 0;
    if (plain)
        hv_iterinit(plain);
    while (is_plain && (entry = hv_iternext(plain))) {
        I32 length;
        const char *name = hv_iterkey(entry, &length);
        GV *method = gv_fetchmeth_pvn(stash, name, length, 0, 0);
        if (!method || body_of(aTHX_ GvCV(method)) != SvUV(HeVAL(entry))
                || host->class.methods == C_ARRAY_LENGTH(host->class.method))
            return FALSE;
        host->class.method[host->class.methods].code = GvCV(method);
        host->class.method[host->class.methods++].body = SvUV(HeVAL(entry));
    }
    return is_plain;
}

/* Whether no method that the loop would call is overridden. They are looked up again only when perl
 * has invalidated its own caches of methods, those of the class, or, of what it inherits,
 * of classes above it. */
static bool
class_is_plain(pTHX_ host_t *host, SV *object)
{
    HV *stash = SvSTASH(SvRV(object));
    const struct mro_meta *meta = HvMROMETA(stash);
    const U32 changes = PL_sub_generation + meta->cache_gen + meta->pkg_gen;
    unsigned i;
    if (host->class.stash != stash || host->class.changes != changes) {
        host->class.stash = stash;
        host->class.changes = changes;
        host->class.is_plain = note_methods(aTHX_ host, stash);
    }
    for (i = 0; host->class.is_plain && i < host->class.methods; i++)
        if (body_of(aTHX_ host->class.method[i].code) != host->class.method[i].body)
            return FALSE;
    return host->class.is_plain;
}

/* Whether after_fork runs, and this loop has been called by it. */
static bool
has_newborn(pTHX_ const host_t *host)
{
    return SvTRUE_nomg(GvSV(host->class.newborn));
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
    if (remove_reaped(aTHX_ host, object, event->pid) == (IV)SvUV(member(aTHX_ object, "generation"))
            && event->status != 0)
        update_spawn_delay(aTHX_ host, object, host->policy.err_respawn_interval);
    return RUN_NEXT;
}

run_t
run(pTHX_ host_t *host, SV *object, bool runs_code, pf_event *event)
{
    run_t what;
    ENTER;
    SAVESPTR(host->class.running);
    host->class.running = member(aTHX_ object, "_goal");
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

#else

bool
runs_alone(pTHX_ host_t *host, SV *object)
{
    PERL_UNUSED_CONTEXT;
    PERL_UNUSED_VAR(host);
    PERL_UNUSED_VAR(object);
    return FALSE;
}

UV
keep_body(pTHX_ const CV *code)
{
    PERL_UNUSED_CONTEXT;
    return PTR2UV(code);
}

run_t
run(pTHX_ host_t *host, SV *object, bool runs_code, pf_event *event)
{
    PERL_UNUSED_CONTEXT;
    PERL_UNUSED_VAR(host);
    PERL_UNUSED_VAR(object);
    PERL_UNUSED_VAR(runs_code);
    PERL_UNUSED_VAR(event);
    return RUN_TURN;
}

bool
drain(pTHX_ host_t *host, SV *object, double until)
{
    PERL_UNUSED_CONTEXT;
    PERL_UNUSED_VAR(host);
    PERL_UNUSED_VAR(object);
    PERL_UNUSED_VAR(until);
    return FALSE;
}

#endif
