#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/fail.h"

/* A failure carries its exit code and text; prefixes go in front, the outermost first. */
static void test_prefix(void **state)
{
    (void)state;
    struct fail f;
    assert_false(fail_set(&f, EXIT_LACKING, "no %s", "ring"));
    assert_int_equal(f.exit, EXIT_LACKING);
    assert_false(fail_prefix(&f, "line %d", 12));
    assert_false(fail_prefix(&f, "test1.ini"));
    assert_string_equal(f.text, "test1.ini: line 12: no ring");
    assert_int_equal(f.exit, EXIT_LACKING);
}

/* What is too long is cut, marked as cut, and still a string; what just fits is not marked. */
static void test_cut(void **state)
{
    (void)state;
    struct fail f;
    char text[2000];
    memset(text, 'x', sizeof text);
    text[sizeof f.text - 1] = 0;
    fail_set(&f, EXIT_FAILED, "%s", text);
    assert_string_equal(f.text, text);
    fail_prefix(&f, "a");
    assert_int_equal(strlen(f.text), sizeof f.text - 1);
    assert_string_equal(f.text + sizeof f.text - 5, "x...");
    assert_memory_equal(f.text, "a: x", 4);

    text[sizeof f.text - 1] = 'x';
    text[sizeof text - 1] = 0;
    fail_set(&f, EXIT_FAILED, "%s", text);
    assert_int_equal(strlen(f.text), sizeof f.text - 1);
    assert_string_equal(f.text + sizeof f.text - 5, "x...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
