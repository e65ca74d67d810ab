/* What the races of each contestant say together: medians with intervals, and each reason once. */
#ifndef REPORT_REPEATS_H
#define REPORT_REPEATS_H

#include "base/text.h"
#include "report/result.h"
#include "stats/bootstrap.h"

/* Over the races of one contestant. */
struct repeats_figure {
    unsigned count;           /* of races in which it is known */
    double median;            /* NAN: in none */
    struct interval interval; /* 95 %, see stats/bootstrap.h; NAN with fewer than 4 values */
};

enum repeats_metric {
    REPEATS_RPS,      /* as it is quoted */
    REPEATS_HELD_RPS, /* of ramps and stages */
    REPEATS_P50_US,
    REPEATS_P99_US,
    REPEATS_AVAILABILITY,
    REPEATS_CPU_US,       /* of the target, per request */
    REPEATS_MEMORY_BYTES, /* of the target at its highest: PSS, else RSS */
    REPEATS_METRICS
};
extern const char *const repeats_keys[REPEATS_METRICS]; /* in the result document */

struct repeats_side {
    const char *name;
    unsigned races, by_verdict[3]; /* enum load_verdict */
    struct repeats_figure figures[REPEATS_METRICS];
};

/* One for each name, in the order in which they raced first; returns how many. `sides` has room for
 * r->target_count. */
unsigned repeats_sides(const struct result *r, struct repeats_side *sides);

/* A reason of one contestant's verdicts; numbers in it are those of its first race that has it. */
struct repeats_reason {
    const char *name, *text;
    enum load_verdict verdict; /* the worst that it alone made of a race */
    unsigned races, of;        /* that have it, that there were */
};

/* Reasons that are the same up to their numbers are one, the worst come first; returns how many.
 * `reasons` has room for `most`. */
unsigned repeats_reasons(const struct result *r, struct repeats_reason *reasons, unsigned most);

/* "go-published, 3 of 5 races: the client sent late ..."; appended to `out`. */
void repeats_reason_text(const struct repeats_reason *reason, struct text *out);

#endif
