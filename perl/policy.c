/* Who decides whether a worker is wanted, and by what. The core does, by what the program has set; where the program has overridden
 * a method that decides, the program does. */

#include "policy.h"

#include <sys/time.h>

void
take_lead(pTHX_ host_t *host, pf_lead lead)
{
    if (host->policy.lead != lead) {
        CALL(pf_set_lead(host->pf, lead));
        host->policy.lead = lead;
    }
}

bool
pass_settings(pTHX_ host_t *host, SV *object)
{
    policy_t *policy = &host->policy;
    double max_workers, spawn_interval, err_respawn_interval;
    if (!plain_number(aTHX_ member(aTHX_ object, "max_workers"), &max_workers)
            || !plain_number(aTHX_ member(aTHX_ object, "spawn_interval"), &spawn_interval)
            || !plain_number(aTHX_ member(aTHX_ object, "err_respawn_interval"), &err_respawn_interval))
        return FALSE;
    if (policy->lead != PF_LEAD_SHARED || policy->max_workers != max_workers || policy->spawn_interval != spawn_interval
            || policy->err_respawn_interval != err_respawn_interval) {
        take_lead(aTHX_ host, PF_LEAD_SHARED);
        /* Not a number is no pause, and no worker. Of the pauses the core makes the one after a failed fork. */
        CALL(
            pf_set_max_workers(host->pf, to_count(max_workers));
            pf_set_err_respawn_interval(host->pf, err_respawn_interval > 0 ? err_respawn_interval : 0);
        );
        policy->max_workers = max_workers;
        policy->spawn_interval = spawn_interval;
        policy->err_respawn_interval = err_respawn_interval;
    }
    return TRUE;
}

double
seconds_member(pTHX_ SV *object, const char *name)
{
    SV *option = member(aTHX_ object, name);
    double seconds = 0;
    SvGETMAGIC(option);
    /* Several values were stored as an array, whose address is no number of seconds. */
    if (SvOK(option) && (!SvROK(option) || SvAMAGIC(option)))
        seconds = SvNV_nomg(option);
    return seconds > 0 && !Perl_isinf(seconds) ? seconds : 0;
}

void
pass_graceful_timeout(pTHX_ host_t *host, SV *object)
{
    const double timeout = seconds_member(aTHX_ object, "graceful_timeout");
    if (timeout != host->policy.graceful_timeout) {
        CALL(
            if (pf_set_graceful_timeout(host->pf, timeout) == PF_OK)
                host->policy.graceful_timeout = timeout;
        );
    }
}

pf_result
pass_death_signal(pTHX_ host_t *host, SV *object)
{
    SV *option = member(aTHX_ object, "pdeathsig");
    int signal = 0;
    pf_result result;
    SvGETMAGIC(option);
    if (SvROK(option))
        option = sv_2mortal(newSVpvf("%" SVf, SVfARG(option)));
    /* Anything that is false is none, and so is what is no signal, which only another way than the accessor can put there. */
    if (SvTRUE_nomg(option) && (!signal_number(aTHX_ option, &signal) || signal < 0))
        signal = 0;
    CALL(result = pf_set_parent_death_signal(host->pf, signal));
    return result;
}

IV
decide(const pool_t *pool, int32_t *low, int32_t *high)
{
    return (IV)pf_decide(to_count(pool->workers), to_count(pool->max_workers), to_count(pool->idle), to_count(pool->stopping),
        to_count(pool->min_spare), to_count(Perl_floor(pool->max_spare)), low, high);
}

void
show_pause(pTHX_ host_t *host, SV *object, double pause)
{
    if (pause > 0) {
        struct timeval now;
        gettimeofday(&now, NULL);
        host->policy.pause_shown = (double)now.tv_sec + (double)now.tv_usec / 1e6 + pause;
    } else {
        host->policy.pause_shown = 0;
    }
    set_member(aTHX_ object, "_no_adjust_until", sv_2mortal(newSVnv(host->policy.pause_shown)));
}

void
update_spawn_delay(pTHX_ host_t *host, SV *object, double pause)
{
    /* Not a number is no pause. */
    if (!(pause > 0))
        pause = 0;
    CALL(pf_set_spawn_delay(host->pf, pause));
    show_pause(aTHX_ host, object, pause);
}

void
follow_pause(pTHX_ host_t *host, SV *object)
{
    SV *shown = member(aTHX_ object, "_no_adjust_until");
    double until;
    if (SvOK(shown) && plain_number(aTHX_ shown, &until) && until != host->policy.pause_shown) {
        struct timeval now;
        gettimeofday(&now, NULL);
        host->policy.pause_shown = until;
        until -= (double)now.tv_sec + (double)now.tv_usec / 1e6;
        CALL(pf_set_spawn_delay(host->pf, until > 0 ? until : 0));
    }
}
