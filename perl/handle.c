/* The handles behind Perl objects. They hang on the object by magic, where no program sees them, and go when it goes. */

#include "handle.h"

#include "internals/contents.h"

static const host_t *of_workers;

const host_t *
handle_of_workers(void)
{
    return of_workers;
}

/* In a worker each page that is written to is copied first. */
void
set_handle_of_workers(host_t *host)
{
    if (of_workers == host)
        return;
    if (of_workers)
        host->outer = of_workers->worker.is_one ? of_workers : of_workers->outer;
    of_workers = host;
}

/* A worker may have managers of its own, each of which is the one whose workers are forked next. */
const host_t *
host_of_worker(pTHX)
{
    const host_t *host = of_workers;
    PERL_UNUSED_CONTEXT;
    while (host && !host->worker.is_one)
        host = host->outer;
    return host && host->worker.interpreter == THIS_INTERPRETER ? host : NULL;
}

SV *
object_of_worker(pTHX)
{
    const host_t *host = host_of_worker(aTHX);
    return host ? host->worker.object : NULL;
}

static int
free_host(pTHX_ SV *sv, MAGIC *mg)
{
    host_t *host = (host_t *)mg->mg_ptr;
    if (host && host->worker.is_one) {
        host->worker.object = NULL;
        leave_contents(aTHX_ (HV *)sv, host->attic, host->tie);
    }
    /* A worker frees nothing of the manager's, and a process that ends nothing at all: each
     * page that it wrote to would be copied first. */
    if (host && !PL_dirty && pf_worker_index(host->pf) < 0) {
        SV *scoreboard = host->scoreboard;
        SV *tie = host->tie;
        HV *attic = host->attic;
        if (host->defaults.free)
            host->defaults.free(aTHX_ &host->defaults);
        /* In a worker, which has become a manager, it is another handle that this lies in, and its exit looks at it. */
        if (!host->worker.is_one && of_workers == host)
            of_workers = host->outer;
        CALL(pf_free(host->pf));
        SvREFCNT_dec(scoreboard);
        SvREFCNT_dec(tie);
        SvREFCNT_dec(attic);
        mg->mg_ptr = NULL;
    }
    return 0;
}

static MGVTBL host_magic = { NULL, NULL, NULL, NULL, free_host, NULL, clone_gets_nothing, NULL };

static pf_t *
new_handle(void)
{
    pf_t *pf = pf_new();
    pf_set_lead(pf, PF_LEAD_HOST);
    /* The wait lets SIGCHLD in, and looks for children before. */
    pf_set_sigchld_handled(pf, TRUE);
    return pf;
}

/* An immediate handler that needs it too finds none, or all of it. */
host_t *
host_of(pTHX_ SV *object)
{
    MAGIC *mg = attached(aTHX_ object, &host_magic);
    if (!mg || !mg->mg_ptr) {
        pf_t *pf = NULL;
        CALL(
            mg = attached(aTHX_ object, &host_magic);
            if (!mg || !mg->mg_ptr)
                pf = new_handle();
            if (pf) {
                host_t *host = (host_t *)pf_host_room(pf, sizeof(host_t));
                host->pf = pf;
                host->policy.lead = PF_LEAD_HOST;
                mg = attach(aTHX_ object, &host_magic, host);
            }
        );
        if (!mg || !mg->mg_ptr)
            croak("libprefork cannot make a manager");
    }
    return (host_t *)mg->mg_ptr;
}

void
wake(pTHX_ SV *object)
{
    host_t *host = host_of(aTHX_ object);
    CALL(pf_wake(host->pf));
}

void
check_result(pTHX_ host_t *host, pf_result result)
{
    if (result != PF_OK)
        croak("%s", pf_error_message(host->pf));
}

/* The first handle of such a worker stays, with what is in its room. */
void
become_manager(pTHX_ host_t *host)
{
    pf_result result;
    if (pf_worker_index(host->pf) >= 0) {
        pf_t *pf;
        CALL(
            pf = new_handle();
            if (pf) {
                /* Nobody says any more what it does. */
                pf_idle(host->pf);
                if (pf_host_room(host->pf, 0) != host)
                    pf_free(host->pf);
                host->pf = pf;
                host->policy.lead = PF_LEAD_HOST;
                host->policy.graceful_timeout = 0;
                host->policy.worker_timeout = host->policy.worker_timeout_grace = host->policy.ready_timeout = 0;
                host->keeps_reaped = FALSE;
            }
        );
        if (!pf)
            croak("libprefork cannot make a manager");
    }
    CALL(result = pf_become_manager(host->pf));
    check_result(aTHX_ host, result);
}
