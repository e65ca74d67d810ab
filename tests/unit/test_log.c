#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/rng.h"

/* What is harmless stays, everything else becomes \xNN, quotes and backslashes too. */
static void test_escape(void **state)
{
    (void)state;
    char out[64];
    assert_string_equal(log_escape(SPAN("GET /a?b=~ "), out, sizeof out), "GET /a?b=~ ");
    assert_string_equal(log_escape(SPAN("a\"b\\c\r\n"), out, sizeof out),
                        "a\\x22b\\x5cc\\x0d\\x0a");
    assert_string_equal(log_escape(SPAN("\033[2J\x7f\xc3\xa9\0z"), out, sizeof out),
                        "\\x1b[2J\\x7f\\xc3\\xa9\\x00z");
    assert_string_equal(log_escape(SPAN(""), out, sizeof out), "");
}

/* For a person quotes and backslashes stay. */
static void test_show(void **state)
{
    (void)state;
    char out[64];
    assert_string_equal(log_show(SPAN("{\"a\": \"\\n\033\"}"), out, sizeof out),
                        "{\"a\": \"\\n\\x1b\"}");
}

/* A text that just fits is whole; one more byte, and it ends in "..." within its room. */
static void test_escape_cut(void **state)
{
    (void)state;
    char out[8];
    assert_string_equal(log_escape(SPAN("1234567"), out, sizeof out), "1234567");
    assert_string_equal(log_escape(SPAN("12345678"), out, sizeof out), "1234...");
    assert_string_equal(log_escape(SPAN("123\n"), out, sizeof out), "123\\x0a");
    assert_string_equal(log_escape(SPAN("1234\n"), out, sizeof out), "1234...");
    assert_string_equal(log_escape(SPAN("\n\n"), out, sizeof out), "\\x0a...");
}

/* Any bytes in any room: the result is a string of printable bytes without quotes, within it. */
static void test_escape_any(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 7);
    for (int i = 0; i < 20000; i++) {
        char bytes[40];
        size_t len = rng_below(&rng, sizeof bytes), room = 8 + rng_below(&rng, 60);
        for (size_t j = 0; j < len; j++)
            bytes[j] = (char)rng_next(&rng);
        char *out = malloc(room);
        log_escape((struct span){bytes, len}, out, room);
        assert_true(strlen(out) < room);
        for (const char *c = out; *c; c++)
            assert_true(*c >= 0x20 && *c < 0x7f && *c != '"');
        free(out);
    }
}

/* Runs log_line(text) with standard error going to a pipe; gives what came out. */
static size_t logged(const char *text, char *out, size_t room)
{
    int ends[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    log_line("%s", text);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    ssize_t len = read(ends[0], out, room);
    close(ends[0]);
    assert_true(len >= 0);
    return (size_t)len;
}

/* A line has the program's name before it and one newline behind it, however long it is. */
static void test_line(void **state)
{
    (void)state;
    char out[8192], text[4000];
    size_t len = logged("ready", out, sizeof out);
    assert_int_equal(len, strlen("iubench: ready\n"));
    assert_memory_equal(out, "iubench: ready\n", len);
    for (size_t text_len = 2030; text_len < 2050; text_len++) {
        memset(text, 'x', text_len);
        text[text_len] = 0;
        len = logged(text, out, sizeof out);
        assert_true(len <= 2048);
        assert_int_equal(out[len - 1], '\n');
        assert_int_equal(out[len - 2], 'x');
    }
}

/* The first at once, then one in ten seconds. */
static void test_seldom(void **state)
{
    (void)state;
    static const uint64_t second_ns = 1000000000;
    _Atomic uint64_t last_ns = 0;
    assert_true(log_is_time(&last_ns, 3 * second_ns));
    assert_false(log_is_time(&last_ns, 3 * second_ns));
    assert_false(log_is_time(&last_ns, 13 * second_ns - 1));
    assert_true(log_is_time(&last_ns, 13 * second_ns));
    assert_false(log_is_time(&last_ns, 14 * second_ns));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape),     cmocka_unit_test(test_show),
        cmocka_unit_test(test_escape_cut), cmocka_unit_test(test_escape_any),
        cmocka_unit_test(test_line),       cmocka_unit_test(test_seldom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
