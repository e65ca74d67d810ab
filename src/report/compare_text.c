/* A comparison as a page for a terminal and as Markdown: the same cells, set differently. */
#include "report/compare.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "report/markdown.h"
#include "report/shown.h"

enum { CELL_BYTES = 96, HEADING_WIDTH = 20, COLUMN_WIDTH = 22, RATIO_WIDTH = 18 };

/* Percentiles of all requests of a side; one needs ten requests above it. */
static const struct {
    const char *name;
    double percent;
} percentiles[] = {{"p50", 50},     {"p90", 90},       {"p99", 99},
                   {"p99.9", 99.9}, {"p99.99", 99.99}, {"p99.999", 99.999}};
enum { PERCENTILE_COUNT = sizeof percentiles / sizeof *percentiles, SAMPLES_ABOVE_MIN = 10 };

/* --- cells --- */

static const char *value_text(enum compare_unit unit, double value, char out[CELL_BYTES])
{
    if (isnan(value))
        return "-";
    switch (unit) {
    case COMPARE_PER_S:
        return shown_rate(value, out);
    case COMPARE_US:
        return units_latency_text((uint64_t)fmax(0, fmin(value * NS_PER_US, 1e18)), out);
    case COMPARE_SHARE:
        return shown_share(value, out);
    case COMPARE_BYTES:
        return shown_bytes(value, out);
    }
    return "-";
}

/* "12 200 to 12 500"; "" where there is none. */
static const char *range_text(enum compare_unit unit, struct interval i, char out[CELL_BYTES])
{
    char low[CELL_BYTES], high[CELL_BYTES];
    if (isnan(i.low))
        return "";
    snprintf(out, CELL_BYTES, "%.40s to %.40s", value_text(unit, i.low, low),
             value_text(unit, i.high, high));
    return out;
}

static const char *ratio_text(double ratio, char out[CELL_BYTES])
{
    if (isnan(ratio))
        return "-";
    snprintf(out, CELL_BYTES, "%.4g", ratio);
    return out;
}

static const char *ratio_range_text(struct interval i, char out[CELL_BYTES])
{
    if (isnan(i.low))
        return "";
    snprintf(out, CELL_BYTES, "%.4g to %.4g", i.low, i.high);
    return out;
}

static const char *claim_text(const struct compare_change *change, char out[CELL_BYTES])
{
    if (isnan(change->ranks.p))
        snprintf(out, CELL_BYTES, "%s", compare_claims[change->claim]);
    else
        snprintf(out, CELL_BYTES, "%s%s, p = %.2g", compare_claims[change->claim],
                 change->claim == COMPARE_INVALID ? ": no claim" : "", change->ranks.p);
    return out;
}

static bool is_known(const struct compare_side *a, const struct compare_side *b,
                     enum compare_metric metric)
{
    return a->figures[metric].count || b->figures[metric].count;
}

static bool has_percentile(const struct hist *h, double percent)
{
    return (double)h->count * (100 - percent) / 100 >= SAMPLES_ABOVE_MIN;
}

static const char *percentile_text(const struct hist *h, double percent, char out[CELL_BYTES])
{
    return value_text(
        COMPARE_US,
        has_percentile(h, percent) ? (double)hist_percentile(h, percent) / NS_PER_US : NAN, out);
}

/* Files and URLs differ at their ends. */
static const char *heading_text(const struct compare_side *side, char out[CELL_BYTES])
{
    size_t len = strlen(side->name), room = COLUMN_WIDTH - 2;
    bool is_long = len > room;
    snprintf(out, CELL_BYTES, "%s%.*s", is_long ? ".." : "", (int)room,
             side->name + (is_long ? len - (room - 2) : 0));
    return out;
}

/* --- notes, the same in both --- */

static void add_side_note(const struct compare_side *side, struct text *out)
{
    char target[CELL_BYTES];
    text_addf(out, "%s: %u run%s of %s", side->name, side->runs, side->runs == 1 ? "" : "s",
              log_escape(span_of(side->target), target, sizeof target));
    if (side->invalid_runs)
        text_addf(out, ", %u INVALID", side->invalid_runs);
    if (side->suspect_runs)
        text_addf(out, ", %u SUSPECT", side->suspect_runs);
    text_addf(out, "\n");
}

static unsigned fewest_runs(const struct comparison *c)
{
    unsigned fewest = c->sides[0].runs;
    for (unsigned i = 1; i < c->side_count; i++)
        if (c->sides[i].runs < fewest)
            fewest = c->sides[i].runs;
    return fewest;
}

/* How the figures came about and how far they go. */
static void add_method(const struct comparison *c, struct text *out)
{
    unsigned fewest = fewest_runs(c);
    if (fewest < COMPARE_REPEATS_MIN)
        text_addf(out,
                  "%u run%s of a side: nothing is claimed where there are fewer than %d of each; "
                  "what differs may be chance\n",
                  fewest, fewest == 1 ? "" : "s", COMPARE_REPEATS_MIN);
    text_addf(out,
              "medians of the runs; intervals by %d resamples at %.0f %% (seed %u); p by the exact "
              "rank test up to %d runs\n",
              BOOTSTRAP_ROUNDS, BOOTSTRAP_CONFIDENCE * 100, c->seed, RANKS_EXACT_MAX);
    if (fewest >= COMPARE_REPEATS_MIN && bootstrap_coverage_max(fewest) < BOOTSTRAP_CONFIDENCE)
        text_addf(out,
                  "an interval from %u runs can hold their true median in %.1f %% of all cases at "
                  "the most\n",
                  fewest, bootstrap_coverage_max(fewest) * 100);
    if (fewest >= COMPARE_REPEATS_MIN)
        text_addf(out, "each p stands for itself: of twenty metrics that are alike one comes "
                       "below 0.05 by chance\n");
}

static void add_bound(const struct comparison *c, const struct compare_pair *pair,
                      const struct compare_bound *b, struct text *out)
{
    const struct compare_change *change = &pair->changes[b->metric];
    char ratio[CELL_BYTES];
    text_addf(out, "%s: %s %s, ", c->sides[pair->other].name, b->text,
              compare_bound_is_met(b, pair) ? "met" : "NOT MET");
    if (isnan(change->ratio))
        text_addf(out, "nothing to measure it by\n");
    else
        text_addf(out, "%s (%+.2f %%), %s\n", ratio_text(change->ratio, ratio),
                  (change->ratio - 1) * 100, compare_claims[change->claim]);
}

/* Each line of `text`; in Markdown, where it is words of others, without a meaning. */
static void print_lines(const struct text *text, bool is_markdown, FILE *to)
{
    for (char *line = text->data, *end; line && *line; line = end + 1) {
        struct text shown = {0};
        end = strchr(line, '\n');
        *end = 0;
        if (is_markdown)
            markdown_text(line, &shown);
        fprintf(to, "%s%s\n", is_markdown ? "- " : "  ", is_markdown ? shown.data : line);
        *end = '\n';
        text_free(&shown);
    }
}

static void print_section(const char *heading, bool is_markdown, const struct text *text, FILE *to)
{
    if (!text->len)
        return;
    fprintf(to, "\n%s\n%s", heading, is_markdown ? "\n" : "");
    print_lines(text, is_markdown, to);
}

static void print_notes(const struct comparison *c, const struct compare_bounds *b,
                        bool is_markdown, FILE *to)
{
    struct text sides = {0}, reasons = {0}, bounds = {0}, method = {0};
    for (unsigned i = 0; i < c->side_count; i++) {
        const struct compare_side *side = &c->sides[i];
        add_side_note(side, &sides);
        for (const char *line = side->reasons.data; line && *line;) {
            const char *end = strchrnul(line, '\n');
            text_addf(&reasons, "%s: %.*s\n", side->name, (int)(end - line), line);
            line = *end ? end + 1 : end;
        }
    }
    for (unsigned i = 0; i < c->pair_count; i++)
        for (unsigned j = 0; j < b->count; j++)
            add_bound(c, &c->pairs[i], &b->items[j], &bounds);
    add_method(c, &method);
    print_section("compared", is_markdown, &sides, to);
    print_section("verdicts", is_markdown, &reasons, to);
    print_section("made under different conditions", is_markdown, &c->differences, to);
    print_section("expected", is_markdown, &bounds, to);
    print_section("how to read this", is_markdown, &method, to);
    text_free(&sides);
    text_free(&reasons);
    text_free(&bounds);
    text_free(&method);
}

/* --- for a terminal --- */

static void print_row(const struct compare_side *a, const struct compare_side *b,
                      const struct compare_change *change, enum compare_metric metric, FILE *to)
{
    const struct compare_metric_row *m = &compare_metrics[metric];
    const struct compare_figure *of_a = &a->figures[metric], *of_b = &b->figures[metric];
    char one[CELL_BYTES], two[CELL_BYTES], ratio[CELL_BYTES], claim[CELL_BYTES];
    fprintf(to, "%-*s%-*s%-*s%-*s%s\n", HEADING_WIDTH, m->heading, COLUMN_WIDTH,
            value_text(m->unit, of_a->median, one), COLUMN_WIDTH,
            value_text(m->unit, of_b->median, two), RATIO_WIDTH, ratio_text(change->ratio, ratio),
            claim_text(change, claim));
    if (isnan(of_a->interval.low) && isnan(of_b->interval.low))
        return;
    fprintf(to, "%-*s%-*s%-*s%s\n", HEADING_WIDTH, "", COLUMN_WIDTH,
            range_text(m->unit, of_a->interval, one), COLUMN_WIDTH,
            range_text(m->unit, of_b->interval, two), ratio_range_text(change->interval, ratio));
}

static void print_percentiles(const struct compare_side *a, const struct compare_side *b, FILE *to)
{
    char one[CELL_BYTES], two[CELL_BYTES];
    fprintf(to, "\n%-*s%-*s%-*s%s\n", HEADING_WIDTH, "all requests", COLUMN_WIDTH,
            shown_count(a->latency->count, one), COLUMN_WIDTH, shown_count(b->latency->count, two),
            "no claim");
    for (unsigned i = 0; i < PERCENTILE_COUNT; i++) {
        double percent = percentiles[i].percent;
        if (has_percentile(a->latency, percent) || has_percentile(b->latency, percent))
            fprintf(to, "%-*s%-*s%s\n", HEADING_WIDTH, percentiles[i].name, COLUMN_WIDTH,
                    percentile_text(a->latency, percent, one),
                    percentile_text(b->latency, percent, two));
    }
}

void compare_print(const struct comparison *c, const struct compare_bounds *b, FILE *to)
{
    char a[CELL_BYTES], z[CELL_BYTES];
    for (unsigned i = 0; i < c->pair_count; i++) {
        const struct compare_pair *pair = &c->pairs[i];
        const struct compare_side *one = &c->sides[pair->base], *two = &c->sides[pair->other];
        fprintf(to, "%s%-*s%-*s%-*s%s\n", i ? "\n" : "", HEADING_WIDTH, "", COLUMN_WIDTH,
                heading_text(one, a), COLUMN_WIDTH, heading_text(two, z), "ratio");
        for (unsigned j = 0; j < COMPARE_METRIC_COUNT; j++)
            if (is_known(one, two, (enum compare_metric)j))
                print_row(one, two, &pair->changes[j], (enum compare_metric)j, to);
        print_percentiles(one, two, to);
    }
    print_notes(c, b, false, to);
}

/* --- as Markdown --- */

static void mark_cell(const char *text, FILE *to)
{
    struct text shown = {0};
    markdown_text(text, &shown);
    fputs(shown.data, to);
    text_free(&shown);
}

static void mark_value(const char *value, const char *range, FILE *to)
{
    fprintf(to, " | %s", value);
    if (*range)
        fprintf(to, " (%s)", range);
}

static void mark_row(const struct compare_side *a, const struct compare_side *b,
                     const struct compare_change *change, enum compare_metric metric, FILE *to)
{
    const struct compare_metric_row *m = &compare_metrics[metric];
    const struct compare_figure *of_a = &a->figures[metric], *of_b = &b->figures[metric];
    char value[CELL_BYTES], range[CELL_BYTES];
    fprintf(to, "| %s", m->heading);
    mark_value(value_text(m->unit, of_a->median, value), range_text(m->unit, of_a->interval, range),
               to);
    mark_value(value_text(m->unit, of_b->median, value), range_text(m->unit, of_b->interval, range),
               to);
    mark_value(ratio_text(change->ratio, value), ratio_range_text(change->interval, range), to);
    fprintf(to, " | %s |\n", claim_text(change, value));
}

static void mark_percentiles(const struct compare_side *a, const struct compare_side *b, FILE *to)
{
    char one[CELL_BYTES], two[CELL_BYTES];
    for (unsigned i = 0; i < PERCENTILE_COUNT; i++) {
        double percent = percentiles[i].percent;
        if (has_percentile(a->latency, percent) || has_percentile(b->latency, percent))
            fprintf(to, "| %s of all requests | %s | %s | | no claim |\n", percentiles[i].name,
                    percentile_text(a->latency, percent, one),
                    percentile_text(b->latency, percent, two));
    }
}

bool compare_markdown(const struct comparison *c, const struct compare_bounds *b, FILE *to)
{
    for (unsigned i = 0; i < c->pair_count; i++) {
        const struct compare_pair *pair = &c->pairs[i];
        const struct compare_side *one = &c->sides[pair->base], *two = &c->sides[pair->other];
        fprintf(to, "%s| | ", i ? "\n" : "");
        mark_cell(one->name, to);
        fprintf(to, " | ");
        mark_cell(two->name, to);
        fprintf(to, " | ratio | |\n| --- | --- | --- | --- | --- |\n");
        for (unsigned j = 0; j < COMPARE_METRIC_COUNT; j++)
            if (is_known(one, two, (enum compare_metric)j))
                mark_row(one, two, &pair->changes[j], (enum compare_metric)j, to);
        mark_percentiles(one, two, to);
    }
    print_notes(c, b, true, to);
    return fflush(to) == 0 && !ferror(to);
}
