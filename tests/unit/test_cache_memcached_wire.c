/* The meta protocol as bytes: what a set looks like, and replies whole and in pieces. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "storage/cache_memcached_wire.h"

#define KEY "9add349c-c35c-4d32-ab0f-53da1ba40a2a"

static struct cache_set set_of(struct span value)
{
    struct cache_set s = {.value = value};
    memcpy(s.key, KEY, sizeof s.key);
    return s;
}

/* A quiet set and a loud one, byte for byte. */
static void writes_sets(void **state)
{
    char at[CACHE_MEMCACHED_SET_BYTES];
    struct cache_set s = set_of(SPAN("{\"id\":1}"));
    (void)state;
    size_t len = cache_memcached_wire_set(at, &s, 7, true);
    struct span quiet = SPAN("ms " KEY " 8 T20 O7 q\r\n{\"id\":1}\r\n");
    assert_int_equal(len, quiet.len);
    assert_memory_equal(at, quiet.data, len);
    len = cache_memcached_wire_set(at, &s, 4294967295u, false);
    struct span loud = SPAN("ms " KEY " 8 T20 O4294967295\r\n{\"id\":1}\r\n");
    assert_int_equal(len, loud.len);
    assert_memory_equal(at, loud.data, len);
}

/* The longest set stays within the room that is promised. */
static void fits_the_room(void **state)
{
    char *value = calloc(1, CACHE_VALUE_BYTES), *at = malloc(CACHE_MEMCACHED_SET_BYTES);
    struct cache_set s = set_of((struct span){value, CACHE_VALUE_BYTES});
    (void)state;
    assert_true(cache_memcached_wire_set(at, &s, UINT32_MAX, true) <= CACHE_MEMCACHED_SET_BYTES);
    free(value);
    free(at);
}

static struct cache_memcached_reply read_in_pieces(struct span text, size_t piece)
{
    struct cache_memcached_line line = {.len = 0};
    struct cache_memcached_reply r = {.kind = REPLY_NOTHING};
    for (size_t at = 0; at < text.len; at += piece) {
        size_t len = text.len - at < piece ? text.len - at : piece;
        char *copy = malloc(len); /* so that a read beyond its end is noticed */
        memcpy(copy, text.data + at, len);
        struct span bytes = {copy, len};
        while (bytes.len) {
            assert_int_equal(r.kind, REPLY_NOTHING);
            r = cache_memcached_wire_next(&line, &bytes);
        }
        free(copy);
    }
    return r;
}

static void expect(struct span text, enum cache_memcached_reply_kind kind, bool has_opaque,
                   uint32_t opaque)
{
    for (size_t piece = 1; piece <= text.len; piece++) {
        struct cache_memcached_reply r = read_in_pieces(text, piece);
        assert_int_equal(r.kind, kind);
        assert_int_equal(r.has_opaque, has_opaque);
        if (has_opaque)
            assert_int_equal(r.opaque, opaque);
    }
}

/* Every reply that a set can have, however it is cut. */
static void reads_replies(void **state)
{
    (void)state;
    expect(SPAN("MN\r\n"), REPLY_BARRIER, false, 0);
    expect(SPAN("HD O12\r\n"), REPLY_STORED, true, 12);
    expect(SPAN("HD\r\n"), REPLY_STORED, false, 0);
    expect(SPAN("NS O4294967295\r\n"), REPLY_REFUSED, true, 4294967295u);
    expect(SPAN("NS b O5 k\r\n"), REPLY_REFUSED, true, 5);
    expect(SPAN("SERVER_ERROR out of memory storing object\r\n"), REPLY_REFUSED, false, 0);
}

/* What a memcached of ours never says ends the connection. */
static void refuses_nonsense(void **state)
{
    static const char *const lines[] = {"ERROR\r\n",
                                        "CLIENT_ERROR bad data chunk\r\n",
                                        "\r\n",
                                        "M\r\n",
                                        "MNO\r\n",
                                        "HDX O1\r\n",
                                        "STORED\r\n",
                                        "ERROR Too many open connections\r\n",
                                        "HTTP/1.1 400 Bad Request\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        expect(span_of(lines[i]), REPLY_BROKEN, false, 0);
}

/* An opaque that is no number, or too great, is none. */
static void ignores_bad_opaques(void **state)
{
    (void)state;
    expect(SPAN("NS O\r\n"), REPLY_REFUSED, false, 0);
    expect(SPAN("NS O4294967296\r\n"), REPLY_REFUSED, false, 0);
    expect(SPAN("NS O1x\r\n"), REPLY_REFUSED, false, 0);
}

/* A line without an end does not grow for ever. */
static void refuses_endless_lines(void **state)
{
    struct cache_memcached_line line = {.len = 0};
    char text[300];
    (void)state;
    memset(text, 'x', sizeof text);
    struct span bytes = {text, sizeof text};
    assert_int_equal(cache_memcached_wire_next(&line, &bytes).kind, REPLY_BROKEN);
}

/* Several replies in one piece come one by one. */
static void takes_one_at_a_time(void **state)
{
    struct cache_memcached_line line = {.len = 0};
    struct span bytes = SPAN("NS O3\r\nMN\r\nMN");
    (void)state;
    assert_int_equal(cache_memcached_wire_next(&line, &bytes).kind, REPLY_REFUSED);
    assert_int_equal(cache_memcached_wire_next(&line, &bytes).kind, REPLY_BARRIER);
    assert_int_equal(cache_memcached_wire_next(&line, &bytes).kind, REPLY_NOTHING);
    assert_int_equal(bytes.len, 0);
    bytes = SPAN("\r\n");
    assert_int_equal(cache_memcached_wire_next(&line, &bytes).kind, REPLY_BARRIER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_sets),         cmocka_unit_test(fits_the_room),
        cmocka_unit_test(reads_replies),       cmocka_unit_test(refuses_nonsense),
        cmocka_unit_test(ignores_bad_opaques), cmocka_unit_test(refuses_endless_lines),
        cmocka_unit_test(takes_one_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
