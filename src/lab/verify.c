/* Requests without an answer may or may not have a row: they widen what is accepted, and are told
 * apart. */
#include "lab/verify.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* Values live for CACHE_EXPIRY_S; younger ones than this are there for certain. */
static const uint64_t FRESH_NS = (CACHE_EXPIRY_S - 5) * NS_PER_S;

bool verify_begin(struct verify *v, const struct target *t, struct fail *f)
{
    *v = (struct verify){0};
    if (!target_storage(t))
        return fail_set(f, EXIT_USAGE, "--verify: this scenario stores nothing");
    v->audit = audit_open(target_storage(t), f);
    return (v->audit && audit_rows(v->audit, &v->rows_before, f)) || fail_prefix(f, "--verify");
}

static bool check_sample(struct audit *a, const struct load_sample *s, bool *is_equal,
                         struct fail *f)
{
    json_t *object = json_loadb(s->body.data, s->body.len, 0, NULL);
    json_t *id = json_object_get(object, "id"), *uuid = json_object_get(object, "uuid");
    bool is_object = json_is_integer(id) && json_is_string(uuid) &&
                     json_string_length(uuid) == UUID_TEXT_BYTES;
    *is_equal = false;
    bool is_read = !is_object || audit_has(a, json_integer_value(id), json_string_value(uuid),
                                           bytes_span(&s->body), is_equal, f);
    json_decref(object);
    return is_read;
}

static bool check_samples(struct verify *v, const struct load_result *r, unsigned *equal,
                          unsigned *other, struct fail *f)
{
    uint64_t now_ns = clock_ns();
    for (unsigned i = 0; i < r->sample_count; i++) {
        bool is_equal;
        if (r->samples[i].answered_ns + FRESH_NS < now_ns)
            continue;
        if (!check_sample(v->audit, &r->samples[i], &is_equal, f))
            return false;
        *equal += is_equal;
        *other += !is_equal;
    }
    return true;
}

bool verify_end(struct verify *v, const struct load_result *r, bool *is_mismatch, struct fail *f)
{
    uint64_t rows, acknowledged = r->counts.ok;
    uint64_t unknown = r->counts.sent - acknowledged - r->counts.errors[LOAD_ERROR_status_4xx];
    unsigned equal = 0, other = 0;
    if (!check_samples(v, r, &equal, &other, f) || !audit_rows(v->audit, &rows, f))
        return fail_prefix(f, "--verify");
    rows -= v->rows_before;
    *is_mismatch |= other || rows < acknowledged || rows > acknowledged + unknown;
    int len = snprintf(v->text, sizeof v->text,
                       "%s: acknowledged %" PRIu64 ", rows %" PRIu64 ", sampled %u equal",
                       *is_mismatch ? "NOT VERIFIED" : "verified", acknowledged, rows, equal);
    if (other)
        len += snprintf(v->text + len, sizeof v->text - (size_t)len, ", %u missing or different",
                        other);
    if (unknown)
        snprintf(v->text + len, sizeof v->text - (size_t)len, ", outcome of %" PRIu64 " unknown",
                 unknown);
    return true;
}

void verify_close(struct verify *v)
{
    audit_close(v->audit);
    v->audit = NULL;
}
