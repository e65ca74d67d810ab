/* The load's metrics: seconds are summed by contestant and status, gauges are those of the last row,
 * and what a row does not know is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "live/metrics.h"

static struct hist *latency, *lost;

static int open_hists(void **state)
{
    (void)state;
    latency = hist_new();
    lost = hist_new();
    for (int i = 0; i < 10; i++)
        hist_record(latency, 20000);
    for (int i = 0; i < 3; i++) {
        hist_record(latency, 5000000000);
        hist_record(lost, 5000000000);
    }
    return 0;
}

static int close_hists(void **state)
{
    (void)state;
    free(latency);
    free(lost);
    return 0;
}

static struct load_second second(void)
{
    struct load_second row = {.length_s = 1, .latency = latency, .client_cpu_pct = 25};
    row.counts = (struct load_counts){.sent = 13, .ok = 10, .timeouts = 3};
    row.others[LOAD_STATUS_NONE] = lost;
    return row;
}

static void add(struct metrics *m, const char *row)
{
    struct load_second s = second();
    struct metrics_second counts;
    metrics_copy(&counts, &s);
    json_t *json = json_loads(row, 0, NULL);
    assert_non_null(json);
    metrics_add(m, &counts, json);
}

static void assert_has(const struct text *page, const char *line)
{
    if (!strstr(page->data, line))
        fail_msg("not there: %s", line);
}

/* Two contestants, the first of them twice: its seconds go on. */
static void test_sums(void **state)
{
    (void)state;
    struct metrics m = {.started_us = 1};
    struct text page = {0};
    const char *const names[] = {"a", "b\"", "a"};
    for (int i = 0; i < 3; i++) {
        metrics_target(&m, names[i]);
        add(&m, "{\"connections\": 7}");
    }
    metrics_write(&m, &page);
    assert_has(&page, "\niubench_load_sent_total{target=\"a\"} 26\n");
    assert_has(&page, "\niubench_load_ok_total{target=\"b\\\"\"} 10\n");
    assert_has(&page, "\niubench_load_cpu_seconds_total{target=\"a\"} 0.500000\n");
    assert_has(&page, "\ntester_request_duration_seconds_count{target=\"a\",status=\"2xx\"} 20\n");
    assert_has(&page, "\ntester_request_duration_seconds_count{target=\"a\",status=\"0\"} 6\n");
    assert_has(&page, "{target=\"a\",status=\"2xx\",le=\"2.5e-05\"} 20\n");
    assert_has(&page, "{target=\"a\",status=\"0\",le=\"4.5\"} 0\n");
    assert_has(&page, "\nmyapp_clients{target=\"a\"} 7\n");
    assert_null(strstr(page.data, "status=\"4xx\""));
    assert_null(strstr(page.data, "send_lag"));
    text_free(&page);
    metrics_free(&m);
}

/* Gauges in their units, by party; null and absent are not zero. */
static void test_gauges(void **state)
{
    (void)state;
    struct metrics m = {.started_us = 1};
    struct text page = {0};
    metrics_target(&m, "a");
    add(&m, "{\"connections\": 7, \"clients\": 3, \"target_rps\": null, \"max_us\": 1500.5, "
            "\"pool\": 4,"
            " \"parties\": {\"target\": {\"cpu_pct\": 150, \"rss_bytes\": 123456789012,"
            " \"throttled_ms\": 250}, \"client\": {\"cpu_pct\": null, \"threads\": 2}}}");
    metrics_write(&m, &page);
    assert_has(&page, "\nmyapp_clients{target=\"a\"} 3\n");
    assert_has(&page, "\niubench_load_latency_max_seconds{target=\"a\"} 0.0015005\n");
    assert_has(&page, "\niubench_run_pool_connections{target=\"a\"} 4\n");
    assert_has(&page, "\niubench_party_cpu_cores{target=\"a\",party=\"target\"} 1.5\n");
    assert_has(&page, "\niubench_party_throttled_ratio{target=\"a\",party=\"target\"} 0.25\n");
    assert_has(&page, "\niubench_party_threads{target=\"a\",party=\"client\"} 2\n");
    assert_has(&page, "\niubench_party_resident_memory_bytes{target=\"a\",party=\"target\"} "
                      "123456789012\n");
    assert_null(strstr(page.data, "iubench_load_target_rate"));
    assert_null(strstr(page.data, "cpu_cores{target=\"a\",party=\"client\"}"));
    text_free(&page);
    metrics_free(&m);
}

/* Before the first second, and before the first contestant. */
static void test_nothing_yet(void **state)
{
    (void)state;
    struct metrics m = {.started_us = 1};
    struct text page = {0};
    metrics_write(&m, &page);
    assert_has(&page, "\nprocess_start_time_seconds 0.000\n");
    metrics_target(&m, "a");
    metrics_write(&m, &page);
    assert_has(&page, "\ntester_request_duration_seconds_count{target=\"a\",status=\"2xx\"} 0\n");
    assert_null(strstr(page.data, "myapp_clients"));
    text_free(&page);
    metrics_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_gauges),
        cmocka_unit_test(test_nothing_yet),
    };
    return cmocka_run_group_tests(tests, open_hists, close_hists);
}
