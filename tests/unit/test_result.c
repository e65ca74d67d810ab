/* The result document: its keys and types are those of docs/result.schema.json, its numbers those of
 * the run; and the table holds what matters in its first line. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "report/result.h"

static struct load_second rows[2];
static struct load_result load;
static struct result_target target = {.name = "iubench", .load = &load};
static char *words[] = {(char *)"iubench", (char *)"load", (char *)"http://a/"};
static struct result result = {.argc = 3,
                               .argv = words,
                               .scenario = "load",
                               .services = "none",
                               .targets = &target,
                               .target_count = 1};

/* A target that used so much CPU of core 1, and a memcached of which nothing is known. */
static void fill_usage(struct usage *u, double cpu_ns)
{
    struct usage_party *p = &u->parties[PARTY_TARGET];
    double pct = cpu_ns / 1e7;
    p->is_there = u->parties[PARTY_MEMCACHED].is_there = true;
    p->cpu_ns = (uint64_t)cpu_ns;
    p->cpu_pct = (struct usage_spread){pct, pct, pct};
    p->rss_bytes = (struct usage_spread){4096, 4096, 4096};
    p->pss_bytes = cpu_ns / 1e6;
    p->throttled_ms = 1.5;
    usage_cores(u, PARTY_TARGET)[1] = (float)pct;
    usage_cores(u, PARTY_COUNT)[0] = 50;
    u->steal_pct = 3;
    u->readings = 1;
}

static int make(void **state)
{
    (void)state;
    load = (struct load_result){.url = "http://a/",
                                .method = "GET",
                                .is_open = true,
                                .model = "constant",
                                .duration_s = 2,
                                .target_rps = 550,
                                .held_rps = NAN,
                                .quoted_rps = 500,
                                .connections = 64,
                                .threads = 1,
                                .timeout_ns = 5 * NS_PER_S,
                                .seconds = rows,
                                .second_count = 2};
    load.counts = (struct load_counts){.scheduled = 1100,
                                       .unsent = 10,
                                       .sent = 1090,
                                       .ok = 1000,
                                       .timeouts = 50,
                                       .unfinished = 20};
    load.counts.errors[LOAD_ERROR_reset] = 15;
    load.counts.errors[LOAD_ERROR_status_5xx] = 5;
    load.latency = load.quoted_latency = hist_new();
    load.service = load.quoted_service = hist_new();
    load.send_lag = load.quoted_send_lag = hist_new();
    for (uint64_t i = 1; i <= 1000; i++)
        hist_record(load.latency, i * 1000);
    for (uint32_t i = 0; i < 2; i++)
        rows[i] = (struct load_second){.t = i + 1,
                                       .length_s = 1,
                                       .target_rps = 550,
                                       .equivalent_rps = NAN,
                                       .db_p99_us = NAN,
                                       .cache_p99_us = NAN,
                                       .db_errors = NAN,
                                       .cache_errors = NAN,
                                       .pool = -1,
                                       .pool_in_flight = -1};
    fill_usage(rows[0].usage = usage_new(2), 2.5e8);
    fill_usage(rows[1].usage = usage_new(2), 7.5e8);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    free(rows[0].usage);
    free(rows[1].usage);
    load.seconds = NULL;
    load.second_count = 0;
    load_result_free(&load);
    return 0;
}

/* --- as much of JSON Schema as the file uses: a key that is not known here fails the test --- */

static json_t *schema;

static bool has_type(const json_t *value, const char *type)
{
    return (!strcmp(type, "object") && json_is_object(value)) ||
           (!strcmp(type, "array") && json_is_array(value)) ||
           (!strcmp(type, "string") && json_is_string(value)) ||
           (!strcmp(type, "boolean") && json_is_boolean(value)) ||
           (!strcmp(type, "null") && json_is_null(value)) ||
           (!strcmp(type, "integer") && json_is_integer(value)) ||
           (!strcmp(type, "number") && json_is_number(value));
}

static void check_type(const json_t *value, const json_t *type, const char *where)
{
    size_t i;
    json_t *one;
    bool is_good = json_is_string(type) && has_type(value, json_string_value(type));
    json_array_foreach(type, i, one) is_good = is_good || has_type(value, json_string_value(one));
    if (!is_good)
        fail_msg("%s has the wrong type", where);
}

static void check(const json_t *value, json_t *rule, const char *where)
{
    const char *key, *reference = json_string_value(json_object_get(rule, "$ref"));
    json_t *part;
    size_t i;
    if (reference) {
        assert_int_equal(strncmp(reference, "#/$defs/", 8), 0);
        rule = json_object_get(json_object_get(schema, "$defs"), reference + 8);
        assert_non_null(rule);
    }
    if ((part = json_object_get(rule, "type")))
        check_type(value, part, where);
    if ((part = json_object_get(rule, "const")) && !json_equal(value, part))
        fail_msg("%s is not the constant it should be", where);
    json_array_foreach(json_object_get(rule, "required"), i, part)
    {
        if (json_is_object(value) && !json_object_get(value, json_string_value(part)))
            fail_msg("%s has no %s", where, json_string_value(part));
    }
    json_object_foreach(json_object_get(rule, "properties"), key, part)
    {
        if (json_object_get(value, key))
            check(json_object_get(value, key), part, key);
    }
    json_t *item, *items = json_object_get(rule, "items");
    if (items)
        json_array_foreach(value, i, item) check(item, items, where);
    if ((part = json_object_get(rule, "minimum")) && json_is_number(value) &&
        json_number_value(value) < json_number_value(part))
        fail_msg("%s is below its minimum", where);
}

/* Every key of the schema is there and of its type. */
static void test_schema(void **state)
{
    json_error_t error;
    json_t *document = result_json(&result);
    (void)state;
    schema = json_load_file("docs/result.schema.json", 0, &error);
    if (!schema)
        schema = json_load_file("../docs/result.schema.json", 0, &error);
    if (!schema)
        fail_msg("docs/result.schema.json: %s", error.text);
    check(document, schema, "the document");
    json_decref(schema);
    json_decref(document);
}

static json_t *at(json_t *from, const char *first, const char *second, const char *third)
{
    json_t *to = json_object_get(from, first);
    to = second ? json_object_get(to, second) : to;
    return third ? json_object_get(to, third) : to;
}

/* Numbers come through; what is not known is null. */
static void test_numbers(void **state)
{
    json_t *document = result_json(&result);
    json_t *t = json_array_get(json_object_get(document, "targets"), 0);
    (void)state;
    assert_int_equal(json_integer_value(at(t, "requests", "scheduled", NULL)), 1100);
    assert_int_equal(json_integer_value(at(t, "requests", "errors", "reset")), 15);
    assert_true(json_is_null(at(t, "held_rps", NULL, NULL)));
    assert_true(json_real_value(at(t, "rps", NULL, NULL)) == 500);
    assert_true(fabs(json_real_value(at(t, "latency_us", "p99", NULL)) - 990) < 1);
    assert_true(fabs(json_real_value(at(t, "availability", NULL, NULL)) - 1000.0 / 1080) < 1e-9);
    assert_string_equal(json_string_value(at(document, "scenario", "load_model", NULL)), "open");
    json_decref(document);
    load.is_open = false;
    document = result_json(&result);
    t = json_array_get(json_object_get(document, "targets"), 0);
    assert_true(json_is_null(at(t, "requests", "scheduled", NULL)));
    json_decref(document);
}

/* What parties used is in their row, and summed up over the run; a party that is not there has no key,
 * a figure that is not known is null. */
static void test_parties(void **state)
{
    (void)state;
    hist_coarsen(load.latency, rows[1].latency_buckets);
    json_t *document = result_json(&result);
    json_t *t = json_array_get(json_object_get(document, "targets"), 0);
    json_t *row = json_array_get(json_object_get(t, "series"), 1);
    json_t *party = at(row, "parties", "target", NULL);
    assert_true(json_number_value(at(row, "cpu_pct", NULL, NULL)) == 75);
    assert_true(json_number_value(at(party, "cpu_pct_by_core", "1", NULL)) == 75);
    assert_null(at(party, "cpu_pct_by_core", "0", NULL));
    assert_null(at(party, "cpu_pct_max", NULL, NULL));
    assert_true(json_is_null(at(party, "fds", NULL, NULL)));
    assert_true(json_is_null(at(row, "parties", "memcached", "cpu_pct")));
    assert_null(at(row, "parties", "postgres", NULL));
    assert_int_equal(json_array_size(at(row, "host", "cpu_pct_by_core", NULL)), 2);
    assert_true(json_is_null(json_array_get(at(row, "host", "cpu_pct_by_core", NULL), 1)));

    json_t *sum = at(t, "parties", "target", NULL);
    double us = 1e6 / (1090 - 20); /* a second of CPU over what ended */
    assert_true(fabs(json_number_value(at(sum, "cpu_us_per_request", NULL, NULL)) - us) < 1e-6);
    assert_true(json_equal(at(sum, "cpu_us_per_request", NULL, NULL),
                           at(t, "server_cpu_us_per_request", NULL, NULL)));
    assert_true(json_number_value(at(sum, "cpu_pct_mean", NULL, NULL)) == 50);
    assert_true(json_number_value(at(sum, "cpu_pct_max", NULL, NULL)) == 75);
    assert_int_equal(json_integer_value(at(sum, "pss_bytes_max", NULL, NULL)), 750);

    double in_buckets = 0;
    json_t *bucket;
    size_t i;
    json_array_foreach(at(row, "latency_buckets", NULL, NULL), i, bucket)
        in_buckets += json_number_value(json_array_get(bucket, 1));
    assert_true(in_buckets == 1000);
    json_decref(document);
}

/* Over several readings a second the figures have their ends. */
static void test_spread(void **state)
{
    (void)state;
    rows[0].usage->readings = 10;
    rows[0].usage->parties[PARTY_TARGET].cpu_pct.min = 5;
    json_t *series = result_series_json(&load);
    json_t *party = at(json_array_get(series, 0), "parties", "target", NULL);
    assert_true(json_number_value(at(party, "cpu_pct_min", NULL, NULL)) == 5);
    assert_int_equal(json_integer_value(at(party, "rss_bytes_max", NULL, NULL)), 4096);
    json_decref(series);
}

/* The encoded histogram is the one that was measured. */
static void test_histogram(void **state)
{
    json_t *document = result_json(&result);
    json_t *t = json_array_get(json_object_get(document, "targets"), 0);
    const char *text = json_string_value(at(t, "histograms", "latency", NULL));
    struct hist *back = hist_new();
    (void)state;
    assert_true(hist_decode(back, span_of(text)));
    assert_int_equal(back->count, load.latency->count);
    assert_int_equal(hist_percentile(back, 50), hist_percentile(load.latency, 50));
    free(back);
    json_decref(document);
}

/* With several targets the verdict is the worst one's, and a reason says whose it is. */
static void test_worst_verdict(void **state)
{
    struct load_result other = load;
    struct result_target both[] = {target, {.name = "other", .load = &other}};
    struct result many = result;
    (void)state;
    other.verdict = LOAD_SUSPECT;
    snprintf(other.reasons[0], sizeof other.reasons[0], "because");
    other.reason_count = 1;
    many.targets = both;
    many.target_count = 2;
    json_t *document = result_json(&many);
    assert_string_equal(json_string_value(at(document, "verdict", "status", NULL)), "SUSPECT");
    assert_string_equal(
        json_string_value(json_array_get(at(document, "verdict", "reasons", NULL), 0)),
        "other: because");
    json_decref(document);
}

/* The file is there whole, or not at all and said. */
static void test_write(void **state)
{
    char folder[] = "/tmp/iubench-test-XXXXXX", path[64];
    struct fail f = {0};
    json_error_t error;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/result.json", folder);
    assert_true(result_write(&result, path, &f));
    json_t *document = json_load_file(path, 0, &error);
    assert_non_null(document);
    json_decref(document);
    unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing is left beside it */
    assert_false(result_write(&result, path, &f));
    assert_int_equal(f.exit, EXIT_FAILED);
    assert_non_null(strstr(f.text, path));
}

/* Verdict, rate and p99 stand in the first line; the page fits a screen; colours only when asked. */
static void test_table(void **state)
{
    char *page = NULL;
    size_t len;
    (void)state;
    FILE *to = open_memstream(&page, &len);
    result_print(&result, to, false);
    fclose(to);
    char *line_end = strchr(page, '\n');
    assert_non_null(strstr(page, "500 requests/s"));
    assert_true(strncmp(page, "VALID", 5) == 0 && strstr(page, "p99 990 us") < line_end);
    assert_non_null(strstr(page, "10 never sent, 50 timeouts, 15 reset, 5 5xx, 20 unfinished"));
    assert_null(strchr(page, '\033'));
    unsigned lines = 0;
    for (char *c = page; *c; c++)
        lines += *c == '\n';
    assert_true(lines <= 24);
    free(page);
    to = open_memstream(&page, &len);
    result_print(&result, to, true);
    fclose(to);
    assert_non_null(strchr(page, '\033'));
    free(page);
}

/* Nothing measured at all is still a document and a table. */
static void test_empty(void **state)
{
    (void)state;
    free(rows[0].usage);
    rows[0].usage = NULL;
    load.counts = (struct load_counts){0};
    load.quoted_rps = load.duration_s = 0;
    hist_clear(load.latency);
    json_t *document = result_json(&result);
    assert_non_null(document);
    json_decref(document);
    FILE *to = fopen("/dev/null", "w");
    result_print(&result, to, false);
    fclose(to);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_schema), TEST(test_numbers),   TEST(test_parties),
        TEST(test_spread), TEST(test_histogram), TEST(test_worst_verdict),
        TEST(test_write),  TEST(test_table),     TEST(test_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
