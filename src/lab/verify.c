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

bool verify_begin(struct verify *v, const struct storage *storage, bool has_values, struct fail *f)
{
    *v = (struct verify){.storage = storage, .has_values = has_values};
    if (!v->storage)
        return fail_set(f, EXIT_USAGE,
                        "--verify: there is nothing that can be read back: expected a scenario "
                        "that stores, and a target that iubench starts");
    struct audit *audit = audit_open(v->storage, f);
    bool is_read = audit && audit_rows(audit, &v->rows_before, f);
    audit_close(audit);
    return is_read || fail_prefix(f, "--verify");
}

static bool is_there(const struct verify *v, struct audit *a, int64_t id, const char *uuid,
                     struct span value, bool *is_equal, struct fail *f)
{
    struct audit_row row;
    if (v->has_values)
        return audit_has(a, id, uuid, value, is_equal, f);
    if (!audit_find_row(a, uuid, &row, is_equal, f))
        return false;
    *is_equal = *is_equal && row.id == id;
    return true;
}

static bool check_sample(const struct verify *v, struct audit *a, const struct load_sample *s,
                         bool *is_equal, struct fail *f)
{
    json_t *object = json_loadb(s->body.data, s->body.len, 0, NULL);
    json_t *id = json_object_get(object, "id"), *uuid = json_object_get(object, "uuid");
    bool is_object = json_is_integer(id) && json_is_string(uuid) &&
                     json_string_length(uuid) == UUID_TEXT_BYTES;
    *is_equal = false;
    bool is_read = !is_object || is_there(v, a, json_integer_value(id), json_string_value(uuid),
                                          bytes_span(&s->body), is_equal, f);
    json_decref(object);
    return is_read;
}

/* What was read back. */
struct readback {
    uint64_t rows;         /* that came since the beginning */
    unsigned equal, other; /* samples */
};

static bool check_samples(const struct verify *v, struct audit *a, const struct load_result *r,
                          uint64_t since_ns, struct readback *b, struct fail *f)
{
    for (unsigned i = 0; i < r->sample_count; i++) {
        bool is_equal;
        if (r->samples[i].answered_ns < since_ns)
            continue;
        if (!check_sample(v, a, &r->samples[i], &is_equal, f))
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
                   check_samples(v, audit, r, fresh_ns > forgotten_ns ? fresh_ns : forgotten_ns, b,
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
                       "%s: acknowledged %" PRIu64 ", rows %" PRIu64 ", sampled %u %s",
                       *is_mismatch ? "NOT VERIFIED" : "verified", acknowledged, b.rows, b.equal,
                       v->has_values ? "equal" : "rows found");
    if (b.other)
        len += snprintf(v->text + len, sizeof v->text - (size_t)len, ", %u missing or different",
                        b.other);
    if (unknown)
        snprintf(v->text + len, sizeof v->text - (size_t)len, ", outcome of %" PRIu64 " unknown",
                 unknown);
    return true;
}
