/* URLs as users write them; each text ends at an unmapped page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/http.h"
#include "http/url.h"
#include "lib/guard.h"

static struct guard memory;

static bool parse(const char *text, struct url *u, struct fail *f)
{
    struct span s = guard_put(&memory, (struct span){text, strlen(text) + 1});
    return url_parse(s.data, u, f);
}

/* What each URL becomes: normal form, host, Host field, port, target. */
static void test_good(void **state)
{
    static const struct {
        const char *given, *text, *host, *field;
        unsigned port;
        const char *target;
    } cases[] = {
        {"http://127.0.0.1:8080/api/devices", "http://127.0.0.1:8080/api/devices", "127.0.0.1",
         "127.0.0.1:8080", 8080, "/api/devices"},
        {"localhost:8080/x", "http://localhost:8080/x", "localhost", "localhost:8080", 8080, "/x"},
        {"localhost", "http://localhost/", "localhost", "localhost", 80, "/"},
        {"LocalHost:080", "http://localhost/", "localhost", "localhost", 80, "/"},
        {"HTTP://A.b", "http://a.b/", "a.b", "a.b", 80, "/"},
        {"http://a?q=1", "http://a/?q=1", "a", "a", 80, "/?q=1"},
        {"http://a/p?q=/?&x=#frag?", "http://a/p?q=/?&x=", "a", "a", 80, "/p?q=/?&x="},
        {"http://a#frag", "http://a/", "a", "a", 80, "/"},
        {"http://a/?u=http://b:1/@c", "http://a/?u=http://b:1/@c", "a", "a", 80,
         "/?u=http://b:1/@c"},
        {"a/http://b", "http://a/http://b", "a", "a", 80, "/http://b"},
        {"a?u=http://b", "http://a/?u=http://b", "a", "a", 80, "/?u=http://b"},
        {"http://[::1]:8080/", "http://[::1]:8080/", "::1", "[::1]:8080", 8080, "/"},
        {"[2001:DB8::7]", "http://[2001:db8::7]/", "2001:db8::7", "[2001:db8::7]", 80, "/"},
        {"my_service-1.internal.:65535", "http://my_service-1.internal.:65535/",
         "my_service-1.internal.", "my_service-1.internal.:65535", 65535, "/"},
        {"http://a/%41?%7f", "http://a/%41?%7f", "a", "a", 80, "/%41?%7f"},
        {"http://a/\"<>\\^`{|}[]?{\"a\":[1]}",
         "http://a/%22%3C%3E%5C%5E%60%7B%7C%7D%5B%5D?%7B%22a%22:%5B1%5D%7D", "a", "a", 80,
         "/%22%3C%3E%5C%5E%60%7B%7C%7D%5B%5D?%7B%22a%22:%5B1%5D%7D"},
        {"http://a/\xc3\xa4", "http://a/%C3%A4", "a", "a", 80, "/%C3%A4"},
        {"http://a/../b", "http://a/../b", "a", "a", 80, "/../b"},
        {"unix:/tmp/a.sock", "unix:/tmp/a.sock:/", "", "localhost", 0, "/"},
        {"unix:/tmp/a.sock:/x?y#z", "unix:/tmp/a.sock:/x?y", "", "localhost", 0, "/x?y"},
        {"unix:/tmp/a:b:/x:/y", "unix:/tmp/a:b:/x:/y", "", "localhost", 0, "/x:/y"},
        {"unix:run/a.sock", "unix:run/a.sock:/", "", "localhost", 0, "/"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct url u;
        struct fail f;
        if (!parse(cases[i].given, &u, &f))
            fail_msg("%s: %s", cases[i].given, f.text);
        assert_string_equal(u.text, cases[i].text);
        assert_string_equal(u.host, cases[i].host);
        assert_string_equal(u.host_field, cases[i].field);
        assert_int_equal(u.port, cases[i].port);
        assert_string_equal(u.target, cases[i].target);
    }
}

/* A normal form is its own normal form, and the server's parser takes what it becomes on the wire.
 */
static void test_on_the_wire(void **state)
{
    static const char *const urls[] = {"http://[::1]:8080/\"{}?\xc3\xa4#x", "A_b:1?x=[]",
                                       "unix:/a:/|"};
    const struct http_limits limits = HTTP_LIMITS_DEFAULT;
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct url u, again;
        struct fail f;
        struct http_head h = {0};
        char head[4096];
        assert_true(parse(urls[i], &u, &f));
        assert_true(parse(u.text, &again, &f));
        assert_memory_equal(&u, &again, sizeof u);
        int len = snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", u.target,
                           u.host_field);
        assert_int_equal(http_request_head(&h, head, (size_t)len, &limits), len);
    }
}

/* Where a socket's path goes. */
static void test_unix_path(void **state)
{
    struct url u;
    struct fail f;
    char text[256];
    (void)state;
    assert_true(parse("unix:/tmp/a:b:/x", &u, &f));
    assert_string_equal(u.unix_path, "/tmp/a:b");
    snprintf(text, sizeof text, "unix:%0107d", 1);
    assert_true(parse(text, &u, &f));
    assert_int_equal(strlen(u.unix_path), 107);
    snprintf(text, sizeof text, "unix:%0108d", 1);
    assert_false(parse(text, &u, &f));
    assert_non_null(strstr(f.text, "107"));
}

/* Each refusal names what was expected. */
static void test_refusals(void **state)
{
    static const struct {
        const char *given, *said;
    } cases[] = {
        {"", "is empty"},
        {"http://", "has no host"},
        {"http:///x", "has no host"},
        {":8080/x", "has no host"},
        {"/x", "has no host"},
        {"?x", "has no host"},
        {"8080", "a number alone"},
        {"8080/x", "a number alone"},
        {"https://a/", "https is not spoken"},
        {"HTTPS://a/", "https is not spoken"},
        {"ftp://a/", "only http://"},
        {"://a/", "only http://"},
        {"http://a b/", "space"},
        {"http://a/b c", "write a space as %20"},
        {"http://a/\n", "control character"},
        {"http://a/\x7f", "control character"},
        {"http://a:0/", "1 to 65535"},
        {"http://a:/", "1 to 65535"},
        {"http://a:65536/", "1 to 65535"},
        {"http://a:99999999999999999999/", "1 to 65535"},
        {"http://a:-1/", "1 to 65535"},
        {"http://a:80x/", "1 to 65535"},
        {"http:/a", "1 to 65535"},
        {"http://::1/", "in brackets"},
        {"::1:80", "in brackets"},
        {"http://[::1", "expected"},
        {"http://[:::]/", "expected"},
        {"http://[1.2.3.4]/", "expected"},
        {"http://[v1.a]/", "IPv6"},
        {"http://[::1]x/", "expected"},
        {"http://a..b/", "the host must be"},
        {"http://.a/", "the host must be"},
        {"http://a!b/", "the host must be"},
        {"http://a%41/", "the host must be"},
        {"http://\xc3\xa4/", "the host"},
        {"http://a/%", "%25"},
        {"http://a/%4", "%25"},
        {"http://a/%4g", "%25"},
        {"http://a/?%zz", "%25"},
        {"unix:", "no path"},
        {"unix::/x", "no path"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct url u;
        struct fail f;
        if (parse(cases[i].given, &u, &f))
            fail_msg("%s was taken", cases[i].given);
        assert_int_equal(f.exit, EXIT_USAGE);
        if (!strstr(f.text, cases[i].said))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].given, f.text, cases[i].said);
    }
}

/* What may be a password is in no message. */
static void test_no_secrets(void **state)
{
    static const char *const urls[] = {"http://user:hunter2@a/",       "https://user:hunter2@a/",
                                       "http://user:hunter2 @a/",      "user:hunter2@a",
                                       "http://user:hunter2@a:99999/", "http://user:hunter2/3@a"};
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct url u;
        struct fail f;
        assert_false(parse(urls[i], &u, &f));
        assert_null(strstr(f.text, "hunter2"));
    }
}

static bool parse_long(const char *begin, char fill, size_t count, const char *end, struct fail *f)
{
    char text[8192];
    struct url u;
    size_t len = strlen(begin);
    memcpy(text, begin, len);
    memset(text + len, fill, count);
    memcpy(text + len + count, end, strlen(end) + 1);
    return parse(text, &u, f);
}

/* Bounds hold to the byte, and say what they bound. */
static void test_bounds(void **state)
{
    struct fail f;
    (void)state;
    assert_true(parse_long("http://a/", 'p', 2046, "", &f));
    assert_false(parse_long("http://a/", 'p', 2047, "", &f));
    assert_non_null(strstr(f.text, "2047 bytes"));
    assert_true(parse_long("http://a?", 'p', 2045, "", &f));
    assert_false(parse_long("http://a?", 'p', 2046, "", &f));
    assert_true(parse_long("http://a/p", '{', 681, "pp", &f));
    assert_false(parse_long("http://a/p", '{', 682, "", &f));
    assert_true(parse_long("http://", 'h', 63, "/", &f));
    assert_false(parse_long("http://", 'h', 64, "/", &f));
    assert_true(parse_long("http://a/#", 'f', 8000, "", &f));
    const char *label = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk";
    char host[300];
    snprintf(host, sizeof host, "%s.%s.%s.%s", label, label, label, label); /* 255 */
    struct url u;
    assert_true(parse(host, &u, &f));
    memcpy(host + strlen(host), ".", sizeof ".");
    assert_false(parse(host, &u, &f));
    assert_non_null(strstr(f.text, "255"));
}

static int open_memory(void **state)
{
    (void)state;
    guard_open(&memory, 65536);
    return 0;
}

static int close_memory(void **state)
{
    (void)state;
    guard_close(&memory);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),       cmocka_unit_test(test_on_the_wire),
        cmocka_unit_test(test_unix_path),  cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_no_secrets), cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, open_memory, close_memory);
}
