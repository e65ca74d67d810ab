/* The rate at which contestants can be compared: the highest that was offered to each of them and
 * that each of them held. The page computes the same (web/data.js, equalRate()). */
#ifndef REPORT_EQUAL_H
#define REPORT_EQUAL_H

#include <jansson.h>
#include <stdbool.h>

/* Of `count` targets, objects of result documents; `p99_us` gets one value for each. False if there
 * are fewer than two or no rate is common to all. */
bool equal_rate(json_t *const *targets, unsigned count, double *rate, double *p99_us);

/* The rate up to which a target kept up, by its search or its ramp; NAN if it is not known or none
 * was held. */
double equal_held(const json_t *target);

#endif
