/* What a worker says of its work and that it is ready for it, and what the manager makes of that.
 *
 * A worker says it at each request, so it is written to the worker's line on the timesheet in C, in the steps that
 * pf_work_line lists: no system call, and no Rust on the stack where an immediate handler of Perl's leaves by longjmp. Only to
 * find the line, once, and to wake the manager the core is called. */

#include "work.h"

#include "policy.h"

#include <time.h>

/* The line of this process, which is a worker of one manager. It is looked for once. */
static struct {
    const pf_t *pf;          /* whose worker that is; NULL if nobody has looked */
    bool has_line;
    pf_own_line line;
} own;

void
forget_line(void)
{
    /* What is not set is not written to: a page that is has to be copied. */
    if (own.pf)
        own.pf = NULL;
}

bool
is_heard(const host_t *host)
{
    return host->policy.worker_timeout > 0 || host->policy.ready_timeout > 0;
}

/* NULL where there is nothing to be written: without a time-out for it, and in what a worker has forked by itself. */
static const pf_own_line *
own_line(pTHX_ const host_t *host)
{
    if (!is_heard(host))
        return NULL;
    if (own.pf != host->pf)
        CALL(
            own.has_line = pf_work_line(host->pf, &own.line);
            /* Not in a manager, whose worker may be the next to ask. */
            if (pf_worker_index(host->pf) >= 0)
                own.pf = host->pf;
        );
    if (!own.has_line || (own.line.life && *own.line.life != own.line.its_life))
        return NULL;
    return &own.line;
}

static const pf_own_line *
line_of_worker(pTHX_ const host_t *host, const char *method)
{
    if (!host->worker.is_one)
        croak_for_caller(aTHX_ newSVpvf("%s is a method for workers, and this is the manager", method));
    return own_line(aTHX_ host);
}

double
seconds_of_work(pTHX_ const char *method, SV *seconds)
{
    double number;
    if (!seconds)
        return SECONDS_AS_SET;
    SvGETMAGIC(seconds);
    if (!SvOK(seconds))
        return SECONDS_AS_SET;
    if (!SvNIOK(seconds) && !(SvROK(seconds) ? SvAMAGIC(seconds) : looks_like_number(seconds)))
        number = -1;
    else
        number = SvNV_nomg(seconds);
    if (!Perl_isfinite(number) || number < 0)
        croak_for_caller(aTHX_ newSVpvf("%s: the seconds must be a number, 0 or more, not '%" SVf "'", method,
            SVfARG(seconds)));
    return number;
}

#ifdef __GNUC__
#define LOAD(place) __atomic_load_n(place, __ATOMIC_SEQ_CST)
#define STORE(place, value) __atomic_store_n(place, value, __ATOMIC_SEQ_CST)
#define STORE_SOON(place, value) __atomic_store_n(place, value, __ATOMIC_RELAXED)

static uint64_t
nanoseconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Steps 3 and 4. With 0 seconds there is no end. */
static void
is_due(pTHX_ const host_t *host, const pf_own_line *line, uint64_t now, double seconds)
{
    uint64_t span, due;
    if (seconds < 0)
        span = LOAD(line->span);
    else if (seconds < 1e9)
        span = (uint64_t)(seconds * 1e9) + (seconds > 0);
    else
        span = UINT64_MAX;
    due = span == 0 ? 0 : span > UINT64_MAX - now ? UINT64_MAX : now + span;
    STORE(line->due, due);
    if (due != 0 && due < LOAD(line->looks_at))
        CALL(pf_ring(host->pf));
}

/* Step 1, once: a handler that leaves by longjmp waits until the manager is woken. */
static void
is_ready(pTHX_ const host_t *host, const pf_own_line *line)
{
    if (__atomic_load_n(line->flags, __ATOMIC_RELAXED) & PF_LINE_AWAITED)
        CALL(pf_ready(host->pf));
}

static void
is_busy_from_now(pTHX_ const host_t *host, const pf_own_line *line, double seconds)
{
    const uint64_t now = nanoseconds_now();
    is_ready(aTHX_ host, line);
    STORE_SOON(line->flags, PF_LINE_READY | PF_LINE_BUSY);
    __atomic_fetch_add(line->requests, 1, __ATOMIC_RELAXED);
    STORE_SOON(line->changed_at, now);
    is_due(aTHX_ host, line, now, seconds);
}

static void
goes_on(pTHX_ const host_t *host, const pf_own_line *line, double seconds)
{
    is_due(aTHX_ host, line, nanoseconds_now(), seconds);
}

static void
is_idle(pTHX_ const host_t *host, const pf_own_line *line)
{
    is_ready(aTHX_ host, line);
    STORE_SOON(line->flags, PF_LINE_READY);
    STORE_SOON(line->changed_at, nanoseconds_now());
    STORE(line->due, 0);
}

static bool
is_at_work(const pf_own_line *line)
{
    return (__atomic_load_n(line->flags, __ATOMIC_RELAXED) & PF_LINE_BUSY) != 0;
}
#else
/* Nothing is known of this compiler: the core does it. */
static void
is_busy_from_now(pTHX_ const host_t *host, const pf_own_line *line, double seconds)
{
    PERL_UNUSED_VAR(line);
    CALL(pf_busy(host->pf, seconds < 0 ? 0 : seconds));
}

static void
goes_on(pTHX_ const host_t *host, const pf_own_line *line, double seconds)
{
    CALL(pf_tick(host->pf, seconds < 0 ? (double)*line->span / 1e9 : seconds));
}

static void
is_idle(pTHX_ const host_t *host, const pf_own_line *line)
{
    PERL_UNUSED_VAR(line);
    CALL(pf_idle(host->pf));
}

static bool
is_at_work(const pf_own_line *line)
{
    return (*(const volatile uint32_t *)line->flags & PF_LINE_BUSY) != 0;
}
#endif

void
is_ready_for_work(pTHX_ const host_t *host)
{
    if (line_of_worker(aTHX_ host, "ready"))
        CALL(pf_ready(host->pf));
}

void
begin_work(pTHX_ const host_t *host, double seconds)
{
    const pf_own_line *line = line_of_worker(aTHX_ host, "busy");
    if (line)
        is_busy_from_now(aTHX_ host, line, seconds > 0 ? seconds : SECONDS_AS_SET);
}

void
go_on_with_work(pTHX_ const host_t *host, double seconds)
{
    const pf_own_line *line = line_of_worker(aTHX_ host, "tick");
    if (line)
        goes_on(aTHX_ host, line, seconds);
}

void
end_work(pTHX_ const host_t *host)
{
    const pf_own_line *line = line_of_worker(aTHX_ host, "idle");
    if (line)
        is_idle(aTHX_ host, line);
}

void
status_is_set(pTHX_ uint8_t status)
{
    const host_t *host = host_of_worker(aTHX);
    const pf_own_line *line = host ? own_line(aTHX_ host) : NULL;
    if (!line)
        return;
    if (status == '_' || status == '.')
        is_idle(aTHX_ host, line);
    else if (is_at_work(line))
        goes_on(aTHX_ host, line, SECONDS_AS_SET);
    else
        is_busy_from_now(aTHX_ host, line, SECONDS_AS_SET);
}

/* How long the hook may take if the program does not say. */
#define GRACE_OF_HOOK 2

static bool
is_defined(pTHX_ SV *object, const char *name)
{
    SV *value = member(aTHX_ object, name);
    return SvOK(value);
}

void
pass_worker_timeout(pTHX_ host_t *host, SV *object)
{
    policy_t *policy = &host->policy;
    const double timeout = seconds_member(aTHX_ object, "worker_timeout");
    const double set_grace = seconds_member(aTHX_ object, "worker_timeout_grace");
    double grace = 0;
    pf_result result = PF_OK;
    /* 0 is no mistake: the program has taken the time-out back. */
    if (set_grace > 0 && !(timeout > 0) && !is_defined(aTHX_ object, "worker_timeout"))
        croak_for_caller(aTHX_ newSVpvs("worker_timeout_grace is set, and worker_timeout is not"));
    if (timeout > 0 && is_set(aTHX_ member(aTHX_ object, "on_worker_timeout")))
        grace = set_grace > 0 ? set_grace : GRACE_OF_HOOK;
    if (timeout == policy->worker_timeout && grace == policy->worker_timeout_grace)
        return;
    CALL(
        result = pf_set_worker_timeout(host->pf, timeout, grace);
        if (result == PF_OK) {
            policy->worker_timeout = timeout;
            policy->worker_timeout_grace = grace;
        }
    );
    check_result(aTHX_ host, result);
}

void
pass_ready_timeout(pTHX_ host_t *host, SV *object)
{
    const double timeout = seconds_member(aTHX_ object, "ready_timeout");
    pf_result result = PF_OK;
    if (timeout == host->policy.ready_timeout)
        return;
    CALL(
        result = pf_set_ready_timeout(host->pf, timeout);
        if (result == PF_OK)
            host->policy.ready_timeout = timeout;
    );
    check_result(aTHX_ host, result);
}

void
end_timeouts(pTHX_ host_t *host, SV *object)
{
    if (host->policy.ready_timeout > 0 && !(seconds_member(aTHX_ object, "ready_timeout") > 0)) {
        CALL(pf_set_ready_timeout(host->pf, 0));
        host->policy.ready_timeout = 0;
    }
    if (host->policy.worker_timeout > 0 && !(seconds_member(aTHX_ object, "worker_timeout") > 0)) {
        CALL(pf_set_worker_timeout(host->pf, 0, 0));
        host->policy.worker_timeout = host->policy.worker_timeout_grace = 0;
    }
}

void
handle_lateness(pTHX_ const host_t *host, SV *object)
{
    /* Of this worker, or of one that this one descends from. */
    static bool is_handled;
    const bool is_wanted = host->policy.worker_timeout_grace > 0;
    if (is_wanted || is_handled) {
        dSP;
        is_handled = TRUE;
        PUSHMARK(SP);
        XPUSHs(object);
        XPUSHs(is_wanted ? &PL_sv_yes : &PL_sv_no);
        PUTBACK;
        call_pv("Parallel::Prefork::_handle_lateness", G_VOID | G_DISCARD);
    }
}
