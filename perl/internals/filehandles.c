/* Perl's handles at the end of a worker: what is left to do or to say when a handle is closed, beyond the flush. */

#include "filehandles.h"

#include "switches.h"

#include <perliol.h>
#include <sys/socket.h>

#if TRICK_EXIT || TRICK_FAST_EXIT

/* Perl tries once more to write what it could not, and warns; a layer that compresses has an end to write. */
static bool
is_unfinished(PerlIO *handle)
{
    static const char *const plain[] = { "unix", "perlio", "stdio", "crlf", "scalar", "encoding" };
    const PerlIOl *layer = handle ? PerlIOBase(handle) : NULL;
    for (; layer; layer = layer->next) {
        size_t i = 0;
        if (layer->flags & (PERLIO_F_ERROR | PERLIO_F_WRBUF))
            return TRUE;
        while (layer->tab && i < C_ARRAY_LENGTH(plain) && strNE(layer->tab->name, plain[i]))
            i++;
        if (i == C_ARRAY_LENGTH(plain))
            return TRUE;
    }
    return FALSE;
}

/* Perl closes no STDIN, STDOUT or STDERR at its end. They are the first three of its table of handles. */
static bool
is_standard(pTHX_ PerlIO *handle)
{
    return PL_perlio && handle >= &PL_perlio[1].next && handle <= &PL_perlio[3].next;
}

/* close(2) waits until the other side has what was sent, if the program has asked for that (SO_LINGER, socket(7)); at the end of
 * a process the system does not wait. */
static bool
lingers(pTHX_ PerlIO *handle)
{
    struct linger linger;
    socklen_t size = sizeof linger;
    const int errno_before = errno;
    const int fd = handle && PerlIOValid(handle) && !is_standard(aTHX_ handle) ? PerlIO_fileno(handle) : -1;
    const bool does = fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size) == 0
        && linger.l_onoff && linger.l_linger > 0;
    errno = errno_before;
    return does;
}

/* To close a pipe is to wait for the process at its other end. */
bool
closes_visibly(pTHX_ IO *io)
{
    return IoTYPE(io) == IoTYPE_PIPE || is_unfinished(IoIFP(io)) || is_unfinished(IoOFP(io)) || lingers(aTHX_ IoIFP(io));
}

/* Whether a process of ours is at the other end. */
static bool
is_pipe_to_process(pTHX_ PerlIO *handle)
{
    const int fd = PerlIO_fileno(handle);
    SV **pid = fd >= 0 && PL_fdpid ? av_fetch(PL_fdpid, fd, FALSE) : NULL;
    return pid && *pid && SvTYPE(*pid) == SVt_IV && SvIVX(*pid) > 0;
}

static void
finish(pTHX_ PerlIO *handle)
{
    if (!PerlIOValid(handle))
        return;
    if (is_pipe_to_process(aTHX_ handle))
        (void)PerlProc_pclose(handle);
    else if (is_unfinished(handle) || lingers(aTHX_ handle))
        (void)PerlIO_close(handle);
}

/* Perl's own table of handles, as perlio.c has it: chunks, in the first element of each of which is the next chunk. All values
 * would have to be looked at to find them otherwise, which takes as long as fast_exit saves. */
#define CHUNK 64

void
finish_handles(pTHX)
{
    PerlIOl *chunk;
    for (chunk = PL_perlio; chunk; chunk = chunk->next) {
        int i;
        for (i = 1; i < CHUNK; i++)
            finish(aTHX_ &chunk[i].next);
    }
}

#endif
