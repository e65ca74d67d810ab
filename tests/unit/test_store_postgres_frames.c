/* PostgreSQL's protocol as bytes: what an insert looks like, and replies whole, in pieces, and
 * wrong. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/guard.h"
#include "storage/storage.h"
#include "storage/store_postgres_frames.h"

#define ID "9add349c-c35c-4d32-ab0f-53da1ba40a2a"

/* Replies as the server writes them. */
#define BIND_COMPLETE "2\0\0\0\4"
#define ROW_7         "D\0\0\0\16\0\1\0\0\0\4\0\0\0\7"
#define ROW_WIDE      "D\0\0\0\22\0\1\0\0\0\10\0\0\0\1\0\0\0\2"
#define ONE_ROW       "C\0\0\0\17INSERT 0 1\0"
#define NO_ROW        "C\0\0\0\17INSERT 0 0\0"
#define READY         "Z\0\0\0\5I"
#define REFUSED       "E\0\0\0\51SERROR\0VERROR\0C23505\0Mduplicate key\0\0"
#define ENDED         "E\0\0\0\50SFATAL\0VFATAL\0C57P01\0Mterminating\0\0\0"
#define NOTICE        "N\0\0\0\40SNOTICE\0VNOTICE\0C00000\0Mhm\0\0"
#define PARAMETER     "S\0\0\0\26TimeZone\0Etc/UTC\0\0"
#define NOTIFICATION  "A\0\0\0\13\0\0\0\1ab\0"
#define INSERTED      BIND_COMPLETE ROW_7 ONE_ROW READY

static struct store_insert insert_of(struct span mac, struct span firmware)
{
    struct store_insert i = {
        .mac = mac, .firmware = firmware, .created_us = 946684800000001, .is_last = true};
    memcpy(i.uuid, ID, sizeof i.uuid);
    return i;
}

static void expect_frame(int schema, const struct store_insert *i, struct span expected)
{
    struct guard g;
    size_t len = store_postgres_frames_bytes(schema, i);
    assert_int_equal(len, expected.len);
    guard_open(&g, len);
    char *at = g.end - len;
    assert_ptr_equal(store_postgres_frames_insert(at, schema, i), g.end);
    assert_memory_equal(at, expected.data, len);
    guard_close(&g);
}

/* Bind, Execute and Sync of both schemas, byte for byte, and not a byte more than was said. */
static void writes_an_insert(void **state)
{
    struct store_insert i = insert_of(SPAN("AA-BB"), SPAN("1.2"));
    (void)state;
    expect_frame(SCHEMA_ROUND1, &i,
                 SPAN("B\0\0\0\x5b\0iubench\0\0\1\0\1\0\4\0\0\0\x24" ID "\0\0\0\5AA-BB"
                      "\0\0\0\3"
                      "1.2\0\0\0\10\0\0\0\0\0\0\0\1\0\1\0\1"
                      "E\0\0\0\11\0\0\0\0\0S\0\0\0\4"));
    expect_frame(SCHEMA_ROUND2, &i,
                 SPAN("B\0\0\0\x47\0iubench\0\0\1\0\1\0\4\0\0\0\x10"
                      "\x9a\xdd\x34\x9c\xc3\x5c\x4d\x32\xab\x0f\x53\xda\x1b\xa4\x0a\x2a"
                      "\0\0\0\5AA-BB\0\0\0\3"
                      "1.2\0\0\0\10\0\0\0\0\0\0\0\1\0\1\0\1"
                      "E\0\0\0\11\0\0\0\0\0S\0\0\0\4"));
}

/* Inserts of one transaction: only the last is followed by a Sync. */
static void writes_one_sync(void **state)
{
    struct store_insert i = insert_of(SPAN("AA-BB"), SPAN("1.2"));
    (void)state;
    i.is_last = false;
    expect_frame(SCHEMA_ROUND1, &i,
                 SPAN("B\0\0\0\x5b\0iubench\0\0\1\0\1\0\4\0\0\0\x24" ID "\0\0\0\5AA-BB"
                      "\0\0\0\3"
                      "1.2\0\0\0\10\0\0\0\0\0\0\0\1\0\1\0\1"
                      "E\0\0\0\11\0\0\0\0\0"));
}

/* Empty texts and the longest ones. */
static void writes_any_length(void **state)
{
    enum { MOST = 4 * 255 };
    char *text = calloc(1, MOST);
    struct store_insert i = insert_of((struct span){text, MOST}, (struct span){text, 0});
    struct guard g;
    (void)state;
    size_t len = store_postgres_frames_bytes(SCHEMA_ROUND1, &i);
    guard_open(&g, len);
    assert_ptr_equal(store_postgres_frames_insert(g.end - len, SCHEMA_ROUND1, &i), g.end);
    guard_close(&g);
    free(text);
}

/* What a stream said, as a text: R a row, N none, E an error, F a fatal one, S a sync, ! the end; and the
 * last id and state. */
struct heard {
    char text[64];
    size_t len;
    int64_t id;
    char sqlstate[6];
};

static bool hear(struct heard *h, const struct store_postgres_reply *r)
{
    static const char letters[] = {[WIRE_ROW] = 'R',
                                   [WIRE_NO_ROW] = 'N',
                                   [WIRE_ERROR] = 'E',
                                   [WIRE_SYNC] = 'S',
                                   [WIRE_LOST] = '!'};
    if (r->kind == WIRE_NOTHING)
        return false;
    assert_true(r->kind != WIRE_OK && h->len < sizeof h->text - 1);
    h->text[h->len++] = r->kind == WIRE_ERROR && r->is_fatal ? 'F' : letters[r->kind];
    if (r->kind == WIRE_ROW)
        h->id = r->id;
    if (r->kind == WIRE_ERROR)
        memcpy(h->sqlstate, r->sqlstate, sizeof h->sqlstate);
    return r->kind != WIRE_LOST;
}

/* Feeds `all` in pieces: the first `first` bytes, then `piece` at a time, each ending at a page that
 * may not be touched. */
static struct heard feed(struct guard *g, struct span all, bool is_grouped, size_t first,
                         size_t piece)
{
    struct store_postgres_stream s = {.is_grouped = is_grouped};
    struct heard h = {.len = 0};
    size_t len = first ? first : piece;
    for (size_t at = 0; at < all.len; at += len, len = piece) {
        if (len > all.len - at)
            len = all.len - at;
        struct span bytes = guard_put(g, (struct span){all.data + at, len});
        for (;;) {
            struct store_postgres_reply r = store_postgres_frames_next(&s, &bytes);
            if (!hear(&h, &r))
                break;
        }
        if (h.len && h.text[h.len - 1] == '!')
            break;
        assert_int_equal(bytes.len, 0);
    }
    return h;
}

/* The same is heard whole, byte by byte, and cut in two at each offset. */
static struct heard expect_in(bool is_grouped, struct span all, const char *text)
{
    struct guard g;
    guard_open(&g, all.len);
    struct heard whole = feed(&g, all, is_grouped, 0, all.len);
    assert_string_equal(whole.text, text);
    assert_string_equal(feed(&g, all, is_grouped, 0, 1).text, text);
    for (size_t cut = 1; cut < all.len; cut++) {
        struct heard h = feed(&g, all, is_grouped, cut, all.len);
        assert_string_equal(h.text, text);
        assert_int_equal(h.id, whole.id);
        assert_string_equal(h.sqlstate, whole.sqlstate);
    }
    guard_close(&g);
    return whole;
}

/* Each insert a transaction of its own. */
static struct heard expect(struct span all, const char *text)
{
    return expect_in(false, all, text);
}

/* Rows with narrow and wide ids, each done at its own sync. */
static void reads_rows(void **state)
{
    (void)state;
    assert_int_equal(expect(SPAN(INSERTED), "RS").id, 7);
    assert_int_equal(expect(SPAN(INSERTED BIND_COMPLETE ROW_WIDE ONE_ROW READY), "RSRS").id,
                     0x100000002);
}

/* An error for one insert does not touch its neighbours, wherever it comes: for the values, for the
 * row, or at the commit. */
static void reads_errors(void **state)
{
    (void)state;
    assert_string_equal(expect(SPAN(INSERTED REFUSED READY INSERTED), "RSESRS").sqlstate, "23505");
    expect(SPAN(BIND_COMPLETE REFUSED READY INSERTED), "ESRS");
    expect(SPAN(BIND_COMPLETE ROW_7 ONE_ROW REFUSED READY INSERTED), "RESRS");
    assert_string_equal(expect(SPAN(INSERTED ENDED), "RSF").sqlstate, "57P01");
}

/* A row that a trigger took is no row. */
static void reads_no_row(void **state)
{
    (void)state;
    expect(SPAN(BIND_COMPLETE NO_ROW READY INSERTED), "NSRS");
}

#define ONE  BIND_COMPLETE ROW_7 ONE_ROW
#define NONE BIND_COMPLETE NO_ROW

/* Several inserts before one end; an error takes the rest of them with it, wherever it comes, and a
 * row that a trigger took does not. */
static void reads_groups(void **state)
{
    static const struct {
        struct span bytes;
        const char *text;
    } cases[] = {
        {SPAN(ONE ONE ONE READY ONE READY), "RRRSRS"},
        {SPAN(ONE REFUSED READY ONE ONE READY), "RESRRS"},
        {SPAN(ONE BIND_COMPLETE REFUSED READY ONE READY), "RESRS"},
        {SPAN(ONE ONE REFUSED READY ONE READY), "RRESRS"},
        {SPAN(ONE NONE ONE NONE READY), "RNRNS"},
        {SPAN(ONE NOTICE ONE PARAMETER READY), "RRS"},
        {SPAN(ONE ONE ENDED), "RRF"},
        {SPAN(REFUSED BIND_COMPLETE), "E!"},
        {SPAN(ONE REFUSED ROW_7), "RE!"},
        {SPAN(ONE ROW_7), "R!"},
        {SPAN(ONE ONE_ROW), "R!"},
        {SPAN(ONE BIND_COMPLETE READY), "R!"},
        {SPAN(ONE BIND_COMPLETE ROW_7 READY), "RR!"},
        {SPAN(ONE READY READY), "RS!"},
        {SPAN(READY), "!"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_in(true, cases[i].bytes, cases[i].text);
}

/* What the server may say at any time is skipped at any time. */
static void skips_what_comes_between(void **state)
{
    (void)state;
    expect(SPAN(NOTICE BIND_COMPLETE PARAMETER ROW_7 NOTIFICATION ONE_ROW NOTICE NOTICE READY
                    PARAMETER INSERTED),
           "RSRS");
}

static char *long_message(char kind, const char *fields, size_t fields_len, uint32_t len,
                          size_t *total)
{
    char *all = malloc(5 + len + sizeof READY INSERTED);
    all[0] = kind;
    for (int i = 0; i < 4; i++)
        all[1 + i] = (char)((len + 4) >> (24 - 8 * i));
    memset(all + 5, 'x', len);
    memcpy(all + 5, fields, fields_len);
    memcpy(all + 5 + len, READY INSERTED, sizeof READY INSERTED - 1);
    *total = 5 + len + sizeof READY INSERTED - 1;
    return all;
}

/* Errors longer than what is kept of them. */
static void reads_long_errors(void **state)
{
    static const char fields[] = "SFEHLER\0VERROR\0C22001\0Mtoo long ";
    (void)state;
    for (uint32_t len = 240; len < 600; len += 51) {
        size_t total;
        char *all = long_message('E', fields, sizeof fields - 1, len, &total);
        assert_string_equal(expect((struct span){all, total}, "ESRS").sqlstate, "22001");
        free(all);
    }
}

/* Everything else ends the connection: wrong order, wrong lengths, wrong contents. */
static void ends_at_anything_else(void **state)
{
    static const struct {
        struct span bytes;
        const char *text;
    } cases[] = {
        {SPAN(ROW_7), "!"},
        {SPAN(ONE_ROW), "!"},
        {SPAN(READY), "!"},
        {SPAN(BIND_COMPLETE BIND_COMPLETE), "!"},
        {SPAN(BIND_COMPLETE READY), "!"},
        {SPAN(BIND_COMPLETE ROW_7 ROW_7), "R!"},
        {SPAN(BIND_COMPLETE ROW_7 READY), "R!"},
        {SPAN(BIND_COMPLETE ROW_7 NO_ROW), "R!"},
        {SPAN(BIND_COMPLETE ONE_ROW), "!"},
        {SPAN(BIND_COMPLETE ROW_7 ONE_ROW ONE_ROW), "R!"},
        {SPAN(BIND_COMPLETE ROW_7 ONE_ROW BIND_COMPLETE), "R!"},
        {SPAN(REFUSED BIND_COMPLETE), "E!"},
        {SPAN(INSERTED READY), "RS!"},
        {SPAN(BIND_COMPLETE ROW_7 ONE_ROW "Z\0\0\0\5T"), "R!"},
        {SPAN(BIND_COMPLETE ROW_7 ONE_ROW "Z\0\0\0\6II"), "R!"},
        {SPAN("2\0\0\0\5x"), "!"},
        {SPAN("2\0\0\0\3"), "!"},
        {SPAN("2\xff\xff\xff\xff"), "!"},
        {SPAN("N\0\x10\0\1"), "!"},
        {SPAN("T\0\0\0\4"), "!"},
        {SPAN("s\0\0\0\4"), "!"},
        {SPAN("\0\0\0\0\4"), "!"},
        {SPAN("HTTP/1.1 200 OK\r\n"), "!"},
        {SPAN(BIND_COMPLETE "D\0\0\0\12\0\1\xff\xff\xff\xff"), "!"},
        {SPAN(BIND_COMPLETE "D\0\0\0\16\0\2\0\0\0\4\0\0\0\7"), "!"},
        {SPAN(BIND_COMPLETE "D\0\0\0\16\0\1\0\0\0\5\0\0\0\7"), "!"},
        {SPAN(BIND_COMPLETE "D\0\0\0\6\0\0"), "!"},
        {SPAN(BIND_COMPLETE ROW_7 "C\0\0\0\17UPDATE 0 1\0"), "R!"},
        {SPAN(BIND_COMPLETE ROW_7 "C\0\0\0\17INSERT 0 2\0"), "R!"},
        {SPAN(BIND_COMPLETE ROW_7 "C\0\0\0\20INSERT 0 11\0"), "R!"},
        {SPAN("E\0\0\0\5\0"), "!"},
        {SPAN("E\0\0\0\25SERROR\0VERROR\0\0\0\0"), "!"},
        {SPAN("E\0\0\0\22VERROR\0C2350\0\0"), "!"},
        {SPAN("E\0\0\0\4"), "!"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(cases[i].bytes, cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_an_insert),  cmocka_unit_test(writes_one_sync),
        cmocka_unit_test(reads_groups),      cmocka_unit_test(writes_any_length),
        cmocka_unit_test(reads_rows),        cmocka_unit_test(reads_errors),
        cmocka_unit_test(reads_no_row),      cmocka_unit_test(skips_what_comes_between),
        cmocka_unit_test(reads_long_errors), cmocka_unit_test(ends_at_anything_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
