/* A metric is a row: its name, what its bound is written in, and the percentile it stands for. */
#include "load/expect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/units.h"
#include "load/load.h"

enum unit { UNIT_DURATION, UNIT_RATE, UNIT_SHARE, UNIT_NUMBER };

static const struct {
    const char *name;
    const char *key; /* in the result */
    enum unit unit;
    double percent; /* of latency; 0: another figure */
} metrics[EXPECT_METRIC_COUNT] = {
    [EXPECT_P50] = {"p50", "p50_us", UNIT_DURATION, 50},
    [EXPECT_P90] = {"p90", "p90_us", UNIT_DURATION, 90},
    [EXPECT_P95] = {"p95", "p95_us", UNIT_DURATION, 95},
    [EXPECT_P99] = {"p99", "p99_us", UNIT_DURATION, 99},
    [EXPECT_P999] = {"p999", "p999_us", UNIT_DURATION, 99.9},
    [EXPECT_MAX] = {"max", "max_us", UNIT_DURATION, 0},
    [EXPECT_MEAN] = {"mean", "mean_us", UNIT_DURATION, 0},
    [EXPECT_RPS] = {"rps", "rps", UNIT_RATE, 0},
    [EXPECT_AVAILABILITY] = {"availability", "availability", UNIT_SHARE, 0},
    [EXPECT_ERRORS] = {"errors", "errors", UNIT_NUMBER, 0},
    [EXPECT_TIMEOUTS] = {"timeouts", "timeouts", UNIT_NUMBER, 0},
};

/* Longer ones first: "<=" begins with "<". */
static const struct {
    const char *sign;
    enum expect_relation relation;
} relations[] = {
    {"<=", EXPECT_AT_MOST}, {">=", EXPECT_AT_LEAST}, {"==", EXPECT_EQUAL},
    {"<", EXPECT_BELOW},    {">", EXPECT_ABOVE},     {"=", EXPECT_EQUAL},
};

/* --- reading --- */

static bool read_metric(const char **at, struct expectation *e)
{
    size_t len = strspn(*at, "abcdefghijklmnopqrstuvwxyz0123456789");
    for (unsigned i = 0; i < EXPECT_METRIC_COUNT; i++)
        if (strlen(metrics[i].name) == len && !memcmp(metrics[i].name, *at, len)) {
            e->metric = (enum expect_metric)i;
            *at += len;
            return true;
        }
    return false;
}

static bool read_relation(const char **at, struct expectation *e)
{
    for (unsigned i = 0; i < sizeof relations / sizeof *relations; i++) {
        size_t len = strlen(relations[i].sign);
        if (strncmp(*at, relations[i].sign, len) != 0)
            continue;
        e->relation = relations[i].relation;
        *at += len;
        return true;
    }
    return false;
}

/* "99.9%" or "0.999" */
static bool read_share(const char *text, double *share, struct fail *f)
{
    size_t len = strlen(text), digits = strspn(text, "0123456789.");
    bool is_percent = digits + 1 == len && text[digits] == '%';
    char *end = NULL;
    *share = strtod(text, &end);
    if (digits && end == text + digits && (is_percent || digits == len)) {
        *share = is_percent ? *share / 100 : *share;
        if (*share <= 1)
            return true;
    }
    return fail_set(f, EXIT_USAGE, "\"%s\" is no share: expected one such as 99.9%% or 0.999",
                    text);
}

static bool read_duration(const char *text, double *ns, struct fail *f)
{
    uint64_t read_ns;
    size_t len = strlen(text);
    if (len && text[len - 1] >= '0' && text[len - 1] <= '9')
        return fail_set(f, EXIT_USAGE,
                        "\"%s\" has no unit: expected a duration such as 500us or "
                        "10ms",
                        text);
    if (!units_duration(text, &read_ns, f))
        return false;
    *ns = (double)read_ns;
    return true;
}

static bool read_bound(const char *text, struct expectation *e, struct fail *f)
{
    uint64_t number;
    switch (metrics[e->metric].unit) {
    case UNIT_DURATION:
        return read_duration(text, &e->bound, f);
    case UNIT_RATE:
        return strcmp(text, "0") == 0 || units_rate(text, &e->bound, f);
    case UNIT_SHARE:
        e->is_share = true;
        return read_share(text, &e->bound, f);
    case UNIT_NUMBER:
        e->is_share = strchr(text, '%');
        if (e->is_share)
            return read_share(text, &e->bound, f);
        if (!units_count(text, 0, UINT64_C(1) << 53, &number, f))
            return false;
        e->bound = (double)number;
        return true;
    }
    return false;
}

static bool read_one(const char *text, struct expectation *e, struct fail *f)
{
    const char *at = text;
    *e = (struct expectation){.measured = NAN};
    if (!read_metric(&at, e))
        return fail_set(f, EXIT_USAGE,
                        "\"%s\" names no metric: expected p50, p90, p95, p99, p999, max, mean, "
                        "rps, availability, errors or timeouts, as in p99<10ms",
                        text);
    if (!read_relation(&at, e))
        return fail_set(f, EXIT_USAGE,
                        "\"%s\" compares nothing: expected <, <=, >, >= or == behind %s", text,
                        metrics[e->metric].name);
    return read_bound(at, e, f) || fail_prefix(f, "%s", metrics[e->metric].name);
}

/* Without blanks; escaped, so that parts of it can be shown. */
static void copy_bare(const char *text, char *out, size_t room)
{
    char shown[1024];
    size_t len = 0;
    log_escape(span_of(text), shown, sizeof shown);
    for (const char *c = shown; *c && len + 1 < room; c++)
        if (*c != ' ')
            out[len++] = *c;
    out[len] = 0;
}

bool expect_each(const char *text, bool (*take)(void *arg, const char *one, struct fail *f),
                 void *arg, struct fail *f)
{
    char bare[1024], *next = bare;
    copy_bare(text, bare, sizeof bare);
    while (next) {
        char *one = next, *comma = strchr(one, ',');
        next = comma ? comma + 1 : NULL;
        if (comma)
            *comma = 0;
        if (!take(arg, one, f))
            return false;
    }
    return true;
}

static bool take_one(void *arg, const char *one, struct fail *f)
{
    struct expectations *e = arg;
    if (e->count == EXPECTATIONS_MAX)
        return fail_set(f, EXIT_USAGE, "more than %d expectations are too many", EXPECTATIONS_MAX);
    if (!read_one(one, &e->items[e->count], f))
        return false;
    e->count++;
    return true;
}

bool expect_parse(const char *text, struct expectations *e, struct fail *f)
{
    *e = (struct expectations){0};
    return expect_each(text, take_one, e, f);
}

/* --- judging --- */

static double share_of(uint64_t count, const struct load_result *r)
{
    const struct load_counts *c = &r->counts;
    uint64_t due = (r->is_open ? c->scheduled : c->sent) - c->unfinished;
    return due ? (double)count / (double)due : NAN;
}

static double measure(const struct expectation *e, const struct load_result *r)
{
    const struct hist *h = r->quoted_latency;
    const struct load_counts *c = &r->counts;
    uint64_t count = 0;
    if (metrics[e->metric].unit == UNIT_DURATION && !h->count)
        return NAN;
    if (metrics[e->metric].percent > 0)
        return (double)hist_percentile(h, metrics[e->metric].percent);
    switch (e->metric) {
    case EXPECT_MAX:
        return (double)h->max;
    case EXPECT_MEAN:
        return hist_mean(h);
    case EXPECT_RPS:
        return r->quoted_rps;
    case EXPECT_AVAILABILITY:
        return load_ended(c) ? load_availability(c) : NAN;
    case EXPECT_ERRORS:
        for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
            count += c->errors[i];
        break;
    default:
        count = c->timeouts;
    }
    return e->is_share ? share_of(count, r) : (double)count;
}

/* 99.9 % is not a binary fraction: what rounding does to a bound must not decide. */
static bool holds(enum expect_relation relation, double measured, double bound)
{
    double slack = 1e-12 * bound;
    switch (relation) {
    case EXPECT_BELOW:
        return measured < bound;
    case EXPECT_AT_MOST:
        return measured <= bound + slack;
    case EXPECT_ABOVE:
        return measured > bound;
    case EXPECT_AT_LEAST:
        return measured >= bound - slack;
    case EXPECT_EQUAL:
        return measured >= bound - slack && measured <= bound + slack;
    }
    return false;
}

void expect_judge(struct expectations *e, const struct load_result *r)
{
    for (unsigned i = 0; i < e->count; i++) {
        struct expectation *one = &e->items[i];
        one->measured = measure(one, r);
        one->is_met = holds(one->relation, one->measured, one->bound); /* never for NAN */
    }
}

bool expect_all_met(const struct expectations *e)
{
    for (unsigned i = 0; i < e->count; i++)
        if (!e->items[i].is_met)
            return false;
    return true;
}

double expect_samples_needed(const struct expectations *e)
{
    double most = 0;
    for (unsigned i = 0; i < e->count; i++) {
        double percent = metrics[e->items[i].metric].percent;
        if (percent > 0)
            most = fmax(most, round(1000 / (100 - percent)));
    }
    return most;
}

/* --- showing --- */

static const char *value_text(const struct expectation *e, double value, bool is_measured,
                              char out[EXPECT_TEXT_BYTES])
{
    char shown[UNITS_TEXT_BYTES];
    enum unit unit = e->is_share ? UNIT_SHARE : metrics[e->metric].unit;
    if (isnan(value))
        snprintf(out, EXPECT_TEXT_BYTES, "nothing to measure");
    else if (unit == UNIT_DURATION)
        snprintf(out, EXPECT_TEXT_BYTES, "%s",
                 is_measured ? units_latency_text((uint64_t)value, shown)
                             : units_duration_text((uint64_t)value, shown));
    else if (unit == UNIT_SHARE)
        snprintf(out, EXPECT_TEXT_BYTES, "%.6g %%", value * 100);
    else
        snprintf(out, EXPECT_TEXT_BYTES, "%.10g", is_measured ? round(value * 100) / 100 : value);
    return out;
}

const char *expect_text(const struct expectation *e, char out[EXPECT_TEXT_BYTES])
{
    char bound[EXPECT_TEXT_BYTES];
    const char *sign = "==";
    for (unsigned i = 0; i < 5; i++)
        if (relations[i].relation == e->relation)
            sign = relations[i].sign;
    snprintf(out, EXPECT_TEXT_BYTES, "%s %s %.30s", metrics[e->metric].name, sign,
             value_text(e, e->bound, false, bound));
    return out;
}

const char *expect_measured_text(const struct expectation *e, char out[EXPECT_TEXT_BYTES])
{
    return value_text(e, e->measured, true, out);
}

const char *expect_key(const struct expectation *e)
{
    if (e->is_share && e->metric == EXPECT_ERRORS)
        return "errors_share";
    if (e->is_share && e->metric == EXPECT_TIMEOUTS)
        return "timeouts_share";
    return metrics[e->metric].key;
}

double expect_in_unit(const struct expectation *e, double value)
{
    return metrics[e->metric].unit == UNIT_DURATION ? value / NS_PER_US : value;
}
