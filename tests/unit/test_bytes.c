#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bytes.h"

/* What goes in comes out, whatever the pieces, and an empty buffer holds no memory. */
static void test_append_and_consume(void **state)
{
    struct bytes b = {0};
    unsigned in = 0, out = 0;
    (void)state;
    for (unsigned i = 1; i < 2000; i++) {
        char piece[64];
        for (unsigned n = 0; n < i % sizeof piece; n++)
            piece[n] = (char)in++;
        assert_true(bytes_append(&b, (struct span){piece, i % sizeof piece}, UINT32_MAX));
        uint32_t drop = i % 3 ? b.len / 2 : 0;
        for (uint32_t n = 0; n < drop; n++)
            assert_int_equal(b.data[n], (char)out++);
        bytes_consume(&b, drop);
    }
    assert_int_equal(b.len, in - out);
    bytes_consume(&b, b.len);
    assert_null(b.data);
    assert_int_equal(b.room, 0);
}

/* Beyond the caller's bound nothing is taken and nothing changes. */
static void test_bound(void **state)
{
    struct bytes b = {0};
    (void)state;
    assert_true(bytes_append(&b, SPAN("123"), 5));
    assert_false(bytes_append(&b, SPAN("456"), 5));
    assert_true(bytes_append(&b, SPAN("45"), 5));
    assert_true(span_eq(bytes_span(&b), SPAN("12345")));
    assert_false(bytes_append(&b, SPAN("x"), 5));
    bytes_free(&b);
    assert_false(bytes_append(&b, SPAN("x"), 0));
}

/* More than its own bound is refused as well: the room cannot be doubled any more. */
static void test_greatest(void **state)
{
    char nothing;
    uint32_t half = UINT32_C(1) << 31;
    struct bytes b = {.data = &nothing, .len = half, .room = half};
    (void)state;
    assert_false(bytes_append(&b, SPAN("x"), UINT32_MAX));
    assert_true(bytes_append(&b, SPAN(""), UINT32_MAX));
    assert_int_equal(b.len, half);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_and_consume),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_greatest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
