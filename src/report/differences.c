/* Objects are walked key by key, so that what is told is the smallest thing that differs. */
#include "report/differences.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum { VALUE_BYTES = 64 };

/* A text as it stands, anything else as JSON, in so many bytes. */
static const char *shown(const json_t *value, char out[VALUE_BYTES])
{
    if (!value)
        return "not there";
    if (json_is_string(value))
        return log_escape(span_of(json_string_value(value)), out, VALUE_BYTES);
    char *json = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
    log_escape(span_of(json ? json : "?"), out, VALUE_BYTES);
    free(json);
    return out;
}

static void add_line(struct text *out, const char *name, json_t *a, const char *a_name, json_t *b,
                     const char *b_name)
{
    char a_text[VALUE_BYTES], b_text[VALUE_BYTES], name_text[2 * VALUE_BYTES];
    text_addf(out, "%s: %s in %s, %s in %s\n",
              log_escape(span_of(name), name_text, sizeof name_text), shown(a, a_text), a_name,
              shown(b, b_text), b_name);
}

void differences_add(struct text *out, const char *name, json_t *a, const char *a_name, json_t *b,
                     const char *b_name)
{
    if (!json_is_object(a) || !json_is_object(b)) {
        if (!json_equal(a, b) && !(json_is_number(a) && json_is_number(b) &&
                                   json_number_value(a) == json_number_value(b)))
            add_line(out, name, a, a_name, b, b_name);
        return;
    }
    const char *key;
    char path[128];
    json_t *value, *both = json_copy(a);
    json_object_update_missing(both, b);
    json_object_foreach(both, key, value)
    {
        snprintf(path, sizeof path, "%.80s%s%.40s", name, *name ? "." : "", key);
        differences_add(out, path, json_object_get(a, key), a_name, json_object_get(b, key),
                        b_name);
    }
    json_decref(both);
}
