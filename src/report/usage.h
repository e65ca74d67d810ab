/* What the parties used, in the rows of a result and summed up. */
#ifndef REPORT_USAGE_H
#define REPORT_USAGE_H

#include <jansson.h>

#include "load/load.h"

/* Adds "parties" and "host", and the target's own columns "cpu_pct", "rss_bytes", "throttled_ms", to
 * a row of the series. */
void usage_put(json_t *row, const struct usage *u);

/* What a party used over the run; NAN: not known. */
struct usage_sum {
    bool is_there;
    double cpu_us_per_request; /* of those that ended */
    double cpu_pct_mean, cpu_pct_max, rss_bytes_max, pss_bytes_max;
};
struct usage_sum usage_sum(const struct load_result *r, enum party party);

/* The "parties" of a target: those that were there, summed up. */
json_t *usage_sums_json(const struct load_result *r);

#endif
