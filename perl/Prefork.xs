/* XS: unpack, call, pack.
 *
 * The core decides. What a program may see or override is in Perl. Here are only the calls between them. */

#include "fork.h"
#include "loop.h"
#include "modules.h"
#include "options.h"
#include "parts.h"
#include "policy.h"
#include "scoreboard.h"
#include "stop.h"
#include "traps.h"
#include "wait.h"
#include "work.h"
#include "workers.h"

#include "internals/defaults.h"
#include "internals/exit.h"
#include "internals/switches.h"

static int
signal_to_send(pTHX_ SV *signal)
{
    int number;
    /* As perl's own kill does. */
    if (SvTAINTED(signal)) {
        TAINT;
        TAINT_PROPER("kill");
    }
    /* So does it take what an object says that it is. */
    if (SvROK(signal) && SvAMAGIC(signal))
        signal = sv_2mortal(newSVpvf("%" SVf, SVfARG(signal)));
    /* As what signal_received says when none has come: kill takes it for signal 0. */
    SvGETMAGIC(signal);
    if (!SvOK(signal) || (SvPOK(signal) && SvCUR(signal) == 0))
        return 0;
    if (!signal_number(aTHX_ signal, &number))
        croak_for_caller(aTHX_ newSVpvf("Unrecognized signal name \"%" SVf "\"", SVfARG(signal)));
    return number;
}

/* Lets the program see a value in signal_received, where signals are blocked: that and what the core
 * takes for shown have to change at once. No code of the program's runs here. */
static void
show(pTHX_ SV *object, SV *value)
{
    SV *seen = member(aTHX_ object, "signal_received");
    if (SvROK(seen))
        sv_2mortal(SvREFCNT_inc(SvRV(seen)));
    set_member(aTHX_ object, "signal_received", value);
}

/* What the program has hung on that member, a tie say, hears of it when signals can arrive again. */
static void
tell(pTHX_ SV *object)
{
    SV *shown = member(aTHX_ object, "signal_received");
    SvSETMAGIC(shown);
}

/* What the loop has come to, as arguments of _go_on: the kind of it, and which worker it is about. */
static void
push_told(pTHX_ run_t what, const pf_event *event)
{
    dSP;
    static const char *const words[] = {
        [RUN_TURN] = "turn", [RUN_LOOK] = "look", [RUN_WANTED] = "wanted", [RUN_FORKED] = "forked", [RUN_REAPED] = "reaped",
    };
    mXPUSHs(newSVpv(words[what], 0));
    if (what == RUN_FORKED || what == RUN_REAPED)
        mXPUSHi(event->pid);
    if (what == RUN_REAPED)
        mXPUSHi(event->status);
    PUTBACK;
}

static SV *
calling_package(pTHX)
{
    return sv_2mortal(newSVhek(HvNAME_HEK(CopSTASH(PL_curcop))));
}

/* The value of the last pair with this key, as a hash would have it. */
static SV *
value_in_list(pTHX_ const char *key, SV **list, I32 length)
{
    I32 i;
    for (i = length - length % 2 - 2; i >= 0; i -= 2)
        if (strEQ(SvPV_nolen(list[i]), key))
            return list[i + 1];
    return &PL_sv_undef;
}

MODULE = Parallel::Prefork    PACKAGE = Parallel::Prefork::Core

PROTOTYPES: DISABLE

# Whether this build has a trick of internals/: exit, contents or fast_exit.
bool
has_trick(const char *name)
    CODE:
        RETVAL = (TRICK_EXIT && strEQ(name, "exit")) || (TRICK_CONTENTS && strEQ(name, "contents"))
            || (TRICK_FAST_EXIT && strEQ(name, "fast_exit"));
    OUTPUT: RETVAL

const char *
library_version()
    CODE:
        RETVAL = pf_version();
    OUTPUT: RETVAL

double
now()
    CODE:
        RETVAL = monotonic();
    OUTPUT: RETVAL

UV
process_number()
    CODE:
        RETVAL = (UV)pf_process_number();
    OUTPUT: RETVAL

# On the clock of now. No time-out, or one of 0, is for ever; to have perl work that out would map pages of libm.
double
deadline(SV *timeout)
    CODE:
        RETVAL = SvTRUE(timeout) ? monotonic() + SvNV(timeout) : NV_INF;
    OUTPUT: RETVAL

SV *
signal_number(SV *signal)
    INIT:
        int number;
    CODE:
        RETVAL = signal_number(aTHX_ signal, &number) ? newSViv(number) : &PL_sv_undef;
    OUTPUT: RETVAL

# The names of one signal (IO and POLL) are one: the first by the alphabet that is among the names that follow, or ''.
SV *
alias(SV *signal, ...)
    INIT:
        SV *first = NULL;
        int number, other;
        I32 i;
    CODE:
        if (signal_number(aTHX_ signal, &number))
            for (i = 1; i < items; i++)
                if (signal_number(aTHX_ ST(i), &other) && other == number
                        && (!first || sv_cmp(ST(i), first) < 0))
                    first = ST(i);
        RETVAL = first ? newSVsv(first) : newSVpvs("");
    OUTPUT: RETVAL

bool
is_finite_number(SV *value)
    CODE:
        SvGETMAGIC(value);
        RETVAL = (SvNIOK(value) || (SvROK(value) ? SvAMAGIC(value) : looks_like_number(value)))
            && Perl_isfinite(SvNV_nomg(value));
    OUTPUT: RETVAL

bool
is_same(SV *reference, SV *other)
    CODE:
        RETVAL = SvROK(reference) && SvROK(other) && SvRV(reference) == SvRV(other);
    OUTPUT: RETVAL

void
weaken(SV *reference)
    CODE:
        sv_rvweaken(reference);

SV *
source_of_part(const char *part)
    CODE:
        RETVAL = source_of_part(aTHX_ part);
    OUTPUT: RETVAL

# Perl runs no handler until what this returns is given to release_signals.
SV *
hold_signals()
    INIT:
        held_signals_t held;
    CODE:
        hold_signals(aTHX_ &held);
        RETVAL = newSVpvn((const char *)&held, sizeof held);
    OUTPUT: RETVAL

void
release_signals(SV *held)
    INIT:
        held_signals_t copy;
        STRLEN length;
        const char *bytes = SvPV(held, length);
    CODE:
        if (length == sizeof copy) {
            Copy(bytes, &copy, 1, held_signals_t);
            release_signals(aTHX_ &copy);
        }

void
leave_evals()
    CODE:
        leave_evals(aTHX);

void
run_worker(SV *code)
    CODE:
        run_worker(aTHX_ code);

void
begin(host_t *host)
    INIT:
        SV *object = ST(0);
        const bool huge_pages = member_is_true(aTHX_ object, "huge_pages");
        const bool logs_exits = member_is_true(aTHX_ object, "log_exits");
        names_t names;
        pf_result result;
    CODE:
        become_manager(aTHX_ host);
        check_result(aTHX_ host, pass_death_signal(aTHX_ host, object));
        pass_worker_timeout(aTHX_ host, object);
        pass_ready_timeout(aTHX_ host, object);
        CALL(
            result = pf_begin(host->pf);
            if (result == PF_OK)
                result = pf_set_huge_pages(host->pf, huge_pages);
            if (result == PF_OK)
                result = pf_set_generation(host->pf, generation_of(aTHX_ object));
            /* Where the system does not tell, the line says nothing of it. */
            if (result == PF_OK && logs_exits)
                (void)pf_watch_oom(host->pf);
        );
        check_result(aTHX_ host, result);
        names = trapped_signals(aTHX_ object);
        make_defaults(aTHX_ host, &names);
        prepare_to_leave(aTHX_ host, object);

void
become_manager(host_t *host)
    CODE:
        become_manager(aTHX_ host);
        end_timeouts(aTHX_ host, ST(0));

# start looks at signal_received now: what comes after this ends the next wait.
void
look(host_t *host)
    CODE:
        host->signal_was_set = signal_is_set(aTHX_ ST(0));

# Whether the loop of start has no Perl code to call, as far as can be seen.
bool
runs_alone(host_t *host)
    CODE:
        RETVAL = runs_alone(aTHX_ host, ST(0));
    OUTPUT: RETVAL

# The loop of start, in its place.
void
run_alone(host_t *host, ...)
    ALIAS:
        run_alone_for_list = 1
    INIT:
        SV *object = ST(0);
        pf_event event;
        const run_t what = run(aTHX_ host, object, FALSE, &event);
    PPCODE:
        /* Handlers may have moved the stack. */
        SP = PL_stack_base + ax - 1;
        if (what == RUN_IN_WORKER && ix)
            XSRETURN_EMPTY;
        if (what == RUN_IN_WORKER)
            XSRETURN_UNDEF;
        PUSHMARK(SP);
        XPUSHs(object);
        XPUSHs(&PL_sv_undef);
        PUTBACK;
        push_told(aTHX_ what, &event);
        XSRETURN(call_pv("Parallel::Prefork::_go_on", ix ? G_ARRAY : G_SCALAR));

# Goes on with the loop of start, until there is something to tell; nothing in a worker.
void
run(host_t *host, SV *code)
    INIT:
        pf_event event;
        const run_t what = run(aTHX_ host, ST(0), SvTRUE(code), &event);
    PPCODE:
        SP = PL_stack_base + ax - 1;
        PUTBACK;
        if (what != RUN_IN_WORKER)
            push_told(aTHX_ what, &event);
        SPAGAIN;

void
note_methods()
    CODE:
        note_methods(aTHX);

bool
drain(host_t *host, double until)
    CODE:
        RETVAL = drain(aTHX_ host, ST(0), until);
    OUTPUT: RETVAL

bool
tie_worker_pids(host_t *host)
    CODE:
        RETVAL = tie_worker_pids(aTHX_ host, ST(0));
    OUTPUT: RETVAL

# Also for what 0.18 loads when it makes a scoreboard.
void
load_what_is_called(bool spare_workers = FALSE)
    CODE:
        load_what_is_called(aTHX_ spare_workers);

# As soon as all of the program has been compiled.
void
load_when_compiled()
    CODE:
        load_when_compiled(aTHX);

# The hash that shows the workers from now on, and what ties it.
void
set_table(host_t *host, SV *table, SV *tie)
    CODE:
        set_table(aTHX_ host, SvRV(table), SvRV(tie));

# No hash does, and what tied the one before is remembered as long as it is there.
void
unset_table(host_t *host)
    CODE:
        host->table = NULL;

SV *
tie_of_table(host_t *host)
    CODE:
        RETVAL = host->tie && SvROK(host->tie) ? newRV_inc(SvRV(host->tie)) : &PL_sv_undef;
    OUTPUT: RETVAL

bool
has_array(SV *package, SV *name)
    CODE:
        RETVAL = get_av(form("%" SVf "::%" SVf, SVfARG(package), SVfARG(name)), 0) != NULL;
    OUTPUT: RETVAL

# Gives a sub one name more, in the package of a program, say.
void
export(SV *full_name, SV *code)
    CODE:
        sv_setsv_mg((SV *)gv_fetchsv(full_name, GV_ADD, SVt_PVCV), code);

# The names of members follow.
void
make_accessors(SV *package, SV *kind, ...)
    INIT:
        I32 i;
    CODE:
        for (i = 2; i < items; i++)
            make_accessor(aTHX_ package, kind, ST(i));

# Dies if one of those members that are there is wrong; their names follow.
void
check_options(SV *object, const char *kind, ...)
    INIT:
        const kind_t which = kind_of(aTHX_ kind);
        I32 i;
    CODE:
        for (i = 2; i < items; i++) {
            HE *member = hv_fetch_ent((HV *)SvRV(object), ST(i), 0, 0);
            if (member && !is_plain_value(aTHX_ which, HeVAL(member)))
                check_option(aTHX_ kind, SvPV_nolen(ST(i)), HeVAL(member));
        }

# Handlers in %SIG for the signals whose names follow, and for SIGCHLD.
void
trap(SV *object, ...)
    INIT:
        I32 i;
    CODE:
        for (i = 1; i < items; i++)
            trap(aTHX_ object, ST(i));
        trap_sigchld(aTHX);

int
fork_worker(host_t *host)
    CODE:
        RETVAL = fork_worker(aTHX_ host, ST(0));
    OUTPUT: RETVAL

# The rest of the arguments are the names of trapped signals.
void
enter_worker(host_t *host, ...)
    INIT:
        /* A handler of the program may have the stack moved before the names are needed again. */
        AV *copies = (AV *)sv_2mortal((SV *)av_make(items - 1, &ST(1)));
        const names_t names = { AvARRAY(copies), items - 1, NULL };
    CODE:
        enter_worker(aTHX_ host, ST(0), &names);

bool
fork_begin(host_t *host)
    CODE:
        if (signal_is_noted(aTHX))
            PERL_ASYNC_CHECK();
        RETVAL = fork_begin(aTHX_ host, ST(0));
    OUTPUT: RETVAL

void
forked(host_t *host, int pid)
    CODE:
        forked(aTHX_ host, pid);

# Returns how many failures to report now.
unsigned
fork_failed(host_t *host)
    CODE:
        RETVAL = fork_failed(aTHX_ host);
    OUTPUT: RETVAL

# (pid, status, and what getrusage(2) counts) of a child that was reaped, or nothing. A worker stays in the table until it is
# taken out; one that a loop of ours was told of before, until the loop asks for the next.
void
next_exit(host_t *host, bool keep, bool blocking = FALSE, bool adjust = FALSE, SV *max_wait = NULL)
    INIT:
        pf_event event;
        SV *object = ST(0);
        how_t how = { FALSE, FALSE, -1, 0 };
    PPCODE:
        if (max_wait)
            SvGETMAGIC(max_wait);
        if (max_wait && SvOK(max_wait)) {
            how.max_wait = SvNV_nomg(max_wait);
            if (!(how.max_wait > 0))
                how.max_wait = 0;
        }
        how.blocking = blocking;
        how.adjust = adjust;
        keep_reaped(aTHX_ host, keep);
        /* Immediate handlers may use the stack while we wait. */
        PUTBACK;
        if (next_exit(aTHX_ object, host, &event, how)) {
            const struct rusage *used = &event.rusage;
            const long counts[] = {
                used->ru_maxrss, used->ru_ixrss, used->ru_idrss, used->ru_isrss,
                used->ru_minflt, used->ru_majflt, used->ru_nswap, used->ru_inblock,
                used->ru_oublock, used->ru_msgsnd, used->ru_msgrcv, used->ru_nsignals,
                used->ru_nvcsw, used->ru_nivcsw,
            };
            size_t i;
            SPAGAIN;
            EXTEND(SP, 4 + (SSize_t)C_ARRAY_LENGTH(counts));
            mPUSHi(event.pid);
            mPUSHi(event.status);
            mPUSHn((NV)used->ru_utime.tv_sec + (NV)used->ru_utime.tv_usec / 1e6);
            mPUSHn((NV)used->ru_stime.tv_sec + (NV)used->ru_stime.tv_usec / 1e6);
            for (i = 0; i < C_ARRAY_LENGTH(counts); i++)
                mPUSHi(counts[i]);
        } else {
            SPAGAIN;
        }

# From now on the program decides, by methods that it has overridden.
void
take_lead(host_t *host)
    CODE:
        take_lead(aTHX_ host, PF_LEAD_HOST);

IV
decide(double workers, double max_workers, double idle = 0, double stopping = 0, double min_spare = 0, double max_spare = 0)
    INIT:
        const pool_t pool = { workers, max_workers, idle, stopping, min_spare, max_spare };
    CODE:
        RETVAL = decide(&pool, NULL, NULL);
    OUTPUT: RETVAL

# With fewer busy workers than the first, or more than the second, `decide` says something else.
void
busy_bounds(double workers, double max_workers, double stopping, double min_spare, double max_spare)
    INIT:
        const pool_t pool = { workers, max_workers, 0, stopping, min_spare, max_spare };
        int32_t low, high;
    PPCODE:
        decide(&pool, &low, &high);
        EXTEND(SP, 2);
        mPUSHi(low);
        mPUSHi(high);

double
spawn_delay(host_t *host)
    CODE:
        follow_pause(aTHX_ host, ST(0));
        CALL(RETVAL = pf_spawn_delay(host->pf));
    OUTPUT: RETVAL

UV
num_workers(host_t *host)
    CODE:
        CALL(RETVAL = pf_num_workers(host->pf));
    OUTPUT: RETVAL

# The generation of a worker; undef if the pid is none's.
SV *
worker_generation(host_t *host, SV *pid)
    INIT:
        uint64_t generation;
        bool is_worker;
    CODE:
        CALL(is_worker = pf_worker_generation(host->pf, to_pid(aTHX_ pid), &generation));
        RETVAL = is_worker ? newSVuv(generation) : &PL_sv_undef;
    OUTPUT: RETVAL

int
next_worker(host_t *host, int pid)
    CODE:
        CALL(RETVAL = pf_next_worker(host->pf, pid));
    OUTPUT: RETVAL

void
adopt_worker(host_t *host, SV *pid, UV generation)
    INIT:
        pf_result result;
    CODE:
        if (!to_pid(aTHX_ pid))
            croak_for_caller(aTHX_ newSVpvf("worker_pids: '%" SVf "' is no process id", SVfARG(pid)));
        become_manager(aTHX_ host);
        CALL(result = pf_adopt_worker(host->pf, to_pid(aTHX_ pid), generation));
        check_result(aTHX_ host, result);

# A subclass may reap by itself: then the core is told here.
void
worker_reaped(host_t *host, SV *pid, int status)
    CODE:
        CALL(pf_worker_reaped(host->pf, to_pid(aTHX_ pid), status));

# What there is to say of this child's end, if it was told last; undef if that is nothing.
SV *
exit_line(host_t *host, SV *pid)
    INIT:
        char line[512];
        size_t length = 0;
        const pid_t number = to_pid(aTHX_ pid);
        pf_event exit;
    CODE:
        CALL(
            if (pf_last_exit(host->pf, &exit) && exit.pid == number)
                length = pf_exit_line(host->pf, line, sizeof line);
        );
        RETVAL = length ? newSVpv(line, 0) : &PL_sv_undef;
    OUTPUT: RETVAL

bool
disown_worker(host_t *host, SV *pid)
    CODE:
        CALL(RETVAL = pf_disown_worker(host->pf, to_pid(aTHX_ pid)));
        if (RETVAL)
            drop_stored(aTHX_ ST(0), to_pid(aTHX_ pid));
    OUTPUT: RETVAL

# The generation of a worker whose exit has been reported, which leaves the table with that.
SV *
remove_reaped(host_t *host, SV *pid)
    INIT:
        IV generation = remove_reaped(aTHX_ host, ST(0), to_pid(aTHX_ pid));
    CODE:
        RETVAL = generation < 0 ? &PL_sv_undef : newSViv(generation);
    OUTPUT: RETVAL

void
signal_all_children(host_t *host, SV *signal)
    INIT:
        const int number = signal_to_send(aTHX_ signal);
    CODE:
        pass_graceful_timeout(aTHX_ host, ST(0));
        CALL(pf_signal_all_children(host->pf, number));

void
signal_staggered(host_t *host, SV *signal, double interval)
    INIT:
        const int number = signal_to_send(aTHX_ signal);
        pf_result result;
    CODE:
        pass_graceful_timeout(aTHX_ host, ST(0));
        CALL(result = pf_signal_staggered(host->pf, number, interval));
        if (result != PF_ERR_WRONG_PROCESS)
            check_result(aTHX_ host, result);

UV
stop_workers(host_t *host, UV surplus, SV *signal)
    INIT:
        const int number = signal_to_send(aTHX_ signal);
        size_t told = 0;
        pf_result result;
    CODE:
        pass_graceful_timeout(aTHX_ host, ST(0));
        CALL(result = pf_stop_workers(host->pf, surplus, number, &told));
        check_result(aTHX_ host, result);
        RETVAL = told;
    OUTPUT: RETVAL

UV
num_stopping(host_t *host)
    CODE:
        CALL(RETVAL = pf_num_stopping(host->pf));
    OUTPUT: RETVAL

# A trapped signal has arrived.
void
signal_trapped(host_t *host, SV *name)
    INIT:
        int number;
    CODE:
        if (signal_number(aTHX_ name, &number))
            CALL(
                set_goal(aTHX_ host, ST(0));
                pf_signal(host->pf, number);
                /* Whether it arrived while start ran is known now, and may be no more when it is taken in later. */
                pf_peek_signal(host->pf);
                pf_wake(host->pf);
            );

# The program sees a signal that has arrived, unless it is to see another one before. A program may call the handler in %SIG
# with anything; what is no signal it just sees, and a worker, which has no queue, all.
void
show_signal(host_t *host, SV *value)
    INIT:
        SV *object = ST(0);
        int number;
        const bool is_signal = signal_number(aTHX_ value, &number) && pf_worker_index(host->pf) < 0;
        bool is_shown;
    CODE:
        CALL(
            is_shown = !is_signal || pf_peek_signal(host->pf) == number;
            if (is_shown)
                show(aTHX_ object, value);
        );
        if (is_shown)
            tell(aTHX_ object);

# A subclass does not let this signal through.
void
signal_dropped(host_t *host, SV *value)
    INIT:
        int number;
    CODE:
        if (signal_number(aTHX_ value, &number) && number > 0)
            CALL(pf_take_signal(host->pf, number, FALSE));

# What the program reads: no other signal can come between that and its being read.
SV *
signal_read(host_t *host)
    INIT:
        SV *object = ST(0);
        SV *shown = member(aTHX_ object, "signal_received");
    CODE:
        SvGETMAGIC(shown);
        RETVAL = newSV(0);
        CALL(
            pf_signal_received(host->pf);
            sv_setsv_nomg(RETVAL, member(aTHX_ object, "signal_received"));
        );
    OUTPUT: RETVAL

# The program stores a value in signal_received; what is no signal is -1 to the core.
void
signal_stored(host_t *host, SV *value)
    INIT:
        SV *object = ST(0);
        int number = 0;
    CODE:
        if (SvTRUE(value) && !(signal_number(aTHX_ value, &number) && number > 0))
            number = -1;
        CALL(
            pf_set_signal_received(host->pf, number);
            show(aTHX_ object, value);
        );
        tell(aTHX_ object);

# The host acts on what signal_received holds.
void
signal_taken(host_t *host, SV *value)
    INIT:
        int number;
    CODE:
        if (!signal_number(aTHX_ value, &number) || number <= 0)
            number = -1;
        CALL(
            pf_take_signal(host->pf, number, TRUE);
            pf_suspend(host->pf);
        );

# A signal that has waited behind another becomes visible, when that was read or cleared.
void
show_next_signal(host_t *host)
    INIT:
        SV *object = ST(0);
    CODE:
        CALL(
            const int before = pf_peek_signal(host->pf);
            const int shown = pf_show_next_signal(host->pf);
            if (shown > 0 && shown != before)
                show(aTHX_ object, sv_2mortal(newSVpv(PL_sig_name[shown], 0)));
        );
        tell(aTHX_ object);

void
set_scoreboard(host_t *host, SV *scoreboard)
    INIT:
        pf_scoreboard_t *board = SvOK(scoreboard) ? scoreboard_of(aTHX_ scoreboard) : NULL;
        SV *old = host->scoreboard;
        pf_result result;
    CODE:
        become_manager(aTHX_ host);
        CALL(result = pf_set_scoreboard(host->pf, board));
        check_result(aTHX_ host, result);
        host->scoreboard = board ? SvREFCNT_inc(SvRV(scoreboard)) : NULL;
        SvREFCNT_dec(old);

# Makes the scoreboard of an object; false with $! set if it cannot.
bool
scoreboard_make(SV *object, SV *filename, unsigned slots)
    CODE:
        RETVAL = make_scoreboard(aTHX_ object, filename, slots);
    OUTPUT: RETVAL

bool
scoreboard_grow(pf_scoreboard_t *board, unsigned slots)
    CODE:
        int error;
        CALL(RETVAL = pf_scoreboard_grow(board, slots) == PF_OK; error = errno);
        errno = error;
    OUTPUT: RETVAL

int
scoreboard_claim(pf_scoreboard_t *board, unsigned hint)
    CODE:
        CALL(RETVAL = pf_scoreboard_claim(board, hint));
    OUTPUT: RETVAL

void
scoreboard_clear(pf_scoreboard_t *board, SV *pid)
    CODE:
        CALL(pf_scoreboard_clear(board, to_pid(aTHX_ pid)));

bool
scoreboard_watch(pf_scoreboard_t *board, int low, int high)
    CODE:
        CALL(RETVAL = pf_scoreboard_watch(board, low, high));
    OUTPUT: RETVAL

# Methods, which a class may override.

MODULE = Parallel::Prefork    PACKAGE = Parallel::Prefork

SV *
worker_index(host_t *host)
    INIT:
        int index;
    CODE:
        CALL(index = pf_worker_index(host->pf));
        RETVAL = index < 0 ? &PL_sv_undef : newSViv(index);
    OUTPUT: RETVAL

# Waits until a handle is readable, and returns that; nothing if the worker is to stop, or the time is over.
void
wait_readable(host_t *host, ...)
    INIT:
        SV *object = ST(0);
        const awaited_t what = awaited(aTHX_ &ST(1), items - 1);
        SSize_t found;
    PPCODE:
        /* Handlers may use the stack while we wait. */
        PUTBACK;
        found = wait_readable(aTHX_ object, host, &what);
        SPAGAIN;
        if (found >= 0) {
            SV *handle = sv_mortalcopy(*av_fetch(what.handles, found, 0));
            XPUSHs(handle);
        } else if (GIMME_V == G_SCALAR)
            XPUSHs(&PL_sv_undef);

# '' as long as the worker is not to stop.
const char *
stopping(host_t *host)
    INIT:
        static const char *const words[] = {
            [PF_STOP_NONE] = "", [PF_STOP_SIGNAL] = "signal", [PF_STOP_MANAGER_GONE] = "manager gone",
        };
    CODE:
        RETVAL = words[stopping(aTHX_ ST(0), host)];
    OUTPUT: RETVAL

int
stop_fd(host_t *host)
    CODE:
        RETVAL = stop_fd(aTHX_ ST(0), host);
    OUTPUT: RETVAL

SV *
current(...)
    INIT:
        SV *object = object_of_worker(aTHX);
    CODE:
        PERL_UNUSED_VAR(items);
        RETVAL = object ? newRV_inc(object) : &PL_sv_undef;
    OUTPUT: RETVAL

void
ready(host_t *host)
    CODE:
        is_ready_for_work(aTHX_ host);

void
busy(host_t *host, SV *seconds = NULL)
    CODE:
        begin_work(aTHX_ host, seconds_of_work(aTHX_ "busy", seconds));

void
tick(host_t *host, SV *seconds = NULL)
    CODE:
        go_on_with_work(aTHX_ host, seconds_of_work(aTHX_ "tick", seconds));

void
idle(host_t *host)
    CODE:
        end_work(aTHX_ host);

void
_update_spawn_delay(host_t *host, SV *seconds)
    INIT:
        double pause = 0;
    CODE:
        SvGETMAGIC(seconds);
        /* Several values were stored as an array, whose address is no number of seconds. */
        if (SvOK(seconds) && (!SvROK(seconds) || SvAMAGIC(seconds)))
            pause = SvNV_nomg(seconds);
        update_spawn_delay(aTHX_ host, ST(0), pause > 0 ? pause : 0);

MODULE = Parallel::Prefork    PACKAGE = Parallel::Prefork::Accessors

# What Class::Accessor::Lite offers: methods in the package that calls.
void
mk_accessors(...)
    ALIAS:
        mk_ro_accessors = 1
        mk_wo_accessors = 2
        mk_new_and_accessors = 3
        mk_new = 4
    INIT:
        static const char *const kinds[] = { "any", "ro", "wo", "any" };
        SV *package = calling_package(aTHX);
        I32 i;
    CODE:
        if (ix >= 3)
            make_constructor(aTHX_ package);
        for (i = 1; ix < 4 && i < items; i++)
            make_accessor(aTHX_ package, sv_2mortal(newSVpv(kinds[ix], 0)), ST(i));

# As in use Class::Accessor::Lite (rw => [...], ro => [...], wo => [...], new => 1).
void
import(...)
    INIT:
        static const char *const kinds[][2] = { { "ro", "ro" }, { "rw", "any" }, { "wo", "wo" } };
        SV *package = calling_package(aTHX);
        SV *wants_new;
        I32 i;
        size_t k;
    CODE:
        for (k = 0; k < C_ARRAY_LENGTH(kinds); k++) {
            SV *names = value_in_list(aTHX_ kinds[k][0], &ST(0) + 1, items - 1);
            if (!SvOK(names))
                continue;
            if (!SvROK(names) || SvTYPE(SvRV(names)) != SVt_PVAV || SvOBJECT(SvRV(names)))
                croak("value of the '%s' parameter should be an arrayref", kinds[k][0]);
            for (i = 0; i <= av_len((AV *)SvRV(names)); i++)
                make_accessor(aTHX_ package, sv_2mortal(newSVpv(kinds[k][1], 0)), *av_fetch((AV *)SvRV(names), i, 1));
        }
        wants_new = value_in_list(aTHX_ "new", &ST(0) + 1, items - 1);
        if (SvTRUE(wants_new))
            make_constructor(aTHX_ package);

MODULE = Parallel::Prefork    PACKAGE = Parallel::Prefork::SpareWorkers::Scoreboard

bool
set_status(board_t *board, SV *status)
    CODE:
        if (!set_status(aTHX_ board, status_character(aTHX_ status)))
            croak("child_start not called?");
        RETVAL = TRUE;
    OUTPUT: RETVAL

void
get_statuses(pf_scoreboard_t *board)
    INIT:
        const size_t slots = pf_scoreboard_statuses(board, NULL, 0);
        SV *buffer = sv_2mortal(newSV(slots + 1));
        const char *statuses = SvPVX(buffer);
        size_t i;
    PPCODE:
        pf_scoreboard_statuses(board, (uint8_t *)statuses, slots);
        if (GIMME_V != G_ARRAY) {
            mXPUSHu(slots);
        } else {
            EXTEND(SP, (SSize_t)slots);
            for (i = 0; i < slots; i++)
                mPUSHp(statuses + i, 1);
        }

MODULE = Parallel::Prefork    PACKAGE = Parallel::Prefork::SpareWorkers

void
_methods_are(SV *scoreboard, SV *set_status)
    CODE:
        know_methods(aTHX_ scoreboard, set_status);

void
set_status(SV *self, SV *status)
    INIT:
        board_t *board;
        bool is_known;
        uint8_t character;
    PPCODE:
        board = plain_board(aTHX_ self);
        if (board) {
            if (!set_status(aTHX_ board, status_character(aTHX_ status)))
                croak("child_start not called?");
            XSRETURN_YES;
        }
        /* A scoreboard of the program's own; what it makes of another value is its affair. */
        is_known = SvPOK(status) && SvCUR(status) > 0 && SvROK(self) && SvRV(self) == object_of_worker(aTHX);
        character = is_known ? (uint8_t)SvPVX(status)[0] : 0;
        PUSHMARK(SP);
        EXTEND(SP, 2);
        PUSHs(self);
        PUSHs(status);
        PUTBACK;
        call_pv("Parallel::Prefork::SpareWorkers::_set_status", GIMME_V);
        if (is_known)
            status_is_set(aTHX_ character);
        SPAGAIN;

MODULE = Parallel::Prefork    PACKAGE = Parallel::Prefork

# What is known of the end that was told last; undef if none was.
SV *
last_exit(host_t *host)
    INIT:
        static const char *const reasons[] = { "ended", "failed", "stopped", "stolen", "foreign" };
        static const char *const causes[] = { "", "asked", "surplus", "external", "timeout", "not_ready" };
        pf_event exit;
        bool is_there;
        HV *record;
    CODE:
        CALL(is_there = pf_last_exit(host->pf, &exit));
        if (!is_there)
            XSRETURN_UNDEF;
        record = newHV();
        (void)hv_stores(record, "pid", newSViv(exit.pid));
        (void)hv_stores(record, "status", newSViv(exit.status));
        (void)hv_stores(record, "generation", newSVuv(exit.generation));
        (void)hv_stores(record, "index", newSVuv(exit.index));
        (void)hv_stores(record, "reason", newSVpv(reasons[exit.reason], 0));
        (void)hv_stores(record, "cause", newSVpv(causes[exit.cause], 0));
        (void)hv_stores(record, "sent_signal",
            newSVpv(exit.sent_signal > 0 && exit.sent_signal < SIG_SIZE ? PL_sig_name[exit.sent_signal] : "", 0));
        (void)hv_stores(record, "grace_over", newSViv(!!(exit.flags & PF_EXIT_GRACE_OVER)));
        (void)hv_stores(record, "out_of_memory", newSViv(!!(exit.flags & PF_EXIT_OUT_OF_MEMORY)));
        (void)hv_stores(record, "requests", newSVuv((UV)exit.requests));
        (void)hv_stores(record, "busy_for", newSVnv(exit.busy_for));
        (void)hv_stores(record, "age", newSVnv(exit.age));
        RETVAL = newRV_noinc((SV *)record);
    OUTPUT: RETVAL
