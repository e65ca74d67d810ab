#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <pthread.h>
#include <zlib.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/rng.h"
#include "metrics/hist.h"

#define SAMPLES 50000

static const double percents[] = {0.01, 1, 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100};
#define PERCENT_COUNT (sizeof percents / sizeof percents[0])

/* Shapes of latencies: what each draws, ns. */
static uint64_t draw_uniform(struct rng *r)
{
    return rng_below(r, 10 * NS_PER_MS);
}
static uint64_t draw_exponential(struct rng *r)
{
    return (uint64_t)(300000 * rng_exponential(r));
}
static uint64_t draw_two_peaks(struct rng *r)
{
    return rng_below(r, 50) ? 80000 + rng_below(r, 900) : 5 * NS_PER_S;
}
static uint64_t draw_whole_range(struct rng *r)
{
    return rng_next(r) >> (22 + rng_below(r, 42)); /* up to 2^42: some are above the highest */
}
static uint64_t draw_small(struct rng *r)
{
    return rng_below(r, 4);
}
static uint64_t draw_constant(struct rng *r)
{
    (void)r;
    return 123456789;
}
static uint64_t (*const shapes[])(struct rng *) = {
    draw_uniform, draw_exponential, draw_two_peaks, draw_whole_range, draw_small, draw_constant};
#define SHAPE_COUNT (sizeof shapes / sizeof shapes[0])

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Records SAMPLES of a shape; `values` gets them sorted, cut as the histogram cuts them. */
static struct hist *sample(unsigned shape, uint64_t *values)
{
    struct rng rng;
    struct hist *h = hist_new();
    rng_seed(&rng, 100 + shape);
    for (unsigned i = 0; i < SAMPLES; i++) {
        uint64_t ns = shapes[shape](&rng);
        hist_record(h, ns);
        values[i] = ns > HIST_MAX_NS ? HIST_MAX_NS : ns;
    }
    qsort(values, SAMPLES, sizeof *values, compare);
    return h;
}

static void assert_same(const struct hist *a, const struct hist *b)
{
    assert_true(a->count == b->count && a->min == b->min && a->max == b->max);
    assert_true(fabs(a->sum - b->sum) <= 1e-12 * a->sum);
    assert_memory_equal(a->buckets, b->buckets, sizeof a->buckets);
}

/* Buckets adjoin without gap or overlap from 0 to the highest value, which is in the last one; none
 * is wider than 0.1 % of its values. */
static void test_buckets(void **state)
{
    (void)state;
    uint64_t expected_low = 0;
    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        uint64_t low = hist_bucket_low(i), high = hist_bucket_high(i);
        assert_true(low == expected_low && high >= low);
        assert_true((high - low) * 1000 <= low);
        expected_low = high + 1;
        if (low > HIST_MAX_NS)
            continue;
        assert_int_equal(hist_bucket(low), i);
        if (high <= HIST_MAX_NS)
            assert_int_equal(hist_bucket(high), i);
    }
    /* The highest value needs the last power of two, though not all of its buckets. */
    assert_true(hist_bucket(HIST_MAX_NS) < HIST_BUCKETS);
    assert_true(hist_bucket(HIST_MAX_NS) >= HIST_BUCKETS - HIST_SUB_BUCKETS / 2);
    assert_int_equal(hist_bucket(UINT64_MAX), hist_bucket(HIST_MAX_NS));
    assert_int_equal(hist_bucket(5000), 3298);
}

/* For each shape, percentiles are never below the sorted sample's and at most 0.1 % above; count,
 * min, max and mean are exact. */
static void test_against_sort(void **state)
{
    (void)state;
    uint64_t *values = calloc(SAMPLES, sizeof *values);
    for (unsigned shape = 0; shape < SHAPE_COUNT; shape++) {
        struct hist *h = sample(shape, values);
        double sum = 0;
        for (unsigned i = 0; i < SAMPLES; i++)
            sum += (double)values[i];
        assert_true(h->count == SAMPLES);
        assert_true(h->min == values[0] && h->max == values[SAMPLES - 1]);
        assert_true(fabs(hist_mean(h) - sum / SAMPLES) <= 1e-9 * sum / SAMPLES);
        for (unsigned i = 0; i < PERCENT_COUNT; i++) {
            double rank = ceil(percents[i] / 100 * SAMPLES - 1e-6);
            uint64_t exact = values[(unsigned)rank - 1], got = hist_percentile(h, percents[i]);
            assert_true(got >= exact && (got - exact) * 1000 <= exact);
        }
        assert_true(hist_percentile(h, 100) == h->max);
        free(h);
    }
    free(values);
}

/* The rank of a percentile is the least that covers it: 1..1000 have their percentiles as values.
 */
static void test_ranks(void **state)
{
    (void)state;
    struct hist *h = hist_new();
    for (uint64_t ns = 1; ns <= 1000; ns++)
        hist_record(h, ns);
    for (unsigned permille = 1; permille <= 1000; permille++)
        assert_int_equal(hist_percentile(h, permille / 10.0), permille);
    assert_int_equal(hist_percentile(h, 0), 1);
    assert_int_equal(hist_percentile(h, 0.1001), 2);
    free(h);
}

/* An empty histogram answers 0 to everything; one record is every percentile. */
static void test_empty_and_single(void **state)
{
    (void)state;
    struct hist *h = hist_new();
    assert_true(h->count == 0 && h->min == UINT64_MAX && h->max == 0);
    assert_true(hist_percentile(h, 99) == 0 && hist_mean(h) == 0);
    assert_true(hist_count_below(h, UINT64_MAX) == 0);
    hist_record_n(h, 77, 0);
    assert_true(h->count == 0 && h->min == UINT64_MAX);
    hist_record(h, 5000);
    assert_true(hist_percentile(h, 0) == 5000 && hist_percentile(h, 100) == 5000);
    free(h);
}

/* Counting below agrees with the sorted sample at the ends of buckets. */
static void test_count_below(void **state)
{
    (void)state;
    uint64_t *values = calloc(SAMPLES, sizeof *values);
    for (unsigned shape = 0; shape < SHAPE_COUNT; shape++) {
        struct hist *h = sample(shape, values);
        for (unsigned i = 0; i < SAMPLES; i += 499) {
            uint64_t high = hist_bucket_high(hist_bucket(values[i])), expected = i;
            while (expected < SAMPLES && values[expected] <= high)
                expected++;
            assert_true(hist_count_below(h, values[i]) == expected);
        }
        assert_true(hist_count_below(h, h->max) == SAMPLES);
        assert_true(h->min == 0 || hist_count_below(h, h->min - 1) == 0);
        free(h);
    }
    free(values);
}

/* Merging is the union, an empty one on either side changes nothing, and n records are one of n. */
static void test_merge(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 9);
    struct hist *parts[3] = {hist_new(), hist_new(), hist_new()};
    struct hist *all = hist_new(), *merged = hist_new(), *empty = hist_new();
    for (unsigned i = 0; i < SAMPLES; i++) {
        uint64_t ns = shapes[i % SHAPE_COUNT](&rng), times = 1 + rng_below(&rng, 3);
        hist_record_n(parts[i % 3], ns, times);
        for (uint64_t j = 0; j < times; j++)
            hist_record(all, ns);
    }
    for (unsigned i = 0; i < 3; i++) {
        hist_merge(merged, parts[i]);
        hist_merge(merged, empty);
    }
    assert_same(all, merged);
    hist_merge(empty, parts[0]);
    assert_same(empty, parts[0]);
    for (unsigned i = 0; i < 3; i++)
        free(parts[i]);
    free(all);
    free(merged);
    free(empty);
}

static void *record_many(void *h)
{
    struct rng rng;
    rng_seed(&rng, 10);
    for (unsigned i = 0; i < 40 * SAMPLES; i++)
        hist_record(h, draw_exponential(&rng));
    return NULL;
}

/* A merge beside the recording gives a whole histogram: its count is that of its buckets, it never
 * shrinks, and its percentiles end. */
static void test_merge_while_recording(void **state)
{
    (void)state;
    struct hist *live = hist_new(), *seen = hist_new();
    pthread_t thread;
    uint64_t before = 0;
    assert_int_equal(pthread_create(&thread, NULL, record_many, live), 0);
    while (before < 20 * SAMPLES) {
        hist_clear(seen);
        hist_merge(seen, live);
        uint64_t sum = 0;
        for (unsigned i = 0; i < HIST_BUCKETS; i++)
            sum += seen->buckets[i];
        assert_true(seen->count == sum && sum >= before);
        assert_true(hist_percentile(seen, 99.9) <= seen->max);
        before = sum;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    free(live);
    free(seen);
}

/* A cleared histogram is as new, whatever was in it, and can be used again. */
static void test_clear(void **state)
{
    (void)state;
    struct hist *h = hist_new(), *fresh = hist_new();
    struct rng rng;
    rng_seed(&rng, 13);
    hist_clear(h);
    assert_memory_equal(h, fresh, sizeof *h);
    for (unsigned shape = 0; shape < SHAPE_COUNT; shape++) {
        for (unsigned i = 0; i < 1000; i++)
            hist_record(h, shapes[shape](&rng));
        hist_clear(h);
        assert_memory_equal(h, fresh, sizeof *h);
    }
    free(h);
    free(fresh);
}

/* Encoded and decoded, every bucket is the same, and so is the text when it is encoded again. */
static void test_round_trip(void **state)
{
    (void)state;
    uint64_t *values = calloc(SAMPLES, sizeof *values);
    struct hist *back = hist_new();
    for (unsigned shape = 0; shape < SHAPE_COUNT; shape++) {
        struct hist *h = sample(shape, values);
        struct text first = {0}, second = {0};
        hist_encode(h, &first);
        assert_true(hist_decode(back, text_span(&first)));
        assert_true(h->count == back->count);
        assert_memory_equal(h->buckets, back->buckets, sizeof h->buckets);
        assert_true(back->min <= h->min && back->max >= h->max && back->max <= HIST_MAX_NS);
        assert_true(fabs(hist_mean(back) - hist_mean(h)) <= 0.001 * hist_mean(h));
        hist_encode(back, &second);
        assert_string_equal(first.data, second.data);
        text_free(&first);
        text_free(&second);
        free(h);
    }
    free(back);
    free(values);
}

/* Written by HdrHistogram's Python package: 0 three times, 1 once, 3 twice, 2047 once, 2048 five
 * times, 5001 seven times, 123456789 a million times, 3.6e12 twice. */
static const char golden[] = "HISTFAAAADd4nJNpmSzMwMAgygABzFCaEch0M9ixgMH+A0SAjYmR5as8E9dBYb73"
                             "LxkbOqvuv2FkAQDs5gub";

/* The reference's text is read, and what it says is written so that it reads the same. */
static void test_reference(void **state)
{
    (void)state;
    static const struct {
        uint64_t ns, times;
    } rows[] = {
        {0, 3},          {1, 1}, {3, 2}, {2047, 1}, {2048, 5}, {5001, 7}, {123456789, 1000000},
        {HIST_MAX_NS, 2}};
    struct hist *h = hist_new(), *expected = hist_new();
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        hist_record_n(expected, rows[i].ns, rows[i].times);
    assert_true(hist_decode(h, span_of(golden)));
    assert_true(h->count == expected->count);
    assert_memory_equal(h->buckets, expected->buckets, sizeof h->buckets);

    struct text ours = {0};
    hist_encode(expected, &ours);
    assert_memory_equal(ours.data, "HISTFAAAA", 9);
    assert_true(hist_decode(h, text_span(&ours)));
    assert_memory_equal(h->buckets, expected->buckets, sizeof h->buckets);
    text_free(&ours);
    free(h);
    free(expected);
}

/* Nothing recorded, and counts as great as they get, pass through the encoding. */
static void test_extreme_counts(void **state)
{
    (void)state;
    struct hist *h = hist_new(), *back = hist_new();
    struct text t = {0};
    hist_encode(h, &t);
    assert_true(hist_decode(back, text_span(&t)));
    assert_true(back->count == 0 && back->min == UINT64_MAX && back->max == 0);
    t.len = 0;
    hist_record_n(h, 17, 1ull << 62);
    hist_record_n(h, 18, (1ull << 62) - 1);
    hist_encode(h, &t);
    assert_true(hist_decode(back, text_span(&t)));
    assert_memory_equal(h->buckets, back->buckets, sizeof h->buckets);
    assert_int_equal(hist_percentile(h, 100), 18);

    /* One more, and the sum of the counts is beyond what the format's readers can hold. */
    t.len = 0;
    hist_record(h, 19);
    hist_encode(h, &t);
    assert_false(hist_decode(back, text_span(&t)));
    text_free(&t);
    free(h);
    free(back);
}

/* Other parameters (2 digits; another highest value), cut texts and other texts are refused. */
static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "HISTFAAAA",
        "HIST",
        "====",
        "AAAA",
        "HISTFAAAACN4nJNpmSzMwMDAxAABMJqRgYHZzWDHAgb7DxABXiYAVxYEWw==",
        "HISTFAAAACJ4nJNpmSzMwMDAxAABzFCaEURcm7yEwf4DRICXCQBaSgSY",
        "not a histogram, but long enough to be one, were it in base64...",
    };
    struct hist *h = hist_new(), *empty = hist_new();
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        hist_record(h, 5);
        assert_false(hist_decode(h, span_of(bad[i])));
        assert_memory_equal(h, empty, sizeof *h);
    }
    for (size_t len = 0; len < strlen(golden); len++)
        assert_false(hist_decode(h, (struct span){golden, len}));
    free(h);
    free(empty);
}

/* The text around `counts` that hist_encode() would write. */
static void wrap(const uint8_t *counts, size_t len, struct text *t)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t plain[128] = {0x1c, 0x84, 0x93, 0x13, 0, 0, 0, (uint8_t)len, 0, 0, 0, 0, 0, 0, 0, 3};
    uint8_t packed[512] = {0x1c, 0x84, 0x93, 0x14};
    uLongf packed_len = sizeof packed - 8;
    plain[23] = 1;
    memcpy(plain + 24, "\x00\x00\x03\x46\x30\xb8\xa0\x00\x3f\xf0", 10);
    memcpy(plain + 40, counts, len);
    assert_int_equal(compress(packed + 8, &packed_len, plain, 40 + len), Z_OK);
    packed[7] = (uint8_t)packed_len;
    for (size_t bit = 0; bit < 8 * (8 + packed_len); bit += 6) {
        unsigned pair = packed[bit / 8] * 256u + packed[bit / 8 + 1];
        text_add(t, (struct span){&digits[pair >> (10 - bit % 8) & 63], 1});
    }
    while (t->len % 4)
        text_add(t, SPAN("="));
}

/* Counts that end within a number, reach beyond the last bucket or are too many are refused. */
static void test_crafted(void **state)
{
    (void)state;
    static const struct {
        const char *counts;
        size_t len;
        bool is_good;
    } rows[] = {
        {"\x02", 1, true},                                  /* 1 */
        {"\x02\x80", 2, false},                             /* ends within a number */
        {"\xfe\x8f\x04\x02", 4, true},                      /* 33 791 in bucket 0, 1 */
        {"\xfd\x8f\x04\x02", 4, true},                      /* 33 791 empty, 1: the last */
        {"\xfd\x8f\x04\x02\x02", 5, false},                 /* and one beyond it */
        {"\xff\x8f\x04", 3, true},                          /* 33 792 empty: all of them */
        {"\x81\x90\x04", 3, false},                         /* 33 793 empty */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9, false}, /* 2^63 empty */
        {"\xfe\xff\xff\xff\xff\xff\xff\xff\xff", 9, true},  /* 2^63 - 1 in bucket 0 */
        {"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, false},
        {"", 0, true},
    };
    struct hist *h = hist_new();
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct text t = {0};
        wrap((const uint8_t *)rows[i].counts, rows[i].len, &t);
        if (hist_decode(h, text_span(&t)) != rows[i].is_good)
            fail_msg("row %u", i);
        text_free(&t);
    }
    char *endless = malloc(1 << 20);
    memset(endless, 'A', 1 << 20);
    assert_false(hist_decode(h, (struct span){endless, 1 << 20}));
    free(endless);
    free(h);
}

/* Whatever single character of a good text is changed, it is refused; but for the few bits that
 * deflate leaves unused, and then what is read is right. */
static void test_damaged(void **state)
{
    (void)state;
    struct hist *h = hist_new(), *intact = hist_new();
    char text[sizeof golden];
    unsigned accepted = 0;
    assert_true(hist_decode(intact, span_of(golden)));
    for (size_t i = 0; i < strlen(golden); i++) {
        for (int c = 0; c < 256; c++) {
            memcpy(text, golden, sizeof golden);
            text[i] = (char)c;
            if (text[i] == golden[i] || !hist_decode(h, (struct span){text, sizeof text - 1}))
                continue;
            assert_same(h, intact);
            accepted++;
        }
    }
    assert_true(accepted < 64);
    free(h);
    free(intact);
}

/* Coarse buckets hold every value once, none above its upper end by more than the resolution. */
static void test_coarse(void **state)
{
    (void)state;
    struct hist *h = hist_new();
    uint32_t counts[HIST_COARSE_BUCKETS];
    const uint64_t values[] = {0, 1000, 1001, 1189, 2000, 2001, 1000000, HIST_MAX_NS};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        hist_record(h, values[i]);
    hist_coarsen(h, counts);
    assert_int_equal(hist_coarse_upper_ns(0), 1000);
    assert_int_equal(hist_coarse_upper_ns(4), 2000);
    assert_true(hist_coarse_upper_ns(HIST_COARSE_BUCKETS - 1) >= HIST_MAX_NS);
    assert_int_equal(counts[0], 2);
    assert_int_equal(counts[1], 2);
    assert_int_equal(counts[4], 1);
    assert_int_equal(counts[5], 1);
    assert_int_equal(counts[40], 1); /* 1 ms is below 1024 us, the tenth doubling */
    assert_int_equal(counts[HIST_COARSE_BUCKETS - 1], 1);
    hist_clear(h);
    hist_coarsen(h, counts);
    for (unsigned i = 0; i < HIST_COARSE_BUCKETS; i++)
        assert_int_equal(counts[i], 0);
    free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets),     cmocka_unit_test(test_against_sort),
        cmocka_unit_test(test_ranks),       cmocka_unit_test(test_empty_and_single),
        cmocka_unit_test(test_count_below), cmocka_unit_test(test_coarse),
        cmocka_unit_test(test_merge),       cmocka_unit_test(test_merge_while_recording),
        cmocka_unit_test(test_clear),       cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_reference),   cmocka_unit_test(test_extreme_counts),
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_crafted),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
