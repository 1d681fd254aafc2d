/* The parts of the module that are compiled when they are needed. Their sources are in the object: a server may have changed its
 * directory, its root and its user by then, and an upgrade may have changed the files. Read at the start, they would cost each program
 * the reading and the memory; and under taint checks what was read is no code. */

#include "parts.h"

#define TEXT(text) sizeof(text) - 1, text

static const struct {
    const char *name;
    size_t length;
    const char *source;
} parts[] = {
#include "parts.inc"    /* made of the files by parts.pl */
};

SV *
source_of_part(pTHX_ const char *part)
{
    size_t i;
    for (i = 0; i < C_ARRAY_LENGTH(parts); i++) {
        if (strEQ(parts[i].name, part))
            return newSVpvn(parts[i].source, parts[i].length);
    }
    croak("Parallel::Prefork has no part %s", part);
}
