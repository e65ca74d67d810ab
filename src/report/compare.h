/* Results side by side. A side is a target of one set of results, measured in one or several repeats; a
 * comparison puts each of the others beside the side that it is to be measured by, metric by metric:
 * medians of the repeats, bootstrap intervals of the medians and of their ratio, and the rank test.
 *
 * A difference is claimed only where the rank test (p < 0.05) and the ratio's interval (1 lies
 * outside) agree, both sides have COMPARE_REPEATS_MIN repeats, and no verdict is INVALID. Everything
 * else is told, and said to be no claim. See docs/COMPARE.md. */
#ifndef REPORT_COMPARE_H
#define REPORT_COMPARE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/fail.h"
#include "base/text.h"
#include "cli/cli.h"
#include "load/expect.h"
#include "metrics/hist.h"
#include "report/read.h"
#include "stats/bootstrap.h"
#include "stats/ranks.h"

#define COMPARE_REPEATS_MIN  4 /* with 3 and 3, even values wholly apart have p = 0.1 */
#define COMPARE_SIGNIFICANCE 0.05

enum compare_unit { COMPARE_PER_S, COMPARE_US, COMPARE_SHARE, COMPARE_BYTES };

/* Name (as in --expect), heading, unit, whether more is better. */
#define COMPARE_METRICS(X)                                               \
    X(RPS, "rps", "requests/s", COMPARE_PER_S, true)                     \
    X(HELD, "held-rps", "held rate/s", COMPARE_PER_S, true)              \
    X(MAX_RATE, "max-rps", "highest rate/s", COMPARE_PER_S, true)        \
    X(P50, "p50", "latency p50", COMPARE_US, false)                      \
    X(P99, "p99", "latency p99", COMPARE_US, false)                      \
    X(P999, "p999", "latency p99.9", COMPARE_US, false)                  \
    X(AVAILABILITY, "availability", "availability", COMPARE_SHARE, true) \
    X(CPU, "cpu", "server CPU/request", COMPARE_US, false)               \
    X(MEMORY, "memory", "server memory", COMPARE_BYTES, false)

enum compare_metric {
#define X(id, name, heading, unit, is_more_better) COMPARE_##id,
    COMPARE_METRICS(X)
#undef X
        COMPARE_METRIC_COUNT
};

struct compare_metric_row {
    const char *name, *heading;
    enum compare_unit unit;
    bool is_more_better;
};
extern const struct compare_metric_row compare_metrics[COMPARE_METRIC_COUNT];

/* A metric over the repeats of a side. */
struct compare_figure {
    double *values; /* ascending; those that are known */
    unsigned count;
    double median;            /* NAN: none is known */
    struct interval interval; /* of the median; NAN with fewer than COMPARE_REPEATS_MIN values */
};

struct compare_side {
    const char *set;    /* a label, a file, or "" */
    const char *target; /* its name in the documents */
    char name[128];     /* what it is called beside the others */
    unsigned runs, invalid_runs, suspect_runs;
    struct text reasons; /* of the verdicts that are not VALID, a line each */
    struct compare_figure figures[COMPARE_METRIC_COUNT];
    struct hist *latency;             /* of all requests of all repeats */
    struct read_node document, first; /* of its first run: the whole and the target */
};

enum compare_claim {
    COMPARE_UNKNOWN, /* one of the two has no value */
    COMPARE_TOO_FEW, /* repeats */
    COMPARE_INVALID, /* so is a verdict */
    COMPARE_ALIKE,   /* not distinguishable */
    COMPARE_BETTER,
    COMPARE_WORSE,
};
extern const char *const compare_claims[]; /* "unknown", "too few repeats", ... */

struct compare_change {
    double ratio;             /* of the medians; NAN: unknown, or the base has values of 0 */
    struct interval interval; /* NAN with too few repeats */
    struct ranks ranks;       /* p NAN with too few repeats */
    enum compare_claim claim;
};

struct compare_pair {
    unsigned base, other; /* sides */
    struct compare_change changes[COMPARE_METRIC_COUNT];
};

struct comparison {
    struct compare_side *sides;
    unsigned side_count;
    struct compare_pair *pairs;
    unsigned pair_count;
    struct text differences; /* of environment and load, a line each */
    uint32_t seed;
    struct compare_input *inputs; /* the documents, which names point into */
    unsigned input_count;
};

/* Reads and compares. Each of `files` is FILE or LABEL=FILE; files with the same label are one set. Of
 * files without a label each is a set of its own if all have the same targets; else all are one set,
 * in which targets of one name are repeats. Between sets, targets of the same name are compared (or
 * the only ones), else the first target with each of the others. The result is freed by
 * compare_free() also after a failure. */
bool compare_files(const struct cli_texts *files, uint32_t seed, struct comparison *c,
                   struct fail *f) MUST_USE;
void compare_free(struct comparison *c);

/* Whether any side has an INVALID run. */
bool compare_is_invalid(const struct comparison *c);

/* --- thresholds on changes ---
 *
 *   thresholds = threshold *("," threshold)
 *   threshold  = metric relation change      metric as above, relation "<" "<=" ">" ">="
 *   change     = ("+" | "-") number "%" | number "x"     of the base's median: +5% is 1.05x
 *
 * Judged by the ratio of the medians; where both sides have repeats enough and are not
 * distinguishable, by 1. What is not known is not met. */

struct compare_bound {
    enum compare_metric metric;
    enum expect_relation relation;
    double ratio;
    char text[48]; /* "p99 < +5%" */
};

#define COMPARE_BOUNDS_MAX 16
struct compare_bounds {
    struct compare_bound items[COMPARE_BOUNDS_MAX];
    unsigned count;
};

/* Reads the whole of `text`; the message does not name the option. */
bool compare_bounds_parse(const char *text, struct compare_bounds *b, struct fail *f) MUST_USE;

/* Whether a pair meets one, and all pairs meet all. */
bool compare_bound_is_met(const struct compare_bound *b, const struct compare_pair *p);
bool compare_bounds_all_met(const struct compare_bounds *b, const struct comparison *c);

/* --- shown --- */

/* For a terminal; as Markdown; as a document of schema iubench-comparison/1
 * (docs/comparison.schema.json). The latter two return false with errno set. */
void compare_print(const struct comparison *c, const struct compare_bounds *b, FILE *to);
bool compare_markdown(const struct comparison *c, const struct compare_bounds *b, FILE *to);
bool compare_json(const struct comparison *c, const struct compare_bounds *b, FILE *to);

#endif
