/* What each byte may be in HTTP and URIs (RFC 9110 section 5.6, RFC 3986 section 2), by table. */
#ifndef HTTP_CHARS_H
#define HTTP_CHARS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

enum chars_class {
    CHARS_TOKEN = 1,  /* tchar */
    CHARS_HOST = 2,   /* unreserved, sub-delims: reg-name without percent-encoding */
    CHARS_PATH = 4,   /* those, ':', '@', '/': path without percent-encoding */
    CHARS_QUERY = 8,  /* those and '?' */
    CHARS_VALUE = 16, /* field-vchar, space, tab */
    CHARS_HEX = 32,
    CHARS_DIGIT = 64,
};

extern const uint8_t chars_table[256];

static inline bool chars_is(char c, enum chars_class class)
{
    return chars_table[(uint8_t)c] & class;
}

/* The first byte in [p, end) that is not of `class`, or `end`. */
static inline const char *chars_skip(const char *p, const char *end, enum chars_class class)
{
    while (p < end && chars_is(*p, class))
        p++;
    return p;
}

/* The same, where a complete percent-encoding (RFC 3986 section 2.1) counts as a byte of `class`.
 */
static inline const char *chars_skip_uri(const char *p, const char *end, enum chars_class class)
{
    for (;;) {
        p = chars_skip(p, end, class);
        if (end - p < 3 || *p != '%' || !chars_is(p[1], CHARS_HEX) || !chars_is(p[2], CHARS_HEX))
            return p;
        p += 3;
    }
}

/* Whether all of `s` may stand in a field's value or a reason phrase. */
bool chars_are_value(struct span s);

static inline bool chars_is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* Without the spaces and tabs at both ends (OWS). */
static inline struct span chars_trim(struct span s)
{
    while (s.len && chars_is_space(s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len && chars_is_space(s.data[s.len - 1]))
        s.len--;
    return s;
}

/* Takes the next element off a comma-separated list; empty ones are passed over (RFC 9110 section
 * 5.6.1.2). False at the end. No quoted strings: no list that is read here has them. */
bool chars_next_element(struct span *list, struct span *element);

#endif
