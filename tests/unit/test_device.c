#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lib/guard.h"
#include "target/device.h"

#define LIST                                                                                      \
    "[{\"id\":1,\"uuid\":\"9add349c-c35c-4d32-ab0f-53da1ba40a2a\",\"mac\":\"EF-2B-C4-F5-D6-34\"," \
    "\"firmware\":\"2.1.5\",\"created_at\":\"2024-05-28T15:21:51.137Z\",\"updated_at\":"          \
    "\"2024-05-28T15:21:51.137Z\"},"                                                              \
    "{\"id\":2,\"uuid\":\"d2293412-36eb-46e7-9231-af7e9249fffe\",\"mac\":\"E7-34-96-33-0C-4C\","  \
    "\"firmware\":\"1.0.3\",\"created_at\":\"2024-01-28T15:20:51.137Z\",\"updated_at\":"          \
    "\"2024-01-28T15:20:51.137Z\"},"                                                              \
    "{\"id\":3,\"uuid\":\"eee58ca8-ca51-47a5-ab48-163fd0e44b77\",\"mac\":\"68-93-9B-B5-33-B9\","  \
    "\"firmware\":\"4.3.1\",\"created_at\":\"2024-08-28T15:18:21.137Z\",\"updated_at\":"          \
    "\"2024-08-28T15:18:21.137Z\"}]"

static struct guard guard;

static int open_guard(void **state)
{
    (void)state;
    guard_open(&guard, 1 << 20);
    return 0;
}

static int close_guard(void **state)
{
    (void)state;
    guard_close(&guard);
    return 0;
}

/* Reads from memory that ends where the text ends. */
static const char *read_span(struct device_input *d, struct span json)
{
    return device_read(d, guard_put(&guard, json));
}

static void expect_device(struct span json, struct span mac, struct span firmware)
{
    struct device_input d;
    const char *wrong = read_span(&d, json);
    if (wrong)
        fail_msg("%.*s: %s", (int)json.len, json.data, wrong);
    assert_true(span_eq((struct span){d.mac, d.mac_len}, mac));
    assert_true(span_eq((struct span){d.firmware, d.firmware_len}, firmware));
}

static void expect_wrong(struct span json, const char *with)
{
    struct device_input d;
    const char *wrong = read_span(&d, json);
    if (!wrong || !strstr(wrong, with))
        fail_msg("%.*s: %s instead of %s", (int)json.len, json.data, wrong ? wrong : "taken", with);
    for (const char *p = wrong; *p; p++)
        assert_true(*p >= ' ' && *p < 0x7f && *p != '"' && *p != '\\');
}

#define GOOD(json, mac, firmware) expect_device(SPAN(json), SPAN(mac), SPAN(firmware))
#define WRONG(json, with)         expect_wrong(SPAN(json), with)

/* `mac` is the text between the quotes, as it stands in the JSON. */
static struct span with_mac(struct span mac)
{
    static char json[1 << 16];
    int len = snprintf(json, sizeof json, "{\"firmware\":\"f\",\"mac\":\"");
    memcpy(json + len, mac.data, mac.len);
    memcpy(json + len + mac.len, "\"}", 2);
    return (struct span){json, (size_t)len + mac.len + 2};
}

#define GOOD_MAC(text, mac)  expect_device(with_mac(SPAN(text)), SPAN(mac), SPAN("f"))
#define WRONG_MAC(text, why) expect_wrong(with_mac(SPAN(text)), why)

/* The published body, and what JSON allows around it. */
static void test_good(void **state)
{
    (void)state;
    GOOD("{\"mac\":\"EF-2B-C4-F5-D6-34\",\"firmware\":\"2.1.5\"}", "EF-2B-C4-F5-D6-34", "2.1.5");
    GOOD("{\"firmware\":\"b\",\"mac\":\"a\"}", "a", "b");
    GOOD(" \t\r\n{ \"mac\" :\t\"a\" ,\n\"firmware\"\r: \"b\" } \n", "a", "b");
    GOOD("{\"mac\":\"\",\"firmware\":\"\"}", "", "");
    GOOD("{\"m\\u0061c\":\"a\",\"\\u0066irmware\":\"b\"}", "a", "b");
}

/* Other members are read past, whatever they hold. */
static void test_other_members(void **state)
{
    (void)state;
    GOOD("{\"x\":null,\"mac\":\"a\",\"y\":true,\"z\":false,\"firmware\":\"b\",\"\":\"\"}", "a",
         "b");
    GOOD("{\"o\":{\"mac\":\"no\",\"o\":{}},\"mac\":\"a\",\"firmware\":\"b\",\"l\":[[],[1,\"]\",{}]]"
         "}",
         "a", "b");
    GOOD("{\"n\":[0,-0,10,1.5,-0.25e10,1E+5,2e-07],\"mac\":\"a\",\"firmware\":\"b\"}", "a", "b");
    GOOD("{\"MAC\":1,\"mac \":2,\"ma\":3,\"macs\":4,\"mac\":\"a\",\"firmware\":\"b\"}", "a", "b");
}

/* Of a repeated member the last counts. */
static void test_repeated(void **state)
{
    (void)state;
    GOOD("{\"mac\":\"long one\",\"firmware\":\"b\",\"mac\":\"a\"}", "a", "b");
}

/* A name is a name, whatever characters it has: RFC 8259 section 4. */
static void test_any_name(void **state)
{
    (void)state;
    GOOD("{\"a\\u0000b\":1,\"\\u0000\":2,\"mac\":\"a\",\"firmware\":\"b\"}", "a", "b");
    GOOD("{\"mac\\u0000\":1,\"mac\":\"a\",\"firmware\":\"b\"}", "a", "b");
}

/* What lacks, or is no text. */
static void test_wrong_members(void **state)
{
    (void)state;
    WRONG("{}", "mac is missing");
    WRONG("{\"mac\":\"a\"}", "firmware is missing");
    WRONG("{\"firmware\":\"a\"}", "mac is missing");
    WRONG("{\"Mac\":\"a\",\"firmware\":\"b\"}", "mac is missing");
    WRONG("{\"o\":{\"mac\":\"a\",\"firmware\":\"b\"}}", "mac is missing");
    WRONG("{\"mac\":1,\"firmware\":\"b\"}", "mac is not a string");
    WRONG("{\"mac\":null,\"firmware\":\"b\"}", "mac is not a string");
    WRONG("{\"mac\":[\"a\"],\"firmware\":\"b\"}", "mac is not a string");
    WRONG("{\"mac\":\"a\",\"firmware\":{}}", "firmware is not a string");
    WRONG("{\"mac\":\"a\",\"firmware\":true}", "firmware is not a string");
}

/* What is no JSON object, or has something behind it. */
static void test_not_json(void **state)
{
    (void)state;
    WRONG("", "not a JSON object");
    WRONG("   ", "not a JSON object");
    WRONG("[]", "not a JSON object");
    WRONG("\"mac\"", "not a JSON object");
    WRONG("\xef\xbb\xbf{}", "not a JSON object");
    WRONG("mac=a&firmware=b", "not a JSON object");
    WRONG("{\"mac\":\"a\",\"firmware\":\"b\"}}", "follows");
    WRONG("{\"mac\":\"a\",\"firmware\":\"b\"} x", "follows");
    WRONG("{\"mac\":\"a\",\"firmware\":\"b\"}\0", "follows");
    WRONG("{\"mac\":\"a\" \"firmware\":\"b\"}", "comma");
    WRONG("{\"mac\":\"a\",\"firmware\":\"b\",}", "");
    WRONG("{,\"mac\":\"a\",\"firmware\":\"b\"}", "");
    WRONG("{\"mac\"\"a\",\"firmware\":\"b\"}", "colon");
    WRONG("{mac:\"a\",\"firmware\":\"b\"}", "name");
    WRONG("{'mac':'a','firmware':'b'}", "name");
    WRONG("{\"mac\":\"a\",\"firmware\":\"b\"", "");
    WRONG("{\"x\":tru,\"mac\":\"a\",\"firmware\":\"b\"}", "");
    WRONG("{\"x\":nul", "");
    WRONG("{\"x\":True,\"mac\":\"a\",\"firmware\":\"b\"}", "");
    WRONG("{\"x\":NaN,\"mac\":\"a\",\"firmware\":\"b\"}", "");
    WRONG("{\"x\":/**/1,\"mac\":\"a\",\"firmware\":\"b\"}", "");
    WRONG("{\"x\":[1,],\"mac\":\"a\",\"firmware\":\"b\"}", "");
    WRONG("{\"x\":{\"a\"},\"mac\":\"a\",\"firmware\":\"b\"}", "colon");
    WRONG("{\"x\":[1},\"mac\":\"a\",\"firmware\":\"b\"}", "");
}

/* Numbers as RFC 8259 section 6 writes them, and no others. */
static void test_numbers(void **state)
{
    (void)state;
    static const char *const wrong[] = {"01",  "-",     "-a", "1.",   ".5",       "1.e5",
                                        "1e",  "1e+",   "+1", "0x10", "1_",       "--1",
                                        "-01", "1e5.5", "00", "1a",   "Infinity", "-Infinity"};
    char json[128];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int len = snprintf(json, sizeof json, "{\"x\":%s,\"mac\":\"a\",\"firmware\":\"b\"}",
                           wrong[i]);
        expect_wrong((struct span){json, (size_t)len}, "");
        len = snprintf(json, sizeof json, "{\"mac\":\"a\",\"firmware\":\"b\",\"x\":%s", wrong[i]);
        expect_wrong((struct span){json, (size_t)len}, "");
    }
}

/* Escapes and what they stand for. */
static void test_escapes(void **state)
{
    (void)state;
    GOOD_MAC("\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t");
    GOOD_MAC("\\u0041\\u00e9\\u20AC\\u20ac", "A\u00e9\u20ac\u20ac");
    GOOD_MAC("\\u0001\\u001f\\u007f", "\x01\x1f\x7f");
    GOOD_MAC("\\u0080\\u07ff\\u0800\\uffff", "\xc2\x80\u07ff\u0800\xef\xbf\xbf");
    GOOD_MAC("\\ud83d\\ude00\\uD800\\uDC00\\udbff\\udfff", "\U0001f600\U00010000\U0010ffff");
    WRONG_MAC("\\x", "escape");
    WRONG_MAC("\\U0041", "escape");
    WRONG_MAC("\\'", "escape");
    WRONG_MAC("\\\0", "escape");
    WRONG_MAC("\\u004", "escape");
    WRONG_MAC("\\u00g0", "escape");
    WRONG_MAC("\\u+041", "escape");
    WRONG_MAC("\\u 041", "escape");
    WRONG("{\"mac\":\"\\", "ends");
    WRONG("{\"mac\":\"\\u00", "escape");
    WRONG("{\"mac\":\"a", "ends");
}

/* Halves of surrogate pairs stand for nothing. */
static void test_surrogates(void **state)
{
    (void)state;
    WRONG_MAC("\\ud800", "surrogate");
    WRONG_MAC("\\udc00", "surrogate");
    WRONG_MAC("\\ud800x", "surrogate");
    WRONG_MAC("\\ud800\\n", "surrogate");
    WRONG_MAC("\\ud800\\u0041", "surrogate");
    WRONG_MAC("\\ud800\\ud800", "surrogate");
    WRONG_MAC("\\udc00\\ud800", "surrogate");
    WRONG_MAC("\\ud800\\udc0", "surrogate");
    WRONG("{\"mac\":\"\\ud800\\u", "surrogate");
    WRONG("{\"mac\":\"\\ud800\\", "surrogate");
}

/* Neither a raw control character nor a NUL, however written, can stand in a text. */
static void test_control(void **state)
{
    (void)state;
    for (int c = 0; c < 0x20; c++) {
        char text[3] = {'a', (char)c, 'b'};
        expect_wrong(with_mac((struct span){text, 3}), "control");
    }
    WRONG_MAC("\\u0000", "NUL");
    WRONG_MAC("a\\u0000b", "NUL");
    GOOD_MAC("\x7f", "\x7f");
}

/* Every sequence of UTF-8 by RFC 3629's definition, said another way: by decoding. */
static bool is_utf8(const unsigned char *p, size_t len)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    while (len) {
        unsigned n = *p < 0x80 ? 1 : *p >> 5 == 6 ? 2 : *p >> 4 == 14 ? 3 : *p >> 3 == 30 ? 4 : 0;
        if (!n || n > len)
            return false;
        unsigned code = n == 1 ? *p : *p & (0x7fu >> n);
        for (unsigned i = 1; i < n; i++) {
            if (p[i] >> 6 != 2)
                return false;
            code = code << 6 | (p[i] & 0x3f);
        }
        if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
            return false;
        p += n;
        len -= n;
    }
    return true;
}

static void check_utf8(const unsigned char *bytes, size_t len)
{
    struct device_input d;
    struct span json = with_mac((struct span){(const char *)bytes, len});
    bool is_good = is_utf8(bytes, len);
    assert_int_equal(!read_span(&d, json), is_good);
    if (is_good)
        assert_true(d.mac_len == len && memcmp(d.mac, bytes, len) == 0);
}

/* All pairs and triples of bytes from 0x80 on, and every four that begin with each lead byte and
 * hold the edges of the table; whole and cut off by the closing quote. */
static void test_utf8(void **state)
{
    (void)state;
    static const unsigned char edges[] = {0x41, 0x7f, 0x80, 0x8f, 0x90,
                                          0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    enum { EDGES = sizeof edges };
    for (unsigned a = 0x80; a < 0x100; a++) {
        check_utf8((unsigned char[]){(unsigned char)a}, 1);
        for (unsigned b = 0x80; b < 0x100; b++) {
            check_utf8((unsigned char[]){(unsigned char)a, (unsigned char)b}, 2);
            for (unsigned k = 0; k < EDGES; k++)
                check_utf8((unsigned char[]){(unsigned char)a, (unsigned char)b, edges[k]}, 3);
        }
        for (unsigned i = 0; i < EDGES * EDGES * EDGES; i++)
            check_utf8((unsigned char[]){(unsigned char)a, edges[i % EDGES],
                                         edges[i / EDGES % EDGES], edges[i / EDGES / EDGES]},
                       4);
    }
}

static struct span repeated(const char *unit, unsigned count)
{
    static char text[8 * 300];
    size_t len = strlen(unit);
    for (unsigned i = 0; i < count; i++)
        memcpy(text + i * len, unit, len);
    return (struct span){text, len * count};
}

/* The bound is 255 characters, not bytes: of one to four bytes, and of escapes. */
static void test_lengths(void **state)
{
    (void)state;
    static const char *const units[] = {"a", "\u00e9", "\u20ac", "\U0001f600", "\\n", "\\u20ac"};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        struct device_input d;
        assert_null(read_span(&d, with_mac(repeated(units[i], 255))));
        if (units[i][0] != '\\')
            assert_true(d.mac_len == 255 * strlen(units[i]));
        expect_wrong(with_mac(repeated(units[i], 256)), "mac is longer than 255");
    }
    char json[4096];
    int len = snprintf(json, sizeof json, "{\"mac\":\"a\",\"firmware\":\"%0256d\"}", 0);
    expect_wrong((struct span){json, (size_t)len}, "firmware is longer than 255");
    len = snprintf(json, sizeof json, "{\"%01500d\":\"%01500d\",\"mac\":\"a\",\"firmware\":\"b\"}",
                   0, 0);
    expect_device((struct span){json, (size_t)len}, SPAN("a"), SPAN("b"));
}

/* Deep nesting is refused before it becomes deep recursion. */
static void test_nesting(void **state)
{
    (void)state;
    static char json[1 << 19];
    for (int kind = 0; kind < 2; kind++) {
        const char *open = kind ? "{\"a\":" : "[";
        struct device_input d;
        size_t len = (size_t)snprintf(json, sizeof json,
                                      "{\"mac\":\"a\",\"firmware\":\"b\",\"x\":");
        size_t begin = len;
        for (int i = 0; i < 20; i++)
            len += (size_t)snprintf(json + len, sizeof json - len, "%s", open);
        len += (size_t)snprintf(json + len, sizeof json - len, "1");
        for (int i = 0; i < 20; i++)
            json[len++] = kind ? '}' : ']';
        json[len++] = '}';
        assert_null(read_span(&d, (struct span){json, len}));
        for (len = begin; len < sizeof json - 8;)
            len += (size_t)snprintf(json + len, sizeof json - len, "%s", open);
        expect_wrong((struct span){json, len}, "nested too deeply");
    }
}

/* Cut anywhere it is refused, and nothing behind the cut is looked at. */
static void test_cut(void **state)
{
    (void)state;
    static const char json[] =
        "{\"o\":[1.5e3,{\"k\":null}],\"mac\":\"\\ud83d\\ude00\xf0\x9f\x98\x80\","
        "\"firmware\":\"\\u00e9\xc3\xa9\"}";
    struct device_input d;
    assert_null(read_span(&d, SPAN(json)));
    for (size_t len = 0; len < sizeof json - 1; len++)
        assert_non_null(read_span(&d, (struct span){json, len}));
}

static struct device device_of(int64_t id, struct span mac, struct span firmware)
{
    struct span at = SPAN("2026-11-20T17:00:00.123456Z");
    return (struct device){.id = id,
                           .uuid = SPAN("9add349c-c35c-4d32-ab0f-53da1ba40a2a"),
                           .mac = mac,
                           .firmware = firmware,
                           .created_at = at,
                           .updated_at = at};
}

/* What is written is what was read: every character that must be escaped, at every place. */
static void test_written_escapes(void **state)
{
    (void)state;
    char mac[21], out[DEVICE_JSON_BYTES + 1];
    for (size_t len = 1; len < sizeof mac; len++)
        for (size_t at = 0; at < len; at++)
            for (int c = 1; c < 0x80; c++) {
                memset(mac, at % 2 ? 'x' : '\xc3', len);
                mac[at] = (char)c;
                struct device d = device_of(0, (struct span){mac, len}, SPAN("1"));
                *device_write(out, &d) = 0;
                char expected[8] = {(char)c}, found[32] = {0};
                if (c == '"' || c == '\\')
                    snprintf(expected, sizeof expected, "\\%c", c);
                else if (c < 0x20)
                    snprintf(expected, sizeof expected, "\\u%04x", (unsigned)c);
                const char *written = strstr(out, "\"mac\":\"") + 7 + at;
                memcpy(found, written, strlen(expected));
                assert_string_equal(found, expected);
                assert_int_equal(strstr(written, "\",\"firmware\"") - written,
                                 strlen(expected) + len - at - 1);
            }
}

/* The object, with and without an id; what has to be escaped is, and nothing else. */
static void test_write(void **state)
{
    (void)state;
    char out[DEVICE_JSON_BYTES];
    struct device d = device_of(7, SPAN("a\"\\\n\x01\x1f\x7f/\u20ac"), SPAN(""));
    *device_write(out, &d) = 0;
    assert_string_equal(out,
                        "{\"id\":7,\"uuid\":\"9add349c-c35c-4d32-ab0f-53da1ba40a2a\","
                        "\"mac\":\"a\\\"\\\\\\u000a\\u0001\\u001f\x7f/\u20ac\",\"firmware\":\"\","
                        "\"created_at\":\"2026-11-20T17:00:00.123456Z\","
                        "\"updated_at\":\"2026-11-20T17:00:00.123456Z\"}");
    d = device_of(0, SPAN("a"), SPAN("b"));
    *device_write(out, &d) = 0;
    assert_null(strstr(out, "\"id\""));
}

/* The largest device fits the room that the header promises, to the byte before the guard. */
static void test_write_largest(void **state)
{
    (void)state;
    char room[DEVICE_JSON_BYTES] = {0};
    struct span at = guard_put(&guard, (struct span){room, sizeof room});
    struct span texts[] = {repeated("\x01", 255), repeated("\U0001f600", 255)};
    for (int i = 0; i < 2; i++) {
        struct device d = device_of(INT64_MAX, texts[0], texts[0]);
        if (i)
            d = device_of(INT64_MAX, repeated("\U0001f600", 255), texts[1]);
        char *end = device_write((char *)at.data, &d);
        assert_true((size_t)(end - at.data) <= DEVICE_JSON_BYTES);
    }
}

/* The published list, to the byte. */
static void test_list(void **state)
{
    (void)state;
    char out[DEVICE_LIST_BYTES];
    char *end = device_write_list(out);
    assert_int_equal(end - out, 541);
    assert_true(span_eq((struct span){out, 541}, SPAN(LIST)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_other_members),
        cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_any_name),
        cmocka_unit_test(test_wrong_members),
        cmocka_unit_test(test_not_json),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_surrogates),
        cmocka_unit_test(test_control),
        cmocka_unit_test(test_written_escapes),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_write_largest),
        cmocka_unit_test(test_list),
    };
    return cmocka_run_group_tests(tests, open_guard, close_guard);
}
