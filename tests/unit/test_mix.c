/* A load of several requests: the file that they are read from, their shares, their order. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "load/mix.h"

static const struct request_source nothing = {.method_place = "-m", .headers_place = "-H"};
static char folder[] = "/tmp/iubench-mix-XXXXXX", path[64];
static struct fail f;

static void write_file(const char *name, const char *text, size_t len)
{
    char at[128];
    snprintf(at, sizeof at, "%s/%s", folder, name);
    int fd = open(at, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (int)len);
    close(fd);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/mix", folder);
    return 0;
}

static int drop_folder(void **state)
{
    char body[80];
    (void)state;
    snprintf(body, sizeof body, "%s/body", folder);
    unlink(body);
    unlink(path);
    return rmdir(folder);
}

static bool read_text(struct mix *m, const char *text, const char *base_text)
{
    struct url base = {0};
    *m = (struct mix){0};
    write_file("mix", text, strlen(text));
    if (base_text)
        assert_true(url_parse(base_text, &base, &f));
    return mix_read(m, &nothing, path, &base, &f);
}

static void expect_bytes(const struct mix *m, unsigned index, const char *bytes)
{
    assert_true(index < m->count);
    const struct text *literals = &m->requests[index].bytes.literals;
    assert_int_equal(literals->len, strlen(bytes));
    assert_memory_equal(literals->data, bytes, literals->len);
}

/* A line each, with weight, body and headers as they are there; comments and empty lines do not
 * count; paths go to the host of the URL. */
static void test_file(void **state)
{
    struct mix m;
    (void)state;
    if (!read_text(&m,
                   "# what devices do\r\n\r\n"
                   "3 GET /api/devices?a=b\r\n"
                   "post http://a:81/x  {\"a\": 1} \n"
                   "\t X-One: 1\n"
                   "  # not a header\n"
                   "  X-Two:2\n"
                   "\n10 DELETE /y\n",
                   "http://a:81/ignored"))
        fail_msg("%s", f.text);
    assert_int_equal(m.count, 3);
    assert_int_equal(m.requests[0].weight, 3);
    assert_int_equal(m.requests[1].weight, 1);
    assert_int_equal(m.requests[2].weight, 10);
    expect_bytes(&m, 0, "GET /api/devices?a=b HTTP/1.1\r\nHost: a:81\r\n\r\n");
    expect_bytes(&m, 1,
                 "POST /x HTTP/1.1\r\nHost: a:81\r\nX-One: 1\r\nX-Two: 2\r\nContent-Type: "
                 "application/json\r\nContent-Length: 8\r\n\r\n{\"a\": 1}");
    expect_bytes(&m, 2, "DELETE /y HTTP/1.1\r\nHost: a:81\r\n\r\n");
    mix_free(&m);
}

/* A URL in the file names the host for the paths above it, too; without any it is our own port. */
static void test_host(void **state)
{
    struct mix m;
    (void)state;
    assert_true(read_text(&m, "GET /a\nGET http://[::1]:9/b\n", NULL));
    expect_bytes(&m, 0, "GET /a HTTP/1.1\r\nHost: [::1]:9\r\n\r\n");
    mix_free(&m);
    assert_true(read_text(&m, "GET /a", NULL));
    expect_bytes(&m, 0, "GET /a HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n");
    mix_free(&m);
    assert_true(read_text(&m, "GET /a", "unix:/tmp/s.sock"));
    expect_bytes(&m, 0, "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    mix_free(&m);
}

/* A body file stands beside the requests file and goes out byte by byte. */
static void test_body_file(void **state)
{
    struct mix m;
    (void)state;
    write_file("body", "a\0b", 3);
    assert_true(read_text(&m, "POST /a @body", NULL));
    const struct text *literals = &m.requests[0].bytes.literals;
    assert_memory_equal(literals->data + literals->len - 3, "a\0b", 3);
    mix_free(&m);
    assert_false(read_text(&m, "GET /\n\nPOST /a @none", NULL));
    assert_non_null(strstr(f.text, "mix:3"));
    assert_non_null(strstr(f.text, "body file"));
    mix_free(&m);
}

/* Placeholders work in target, headers and body; a request's header takes the common one's place. */
static void test_placeholders(void **state)
{
    static const char mixed[] = "POST /{seq}?q={seq} n={seq}\n  x-a: {seq}";
    static const char *const common[] = {"X-A: common", "X-B: common"};
    struct request_source from = nothing;
    struct url base = {0};
    struct mix m = {0};
    struct rng rng;
    char out[512];
    (void)state;
    write_file("mix", mixed, sizeof mixed - 1);
    from.defaults = (struct cli_texts){(const char **)(uintptr_t)common, 2};
    assert_true(mix_read(&m, &from, path, &base, &f));
    rng_seed(&rng, 1);
    size_t len = template_expand(&m.requests[0].bytes, 9, &rng, out);
    out[len] = 0;
    assert_string_equal(out, "POST /10?q=10 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nX-B: common\r\n"
                             "x-a: 10\r\nContent-Length: 4\r\n\r\nn=10");
    mix_free(&m);
    from.is_literal = true;
    assert_true(mix_read(&m, &from, path, &base, &f));
    assert_true(template_is_literal(&m.requests[0].bytes));
    assert_non_null(strstr(m.requests[0].bytes.literals.data, "Content-Length: 7\r\n\r\nn={seq}"));
    mix_free(&m);
}

/* Each mistake is said with its line. */
static void test_mistakes(void **state)
{
    static const struct {
        const char *text, *word;
    } bad[] = {
        {"", "no requests"},
        {"# nothing\n\n", "no requests"},
        {"GET /\nGET", "mix:2: expected"},
        {"0 GET /", "mix:1: the weight"},
        {"2x GET /", "mix:1: the weight"},
        {"99999 GET /", "mix:1: the weight"},
        {"  X: 1\nGET /", "mix:1: an indented line"},
        {"GE(T /", "mix:1: the method"},
        {"GET /\n  nothing", "mix:1: the header"},
        {"GET /\n  Content-Length: 1", "mix:1: the header"},
        {"GET /{rand:1}", "mix:1: URL"},
        {"POST / {rand:1}", "mix:1: the body"},
        {"GET http://a/\nGET http://b/", "different hosts"},
        {"GET http://a/\nGET http://a:81/", "different hosts"},
        {"GET https://a/", "https"},
    };
    struct mix m;
    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (read_text(&m, bad[i].text, NULL))
            fail_msg("%s was taken", bad[i].text);
        assert_int_equal(f.exit, EXIT_USAGE);
        if (!strstr(f.text, bad[i].word))
            fail_msg("\"%s\" is not in: %s", bad[i].word, f.text);
        mix_free(&m);
    }
}

/* After each round the shares are exact; rounds differ; the same seed deals the same. */
static void test_shares(void **state)
{
    struct mix m, again;
    (void)state;
    const char *text = "2 GET /a\n4 GET /b\n14 GET /c";
    assert_true(read_text(&m, text, NULL) && read_text(&again, text, NULL));
    mix_shuffle(&m, 1, 1);
    mix_shuffle(&again, 1, 1);
    unsigned same_as_first = 0;
    for (uint64_t round = 0; round < 500; round++) {
        unsigned counts[3] = {0}, same = 0;
        for (uint64_t i = 0; i < 10; i++) {
            const struct request *r = mix_deal(&m, round * 10 + i);
            counts[r - m.requests]++;
            same += r == mix_deal(&m, i);
            assert_int_equal(mix_deal(&again, round * 10 + i) - again.requests, r - m.requests);
        }
        assert_int_equal(counts[0], 1);
        assert_int_equal(counts[1], 2);
        assert_int_equal(counts[2], 7);
        same_as_first += same == 10;
    }
    assert_true(same_as_first < 50);
    mix_free(&m);
    mix_free(&again);
}

/* A lone request without placeholders is kept as bytes, so many times as may leave at once. */
static void test_copies(void **state)
{
    struct mix m;
    (void)state;
    assert_true(read_text(&m, "GET /a", NULL));
    mix_shuffle(&m, 1, 3);
    assert_memory_equal(m.literal, m.literal + 2 * m.literal_len, m.literal_len);
    assert_memory_equal(m.literal, "GET /a ", 7);
    mix_free(&m);
    assert_true(read_text(&m, "GET /{seq}", NULL));
    mix_shuffle(&m, 1, 3);
    assert_null(m.literal);
    mix_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),      cmocka_unit_test(test_host),
        cmocka_unit_test(test_body_file), cmocka_unit_test(test_placeholders),
        cmocka_unit_test(test_mistakes),  cmocka_unit_test(test_shares),
        cmocka_unit_test(test_copies),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
