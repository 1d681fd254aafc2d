/* The loop of start, and of wait_all_children, as long as no Perl code has a part in it.
 *
 * After a fork each page that the manager or the worker writes to is copied first (copy-on-write, see ARCHITECTURE.md),
 * and perl writes to many pages for each op that calls something. So this loop does the turns in which nothing is Perl:
 * no before_fork hook, and no method of %PLAIN (Prefork.pm) overridden. All other turns are done by Loop.pm, which calls
 * each method, as 0.18 did.
 *
 * - `run` returns to Perl for what is Perl's: a signal to look at, an after_fork or on_child_reap hook to call.
 * - `class_is_plain` knows whether a method is overridden. Perl counts how often it has invalidated its caches of methods,
 *   and these counters say when to look again. A sub that has got another body is noticed by its body (`body_of`).
 * - A worker that returns from a Perl sub copies the pages of the sub, of its variables and of @_. So where a pool has no
 *   hook, the Perl sub start leaves itself by goto for the XSUB start, before there is a worker. If something for Perl comes
 *   up after all, the XSUB calls _loop and returns what it returns. With a hook, start goes to _loop at once: a hook can
 *   leave Perl code by last, but not C.
 * - While `run` fills a pool, it looks for children after a fork only if SIGCHLD was noted, or if something of the core's
 *   is due (`look_at`). Code of the program that runs in between makes it look again. */

#include "host.h"

#include <sys/time.h>

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
    host->newborn = gv_fetchpvs("Parallel::Prefork::newborn", GV_ADD, SVt_PV);
    host->methods = 0;
    if (plain)
        hv_iterinit(plain);
    while (is_plain && (entry = hv_iternext(plain))) {
        I32 length;
        const char *name = hv_iterkey(entry, &length);
        GV *method = gv_fetchmeth_pvn(stash, name, length, 0, 0);
        if (!method || body_of(aTHX_ GvCV(method)) != SvUV(HeVAL(entry))
                || host->methods == C_ARRAY_LENGTH(host->method))
            return FALSE;
        host->method[host->methods].code = GvCV(method);
        host->method[host->methods++].body = SvUV(HeVAL(entry));
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
    if (host->stash != stash || host->changes != changes) {
        host->stash = stash;
        host->changes = changes;
        host->is_plain = note_methods(aTHX_ host, stash);
    }
    for (i = 0; host->is_plain && i < host->methods; i++)
        if (body_of(aTHX_ host->method[i].code) != host->method[i].body)
            return FALSE;
    return host->is_plain;
}

bool
is_tied(pTHX_ const host_t *host, SV *object)
{
    SV *pids = member(aTHX_ object, "worker_pids");
    /* What is no hash of ours any more may have got the place of one that was. */
    return SvROK(pids) && SvRV(pids) == host->table && SvTYPE(SvRV(pids)) == SVt_PVHV && SvRMAGICAL(SvRV(pids))
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
        && is_tied(aTHX_ host, object)
        && (!SvOK(actions) || plain_hash(aTHX_ actions))
        && !is_set(aTHX_ member(aTHX_ object, "before_fork"))
        && !is_set(aTHX_ member(aTHX_ object, "__dbg_callback"))
        && !has_newborn(aTHX_ host);
}

/* Forking rests for so long from now on: the program sees it. */
static void
show_rest(pTHX_ host_t *host, SV *object, double rest)
{
    /* Only now: an immediate handler may have put another one there. */
    SV *shown = *hv_fetchs((HV *)SvRV(object), "_no_adjust_until", 1);
    if (rest > 0) {
        struct timeval now;
        gettimeofday(&now, NULL);
        host->rest_shown = (double)now.tv_sec + (double)now.tv_usec / 1e6 + rest;
        sv_setnv(shown, host->rest_shown);
    } else {
        host->rest_shown = 0;
        sv_setiv(shown, 0);
    }
}

void
update_spawn_delay(pTHX_ host_t *host, SV *object, double rest)
{
    CALL(pf_set_spawn_delay(host->pf, rest));
    show_rest(aTHX_ host, object, rest);
}

/* As a number of workers: with a fraction it is the next whole one. */
static uint32_t
count_of(double number)
{
    const double whole = Perl_ceil(number);
    return !(whole > 0) ? 0 : whole < (double)UINT32_MAX ? (uint32_t)whole : UINT32_MAX;
}

/* The core decides by what the program has set, which may be another value at each turn. False if that is something that only Perl
 * code can look at. */
static bool
pass_settings(pTHX_ host_t *host, SV *object, settings_t *settings)
{
    if (!plain_number(aTHX_ member(aTHX_ object, "max_workers"), &settings->max_workers)
            || !plain_number(aTHX_ member(aTHX_ object, "spawn_interval"), &settings->spawn_interval)
            || !plain_number(aTHX_ member(aTHX_ object, "err_respawn_interval"), &settings->err_respawn_interval))
        return FALSE;
    if (host->lead != PF_LEAD_SHARED || memNE(&host->passed, settings, sizeof *settings)) {
        /* Not a number is no pause, and no worker. */
        const double spawn = settings->spawn_interval, failure = settings->err_respawn_interval;
        take_lead(aTHX_ host, PF_LEAD_SHARED);
        CALL(
            pf_set_max_workers(host->pf, count_of(settings->max_workers));
            pf_set_spawn_interval(host->pf, spawn > 0 ? spawn : 0);
            pf_set_err_respawn_interval(host->pf, failure > 0 ? failure : 0);
        );
        host->passed = *settings;
    }
    return TRUE;
}

void
take_lead(pTHX_ host_t *host, pf_lead lead)
{
    if (host->lead != lead) {
        CALL(pf_set_lead(host->pf, lead));
        host->lead = lead;
    }
}

IV
decide(pTHX_ double workers, double max_workers, double idle, double leaving, double min_spare, double max_spare)
{
    const double most = Perl_floor(max_spare);
    return (IV)pf_decide(count_of(workers), count_of(max_workers), count_of(idle), count_of(leaving),
        count_of(min_spare), count_of(most));
}

void
follow_rest(pTHX_ host_t *host, SV *object)
{
    SV *shown = member(aTHX_ object, "_no_adjust_until");
    double until;
    if (SvOK(shown) && plain_number(aTHX_ shown, &until) && until != host->rest_shown) {
        struct timeval now;
        gettimeofday(&now, NULL);
        host->rest_shown = until;
        until -= (double)now.tv_sec + (double)now.tv_usec / 1e6;
        CALL(pf_set_spawn_delay(host->pf, until > 0 ? until : 0));
    }
}

static HV *
stored_in(pTHX_ SV *object)
{
    SV *stored = member(aTHX_ object, "_stored");
    return SvROK(stored) && SvTYPE(SvRV(stored)) == SVt_PVHV ? (HV *)SvRV(stored) : NULL;
}

void
forget_stored(pTHX_ SV *object, pid_t pid)
{
    HV *stored = stored_in(aTHX_ object);
    if (stored) {
        char key[16];
        (void)hv_delete(stored, key, my_snprintf(key, sizeof key, "%d", (int)pid), G_DISCARD);
    }
}

IV
release_worker(pTHX_ host_t *host, SV *object, pid_t pid)
{
    uint64_t generation = 0;
    bool released;
    CALL(
        pf_worker_generation(host->pf, pid, &generation);
        released = pf_remove_reaped(host->pf, pid);
    );
    if (!released)
        return -1;
    forget_stored(aTHX_ object, pid);
    return (IV)generation;
}

static bool
has_hook(pTHX_ SV *object, const char *name)
{
    return is_set(aTHX_ member(aTHX_ object, name));
}

static void
enter_plain_worker(pTHX_ host_t *host, SV *object, bool runs_code)
{
    if (runs_code)
        leave_evals(aTHX);
    host->defaults_left = FALSE;
    for_each_trapped(aTHX_ host, object, set_default);
    enter_worker(aTHX_ host, object);
    if (host->defaults_left) {
        for_each_trapped(aTHX_ host, object, set_default_by_store);
        set_default_by_store(aTHX_ host, object, "CHLD", 4);
    }
    if (signal_is_set(aTHX_ object))
        my_exit(0);
}

/* Whether a look for children may find one, or do something that has become due. */
static bool
is_due(const host_t *host)
{
    return host->exits != exit_notices || monotonic() >= host->look_at;
}

/* One turn: a fork if a worker is wanted, and otherwise a wait; then a look for a child that has
 * exited, where there may be one. RUN_NEXT if the next turn can follow at once. */
static run_t
turn(pTHX_ host_t *host, SV *object, bool runs_code, pf_event *event)
{
    settings_t settings;
    bool is_wanted;
    run_handlers(aTHX_ host);
    if (!is_plain(aTHX_ host, object) || !pass_settings(aTHX_ host, object, &settings))
        return RUN_TURN;
    /* What start has seen and found to be false is an object that only perl can ask. */
    if (signal_is_set(aTHX_ object))
        return host->signal_was_set ? RUN_TURN : RUN_LOOK;

    follow_rest(aTHX_ host, object);
    CALL(
        set_goal(aTHX_ host, object);
        is_wanted = pf_wants_fork(host->pf);
    );
    if (is_wanted) {
        event->pid = fork_worker(aTHX_ host, object);
        if (event->pid == 0) {
            enter_plain_worker(aTHX_ host, object, runs_code);
            return RUN_IN_WORKER;
        }
        if (event->pid < 0) {
            show_rest(aTHX_ host, object, settings.err_respawn_interval);
            return RUN_NEXT;
        }
        if (has_hook(aTHX_ object, "after_fork"))
            return RUN_FORKED;
        /* The rest before is over, or there would have been no fork. */
        if (settings.spawn_interval > 0)
            show_rest(aTHX_ host, object, settings.spawn_interval);
        if (!is_due(host))
            return RUN_NEXT;
    }
    /* A handler may have asked for an exit by itself, with _wait. */
    keep_reaped(aTHX_ host, FALSE);
    if (!next_exit(aTHX_ object, host, event, !is_wanted, FALSE, -1, 0))
        return RUN_NEXT;
    if (has_hook(aTHX_ object, "on_child_reap"))
        return RUN_REAPED;
    if (release_worker(aTHX_ host, object, event->pid) == (IV)SvUV(member(aTHX_ object, "generation"))
            && event->status != 0)
        show_rest(aTHX_ host, object, settings.err_respawn_interval);
    return RUN_NEXT;
}

run_t
run(pTHX_ host_t *host, SV *object, bool runs_code, pf_event *event)
{
    run_t what;
    ENTER;
    SAVESPTR(host->running);
    host->running = member(aTHX_ object, "_goal");
    host->look_at = 0;
    host->is_named = FALSE;
    keep_reaped(aTHX_ host, FALSE);
    do {
        what = turn(aTHX_ host, object, runs_code, event);
    } while (what == RUN_NEXT);
    LEAVE;
    return what;
}

bool
runs_alone(pTHX_ host_t *host, SV *object)
{
    return is_plain(aTHX_ host, object) && !has_hook(aTHX_ object, "after_fork")
        && !has_hook(aTHX_ object, "on_child_reap");
}

void
run_worker(pTHX_ SV *code)
{
    dSP;
    PUSHSTACKi(PERLSI_UNKNOWN);
    PUSHMARK(SP);
    call_sv(code, G_VOID | G_DISCARD);
    POPSTACK;
}

static void
work(pTHX_ SV *object, SV *code)
{
    dSP;
    run_worker(aTHX_ code);
    PUSHMARK(SP);
    XPUSHs(object);
    PUTBACK;
    call_method("finish", G_VOID | G_DISCARD);
    my_exit(0);
}

SV *
told(pTHX_ run_t what, const pf_event *event)
{
    AV *told = newAV();
    if (what == RUN_LOOK)
        av_push(told, newSVpvs("look"));
    if (what == RUN_FORKED)
        av_push(told, newSVpvs("forked"));
    if (what == RUN_REAPED)
        av_push(told, newSVpvs("reaped"));
    if (what == RUN_FORKED || what == RUN_REAPED)
        av_push(told, newSViv(event->pid));
    if (what == RUN_REAPED)
        av_push(told, newSViv(event->status));
    return newRV_noinc((SV *)told);
}

/* Goes on in Perl, with what has come up. On a stack of its own, as a hook that leaves by last cannot do so through C. */
static bool
loop_in_perl(pTHX_ SV *object, SV *code, SV *event)
{
    SV *result;
    bool is_manager;
    dSP;
    PUSHSTACKi(PERLSI_UNKNOWN);
    PUSHMARK(SP);
    XPUSHs(object);
    XPUSHs(code ? code : &PL_sv_undef);
    mXPUSHs(event);
    PUTBACK;
    call_pv("Parallel::Prefork::_loop", G_SCALAR);
    SPAGAIN;
    result = POPs;
    is_manager = SvTRUE_nomg(result);
    PUTBACK;
    POPSTACK;
    return is_manager;
}

bool
start(pTHX_ SV *object, SV *code)
{
    host_t *host = host_of(aTHX_ object);
    pf_event event;
    run_t what;
    host->signal_was_set = FALSE;
    what = run(aTHX_ host, object, code != NULL, &event);
    if (what != RUN_IN_WORKER)
        return loop_in_perl(aTHX_ object, code, told(aTHX_ what, &event));
    if (code)
        work(aTHX_ object, code);
    return FALSE;
}

/* So many exits are taken without a look at what else there is: a handler waits for some of them, some 0.2 ms. */
#define AT_ONCE 64

bool
drain(pTHX_ host_t *host, SV *object, double until)
{
    size_t workers;
    do {
        pf_event event;
        HV *stored;
        run_handlers(aTHX_ host);
        if (!class_is_plain(aTHX_ host, object) || has_hook(aTHX_ object, "on_child_reap")
                || !is_tied(aTHX_ host, object) || has_newborn(aTHX_ host))
            return FALSE;
        stored = stored_in(aTHX_ object);
        keep_reaped(aTHX_ host, FALSE);
        if (next_exit(aTHX_ object, host, &event, TRUE, FALSE, -1, stored && HvUSEDKEYS(stored) ? 0 : AT_ONCE)) {
            bool was_worker;
            CALL(was_worker = pf_disown_worker(host->pf, event.pid));
            if (was_worker)
                forget_stored(aTHX_ object, event.pid);
        }
        CALL(workers = pf_num_workers(host->pf));
    } while (workers && monotonic() < until);
    return TRUE;
}
