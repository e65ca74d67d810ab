/* Bodies: every input ends at an unmapped page, and is taken whole, byte by byte and cut in two at
 * every offset; payload and end must be the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/http.h"
#include "lib/guard.h"

static struct guard memory;

struct taken {
    int64_t consumed; /* or the refusal */
    bool is_done;
    size_t len;
    char payload[8192];
};

static void take_piece(struct http_body *b, struct span piece, struct taken *t)
{
    struct span in = guard_put(&memory, piece), payload;
    while (in.len && !b->is_done) {
        int64_t n = http_body_take(b, in, &payload);
        if (n < 0) {
            t->consumed = n;
            return;
        }
        assert_in_range(n, 1, in.len);
        assert_true(payload.data >= in.data && payload.len <= (size_t)n);
        assert_true(payload.data + payload.len <= in.data + n);
        assert_true(t->len + payload.len <= sizeof t->payload);
        memcpy(t->payload + t->len, payload.data, payload.len);
        t->len += payload.len;
        t->consumed += n;
        in.data += n;
        in.len -= (size_t)n;
    }
    t->is_done = b->is_done;
}

/* Takes `first` bytes and then `step` at a time, by the framing of `h`. */
static void take_steps(const struct http_head *h, struct span s, size_t first, size_t step,
                       struct taken *t)
{
    struct http_body b;
    *t = (struct taken){0};
    http_request_body(&b, h);
    for (size_t at = 0, n = first; at < s.len && t->consumed >= 0; at += n, n = step) {
        n = n < s.len - at ? n : s.len - at;
        take_piece(&b, (struct span){s.data + at, n}, t);
    }
    if (t->consumed >= 0)
        assert_int_equal(b.received, t->len);
}

static void same(const struct taken *a, const struct taken *b, struct span s)
{
    bool is_same = a->consumed == b->consumed;
    if (a->consumed >= 0)
        is_same = is_same && a->is_done == b->is_done && a->len == b->len &&
                  memcmp(a->payload, b->payload, a->len) == 0;
    if (!is_same)
        fail_msg("%d and %d for: %.*s", (int)a->consumed, (int)b->consumed, (int)s.len, s.data);
}

static void take_all_ways(const struct http_head *h, struct span s, struct taken *whole)
{
    static struct taken other;
    take_steps(h, s, s.len, 1, whole);
    for (size_t cut = 1; cut < s.len; cut++) {
        take_steps(h, s, cut, s.len, &other);
        same(whole, &other, s);
    }
    take_steps(h, s, 1, 1, &other);
    same(whole, &other, s);
}

static const struct http_head chunked = {.has_chunked = true, .minor = 1};

static void good_chunks(const char *text, const char *payload)
{
    static struct taken t;
    take_all_ways(&chunked, span_of(text), &t);
    if (t.consumed < 0 || !t.is_done || !span_eq((struct span){t.payload, t.len}, span_of(payload)))
        fail_msg("%d, payload \"%.*s\" of: %s", (int)t.consumed, (int)t.len, t.payload, text);
}

/* --- chunked --- */

/* Chunks of every shape that RFC 9112 section 7.1 has, and what stands behind them stays. */
static void test_chunks(void **state)
{
    static struct taken t;
    (void)state;
    good_chunks("0\r\n\r\n", "");
    good_chunks("5\r\nhello\r\n0\r\n\r\n", "hello");
    good_chunks("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc");
    good_chunks("0000000000000000000005\r\nhello\r\n000\r\n\r\n", "hello");
    good_chunks("a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n", "01234567890123456789a");
    good_chunks("2\r\n\r\n\r\n0\r\n\r\n", "\r\n");
    take_all_ways(&chunked, SPAN("1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n"), &t);
    assert_true(t.is_done);
    assert_int_equal(t.consumed, 11);
}

/* Extensions are read and dropped (RFC 9112 section 7.1.1). */
static void test_extensions(void **state)
{
    (void)state;
    good_chunks("5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello");
    good_chunks("5;a=b;c=\"d\";e\r\nhello\r\n0\r\n\r\n", "hello");
    good_chunks("5 ;\ta = b ; c=\"\"\r\nhello\r\n0\r\n\r\n", "hello");
    good_chunks("5;a=\"x;y\\\"\\\\\t\xc3\xa4\"\r\nhello\r\n0\r\n\r\n", "hello");
}

/* Trailers are read and dropped, whatever they claim (RFC 9110 section 6.5.1). */
static void test_trailers(void **state)
{
    (void)state;
    good_chunks("1\r\na\r\n0\r\nX: y\r\n\r\n", "a");
    good_chunks("1\r\na\r\n0\r\nX:\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n",
                "a");
}

/* What must not be taken for a chunk. */
static void test_bad_chunks(void **state)
{
    static const struct {
        const char *why, *text;
    } cases[] = {
        {"9112 7.1: no size", "\r\nhello"},
        {"9112 7.1: plus", "+5\r\nhello"},
        {"9112 7.1: minus", "-1\r\nhello"},
        {"9112 7.1: 0x", "0x5\r\nhello"},
        {"9112 7.1: space first", " 5\r\nhello"},
        {"9112 7.1: no hex", "g\r\n"},
        {"9112 7.1: underscore", "1_0\r\n"},
        {"9112 7.1: dot", "5.0\r\n"},
        {"9112 7.1: size over 2^63", "8000000000000000\r\n"},
        {"9112 7.1: size over 2^64", "10000000000000001\r\n"},
        {"9112 7.1: size over 2^64, wrapping to 5", "ffffffffffffffff5\r\n"},
        {"9112 7.1: bare LF after the size", "5\nhello\r\n0\r\n\r\n"},
        {"9112 7.1: bare CR after the size", "5\rhello\r\n0\r\n\r\n"},
        {"9112 7.1: CR CR LF after the size", "5\r\r\nhello"},
        {"9112 7.1: bare LF after the data", "5\r\nhello\n0\r\n\r\n"},
        {"9112 7.1: bare CR after the data", "5\r\nhello\r0\r\n\r\n"},
        {"9112 7.1: data longer than its size", "4\r\nhello\r\n0\r\n\r\n"},
        {"9112 7.1: two bytes in the place of CRLF", "5\r\nhelloXX0\r\n\r\n"},
        {"9112 7.1: bare LF at the end", "0\r\n\n"},
        {"9112 7.1: bare LF after the last chunk", "0\n\r\n"},
        {"9112 7.1.1: space without an extension", "5 \r\nhello"},
        {"9112 7.1.1: tab without an extension", "5\t\r\nhello"},
        {"9112 7.1.1: no semicolon", "5 a\r\nhello"},
        {"9112 7.1.1: empty extension", "5;\r\nhello"},
        {"9112 7.1.1: spaces only", "5; \r\nhello"},
        {"9112 7.1.1: two semicolons", "5;;a\r\nhello"},
        {"9112 7.1.1: no name", "5;=b\r\nhello"},
        {"9112 7.1.1: no value", "5;a=\r\nhello"},
        {"9112 7.1.1: no value, space", "5;a= \r\nhello"},
        {"9112 7.1.1: space after a name", "5;a \r\nhello"},
        {"9112 7.1.1: space after a value", "5;a=b \r\nhello"},
        {"9112 7.1.1: two values", "5;a=b c\r\nhello"},
        {"9112 7.1.1: two equals", "5;a=b=c\r\nhello"},
        {"9112 7.1.1: no token", "5;a(b\r\nhello"},
        {"9112 7.1.1: bare LF in an extension", "5;a\nhello\r\n0\r\n\r\n"},
        {"9112 7.1.1: bare CR in an extension", "5;a\rb\r\nhello"},
        {"9112 7.1.1: line end in quotes", "5;a=\"\r\n\"\r\nhello"},
        {"9112 7.1.1: line end after a backslash", "5;a=\"\\\r\n\"\r\nhello"},
        {"9112 7.1.1: bytes after quotes", "5;a=\"b\"c\r\nhello"},
        {"9112 7.1.1: space after quotes", "5;a=\"b\" \r\nhello"},
        {"9112 7.1.2: space before the colon of a trailer", "0\r\nX : y\r\n\r\n"},
        {"9112 7.1.2: no colon in a trailer", "0\r\nX\r\n\r\n"},
        {"9112 7.1.2: no name in a trailer", "0\r\n: y\r\n\r\n"},
        {"9112 7.1.2: obs-fold in the trailers", "0\r\nX: y\r\n z\r\n\r\n"},
        {"9112 7.1.2: bare LF in the trailers", "0\r\nX: y\n\r\n"},
        {"9112 7.1.2: bare CR in the trailers", "0\r\nX: y\rz\r\n\r\n"},
        {"9112 7.1.2: control character in a trailer", "0\r\nX: \x01\r\n\r\n"},
    };
    static struct taken t;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        take_all_ways(&chunked, span_of(cases[i].text), &t);
        if (t.consumed != -400)
            fail_msg("%s: %d", cases[i].why, (int)t.consumed);
    }
}

/* One byte where it may not be: NUL is one that no text above can have. */
static void test_nul(void **state)
{
    static const struct span cases[] = {SPAN("\0"),         SPAN("5\0\r\n"), SPAN("5;\0"),
                                        SPAN("5;a=\"\0\""), SPAN("0\r\n\0"), SPAN("0\r\nX:\0"),
                                        SPAN("1\r\na\0")};
    static struct taken t;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        take_all_ways(&chunked, cases[i], &t);
        assert_int_equal(t.consumed, -400);
    }
}

static int64_t take_repeated(const char *begin, const char *again, size_t times)
{
    struct http_body b;
    struct span payload;
    http_request_body(&b, &chunked);
    int64_t got = http_body_take(&b, span_of(begin), &payload);
    for (size_t i = 0; i < times && got >= 0; i++)
        got = http_body_take(&b, span_of(again), &payload);
    return got;
}

/* A chunk line and the trailers are bounded to 4 KiB; the bytes of a chunk are not. */
static void test_bounds(void **state)
{
    (void)state;
    assert_true(take_repeated("5;", "a", 4094) > 0);
    assert_int_equal(take_repeated("5;", "a", 4095), -400);
    assert_int_equal(take_repeated("0", "0", 4096), -400);
    assert_true(take_repeated("0\r\n", "X: y\r\n", 682) > 0);
    assert_int_equal(take_repeated("0\r\n", "X: y\r\n", 683), -400);
    assert_true(take_repeated("", "5;abc\r\nhello\r\n", 10000) > 0);
}

/* The largest chunk that is taken for one. */
static void test_largest_chunk(void **state)
{
    struct http_body b;
    struct span payload;
    (void)state;
    http_request_body(&b, &chunked);
    assert_int_equal(http_body_take(&b, SPAN("7FFFFFFFFFFFFFFF\r\nab"), &payload), 20);
    assert_int_equal(b.left, INT64_MAX - 2);
    assert_int_equal(b.received, 2);
}

/* A usual body of one chunk is seen to in one call; of two chunks the second is waited for. */
static void test_calls(void **state)
{
    struct http_body b;
    struct span payload;
    (void)state;
    http_request_body(&b, &chunked);
    assert_int_equal(http_body_take(&b, SPAN("5\r\nhello\r\n0\r\n\r\n"), &payload), 15);
    assert_true(b.is_done && span_eq(payload, SPAN("hello")));
    http_request_body(&b, &chunked);
    assert_int_equal(http_body_take(&b, SPAN("1\r\na\r\n1\r\nb\r\n"), &payload), 9);
    assert_true(span_eq(payload, SPAN("a")));
    assert_int_equal(http_body_take(&b, SPAN("b\r\n"), &payload), 3);
    assert_true(span_eq(payload, SPAN("b")));
}

/* --- the other framings --- */

/* A length is taken to the byte and no further. */
static void test_length(void **state)
{
    struct http_head h = {.has_length = true, .content_length = 5};
    static struct taken t;
    (void)state;
    take_all_ways(&h, SPAN("helloGET /"), &t);
    assert_int_equal(t.consumed, 5);
    assert_true(t.is_done && span_eq((struct span){t.payload, t.len}, SPAN("hello")));
    take_all_ways(&h, SPAN("hell"), &t);
    assert_int_equal(t.consumed, 4);
    assert_false(t.is_done);
}

/* RFC 9112 section 6.3: which framing a request has. */
static void test_request_framing(void **state)
{
    struct http_body b;
    struct span payload;
    struct http_head h = {0};
    (void)state;
    http_request_body(&b, &h);
    assert_int_equal(b.kind, HTTP_BODY_NONE);
    assert_true(b.is_done);
    assert_int_equal(http_body_take(&b, SPAN("x"), &payload), 0);
    assert_int_equal(payload.len, 0);
    h.has_length = true;
    http_request_body(&b, &h);
    assert_int_equal(b.kind, HTTP_BODY_LENGTH);
    assert_true(b.is_done);
    h.content_length = 1;
    http_request_body(&b, &h);
    assert_false(b.is_done);
    http_request_body(&b, &chunked);
    assert_int_equal(b.kind, HTTP_BODY_CHUNKED);
    assert_false(b.is_done);
}

/* RFC 9112 section 6.3: which framing a response has, by its status and its request's method. */
static void test_response_framing(void **state)
{
    static const struct {
        uint16_t status;
        enum http_method method;
        enum http_body_kind wanted;
    } cases[] = {
        {200, HTTP_GET, HTTP_BODY_LENGTH},     {200, HTTP_HEAD, HTTP_BODY_NONE},
        {404, HTTP_HEAD, HTTP_BODY_NONE},      {100, HTTP_GET, HTTP_BODY_NONE},
        {103, HTTP_GET, HTTP_BODY_NONE},       {204, HTTP_GET, HTTP_BODY_NONE},
        {304, HTTP_GET, HTTP_BODY_NONE},       {200, HTTP_CONNECT, HTTP_BODY_NONE},
        {400, HTTP_CONNECT, HTTP_BODY_LENGTH}, {500, HTTP_POST, HTTP_BODY_LENGTH},
    };
    struct http_body b;
    struct span payload;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_head h = {.status = cases[i].status, .has_length = true, .content_length = 9};
        http_response_body(&b, &h, cases[i].method);
        assert_int_equal(b.kind, cases[i].wanted);
        assert_int_equal(b.is_done, cases[i].wanted == HTTP_BODY_NONE);
    }
    struct http_head h = {.status = 200, .has_chunked = true};
    http_response_body(&b, &h, HTTP_GET);
    assert_int_equal(b.kind, HTTP_BODY_CHUNKED);
    h.has_chunked = false;
    http_response_body(&b, &h, HTTP_GET);
    assert_int_equal(b.kind, HTTP_BODY_UNTIL_CLOSE);
    assert_int_equal(http_body_take(&b, SPAN("anything"), &payload), 8);
    assert_true(span_eq(payload, SPAN("anything")) && b.received == 8 && !b.is_done);
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
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_extensions),
        cmocka_unit_test(test_trailers),
        cmocka_unit_test(test_bad_chunks),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_largest_chunk),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_request_framing),
        cmocka_unit_test(test_response_framing),
    };
    return cmocka_run_group_tests(tests, open_memory, close_memory);
}
