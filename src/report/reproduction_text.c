/* Both forms have a line for each contestant; what belongs to the row as a whole stands in the line of
 * its first one, and sentences stand below the table. */
#include "report/reproduction.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/units.h"
#include "report/environment.h"
#include "report/markdown.h"
#include "report/shown.h"
#include "version.h"

enum { CELL_BYTES = 96 };

/* --- cells --- */

static const char *value_text(enum reproduction_unit unit, double value, char out[CELL_BYTES])
{
    char shown[SHOWN_BYTES];
    if (isnan(value))
        return "-";
    switch (unit) {
    case REPRODUCTION_PER_S:
        snprintf(out, CELL_BYTES, "%s/s", shown_rate(value, shown));
        return out;
    case REPRODUCTION_BYTES:
        snprintf(out, CELL_BYTES, "%s", shown_bytes(value, shown));
        return out;
    default:
        value *= unit == REPRODUCTION_US ? NS_PER_US : NS_PER_MS;
        snprintf(out, CELL_BYTES, "%s", units_latency_text((uint64_t)value, shown));
        return out;
    }
}

/* "13 000/s (12 000/s to 14 000/s)" */
static const char *measured_text(const struct reproduction_row *row,
                                 const struct reproduction_contestant *c, char out[CELL_BYTES])
{
    char median[CELL_BYTES], low[CELL_BYTES], high[CELL_BYTES];
    enum reproduction_unit unit = row->metric->unit;
    if (isnan(c->interval.low))
        return value_text(unit, c->median, out);
    snprintf(out, CELL_BYTES, "%.24s (%.24s to %.24s)", value_text(unit, c->median, median),
             value_text(unit, c->interval.low, low), value_text(unit, c->interval.high, high));
    return out;
}

static const char *published_ratio_text(const struct reproduction_row *row, char out[CELL_BYTES])
{
    const struct interval *r = &row->ratio_published;
    if (isnan(r->low))
        return "-";
    if (r->low < r->high)
        snprintf(out, CELL_BYTES, "%.3g to %.3g", r->low, r->high);
    else
        snprintf(out, CELL_BYTES, "%.3g", r->low);
    return out;
}

static const char *ratio_text(const struct reproduction_row *row, char out[CELL_BYTES])
{
    if (isnan(row->ratio))
        return "-";
    snprintf(out, CELL_BYTES, "%.3g (%.3g to %.3g)", row->ratio, row->ratio_interval.low,
             row->ratio_interval.high);
    return out;
}

/* --- a terminal --- */

#define LINE "%-24s %-19s %12s %-38s %11s  %-24s %s\n"

static void print_row(const struct reproduction_row *row, FILE *to)
{
    char name[CELL_BYTES], published[CELL_BYTES], measured[CELL_BYTES], there[CELL_BYTES],
        here[CELL_BYTES];
    snprintf(name, sizeof name, "%.64s", row->name);
    for (unsigned i = 0; i < row->contestant_count; i++) {
        const struct reproduction_contestant *c = &row->contestants[i];
        fprintf(to, LINE,
                i == 0   ? name
                : i == 1 ? row->metric->heading
                         : "",
                c->name, value_text(row->metric->unit, c->published, published),
                measured_text(row, c, measured), i ? "" : published_ratio_text(row, there),
                i ? "" : ratio_text(row, here), i ? "" : reproduction_outcomes[row->outcome]);
    }
}

static void print_words(const struct reproduction_row *row, bool is_first, FILE *to)
{
    char shown[1300];
    for (unsigned i = 0; i < row->contestant_count; i++)
        if (is_first && row->contestants[i].lack[0])
            fprintf(to, "\n%s: %s %s\n", row->name, row->contestants[i].name,
                    log_escape(span_of(row->contestants[i].lack), shown, sizeof shown));
    if (row->note[0])
        fprintf(to, "\n%s, %s, %s: %s\n", row->name, row->metric->heading,
                reproduction_outcomes[row->outcome],
                log_escape(span_of(row->note), shown, sizeof shown));
    if (is_first && row->cause[0])
        fprintf(to, "\n%s: %s\n", row->name, row->cause);
}

/* What is said of the scenario as a whole is said once. */
static bool is_first_of_its_name(const struct reproduction *r, unsigned i)
{
    return i == 0 || strcmp(r->rows[i].name, r->rows[i - 1].name) != 0;
}

void reproduction_print(const struct reproduction *r, FILE *to)
{
    fprintf(to, "\n" LINE, "", "contestant", "published", "measured here", "ratio there",
            "ratio here", "outcome");
    for (unsigned i = 0; i < r->row_count; i++)
        print_row(&r->rows[i], to);
    for (unsigned i = 0; i < r->row_count; i++)
        print_words(&r->rows[i], is_first_of_its_name(r, i), to);
    fprintf(to, "\n%s\n", reproduction_definition);
}

/* --- Markdown --- */

static void put_row(const struct reproduction_row *row, struct text *out)
{
    char published[CELL_BYTES], measured[CELL_BYTES], there[CELL_BYTES], here[CELL_BYTES];
    for (unsigned i = 0; i < row->contestant_count; i++) {
        const struct reproduction_contestant *c = &row->contestants[i];
        text_addf(out, "| ");
        if (i == 0 && row->report[0])
            text_addf(out, "[%s](%s)", row->name, row->report);
        else if (i == 0)
            markdown_text(row->name, out);
        text_addf(out, " | %s | ", i ? "" : row->metric->heading);
        markdown_text(c->name, out);
        text_addf(out, " | %s | %s | %s | %s | %s |\n",
                  value_text(row->metric->unit, c->published, published),
                  measured_text(row, c, measured), i ? "" : published_ratio_text(row, there),
                  i ? "" : ratio_text(row, here), i ? "" : reproduction_outcomes[row->outcome]);
    }
}

static void put_item(const char *name, const char *what, const char *text, struct text *out)
{
    text_addf(out, "- **");
    markdown_text(name, out);
    text_addf(out, "**%s: ", what);
    markdown_text(text, out);
    text_addf(out, "\n");
}

static void put_words(const struct reproduction_row *row, bool is_first, struct text *out)
{
    char what[CELL_BYTES];
    if (is_first && row->published[0])
        put_item(row->name, ", published", row->published, out);
    if (is_first && row->cause[0])
        put_item(row->name, ", cause", row->cause, out);
    for (unsigned i = 0; i < row->contestant_count; i++)
        if (is_first && row->contestants[i].lack[0]) {
            snprintf(what, sizeof what, ", %.64s", row->contestants[i].name);
            put_item(row->name, what, row->contestants[i].lack, out);
        }
    if (row->note[0]) {
        snprintf(what, sizeof what, ", %s, %s", row->metric->heading,
                 reproduction_outcomes[row->outcome]);
        put_item(row->name, what, row->note, out);
    }
}

static void put_machine(const struct reproduction *r, struct text *out)
{
    char started[CLOCK_TEXT_BYTES];
    json_t *environment = environment_json("");
    const char *cpu = json_string_value(json_object_get(environment, "cpu_model")),
               *kernel = json_string_value(json_object_get(environment, "kernel"));
    clock_text(r->started_us, started);
    text_addf(out, "iubench %s, %s, ", IUBENCH_VERSION, started);
    markdown_text(cpu ? cpu : "unknown CPU", out);
    text_addf(out, ", %lld cores, Linux ",
              (long long)json_integer_value(json_object_get(environment, "cores")));
    markdown_text(kernel ? kernel : "?", out);
    text_addf(out, "; %u repeats", r->repeats);
    if (!isnan(r->load_average))
        text_addf(out, "; load average %.2f when it began", r->load_average);
    text_addf(out, "%s\n\n```\n", r->is_interrupted ? "; interrupted" : "");
    for (int i = 0; i < r->argc; i++)
        text_addf(out, "%s%s", i ? " " : "", r->argv[i]);
    text_addf(out, "\n```\n");
    json_decref(environment);
}

bool reproduction_markdown(const struct reproduction *r, FILE *to)
{
    struct text out = {0};
    put_machine(r, &out);
    text_addf(&out, "\n| scenario | metric | contestant | published | measured here | "
                    "ratio published | ratio measured | outcome |\n"
                    "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |\n");
    for (unsigned i = 0; i < r->row_count; i++)
        put_row(&r->rows[i], &out);
    text_addf(&out, "\n%s\n\n", reproduction_definition);
    for (unsigned i = 0; i < r->row_count; i++)
        put_words(&r->rows[i], is_first_of_its_name(r, i), &out);
    bool is_good = fwrite(out.data, 1, out.len, to) == out.len && fflush(to) == 0;
    text_free(&out);
    return is_good;
}
