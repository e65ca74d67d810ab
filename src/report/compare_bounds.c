/* Thresholds on changes, as --expect of `compare` takes them. */
#include "report/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* Longer ones first: "<=" begins with "<". */
static const struct {
    const char *sign;
    enum expect_relation relation;
} relations[] = {
    {"<=", EXPECT_AT_MOST}, {">=", EXPECT_AT_LEAST}, {"<", EXPECT_BELOW}, {">", EXPECT_ABOVE}};

static bool read_metric(const char **at, struct compare_bound *b, struct fail *f)
{
    size_t len = strcspn(*at, "<>=");
    for (unsigned i = 0; i < COMPARE_METRIC_COUNT; i++)
        if (strlen(compare_metrics[i].name) == len && !memcmp(compare_metrics[i].name, *at, len)) {
            b->metric = (enum compare_metric)i;
            *at += len;
            return true;
        }
    return fail_set(f, EXIT_USAGE,
                    "\"%s\" names no metric: expected rps, held-rps, max-rps, p50, p99, p999, "
                    "availability, cpu or memory, as in p99<+5%%",
                    *at);
}

static bool read_relation(const char **at, struct compare_bound *b, struct fail *f)
{
    for (unsigned i = 0; i < sizeof relations / sizeof *relations; i++) {
        size_t len = strlen(relations[i].sign);
        if (strncmp(*at, relations[i].sign, len) != 0)
            continue;
        b->relation = relations[i].relation;
        *at += len;
        snprintf(b->text, sizeof b->text, "%s %s %.20s", compare_metrics[b->metric].name,
                 relations[i].sign, *at);
        return true;
    }
    return fail_set(f, EXIT_USAGE, "%s compares nothing: expected <, <=, > or >= behind it",
                    compare_metrics[b->metric].name);
}

/* "+5%", "-3%", "1.05x" */
static bool read_change(const char *at, struct compare_bound *b, struct fail *f)
{
    bool has_sign = *at == '+' || *at == '-';
    size_t digits = strspn(at + has_sign, "0123456789.");
    const char *unit = at + has_sign + digits;
    char *end = NULL;
    double number = strtod(at, &end);
    bool is_number = digits && end == unit;
    if (is_number && has_sign && strcmp(unit, "%") == 0 && number > -100) {
        b->ratio = 1 + number / 100;
        return true;
    }
    if (is_number && !has_sign && strcmp(unit, "x") == 0 && number > 0) {
        b->ratio = number;
        return true;
    }
    return fail_set(f, EXIT_USAGE,
                    "%s: \"%s\" is no change: expected one such as +5%%, -3%% or 1.05x, of what "
                    "the first result has",
                    compare_metrics[b->metric].name, at);
}

static bool take_bound(void *arg, const char *one, struct fail *f)
{
    struct compare_bounds *b = arg;
    if (b->count == COMPARE_BOUNDS_MAX)
        return fail_set(f, EXIT_USAGE, "more than %d thresholds are too many", COMPARE_BOUNDS_MAX);
    struct compare_bound *bound = &b->items[b->count++];
    return read_metric(&one, bound, f) && read_relation(&one, bound, f) &&
           read_change(one, bound, f);
}

bool compare_bounds_parse(const char *text, struct compare_bounds *b, struct fail *f)
{
    *b = (struct compare_bounds){0};
    return expect_each(text, take_bound, b, f);
}

/* What rounding does to a bound such as 1 + 5 / 100 must not decide. */
static bool holds(enum expect_relation relation, double ratio, double bound)
{
    double slack = 1e-12 * bound;
    switch (relation) {
    case EXPECT_BELOW:
        return ratio < bound - slack;
    case EXPECT_AT_MOST:
        return ratio <= bound + slack;
    case EXPECT_ABOVE:
        return ratio > bound + slack;
    case EXPECT_AT_LEAST:
        return ratio >= bound - slack;
    case EXPECT_EQUAL:
        break;
    }
    return false;
}

bool compare_bound_is_met(const struct compare_bound *b, const struct compare_pair *p)
{
    const struct compare_change *change = &p->changes[b->metric];
    double ratio = change->claim == COMPARE_ALIKE ? 1 : change->ratio;
    return !isnan(ratio) && holds(b->relation, ratio, b->ratio);
}

bool compare_bounds_all_met(const struct compare_bounds *b, const struct comparison *c)
{
    for (unsigned i = 0; i < c->pair_count; i++)
        for (unsigned j = 0; j < b->count; j++)
            if (!compare_bound_is_met(&b->items[j], &c->pairs[i]))
                return false;
    return true;
}
