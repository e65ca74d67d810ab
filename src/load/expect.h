/* Thresholds on a result, as --expect and --find-max take them:
 *
 *   expectations = expectation *("," expectation)
 *   expectation  = metric relation bound
 *   metric       = p50 p90 p95 p99 p999 max mean | rps | availability | errors | timeouts
 *   relation     = "<" "<=" ">" ">=" "==" ("=" is the same)
 *   bound        = duration with its unit | rate | share as 99.9% or 0.999 | number or share
 *
 * Latencies are those that the result quotes: from the intended time, on a ramp of the held step. */
#ifndef LOAD_EXPECT_H
#define LOAD_EXPECT_H

#include <stdbool.h>

#include "base/fail.h"

struct load_result;

enum expect_metric {
    EXPECT_P50,
    EXPECT_P90,
    EXPECT_P95,
    EXPECT_P99,
    EXPECT_P999,
    EXPECT_MAX,
    EXPECT_MEAN,
    EXPECT_RPS,
    EXPECT_AVAILABILITY,
    EXPECT_ERRORS,
    EXPECT_TIMEOUTS,
    EXPECT_METRIC_COUNT
};

enum expect_relation { EXPECT_BELOW, EXPECT_AT_MOST, EXPECT_ABOVE, EXPECT_AT_LEAST, EXPECT_EQUAL };

struct expectation {
    enum expect_metric metric;
    enum expect_relation relation;
    bool is_share;   /* availability; errors and timeouts when given in %: of what was due */
    double bound;    /* ns, per second, a share of 1, or a number */
    double measured; /* the same unit; NAN: there is nothing to measure it by */
    bool is_met;
};

#define EXPECTATIONS_MAX 16
struct expectations {
    struct expectation items[EXPECTATIONS_MAX];
    unsigned count;
};

/* Gives each part of `text` between commas to `take`, without blanks and escaped so that it can be
 * shown; ends with false at the first that is refused. */
bool expect_each(const char *text, bool (*take)(void *arg, const char *one, struct fail *f),
                 void *arg, struct fail *f) MUST_USE;

/* Reads the whole of `text`; the message does not name the option. */
bool expect_parse(const char *text, struct expectations *e, struct fail *f) MUST_USE;

/* Fills `measured` and `is_met` of each. What cannot be measured is not met. */
void expect_judge(struct expectations *e, const struct load_result *r);
bool expect_all_met(const struct expectations *e); /* after expect_judge() */

/* How many samples the percentile that is furthest out rests on at least ten of; 0: none is asked
 * for. */
double expect_samples_needed(const struct expectations *e);

#define EXPECT_TEXT_BYTES 48
/* "p99 < 10ms", and what was measured: "8.42 ms"; return `out`. */
const char *expect_text(const struct expectation *e, char out[EXPECT_TEXT_BYTES]);
const char *expect_measured_text(const struct expectation *e, char out[EXPECT_TEXT_BYTES]);

/* The metric's key in the result, with its unit: "p99_us", "rps", "errors_share"; `value` (bound or
 * measured) in that unit. */
const char *expect_key(const struct expectation *e);
double expect_in_unit(const struct expectation *e, double value);

#endif
