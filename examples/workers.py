#!/usr/bin/python3
"""A prefork manager in Python: libprefork through ctypes, os.fork and select. It keeps 3 workers, replaces one
that ends, reloads on HUP, and stops on TERM and INT.

    python3 workers.py [LIBRARY]

The library is the argument, or the value of PREFORK_LIBRARY, or the system's libprefork.so.1. The loop is that
of pull.c; the numbers are the steps of prefork-pull(3).
"""

import ctypes
import os
import select
import signal
import sys
from ctypes import POINTER, c_char_p, c_double, c_int32, c_long, c_uint32, c_uint64, c_void_p

OK = 0
FORK, REAPED, WAIT, STOPPED, DRAINED, TIMED_OUT = range(1, 7)


class Timeval(ctypes.Structure):
    """struct timeval of <sys/time.h>"""
    _fields_ = [('tv_sec', c_long), ('tv_usec', c_long)]


class Rusage(ctypes.Structure):
    """struct rusage of <sys/resource.h>, as Linux has it"""
    _fields_ = [('ru_utime', Timeval), ('ru_stime', Timeval)] + [(name, c_long) for name in (
        'ru_maxrss', 'ru_ixrss', 'ru_idrss', 'ru_isrss', 'ru_minflt', 'ru_majflt', 'ru_nswap',
        'ru_inblock', 'ru_oublock', 'ru_msgsnd', 'ru_msgrcv', 'ru_nsignals', 'ru_nvcsw',
        'ru_nivcsw')]


class Event(ctypes.Structure):
    """pf_event of prefork.h"""
    _fields_ = [
        ('type', c_uint32),
        ('reason', c_uint32),
        ('pid', c_int32),
        ('status', c_int32),
        ('generation', c_uint64),
        ('index', c_uint32),
        ('signal', c_int32),
        ('timeout', c_double),
        ('fd', c_int32),
        ('workers', c_uint32),
        ('rusage', Rusage),
        ('may_block_sigchld', c_uint32),
        ('cause', c_uint32),
        ('sent_signal', c_int32),
        ('flags', c_uint32),
        ('age', c_double),
        ('requests', c_uint64),
        ('busy_for', c_double),
        ('reserved', c_uint32 * 6),
    ]


class PreforkError(Exception):
    """A call of the library has failed."""


def load(name):
    """The library, its functions declared: ctypes would take a pointer for an int. A function that
    returns a pf_result raises what is not PF_OK."""
    library = ctypes.CDLL(name)

    def check(result, function, arguments):
        if result != OK:
            message = library.pf_error_message(arguments[0]).decode()
            raise PreforkError(f'{function.__name__}: {message}')

    for function, returns, *takes in (
            ('pf_new', c_void_p),
            ('pf_free', None, c_void_p),
            ('pf_error_message', c_char_p, c_void_p),
            ('pf_worker_index', c_int32, c_void_p),
            ('pf_generation', c_uint64, c_void_p),
            ('pf_set_max_workers', check, c_void_p, c_uint32),
            ('pf_trap_signal', check, c_void_p, c_int32, c_int32, c_double),
            ('pf_watch_children', check, c_void_p),
            ('pf_begin', check, c_void_p),
            ('pf_next', check, c_void_p, POINTER(Event)),
            ('pf_forked', check, c_void_p, c_int32),
            ('pf_fork_failed', check, c_void_p, POINTER(c_uint32)),
            ('pf_drain', check, c_void_p, c_double),
            ('pf_signal_all_children', check, c_void_p, c_int32)):
        entry = getattr(library, function)
        entry.argtypes = takes
        entry.restype = c_int32 if returns is check else returns
        if returns is check:
            entry.errcheck = check
    return library


def say(line):
    """Prints a line in one piece: print() gives an unbuffered stdout the newline by itself, and
    another process may come in between."""
    sys.stdout.write(line + '\n')
    sys.stdout.flush()


def work(lib, pf):
    """What a worker does; returns its exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the manager sends TERM
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    say(f'worker {lib.pf_worker_index(pf)}: pid {os.getpid()},'
        f' generation {lib.pf_generation(pf)}')
    while not signal.sigtimedwait([signal.SIGTERM], 1):
        pass  # a piece of work
    return 0


def fork_worker(lib, pf):
    """4. FORK"""
    sys.stdout.flush()
    try:
        pid = os.fork()
    except OSError as error:
        failures = c_uint32(0)
        lib.pf_fork_failed(pf, ctypes.byref(failures))
        if failures.value:
            print(f'fork: {error.strerror} ({failures.value} times)', file=sys.stderr)
        return
    if pid == 0:
        # Whatever is raised, a worker does not go back into the manager's loop.
        status = 1
        try:
            lib.pf_forked(pf, 0)
            status = work(lib, pf)
            sys.stdout.flush()
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    lib.pf_forked(pf, pid)


def report(event):
    """5. REAPED"""
    how = (f'was killed by signal {os.WTERMSIG(event.status)}' if os.WIFSIGNALED(event.status)
           else f'exited with {os.WEXITSTATUS(event.status)}')
    say(f'worker {event.index}: pid {event.pid} {how}')


def manage(lib, pf):
    """Steps 1 to 9 of prefork-pull(3)."""
    # 1. Set up. Python's own handler of INT would be called too, and raise KeyboardInterrupt.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    lib.pf_set_max_workers(pf, 3)
    for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
        lib.pf_trap_signal(pf, number, signal.SIGTERM, 0)
    lib.pf_watch_children(pf)
    say(f'manager: pid {os.getpid()}')

    lib.pf_begin(pf)  # 2. Begin
    event = Event()
    while True:
        lib.pf_next(pf, event)  # 3. Ask
        if event.type == FORK:  # 4.
            fork_worker(lib, pf)
        elif event.type == REAPED:  # 5.
            report(event)
        elif event.type == WAIT:  # 6.
            select.select([event.fd] if event.fd >= 0 else [], [], [],
                          event.timeout if event.timeout >= 0 else None)
        elif event.type == STOPPED:  # 7.
            if event.signal == signal.SIGHUP:
                lib.pf_begin(pf)
            else:
                lib.pf_drain(pf, 5)
        elif event.type == TIMED_OUT:  # 8. Some have not finished
            lib.pf_signal_all_children(pf, signal.SIGKILL)
            lib.pf_drain(pf, -1)
        elif event.type == DRAINED:  # 8. All have
            return
        # 9. Anything else: nothing to do


def main():
    """Runs the manager."""
    name = (sys.argv[1:2] or [os.environ.get('PREFORK_LIBRARY') or 'libprefork.so.1'])[0]
    try:
        lib = load(name)
    except OSError as error:
        sys.exit(f'cannot load the library: {error}')
    pf = lib.pf_new()
    if not pf:
        sys.exit('pf_new: no memory')
    try:
        manage(lib, pf)
    except PreforkError as error:
        lib.pf_signal_all_children(pf, signal.SIGTERM)
        sys.exit(str(error))
    say('manager: stopped')
    lib.pf_free(pf)


if __name__ == '__main__':
    main()
