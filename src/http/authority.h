/* host [":" port], as in the Host field, an absolute-form target and a URL (RFC 3986 section 3.2,
 * RFC 9110 section 7.2). */
#ifndef HTTP_AUTHORITY_H
#define HTTP_AUTHORITY_H

#include <stdbool.h>

#include "base/span.h"

struct authority {
    struct span host; /* may be empty; an IP literal keeps its brackets */
    struct span port; /* digits, may be empty */
    bool has_port;    /* there was a colon */
};

/* Splits the whole of `text`. False if it is not of that grammar; user information is not. */
bool authority_split(struct span text, struct authority *a);

#endif
