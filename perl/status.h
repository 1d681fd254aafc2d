/* The steps of a change of status in the memory of a scoreboard, which pf_scoreboard_own_slot lists.
 *
 * The core has them too (Slots::set_status in src/os/slots.rs). They exist twice because a worker may set its status at each
 * request: a call of the core needs signals to be blocked around it, as no Rust may be on the stack where an immediate
 * handler of Perl's leaves by longjmp, and the two system calls for that take twice as long as all the rest.
 * t/c/steps.c looks at the memory after each instruction of both, and holds them to the same steps. */

#ifndef PERL_STATUS_H
#define PERL_STATUS_H

#include "prefork-host.h"

#ifdef __GNUC__
#define CAN_CHANGE_STATUS

static inline bool
is_busy(uint8_t status)
{
    return status != '_' && status != '.';
}

/* Sets a status that takes the place of one of the same kind. False if nothing is changed: it is of the other kind. */
static inline bool
replace_status(const pf_own_slot *slot, uint8_t status)
{
    uint8_t old = __atomic_load_n(slot->status, __ATOMIC_SEQ_CST);
    return is_busy(old) == is_busy(status)
        && __atomic_compare_exchange_n(slot->status, &old, status, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* A change between busy and idle. A signal handler may leave it by longjmp after any step: then pf_scoreboard_end_change
 * follows, unless `is_over`. */
typedef struct {
    uint32_t before;         /* the number of changes when it began */
    bool is_whole;           /* steps 1 to 4 are done */
    bool is_over;            /* nothing is left to be done */
} change_t;

static inline void
begin_change(const pf_own_slot *slot, change_t *change)
{
    change->before = __atomic_load_n(slot->changes, __ATOMIC_SEQ_CST);
    change->is_whole = change->is_over = 0;
}

/* Steps 1 to 5, and the look of step 6. */
static inline void
make_change(const pf_own_slot *slot, uint8_t status, change_t *change)
{
    int32_t busy;
    __atomic_fetch_add(slot->changes, 1, __ATOMIC_SEQ_CST);
    if (is_busy(status))
        __atomic_fetch_add(slot->busy, 1, __ATOMIC_SEQ_CST);
    if (is_busy(__atomic_exchange_n(slot->status, status, __ATOMIC_SEQ_CST)))
        __atomic_fetch_add(slot->busy, -1, __ATOMIC_SEQ_CST);
    change->is_whole = 1;
    __atomic_fetch_add(slot->changes, PF_CHANGE_END, __ATOMIC_SEQ_CST);
    /* Not before the change: the manager may set other bounds in the meantime. */
    busy = __atomic_load_n(slot->busy, __ATOMIC_SEQ_CST);
    change->is_over = busy >= __atomic_load_n(slot->low, __ATOMIC_SEQ_CST)
        && busy <= __atomic_load_n(slot->high, __ATOMIC_SEQ_CST) && !__atomic_load_n(slot->mark, __ATOMIC_SEQ_CST);
}
#endif

#endif
