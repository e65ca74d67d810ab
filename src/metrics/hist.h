/* A log-linear histogram of nanoseconds: three significant digits over 1 ns to one hour. A recorded
 * value is reported as the highest value of its bucket (but never above the greatest recorded), so
 * that a percentile is at most 0.1 % above the sorted sample's and never below it. Buckets are
 * HdrHistogram's (lowest 1, highest 3.6e12, 3 digits), so that its encoding is lossless. One thread
 * writes; another may only hist_merge() from it, and may do so at any time. */
#ifndef METRICS_HIST_H
#define METRICS_HIST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "base/text.h"

#define HIST_MAX_NS      3600000000000ull /* greater values are recorded as this one */
#define HIST_SUB_BUCKETS 2048             /* linear part; each doubling above has half as many */
#define HIST_BUCKETS     (HIST_SUB_BUCKETS + 31 * (HIST_SUB_BUCKETS / 2))

struct hist {
    uint64_t count, min, max; /* min is UINT64_MAX when empty */
    double sum;               /* of the values as recorded, exact enough for a mean */
    uint64_t buckets[HIST_BUCKETS];
};

struct hist *hist_new(void);     /* empty; never NULL. Freed with free(3). */
void hist_clear(struct hist *h); /* cost: the part that was touched */

/* Index of the bucket of a value, in [0, HIST_BUCKETS); lowest and highest value of a bucket. */
unsigned hist_bucket(uint64_t ns);
uint64_t hist_bucket_low(unsigned bucket);
uint64_t hist_bucket_high(unsigned bucket);

/* Counts one value, or a value so many times. Cheap enough for every request. */
void hist_record(struct hist *h, uint64_t ns);
void hist_record_n(struct hist *h, uint64_t ns, uint64_t times);

/* Adds `from` to `to`: the histogram of the union, exactly. `from` may be recorded into meanwhile
 * on its own thread (not cleared): what is recorded during the call may be in the result or not. */
void hist_merge(struct hist *to, const struct hist *from);

/* Turns `before`, an earlier state of the same histogram as `now`, into what was recorded between the
 * two. Its min and max are those of the buckets. */
void hist_subtract_from(struct hist *before, const struct hist *now);

/* The value at or below which `percent` (0 to 100) of the records lie; 0 when empty. 100 gives max.
 */
uint64_t hist_percentile(const struct hist *h, double percent);
double hist_mean(const struct hist *h);

/* How many records are at or below `ns`, to the resolution of the buckets. */
uint64_t hist_count_below(const struct hist *h, uint64_t ns);

/* The same values in few buckets, four a doubling from 1 us: for a picture of many seconds. Bucket `i`
 * holds what is above the upper end of the one before and at most its own, to the resolution of the
 * fine buckets. */
#define HIST_COARSE_BUCKETS 128
uint64_t hist_coarse_upper_ns(unsigned i);
void hist_coarsen(const struct hist *h, uint32_t counts[HIST_COARSE_BUCKETS]);

/* HdrHistogram V2 compressed encoding in base64 ("HISTFAAAA..."), unit ns, appended to `t`; and
 * back: hist_decode() replaces what `h` holds. The buckets survive exactly, min, max and sum only
 * to their resolution. It returns false, leaving `h` empty, on anything that is not such a text or
 * has other parameters. */
void hist_encode(const struct hist *h, struct text *t);
bool hist_decode(struct hist *h, struct span text) MUST_USE;

#endif
