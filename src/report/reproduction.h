/* What was published beside what was measured here. A row is a scenario and a metric; its first two
 * contestants are those that the published ratio is of, the slower one first. A ratio says how many
 * times as good the second one is: its rate over the first one's, or the first one's time or size
 * over its own. */
#ifndef REPORT_REPRODUCTION_H
#define REPORT_REPRODUCTION_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/fail.h"
#include "stats/bootstrap.h"

#define REPRODUCTION_CONTESTANTS_MAX 8
#define REPRODUCTION_FACTOR          1.5 /* see reproduction_definition */

enum reproduction_unit { REPRODUCTION_PER_S, REPRODUCTION_US, REPRODUCTION_MS, REPRODUCTION_BYTES };

struct reproduction_metric {
    const char *name, *heading;
    enum reproduction_unit unit;
    bool is_more_better;
    const char *path; /* in a target of a result document */
};
extern const struct reproduction_metric reproduction_metrics[]; /* one without a name ends them */

const struct reproduction_metric *reproduction_metric(const char *name); /* NULL: there is none */

enum reproduction_outcome {
    REPRODUCTION_INCOMPARABLE, /* no ratio was published, or none could be measured */
    REPRODUCTION_ALIKE,        /* not distinguishable from 1 */
    REPRODUCTION_REVERSED,     /* below 1 */
    REPRODUCTION_REPRODUCED,
    REPRODUCTION_LARGER,
    REPRODUCTION_SMALLER,
};
extern const char *const reproduction_outcomes[]; /* "not comparable", "not distinguishable", ... */
extern const char reproduction_definition[];      /* of them, for the reader */

/* `published` with equal ends where it is one number. NAN: not known; `p` is the rank test's. */
enum reproduction_outcome reproduction_outcome(struct interval published, double ratio,
                                               struct interval interval, double p);

struct reproduction_contestant {
    char name[64];
    double published; /* NAN: nothing was */
    double *values;   /* ascending */
    unsigned count, run_count, invalid_count;
    double median;            /* NAN: no value */
    struct interval interval; /* of the median; NAN: too few values */
    char lack[512];           /* "was skipped: ...", "failed: ..."; "": neither */
};

struct reproduction_row {
    char name[64];
    const struct reproduction_metric *metric;
    char published[512], cause[1024]; /* in words */
    struct reproduction_contestant contestants[REPRODUCTION_CONTESTANTS_MAX];
    unsigned contestant_count;
    struct interval ratio_published; /* NAN: none was */
    double ratio;                    /* of the medians */
    struct interval ratio_interval;
    double p; /* of the rank test */
    enum reproduction_outcome outcome;
    char note[1200];  /* why it cannot be compared; "": it can */
    char report[128]; /* its page, relative to the folder; "": there is none */
};

struct reproduction {
    struct reproduction_row *rows;
    unsigned row_count;
    uint32_t repeats;
    int64_t started_us;  /* wall clock */
    double load_average; /* of one minute, when it began; NAN: not known */
    bool is_interrupted;
    int argc;
    char **argv;
};

/* A row at the end, with everything unknown; valid until the next one. */
struct reproduction_row *reproduction_add(struct reproduction *r);
void reproduction_free(struct reproduction *r);

/* Takes the row's metric of its contestants from a result (report/read.h). */
bool reproduction_read(struct reproduction_row *row, const char *file, struct fail *f) MUST_USE;

/* Computes medians, intervals, ratio and outcome from what was read. `seed` is of the resamples. */
void reproduction_judge(struct reproduction_row *row, uint32_t seed);

/* As a table for a terminal; as Markdown; as a document of schema iubench-reproduction/1
 * (docs/reproduction.schema.json). The latter two return false with errno set. */
void reproduction_print(const struct reproduction *r, FILE *to);
bool reproduction_markdown(const struct reproduction *r, FILE *to);
bool reproduction_json(const struct reproduction *r, FILE *to);

/* As a page (report/html.h). */
bool reproduction_page(const struct reproduction *r, const char *path, struct fail *f) MUST_USE;

#endif
