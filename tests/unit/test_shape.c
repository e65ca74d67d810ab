#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "lab/shape.h"

#define GB (UINT64_C(1) << 30)

/* The services have the cores that the target has not, at least two of them. */
static struct shape_machine machine(unsigned cores, uint64_t memory_bytes)
{
    return (struct shape_machine){.cores = cores, .service_cores = 2, .memory_bytes = memory_bytes};
}

/* On a machine that has the cores and the memory the pod is the published one. */
static void test_published(void **state)
{
    (void)state;
    struct shape s;
    struct fail f;
    assert_true(shape_choose("video", true, (struct shape_machine[]){machine(2, 64 * GB)}, &s, &f));
    assert_true(s.is_set && s.scale == 1 && s.quota_cpus == 2 && s.cores == 2);
    assert_int_equal(s.limit_bytes, 4 * GB);
    assert_true(shape_choose("video", true, (struct shape_machine[]){machine(8, 64 * GB)}, &s, &f));
    assert_true(s.quota_cpus == 2 && s.cores == 2);
}

/* With fewer cores, or less memory, both shrink alike. */
static void test_scaled(void **state)
{
    (void)state;
    struct shape s;
    struct fail f;
    assert_true(shape_choose("video", true, (struct shape_machine[]){machine(1, 64 * GB)}, &s, &f));
    assert_true(s.scale == 0.5 && s.quota_cpus == 1 && s.limit_bytes == 2 * GB);
    assert_string_equal(s.text,
                        "2 CPUs, 4G scaled by 0.5: quota 1 CPU, memory 2G; PostgreSQL 8 CPUs: "
                        "no quota, memory 32G; memcached 4 CPUs: no quota, memory 8G");
    assert_true(shape_choose("video", true, (struct shape_machine[]){machine(2, 2 * GB)}, &s, &f));
    assert_true(s.scale == 0.25 && s.quota_cpus == 0.5 && s.limit_bytes == GB && s.cores == 1);
}

/* Without a quota the memory alone is limited; without a shape nothing is. */
static void test_without(void **state)
{
    (void)state;
    struct shape s;
    struct fail f;
    assert_true(
        shape_choose("0.5:512M", false, (struct shape_machine[]){machine(4, 64 * GB)}, &s, &f));
    assert_true(s.quota_cpus == 0 && s.limit_bytes == GB / 2 && s.cpus == 0.5);
    assert_true(shape_choose(NULL, true, (struct shape_machine[]){machine(4, 64 * GB)}, &s, &f));
    assert_true(!s.is_set && s.cores == 4);
}

/* The services have their published machines; where there is less than that, they are not limited. */
static void test_services(void **state)
{
    (void)state;
    struct shape s;
    struct fail f;
    struct shape_machine m = {.cores = 2, .service_cores = 6, .memory_bytes = 96 * GB};
    assert_true(shape_choose("video", true, &m, &s, &f));
    assert_true(s.postgres.cpus == 8 && s.postgres.quota_cpus == 0);
    assert_true(s.postgres.limit_bytes == 64 * GB);
    assert_true(s.memcached.quota_cpus == 4 && s.memcached.limit_bytes == 16 * GB);
    m = (struct shape_machine){.cores = 1, .service_cores = 6, .memory_bytes = 16 * GB};
    assert_true(shape_choose("video", true, &m, &s, &f));
    assert_true(s.postgres.quota_cpus == 4 && s.postgres.limit_bytes == UINT64_MAX);
    assert_true(s.memcached.quota_cpus == 2 && s.memcached.limit_bytes == 8 * GB);
    assert_true(shape_choose("1:1G/0.5:256M/0.25:128M", true, &m, &s, &f));
    assert_true(s.quota_cpus == 1 && s.postgres.quota_cpus == 0.5 &&
                s.memcached.quota_cpus == 0.25);
    assert_true(s.postgres.limit_bytes == GB / 4);
    assert_true(shape_choose("1:1G/0.5:256M/0.25:128M", false, &m, &s, &f));
    assert_true(s.quota_cpus == 0 && s.postgres.quota_cpus == 0 &&
                s.postgres.limit_bytes == GB / 4);
    assert_true(shape_choose("1:1G", true, &m, &s, &f));
    assert_true(s.postgres.cpus == 0 && s.postgres.limit_bytes == UINT64_MAX);
}

/* What is no shape is said with what one is. */
static void test_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",           "2",
                                        "2:",         ":4G",
                                        "two:4G",     "2:4G:1",
                                        "0:4G",       "1e1:4G",
                                        "2:1M",       "-1:4G",
                                        "vide",       "1:1G/1:1G",
                                        "1:1G/",      "1:1G/1:1G/1:1G/1:1G",
                                        "1:1G//1:1G", "1:1G/1:64M/1:1G"};
    struct shape s;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct fail f = {0};
        assert_false(
            shape_choose(wrong[i], true, (struct shape_machine[]){machine(2, 64 * GB)}, &s, &f));
        assert_int_equal(f.exit, EXIT_USAGE);
        assert_non_null(strstr(f.text, "expected"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published), cmocka_unit_test(test_scaled),
        cmocka_unit_test(test_without),   cmocka_unit_test(test_services),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
