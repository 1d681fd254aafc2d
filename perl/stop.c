/* The wait of a worker, and how it learns that it is to stop.
 *
 * The core has the descriptor that is readable when the worker is to stop (src/os/stop.rs). The sleep is here: a handler of
 * the program's may leave it by longjmp, and no Rust frame may be on the stack then.
 *
 * All signals are blocked from the look at what perl has noted to ppoll(2), which lets them in. So a handler that the
 * program has for USR1, say, does not wait for the next connection. The signals that stop the worker need no such
 * care, as they leave the descriptor readable. Where there are other threads they are not blocked: the core's handler may
 * call perl's, and in a thread that is none of perl's that crashes (signals.c). */

#include "stop.h"

#include "work.h"

#include <poll.h>
#include <pthread.h>

/* What the core has said when it was asked last. A process is a worker of one manager. */
static struct {
    const host_t *host;      /* whose worker that was */
    uint64_t process;        /* in which that was; 0 if there was none, or another call is due */
    int fd;                  /* what is readable when the worker is to stop */
    int signal;              /* what stops it beside TERM, INT and QUIT; 0 for none */
    void (*handler)(int);    /* the core's, for all of these, as the system shows it */
    int last;                /* the descriptor that the wait gave last, and 1 more, so that 0 is none */
} stop;

/* The signal by which the manager stops workers that are too many; 0 if that is none, or TERM. SpareWorkers sends what
 * trap_signals has for TERM. */
static int
surplus_signal(pTHX_ SV *object)
{
    HV *actions = plain_hash(aTHX_ member(aTHX_ object, "trap_signals"));
    SV **action = actions ? hv_fetchs(actions, "TERM", 0) : NULL;
    SV *signal = action ? *action : NULL;
    int number;
    if (signal && SvROK(signal) && SvTYPE(SvRV(signal)) == SVt_PVAV && !SvMAGICAL(SvRV(signal))) {
        SV **first = av_fetch((AV *)SvRV(signal), 0, 0);
        signal = first ? *first : NULL;
    }
    if (!signal || !SvOK(signal) || SvROK(signal) || !signal_number(aTHX_ signal, &number) || abs(number) == SIGTERM)
        return 0;
    return abs(number);
}

/* Around a call of the core that looks at handlers. Not CALL: where there are other threads that puts another handler over
 * perl's for a moment, which the core would take for the program's. */
static void
block_all(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
}

static void
let_in(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* The signals that stop a worker. */
static void
stop_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGQUIT);
    if (stop.signal)
        sigaddset(signals, stop.signal);
}

/* Whether the core's handler is where it was. What is ignored is left alone; KILL and STOP have their default action. */
static bool
has_handler(int signal)
{
    struct sigaction now;
    if (signal == 0 || signal == SIGKILL || signal == SIGSTOP)
        return TRUE;
    return sigaction(signal, NULL, &now) == 0 && (now.sa_handler == stop.handler || now.sa_handler == SIG_IGN);
}

/* Whether the core need not be asked: it has nothing to do but to look at these handlers. Each call of the core is a
 * moment in which signals are blocked, and other threads get them. */
static bool
is_known(const host_t *host)
{
    return stop.host == host && stop.process && stop.process == pf_process_number() && has_handler(SIGTERM)
        && has_handler(SIGINT) && has_handler(SIGQUIT) && has_handler(stop.signal);
}

/* Which function the core has put in force, if it has; where all of them are ignored, none. */
static void
learn_handler(void)
{
    const int signals[] = { SIGTERM, SIGINT, SIGQUIT, stop.signal };
    size_t i;
    stop.handler = SIG_IGN;
    for (i = 0; i < C_ARRAY_LENGTH(signals); i++) {
        struct sigaction now;
        if (signals[i] && signals[i] != SIGKILL && signals[i] != SIGSTOP && sigaction(signals[i], NULL, &now) == 0
                && now.sa_handler != SIG_IGN)
            stop.handler = now.sa_handler;
    }
}

void
forget_stop(void)
{
    /* What is not set is not written to: a page that is has to be copied. */
    if (stop.host)
        stop.host = NULL;
}

static int
stop_fd_for(pTHX_ SV *object, host_t *host, const char *method)
{
    sigset_t before;
    if (is_known(host))
        return stop.fd;
    if (stop.host != host) {
        memset(&stop, 0, sizeof stop);
        stop.host = host;
        if (host->worker.is_one)
            stop.signal = surplus_signal(aTHX_ object);
    }
    block_all(&before);
    if (!stop.process && stop.signal)
        pf_set_stop_signal(host->pf, stop.signal);
    stop.fd = pf_stop_fd(host->pf);
    stop.process = pf_process_number();
    learn_handler();
    let_in(&before);
    if (stop.fd < 0) {
        stop.host = NULL;
        croak_for_caller(aTHX_ newSVpvf("%s: %s", method, pf_error_message(host->pf)));
    }
    return stop.fd;
}

int
stop_fd(pTHX_ SV *object, host_t *host)
{
    return stop_fd_for(aTHX_ object, host, "stop_fd");
}

/* If it is none, the descriptor may be another one from now on: the program had closed it. */
static pf_stop_reason
reason_of(host_t *host)
{
    pf_stop_reason reason;
    sigset_t before;
    block_all(&before);
    reason = pf_stopping(host->pf);
    if (reason == PF_STOP_NONE)
        stop.process = 0;
    let_in(&before);
    return reason;
}

/* Where the descriptor tells of all reasons, a sleep has no limit of its own. */
#ifdef __linux__
#define LOOK_EACH (-1.0)
#else
#define LOOK_EACH 1.0
#endif

pf_stop_reason
stopping(pTHX_ SV *object, host_t *host)
{
    struct pollfd polled;
    polled.fd = stop_fd_for(aTHX_ object, host, "stopping");
    polled.events = POLLIN;
    return LOOK_EACH < 0 && poll(&polled, 1, 0) == 0 ? PF_STOP_NONE : reason_of(host);
}

/* Handles */

static SV *
said(pTHX_ SV *handle)
{
    return SvOK(handle) ? sv_2mortal(newSVpvf("'%" SVf "'", SVfARG(handle))) : newSVpvs_flags("undef", SVs_TEMP);
}

static void
refuse(pTHX_ SV *handle, const char *why)
{
    croak_for_caller(aTHX_ newSVpvf("wait_readable: %" SVf " %s", SVfARG(said(aTHX_ handle)), why));
}

/* What of perl's is behind a handle, or a glob; NULL if it is neither. */
static IO *
io_of(SV *handle)
{
    if (SvROK(handle))
        handle = SvRV(handle);
    if (SvTYPE(handle) == SVt_PVIO)
        return (IO *)handle;
    return isGV_with_GP(handle) ? GvIO((GV *)handle) : NULL;
}

static bool
is_glob(SV *handle)
{
    return isGV_with_GP(SvROK(handle) ? SvRV(handle) : handle);
}

/* The number of a file, if that is what was given: -1 if not. */
static int
file_number(pTHX_ SV *value)
{
    NV number;
    if (SvROK(value) || isGV_with_GP(value) || !SvOK(value) || !looks_like_number(value))
        return -1;
    number = SvNV_nomg(value);
    return number >= 0 && number <= (NV)I32_MAX && number == (NV)(int)number ? (int)number : -1;
}

/* The descriptor of a handle, and whether perl has read from it what the program has not. */
static int
descriptor_of(pTHX_ SV *handle, bool *is_buffered)
{
    int fd = file_number(aTHX_ handle);
    IO *io;
    PerlIO *file;
    *is_buffered = FALSE;
    if (fd >= 0)
        return fd;
    io = io_of(handle);
    if (!io && !is_glob(handle))
        refuse(aTHX_ handle, "is no file handle, nor the number of an open file");
    file = io ? IoIFP(io) : NULL;
    if (!file)
        refuse(aTHX_ handle, io && SvRMAGICAL(io) && mg_find((SV *)io, PERL_MAGIC_tiedscalar)
            ? "is tied, and has no file of its own" : "is closed");
    fd = PerlIO_fileno(file);
    if (fd < 0)
        refuse(aTHX_ handle, "has no file descriptor");
    *is_buffered = PerlIO_has_cntptr(file) && PerlIO_get_cnt(file) > 0;
    return fd;
}

/* Arguments */

static double
seconds(pTHX_ SV *timeout)
{
    SvGETMAGIC(timeout);
    if (!SvOK(timeout))
        return -1;
    if (SvROK(timeout) ? !SvAMAGIC(timeout) : !looks_like_number(timeout))
        refuse(aTHX_ timeout, "is no number of seconds");
    if (!(SvNV_nomg(timeout) >= 0))
        refuse(aTHX_ timeout, "is no number of seconds, 0 or more");
    return SvNV_nomg(timeout);
}

/* A handler of the program's may free or move what it was given. */
static void
keep(pTHX_ AV *handles, SV *handle)
{
    av_push(handles, newSVsv(handle));
}

awaited_t
awaited(pTHX_ SV **arguments, SSize_t count)
{
    awaited_t what = { (AV *)sv_2mortal((SV *)newAV()), -1 };
    SV *first = count > 0 ? arguments[0] : NULL;
    SSize_t i;
    if (first)
        SvGETMAGIC(first);
    if (first && (!SvOK(first) || (SvROK(first) && SvTYPE(SvRV(first)) == SVt_PVAV && !SvOBJECT(SvRV(first))))) {
        AV *list = SvOK(first) ? (AV *)SvRV(first) : NULL;
        SV *timeout = count > 1 ? sv_mortalcopy(arguments[1]) : &PL_sv_undef;
        if (count > 2)
            refuse(aTHX_ arguments[2], "is one argument too many after an array of handles and a time-out");
        for (i = 0; list && i <= av_len(list); i++) {
            SV **element = av_fetch(list, i, 0);
            keep(aTHX_ what.handles, element ? *element : &PL_sv_undef);
        }
        what.timeout = seconds(aTHX_ timeout);
    } else {
        for (i = 0; i < count; i++)
            keep(aTHX_ what.handles, arguments[i]);
    }
    return what;
}

/* The wait */

/* The seconds that are left; -1 for no end. */
static double
left_until(double until)
{
    double left = until < 0 ? -1 : until - monotonic();
    if (until >= 0 && left < 0)
        left = 0;
    if (LOOK_EACH >= 0 && (left < 0 || left > LOOK_EACH))
        left = LOOK_EACH;
    return left;
}

/* poll(2) with this mask in force. An immediate handler of the program may longjmp out of here. */
static int
poll_with_mask(struct pollfd *polled, size_t count, double timeout, const sigset_t *mask)
{
    if (timeout > 1e9)
        timeout = 1e9;
#if defined(__APPLE__)
    {
        /* There is no ppoll. A signal that comes just before the sleep is acted on after it, within a second. */
        sigset_t blocked;
        int woken;
        pthread_sigmask(SIG_SETMASK, mask, &blocked);
        woken = poll(polled, (nfds_t)count, timeout < 0 ? -1 : (int)(timeout * 1000 + 0.999));
        pthread_sigmask(SIG_SETMASK, &blocked, NULL);
        return woken;
    }
#else
    {
        struct timespec span;
        span.tv_sec = (time_t)timeout;
        span.tv_nsec = (long)((timeout - (double)span.tv_sec) * 1e9);
        return ppoll(polled, (nfds_t)count, timeout < 0 ? NULL : &span, mask);
    }
#endif
}

/* Returns what poll(2) does; EINTR also if perl has noted a signal. The mask of the program is in force, but for the signals
 * that stop the worker: if the program blocks them, they are let in all the same. */
static int
sleep_until_woken(pTHX_ struct pollfd *polled, size_t count, double timeout)
{
    sigset_t stops, before, asleep;
    int signal, woken, error;
    bool blocks_some = FALSE;
    stop_signals(&stops);
    block_signals_but(&stops, &before);
    asleep = before;
    for (signal = 1; signal < SIG_SIZE; signal++)
        if (sigismember(&stops, signal) == 1 && sigismember(&before, signal) == 1) {
            sigdelset(&asleep, signal);
            blocks_some = TRUE;
        }
    /* ppoll lets none in if something is readable already. */
    if (blocks_some) {
        sigset_t all;
        pthread_sigmask(SIG_SETMASK, &asleep, &all);
        let_in(&all);
    }
    if (signal_is_noted(aTHX)) {
        woken = -1;
        error = EINTR;
    } else {
        woken = poll_with_mask(polled, count, timeout, &asleep);
        error = errno;
    }
    unblock_signals(&before);
    errno = error;
    return woken;
}

/* Of those that are readable, the one behind that of the last time, so that none has to wait for ever; -1 if none is. */
static SSize_t
next_readable(const struct pollfd *polled, SSize_t count)
{
    SSize_t from = 0, i;
    for (i = 0; i < count; i++)
        if (polled[i].fd == stop.last - 1)
            from = i + 1;
    for (i = 0; i < count; i++)
        if (polled[(from + i) % count].revents)
            return (from + i) % count;
    return -1;
}

SSize_t
wait_readable(pTHX_ SV *object, host_t *host, const awaited_t *what)
{
    const SSize_t count = av_len(what->handles) + 1;
    const double until = what->timeout < 0 ? -1 : monotonic() + what->timeout;
    /* It is freed however this is left. */
    SV *buffer = sv_2mortal(newSV(((size_t)count + 1) * sizeof(struct pollfd)));
    struct pollfd *polled = (struct pollfd *)SvPVX(buffer);
    bool is_first = TRUE;
    for (;;) {
        bool any_is_buffered = FALSE;
        double left;
        SSize_t i;
        int woken;
        if (signal_is_noted(aTHX))
            PERL_ASYNC_CHECK();
        /* A handler may have closed and opened what it likes. */
        for (i = 0; i < count; i++) {
            bool is_buffered;
            polled[i].fd = descriptor_of(aTHX_ *av_fetch(what->handles, i, 0), &is_buffered);
            polled[i].events = POLLIN;
            polled[i].revents = 0;
            any_is_buffered |= is_buffered;
        }
        polled[count].fd = stop_fd_for(aTHX_ object, host, "wait_readable");
        if (is_first)
            end_work(aTHX_ host);
        is_first = FALSE;
        polled[count].events = POLLIN;
        polled[count].revents = 0;
        left = any_is_buffered ? 0 : left_until(until);
        woken = sleep_until_woken(aTHX_ polled, (size_t)count + 1, left);
        if (woken < 0 && errno != EINTR && errno != EAGAIN)
            croak_for_caller(aTHX_ newSVpvf("wait_readable: poll: %s", Strerror(errno)));
        /* It may be one that stops the worker, where the descriptor is not ours any more: the program has closed it. */
        if (woken < 0 && reason_of(host) != PF_STOP_NONE)
            return -1;
        if (woken < 0)
            continue;
        /* What is readable without a reason may be another descriptor next time, or is a second that has passed. */
        if ((polled[count].revents || LOOK_EACH >= 0) && reason_of(host) != PF_STOP_NONE)
            return -1;
        for (i = 0; i < count; i++) {
            SV *handle = *av_fetch(what->handles, i, 0);
            bool is_buffered = FALSE;
            if (polled[i].revents & POLLNVAL)
                refuse(aTHX_ handle, "is not open");
            if (any_is_buffered)
                (void)descriptor_of(aTHX_ handle, &is_buffered);
            if (is_buffered)
                polled[i].revents |= POLLIN;
        }
        i = next_readable(polled, count);
        if (i >= 0) {
            stop.last = polled[i].fd + 1;
            begin_work(aTHX_ host, SECONDS_AS_SET);
            return i;
        }
        if (left == 0 && until >= 0)
            return -1;
    }
}
