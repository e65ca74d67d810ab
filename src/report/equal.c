/* Of the seconds at one rate the median p99 stands for it; a search has its runs instead, and a run that
 * was of one rate as a whole its own p99. Rates within one hundredth are the same. */
#include "report/equal.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

/* What came of a rate that was offered. */
struct point {
    double offered, p99_us;
};

struct curve {
    struct point *points; /* by rate, then by p99 */
    unsigned count;
};

static double number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

double equal_held(const json_t *target)
{
    double held = number_of(json_object_get(target, "find_max"), "max_rps");
    if (isnan(held))
        held = number_of(target, "held_rps");
    return held > 0 ? held : NAN;
}

static double offered_in(const json_t *row, bool is_probe)
{
    if (is_probe)
        return number_of(row, "rate");
    if (number_of(row, "length_s") < 0.5)
        return NAN; /* what is left at the end of a run */
    double target = number_of(row, "target_rps");
    return isnan(target) ? number_of(row, "equivalent_rps") : target;
}

static int by_rate(const void *a, const void *b)
{
    const struct point *x = a, *y = b;
    double first = x->offered - y->offered, second = x->p99_us - y->p99_us;
    return first ? (first > 0) - (first < 0) : (second > 0) - (second < 0);
}

/* What it quotes is then of that rate. */
static void take_whole(struct curve *c, const json_t *target)
{
    const json_t *latency = json_object_get(target, "latency_us");
    double p99_us = number_of(latency, "p99");
    bool is_one_rate = c->count && c->points[0].offered == c->points[c->count - 1].offered;
    if (is_one_rate && number_of(latency, "count") > 0 && !isnan(p99_us)) {
        c->points[0].p99_us = p99_us;
        c->count = 1;
    }
}

static struct curve curve_of(const json_t *target)
{
    const json_t *probes = json_object_get(json_object_get(target, "find_max"), "probes");
    const json_t *rows = probes ? probes : json_object_get(target, "series");
    struct curve c = {.points = mem_need(json_array_size(rows) + 1, sizeof *c.points)};
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        struct point p = {offered_in(row, probes != NULL), number_of(row, "p99_us")};
        if (p.offered > 0 && !isnan(p.p99_us))
            c.points[c.count++] = p;
    }
    qsort(c.points, c.count, sizeof *c.points, by_rate);
    if (!probes)
        take_whole(&c, target);
    return c;
}

/* The median p99 at the lowest rate within a hundredth of `rate` that was held; NAN if there is
 * none. */
static double p99_at(const struct curve *c, double rate, double held)
{
    for (unsigned i = 0; i < c->count; i++) {
        double offered = c->points[i].offered;
        if (fabs(offered - rate) > 0.01 * rate)
            continue;
        if (offered > held * 1.001)
            return NAN;
        unsigned end = i;
        while (end < c->count && c->points[end].offered == offered)
            end++;
        unsigned half = (end - i) / 2;
        return (end - i) % 2 ? c->points[i + half].p99_us
                             : (c->points[i + half - 1].p99_us + c->points[i + half].p99_us) / 2;
    }
    return NAN;
}

static bool is_common(json_t *const *targets, const struct curve *curves, unsigned count,
                      double rate, double *p99_us)
{
    for (unsigned i = 0; i < count; i++) {
        double held = equal_held(targets[i]);
        p99_us[i] = p99_at(&curves[i], rate, isnan(held) ? INFINITY : held);
        if (isnan(p99_us[i]))
            return false;
    }
    return true;
}

bool equal_rate(json_t *const *targets, unsigned count, double *rate, double *p99_us)
{
    bool is_found = false;
    if (count < 2)
        return false;
    struct curve *curves = mem_need(count, sizeof *curves);
    for (unsigned i = 0; i < count; i++)
        curves[i] = curve_of(targets[i]);
    for (unsigned i = curves[0].count; i-- > 0 && !is_found;) {
        *rate = curves[0].points[i].offered;
        is_found = is_common(targets, curves, count, *rate, p99_us);
    }
    for (unsigned i = 0; i < count; i++)
        free(curves[i].points);
    free(curves);
    return is_found;
}
