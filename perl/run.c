/* The loop of start, as long as nothing of it is Perl: no hook is due and no method is overridden.
 * Each op that perl runs between two forks writes to pages that a fork has just made
 * shared, and each of those is a page fault, in the manager and in the worker. Whatever is not
 * as simple as this is left to the loop in Prefork.pm, which does the same. */

#include "host.h"

#include <sys/time.h>

/* Whether every method that the loop would call is the one that %PLAIN knows. That is looked up
 * again only when perl has invalidated its own caches of methods. */
static bool
class_is_plain(pTHX_ host_t *host, SV *object)
{
    HV *stash = SvSTASH(SvRV(object));
    const U32 methods = PL_sub_generation + HvMROMETA(stash)->cache_gen;
    if (host->stash != stash || host->methods != methods) {
        HV *plain = get_hv("Parallel::Prefork::PLAIN", 0);
        HE *entry;
        host->stash = stash;
        host->methods = methods;
        host->is_plain = plain != NULL;
        host->newborn = gv_fetchpvs("Parallel::Prefork::newborn", GV_ADD, SVt_PV);
        if (plain)
            hv_iterinit(plain);
        while (plain && (entry = hv_iternext(plain))) {
            I32 length;
            const char *name = hv_iterkey(entry, &length);
            GV *method = gv_fetchmeth_pvn(stash, name, length, 0, 0);
            if (!method || (SV *)GvCV(method) != SvRV(HeVAL(entry)))
                host->is_plain = FALSE;
        }
    }
    return host->is_plain;
}

static bool
is_tied(pTHX_ SV *object)
{
    SV *pids = member(aTHX_ object, "worker_pids");
    return SvROK(pids) && SvTYPE(SvRV(pids)) == SVt_PVHV && SvRMAGICAL(SvRV(pids))
        && mg_find(SvRV(pids), PERL_MAGIC_tied);
}

/* Whether after_fork runs, and this loop has been called by it. */
static bool
has_newborn(pTHX_ const host_t *host)
{
    return SvTRUE_nomg(GvSV(host->newborn));
}

/* Whether the object has become, or was from the start, something that only Perl code can drive. */
static bool
is_plain(pTHX_ host_t *host, SV *object)
{
    SV *actions = member(aTHX_ object, "trap_signals");
    return class_is_plain(aTHX_ host, object)
        && is_tied(aTHX_ object)
        && (!SvOK(actions) || plain_hash(aTHX_ actions))
        && !is_set(aTHX_ member(aTHX_ object, "before_fork"))
        && !is_set(aTHX_ member(aTHX_ object, "__dbg_callback"))
        && !has_newborn(aTHX_ host);
}

double
defer_spawn(pTHX_ host_t *host, double rest)
{
    struct timeval now;
    CALL(pf_defer_spawn(host->pf, rest));
    if (rest <= 0)
        return 0;
    gettimeofday(&now, NULL);
    return (double)now.tv_sec + (double)now.tv_usec / 1e6 + rest;
}

void
forget_stored(pTHX_ SV *object, pid_t pid)
{
    SV *stored = member(aTHX_ object, "_stored");
    if (SvROK(stored) && SvTYPE(SvRV(stored)) == SVt_PVHV) {
        char key[16];
        (void)hv_delete((HV *)SvRV(stored), key, my_snprintf(key, sizeof key, "%d", (int)pid), G_DISCARD);
    }
}

IV
release_worker(pTHX_ host_t *host, SV *object, pid_t pid)
{
    uint64_t generation = 0;
    bool released;
    CALL(
        pf_worker_generation(host->pf, pid, &generation);
        released = pf_release_worker(host->pf, pid);
    );
    if (!released)
        return -1;
    forget_stored(aTHX_ object, pid);
    return (IV)generation;
}

/* As _update_spawn_delay of Prefork.pm. */
static void
update_spawn_delay(pTHX_ host_t *host, SV *object, double rest)
{
    SV *shown = *hv_fetchs((HV *)SvRV(object), "_no_adjust_until", 1);
    const double until = defer_spawn(aTHX_ host, rest);
    if (until > 0 || !SvIOK(shown) || SvIVX(shown) != 0)
        sv_setnv(shown, until);
    if (until == 0)
        sv_setiv(shown, 0);
}

static bool
has_hook(pTHX_ SV *object, const char *name)
{
    return is_set(aTHX_ member(aTHX_ object, name));
}

static void
enter_plain_worker(pTHX_ host_t *host, SV *object, bool runs_code)
{
    SV *actions = member(aTHX_ object, "trap_signals");
    HE *entry;
    if (runs_code)
        leave_evals(aTHX);
    if (SvOK(actions))
        hv_iterinit((HV *)SvRV(actions));
    while (SvOK(actions) && (entry = hv_iternext((HV *)SvRV(actions)))) {
        I32 length;
        const char *name = hv_iterkey(entry, &length);
        reset_signal(aTHX_ name, length);
    }
    enter_worker(aTHX_ host, object);
    if (signal_is_set(aTHX_ object))
        my_exit(0);
}

/* One turn: a fork if a worker is wanted, and otherwise a wait; then a look for a child that has
 * exited. RUN_NEXT if the next turn can follow at once. */
static run_t
turn(pTHX_ host_t *host, SV *object, bool runs_code, pf_event *event)
{
    double max_workers, spawn_interval, err_respawn_interval, delay;
    bool is_wanted;
    bool may_fork;
    if (signal_is_noted(aTHX))
        PERL_ASYNC_CHECK();
    if (!is_plain(aTHX_ host, object)
            || !plain_number(aTHX_ member(aTHX_ object, "max_workers"), &max_workers)
            || !plain_number(aTHX_ member(aTHX_ object, "spawn_interval"), &spawn_interval)
            || !plain_number(aTHX_ member(aTHX_ object, "err_respawn_interval"), &err_respawn_interval))
        return RUN_TURN;
    if (signal_is_set(aTHX_ object))
        return RUN_LOOK;

    CALL(
        is_wanted = (double)pf_num_workers(host->pf) < max_workers;
        delay = pf_spawn_delay(host->pf);
    );
    may_fork = is_wanted && delay <= 0;
    if (may_fork) {
        event->pid = fork_worker(aTHX_ host, object);
        if (event->pid == 0) {
            enter_plain_worker(aTHX_ host, object, runs_code);
            return RUN_IN_WORKER;
        }
        if (event->pid < 0) {
            update_spawn_delay(aTHX_ host, object, err_respawn_interval);
            return RUN_NEXT;
        }
        if (has_hook(aTHX_ object, "after_fork"))
            return RUN_FORKED;
        /* The rest before is over, or there would have been no fork. */
        if (spawn_interval > 0)
            update_spawn_delay(aTHX_ host, object, spawn_interval);
    }
    is_wanted = is_wanted && SvOK(member(aTHX_ object, "_no_adjust_until"));
    if (!next_exit(aTHX_ object, host, event, !may_fork, is_wanted, -1))
        return RUN_NEXT;
    if (has_hook(aTHX_ object, "on_child_reap"))
        return RUN_REAPED;
    if (release_worker(aTHX_ host, object, event->pid) == (IV)SvUV(member(aTHX_ object, "generation"))
            && event->status != 0)
        update_spawn_delay(aTHX_ host, object, err_respawn_interval);
    return RUN_NEXT;
}

run_t
run(pTHX_ host_t *host, SV *object, bool runs_code, pf_event *event)
{
    run_t what;
    do {
        what = turn(aTHX_ host, object, runs_code, event);
    } while (what == RUN_NEXT);
    return what;
}

bool
drain(pTHX_ host_t *host, SV *object, double until)
{
    size_t workers;
    do {
        pf_event event;
        if (signal_is_noted(aTHX))
            PERL_ASYNC_CHECK();
        if (!class_is_plain(aTHX_ host, object) || has_hook(aTHX_ object, "on_child_reap")
                || !is_tied(aTHX_ object) || has_newborn(aTHX_ host))
            return FALSE;
        if (next_exit(aTHX_ object, host, &event, TRUE, FALSE, -1)) {
            bool was_worker;
            CALL(was_worker = pf_forget_worker(host->pf, event.pid));
            if (was_worker)
                forget_stored(aTHX_ object, event.pid);
        }
        CALL(workers = pf_num_workers(host->pf));
    } while (workers && monotonic() < until);
    return TRUE;
}
