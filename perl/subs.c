/* What a sub does. Perl has no documented function that tells: `undef &name` and another `sub name` give a new body to the same
 * sub, and a sub may be declared without one. */

#include "subs.h"

bool
has_body(const CV *code)
{
    return CvROOT(code) || CvXSUB(code);
}

UV
body_of(const CV *code)
{
    if (!CvISXSUB(code))
        return PTR2UV(CvROOT(code));
    return CvXSUBANY(code).any_ptr ? PTR2UV(CvXSUBANY(code).any_ptr) : PTR2UV(CvXSUB(code));
}

/* A body that perl frees leaves its address to the next one that is compiled. So it is kept, by the count that threads share it
 * by. */
UV
keep_body(pTHX_ const CV *code)
{
    PERL_UNUSED_CONTEXT;
    if (!CvISXSUB(code) && CvROOT(code)) {
        OP_REFCNT_LOCK;
        (void)OpREFCNT_inc(CvROOT(code));
        OP_REFCNT_UNLOCK;
    }
    return body_of(code);
}
