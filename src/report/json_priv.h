/* How the numbers of a result become JSON, for the files that write one: what is not known is null,
 * not zero. */
#ifndef REPORT_JSON_PRIV_H
#define REPORT_JSON_PRIV_H

#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

static inline json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static inline json_t *count(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* A count that may be unknown. */
static inline json_t *count_or_null(double value)
{
    return isfinite(value) ? json_integer((json_int_t)llround(value)) : json_null();
}

static inline json_t *microseconds(uint64_t ns)
{
    return json_real((double)ns / 1000);
}

/* Paths and what users and other programs wrote need not be UTF-8, which alone can stand in JSON as it
 * is; else bytes beyond ASCII become \xNN. NULL becomes null. */
static inline json_t *words(const char *text)
{
    json_t *value = text ? json_string(text) : json_null();
    if (value)
        return value;
    size_t room = 4 * strlen(text) + 8;
    char *escaped = mem_need(room, 1);
    value = json_string(log_escape(span_of(text), escaped, room));
    free(escaped);
    return value;
}

static inline void put(json_t *object, const char *key, json_t *value)
{
    CHECK(json_object_set_new(object, key, value) == 0);
}

#endif
