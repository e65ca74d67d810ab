/* A reproduction as a document; NAN becomes null. */
#include "report/reproduction.h"

#include "base/clock.h"
#include "report/environment.h"
#include "report/html.h"
#include "report/json_priv.h"
#include "version.h"

static json_t *interval_json(struct interval i)
{
    return isnan(i.low) || isnan(i.high) ? json_null() : json_pack("[f, f]", i.low, i.high);
}

static json_t *text_or_null(const char *text)
{
    return words(*text ? text : NULL);
}

static void append(json_t *array, json_t *value)
{
    CHECK(json_array_append_new(array, value) == 0);
}

static json_t *contestant_json(const struct reproduction_contestant *c)
{
    json_t *to = json_object(), *values = json_array();
    for (unsigned i = 0; i < c->count; i++)
        append(values, json_real(c->values[i]));
    put(to, "name", words(c->name));
    put(to, "published", number(c->published));
    put(to, "median", number(c->median));
    put(to, "interval", interval_json(c->interval));
    put(to, "values", values);
    put(to, "runs", count(c->run_count));
    put(to, "invalid_runs", count(c->invalid_count));
    put(to, "lack", text_or_null(c->lack));
    return to;
}

static json_t *row_json(const struct reproduction_row *row)
{
    static const char *const units[] = {[REPRODUCTION_PER_S] = "/s",
                                        [REPRODUCTION_US] = "us",
                                        [REPRODUCTION_MS] = "ms",
                                        [REPRODUCTION_BYTES] = "B"};
    json_t *to = json_object(), *contestants = json_array();
    for (unsigned i = 0; i < row->contestant_count; i++)
        append(contestants, contestant_json(&row->contestants[i]));
    put(to, "scenario", words(row->name));
    put(to, "metric", json_string(row->metric->name));
    put(to, "heading", json_string(row->metric->heading));
    put(to, "unit", json_string(units[row->metric->unit]));
    put(to, "published", text_or_null(row->published));
    put(to, "contestants", contestants);
    put(to, "ratio_published", interval_json(row->ratio_published));
    put(to, "ratio", number(row->ratio));
    put(to, "ratio_interval", interval_json(row->ratio_interval));
    put(to, "p", number(row->p));
    put(to, "outcome", json_string(reproduction_outcomes[row->outcome]));
    put(to, "note", text_or_null(row->note));
    put(to, "cause", text_or_null(row->cause));
    put(to, "report", text_or_null(row->report));
    return to;
}

static json_t *whole_json(const struct reproduction *r)
{
    char started[CLOCK_TEXT_BYTES];
    json_t *to = json_object(), *rows = json_array(), *command = json_array();
    clock_text(r->started_us, started);
    for (int i = 0; i < r->argc; i++)
        append(command, words(r->argv[i]));
    for (unsigned i = 0; i < r->row_count; i++)
        append(rows, row_json(&r->rows[i]));
    put(to, "schema", json_string("iubench-reproduction/1"));
    put(to, "iubench", json_string(IUBENCH_VERSION));
    put(to, "started", json_string(started));
    put(to, "command", command);
    put(to, "interrupted", json_boolean(r->is_interrupted));
    put(to, "environment", environment_json(""));
    put(to, "load_average", number(r->load_average));
    put(to, "repeats", count(r->repeats));
    put(to, "confidence", json_real(BOOTSTRAP_CONFIDENCE));
    put(to, "factor", json_real(REPRODUCTION_FACTOR));
    put(to, "definition", json_string(reproduction_definition));
    put(to, "rows", rows);
    return to;
}

bool reproduction_json(const struct reproduction *r, FILE *to)
{
    json_t *document = whole_json(r);
    bool is_good = json_dumpf(document, to, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) == 0 &&
                   fputc('\n', to) != EOF && fflush(to) == 0;
    json_decref(document);
    return is_good;
}

bool reproduction_page(const struct reproduction *r, const char *path, struct fail *f)
{
    json_t *documents = json_array();
    append(documents, whole_json(r));
    bool is_good = html_write(documents, path, f);
    json_decref(documents);
    return is_good;
}
