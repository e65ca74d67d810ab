/* A growing text for things that are built rarely: a metrics page, a table, a message of several
 * lines. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"
#include "base/span.h"

struct text {
    char *data; /* NUL-terminated once anything was added; NULL before */
    size_t len; /* without the NUL */
    size_t room;
    bool may_fail; /* out of memory sets `is_cut` and leaves out all that follows; else it ends the
                      program (see base/mem.h) */
    bool is_cut;
};

/* Out of memory: see `may_fail`. */
void text_add(struct text *t, struct span s);
void text_addf(struct text *t, const char *format, ...) PRINTF_LIKE(2, 3);
void text_free(struct text *t);

static inline struct span text_span(const struct text *t)
{
    return (struct span){t->data ? t->data : "", t->len};
}

#endif
