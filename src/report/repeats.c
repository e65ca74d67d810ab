/* Races stand in the order in which they were run, so a contestant's are collected by its name. */
#include "report/repeats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "report/compare.h"
#include "report/usage.h"
#include "stats/quantile.h"

const char *const repeats_keys[REPEATS_METRICS] = {
    "rps", "held_rps", "p50_us", "p99_us", "availability", "cpu_us_per_request", "memory_bytes",
};

/* --- figures --- */

static double value_of(const struct load_result *r, enum repeats_metric metric)
{
    struct usage_sum target = usage_sum(r, PARTY_TARGET);
    const struct hist *latency = r->quoted_latency;
    switch (metric) {
    case REPEATS_RPS:
        return r->quoted_rps;
    case REPEATS_HELD_RPS:
        return r->held_rps;
    case REPEATS_P50_US:
        return latency->count ? (double)hist_percentile(latency, 50) / 1000 : NAN;
    case REPEATS_P99_US:
        return latency->count ? (double)hist_percentile(latency, 99) / 1000 : NAN;
    case REPEATS_AVAILABILITY:
        return load_availability(&r->counts);
    case REPEATS_CPU_US:
        return target.cpu_us_per_request;
    default:
        return isnan(target.pss_bytes_max) ? target.rss_bytes_max : target.pss_bytes_max;
    }
}

static struct repeats_figure figure_of(const struct result *r, const char *name,
                                       enum repeats_metric metric)
{
    double *values = mem_need(r->target_count, sizeof *values);
    struct repeats_figure figure = {.median = NAN, .interval = {NAN, NAN}};
    struct rng rng;
    for (unsigned i = 0; i < r->target_count; i++) {
        double value = strcmp(r->targets[i].name, name) ? NAN
                                                        : value_of(r->targets[i].load, metric);
        if (isfinite(value))
            values[figure.count++] = value;
    }
    quantile_sort(values, figure.count);
    if (figure.count)
        figure.median = quantile_median(values, figure.count);
    rng_seed(&rng, 1);
    if (figure.count >= COMPARE_REPEATS_MIN)
        figure.interval = bootstrap_median(values, figure.count, &rng);
    free(values);
    return figure;
}

static struct repeats_side *side_of(struct repeats_side *sides, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(sides[i].name, name))
            return &sides[i];
    return NULL;
}

unsigned repeats_sides(const struct result *r, struct repeats_side *sides)
{
    unsigned count = 0;
    for (unsigned i = 0; i < r->target_count; i++) {
        const struct result_target *t = &r->targets[i];
        struct repeats_side *side = side_of(sides, count, t->name);
        if (!side) {
            side = &sides[count++];
            *side = (struct repeats_side){.name = t->name};
            for (unsigned m = 0; m < REPEATS_METRICS; m++)
                side->figures[m] = figure_of(r, t->name, (enum repeats_metric)m);
        }
        side->races++;
        side->by_verdict[t->load->verdict]++;
    }
    return count;
}

/* --- reasons --- */

/* Up to their first number, and that is most of what they say. */
static bool is_same(const char *a, const char *b)
{
    size_t len = strcspn(a, "0123456789");
    return len == strcspn(b, "0123456789") && strncmp(a, b, len) == 0;
}

static unsigned races_of(const struct result *r, const char *name)
{
    unsigned count = 0;
    for (unsigned i = 0; i < r->target_count; i++)
        count += !strcmp(r->targets[i].name, name);
    return count;
}

static struct repeats_reason *reason_of(struct repeats_reason *reasons, unsigned count,
                                        const char *name, const char *text)
{
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(reasons[i].name, name) && is_same(reasons[i].text, text))
            return &reasons[i];
    return NULL;
}

static int by_weight(const void *a, const void *b)
{
    const struct repeats_reason *x = a, *y = b;
    return x->verdict != y->verdict ? (int)y->verdict - (int)x->verdict
                                    : (int)y->races - (int)x->races;
}

unsigned repeats_reasons(const struct result *r, struct repeats_reason *reasons, unsigned most)
{
    unsigned count = 0;
    for (unsigned i = 0; i < r->target_count; i++) {
        const struct result_target *t = &r->targets[i];
        for (unsigned k = 0; k < t->load->reason_count; k++) {
            const char *text = t->load->reasons[k];
            struct repeats_reason *known = reason_of(reasons, count, t->name, text);
            if (!known && count == most)
                continue;
            if (!known) {
                known = &reasons[count++];
                *known = (struct repeats_reason){
                    .name = t->name, .text = text, .of = races_of(r, t->name)};
            }
            known->races++;
            if (t->load->reason_verdicts[k] > known->verdict)
                known->verdict = t->load->reason_verdicts[k];
        }
    }
    qsort(reasons, count, sizeof *reasons, by_weight);
    return count;
}

void repeats_reason_text(const struct repeats_reason *reason, struct text *out)
{
    text_addf(out, "%s", reason->name);
    if (reason->of > 1)
        text_addf(out, ", %u of %u races", reason->races, reason->of);
    text_addf(out, ": %s", reason->text);
}
