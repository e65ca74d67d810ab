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
    *v = (struct verify){.storage = target_storage(t)};
    if (!v->storage)
        return fail_set(f, EXIT_USAGE, "--verify: this scenario stores nothing");
    struct audit *audit = audit_open(v->storage, f);
    bool is_read = audit && audit_rows(audit, &v->rows_before, f);
    audit_close(audit);
    return is_read || fail_prefix(f, "--verify");
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

/* What was read back. */
struct readback {
    uint64_t rows;         /* that came since the beginning */
    unsigned equal, other; /* samples */
};

static bool check_samples(struct audit *a, const struct load_result *r, uint64_t since_ns,
                          struct readback *b, struct fail *f)
{
    for (unsigned i = 0; i < r->sample_count; i++) {
        bool is_equal;
        if (r->samples[i].answered_ns < since_ns)
            continue;
        if (!check_sample(a, &r->samples[i], &is_equal, f))
            return false;
        b->equal += is_equal;
        b->other += !is_equal;
    }
    return true;
}

/* By a connection of its own: a fault may have cut those that were open before. */
static bool read_back(const struct verify *v, const struct load_result *r, uint64_t forgotten_ns,
                      struct readback *b, struct fail *f)
{
    uint64_t fresh_ns = clock_ns() - FRESH_NS, rows = 0;
    struct audit *audit = audit_open(v->storage, f);
    bool is_read = audit &&
                   check_samples(audit, r, fresh_ns > forgotten_ns ? fresh_ns : forgotten_ns, b,
                                 f) &&
                   audit_rows(audit, &rows, f);
    audit_close(audit);
    b->rows = rows > v->rows_before ? rows - v->rows_before : 0;
    return is_read || fail_prefix(f, "--verify");
}

bool verify_end(struct verify *v, const struct load_result *r, uint64_t forgotten_ns,
                bool *is_mismatch, struct fail *f)
{
    struct readback b = {0};
    uint64_t acknowledged = r->counts.ok;
    uint64_t unknown = r->counts.sent - acknowledged - r->counts.errors[LOAD_ERROR_status_4xx];
    if (!read_back(v, r, forgotten_ns, &b, f))
        return false;
    *is_mismatch |= b.other || b.rows < acknowledged || b.rows > acknowledged + unknown;
    int len = snprintf(v->text, sizeof v->text,
                       "%s: acknowledged %" PRIu64 ", rows %" PRIu64 ", sampled %u equal",
                       *is_mismatch ? "NOT VERIFIED" : "verified", acknowledged, b.rows, b.equal);
    if (b.other)
        len += snprintf(v->text + len, sizeof v->text - (size_t)len, ", %u missing or different",
                        b.other);
    if (unknown)
        snprintf(v->text + len, sizeof v->text - (size_t)len, ", outcome of %" PRIu64 " unknown",
                 unknown);
    return true;
}
