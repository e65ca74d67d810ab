#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "lab/shape.h"

#define GB (UINT64_C(1) << 30)

/* On a machine that has the cores and the memory the pod is the published one. */
static void test_published(void **state)
{
    (void)state;
    struct shape s;
    struct fail f;
    assert_true(shape_choose("video", true, 2, 64 * GB, &s, &f));
    assert_true(s.is_set && s.scale == 1 && s.quota_cpus == 2 && s.cores == 2);
    assert_int_equal(s.limit_bytes, 4 * GB);
    assert_true(shape_choose("video", true, 8, 64 * GB, &s, &f));
    assert_true(s.quota_cpus == 2 && s.cores == 2);
}

/* With fewer cores, or less memory, both shrink alike. */
static void test_scaled(void **state)
{
    (void)state;
    struct shape s;
    struct fail f;
    assert_true(shape_choose("video", true, 1, 64 * GB, &s, &f));
    assert_true(s.scale == 0.5 && s.quota_cpus == 1 && s.limit_bytes == 2 * GB);
    assert_string_equal(s.text, "2 CPUs, 4G scaled by 0.5: quota 1 CPU, memory 2G");
    assert_true(shape_choose("video", true, 2, 2 * GB, &s, &f));
    assert_true(s.scale == 0.25 && s.quota_cpus == 0.5 && s.limit_bytes == GB && s.cores == 1);
}

/* Without a quota the memory alone is limited; without a shape nothing is. */
static void test_without(void **state)
{
    (void)state;
    struct shape s;
    struct fail f;
    assert_true(shape_choose("0.5:512M", false, 4, 64 * GB, &s, &f));
    assert_true(s.quota_cpus == 0 && s.limit_bytes == GB / 2 && s.cpus == 0.5);
    assert_true(shape_choose(NULL, true, 4, 64 * GB, &s, &f));
    assert_true(!s.is_set && s.cores == 4);
}

/* What is no shape is said with what one is. */
static void test_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",     "2",      "2:",   ":4G",   "two:4G", "2:4G:1",
                                        "0:4G", "1e1:4G", "2:1M", "-1:4G", "vide"};
    struct shape s;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct fail f = {0};
        assert_false(shape_choose(wrong[i], true, 2, 64 * GB, &s, &f));
        assert_int_equal(f.exit, EXIT_USAGE);
        assert_non_null(strstr(f.text, "expected"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published),
        cmocka_unit_test(test_scaled),
        cmocka_unit_test(test_without),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
