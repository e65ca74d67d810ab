/* A shard's mark on its own result, and the document of all of them. */
#include "report/merge.h"

#include <math.h>
#include <string.h>

#include "report/json_priv.h"
#include "report/merge_priv.h"

/* --- of one shard --- */

static json_t *hash_json(uint64_t hash)
{
    return json_sprintf("%016llx", (unsigned long long)hash);
}

/* FNV-1a over the canonical text. */
static json_t *id_json(const json_t *agrees_on)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    char *text = json_dumps(agrees_on, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(12));
    CHECK(text);
    for (const char *c = text; *c; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    free(text);
    return hash_json(hash);
}

static json_t *agrees_on_json(const struct load_result *r)
{
    const struct load_shard *s = &r->shard;
    json_t *to = json_object();
    put(to, "count", json_integer(s->shard.count));
    put(to, "url", words(r->url));
    put(to, "method", json_string(r->method));
    put(to, "requests_hash", hash_json(s->request_hash));
    put(to, "model", json_string(r->model));
    put(to, "arrivals", json_integer(r->arrivals));
    put(to, "seed", json_integer(r->seed));
    put(to, "rate", number(s->rate));
    put(to, "schedule", words(s->schedule));
    put(to, "duration_s",
        s->window_ns == UINT64_MAX ? json_null() : json_real((double)s->window_ns / NS_PER_S));
    put(to, "requests", count(s->requests));
    put(to, "connections", count(s->connections));
    put(to, "timeout_s", json_real((double)r->timeout_ns / NS_PER_S));
    put(to, "keepalive", json_boolean(r->is_kept_alive));
    put(to, "pipeline", json_integer(r->pipeline));
    put(to, "expect", words(s->expect));
    put(to, "expect_status", words(s->expect_status));
    return to;
}

/* Where it was measured, the offset of a reference from this clock as an interval. */
static json_t *offset_json(const struct load_shard *s)
{
    if (!s->offset.is_known)
        return json_null();
    return json_pack("[I, I]", (json_int_t)s->offset.low_us, (json_int_t)s->offset.high_us);
}

static json_t *clock_json(const struct load_shard *s)
{
    const struct clock_quality *q = &s->clock;
    json_t *to = json_object();
    put(to, "source", json_string("adjtimex(2)"));
    put(to, "synchronised", q->is_known ? json_boolean(q->is_synchronised) : json_null());
    put(to, "error_us", q->is_known ? json_integer(q->error_us) : json_null());
    put(to, "error_max_us", q->is_known ? json_integer(q->error_max_us) : json_null());
    put(to, "reference", words(s->reference));
    put(to, "reference_ahead_us", offset_json(s));
    return to;
}

json_t *merge_shard_json(const struct load_result *r)
{
    const struct load_shard *s = &r->shard;
    char start[CLOCK_TEXT_BYTES];
    json_t *agrees_on = agrees_on_json(r), *to = json_object();
    if (s->shard.start_at_us)
        clock_text(s->shard.start_at_us, start);
    put(to, "index", json_integer(s->shard.index));
    put(to, "count", json_integer(s->shard.count));
    put(to, "start_at", s->shard.start_at_us ? json_string(start) : json_null());
    put(to, "clock", clock_json(s));
    put(to, "held_from_s",
        s->held_begin_ns == UINT64_MAX ? json_null()
                                       : json_real((double)s->held_begin_ns / NS_PER_S));
    put(to, "id", id_json(agrees_on));
    put(to, "agrees_on", agrees_on);
    return to;
}

/* --- of all --- */

/* What `from` does not say is null. */
static void put_copy(json_t *to, const char *key, const json_t *from)
{
    json_t *value = json_object_get(from, key);
    put(to, key, value ? json_incref(value) : json_null());
}

/* What a shard says of itself, histograms and series left out: they are in the sums. */
static json_t *part_json(const struct merge_part *part)
{
    static const char *const of_target[] = {"requests",        "duration_s",   "rps",
                                            "held_rps",        "availability", "latency_us",
                                            "service_time_us", "send_lag_us",  "verdict"};
    static const char *const of_root[] = {"started",     "interrupted", "command",
                                          "environment", "client",      "shard"};
    json_t *to = json_object();
    put(to, "index", json_integer(part->index));
    put(to, "file", words(part->root.file));
    for (unsigned i = 0; i < sizeof of_root / sizeof *of_root; i++)
        put_copy(to, of_root[i], part->root.value);
    for (unsigned i = 0; i < sizeof of_target / sizeof *of_target; i++)
        put_copy(to, of_target[i], part->target.value);
    return to;
}

static json_t *shards_json(const struct merge *m)
{
    json_t *missing = json_array(), *parts = json_array(), *to = json_object();
    for (unsigned i = 0; i < m->missing_count; i++)
        CHECK(json_array_append_new(missing, json_integer(m->missing[i])) == 0);
    for (unsigned i = 0; i < m->part_count; i++)
        CHECK(json_array_append_new(parts, part_json(&m->parts[i])) == 0);
    put(to, "count", json_integer(m->shard_count));
    put(to, "missing", missing);
    put(to, "clocks_apart_us_max", number(m->clocks_apart_us));
    put(to, "clocks_by", json_string(m->reference ? m->reference : "adjtimex(2)"));
    put(to, "parts", parts);
    return to;
}

json_t *merge_json(const struct merge *m, int argc, char **argv)
{
    struct result_target target = {.name = m->load.url, .load = &m->load};
    struct result result = {.argc = argc,
                            .argv = argv,
                            .scenario = "load",
                            .services = "none",
                            .is_interrupted = m->load.is_interrupted,
                            .targets = &target,
                            .target_count = 1};
    json_t *to = result_json(&result), *row;
    json_t *whole = json_array_get(json_object_get(to, "targets"), 0);
    size_t i;
    json_array_foreach(json_object_get(whole, "series"), i, row)
        put(row, "percentiles_from",
            json_string(m->is_row_of_buckets[i] ? "latency_buckets" : "max of shards"));
    put_copy(to, "environment", m->parts[0].root.value);
    put(to, "shards", shards_json(m));
    return to;
}
