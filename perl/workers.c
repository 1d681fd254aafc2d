/* The workers, as {worker_pids} shows them. */

#include "workers.h"

bool
is_tied(pTHX_ const host_t *host, SV *object)
{
    SV *pids = member(aTHX_ object, "worker_pids");
    /* What is no hash of ours any more may have got the place of one that was. */
    return SvROK(pids) && SvRV(pids) == host->table && SvTYPE(SvRV(pids)) == SVt_PVHV && SvRMAGICAL(SvRV(pids))
        && mg_find(SvRV(pids), PERL_MAGIC_tied);
}

void
set_table(pTHX_ host_t *host, SV *table, SV *tie)
{
    SV *before = host->tie;
    host->table = table;
    host->tie = tie ? sv_rvweaken(newRV_inc(tie)) : NULL;
    SvREFCNT_dec(before);
}

bool
tie_worker_pids(pTHX_ host_t *host, SV *object)
{
    HV *table;
    SV *tie, *manager;
    SV *pids = member(aTHX_ object, "worker_pids");
    MAGIC *mg = SvROK(pids) && SvTYPE(SvRV(pids)) == SVt_PVHV && SvRMAGICAL(SvRV(pids))
        ? mg_find(SvRV(pids), PERL_MAGIC_tied) : NULL;
    HV *class = gv_stashpvs("Parallel::Prefork::WorkerPids", GV_ADD);
    size_t workers;
    if (mg && mg->mg_obj && SvROK(mg->mg_obj) && SvSTASH(SvRV(mg->mg_obj)) == class && SvRV(pids) == host->table) {
        manager = member(aTHX_ mg->mg_obj, "manager");
        return SvROK(manager) && SvRV(manager) == SvRV(object);
    }
    CALL(workers = pf_num_workers(host->pf));
    if (workers || !plain_hash(aTHX_ pids) || HvUSEDKEYS(SvRV(pids)) || (host->tie && SvROK(host->tie)))
        return FALSE;
    tie = newRV_noinc((SV *)newHV());
    manager = newRV_inc(SvRV(object));
    (void)hv_stores((HV *)SvRV(tie), "manager", manager);
    sv_rvweaken(manager);
    table = newHV();
    hv_magic(table, (GV *)sv_bless(tie, class), PERL_MAGIC_tied);
    set_table(aTHX_ host, (SV *)table, SvRV(tie));
    SvREFCNT_dec(tie);
    set_member(aTHX_ object, "worker_pids", sv_2mortal(newRV_noinc((SV *)table)));
    return TRUE;
}

HV *
stored_in(pTHX_ SV *object)
{
    SV *stored = member(aTHX_ object, "_stored");
    return SvROK(stored) && SvTYPE(SvRV(stored)) == SVt_PVHV ? (HV *)SvRV(stored) : NULL;
}

void
drop_stored(pTHX_ SV *object, pid_t pid)
{
    HV *stored = stored_in(aTHX_ object);
    if (stored) {
        char key[16];
        (void)hv_delete(stored, key, my_snprintf(key, sizeof key, "%d", (int)pid), G_DISCARD);
    }
}

IV
remove_reaped(pTHX_ host_t *host, SV *object, pid_t pid)
{
    uint64_t generation = 0;
    bool released;
    CALL(
        pf_worker_generation(host->pf, pid, &generation);
        released = pf_remove_reaped(host->pf, pid);
    );
    if (!released)
        return -1;
    drop_stored(aTHX_ object, pid);
    return (IV)generation;
}

void
keep_reaped(pTHX_ host_t *host, bool keep)
{
    PERL_UNUSED_CONTEXT;
    if (host->keeps_reaped != keep) {
        CALL(
            if (pf_set_keep_reaped(host->pf, keep) == PF_OK)
                host->keeps_reaped = keep;
        );
    }
}
