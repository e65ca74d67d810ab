/* Heads: every input ends at an unmapped page, and is read whole, byte by byte and cut in two at
 * every offset; the three must agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/http.h"
#include "lib/guard.h"

typedef int read_f(struct http_head *h, const char *data, size_t len,
                   const struct http_limits *limits);

static const struct http_limits defaults = HTTP_LIMITS_DEFAULT;
static struct guard memory;

/* --- reading in every way --- */

static int feed(read_f *read, struct http_head *h, struct span bytes, size_t len,
                const struct http_limits *limits)
{
    struct span s = guard_put(&memory, (struct span){bytes.data, len});
    int got = read(h, s.data, s.len, limits);
    assert_true(got <= (int)len);
    if (got == 0 && h->scanned != len)
        fail_msg("%zu bytes are in, only %u remembered as searched", len, h->scanned);
    return got;
}

/* Feeds `first` bytes, then `step` more at a time. */
static int feed_steps(read_f *read, struct http_head *h, struct span bytes, size_t first,
                      size_t step, const struct http_limits *limits)
{
    memset(h, 0, sizeof *h);
    int got = 0;
    for (size_t len = first; got == 0; len = len + step < bytes.len ? len + step : bytes.len) {
        got = feed(read, h, bytes, len, limits);
        if (len >= bytes.len)
            break;
    }
    return got;
}

static void same(struct span bytes, int whole, const struct http_head *of_whole, int got,
                 const struct http_head *h, size_t cut)
{
    if (got != whole || (whole > 0 && memcmp(h, of_whole, sizeof *h) != 0))
        fail_msg("cut at %zu: %d, whole: %d, of: %.*s", cut, got, whole, (int)bytes.len,
                 bytes.data);
}

static int read_all_ways(read_f *read, struct http_head *h, struct span bytes,
                         const struct http_limits *limits)
{
    struct http_head other;
    int whole = feed_steps(read, h, bytes, bytes.len, 1, limits);
    for (size_t cut = 0; cut < bytes.len; cut++)
        same(bytes, whole, h, feed_steps(read, &other, bytes, cut, bytes.len, limits), &other, cut);
    same(bytes, whole, h, feed_steps(read, &other, bytes, 1, 1, limits), &other, 1);
    return whole;
}

static int request(struct http_head *h, const char *text)
{
    return read_all_ways(http_request_head, h, span_of(text), &defaults);
}

static void good_request(struct http_head *h, const char *text)
{
    int got = request(h, text);
    if (got != (int)strlen(text))
        fail_msg("%d instead of %zu for: %s", got, strlen(text), text);
}

static void good_response(struct http_head *h, const char *text)
{
    int got = read_all_ways(http_response_head, h, span_of(text), &defaults);
    if (got != (int)strlen(text))
        fail_msg("%d instead of %zu for: %s", got, strlen(text), text);
}

static void is_part(const char *head, struct http_part part, const char *wanted)
{
    struct span s = http_part_span(part, head);
    if (!span_eq(s, span_of(wanted)))
        fail_msg("\"%.*s\" instead of \"%s\" in: %s", (int)s.len, s.data, wanted, head);
}

/* --- requests that are to be understood --- */

/* The facts of the head that matters most. */
static void test_simple_request(void **state)
{
    const char *text = "GET /api/devices HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";
    struct http_head h;
    (void)state;
    good_request(&h, text);
    assert_int_equal(h.method, HTTP_GET);
    assert_int_equal(h.minor, 1);
    assert_int_equal(h.fields, 1);
    is_part(text, h.target, "/api/devices");
    is_part(text, h.path, "/api/devices");
    is_part(text, h.query, "");
    is_part(text, h.host, "127.0.0.1:8080");
    assert_true(h.has_host && http_is_persistent(&h));
    assert_false(h.has_length || h.has_transfer_encoding || h.expects_continue);
}

/* What stands behind a head is neither read nor counted. */
static void test_stops_at_the_end(void **state)
{
    const char *text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n\n\x01GET / HTTP/9.9\r\n\r\n";
    struct http_head h;
    (void)state;
    assert_int_equal(request(&h, text), 27);
}

/* Every method has its name, and any other token is a method too (RFC 9110 section 9.1). */
static void test_methods(void **state)
{
    static const char *const names[] = {"GET",     "HEAD",  "POST",    "PUT",   "DELETE",
                                        "OPTIONS", "PATCH", "CONNECT", "TRACE", "BREW"};
    (void)state;
    for (int i = 0; i <= HTTP_OTHER; i++) {
        char text[64];
        struct http_head h;
        enum http_method m;
        snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: a\r\n\r\n", names[i],
                 i == HTTP_CONNECT ? "a:1" : "/");
        good_request(&h, text);
        assert_int_equal(h.method, i);
        assert_string_equal(http_method_name((enum http_method)i), i < HTTP_OTHER ? names[i] : "?");
        assert_int_equal(http_method_from(span_of(names[i]), &m), i < HTTP_OTHER);
        assert_int_equal(m, i);
    }
    struct http_head h;
    good_request(&h, "get / HTTP/1.1\r\nHost: a\r\n\r\n"); /* names are case-sensitive */
    assert_int_equal(h.method, HTTP_OTHER);
    good_request(&h, "!#$%&'*+-.^_`|~1 / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(h.method, HTTP_OTHER);
}

/* The four forms of a target (RFC 9112 section 3.2). */
static void test_targets(void **state)
{
    static const struct {
        const char *start, *path, *query, *host;
    } cases[] = {
        {"GET /", "/", "", "field:1"},
        {"GET /?", "/", "", "field:1"},
        {"GET /a/b;c=d,e:f@g!$&'()*+?x=/?&y=%41%Ff", "/a/b;c=d,e:f@g!$&'()*+", "x=/?&y=%41%Ff",
         "field:1"},
        {"GET //double", "//double", "", "field:1"},
        {"GET /../%2e", "/../%2e", "", "field:1"},
        {"GET http://h/p?q", "/p", "q", "h"},
        {"GET HTTP://h:80/p", "/p", "", "h:80"},
        {"GET http://h", "/", "", "h"},
        {"GET http://h?q=http://x/", "/", "q=http://x/", "h"},
        {"GET http://[::1]:8080/p", "/p", "", "[::1]:8080"},
        {"GET http://[v7.a:b]/p", "/p", "", "[v7.a:b]"},
        {"OPTIONS *", "", "", "field:1"},
        {"OPTIONS /x", "/x", "", "field:1"},
        {"CONNECT h.example:443", "", "", "h.example:443"},
        {"CONNECT [::1]:443", "", "", "[::1]:443"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[128];
        struct http_head h;
        snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: field:1\r\n\r\n", cases[i].start);
        good_request(&h, text);
        is_part(text, h.target, strchr(cases[i].start, ' ') + 1);
        is_part(text, h.path, cases[i].path);
        is_part(text, h.query, cases[i].query);
        is_part(text, h.host, cases[i].host);
    }
}

/* Host: an address, a name, a port without digits, nothing at all (RFC 9110 section 7.2). */
static void test_hosts(void **state)
{
    static const char *const hosts[] = {"a",
                                        "a.b-c_d~e",
                                        "a:",
                                        "a:8080",
                                        "",
                                        "127.0.0.1",
                                        "[::1]",
                                        "[2001:db8::7]:1",
                                        "%41!$&'()*+,;=",
                                        "[::ffff:1.2.3.4]",
                                        "[vF.x!:~]:1"};
    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        char text[128];
        struct http_head h;
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nhOST:\t %s \t\r\n\r\n", hosts[i]);
        good_request(&h, text);
        is_part(text, h.host, hosts[i]);
    }
}

/* RFC 9112 section 2.2: one empty line before the request line is passed over. */
static void test_empty_line_first(void **state)
{
    const char *text = "\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    struct http_head h;
    (void)state;
    good_request(&h, text);
    is_part(text, h.path, "/x");
    is_part(text, h.host, "a");
}

/* RFC 9112 section 9.3: when a connection outlives its message. */
static void test_persistence(void **state)
{
    static const struct {
        const char *version, *fields;
        bool is_persistent;
    } cases[] = {
        {"1.1", "", true},
        {"1.1", "Connection: close\r\n", false},
        {"1.1", "Connection: CLOSE\r\n", false},
        {"1.1", "Connection: keep-alive\r\n", true},
        {"1.1", "Connection: a, ,\tclose ,b\r\n", false},
        {"1.1", "Connection: a\r\nCONNECTION: close\r\n", false},
        {"1.1", "Connection: keep-alive, close\r\n", false},
        {"1.1", "Connection: closed, xclose, clos\r\n", true},
        {"1.1", "Connection:\r\n", true},
        {"1.2", "", true},
        {"1.0", "", false},
        {"1.0", "Connection: Keep-Alive\r\n", true},
        {"1.0", "Connection: keep-alive, close\r\n", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[128];
        struct http_head h;
        snprintf(text, sizeof text, "GET / HTTP/%s\r\nHost: a\r\n%s\r\n", cases[i].version,
                 cases[i].fields);
        good_request(&h, text);
        assert_int_equal(http_is_persistent(&h), cases[i].is_persistent);
        snprintf(text, sizeof text, "HTTP/%s 200 OK\r\n%s\r\n", cases[i].version, cases[i].fields);
        good_response(&h, text);
        assert_int_equal(http_is_persistent(&h), cases[i].is_persistent);
    }
}

/* RFC 9110 section 2.5: a higher minor version is read as the highest known. */
static void test_versions(void **state)
{
    struct http_head h;
    (void)state;
    good_request(&h, "GET / HTTP/1.9\r\nHost: a\r\n\r\n");
    assert_int_equal(h.minor, 1);
    good_request(&h, "GET / HTTP/1.0\r\n\r\n"); /* HTTP/1.0 needs no Host */
    assert_int_equal(h.minor, 0);
    assert_false(h.has_host);
}

/* Fields that decide about the body, and those that are kept. */
static void test_fields(void **state)
{
    const char *text = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 00541\r\n"
                       "Content-Type: application/json; charset=\"utf-8\"\r\n"
                       "Expect: 100-Continue\r\nX-Empty:\r\nX-Tab:\ta\tb\t\r\nX-Text: \xc3\xa4\r\n"
                       "Host-: b\r\nHos\x5e: c\r\nContent-Lengt\x48: 5\r\n\r\n";
    struct http_head h;
    (void)state;
    assert_int_equal(request(&h, text), -400); /* the last one is a second length */
    char cut[512];
    snprintf(cut, sizeof cut, "%.*s\r\n", (int)(strstr(text, "Content-Lengt\x48: 5") - text), text);
    good_request(&h, cut);
    assert_true(h.has_length && h.expects_continue && !h.has_chunked);
    assert_int_equal(h.content_length, 541);
    assert_int_equal(h.fields, 9);
    is_part(cut, h.content_type, "application/json; charset=\"utf-8\"");
    is_part(cut, h.host, "a");
}

/* A name that differs in one letter from a known one, wherever that is, is not the known one. */
static void test_other_names(void **state)
{
    static const char *const names[] = {"Host",           "Expect",           "Location",
                                        "Connection",     "Retry-After",      "Content-Type",
                                        "Content-Length", "Transfer-Encoding"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        for (size_t at = 0; names[i][at]; at++) {
            char text[128];
            struct http_head h = {0};
            int len = snprintf(text, sizeof text, "GET / HTTP/1.0\r\n%s: close, a/b\r\n\r\n",
                               names[i]);
            text[16 + at] = names[i][at] == 'x' ? 'y' : 'x';
            struct span s = guard_put(&memory, (struct span){text, (size_t)len});
            assert_int_equal(http_request_head(&h, s.data, s.len, &defaults), len);
            assert_false(h.has_host || h.has_close || h.has_length || h.has_transfer_encoding);
            assert_int_equal(h.location.len + h.retry_after.len + h.content_type.len, 0);
        }
    }
}

/* RFC 9112 section 6.1: chunked in any case, with the empty elements a list may have. */
static void test_chunked(void **state)
{
    static const char *const values[] = {"chunked", "CHUNKED", " chunked\t", ",chunked",
                                         "chunked, ,"};
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[128];
        struct http_head h;
        snprintf(text, sizeof text, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:%s\r\n\r\n",
                 values[i]);
        good_request(&h, text);
        assert_true(h.has_chunked && h.has_transfer_encoding && !h.has_length);
    }
}

/* RFC 9110 section 10.1.1: a 100-continue expectation in HTTP/1.0 is ignored. */
static void test_expect_in_1_0(void **state)
{
    struct http_head h;
    (void)state;
    good_request(&h, "PUT / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
    assert_false(h.expects_continue);
}

/* RFC 9110 sections 13.1.1 and 13.1.2: what matters where nothing has an entity tag. */
static void test_preconditions(void **state)
{
    struct http_head h;
    (void)state;
    good_request(&h, "GET / HTTP/1.0\r\nIF-MATCH: *\r\nIf-None-Match: \"*\"\r\n\r\n");
    assert_false(h.has_match_tag || h.has_none_match_any);
    good_request(&h, "GET / HTTP/1.0\r\nIf-Match: *\r\nif-match: W/\"a\"\r\n\r\n");
    assert_true(h.has_match_tag && !h.has_none_match_any);
    good_request(&h, "GET / HTTP/1.0\r\nif-none-match:\t* \r\nIf-Matches: x\r\n\r\n");
    assert_true(h.has_none_match_any && !h.has_match_tag);
}

/* The largest length that is taken, and that leading zeros do not overflow. */
static void test_largest_length(void **state)
{
    struct http_head h;
    (void)state;
    good_request(&h, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n");
    assert_int_equal(h.content_length, INT64_MAX);
    good_request(&h, "PUT / HTTP/1.1\r\nHost: a\r\n"
                     "Content-Length: 000000000000000000000000000000000007\r\n\r\n");
    assert_int_equal(h.content_length, 7);
}

/* --- requests that are to be refused --- */

#define FIELD(line) "POST / HTTP/1.1\r\nHost: a\r\n" line "\r\n\r\n"
#define START(line) line "\r\nHost: a\r\n\r\n"
#define HOST(value) "GET / HTTP/1.1\r\nHost:" value "\r\n\r\n"

static const struct refusal {
    const char *why, *text;
    int status;
} refusals[] = {
    {"9112 2.2: bare LF ends no line", "GET / HTTP/1.1\nHost: a\r\n\r\n", -400},
    {"9112 2.2: bare LF at once", "GET / HTTP/1.1\n", -400},
    {"9112 2.2: bare LF in a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", -400},
    {"9112 2.2: bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", -400},
    {"9112 2.2: bare LF first", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", -400},
    {"9112 2.2: bare CR in the request line", START("GET /a\rb HTTP/1.1"), -400},
    {"9112 2.2: bare CR in a value", FIELD("X: a\rb"), -400},
    {"9112 2.2: bare CR in a name", FIELD("X\r: a"), -400},
    {"9112 2.2: CR CR LF", FIELD("X: a\r"), -400},
    {"9112 2.2: CR CR LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", -400},
    {"9112 2.2: two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", -400},
    {"9112 2.2: space between request line and first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
     -400},
    {"9112 3: no target, HTTP/0.9", START("GET"), -400},
    {"9112 3: no version, HTTP/0.9", START("GET /"), -400},
    {"9112 3: empty target", START("GET  HTTP/1.1"), -400},
    {"9112 3: two spaces before the target", START("GET  / HTTP/1.1"), -400},
    {"9112 3: two spaces after the target", START("GET /  HTTP/1.1"), -400},
    {"9112 3: space at the end", START("GET / HTTP/1.1 "), -400},
    {"9112 3: space at the beginning", START(" GET / HTTP/1.1"), -400},
    {"9112 3: tab as a separator", START("GET\t/ HTTP/1.1"), -400},
    {"9112 3.1: the method is no token", START("G(T / HTTP/1.1"), -400},
    {"9112 3.1: no method", START(" / HTTP/1.1"), -400},
    {"9112 3.1: not HTTP at all", "\x16\x03\x01\x02\r\n", -400},
    {"9112 3.2: space within the target", START("GET /a b HTTP/1.1"), -400},
    {"9112 3.2: fragment", START("GET /a#b HTTP/1.1"), -400},
    {"3986 2: no URI character", START("GET /a\"b HTTP/1.1"), -400},
    {"3986 2: no URI character in the query", START("GET /?a|b HTTP/1.1"), -400},
    {"3986 2: byte above 0x7f", START("GET /\xc3\xa4 HTTP/1.1"), -400},
    {"3986 2: control character", START("GET /\x01 HTTP/1.1"), -400},
    {"3986 2: DEL", START("GET /\x7f HTTP/1.1"), -400},
    {"3986 2.1: broken percent-encoding", START("GET /%4 HTTP/1.1"), -400},
    {"3986 2.1: percent-encoding without hex", START("GET /%4g HTTP/1.1"), -400},
    {"9112 3.2.1: no form", START("GET a HTTP/1.1"), -400},
    {"9112 3.2.2: other scheme", START("GET ftp://a/ HTTP/1.1"), -400},
    {"9110 7.4: https unsecured", START("GET https://a/ HTTP/1.1"), -400},
    {"9110 4.2.1: empty host", START("GET http:///x HTTP/1.1"), -400},
    {"9110 4.2.1: empty host with port", START("GET http://:80/x HTTP/1.1"), -400},
    {"9110 4.2.4: user information", START("GET http://u@a/x HTTP/1.1"), -400},
    {"9112 3.2.2: bad authority", START("GET http://a:b/x HTTP/1.1"), -400},
    {"9112 3.2.2: fragment", START("GET http://a#b HTTP/1.1"), -400},
    {"9112 3.2.3: authority-form without CONNECT", START("GET a:80 HTTP/1.1"), -400},
    {"9112 3.2.3: CONNECT without port", START("CONNECT a HTTP/1.1"), -400},
    {"9112 3.2.3: CONNECT with empty port", START("CONNECT a: HTTP/1.1"), -400},
    {"9112 3.2.3: CONNECT without host", START("CONNECT :80 HTTP/1.1"), -400},
    {"9112 3.2.3: CONNECT with a path", START("CONNECT / HTTP/1.1"), -400},
    {"9112 3.2.4: asterisk-form without OPTIONS", START("GET * HTTP/1.1"), -400},
    {"9112 3.2.4: asterisk and more", START("OPTIONS *a HTTP/1.1"), -400},
    {"9112 2.3: HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\n", -505},
    {"9110 15.6.6: major version 0", START("GET / HTTP/0.9"), -505},
    {"9110 15.6.6: major version 3", START("GET / HTTP/3.1"), -505},
    {"9112 2.3: name in lower case", START("GET / http/1.1"), -400},
    {"9112 2.3: two digits", START("GET / HTTP/1.10"), -400},
    {"9112 2.3: no minor", START("GET / HTTP/1."), -400},
    {"9112 2.3: no digit", START("GET / HTTP/1.x"), -400},
    {"9112 2.3: no dot", START("GET / HTTP/1,1"), -400},
    {"9112 2.3: other protocol", START("GET / ICAP/1.0"), -400},
    {"9112 3.2: no Host in HTTP/1.1", "GET / HTTP/1.1\r\n\r\n", -400},
    {"9112 3.2: no Host in HTTP/1.1 with absolute-form", "GET http://a/ HTTP/1.1\r\n\r\n", -400},
    {"9112 3.2: two Hosts", FIELD("Host: a"), -400},
    {"9112 3.2: two Hosts, the first empty", "GET / HTTP/1.1\r\nHost:\r\nHost: a\r\n\r\n", -400},
    {"9112 3.2: two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n", -400},
    {"9112 3.2: Host with a path", HOST("a/b"), -400},
    {"9112 3.2: Host with user information", HOST("u@a"), -400},
    {"9112 3.2: Host with a space", HOST("a b"), -400},
    {"9112 3.2: Host with a list", HOST("a:1,b:2"), -400},
    {"9112 3.2: Host with a port that is none", HOST("a:80x"), -400},
    {"9112 3.2: Host with two ports", HOST("a:80:80"), -400},
    {"9112 3.2: Host with bare IPv6", HOST("::1"), -400},
    {"9112 3.2: Host with bad IPv6", HOST("[:::]"), -400},
    {"9112 3.2: Host with an open bracket", HOST("[::1"), -400},
    {"9112 3.2: Host with bytes after a bracket", HOST("[::1]a"), -400},
    {"9112 3.2: Host with IPv4 in brackets", HOST("[1.2.3.4]"), -400},
    {"9112 3.2: Host with IPv6 that is too long",
     HOST("[1111:2222:3333:4444:5555:6666:111.111.111.1111]"), -400},
    {"9112 3.2: Host with a future address without dot", HOST("[v7]"), -400},
    {"9112 3.2: Host with a future address without version", HOST("[v.a]"), -400},
    {"9112 3.2: Host with an empty future address", HOST("[v7.]"), -400},
    {"9112 3.2: Host with broken percent-encoding", HOST("a%2"), -400},
    {"9112 3.2: Host with a byte above 0x7f", HOST("\xc3\xa4"), -400},
    {"9112 5.1: space before the colon", FIELD("X : a"), -400},
    {"9112 5.1: tab before the colon", FIELD("X\t: a"), -400},
    {"9112 5.1: space before the colon of a length", FIELD("Content-Length : 5"), -400},
    {"9112 5: no colon", FIELD("X"), -400},
    {"9112 5: no name", FIELD(": a"), -400},
    {"9110 5.6.2: no token", FIELD("X(y: a"), -400},
    {"9110 5.6.2: byte above 0x7f in a name", FIELD("X\xc3: a"), -400},
    {"9112 5.2: obs-fold with a space", FIELD("X: a\r\n b"), -400},
    {"9112 5.2: obs-fold with a tab", FIELD("X: a\r\n\tb"), -400},
    {"9112 5.2: obs-fold of spaces only", FIELD("X: a\r\n "), -400},
    {"9110 5.5: control character", FIELD("X: a\x01"), -400},
    {"9110 5.5: control character in a long value", FIELD("X: 0123456789abcdef\x1bxyz"), -400},
    {"9110 5.5: DEL", FIELD("X: abcdefg\x7f"), -400},
    {"9112 6.3: Content-Length and Transfer-Encoding",
     FIELD("Content-Length: 5\r\nTransfer-Encoding: chunked"), -400},
    {"9112 6.3: Transfer-Encoding and Content-Length",
     FIELD("Transfer-Encoding: chunked\r\nContent-Length: 5"), -400},
    {"9112 6.3: two different lengths", FIELD("Content-Length: 5\r\nContent-Length: 6"), -400},
    {"9110 8.6: two equal lengths", FIELD("Content-Length: 5\r\nContent-Length: 5"), -400},
    {"9110 8.6: a list of lengths", FIELD("Content-Length: 5, 5"), -400},
    {"9110 8.6: plus", FIELD("Content-Length: +5"), -400},
    {"9110 8.6: minus", FIELD("Content-Length: -5"), -400},
    {"9110 8.6: minus nothing", FIELD("Content-Length: -0"), -400},
    {"9110 8.6: hex", FIELD("Content-Length: 0x5"), -400},
    {"9110 8.6: fraction", FIELD("Content-Length: 5.0"), -400},
    {"9110 8.6: empty", FIELD("Content-Length:"), -400},
    {"9110 8.6: space within", FIELD("Content-Length: 5 5"), -400},
    {"9110 8.6: over 2^63", FIELD("Content-Length: 9223372036854775808"), -400},
    {"9110 8.6: over 2^64", FIELD("Content-Length: 18446744073709551617"), -400},
    {"9110 8.6: far over 2^64", FIELD("Content-Length: 99999999999999999999999999999999"), -400},
    {"9112 6.1: Transfer-Encoding in HTTP/1.0",
     "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", -400},
    {"9112 6.1: chunked twice", FIELD("Transfer-Encoding: chunked, chunked"), -400},
    {"9112 6.1: chunked twice in two lines",
     FIELD("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), -400},
    {"9112 6.3: chunked is not final", FIELD("Transfer-Encoding: chunked, gzip"), -400},
    {"9112 6.3: chunked is not final, in two lines",
     FIELD("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"), -400},
    {"9112 6.3: no chunked", FIELD("Transfer-Encoding: gzip"), -400},
    {"9112 6.3: identity", FIELD("Transfer-Encoding: identity"), -400},
    {"9112 6.3: empty coding", FIELD("Transfer-Encoding:"), -400},
    {"9112 6.3: nearly chunked", FIELD("Transfer-Encoding: xchunked"), -400},
    {"9112 6.3: nearly chunked", FIELD("Transfer-Encoding: chunke"), -400},
    {"9112 6.3: chunked in quotes", FIELD("Transfer-Encoding: \"chunked\""), -400},
    {"9112 6.3: vertical tab before chunked",
     FIELD("Transfer-Encoding: \x0b"
           "chunked"),
     -400},
    {"9112 7: chunked with a parameter", FIELD("Transfer-Encoding: chunked;a=b"), -400},
    {"9112 6.1: unknown coding before chunked", FIELD("Transfer-Encoding: gzip, chunked"), -501},
    {"9112 6.1: unknown coding before chunked, in two lines",
     FIELD("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"), -501},
    {"9110 10.1.1: unknown expectation", FIELD("Expect: 200-ok"), -417},
    {"9110 10.1.1: one of two unknown", FIELD("Expect: 100-continue, x"), -417},
};

/* Each of them, in every way of arriving. */
static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct http_head h;
        int got = request(&h, refusals[i].text);
        if (got != refusals[i].status)
            fail_msg("%s: %d instead of %d", refusals[i].why, got, refusals[i].status);
    }
}

/* Every byte that is not allowed is refused, every other is not: NUL and all others, in the method,
 * the path, the query, a name and a value. */
static void test_every_byte(void **state)
{
    static const struct {
        const char *before, *after, *allowed; /* beyond letters and digits */
        bool has_high;
    } places[] = {
        {"G", "T / HTTP/1.1\r\nHost: a\r\n\r\n", "!#$%&'*+-.^_`|~", false},
        {"GET /", "a HTTP/1.1\r\nHost: a\r\n\r\n", "-._~!$&'()*+,;=:@/?", false},
        {"GET /?", "a HTTP/1.1\r\nHost: a\r\n\r\n", "-._~!$&'()*+,;=:@/?", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nX", "Y: a\r\n\r\n", "!#$%&'*+-.^_`|~:", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: a", "b\r\n\r\n", "\t !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
         true},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: 01234567", "89abcdef\r\n\r\n",
         "\t !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        for (int c = 0; c < 256; c++) {
            char text[128];
            int len = snprintf(text, sizeof text, "%s%c%s", places[i].before, c, places[i].after);
            struct http_head h = {0};
            struct span s = guard_put(&memory, (struct span){text, (size_t)len});
            bool is_plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
            bool is_good = is_plain || (c > 0 && c < 128 && strchr(places[i].allowed, c)) ||
                           (c > 127 && places[i].has_high);
            int got = http_request_head(&h, s.data, s.len, &defaults);
            if (got != (is_good ? len : -400))
                fail_msg("byte 0x%02x in place %zu: %d", (unsigned)c, i, got);
        }
    }
}

/* --- limits --- */

static int limited(const char *text, uint32_t line, uint32_t head, uint16_t fields)
{
    struct http_head h;
    struct http_limits limits = {.line_bytes = line, .head_bytes = head, .fields = fields};
    return read_all_ways(http_request_head, &h, span_of(text), &limits);
}

/* Each bound holds to the byte, and is refused before the line or the head has ended. */
static void test_limits(void **state)
{
    const char *text = "GET /abc HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"; /* 17, 36 bytes, 2 fields */
    (void)state;
    assert_int_equal(limited(text, 17, 36, 2), 36);
    assert_int_equal(limited(text, 16, 36, 2), -414);
    assert_int_equal(limited(text, 17, 35, 2), -431);
    assert_int_equal(limited(text, 17, 36, 1), -431);
    assert_int_equal(limited(text, 17, 36, 0), -431);
    assert_int_equal(limited("GET /aaaaaaaaaaaaaaaaaa", 17, 99, 2), -414);
    assert_int_equal(limited("GET / HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaa", 17, 36, 2), -431);
    assert_int_equal(limited("GET / HTTP/1.1\r\nHost: a\r\nX\n", 17, 36, 1), -431);
    assert_int_equal(limited("GET / HTTP/1.1\r\nHost: a\r\nX", 17, 36, 1), -431);
    assert_int_equal(limited("GET / HTTP/1.1\r\nHost: a\r\n\r", 17, 36, 1), 0);
    assert_int_equal(limited("\r\nGET /abc HTTP/1.1\r\nHost: a\r\n\r\n", 17, 36, 1), 32);
}

/* RFC 9112 section 3: a long target is 414, a long method 501, and what is neither 400. */
static void test_long_lines(void **state)
{
    (void)state;
    assert_int_equal(limited("GET http://aaaaaaaaaaaaaaaaaaaa", 10, 99, 9), -414);
    assert_int_equal(limited("GETGETGETGETGETGET", 10, 99, 9), -501);
    assert_int_equal(limited("GET /aa HTTP/1.1\r\n\r\n", 15, 99, 9), -414);
    assert_int_equal(limited("GET / HTTP/1.11111111", 14, 99, 9), -400);
    assert_int_equal(limited("(((((((((((((((((", 10, 99, 9), -400);
    assert_int_equal(limited(" GET /aaaaaaaaaaaaaaaaa", 10, 99, 9), -400);
}

/* A hundred fields are taken, the first byte of one more is not. */
static void test_many_fields(void **state)
{
    char text[2048];
    struct http_head h = {0};
    (void)state;
    size_t len = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (unsigned i = 1; i < defaults.fields; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "X%u: y\r\n", i);
    memcpy(text + len, "\r\n", 2);
    assert_int_equal(feed(http_request_head, &h, (struct span){text, len}, len + 2, &defaults),
                     (int)len + 2);
    assert_int_equal(h.fields, 100);
    text[len] = 'Y';
    h = (struct http_head){0};
    assert_int_equal(feed(http_request_head, &h, (struct span){text, len}, len + 1, &defaults),
                     -431);
}

/* A field without end is refused at the bound, and not a byte later. */
static void test_endless_field(void **state)
{
    static char text[8192 + 16384];
    static const char begin[] = "GET / HTTP/1.1\r\nHost: a\r\nX:";
    struct http_head h = {0};
    (void)state;
    memset(text, 'y', sizeof text);
    memcpy(text, begin, sizeof begin - 1);
    struct span s = {text, sizeof text};
    assert_int_equal(s.len, defaults.head_bytes);
    assert_int_equal(feed(http_request_head, &h, s, s.len - 1, &defaults), 0);
    assert_int_equal(feed(http_request_head, &h, s, s.len, &defaults), -431);
}

/* --- responses --- */

/* The facts of a response head. */
static void test_simple_response(void **state)
{
    const char *text = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
                       "Location: /elsewhere\r\nRetry-After: 1\r\nContent-Length: 541\r\n"
                       "Expect: nothing\r\nHost: is/ignored\r\n\r\n";
    struct http_head h;
    (void)state;
    good_response(&h, text);
    assert_int_equal(h.status, 503);
    assert_int_equal(h.minor, 1);
    assert_int_equal(h.content_length, 541);
    is_part(text, h.content_type, "application/json");
    is_part(text, h.location, "/elsewhere");
    is_part(text, h.retry_after, "1");
    assert_true(http_is_persistent(&h));
}

/* Reasons are free, may be empty, and codes above 599 are passed on (RFC 9110 section 15). */
static void test_status_lines(void **state)
{
    struct http_head h;
    (void)state;
    good_response(&h, "HTTP/1.1 200 \r\n\r\n");
    good_response(&h, "HTTP/1.0 404 Nicht gefunden\t\xc3\xa4\r\n\r\n");
    assert_int_equal(h.minor, 0);
    good_response(&h, "HTTP/1.1 999 Odd\r\n\r\n");
    assert_int_equal(h.status, 999);
    good_response(&h, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(h.status, 100);
}

/* Whatever is wrong with a response is a 502 to who asked for it. */
static void test_response_refusals(void **state)
{
    static const struct {
        const char *why, *text;
    } cases[] = {
        {"9112 2.2: no empty line first", "\r\nHTTP/1.1 200 OK\r\n\r\n"},
        {"9112 2.2: bare LF", "HTTP/1.1 200 OK\n\n"},
        {"9112 4: no space after the code", "HTTP/1.1 200\r\n\r\n"},
        {"9112 4: two digits", "HTTP/1.1 20 OK\r\n\r\n"},
        {"9112 4: four digits", "HTTP/1.1 2000 OK\r\n\r\n"},
        {"9112 4: no digits", "HTTP/1.1 2x0 OK\r\n\r\n"},
        {"9112 4: two spaces", "HTTP/1.1  200 OK\r\n\r\n"},
        {"9110 15: below 100", "HTTP/1.1 099 OK\r\n\r\n"},
        {"9112 4: control character in the reason", "HTTP/1.1 200 O\x01K\r\n\r\n"},
        {"9112 2.3: other major version", "HTTP/2.0 200 OK\r\n\r\n"},
        {"9112 2.3: other protocol", "ICY 200 OK\r\n\r\n"},
        {"9112 2.3: not HTTP", "\x15\x03\x03\r\n\r\n"},
        {"9112 5.1: space before the colon", "HTTP/1.1 200 OK\r\nX : a\r\n\r\n"},
        {"9112 5.2: obs-fold", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"},
        {"9112 6.3: length and coding",
         "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"9112 6.3: lengths differ",
         "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"},
        {"9112 6.1: coding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"9112 6.1: unknown coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"},
        {"9112 6.1: unknown coding before chunked",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_head h;
        int got = read_all_ways(http_response_head, &h, span_of(cases[i].text), &defaults);
        if (got != -502)
            fail_msg("%s: %d", cases[i].why, got);
    }
    struct http_limits small = {.line_bytes = 20, .head_bytes = 30, .fields = 1};
    struct http_head h;
    struct span s = SPAN("HTTP/1.1 200 0123456789");
    assert_int_equal(read_all_ways(http_response_head, &h, s, &small), -502);
    s = SPAN("HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n");
    assert_int_equal(read_all_ways(http_response_head, &h, s, &small), -502);
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
        cmocka_unit_test(test_simple_request),
        cmocka_unit_test(test_stops_at_the_end),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_empty_line_first),
        cmocka_unit_test(test_persistence),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_other_names),
        cmocka_unit_test(test_chunked),
        cmocka_unit_test(test_expect_in_1_0),
        cmocka_unit_test(test_preconditions),
        cmocka_unit_test(test_largest_length),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_many_fields),
        cmocka_unit_test(test_endless_field),
        cmocka_unit_test(test_simple_response),
        cmocka_unit_test(test_status_lines),
        cmocka_unit_test(test_response_refusals),
    };
    return cmocka_run_group_tests(tests, open_memory, close_memory);
}
