/* Shards are read and held against each other; then each is added: counts, histograms, rows. What
 * cannot be added (a percentile without its buckets, a client's worst thread) is the greatest. */
#include "report/merge.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "load/verdict.h"
#include "report/differences.h"
#include "report/merge_priv.h"

static const int64_t START_APART_MAX_US = 1000000;

/* --- read --- */

static bool read_index(const struct read_node *shard, const char *key, uint32_t *out,
                       struct fail *f)
{
    uint64_t number;
    if (!read_count(shard, key, &number, f))
        return false;
    *out = (uint32_t)number;
    return number <= SHARDS_MAX ||
           read_fail(shard, key, f, "expected at most %d, found %" PRIu64, SHARDS_MAX, number);
}

static bool read_started(struct merge_part *part, struct fail *f)
{
    const char *text;
    if (!read_text(&part->root, "started", &text, f))
        return false;
    return clock_parse(text, &part->started_us) ||
           read_fail(&part->root, "started", f, "expected a time as 2026-11-20T17:00:00Z");
}

/* What merge_json() takes over as it stands. */
static bool has_what_is_kept(const struct merge_part *part, struct fail *f)
{
    struct read_node unused;
    double availability;
    return read_array(&part->root, "command", &unused, f) &&
           read_object(&part->root, "environment", &unused, f) &&
           read_number(&part->target, "availability", &availability, f);
}

static bool part_open(const char *path, struct merge_part *part, uint32_t *count, struct fail *f)
{
    struct read_node targets;
    uint32_t its_count;
    if (!read_open(path, &part->root, f))
        return false;
    if (!read_has(&part->root, "shard"))
        return read_fail(&part->root, NULL, f,
                         "it is no shard's result: only those of `iubench load --shard` can be "
                         "merged");
    if (!read_object(&part->root, "shard", &part->shard, f) ||
        !read_index(&part->shard, "index", &part->index, f) ||
        !read_index(&part->shard, "count", &its_count, f) ||
        !read_array(&part->root, "targets", &targets, f) || !read_started(part, f))
        return false;
    if (*count && its_count != *count)
        return read_fail(&part->shard, "count", f, "expected %u as in the others, found %u", *count,
                         its_count);
    *count = its_count;
    if (part->index >= *count)
        return read_fail(&part->shard, "index", f, "expected less than the count of %u", *count);
    if (json_array_size(targets.value) != 1)
        return read_fail(&targets, NULL, f, "expected one target, found %zu",
                         json_array_size(targets.value));
    return read_item(&targets, 0, &part->target, f) && has_what_is_kept(part, f);
}

/* --- held against each other --- */

static bool part_agrees(const struct merge_part *first, const struct merge_part *part,
                        struct fail *f)
{
    struct read_node a, b;
    struct text differences = {0};
    const char *a_id, *b_id;
    if (!read_object(&first->shard, "agrees_on", &a, f) ||
        !read_object(&part->shard, "agrees_on", &b, f) ||
        !read_line(&first->shard, "id", &a_id, f) || !read_line(&part->shard, "id", &b_id, f))
        return false;
    differences_add(&differences, "", a.value, first->root.file, b.value, part->root.file);
    if (!differences.len && strcmp(a_id, b_id) != 0)
        text_addf(&differences, "shard.id: %s in %s, %s in %s\n", a_id, first->root.file, b_id,
                  part->root.file);
    bool is_same = !differences.len;
    if (!is_same)
        read_fail(&part->root, NULL, f, "it is no shard of the same load as %s; %.*s",
                  first->root.file, (int)strcspn(differences.data, "\n"), differences.data);
    text_free(&differences);
    return is_same;
}

static bool part_is_simultaneous(const struct merge_part *first, const struct merge_part *part,
                                 struct fail *f)
{
    int64_t apart_us = part->started_us - first->started_us;
    return (apart_us <= START_APART_MAX_US && apart_us >= -START_APART_MAX_US) ||
           read_fail(&part->root, "started", f,
                     "it began %.3g s %s %s: shards load the target together; give all of them "
                     "the same --start-at",
                     fabs((double)apart_us) / 1e6, apart_us > 0 ? "after" : "before",
                     first->root.file);
}

static int by_index(const void *a, const void *b)
{
    const struct merge_part *x = a, *y = b;
    return (x->index > y->index) - (x->index < y->index);
}

static bool check_parts(struct merge *m, struct fail *f)
{
    for (unsigned i = 1; i < m->part_count; i++)
        if (!part_agrees(&m->parts[0], &m->parts[i], f))
            return false;
    for (unsigned i = 1; i < m->part_count; i++)
        for (unsigned j = 0; j < i; j++)
            if (!part_is_simultaneous(&m->parts[j], &m->parts[i], f))
                return false;
    qsort(m->parts, m->part_count, sizeof *m->parts, by_index);
    for (unsigned i = 1; i < m->part_count; i++)
        if (m->parts[i].index == m->parts[i - 1].index)
            return read_fail(&m->parts[i].shard, "index", f, "shard %u is there already, as %s",
                             m->parts[i].index, m->parts[i - 1].root.file);
    return true;
}

static void find_missing(struct merge *m)
{
    m->missing = mem_need(m->shard_count, sizeof *m->missing);
    for (uint32_t index = 0, at = 0; index < m->shard_count; index++)
        if (at < m->part_count && m->parts[at].index == index)
            at++;
        else
            m->missing[m->missing_count++] = index;
}

/* --- what is common --- */

static bool read_ramp(const struct read_node *target, struct clients_ramp *c, struct fail *f)
{
    struct read_node ramp;
    const char *think_is;
    uint64_t pods, stages;
    double stage_s, think_us;
    if (!read_has(target, "clients_ramp"))
        return true;
    if (!read_object(target, "clients_ramp", &ramp, f) || !read_count(&ramp, "pods", &pods, f) ||
        !read_count(&ramp, "clients_per_pod_max", &stages, f) ||
        !read_number(&ramp, "stage_s", &stage_s, f) ||
        !read_number(&ramp, "think_us", &think_us, f) ||
        !read_text(&ramp, "think_is", &think_is, f))
        return false;
    *c = (struct clients_ramp){.pods = (uint32_t)pods,
                               .stage_count = (uint32_t)stages,
                               .stage_ns = (uint64_t)llround(stage_s * NS_PER_S),
                               .think_ns = (uint64_t)llround(think_us * NS_PER_US),
                               .is_think_fixed = strcmp(think_is, "fixed") == 0};
    return true;
}

static bool read_common(const struct merge_part *part, struct load_result *to, struct fail *f)
{
    const struct read_node *t = &part->target;
    const char *url, *method, *arrivals = "";
    uint64_t seed, pipeline;
    double timeout_s;
    if (!read_line(t, "url", &url, f) || !read_line(t, "method", &method, f) ||
        !read_line(t, "model", &to->model, f) || !read_count(t, "seed", &seed, f) ||
        !read_count(t, "pipeline", &pipeline, f) || !read_number(t, "timeout_s", &timeout_s, f) ||
        !read_bool(t, "keepalive", &to->is_kept_alive, f) || !read_ramp(t, &to->clients, f) ||
        (read_has(t, "arrivals") && !read_text(t, "arrivals", &arrivals, f)))
        return false;
    snprintf(to->url, sizeof to->url, "%s", url);
    snprintf(to->method, sizeof to->method, "%s", method);
    to->is_open = *arrivals;
    to->arrivals = strcmp(arrivals, "poisson") == 0 ? LOAD_POISSON : LOAD_UNIFORM;
    to->seed = (uint32_t)seed;
    to->pipeline = (uint32_t)pipeline;
    to->timeout_ns = (uint64_t)llround(timeout_s * NS_PER_S);
    return true;
}

static bool read_expected(const struct merge_part *part, struct load_result *to, struct fail *f)
{
    struct read_node agrees_on;
    const char *expect;
    if (!read_object(&part->shard, "agrees_on", &agrees_on, f))
        return false;
    if (!read_has(&agrees_on, "expect"))
        return true;
    return read_text(&agrees_on, "expect", &expect, f) && expect_parse(expect, &to->expected, f);
}

/* --- counts --- */

/* The "requests" of a target, or a row of its series, which has no unfinished ones. */
static bool read_counts(const struct read_node *in, bool is_row, struct load_counts *c,
                        struct fail *f)
{
    struct read_node errors;
    *c = (struct load_counts){0};
    if ((read_has(in, "scheduled") && !read_count(in, "scheduled", &c->scheduled, f)) ||
        !read_count(in, "unsent", &c->unsent, f) || !read_count(in, "sent", &c->sent, f) ||
        !read_count(in, "ok", &c->ok, f) || !read_count(in, "timeouts", &c->timeouts, f) ||
        (!is_row && !read_count(in, "unfinished", &c->unfinished, f)) ||
        !read_object(in, "errors", &errors, f))
        return false;
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
        if (!read_count(&errors, load_error_names[i], &c->errors[i], f))
            return false;
    return true;
}

/* Of older documents they are not known. */
static bool add_statuses(const struct read_node *target, struct load_result *to, struct fail *f)
{
    struct read_node statuses;
    const char *key;
    json_t *value;
    if (!read_has(target, "statuses"))
        return true;
    if (!read_object(target, "statuses", &statuses, f))
        return false;
    json_object_foreach(statuses.value, key, value)
    {
        uint64_t status, number;
        if (!units_count(key, 0, LOAD_STATUSES - 1, &status, f))
            return read_fail(&statuses, key, f, "expected a status such as 404");
        if (!read_count(&statuses, key, &number, f))
            return false;
        to->statuses[status] += number;
    }
    return true;
}

static bool read_requests(const struct read_node *target, struct load_result *to, struct fail *f)
{
    struct read_node requests;
    struct load_counts c;
    if (!read_object(target, "requests", &requests, f) || !read_counts(&requests, false, &c, f) ||
        !read_count(target, "received_bytes", &c.received_bytes, f))
        return false;
    uint64_t sum = c.ok + c.timeouts + c.unfinished;
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
        sum += c.errors[i];
    if (sum != c.sent || (to->is_open && c.scheduled != c.sent + c.unsent))
        return read_fail(&requests, NULL, f,
                         "it does not add up: expected sent = ok + errors + timeouts + unfinished"
                         "%s",
                         to->is_open ? ", scheduled = sent + unsent" : "");
    load_counts_add(&to->counts, &c);
    return add_statuses(target, to, f);
}

/* --- histograms --- */

/* The encoding has min, max and sum only to the resolution of its buckets; the figures beside it have
 * them as they were. */
static bool sharpen(const struct read_node *target, const char *key, struct hist *h, struct fail *f)
{
    struct read_node figures;
    double min_us, max_us, mean_us;
    uint64_t number;
    if (!read_object(target, key, &figures, f) || !read_number(&figures, "min", &min_us, f) ||
        !read_number(&figures, "max", &max_us, f) || !read_number(&figures, "mean", &mean_us, f) ||
        !read_count(&figures, "count", &number, f))
        return false;
    if (number != h->count || !number)
        return true; /* figures of another stretch, or of nothing */
    uint64_t min_ns = (uint64_t)llround(min_us * 1000), max_ns = (uint64_t)llround(max_us * 1000);
    if (min_ns <= max_ns && hist_bucket(min_ns) == hist_bucket(h->min))
        h->min = min_ns;
    if (min_ns <= max_ns && hist_bucket(max_ns) == hist_bucket(h->max))
        h->max = max_ns;
    if (mean_us >= min_us && mean_us <= max_us)
        h->sum = mean_us * 1000 * (double)number;
    return true;
}

/* `figures`: the key of the target whose numbers are of this histogram. */
static bool add_histogram(const struct read_node *target, const char *key, const char *figures,
                          struct hist *to, struct fail *f)
{
    struct read_node histograms;
    struct hist *h = hist_new();
    bool is_good = read_object(target, "histograms", &histograms, f) &&
                   read_histogram(&histograms, key, h, f) && sharpen(target, figures, h, f);
    if (is_good)
        hist_merge(to, h);
    free(h);
    return is_good;
}

/* --- rows --- */

static bool add_buckets(const struct read_node *row, struct load_second *to, bool *has_all,
                        struct fail *f)
{
    struct read_node buckets;
    size_t i;
    json_t *pair;
    if (!read_has(row, "latency_buckets")) {
        *has_all = false;
        return true;
    }
    if (!read_array(row, "latency_buckets", &buckets, f))
        return false;
    json_array_foreach(buckets.value, i, pair)
    {
        double upper_us = json_number_value(json_array_get(pair, 0));
        json_int_t number = json_integer_value(json_array_get(pair, 1));
        double place = upper_us > 0 ? round(4 * log2(upper_us)) : -1;
        if (place < 0 || place >= HIST_COARSE_BUCKETS || number < 0 ||
            fabs((double)hist_coarse_upper_ns((unsigned)place) - upper_us * 1000) > 2)
            return read_fail(&buckets, NULL, f,
                             "expected [upper end in us, count], four buckets a doubling from 1 "
                             "us");
        to->latency_buckets[(unsigned)place] += (uint32_t)number;
    }
    return true;
}

static bool raise_ns(const struct read_node *row, const char *key, uint64_t *ns, struct fail *f)
{
    double us;
    if (!read_number(row, key, &us, f))
        return false;
    uint64_t its_ns = (uint64_t)llround(fmax(us, 0) * 1000);
    *ns = its_ns > *ns ? its_ns : *ns;
    return true;
}

static bool add_number(const struct read_node *row, const char *key, double *to, struct fail *f)
{
    double more;
    if (!read_number_or_nan(row, key, &more, f))
        return false;
    *to += more;
    return true;
}

static bool add_small(const struct read_node *row, const char *key, uint32_t *to, struct fail *f)
{
    uint64_t more = 0;
    if (read_has(row, key) && !read_count(row, key, &more, f))
        return false;
    *to += (uint32_t)more;
    return true;
}

static bool add_row(const struct read_node *row, struct load_second *to, bool *has_all,
                    struct fail *f)
{
    struct load_counts c;
    double length_s, cpu_pct;
    if (!read_counts(row, true, &c, f) || !read_number(row, "length_s", &length_s, f) ||
        !read_number(row, "client_cpu_pct", &cpu_pct, f))
        return false;
    if (length_s <= 0)
        return read_fail(row, "length_s", f, "expected more than 0 s");
    load_counts_add(&to->counts, &c);
    to->length_s = fmax(to->length_s, length_s);
    to->client_cpu_pct += cpu_pct;
    return raise_ns(row, "p50_us", &to->p50_ns, f) && raise_ns(row, "p90_us", &to->p90_ns, f) &&
           raise_ns(row, "p99_us", &to->p99_ns, f) && raise_ns(row, "p999_us", &to->p999_ns, f) &&
           raise_ns(row, "max_us", &to->max_ns, f) &&
           raise_ns(row, "send_lag_p99_us", &to->send_lag_p99_ns, f) &&
           add_number(row, "target_rps", &to->target_rps, f) &&
           add_number(row, "equivalent_rps", &to->equivalent_rps, f) &&
           add_small(row, "in_flight", &to->in_flight, f) &&
           add_small(row, "backlog", &to->backlog, f) &&
           add_small(row, "connections", &to->connections_open, f) &&
           add_small(row, "clients", &to->clients, f) && add_buckets(row, to, has_all, f);
}

static void grow_rows(struct merge *m, size_t count)
{
    struct load_result *r = &m->load;
    if (count <= r->second_count)
        return;
    r->seconds = realloc(r->seconds, count * sizeof *r->seconds);
    m->is_row_of_buckets = realloc(m->is_row_of_buckets, count * sizeof *m->is_row_of_buckets);
    CHECK(r->seconds && m->is_row_of_buckets);
    for (; r->second_count < count; r->second_count++) {
        m->is_row_of_buckets[r->second_count] = true;
        r->seconds[r->second_count] = (struct load_second){.t = r->second_count + 1,
                                                           .db_p99_us = NAN,
                                                           .cache_p99_us = NAN,
                                                           .db_errors = NAN,
                                                           .cache_errors = NAN,
                                                           .pool = -1,
                                                           .pool_in_flight = -1};
    }
}

static bool add_rows(struct merge *m, const struct read_node *target, struct fail *f)
{
    struct read_node series, row;
    uint64_t t;
    if (!read_array(target, "series", &series, f))
        return false;
    grow_rows(m, json_array_size(series.value));
    for (size_t i = 0; i < json_array_size(series.value); i++) {
        if (!read_item(&series, i, &row, f) || !read_count(&row, "t", &t, f))
            return false;
        if (t != i + 1)
            return read_fail(&row, "t", f, "expected %zu, a row for each second", i + 1);
        if (!add_row(&row, &m->load.seconds[i], &m->is_row_of_buckets[i], f))
            return false;
    }
    return true;
}

/* The upper end of the bucket in which the rank lies, but never above the greatest. */
static uint64_t bucket_percentile(const struct load_second *row, double percent)
{
    uint64_t count = 0, seen = 0;
    for (unsigned i = 0; i < HIST_COARSE_BUCKETS; i++)
        count += row->latency_buckets[i];
    double wanted = fmax(1, ceil(percent * (double)count / 100 * (1 - 0x1p-50)));
    for (unsigned i = 0; i < HIST_COARSE_BUCKETS && count; i++) {
        seen += row->latency_buckets[i];
        if ((double)seen >= wanted)
            return hist_coarse_upper_ns(i) < row->max_ns ? hist_coarse_upper_ns(i) : row->max_ns;
    }
    return row->max_ns;
}

static void finish_rows(struct merge *m)
{
    for (unsigned i = 0; i < m->load.second_count; i++) {
        struct load_second *row = &m->load.seconds[i];
        if (!m->is_row_of_buckets[i])
            continue;
        row->p50_ns = bucket_percentile(row, 50);
        row->p90_ns = bucket_percentile(row, 90);
        row->p99_ns = bucket_percentile(row, 99);
        row->p999_ns = bucket_percentile(row, 99.9);
    }
}

/* --- client and verdict --- */

static bool add_client(const struct merge_part *part, struct load_result *to, struct fail *f)
{
    struct read_node client;
    double cpu_pct, worst_pct, starved_pct, steal_pct, lag_us;
    uint64_t made;
    if (!read_object(&part->root, "client", &client, f) ||
        !add_small(&client, "threads", &to->threads, f) ||
        !add_small(&client, "connections", &to->connections, f) ||
        !read_number(&client, "cpu_pct", &cpu_pct, f) ||
        !read_number(&client, "cpu_pct_worst_thread", &worst_pct, f) ||
        !read_number_or_nan(&client, "starved_pct_worst_thread", &starved_pct, f) ||
        !read_number_or_nan(&client, "steal_pct", &steal_pct, f) ||
        !read_number(&client, "send_lag_p99_us", &lag_us, f) ||
        !read_count(&part->target, "connections_made", &made, f))
        return false;
    uint64_t lag_ns = (uint64_t)llround(fmax(lag_us, 0) * 1000);
    to->connections_made += made;
    to->client_cpu_pct += cpu_pct;
    to->client_cpu_pct_worst_thread = fmax(to->client_cpu_pct_worst_thread, worst_pct);
    to->client_starved_pct_worst_thread = fmax(to->client_starved_pct_worst_thread, starved_pct);
    to->client_steal_pct = fmax(to->client_steal_pct, steal_pct); /* the one that is known */
    to->send_lag_p99_ns = lag_ns > to->send_lag_p99_ns ? lag_ns : to->send_lag_p99_ns;
    return true;
}

/* The last place says how many more there are. */
static void add_reason(struct load_result *to, enum load_verdict verdict, const char *format, ...)
    PRINTF_LIKE(3, 4);
static void add_reason(struct load_result *to, enum load_verdict verdict, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!verdict_add(to, verdict, format, args))
        snprintf(to->reasons[to->reason_count - 1], sizeof *to->reasons,
                 "there are more reasons than are shown: see each shard's");
    va_end(args);
}

static void say_missing(struct merge *m)
{
    char list[128] = "";
    size_t len = 0;
    for (unsigned i = 0; i < m->missing_count && len < sizeof list - 16; i++)
        len += (size_t)snprintf(list + len, sizeof list - len, "%s%u", i ? ", " : "",
                                m->missing[i]);
    if (m->missing_count)
        add_reason(&m->load, LOAD_SUSPECT,
                   "%u of %u shards are missing (%s): this is what the others sent",
                   m->missing_count, m->shard_count, list);
}

static bool add_interruption(const struct merge_part *part, struct load_result *to, struct fail *f)
{
    bool is_interrupted;
    if (!read_bool(&part->root, "interrupted", &is_interrupted, f))
        return false;
    if (is_interrupted)
        add_reason(to, LOAD_SUSPECT, "shard %u was interrupted", part->index);
    to->is_interrupted |= is_interrupted;
    return true;
}

/* Nothing, if the shard's verdict is not `wanted`. */
static bool add_verdict(const struct merge_part *part, enum load_verdict wanted,
                        struct load_result *to, struct fail *f)
{
    struct read_node verdict, reasons;
    const char *status;
    size_t i;
    json_t *reason;
    if (!read_object(&part->target, "verdict", &verdict, f) ||
        !read_text(&verdict, "status", &status, f) || !read_array(&verdict, "reasons", &reasons, f))
        return false;
    enum load_verdict its = strcmp(status, "VALID") == 0     ? LOAD_VALID
                            : strcmp(status, "SUSPECT") == 0 ? LOAD_SUSPECT
                                                             : LOAD_INVALID;
    if (its != wanted)
        return true;
    json_array_foreach(reasons.value, i, reason)
    {
        char shown[256];
        const char *text = json_string_value(reason);
        add_reason(to, its, "shard %u: %s", part->index,
                   log_escape(span_of(text ? text : "?"), shown, sizeof shown));
    }
    if (its > to->verdict)
        to->verdict = its;
    return true;
}

/* What concerns the whole has been said, or is said here first: the shards' own reasons have the
 * places that are left, the worst before the others. */
static bool add_verdicts(struct merge *m, struct fail *f)
{
    static const enum load_verdict worst_first[] = {LOAD_INVALID, LOAD_SUSPECT, LOAD_VALID};
    for (unsigned i = 0; i < m->part_count; i++)
        if (!add_interruption(&m->parts[i], &m->load, f))
            return false;
    for (unsigned v = 0; v < sizeof worst_first / sizeof *worst_first; v++)
        for (unsigned i = 0; i < m->part_count; i++)
            if (!add_verdict(&m->parts[i], worst_first[v], &m->load, f))
                return false;
    return true;
}

/* --- what is quoted --- */

/* The step of a ramp that all shards held, as the sum of their parts of it; without such a step the
 * whole run. */
static bool read_held(const struct merge *m, double *held_from_s, double *least_rps, double *rps,
                      double *held_rps, bool *has_steps, struct fail *f)
{
    *rps = *held_rps = 0;
    *least_rps = INFINITY;
    for (unsigned i = 0; i < m->part_count; i++) {
        double from_s, part_rps, part_held_rps;
        if (!read_number_or_nan(&m->parts[i].shard, "held_from_s", &from_s, f) ||
            !read_number(&m->parts[i].target, "rps", &part_rps, f) ||
            !read_number_or_nan(&m->parts[i].target, "held_rps", &part_held_rps, f))
            return false;
        *held_from_s = i == 0 || from_s == *held_from_s ? from_s : NAN;
        *least_rps = fmin(*least_rps, part_held_rps);
        *rps += part_rps;
        *held_rps += part_held_rps;
    }
    *has_steps = !isnan(*held_rps);
    return true;
}

static bool add_quoted(struct merge *m, struct fail *f)
{
    struct load_result *to = &m->load;
    double held_from_s = NAN, least_rps, rps, held_rps;
    bool has_steps;
    if (!read_held(m, &held_from_s, &least_rps, &rps, &held_rps, &has_steps, f))
        return false;
    to->quoted_latency = to->latency;
    to->quoted_service = to->service;
    to->quoted_send_lag = to->send_lag;
    to->quoted_rps = to->duration_s > 0 ? (double)to->counts.ok / to->duration_s : 0;
    to->held_rps = has_steps ? least_rps * m->part_count : NAN;
    if (isnan(held_from_s)) {
        if (has_steps && least_rps > 0)
            add_reason(to, LOAD_SUSPECT,
                       "the shards held different steps: the rate is of the lowest, the "
                       "percentiles are of the whole run");
        return true;
    }
    to->held_rps = held_rps;
    to->quoted_rps = rps;
    to->quoted_latency = hist_new();
    to->quoted_service = hist_new();
    to->quoted_send_lag = hist_new();
    for (unsigned i = 0; i < m->part_count; i++) {
        const struct read_node *t = &m->parts[i].target;
        if (!add_histogram(t, "held_latency", "latency_us", to->quoted_latency, f) ||
            !add_histogram(t, "held_service_time", "service_time_us", to->quoted_service, f) ||
            !add_histogram(t, "held_send_lag", "send_lag_us", to->quoted_send_lag, f))
            return false;
    }
    return true;
}

/* --- together --- */

static bool add_part(struct merge *m, const struct merge_part *part, struct fail *f)
{
    struct load_result *to = &m->load;
    const struct read_node *t = &part->target;
    double duration_s, target_rps;
    if (!read_requests(t, to, f) || !read_number(t, "duration_s", &duration_s, f) ||
        !read_number_or_nan(t, "target_rps", &target_rps, f) ||
        !add_histogram(t, "latency", "latency_us", to->latency, f) ||
        !add_histogram(t, "service_time", "service_time_us", to->service, f) ||
        !add_histogram(t, "send_lag", "send_lag_us", to->send_lag, f) || !add_rows(m, t, f) ||
        !add_client(part, to, f))
        return false;
    to->duration_s = fmax(to->duration_s, duration_s);
    to->target_rps += target_rps;
    if (part->started_us < to->started_us)
        to->started_us = part->started_us;
    return true;
}

/* Two clocks may be apart by both their errors; one that nothing disciplines, by anything. */
static bool bound_by_kernels(struct merge *m, struct fail *f)
{
    double worst_us = 0, second_us = 0;
    for (unsigned i = 0; i < m->part_count; i++) {
        struct read_node clock;
        double error_us;
        bool is_synchronised = false;
        if (!read_object(&m->parts[i].shard, "clock", &clock, f) ||
            !read_number_or_nan(&clock, "error_max_us", &error_us, f) ||
            (read_has(&clock, "synchronised") &&
             !read_bool(&clock, "synchronised", &is_synchronised, f)))
            return false;
        if (!is_synchronised)
            error_us = NAN;
        bool is_worst = !(error_us <= worst_us);
        second_us = is_worst ? worst_us : fmax(second_us, error_us);
        worst_us = is_worst ? error_us : worst_us;
    }
    m->clocks_apart_us = worst_us + second_us;
    return true;
}

/* What one shard measured; NAN if it did not, or by another reference. */
static bool read_offset(const struct merge *m, const struct merge_part *part, double *low_us,
                        double *high_us, struct fail *f)
{
    struct read_node clock, offset;
    const char *reference;
    *low_us = *high_us = NAN;
    if (!read_object(&part->shard, "clock", &clock, f))
        return false;
    if (!m->reference || !read_has(&clock, "reference_ahead_us"))
        return true;
    if (!read_text(&clock, "reference", &reference, f) ||
        !read_array(&clock, "reference_ahead_us", &offset, f))
        return false;
    if (strcmp(reference, m->reference) == 0) {
        *low_us = json_number_value(json_array_get(offset.value, 0));
        *high_us = json_number_value(json_array_get(offset.value, 1));
    }
    return true;
}

/* Where all have measured themselves by one reference that counts, whatever their kernels say: at most
 * they are apart by the most that any two intervals allow. */
static bool measure_clocks(struct merge *m, struct fail *f)
{
    struct read_node clock;
    double least_us = INFINITY, most_us = -INFINITY;
    bool all_did = true;
    if (!read_object(&m->parts[0].shard, "clock", &clock, f) ||
        (read_has(&clock, "reference") && !read_text(&clock, "reference", &m->reference, f)))
        return false;
    for (unsigned i = 0; i < m->part_count; i++) {
        double low_us, high_us;
        if (!read_offset(m, &m->parts[i], &low_us, &high_us, f))
            return false;
        all_did &= !isnan(low_us);
        least_us = fmin(least_us, low_us);
        most_us = fmax(most_us, high_us);
    }
    m->clocks_apart_us = most_us - least_us;
    if (all_did)
        return true;
    m->reference = NULL;
    return bound_by_kernels(m, f);
}

/* What a shell opens for the output of a client stays empty when the client is lost. */
static bool is_left_empty(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode) && s.st_size == 0;
}

static bool open_parts(const struct cli_texts *files, struct merge *m, struct fail *f)
{
    for (size_t i = 0; i < files->count; i++)
        if (!is_left_empty(files->items[i]) &&
            !part_open(files->items[i], &m->parts[m->part_count++], &m->shard_count, f))
            return false;
    return m->part_count ||
           fail_set(f, EXIT_FAILED, "no shard has left a result: what is there is empty");
}

bool merge_files(const struct cli_texts *files, struct merge *m, struct fail *f)
{
    *m = (struct merge){.parts = mem_need(files->count, sizeof *m->parts)};
    m->load = (struct load_result){.latency = hist_new(),
                                   .service = hist_new(),
                                   .send_lag = hist_new(),
                                   .client_steal_pct = NAN,
                                   .started_us = INT64_MAX};
    if (!open_parts(files, m, f) || !check_parts(m, f) || !read_common(&m->parts[0], &m->load, f) ||
        !read_expected(&m->parts[0], &m->load, f))
        return false;
    find_missing(m);
    say_missing(m);
    for (unsigned i = 0; i < m->part_count; i++)
        if (!add_part(m, &m->parts[i], f))
            return false;
    finish_rows(m);
    if (!add_quoted(m, f) || !measure_clocks(m, f) || !add_verdicts(m, f))
        return false;
    expect_judge(&m->load.expected, &m->load);
    return true;
}

void merge_free(struct merge *m)
{
    for (unsigned i = 0; i < m->part_count; i++)
        read_close(&m->parts[i].root);
    load_result_free(&m->load);
    free(m->is_row_of_buckets);
    free(m->missing);
    free(m->parts);
}
