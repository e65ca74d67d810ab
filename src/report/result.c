/* The document is built from the inside out: numbers, histograms and seconds of a target, the
 * targets, then what is common to them. */
#include "report/result.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"
#include "report/environment.h"
#include "report/file.h"
#include "report/merge.h"
#include "report/json_priv.h"
#include "report/repeats.h"
#include "report/usage.h"
#include "version.h"

enum { RESULT_DIGITS = 12 }; /* of every number that is not whole */

/* --- a target --- */

static json_t *errors_json(const struct load_counts *c)
{
    json_t *errors = json_object();
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
        put(errors, load_error_names[i], count(c->errors[i]));
    return errors;
}

static json_t *requests_json(const struct load_result *r)
{
    const struct load_counts *c = &r->counts;
    json_t *requests = json_object();
    put(requests, "scheduled", r->is_open ? count(c->scheduled) : json_null());
    put(requests, "unsent", count(c->unsent));
    put(requests, "sent", count(c->sent));
    put(requests, "ok", count(c->ok));
    put(requests, "timeouts", count(c->timeouts));
    put(requests, "unfinished", count(c->unfinished));
    put(requests, "errors", errors_json(c));
    return requests;
}

static json_t *statuses_json(const struct load_result *r)
{
    json_t *to = json_object();
    char key[8];
    for (unsigned i = 0; i < LOAD_STATUSES; i++) {
        snprintf(key, sizeof key, "%u", i);
        if (r->statuses[i])
            put(to, key, count(r->statuses[i]));
    }
    return to;
}

static const struct {
    const char *name;
    double percent;
} percentiles[] = {{"p50", 50}, {"p75", 75}, {"p90", 90}, {"p95", 95}, {"p99", 99}, {"p999", 99.9}};

static json_t *distribution_json(const struct hist *h)
{
    json_t *to = json_object();
    put(to, "min", microseconds(h->count ? h->min : 0));
    put(to, "mean", json_real(hist_mean(h) / 1000));
    for (unsigned i = 0; i < sizeof percentiles / sizeof *percentiles; i++)
        put(to, percentiles[i].name, microseconds(hist_percentile(h, percentiles[i].percent)));
    put(to, "max", microseconds(h->max));
    put(to, "count", count(h->count));
    return to;
}

static json_t *histogram_json(const struct hist *h)
{
    struct text t = {0};
    hist_encode(h, &t);
    json_t *encoded = json_stringn(t.data, t.len);
    text_free(&t);
    return encoded;
}

/* [[upper end in us, count], ...], those with something in them */
static json_t *latency_buckets_json(const struct load_second *s)
{
    json_t *buckets = json_array();
    for (unsigned i = 0; i < HIST_COARSE_BUCKETS; i++)
        if (s->latency_buckets[i])
            CHECK(json_array_append_new(buckets,
                                        json_pack("[o, o]", microseconds(hist_coarse_upper_ns(i)),
                                                  count(s->latency_buckets[i]))) == 0);
    return buckets;
}

/* Of all requests; on a ramp those of the held step, which the percentiles are quoted from, stand
 * beside them, so that shards can be merged. */
static json_t *histograms_json(const struct load_result *r)
{
    json_t *to = json_object();
    put(to, "unit", json_string("ns"));
    put(to, "latency", histogram_json(r->latency));
    put(to, "service_time", histogram_json(r->service));
    put(to, "send_lag", histogram_json(r->send_lag));
    if (r->quoted_latency != r->latency) {
        put(to, "held_latency", histogram_json(r->quoted_latency));
        put(to, "held_service_time", histogram_json(r->quoted_service));
        put(to, "held_send_lag", histogram_json(r->quoted_send_lag));
    }
    return to;
}

static void put_storage(json_t *row, const struct load_second *s)
{
    put(row, "db_p99_us", number(s->db_p99_us));
    put(row, "cache_p99_us", number(s->cache_p99_us));
    put(row, "db_errors", count_or_null(s->db_errors));
    put(row, "cache_errors", count_or_null(s->cache_errors));
    put(row, "pool", s->pool >= 0 ? json_integer(s->pool) : json_null());
    put(row, "pool_in_flight",
        s->pool_in_flight >= 0 ? json_integer(s->pool_in_flight) : json_null());
}

json_t *result_row_json(const struct load_result *r, const struct load_second *s)
{
    json_t *row = json_object();
    put(row, "t", json_integer(s->t));
    put(row, "length_s", json_real(s->length_s));
    put(row, "target_rps", number(s->target_rps));
    put(row, "rps", json_real((double)s->counts.ok / s->length_s));
    put(row, "p50_us", microseconds(s->p50_ns));
    put(row, "p90_us", microseconds(s->p90_ns));
    put(row, "p99_us", microseconds(s->p99_ns));
    put(row, "p999_us", microseconds(s->p999_ns));
    put(row, "max_us", microseconds(s->max_ns));
    put(row, "availability", json_real(load_availability(&s->counts)));
    put(row, "scheduled", r->is_open ? count(s->counts.scheduled) : json_null());
    put(row, "unsent", count(s->counts.unsent));
    put(row, "sent", count(s->counts.sent));
    put(row, "ok", count(s->counts.ok));
    put(row, "timeouts", count(s->counts.timeouts));
    put(row, "errors", errors_json(&s->counts));
    put(row, "in_flight", json_integer(s->in_flight));
    put(row, "backlog", json_integer(s->backlog));
    put(row, "connections", json_integer(s->connections_open));
    put(row, "clients", s->clients ? json_integer(s->clients) : json_null());
    put(row, "equivalent_rps", number(s->equivalent_rps));
    put(row, "send_lag_p99_us", microseconds(s->send_lag_p99_ns));
    put(row, "client_cpu_pct", json_real(s->client_cpu_pct));
    put_storage(row, s);
    usage_put(row, s->usage);
    put(row, "latency_buckets", latency_buckets_json(s));
    return row;
}

json_t *result_series_json(const struct load_result *r)
{
    json_t *series = json_array();
    for (unsigned i = 0; i < r->second_count; i++)
        CHECK(json_array_append_new(series, result_row_json(r, &r->seconds[i])) == 0);
    return series;
}

static const char *const verdict_names[] = {"VALID", "SUSPECT", "INVALID"};

static json_t *verdict_json(const struct load_result *r)
{
    json_t *reasons = json_array();
    for (unsigned i = 0; i < r->reason_count; i++)
        CHECK(json_array_append_new(reasons, words(r->reasons[i])) == 0);
    return json_pack("{s:s, s:o}", "status", verdict_names[r->verdict], "reasons", reasons);
}

static json_t *expectations_json(const struct expectations *e)
{
    json_t *to = json_array();
    char text[EXPECT_TEXT_BYTES];
    for (unsigned i = 0; i < e->count; i++) {
        const struct expectation *one = &e->items[i];
        json_t *row = json_object();
        put(row, "text", json_string(expect_text(one, text)));
        put(row, "metric", json_string(expect_key(one)));
        put(row, "bound", number(expect_in_unit(one, one->bound)));
        put(row, "measured", number(expect_in_unit(one, one->measured)));
        put(row, "met", json_boolean(one->is_met));
        CHECK(json_array_append_new(to, row) == 0);
    }
    return to;
}

static json_t *clients_json(const struct clients_ramp *c)
{
    if (!c->pods)
        return json_null();
    json_t *to = json_object();
    put(to, "pods", json_integer(c->pods));
    put(to, "clients_per_pod_max", json_integer(c->stage_count));
    put(to, "stage_s", json_real((double)c->stage_ns / NS_PER_S));
    put(to, "think_us", microseconds(c->think_ns));
    put(to, "think_is", json_string(c->is_think_fixed ? "fixed" : "uniform"));
    return to;
}

static json_t *probe_json(const struct find_max_probe *p)
{
    json_t *to = json_object();
    put(to, "rate", json_real(p->rate));
    put(to, "length_s", json_real(p->length_s));
    put(to, "confirmation", json_boolean(p->is_confirmation));
    put(to, "held", json_boolean(p->is_held));
    put(to, "rps", json_real(p->rps));
    put(to, "availability", json_real(p->availability));
    put(to, "p50_us", microseconds(p->p50_ns));
    put(to, "p99_us", microseconds(p->p99_ns));
    put(to, "broke", words(p->is_held ? NULL : p->broke));
    return to;
}

static const char find_max_method[] =
    "doubling, then 5 bisections to 3 % by short runs; 3 longer runs in a row at the median of "
    "their "
    "ends confirm it; the interval is Student's t over the logarithms of the ends";

static json_t *find_max_json(const struct find_max *m)
{
    json_t *to = json_object(), *probes = json_array(), *ends = json_array();
    for (unsigned i = 0; i < m->search.end_count; i++)
        CHECK(json_array_append_new(ends, json_real(m->search.ends[i])) == 0);
    for (unsigned i = 0; i < m->probe_count; i++)
        CHECK(json_array_append_new(probes, probe_json(&m->probes[i])) == 0);
    put(to, "objective", expectations_json(&m->objective));
    put(to, "max_rps", json_real(m->rate));
    put(to, "interval_rps", m->low > 0 ? json_pack("[f, f]", m->low, m->high) : json_null());
    put(to, "confidence", json_real(0.95));
    put(to, "method", json_string(find_max_method));
    put(to, "bisection_ends_rps", ends);
    put(to, "confirmations", json_integer(m->rate > 0 ? SEARCH_CONFIRMATIONS : 0));
    put(to, "client_was_limit", json_boolean(m->search.is_capped));
    put(to, "broke_at_rps", m->broke ? json_real(m->broke->rate) : json_null());
    put(to, "broke_first", words(m->broke ? m->broke->broke : NULL));
    put(to, "probes", probes);
    return to;
}

json_t *result_known_json(const struct result_target *t)
{
    const struct load_result *r = t->load;
    json_t *to = json_object();
    put(to, "name", words(t->name));
    put(to, "repeat", t->repeat ? json_integer(t->repeat) : json_null());
    put(to, "url", words(r->url));
    put(to, "method", words(r->method));
    put(to, "model", json_string(r->model));
    put(to, "arrivals",
        r->is_open ? json_string(r->arrivals == LOAD_POISSON ? "poisson" : "uniform")
                   : json_null());
    put(to, "seed", json_integer(r->seed));
    put(to, "clients_ramp", clients_json(&r->clients));
    put(to, "timeout_s", json_real((double)r->timeout_ns / 1e9));
    put(to, "keepalive", json_boolean(r->is_kept_alive));
    put(to, "pipeline", json_integer(r->pipeline));
    return to;
}

static json_t *footprint_json(const struct result_footprint *f)
{
    if (!f)
        return json_null();
    json_t *to = json_object();
    put(to, "size_bytes", number(f->size_bytes));
    put(to, "start_ms", number(f->start_ms));
    put(to, "idle_bytes", number(f->idle_bytes));
    return to;
}

static json_t *fault_json(const struct result_fault *f)
{
    if (!f)
        return json_null();
    json_t *to = json_object();
    put(to, "what", json_string(f->what));
    put(to, "party", json_string(f->party));
    put(to, "text", json_string(f->text));
    put(to, "begin_s", json_real(f->begin_s));
    put(to, "end_s", json_real(f->end_s));
    put(to, "availability", json_real(f->availability));
    put(to, "recovered_s", number(f->recovered_s));
    return to;
}

static json_t *target_json(const struct result_target *t)
{
    const struct load_result *r = t->load;
    json_t *to = result_known_json(t);
    put(to, "connections_made", count(r->connections_made));
    put(to, "requests", requests_json(r));
    put(to, "statuses", statuses_json(r));
    put(to, "received_bytes", count(r->counts.received_bytes));
    put(to, "duration_s", json_real(r->duration_s));
    put(to, "rps", json_real(r->quoted_rps));
    put(to, "target_rps", number(r->target_rps));
    put(to, "held_rps", number(r->held_rps));
    put(to, "availability", json_real(load_availability(&r->counts)));
    put(to, "latency_us", distribution_json(r->quoted_latency));
    put(to, "service_time_us", distribution_json(r->quoted_service));
    put(to, "send_lag_us", distribution_json(r->quoted_send_lag));
    put(to, "histograms", histograms_json(r));
    put(to, "server_cpu_us_per_request", number(usage_sum(r, PARTY_TARGET).cpu_us_per_request));
    put(to, "parties", usage_sums_json(r));
    put(to, "footprint", footprint_json(t->footprint));
    put(to, "fault", fault_json(t->fault));
    put(to, "check", t->check ? json_incref(t->check) : json_null());
    put(to, "verdict", verdict_json(r));
    put(to, "expectations", expectations_json(&r->expected));
    put(to, "find_max", t->find_max ? find_max_json(t->find_max) : json_null());
    put(to, "series", result_series_json(r));
    return to;
}

/* --- the whole --- */

static json_t *command_json(const struct result *r)
{
    json_t *to = json_array();
    for (int i = 0; i < r->argc; i++) {
        struct text shown = {0};
        secret_mask(r->argv[i], &shown);
        CHECK(json_array_append_new(to, words(text_span(&shown).data)) == 0);
        text_free(&shown);
    }
    return to;
}

static json_t *figures_json(const struct result *r)
{
    json_t *to = json_array();
    for (unsigned i = 0; i < r->figure_count; i++) {
        const struct result_figure *figure = &r->figures[i];
        CHECK(json_array_append_new(to, json_pack("{s:o, s:s, s:f}", "contestant",
                                                  words(figure->contestant), "metric",
                                                  figure->metric, "value", figure->value)) == 0);
    }
    return to;
}

static json_t *scenario_json(const struct result *r)
{
    const struct load_result *first = r->target_count ? r->targets[0].load : NULL;
    json_t *to = json_object();
    put(to, "name", words(r->scenario));
    put(to, "load_model", first ? json_string(first->is_open ? "open" : "closed") : json_null());
    put(to, "published", words(r->published));
    put(to, "figures", figures_json(r));
    put(to, "services", words(r->services));
    put(to, "store", words(r->store));
    put(to, "cache", words(r->cache));
    put(to, "pg_batch", r->pg_batch ? json_integer(r->pg_batch) : json_null());
    return to;
}

/* The client of all targets is one; what is told of it is its hardest hour. */
static json_t *client_json(const struct result *r)
{
    double cpu_pct = 0, worst_pct = 0, starved_pct = 0, lag_us = 0, steal_pct = NAN;
    uint32_t threads = 0, connections = 0;
    for (unsigned i = 0; i < r->target_count; i++) {
        const struct load_result *l = r->targets[i].load;
        cpu_pct = fmax(cpu_pct, l->client_cpu_pct);
        worst_pct = fmax(worst_pct, l->client_cpu_pct_worst_thread);
        starved_pct = fmax(starved_pct, l->client_starved_pct_worst_thread);
        steal_pct = fmax(steal_pct, l->client_steal_pct); /* the one that is known */
        lag_us = fmax(lag_us, (double)l->send_lag_p99_ns / 1000);
        threads = l->threads;
        connections = l->connections;
    }
    json_t *to = json_object();
    put(to, "threads", json_integer(threads));
    put(to, "connections", json_integer(connections));
    put(to, "cpu_pct", json_real(cpu_pct));
    put(to, "cpu_pct_worst_thread", json_real(worst_pct));
    put(to, "starved_pct_worst_thread", json_real(starved_pct));
    put(to, "steal_pct", number(steal_pct));
    put(to, "send_lag_p99_us", json_real(lag_us));
    return to;
}

/* The worst verdict, and every reason; with several targets a reason says whose it is. */
static json_t *overall_verdict(const struct result *r)
{
    enum { REASONS_MAX = 64 };
    struct repeats_reason all[REASONS_MAX];
    enum load_verdict worst = LOAD_VALID;
    if (r->target_count == 1)
        return verdict_json(r->targets[0].load);
    json_t *reasons = json_array();
    for (unsigned i = 0; i < r->target_count; i++)
        if (r->targets[i].load->verdict > worst)
            worst = r->targets[i].load->verdict;
    unsigned count = repeats_reasons(r, all, REASONS_MAX);
    for (unsigned i = 0; i < count; i++) {
        struct text reason = {0};
        repeats_reason_text(&all[i], &reason);
        CHECK(json_array_append_new(reasons, words(reason.data)) == 0);
        text_free(&reason);
    }
    return json_pack("{s:s, s:o}", "status", verdict_names[worst], "reasons", reasons);
}

static json_t *figure_json(const struct repeats_figure *f)
{
    json_t *to = json_object();
    bool has_interval = isfinite(f->interval.low);
    put(to, "median", number(f->median));
    put(to, "interval",
        has_interval ? json_pack("[f, f]", f->interval.low, f->interval.high) : json_null());
    put(to, "races", json_integer(f->count));
    return to;
}

static json_t *side_json(const struct repeats_side *s)
{
    json_t *to = json_object(), *verdicts = json_object();
    for (unsigned i = 0; i < 3; i++)
        put(verdicts, verdict_names[i], json_integer(s->by_verdict[i]));
    put(to, "name", words(s->name));
    put(to, "races", json_integer(s->races));
    put(to, "verdicts", verdicts);
    for (unsigned i = 0; i < REPEATS_METRICS; i++)
        put(to, repeats_keys[i], figure_json(&s->figures[i]));
    return to;
}

static json_t *contestants_json(const struct result *r)
{
    struct repeats_side *sides = mem_need(r->target_count + 1, sizeof *sides);
    unsigned count = repeats_sides(r, sides);
    json_t *to = json_array();
    for (unsigned i = 0; i < count; i++)
        CHECK(json_array_append_new(to, side_json(&sides[i])) == 0);
    free(sides);
    return to;
}

static json_t *share_json(const struct result_share *s)
{
    if (s->cpus <= 0)
        return json_null();
    json_t *to = json_object();
    put(to, "cpus", json_real(s->cpus));
    put(to, "memory_bytes", count(s->memory_bytes));
    put(to, "quota_cpus", s->quota_cpus > 0 ? json_real(s->quota_cpus) : json_null());
    put(to, "memory_limit_bytes",
        s->limit_bytes == UINT64_MAX ? json_null() : count(s->limit_bytes));
    return to;
}

static json_t *shape_json(const struct result_shape *s)
{
    json_t *to = share_json(&s->target);
    if (!json_is_object(to))
        return to;
    put(to, "scale", json_real(s->scale));
    put(to, "postgres", share_json(&s->postgres));
    put(to, "memcached", share_json(&s->memcached));
    return to;
}

static json_t *races_json(const struct result *result)
{
    const struct result_races *r = &result->races;
    if (!r->repeats)
        return json_null();
    json_t *to = json_object(), *failures = json_array();
    for (unsigned i = 0; i < r->failure_count; i++) {
        const struct result_failure *one = &r->failures[i];
        json_t *failure = json_object();
        put(failure, "name", words(one->name));
        put(failure, "repeat", one->repeat ? json_integer(one->repeat) : json_null());
        put(failure, "skipped", json_boolean(one->is_skipped));
        put(failure, "reason", words(one->reason));
        CHECK(json_array_append_new(failures, failure) == 0);
    }
    put(to, "repeats", json_integer(r->repeats));
    put(to, "order_seed", json_integer(r->order_seed));
    put(to, "warmup_s", json_real((double)r->warmup_ns / NS_PER_S));
    put(to, "shape", shape_json(&r->shape));
    put(to, "failures", failures);
    put(to, "contestants", contestants_json(result));
    return to;
}

json_t *result_head_json(const struct result *r)
{
    char started[CLOCK_TEXT_BYTES];
    clock_text(r->target_count ? r->targets[0].load->started_us : clock_wall_us(), started);
    json_t *environment = environment_json(""), *to = json_object();
    put(environment, "pinning",
        r->pinning ? json_pack("{s:s}", "cores", r->pinning) : json_object());
    json_t *versions = json_object_get(environment, "versions");
    put(versions, "postgres", words(r->pg_version));
    put(versions, "memcached", words(r->memcached_version));
    put(to, "schema", json_string("iubench-result/1"));
    put(to, "iubench", json_string(IUBENCH_VERSION));
    put(to, "started", json_string(started));
    put(to, "command", command_json(r));
    put(to, "interrupted", json_boolean(r->is_interrupted));
    put(to, "environment", environment);
    put(to, "scenario", scenario_json(r));
    if (r->target_count && r->targets[0].load->shard.shard.is_given)
        put(to, "shard", merge_shard_json(r->targets[0].load));
    return to;
}

json_t *result_json(const struct result *r)
{
    json_t *to = result_head_json(r), *targets = json_array();
    for (unsigned i = 0; i < r->target_count; i++)
        CHECK(json_array_append_new(targets, target_json(&r->targets[i])) == 0);
    put(to, "races", races_json(r));
    put(to, "targets", targets);
    put(to, "client", client_json(r));
    put(to, "verdict", overall_verdict(r));
    return to;
}

/* --- written --- */

char *result_text(json_t *document)
{
    char *text = json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(RESULT_DIGITS));
    CHECK(text);
    json_decref(document);
    return text;
}

static bool dump(FILE *to, const void *document)
{
    return json_dumpf(document, to, JSON_INDENT(2) | JSON_REAL_PRECISION(RESULT_DIGITS)) == 0 &&
           fputc('\n', to) != EOF && fflush(to) == 0;
}

bool result_save(json_t *document, const char *path, struct fail *f)
{
    bool is_good = path ? file_write(path, dump, document, f) : dump(stdout, document);
    int why = errno;
    json_decref(document);
    if (!is_good && !path)
        fail_set(f, EXIT_FAILED, "the result could not be written: %s", strerror(why));
    return is_good;
}

bool result_write(const struct result *r, const char *path, struct fail *f)
{
    return result_save(result_json(r), path, f);
}
