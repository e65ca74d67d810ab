/* A comparison as a document; NAN becomes null. */
#include "report/compare.h"

#include <math.h>

#include "report/json_priv.h"
#include "version.h"

static json_t *interval_json(struct interval i)
{
    return isfinite(i.low) && isfinite(i.high) ? json_pack("[f, f]", i.low, i.high) : json_null();
}

static void append(json_t *array, json_t *value)
{
    CHECK(json_array_append_new(array, value) == 0);
}

static json_t *lines_json(const struct text *text)
{
    json_t *lines = json_array();
    for (const char *line = text->data; line && *line;) {
        size_t len = strcspn(line, "\n");
        append(lines, json_stringn(line, len));
        line += len + (line[len] == '\n');
    }
    return lines;
}

static json_t *figure_json(const struct compare_figure *figure)
{
    json_t *values = json_array(), *to = json_object();
    for (unsigned i = 0; i < figure->count; i++)
        append(values, number(figure->values[i]));
    put(to, "median", number(figure->median));
    put(to, "interval", interval_json(figure->interval));
    put(to, "values", values);
    return to;
}

static json_t *latency_json(const struct hist *h)
{
    struct text t = {0};
    hist_encode(h, &t);
    json_t *to = json_object();
    put(to, "count", json_integer((json_int_t)h->count));
    put(to, "unit", json_string("ns"));
    put(to, "histogram", json_stringn(t.data, t.len));
    text_free(&t);
    return to;
}

static json_t *side_json(const struct compare_side *side)
{
    json_t *metrics = json_object(), *to = json_object();
    for (unsigned i = 0; i < COMPARE_METRIC_COUNT; i++)
        put(metrics, compare_metrics[i].name, figure_json(&side->figures[i]));
    put(to, "name", json_string(side->name));
    put(to, "set", words(side->set));
    put(to, "target", json_string(side->target));
    put(to, "runs", json_integer(side->runs));
    put(to, "invalid_runs", json_integer(side->invalid_runs));
    put(to, "suspect_runs", json_integer(side->suspect_runs));
    put(to, "reasons", lines_json(&side->reasons));
    put(to, "metrics", metrics);
    put(to, "latency", latency_json(side->latency));
    return to;
}

static json_t *change_json(const struct compare_change *change)
{
    json_t *to = json_object();
    put(to, "ratio", number(change->ratio));
    put(to, "interval", interval_json(change->interval));
    put(to, "u", number(change->ranks.u));
    put(to, "p", number(change->ranks.p));
    put(to, "exact", json_boolean(change->ranks.is_exact));
    put(to, "claim", json_string(compare_claims[change->claim]));
    return to;
}

static json_t *pair_json(const struct compare_pair *pair, const struct compare_bounds *b)
{
    json_t *changes = json_object(), *expectations = json_array(), *to = json_object();
    for (unsigned i = 0; i < COMPARE_METRIC_COUNT; i++)
        put(changes, compare_metrics[i].name, change_json(&pair->changes[i]));
    for (unsigned i = 0; i < b->count; i++)
        append(expectations,
               json_pack("{s:s, s:s, s:f, s:o, s:b}", "text", b->items[i].text, "metric",
                         compare_metrics[b->items[i].metric].name, "bound_ratio", b->items[i].ratio,
                         "measured_ratio", number(pair->changes[b->items[i].metric].ratio), "met",
                         compare_bound_is_met(&b->items[i], pair)));
    put(to, "base", json_integer(pair->base));
    put(to, "other", json_integer(pair->other));
    put(to, "changes", changes);
    put(to, "expectations", expectations);
    return to;
}

static json_t *whole_json(const struct comparison *c, const struct compare_bounds *b)
{
    json_t *sides = json_array(), *pairs = json_array(), *units = json_object(),
           *to = json_object();
    static const char *const names[] = {
        [COMPARE_PER_S] = "/s", [COMPARE_US] = "us", [COMPARE_SHARE] = "1", [COMPARE_BYTES] = "B"};
    for (unsigned i = 0; i < COMPARE_METRIC_COUNT; i++)
        put(units, compare_metrics[i].name, json_string(names[compare_metrics[i].unit]));
    for (unsigned i = 0; i < c->side_count; i++)
        append(sides, side_json(&c->sides[i]));
    for (unsigned i = 0; i < c->pair_count; i++)
        append(pairs, pair_json(&c->pairs[i], b));
    put(to, "schema", json_string("iubench-comparison/1"));
    put(to, "iubench", json_string(IUBENCH_VERSION));
    put(to, "seed", json_integer(c->seed));
    put(to, "confidence", json_real(BOOTSTRAP_CONFIDENCE));
    put(to, "resamples", json_integer(BOOTSTRAP_ROUNDS));
    put(to, "significance", json_real(COMPARE_SIGNIFICANCE));
    put(to, "repeats_needed", json_integer(COMPARE_REPEATS_MIN));
    put(to, "units", units);
    put(to, "sides", sides);
    put(to, "pairs", pairs);
    put(to, "differences", lines_json(&c->differences));
    return to;
}

bool compare_json(const struct comparison *c, const struct compare_bounds *b, FILE *to)
{
    json_t *document = whole_json(c, b);
    bool is_good = json_dumpf(document, to, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) == 0 &&
                   fputc('\n', to) != EOF && fflush(to) == 0;
    json_decref(document);
    return is_good;
}
