/* The defaults in %SIG of a worker, made by the manager.
 *
 * In a worker each page that is written to after the fork is copied first. A store to %SIG by perl, and the end of the
 * handler that was there, write to a dozen pages. So the manager makes the worker's elements of %SIG beforehand
 * (`make_defaults`). For each of them the worker changes two pointers only: that of perl's hash, and that of perl's table
 * of handlers.
 *
 * The manager's handlers hold the manager object. A worker that replaces such a handler leaks it, and corrects the count of
 * the object later, where nobody could see the difference (`put_defaults`). */

#include "defaults.h"

#include "switches.h"

#if TRICK_DEFAULTS

/* Perl's own magic, and nothing else: none of a module that wants to be told of what happens to the value, and is called
 * for it as perl calls it. */
static bool
has_only_magic(const SV *value, char type)
{
    const MAGIC *mg = SvTYPE(value) >= SVt_PVMG ? SvMAGIC(value) : NULL;
    return mg && mg->mg_type == type && !mg->mg_moremagic
        && (!mg->mg_virtual || (mg->mg_virtual >= PL_magic_vtables && mg->mg_virtual < PL_magic_vtables + magic_vtable_max
            && !mg->mg_virtual->svt_copy));
}

/* A program may have put another hash in its place, or tied it; a module may have hung something on it (Coro does). */
static bool
is_plain_sig(pTHX_ HV *handlers)
{
    PERL_UNUSED_CONTEXT;
    return PL_psig_ptr && handlers && has_only_magic((SV *)handlers, PERL_MAGIC_sig);
}

static MAGIC *
element_magic(pTHX_ SV *element)
{
    return SvTYPE(element) >= SVt_PVMG ? mg_find(element, PERL_MAGIC_sigelem) : NULL;
}

/* The element of %SIG that a worker has for this name; NULL if there is none. */
static SV *
ready_default(pTHX_ const defaults_t *defaults, const char *name, I32 length)
{
    unsigned i;
    for (i = 0; i < defaults->made; i++) {
        const MAGIC *mg = element_magic(aTHX_ defaults->ready[i]);
        if (mg->mg_len == length && memEQ(mg->mg_ptr, name, (size_t)length))
            return defaults->ready[i];
    }
    return NULL;
}

static bool
is_named(pTHX_ const names_t *names, const MAGIC *mg)
{
    SSize_t i;
    for (i = 0; i < names->length; i++) {
        STRLEN length;
        const char *name = SvPV(names->list[i], length);
        if (length == (STRLEN)mg->mg_len && memEQ(name, mg->mg_ptr, length))
            return TRUE;
    }
    return names->hash && hv_exists(names->hash, mg->mg_ptr, mg->mg_len);
}

/* Whether the elements are those of these names and of SIGCHLD. Then they say all: to iterate over the names, or to look for one in
 * perl's list of signals, takes page faults in each worker. */
static bool
are_ready(pTHX_ const defaults_t *defaults, const names_t *names)
{
    STRLEN found = 0;
    unsigned i;
    for (i = 0; i < defaults->made; i++) {
        const MAGIC *mg = element_magic(aTHX_ defaults->ready[i]);
        if (is_named(aTHX_ names, mg))
            found++;
        else if (mg->mg_private != SIGCHLD)
            return FALSE;
    }
    return ready_default(aTHX_ defaults, "CHLD", 4) && found == (STRLEN)names->length + (names->hash ? HvUSEDKEYS(names->hash) : 0);
}

static void
make_default(pTHX_ void *host, const char *name, I32 length)
{
    defaults_t *defaults = &((host_t *)host)->defaults;
    const int number = length > 0 ? whichsig_pvn(name, (STRLEN)length) : -1;
    SV *element;
    if (number <= 0 || !is_plain_sig(aTHX_ GvHV(defaults->sig)) || defaults->made == C_ARRAY_LENGTH(defaults->ready)
            || ready_default(aTHX_ defaults, name, length))
        return;
    element = newSVpvs("DEFAULT");
    mg_copy((SV *)GvHV(defaults->sig), element, name, length);
    if (!element_magic(aTHX_ element)) {
        SvREFCNT_dec(element);
        return;
    }
    element_magic(aTHX_ element)->mg_private = (U16)number;
    /* The hash and the table of handlers will hold it, and nobody counts then. */
    SvREFCNT(element) = 2;
    defaults->ready[defaults->made++] = element;
}

static void
drop_elements(pTHX_ defaults_t *defaults)
{
    while (defaults->made) {
        SV *element = defaults->ready[--defaults->made];
        SvREFCNT(element) = 1;
        SvREFCNT_dec(element);
    }
}

static void
free_defaults(pTHX_ defaults_t *defaults)
{
    drop_elements(aTHX_ defaults);
    SvREFCNT_dec((SV *)defaults->sig);
    defaults->sig = NULL;
}

void
make_defaults(pTHX_ host_t *host, const names_t *names)
{
    if (!host->defaults.sig) {
        host->defaults.sig = gv_fetchpvs("SIG", GV_ADD, SVt_PVHV);
        SvREFCNT_inc_simple_void_NN(host->defaults.sig);
    }
    host->defaults.free = free_defaults;
    if (!are_ready(aTHX_ &host->defaults, names)) {
        drop_elements(aTHX_ &host->defaults);
        for_each_name(aTHX_ names, make_default, host);
        make_default(aTHX_ host, "CHLD", 4);
    }
}

/* Whether a handler is ours, tied to this object and nothing else, and only perl's hash and perl's table know of it. */
static bool
is_only_tied(pTHX_ SV *handler, SV *object)
{
    return SvREFCNT(handler) == 2 && is_trap(aTHX_ handler, object) && SvREFCNT(SvRV(handler)) == 1
        && !SvOBJECT(SvRV(handler)) && !SvMAGIC(SvRV(handler))->mg_moremagic;
}

/* Whether it can be put aside as it is: nobody has hung anything on it, and nobody but perl's hash and perl's table has a claim
 * on it. */
static bool
is_plain_element(pTHX_ SV *element, int signal)
{
    const bool is_handler = PL_psig_ptr[signal] == element;
    return has_only_magic(element, PERL_MAGIC_sigelem) && SvREFCNT(element) == (is_handler ? 2 : 1);
}

static bool
put_default(pTHX_ defaults_t *defaults, SV *object, SV *element)
{
    const MAGIC *mg = element_magic(aTHX_ element);
    const int signal = mg->mg_private;
    SV **slot = is_plain_sig(aTHX_ GvHV(defaults->sig)) ? hv_fetch(GvHV(defaults->sig), mg->mg_ptr, mg->mg_len, 0) : NULL;
    SV *old, *handler;
    if (!slot)
        return FALSE;
    if (*slot == element)
        return TRUE;
    if (!is_plain_element(aTHX_ *slot, signal))
        return FALSE;
    old = *slot;
    handler = PL_psig_ptr[signal];
    *slot = PL_psig_ptr[signal] = element;
    if (handler == old && is_only_tied(aTHX_ old, object)) {
        /* The old handler is leaked on purpose: to free it would write to one more page. It holds a count of the object.
         * count_kept_handlers takes that count back, so the object goes as it would. Only the last
         * sweep of perl_destruct frees the handler, and counts mean nothing then (PL_in_clean_all). */
        defaults->kept++;
    } else if (handler != old || !is_sigchld_handler(aTHX_ old)) {
        /* What goes with it may be the program's, whose code is not to run here. */
        sv_2mortal(handler);
        sv_2mortal(old);
    }
    return TRUE;
}

bool
put_defaults(pTHX_ host_t *host, SV *object, const names_t *names)
{
    defaults_t *defaults = &host->defaults;
    bool is_complete = TRUE;
    unsigned i;
    if (!are_ready(aTHX_ defaults, names)) {
        set_default_actions(aTHX_ names);
        return FALSE;
    }
    for (i = 0; i < defaults->made; i++) {
        (void)rsignal(element_magic(aTHX_ defaults->ready[i])->mg_private, SIG_DFL);
        if (!put_default(aTHX_ defaults, object, defaults->ready[i]))
            is_complete = FALSE;
    }
    return is_complete;
}

void
count_kept_handlers(pTHX_ host_t *host, SV *object)
{
    host->defaults.made = 0;
    while (host->defaults.kept) {
        host->defaults.kept--;
        SvREFCNT_dec(SvRV(object));
    }
}

#else

void
make_defaults(pTHX_ host_t *host, const names_t *names)
{
    PERL_UNUSED_CONTEXT;
    PERL_UNUSED_VAR(host);
    PERL_UNUSED_VAR(names);
}

bool
put_defaults(pTHX_ host_t *host, SV *object, const names_t *names)
{
    PERL_UNUSED_VAR(host);
    PERL_UNUSED_VAR(object);
    set_default_actions(aTHX_ names);
    return FALSE;
}

void
count_kept_handlers(pTHX_ host_t *host, SV *object)
{
    PERL_UNUSED_CONTEXT;
    PERL_UNUSED_VAR(host);
    PERL_UNUSED_VAR(object);
}

#endif
