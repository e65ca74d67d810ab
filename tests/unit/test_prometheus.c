/* Prometheus' text: what a label may hold, and histograms whose buckets are the histogram's own. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/rng.h"
#include "metrics/prometheus.h"

/* Quotes, backslashes and line ends are escaped, anything else stands as it is. */
static void test_label(void **state)
{
    (void)state;
    struct text t = {0};
    prometheus_label(&t, "a", SPAN("x\"y\\z\n{}\xc3\xa4"));
    assert_string_equal(t.data, "a=\"x\\\"y\\\\z\\n{}\xc3\xa4\"");
    text_free(&t);
}

/* The published 261 bounds; below each as many as the histogram says; then sum and count. */
static void test_histogram(void **state)
{
    (void)state;
    struct hist *h = hist_new();
    struct text t = {0};
    struct rng rng;
    unsigned buckets = 0;
    rng_seed(&rng, 6);
    for (int i = 0; i < 20000; i++)
        hist_record(h, rng_below(&rng, i % 2 ? 7 * NS_PER_S : 300 * NS_PER_US));
    hist_record(h, 10 * NS_PER_US); /* on a bound */
    prometheus_histogram(&t, "d", "op=\"x\"", h);
    for (const char *line = t.data; *line; line = strchr(line, '\n') + 1) {
        double le;
        uint64_t count;
        if (sscanf(line, "d_bucket{op=\"x\",le=\"%lf\"} %" SCNu64, &le, &count) == 2) {
            uint64_t bound_ns = le > 1e9 ? UINT64_MAX : (uint64_t)(le * 1e9 + 0.5);
            assert_int_equal(count, hist_count_below(h, bound_ns));
            buckets++;
        } else if (sscanf(line, "d_count{op=\"x\"} %" SCNu64, &count) == 1) {
            assert_int_equal(count, h->count);
        } else {
            assert_int_equal(sscanf(line, "d_sum{op=\"x\"} %lf", &le), 1);
            assert_true(le > h->sum / 1e9 * 0.999999 && le < h->sum / 1e9 * 1.000001);
        }
    }
    assert_int_equal(buckets, 262);
    text_free(&t);
    free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_label),
        cmocka_unit_test(test_histogram),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
