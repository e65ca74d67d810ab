/* Secrets of a command line. */
#include "base/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void assert_masked(const char *word, const char *expected)
{
    struct text t = {0};
    secret_mask(word, &t);
    assert_string_equal(text_span(&t).data, expected);
    text_free(&t);
}

/* A URL loses its password and nothing else. */
static void test_urls(void **state)
{
    (void)state;
    assert_masked("postgresql://u:pw@h/db", "postgresql://u:***@h/db");
    assert_masked("--pg=postgresql://u:p@w@h:5432/db?a=b", "--pg=postgresql://u:***@h:5432/db?a=b");
    assert_masked("postgresql://u@h/db", "postgresql://u@h/db");
    assert_masked("http://127.0.0.1:8080/a:b@c", "http://127.0.0.1:8080/a:b@c");
    assert_masked("http://u:@h", "http://u:***@h");
    assert_masked("postgresql:///db?host=/tmp&password=x&user=u",
                  "postgresql:///db?host=/tmp&password=***&user=u");
}

/* So does a connection string of keywords, whose values may be in quotes. */
static void test_keywords(void **state)
{
    (void)state;
    assert_masked("host=h password=pw dbname=d", "host=h password=*** dbname=d");
    assert_masked("password='a \\' b' user=u", "password=*** user=u");
    assert_masked("sslpassword=x", "sslpassword=***");
    assert_masked("password=", "password=***");
    assert_masked("password='open", "password=***");
}

/* And a header field that carries credentials. */
static void test_fields(void **state)
{
    (void)state;
    assert_masked("authorization: Bearer abc", "authorization: ***");
    assert_masked("-HCookie: a=b", "-HCookie: ***");
    assert_masked("--header=Proxy-Authorization:x", "--header=Proxy-Authorization: ***");
    assert_masked("Accept: text/plain", "Accept: text/plain");
}

/* What is none of these stays. */
static void test_others(void **state)
{
    (void)state;
    struct text t = {0};
    secret_mask("", &t);
    assert_int_equal(t.len, 0);
    assert_masked("-d", "-d");
    assert_masked("p99<10ms", "p99<10ms");
    assert_masked("://", "://");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_keywords),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
