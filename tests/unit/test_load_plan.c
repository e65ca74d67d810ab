/* A load as it is planned: the bytes of the request, the model, the steps; and every mistake said
 * before the first request, with the option's name in the message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "load/discover.h"
#include "load/plan.h"

static const char url[] = "http://127.0.0.1:18080/x?y=1";

static struct load_plan *planned(const struct load_config *config)
{
    struct fail f = {0};
    struct load_plan *p = load_plan_new(config, url, &f);
    if (!p)
        fail_msg("%s", f.text);
    return p;
}

static void expect_request(const struct load_config *config, const char *bytes)
{
    struct load_plan *p = planned(config);
    assert_int_equal(p->mix.literal_len, strlen(bytes));
    assert_memory_equal(p->mix.literal, bytes, p->mix.literal_len);
    load_plan_free(p);
}

static void expect_refusal(const struct load_config *config, enum exit_code exit, const char *word)
{
    struct fail f = {0};
    struct load_plan *p = load_plan_new(config, url, &f);
    if (p)
        fail_msg("a load was planned that should be refused with \"%s\"", word);
    assert_int_equal(f.exit, exit);
    if (!strstr(f.text, word))
        fail_msg("\"%s\" is not in: %s", word, f.text);
}

/* The request is one line, Host, what the user gave, the length when there is or may be a body. */
static void test_bytes(void **state)
{
    struct load_config c = LOAD_CONFIG_DEFAULT;
    const char *headers[] = {"X-One:  1", "Accept: */*"};
    (void)state;
    expect_request(&c, "GET /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:18080\r\n\r\n");
    c.headers = (struct cli_texts){headers, 2};
    expect_request(&c, "GET /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:18080\r\nX-One: 1\r\nAccept: */*"
                       "\r\n\r\n");
    c.headers.count = 0;
    c.body = "{\"a\":1}";
    expect_request(&c, "POST /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:18080\r\nContent-Type: "
                       "application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}");
    c.method = "put";
    c.body = "";
    expect_request(&c, "PUT /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:18080\r\nContent-Length: 0\r\n\r\n");
    c.method = "PURGE";
    c.body = NULL;
    expect_request(&c, "PURGE /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:18080\r\n\r\n");
}

/* Host and Content-Type may be the user's own. */
static void test_overrides(void **state)
{
    struct load_config c = LOAD_CONFIG_DEFAULT;
    const char *headers[] = {"host: a.example", "content-type: text/plain"};
    (void)state;
    c.headers = (struct cli_texts){headers, 2};
    c.body = "{}";
    expect_request(&c, "POST /x?y=1 HTTP/1.1\r\nhost: a.example\r\ncontent-type: text/plain\r\n"
                       "Content-Length: 2\r\n\r\n{}");
}

/* A body file goes out byte by byte, NULs included. */
static void test_body_file(void **state)
{
    char path[] = "/tmp/iubench-test-XXXXXX", at[64];
    static const char body[] = "a\0b\r\n";
    struct load_config c = LOAD_CONFIG_DEFAULT;
    int fd = mkstemp(path);
    (void)state;
    assert_int_equal(write(fd, body, sizeof body - 1), sizeof body - 1);
    close(fd);
    snprintf(at, sizeof at, "@%s", path);
    c.body = at;
    struct load_plan *p = planned(&c);
    assert_memory_equal(p->mix.literal + p->mix.literal_len - (sizeof body - 1), body,
                        sizeof body - 1);
    load_plan_free(p);
    unlink(path);
    expect_refusal(&c, EXIT_USAGE, "body file");
}

/* A request that no connection takes whole, as many at a time as are asked for, is refused. */
static void test_long_body(void **state)
{
    struct load_config c = LOAD_CONFIG_DEFAULT;
    enum { BYTES = 33 << 20 };
    char *body = malloc(BYTES + 1);
    (void)state;
    assert_non_null(body);
    memset(body, 'x', BYTES);
    body[BYTES] = 0;
    c.body = body;
    load_plan_free(planned(&c));
    c.pipeline = 2;
    expect_refusal(&c, EXIT_USAGE, "2 at a time on a connection: at most 32M");
    free(body);
}

/* Fields that would break the framing, or are no fields, are refused. */
static void test_bad_headers(void **state)
{
    static const char *const bad[] = {"X",
                                      ": v",
                                      "X Y: 1",
                                      "X: a\r\nEvil: 1",
                                      "X: a\nb",
                                      "X: \x01",
                                      "Content-Length: 3",
                                      "transfer-encoding: chunked",
                                      "Expect: 100-continue",
                                      ""};
    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct load_config c = LOAD_CONFIG_DEFAULT;
        c.headers = (struct cli_texts){(const char **)&bad[i], 1};
        expect_refusal(&c, EXIT_USAGE, "-H");
    }
}

/* Options that contradict each other, or what can be. */
static void test_mistakes(void **state)
{
    struct load_config c = LOAD_CONFIG_DEFAULT;
    (void)state;
    c.rate = 100, c.requests = 10;
    expect_refusal(&c, EXIT_USAGE, "-n");
    c.requests = 0, c.ramp = "";
    expect_refusal(&c, EXIT_USAGE, "--rps-ramp");
    c = LOAD_CONFIG_DEFAULT;
    c.timeout_ns = 11 * NS_PER_S, c.timeout_was_set = true;
    expect_refusal(&c, EXIT_USAGE, "timeout");
    c = LOAD_CONFIG_DEFAULT;
    c.threads = 65;
    expect_refusal(&c, EXIT_USAGE, "65 threads");
    c = LOAD_CONFIG_DEFAULT;
    c.connections = 999999;
    expect_refusal(&c, EXIT_LACKING, "descriptors");
    c = LOAD_CONFIG_DEFAULT;
    c.rate = 1e6, c.connections = 2;
    expect_refusal(&c, EXIT_USAGE, "cannot be met");
    c.rate = 0, c.stages = "1s:5,1s:1M,1s:5";
    expect_refusal(&c, EXIT_USAGE, "a rate of 1M/s cannot be met over 2 connections");
    c.stages = NULL, c.ramp = "1M:0/1s";
    expect_refusal(&c, EXIT_USAGE, "cannot be met");
    c.pipeline = 5; /* requests under way on each */
    load_plan_free(planned(&c));
    c.pipeline = 1, c.ramp = ""; /* ends before */
    load_plan_free(planned(&c));
    c = LOAD_CONFIG_DEFAULT;
    c.method = "GE T";
    expect_refusal(&c, EXIT_USAGE, "-m");
    c = LOAD_CONFIG_DEFAULT;
    c.stages = "1s:5", c.duration_was_set = true;
    expect_refusal(&c, EXIT_USAGE, "--stages");
    c = LOAD_CONFIG_DEFAULT;
    c.cores = "none of them";
    expect_refusal(&c, EXIT_USAGE, "--cores");
}

/* A default timeout is no mistake in a short run, and a scenario's is not its user's. */
static void test_timeout(void **state)
{
    struct load_config c = LOAD_CONFIG_DEFAULT;
    (void)state;
    c.duration_ns = NS_PER_S, c.duration_was_set = true;
    load_plan_free(planned(&c));
    c.timeout_was_set = c.is_scaled = true;
    load_plan_free(planned(&c));
}

/* A search needs nothing but what is to hold: it begins at 1000/s, by runs of 2 s. */
static void test_find_max(void **state)
{
    struct load_config c = LOAD_CONFIG_DEFAULT;
    (void)state;
    c.find_max = "p99<50ms";
    struct load_plan *p = planned(&c);
    assert_true(p->config.rate == 1000);
    assert_true(p->config.probe_ns == 2 * NS_PER_S);
    load_plan_free(p);
}

/* -n needs no more connections than requests; without -d it has no end but the last of them. */
static void test_requests(void **state)
{
    struct load_config c = LOAD_CONFIG_DEFAULT;
    (void)state;
    c.requests = 10;
    struct load_plan *p = planned(&c);
    assert_int_equal(p->connections, 10);
    assert_int_equal(p->request_count, 10);
    assert_true(p->window_ns == UINT64_MAX);
    assert_string_equal(p->model, "closed");
    load_plan_free(p);
}

/* Steps: one for a constant rate; the phases of a stepped ramp; the seconds of a linear one, whose
 * last takes the rest. Together they cover the schedule. */
static void test_steps(void **state)
{
    struct load_config c = LOAD_CONFIG_DEFAULT;
    (void)state;
    c.rate = 10;
    struct load_plan *p = planned(&c);
    assert_int_equal(p->step_count, 1);
    assert_true(p->steps[0].end_ns == 10 * NS_PER_S && p->steps[0].rate == 10);
    load_plan_free(p);

    c = LOAD_CONFIG_DEFAULT;
    c.ramp = "0:100/3500ms";
    p = planned(&c);
    assert_int_equal(p->step_count, 3);
    assert_true(p->steps[2].begin_ns == 2 * NS_PER_S && p->steps[2].end_ns == 3500 * NS_PER_MS);
    load_plan_free(p);

    c.ramp = "";
    p = planned(&c);
    assert_true(p->is_climbing);
    assert_int_equal(p->step_count, 600);
    assert_int_equal(p->steps_alive, 14); /* 12 s of life, and the seconds at both ends */
    assert_true(p->steps[599].rate == 600000);
    load_plan_free(p);

    c.ramp = NULL, c.stages = "1s:10,2s:20";
    c.is_scaled = c.duration_was_set = true, c.duration_ns = 6 * NS_PER_S;
    p = planned(&c);
    assert_int_equal(p->step_count, 2);
    assert_true(p->steps[0].end_ns == 2 * NS_PER_S && p->steps[1].end_ns == 6 * NS_PER_S);
    load_plan_free(p);
}

/* What a target says about itself decides what is loaded. */
static void test_discovery(void **state)
{
    struct discovery d;
    (void)state;
    assert_true(discover_read(&d, SPAN("{\"x-iubench\":{\"mode\":\"db\"}}")));
    assert_true(d.is_post);
    assert_string_equal(d.mode, "db");
    assert_true(discover_read(&d, SPAN("{\"x-iubench\":{\"mode\":\"post\"}}")));
    assert_true(d.is_post);
    assert_true(discover_read(&d, SPAN("{\"x-iubench\":{\"mode\":\"all\"}}")));
    assert_false(d.is_post);
    assert_true(discover_read(&d, SPAN("{\"openapi\":\"3.1.0\"}")));
    assert_false(d.is_post);
    assert_string_equal(d.mode, "");
    assert_true(discover_read(&d, SPAN("{\"x-iubench\":7}")));
    assert_false(discover_read(&d, SPAN("<html>")));
    assert_false(discover_read(&d, SPAN("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),       cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_body_file),   cmocka_unit_test(test_long_body),
        cmocka_unit_test(test_bad_headers), cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_timeout),     cmocka_unit_test(test_find_max),
        cmocka_unit_test(test_requests),    cmocka_unit_test(test_steps),
        cmocka_unit_test(test_discovery),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
