/* What a target's own /metrics says of its storage, under the published names
 * (myapp_request_duration_seconds and myapp_errors_count, labelled op="insert" and op="set"), in
 * Prometheus' text format. A pure function of the page. */
#ifndef LAB_EXPOSITION_H
#define LAB_EXPOSITION_H

#include <stdbool.h>

#include "base/span.h"

#define EXPOSITION_BUCKETS_MAX 512 /* the published histogram has 261 */

/* Since the process began. */
struct exposition {
    unsigned bucket_count; /* 0: there is no such histogram */
    double upper_s[EXPOSITION_BUCKETS_MAX], below[EXPOSITION_BUCKETS_MAX]; /* `le`, ascending */
    double errors;                                                         /* NAN: not told */
};

/* Reads the page for one operation, "insert" or "set". */
void exposition_read(struct span page, const char *op, struct exposition *e);

/* Adds what came between two pages of one process to `sum`, zeroed before the first. False, and nothing is
 * added, if they are not of one: another has other bounds, or lesser counts. */
bool exposition_add(struct exposition *sum, const struct exposition *before,
                    const struct exposition *now);

/* How many there are. */
double exposition_count(const struct exposition *e);

/* Seconds at or below which the share `q` lies, as Prometheus' histogram_quantile() has it: evenly spread
 * within its bucket, and of what is beyond all bounds the highest. NAN if there is nothing. */
double exposition_quantile(const struct exposition *e, double q);

#endif
