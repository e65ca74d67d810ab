/* Templates: what is filled in, what stays as it is, and a Content-Length that is always right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "load/template.h"

enum { SEED = 7 };

static char out[4096];

static struct template made(const char *text)
{
    struct template t = {0};
    struct fail f = {0};
    if (!template_add(&t, span_of(text), &f))
        fail_msg("%s", f.text);
    return t;
}

static const char *expanded(const struct template *t, uint64_t number, struct rng *rng)
{
    size_t len = template_expand(t, number, rng, out);
    assert_true(len <= t->bytes_max && len < sizeof out);
    out[len] = 0;
    return out;
}

static void expect(const char *text, uint64_t number, const char *result)
{
    struct rng rng;
    struct template t = made(text);
    rng_seed(&rng, SEED);
    assert_string_equal(expanded(&t, number, &rng), result);
    template_free(&t);
}

/* Text without placeholders, braces of JSON among it, is one literal. */
static void test_literal(void **state)
{
    static const char *const texts[] = {"plain",  "{\"a\":{\"b\":1}}", "{", "}{",    "{}", "{uuid",
                                        "{UUID}", "{\"uuid\"}",        "",  "{seq }"};
    (void)state;
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct template t = made(texts[i]);
        assert_true(template_is_literal(&t));
        assert_int_equal(t.literals.len, strlen(texts[i]));
        if (*texts[i])
            assert_string_equal(t.literals.data, texts[i]);
        template_free(&t);
    }
}

/* Sequence numbers count from 1, or from where they are told to. */
static void test_sequence(void **state)
{
    (void)state;
    expect("{seq}", 0, "1");
    expect("a{seq}b{seq}c", 41, "a42b42c");
    expect("{\"n\":{seq:100}}", 7, "{\"n\":107}");
    expect("{seq:0}", 0, "0");
    expect("{seq:9223372036854775807}", 1, "9223372036854775808");
}

/* Random numbers lie within their bounds and reach both; the same seed draws the same. */
static void test_random(void **state)
{
    struct rng rng, again;
    struct template t = made("{rand:8-12}");
    unsigned seen[13] = {0};
    char first[sizeof out];
    (void)state;
    print_message("seed %d\n", SEED);
    rng_seed(&rng, SEED);
    rng_seed(&again, SEED);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(first, sizeof first, "%s", expanded(&t, i, &rng));
        assert_string_equal(first, expanded(&t, i, &again));
        long value = strtol(first, NULL, 10);
        assert_in_range(value, 8, 12);
        seen[value]++;
    }
    for (unsigned i = 8; i <= 12; i++)
        assert_true(seen[i] > 100);
    template_free(&t);
    expect("{rand:5-5}", 0, "5");
}

/* A UUID is one of version 4, a MAC address a local unicast one; each time another. */
static void test_names(void **state)
{
    struct rng rng;
    struct template t = made("{uuid} {mac}");
    char former[64] = "";
    (void)state;
    rng_seed(&rng, SEED);
    for (unsigned i = 0; i < 100; i++) {
        const char *text = expanded(&t, i, &rng);
        unsigned u[5], m[6];
        assert_int_equal(strlen(text), 36 + 1 + 17);
        assert_int_equal(sscanf(text, "%8x-%4x-%4x-%4x-%*12x %2X-%2X-%2X-%2X-%2X-%2X", &u[0], &u[1],
                                &u[2], &u[3], &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]),
                         10);
        assert_int_equal(u[2] >> 12, 4);
        assert_int_equal(m[0] & 3, 2);
        assert_string_not_equal(text, former);
        snprintf(former, sizeof former, "%s", text);
    }
    template_free(&t);
}

/* The length of the body is that of this expansion's body, however wide its numbers are. */
static void test_body_length(void **state)
{
    struct rng rng;
    struct fail f;
    struct template t = {0};
    (void)state;
    rng_seed(&rng, SEED);
    assert_true(template_add(&t, SPAN("{rand:1-99999}|"), &f));
    template_add_body_length(&t);
    template_add_literal(&t, SPAN("|"));
    template_begin_body(&t);
    assert_true(template_add(&t, SPAN("x{rand:0-1000000}{uuid}{seq}{mac}y"), &f));
    for (unsigned i = 0; i < 1000; i++) {
        const char *text = expanded(&t, i, &rng);
        const char *length = strchr(text, '|') + 1, *body = strchr(length, '|') + 1;
        assert_int_equal(strtoul(length, NULL, 10), strlen(body));
    }
    template_free(&t);
}

/* A placeholder that is nearly right is a mistake, not a literal; so are too many. */
static void test_mistakes(void **state)
{
    static const char *const bad[] = {"{rand}",     "{rand:}",    "{rand:5}",
                                      "{rand:6-5}", "{rand:a-b}", "{rand:-1-5}",
                                      "{seq:}",     "{seq:x}",    "{rand:1-99999999999999999999}"};
    struct template t = {0};
    struct fail f;
    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(template_add(&t, span_of(bad[i]), &f));
        assert_int_equal(f.exit, EXIT_USAGE);
        assert_non_null(strstr(f.text, "{rand:LOW-HIGH}"));
    }
    bool is_good = true;
    unsigned count = 0;
    for (; is_good && count < 1000; count++)
        is_good = template_add(&t, SPAN("{seq}"), &f);
    assert_int_equal(count, TEMPLATE_SLOTS_MAX);
    assert_non_null(strstr(f.text, "limit"));
    template_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literal),     cmocka_unit_test(test_sequence),
        cmocka_unit_test(test_random),      cmocka_unit_test(test_names),
        cmocka_unit_test(test_body_length), cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
