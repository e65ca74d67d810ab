/* Values are read from the result that a run has left, whoever made it; then each row is computed by
 * itself. What is said of them stands in reproduction_text.c and reproduction_json.c. */
#include "report/reproduction.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "report/compare.h"
#include "report/read.h"
#include "stats/quantile.h"
#include "stats/ranks.h"

const struct reproduction_metric reproduction_metrics[] = {
    {"max_rps", "held rate", REPRODUCTION_PER_S, true, "held_rps"},
    {"rps", "requests/s", REPRODUCTION_PER_S, true, "rps"},
    {"mean_us", "mean latency", REPRODUCTION_US, false, "latency_us.mean"},
    {"p99_us", "latency p99", REPRODUCTION_US, false, "latency_us.p99"},
    {"size_bytes", "installed size", REPRODUCTION_BYTES, false, "footprint.size_bytes"},
    {"start_ms", "time to start", REPRODUCTION_MS, false, "footprint.start_ms"},
    {"idle_bytes", "memory idle", REPRODUCTION_BYTES, false, "footprint.idle_bytes"},
    {"memory_bytes", "memory under load", REPRODUCTION_BYTES, false,
     "parties.target.pss_bytes_max"},
    {0},
};

const struct reproduction_metric *reproduction_metric(const char *name)
{
    for (const struct reproduction_metric *metric = reproduction_metrics; metric->name; metric++)
        if (strcmp(metric->name, name) == 0)
            return metric;
    return NULL;
}

const char *const reproduction_outcomes[] = {
    [REPRODUCTION_INCOMPARABLE] = "not comparable",
    [REPRODUCTION_ALIKE] = "not distinguishable",
    [REPRODUCTION_REVERSED] = "reversed",
    [REPRODUCTION_REPRODUCED] = "reproduced",
    [REPRODUCTION_LARGER] = "larger",
    [REPRODUCTION_SMALLER] = "smaller",
};

const char reproduction_definition[] =
    "A ratio says how many times as good the second contestant is as the first, by medians of the "
    "repeats, with the 95 % bootstrap interval. Reproduced: the published ratio lies within the "
    "interval, or is at most 1.5 times the measured one and at least 1/1.5 of it. Larger, smaller: "
    "the measured ratio is, by more than that. Reversed: it is below 1. Not distinguishable: the "
    "interval holds 1, or the rank test finds p >= 0.05. Not comparable: no ratio was published, "
    "none was measured, or a run is INVALID. An interval from 4 repeats can hold its true median "
    "in "
    "87.5 % of all cases at the most, from 5 in 93.8 %.";

enum reproduction_outcome reproduction_outcome(struct interval published, double ratio,
                                               struct interval interval, double p)
{
    if (isnan(published.low) || isnan(ratio) || isnan(interval.low) || isnan(p))
        return REPRODUCTION_INCOMPARABLE;
    if ((interval.low <= 1 && interval.high >= 1) || p >= COMPARE_SIGNIFICANCE)
        return REPRODUCTION_ALIKE;
    if (ratio < 1)
        return REPRODUCTION_REVERSED;
    bool is_within = published.low <= interval.high && published.high >= interval.low;
    bool is_near = published.low <= ratio * REPRODUCTION_FACTOR &&
                   published.high >= ratio / REPRODUCTION_FACTOR;
    if (is_within || is_near)
        return REPRODUCTION_REPRODUCED;
    return ratio > published.high ? REPRODUCTION_LARGER : REPRODUCTION_SMALLER;
}

/* --- rows --- */

struct reproduction_row *reproduction_add(struct reproduction *r)
{
    static const struct interval unknown = {NAN, NAN};
    r->rows = realloc(r->rows, (r->row_count + 1) * sizeof *r->rows);
    CHECK(r->rows);
    struct reproduction_row *row = &r->rows[r->row_count++];
    *row = (struct reproduction_row){
        .ratio_published = unknown, .ratio = NAN, .ratio_interval = unknown, .p = NAN};
    for (unsigned i = 0; i < REPRODUCTION_CONTESTANTS_MAX; i++)
        row->contestants[i] = (struct reproduction_contestant){
            .published = NAN, .median = NAN, .interval = unknown};
    return row;
}

void reproduction_free(struct reproduction *r)
{
    for (unsigned i = 0; i < r->row_count; i++)
        for (unsigned j = 0; j < REPRODUCTION_CONTESTANTS_MAX; j++)
            free(r->rows[i].contestants[j].values);
    free(r->rows);
    *r = (struct reproduction){0};
}

/* --- read --- */

static struct reproduction_contestant *contestant_of(struct reproduction_row *row, const char *name)
{
    for (unsigned i = 0; i < row->contestant_count; i++)
        if (strcmp(row->contestants[i].name, name) == 0)
            return &row->contestants[i];
    return NULL;
}

/* "a.b.c"; null or nothing on the way: NAN. */
static bool read_path(const struct read_node *in, const char *path, double *value, struct fail *f)
{
    char key[32];
    struct read_node next;
    const char *dot = strchr(path, '.');
    *value = NAN;
    if (!dot)
        return read_number_or_nan(in, path, value, f);
    snprintf(key, sizeof key, "%.*s", (int)(dot - path), path);
    return !read_has(in, key) ||
           (read_object(in, key, &next, f) && read_path(&next, dot + 1, value, f));
}

static bool read_target(struct reproduction_row *row, const struct read_node *target,
                        struct fail *f)
{
    struct read_node verdict;
    const char *name, *status;
    double value;
    if (!read_text(target, "name", &name, f) || !read_object(target, "verdict", &verdict, f) ||
        !read_text(&verdict, "status", &status, f) ||
        !read_path(target, row->metric->path, &value, f))
        return false;
    struct reproduction_contestant *c = contestant_of(row, name);
    if (!c)
        return true;
    c->run_count++;
    c->invalid_count += strcmp(status, "INVALID") == 0;
    if (isnan(value))
        return true;
    c->values = realloc(c->values, (c->count + 1) * sizeof *c->values);
    CHECK(c->values);
    c->values[c->count++] = value;
    return true;
}

static bool read_failure(struct reproduction_row *row, const struct read_node *failure,
                         struct fail *f)
{
    const char *name, *reason;
    bool is_skipped;
    if (!read_text(failure, "name", &name, f) || !read_text(failure, "reason", &reason, f) ||
        !read_bool(failure, "skipped", &is_skipped, f))
        return false;
    struct reproduction_contestant *c = contestant_of(row, name);
    if (c)
        snprintf(c->lack, sizeof c->lack, "%s: %.480s", is_skipped ? "was skipped" : "failed",
                 reason);
    return true;
}

static bool read_each(struct reproduction_row *row, const struct read_node *in, const char *key,
                      bool (*read)(struct reproduction_row *row, const struct read_node *item,
                                   struct fail *f),
                      struct fail *f)
{
    struct read_node array, item;
    if (!read_array(in, key, &array, f))
        return false;
    for (size_t i = 0; i < json_array_size(array.value); i++)
        if (!read_item(&array, i, &item, f) || !read(row, &item, f))
            return false;
    return true;
}

bool reproduction_read(struct reproduction_row *row, const char *file, struct fail *f)
{
    struct read_node root, races;
    if (!read_open(file, &root, f))
        return false;
    bool is_good = read_each(row, &root, "targets", read_target, f) &&
                   (!read_has(&root, "races") ||
                    (read_object(&root, "races", &races, f) &&
                     read_each(row, &races, "failures", read_failure, f)));
    read_close(&root);
    return is_good;
}

/* --- computed --- */

static void summarise(struct reproduction_contestant *c, struct rng *rng)
{
    if (!c->count)
        return;
    quantile_sort(c->values, c->count);
    c->median = quantile_median(c->values, c->count);
    if (c->count >= COMPARE_REPEATS_MIN)
        c->interval = bootstrap_median(c->values, c->count, rng);
}

/* Whether a contestant's numbers can make a ratio; if not the note says why. */
static bool has_ratio(struct reproduction_row *row, const struct reproduction_contestant *c)
{
    char *note = row->note;
    if (c->lack[0])
        snprintf(note, sizeof row->note, "%s %s", c->name, c->lack);
    else if (c->count < COMPARE_REPEATS_MIN)
        snprintf(note, sizeof row->note, "%s has %u values, and %d are needed", c->name, c->count,
                 COMPARE_REPEATS_MIN);
    else if (c->values[0] <= 0)
        snprintf(note, sizeof row->note, "%s measured 0 in some runs: %s", c->name,
                 row->metric->is_more_better ? "it held no rate, or answered nothing in time"
                                             : "too little to be seen");
    return !note[0];
}

/* What a contestant weighs is not the load's. */
static bool is_valid(struct reproduction_row *row, const struct reproduction_contestant *c)
{
    if (c->invalid_count && strncmp(row->metric->path, "footprint.", 10) != 0)
        snprintf(row->note, sizeof row->note,
                 "%u of %u runs of %s are INVALID (the report says why)", c->invalid_count,
                 c->run_count, c->name);
    return !row->note[0];
}

static void compute_ratio(struct reproduction_row *row, struct rng *rng)
{
    const struct reproduction_contestant *first = &row->contestants[0],
                                         *second = &row->contestants[1];
    const struct reproduction_contestant *below = row->metric->is_more_better ? first : second,
                                         *above = row->metric->is_more_better ? second : first;
    row->ratio = above->median / below->median;
    row->ratio_interval = bootstrap_ratio(below->values, below->count, above->values, above->count,
                                          rng);
    row->p = ranks_test(first->values, first->count, second->values, second->count).p;
}

void reproduction_judge(struct reproduction_row *row, uint32_t seed)
{
    struct rng rng;
    const struct reproduction_contestant *first = &row->contestants[0],
                                         *second = &row->contestants[1];
    rng_seed(&rng, seed);
    for (unsigned i = 0; i < row->contestant_count; i++)
        summarise(&row->contestants[i], &rng);
    if (row->note[0] || !has_ratio(row, first) || !has_ratio(row, second))
        return;
    compute_ratio(row, &rng);
    if (!is_valid(row, first) || !is_valid(row, second))
        return;
    row->outcome = reproduction_outcome(row->ratio_published, row->ratio, row->ratio_interval,
                                        row->p);
    if (isnan(row->ratio_published.low))
        snprintf(row->note, sizeof row->note, "no ratio was published: measured only");
}
