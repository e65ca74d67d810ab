/* Documents are read and dealt to sides; each side's repeats become figures; pairs of sides become
 * changes. What is said of them stands in compare_text.c and compare_json.c. */
#include "report/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "report/differences.h"
#include "stats/quantile.h"

const struct compare_metric_row compare_metrics[COMPARE_METRIC_COUNT] = {
#define X(id, name, heading, unit, is_more_better) {name, heading, unit, is_more_better},
    COMPARE_METRICS(X)
#undef X
};

const char *const compare_claims[] = {
    [COMPARE_UNKNOWN] = "unknown", [COMPARE_TOO_FEW] = "too few repeats",
    [COMPARE_INVALID] = "INVALID", [COMPARE_ALIKE] = "not distinguishable",
    [COMPARE_BETTER] = "better",   [COMPARE_WORSE] = "worse",
};

struct compare_input {
    struct read_node root, targets;
    char *label;     /* NULL: none was given */
    const char *set; /* label, file or "" */
};

/* --- read --- */

static bool input_open(const char *word, struct compare_input *in, struct fail *f)
{
    const char *path = read_label(word, &in->label);
    return read_open(path, &in->root, f) && read_array(&in->root, "targets", &in->targets, f) &&
           (json_array_size(in->targets.value) > 0 ||
            read_fail(&in->targets, NULL, f, "expected a target at least, found none"));
}

static bool has_target(const struct compare_input *in, const char *name)
{
    size_t i;
    json_t *target;
    json_array_foreach(in->targets.value, i, target)
    {
        const char *its = json_string_value(json_object_get(target, "name"));
        if (its && strcmp(its, name) == 0)
            return true;
    }
    return false;
}

static bool has_all_targets_of(const struct compare_input *in, const struct compare_input *other)
{
    size_t i;
    json_t *target;
    json_array_foreach(other->targets.value, i, target)
    {
        const char *name = json_string_value(json_object_get(target, "name"));
        if (name && !has_target(in, name))
            return false;
    }
    return true;
}

static void choose_sets(struct comparison *c)
{
    bool has_labels = false, has_same_targets = c->input_count > 1;
    for (unsigned i = 0; i < c->input_count; i++) {
        const struct compare_input *in = &c->inputs[i], *first = &c->inputs[0];
        has_labels |= in->label != NULL;
        has_same_targets &= has_all_targets_of(in, first) && has_all_targets_of(first, in);
    }
    for (unsigned i = 0; i < c->input_count; i++) {
        struct compare_input *in = &c->inputs[i];
        bool is_own = has_labels || has_same_targets;
        in->set = in->label ? in->label : is_own ? in->root.file : "";
    }
}

/* The same run twice would look like two that agree. */
static bool refuse_copies(const struct comparison *c, struct fail *f)
{
    for (unsigned i = 0; i < c->input_count; i++)
        for (unsigned j = 0; j < i; j++) {
            const struct compare_input *a = &c->inputs[j], *b = &c->inputs[i];
            if (strcmp(a->set, b->set) == 0 && json_equal(a->root.value, b->root.value))
                return read_fail(&b->root, NULL, f,
                                 "it is the same result as %s: a run is no repeat of itself",
                                 a->root.file);
        }
    return true;
}

/* --- dealt to sides --- */

static struct compare_side *side_of(struct comparison *c, const char *set, const char *target)
{
    for (unsigned i = 0; i < c->side_count; i++)
        if (!strcmp(c->sides[i].set, set) && !strcmp(c->sides[i].target, target))
            return &c->sides[i];
    c->sides = realloc(c->sides, (c->side_count + 1) * sizeof *c->sides);
    CHECK(c->sides);
    struct compare_side *side = &c->sides[c->side_count++];
    *side = (struct compare_side){.set = set, .target = target, .latency = hist_new()};
    return side;
}

/* A party's own figure, else the greatest of the series. */
static bool read_memory(const struct read_node *t, double *bytes, struct fail *f)
{
    struct read_node parties, party, series, row;
    *bytes = NAN;
    if (read_has(t, "parties") && !read_object(t, "parties", &parties, f))
        return false;
    if (read_has(t, "parties") && read_has(&parties, "target")) {
        if (!read_object(&parties, "target", &party, f) ||
            !read_number_or_nan(&party, "pss_bytes_max", bytes, f) ||
            (isnan(*bytes) && !read_number_or_nan(&party, "rss_bytes_max", bytes, f)))
            return false;
        if (!isnan(*bytes))
            return true;
    }
    if (!read_array(t, "series", &series, f))
        return false;
    for (size_t i = 0; i < json_array_size(series.value); i++) {
        double rss_bytes;
        if (!read_item(&series, i, &row, f) ||
            !read_number_or_nan(&row, "rss_bytes", &rss_bytes, f))
            return false;
        *bytes = fmax(*bytes, rss_bytes); /* the one that is known */
    }
    return true;
}

static bool read_latency(const struct read_node *t, double values[COMPARE_METRIC_COUNT],
                         struct fail *f)
{
    struct read_node latency;
    uint64_t count = 0;
    if (!read_object(t, "latency_us", &latency, f) || !read_count(&latency, "count", &count, f) ||
        !read_number(&latency, "p50", &values[COMPARE_P50], f) ||
        !read_number(&latency, "p99", &values[COMPARE_P99], f) ||
        !read_number(&latency, "p999", &values[COMPARE_P999], f))
        return false;
    /* one that no sample lies above is the maximum under another name */
    if (count < 1000)
        values[COMPARE_P999] = NAN;
    if (count < 100)
        values[COMPARE_P99] = NAN;
    if (!count)
        values[COMPARE_P50] = NAN;
    return true;
}

static bool read_values(const struct read_node *t, double values[COMPARE_METRIC_COUNT],
                        struct fail *f)
{
    struct read_node find_max;
    values[COMPARE_MAX_RATE] = NAN;
    if (read_has(t, "find_max") &&
        (!read_object(t, "find_max", &find_max, f) ||
         !read_number(&find_max, "max_rps", &values[COMPARE_MAX_RATE], f)))
        return false;
    return read_number(t, "rps", &values[COMPARE_RPS], f) &&
           read_number_or_nan(t, "held_rps", &values[COMPARE_HELD], f) &&
           read_latency(t, values, f) &&
           read_number(t, "availability", &values[COMPARE_AVAILABILITY], f) &&
           read_number_or_nan(t, "server_cpu_us_per_request", &values[COMPARE_CPU], f) &&
           read_memory(t, &values[COMPARE_MEMORY], f);
}

static bool add_verdict(struct compare_side *side, const struct read_node *t, struct fail *f)
{
    struct read_node verdict, reasons;
    const char *status;
    size_t i;
    json_t *reason;
    if (!read_object(t, "verdict", &verdict, f) || !read_text(&verdict, "status", &status, f) ||
        !read_array(&verdict, "reasons", &reasons, f))
        return false;
    bool is_invalid = strcmp(status, "INVALID") == 0, is_valid = strcmp(status, "VALID") == 0;
    if (!is_invalid && !is_valid && strcmp(status, "SUSPECT") != 0)
        return read_fail(&verdict, "status", f, "expected VALID, SUSPECT or INVALID");
    side->invalid_runs += is_invalid;
    side->suspect_runs += !is_invalid && !is_valid;
    json_array_foreach(reasons.value, i, reason)
    {
        char shown[512];
        const char *text = json_string_value(reason);
        text_addf(&side->reasons, "%s, run %u: %s\n", is_invalid ? "INVALID" : "SUSPECT",
                  side->runs, log_escape(span_of(text ? text : "?"), shown, sizeof shown));
    }
    return true;
}

static bool add_run(struct comparison *c, const struct compare_input *in, size_t index,
                    struct hist *latency, struct fail *f)
{
    struct read_node target, histograms;
    const char *name;
    double values[COMPARE_METRIC_COUNT];
    if (!read_item(&in->targets, index, &target, f) || !read_text(&target, "name", &name, f) ||
        !read_values(&target, values, f) || !read_object(&target, "histograms", &histograms, f) ||
        !read_histogram(&histograms, "latency", latency, f))
        return false;
    struct compare_side *side = side_of(c, in->set, name);
    if (!side->runs++) {
        side->document = in->root;
        side->first = target;
    }
    bool is_last = index + 1 == json_array_size(in->targets.value);
    if (is_last && json_is_true(json_object_get(in->root.value, "interrupted"))) {
        side->suspect_runs++;
        text_addf(&side->reasons, "SUSPECT, run %u: it was interrupted\n", side->runs);
    }
    hist_merge(side->latency, latency);
    for (unsigned i = 0; i < COMPARE_METRIC_COUNT; i++) {
        struct compare_figure *figure = &side->figures[i];
        if (isnan(values[i]))
            continue;
        figure->values = realloc(figure->values, (figure->count + 1) * sizeof *figure->values);
        CHECK(figure->values);
        figure->values[figure->count++] = values[i];
    }
    return add_verdict(side, &target, f);
}

static bool add_runs(struct comparison *c, struct fail *f)
{
    struct hist *latency = hist_new();
    bool is_good = true;
    for (unsigned i = 0; i < c->input_count && is_good; i++)
        for (size_t j = 0; j < json_array_size(c->inputs[i].targets.value) && is_good; j++)
            is_good = add_run(c, &c->inputs[i], j, latency, f);
    free(latency);
    return is_good;
}

static unsigned targets_in_set(const struct comparison *c, const char *set)
{
    unsigned count = 0;
    for (unsigned i = 0; i < c->side_count; i++)
        count += !strcmp(c->sides[i].set, set);
    return count;
}

/* The set if that says which, the target if there is but one set, else both. */
static void name_sides(struct comparison *c)
{
    for (unsigned i = 0; i < c->side_count; i++) {
        struct compare_side *side = &c->sides[i];
        char set[64], target[64];
        log_escape(span_of(side->set), set, sizeof set);
        log_escape(span_of(side->target), target, sizeof target);
        bool is_one = targets_in_set(c, side->set) == 1;
        if (!*set || !is_one)
            snprintf(side->name, sizeof side->name, "%s%s%s", set, *set ? " " : "", target);
        else
            snprintf(side->name, sizeof side->name, "%s", set);
    }
}

/* --- computed --- */

static void figure_finish(struct compare_figure *figure, struct rng *rng)
{
    figure->median = figure->interval.low = figure->interval.high = NAN;
    if (!figure->count)
        return;
    quantile_sort(figure->values, figure->count);
    figure->median = quantile_median(figure->values, figure->count);
    if (figure->count >= COMPARE_REPEATS_MIN)
        figure->interval = bootstrap_median(figure->values, figure->count, rng);
}

/* Without a ratio the ranks speak alone. */
static enum compare_claim judge(const struct compare_change *change, double base, double median,
                                bool is_more_better)
{
    bool is_apart = isnan(change->ratio) ? median != base
                                         : change->interval.low > 1 || change->interval.high < 1;
    if (!is_apart || change->ranks.p >= COMPARE_SIGNIFICANCE)
        return COMPARE_ALIKE;
    return (median > base) == is_more_better ? COMPARE_BETTER : COMPARE_WORSE;
}

static struct compare_change change_of(const struct compare_side *base,
                                       const struct compare_side *other, enum compare_metric metric,
                                       struct rng *rng)
{
    const struct compare_figure *a = &base->figures[metric], *b = &other->figures[metric];
    struct compare_change change = {
        .ratio = NAN, .interval = {NAN, NAN}, .ranks = {NAN, NAN, false}};
    if (!a->count || !b->count)
        return change;
    bool has_ratio = a->values[0] > 0;
    if (has_ratio)
        change.ratio = b->median / a->median;
    change.claim = COMPARE_TOO_FEW;
    if (a->count < COMPARE_REPEATS_MIN || b->count < COMPARE_REPEATS_MIN)
        return change;
    if (has_ratio)
        change.interval = bootstrap_ratio(a->values, a->count, b->values, b->count, rng);
    change.ranks = ranks_test(a->values, a->count, b->values, b->count);
    change.claim = base->invalid_runs || other->invalid_runs
                       ? COMPARE_INVALID
                       : judge(&change, a->median, b->median,
                               compare_metrics[metric].is_more_better);
    return change;
}

/* --- paired --- */

static json_t *batch_of(const json_t *document)
{
    return json_object_get(json_object_get(document, "scenario"), "pg_batch");
}

/* What runs have in common by intention: how they were loaded, and a commit for each insert. */
static void add_differences(struct comparison *c, const struct compare_side *a,
                            const struct compare_side *b)
{
    static const char *const keys[] = {"method",    "model",     "arrivals", "clients_ramp",
                                       "timeout_s", "keepalive", "pipeline", "target_rps"};
    const json_t *of_a = a->document.value, *of_b = b->document.value;
    for (unsigned i = 0; i < sizeof keys / sizeof *keys; i++)
        differences_add(&c->differences, keys[i], json_object_get(a->first.value, keys[i]), a->name,
                        json_object_get(b->first.value, keys[i]), b->name);
    differences_add(&c->differences, "connections",
                    json_object_get(json_object_get(of_a, "client"), "connections"), a->name,
                    json_object_get(json_object_get(of_b, "client"), "connections"), b->name);
    if (json_integer_value(batch_of(of_a)) > 1 || json_integer_value(batch_of(of_b)) > 1)
        differences_add(&c->differences, "inserts that may share a commit", batch_of(of_a), a->name,
                        batch_of(of_b), b->name);
    differences_add(&c->differences, "", json_object_get(of_a, "environment"), a->name,
                    json_object_get(of_b, "environment"), b->name);
}

/* The side of the first set that `other` is measured by; NULL if it has none. */
static const struct compare_side *base_of(const struct comparison *c,
                                          const struct compare_side *other)
{
    const char *first = c->sides[0].set;
    if (strcmp(first, other->set) == 0)
        return NULL;
    for (unsigned i = 0; i < c->side_count; i++)
        if (!strcmp(c->sides[i].set, first) && !strcmp(c->sides[i].target, other->target))
            return &c->sides[i];
    bool are_single = targets_in_set(c, first) == 1 && targets_in_set(c, other->set) == 1;
    return are_single ? &c->sides[0] : NULL;
}

static void compare_pairs(struct comparison *c, struct rng *rng)
{
    bool is_one_set = targets_in_set(c, c->sides[0].set) == c->side_count;
    c->pairs = mem_need(c->side_count, sizeof *c->pairs);
    for (unsigned i = 1; i < c->side_count; i++) {
        const struct compare_side *other = &c->sides[i];
        const struct compare_side *base = is_one_set ? &c->sides[0] : base_of(c, other);
        if (!base)
            continue;
        struct compare_pair *pair = &c->pairs[c->pair_count++];
        *pair = (struct compare_pair){.base = (unsigned)(base - c->sides), .other = i};
        for (unsigned j = 0; j < COMPARE_METRIC_COUNT; j++)
            pair->changes[j] = change_of(base, other, (enum compare_metric)j, rng);
        add_differences(c, base, other);
    }
}

bool compare_files(const struct cli_texts *files, uint32_t seed, struct comparison *c,
                   struct fail *f)
{
    struct rng rng;
    *c = (struct comparison){.seed = seed, .inputs = mem_need(files->count, sizeof *c->inputs)};
    for (; c->input_count < files->count; c->input_count++)
        if (!input_open(files->items[c->input_count], &c->inputs[c->input_count], f)) {
            c->input_count++; /* its label and document are there */
            return false;
        }
    choose_sets(c);
    if (!refuse_copies(c, f) || !add_runs(c, f))
        return false;
    name_sides(c);
    rng_seed(&rng, seed);
    for (unsigned i = 0; i < c->side_count; i++)
        for (unsigned j = 0; j < COMPARE_METRIC_COUNT; j++)
            figure_finish(&c->sides[i].figures[j], &rng);
    compare_pairs(c, &rng);
    return c->pair_count ||
           fail_set(f, EXIT_USAGE,
                    "there is nothing to compare: expected two results, or one of several "
                    "targets, found one target (label files to keep them apart: old=a.json "
                    "new=b.json)");
}

void compare_free(struct comparison *c)
{
    for (unsigned i = 0; i < c->side_count; i++) {
        for (unsigned j = 0; j < COMPARE_METRIC_COUNT; j++)
            free(c->sides[i].figures[j].values);
        text_free(&c->sides[i].reasons);
        free(c->sides[i].latency);
    }
    for (unsigned i = 0; i < c->input_count; i++) {
        read_close(&c->inputs[i].root);
        free(c->inputs[i].label);
    }
    text_free(&c->differences);
    free(c->sides);
    free(c->pairs);
    free(c->inputs);
    *c = (struct comparison){0};
}

bool compare_is_invalid(const struct comparison *c)
{
    for (unsigned i = 0; i < c->side_count; i++)
        if (c->sides[i].invalid_runs)
            return true;
    return false;
}
