#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/text.h"

/* An empty text has a span that may be read, and frees to nothing. */
static void test_empty(void **state)
{
    (void)state;
    struct text t = {0};
    assert_int_equal(text_span(&t).len, 0);
    assert_non_null(text_span(&t).data);
    text_add(&t, SPAN(""));
    assert_string_equal(t.data, "");
    text_free(&t);
    assert_null(t.data);
    text_free(&t);
}

/* Both ways of adding keep what was there and the NUL behind it, across every growth. */
static void test_growth(void **state)
{
    (void)state;
    struct text t = {0};
    for (unsigned i = 0; i < 5000; i++) {
        text_addf(&t, "%04u", i);
        text_add(&t, SPAN("-"));
        assert_int_equal(t.len, (i + 1) * 5);
        assert_int_equal(t.data[t.len], 0);
    }
    for (unsigned i = 0; i < 5000; i++)
        assert_int_equal((t.data[5 * i] - '0') * 1000 + (t.data[5 * i + 1] - '0') * 100 +
                             (t.data[5 * i + 2] - '0') * 10 + (t.data[5 * i + 3] - '0'),
                         i);
    text_free(&t);
}

/* A piece much longer than the room, with bytes that are no text. */
static void test_long_piece(void **state)
{
    (void)state;
    static char piece[100000];
    memset(piece, 'x', sizeof piece);
    piece[500] = 0;
    struct text t = {0};
    text_addf(&t, "%s", "");
    text_add(&t, (struct span){piece, sizeof piece});
    assert_int_equal(t.len, sizeof piece);
    assert_memory_equal(t.data, piece, sizeof piece);
    text_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_long_piece),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
