/* A bucket is found from the position of the highest bit: below 2048 each value has its own, above
 * that every doubling is cut into 1024 equal parts. With `shift` = how far the value exceeds 11
 * bits the index is 1024 * shift + (value >> shift): the upper half of each 2048-wide window is
 * new, its lower half is what the windows below have already covered in finer parts. So 5000, 13
 * bits, has shift 2, index 2048 + 1250 = 3298, and shares it with 5000 to 5003.
 *
 * Fields are read and written as relaxed atomics: on the writer's side that costs nothing, and a
 * reader on another thread may merge at any time. */
#include "metrics/hist.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

#define SUB_BITS  11
#define HALF_BITS (SUB_BITS - 1)

_Static_assert(HIST_SUB_BUCKETS == 1 << SUB_BITS, "hist_bucket() counts in these bits");

static uint64_t peek(const uint64_t *field)
{
    return __atomic_load_n(field, __ATOMIC_RELAXED);
}

static void poke(uint64_t *field, uint64_t value)
{
    __atomic_store_n(field, value, __ATOMIC_RELAXED);
}

static void add_sum(struct hist *h, double more)
{
    double sum = h->sum + more;
    __atomic_store(&h->sum, &sum, __ATOMIC_RELAXED);
}

struct hist *hist_new(void)
{
    struct hist *h = mem_need(1, sizeof *h);
    h->min = UINT64_MAX;
    return h;
}

void hist_clear(struct hist *h)
{
    if (!h->count)
        return;
    unsigned first = hist_bucket(h->min), last = hist_bucket(h->max);
    memset(h->buckets + first, 0, (last - first + 1) * sizeof h->buckets[0]);
    h->count = h->max = 0;
    h->min = UINT64_MAX;
    h->sum = 0;
}

unsigned hist_bucket(uint64_t ns)
{
    if (ns > HIST_MAX_NS)
        ns = HIST_MAX_NS;
    unsigned shift = 64 - SUB_BITS - (unsigned)__builtin_clzll(ns | (HIST_SUB_BUCKETS - 1));
    return (shift << HALF_BITS) + (unsigned)(ns >> shift);
}

static unsigned shift_of(unsigned bucket)
{
    return bucket < HIST_SUB_BUCKETS ? 0 : (bucket >> HALF_BITS) - 1;
}

uint64_t hist_bucket_low(unsigned bucket)
{
    CHECK(bucket < HIST_BUCKETS);
    unsigned shift = shift_of(bucket);
    return (uint64_t)(bucket - (shift << HALF_BITS)) << shift;
}

uint64_t hist_bucket_high(unsigned bucket)
{
    return hist_bucket_low(bucket) + (1ull << shift_of(bucket)) - 1;
}

void hist_record(struct hist *h, uint64_t ns)
{
    hist_record_n(h, ns, 1);
}

void hist_record_n(struct hist *h, uint64_t ns, uint64_t times)
{
    if (!times)
        return;
    if (ns > HIST_MAX_NS)
        ns = HIST_MAX_NS;
    uint64_t *bucket = &h->buckets[hist_bucket(ns)];
    poke(bucket, *bucket + times);
    poke(&h->count, h->count + times);
    add_sum(h, (double)ns * (double)times);
    if (ns < h->min)
        poke(&h->min, ns);
    if (ns > h->max)
        poke(&h->max, ns);
}

void hist_merge(struct hist *to, const struct hist *from)
{
    uint64_t min = peek(&from->min), max = peek(&from->max), count = 0;
    if (min > max)
        return;
    /* What is counted is what is found, so that `to` is whole even if `from` moves meanwhile. */
    for (unsigned i = hist_bucket(min); i <= hist_bucket(max); i++) {
        uint64_t found = peek(&from->buckets[i]);
        poke(&to->buckets[i], to->buckets[i] + found);
        count += found;
    }
    if (!count)
        return;
    double sum;
    __atomic_load(&from->sum, &sum, __ATOMIC_RELAXED);
    add_sum(to, sum);
    poke(&to->count, to->count + count);
    if (min < to->min)
        poke(&to->min, min);
    if (max > to->max)
        poke(&to->max, max);
}

void hist_subtract_from(struct hist *before, const struct hist *now)
{
    if (!now->count)
        return;
    unsigned first = hist_bucket(now->min), last = hist_bucket(now->max);
    uint64_t count = 0;
    before->min = UINT64_MAX;
    before->max = 0;
    for (unsigned i = first; i <= last; i++) {
        uint64_t more = now->buckets[i] - before->buckets[i];
        before->buckets[i] = more;
        if (!more)
            continue;
        count += more;
        before->max = hist_bucket_high(i);
        if (before->min == UINT64_MAX)
            before->min = hist_bucket_low(i);
    }
    before->count = count;
    before->sum = now->sum - before->sum;
}

uint64_t hist_percentile(const struct hist *h, double percent)
{
    CHECK(percent >= 0 && percent <= 100);
    if (!h->count)
        return 0;
    if (percent == 100) /* exact also where counts have more digits than a double */
        return h->max;
    /* 99.9 is not a binary fraction: what rounding adds to a whole rank must not lift it to the
     * next one. */
    double rank = ceil(percent * (double)h->count / 100 * (1 - 0x1p-50));
    uint64_t wanted = rank < 1 ? 1 : (uint64_t)rank, seen = 0;
    unsigned last = hist_bucket(h->max);
    for (unsigned i = hist_bucket(h->min); i < last; i++) {
        seen += h->buckets[i];
        if (seen >= wanted)
            return hist_bucket_high(i);
    }
    return h->max;
}

double hist_mean(const struct hist *h)
{
    return h->count ? h->sum / (double)h->count : 0;
}

uint64_t hist_count_below(const struct hist *h, uint64_t ns)
{
    if (!h->count || ns < h->min)
        return 0;
    if (ns >= h->max)
        return h->count;
    uint64_t seen = 0;
    for (unsigned i = hist_bucket(h->min); i <= hist_bucket(ns); i++)
        seen += h->buckets[i];
    return seen;
}

uint64_t hist_coarse_upper_ns(unsigned i)
{
    return (uint64_t)(1000 * exp2(i / 4.0));
}

void hist_coarsen(const struct hist *h, uint32_t counts[HIST_COARSE_BUCKETS])
{
    unsigned coarse = 0;
    memset(counts, 0, HIST_COARSE_BUCKETS * sizeof *counts);
    if (!h->count)
        return;
    for (unsigned i = hist_bucket(h->min); i <= hist_bucket(h->max); i++) {
        while (coarse < HIST_COARSE_BUCKETS - 1 &&
               hist_bucket_high(i) > hist_coarse_upper_ns(coarse))
            coarse++;
        counts[coarse] += (uint32_t)h->buckets[i];
    }
}
