/* Cores and frequency from a /proc and /sys of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "lab/host.h"
#include "lib/fakeroot.h"

/* Each core by its number, one that is offline as nothing, none beyond those wanted. */
static void test_cores(void **state)
{
    (void)state;
    struct host_core cores[3];
    assert_false(host_read(fakeroot, cores, 3));
    fakeroot_put("/proc/stat", "cpu  999 0 0 0 0 0 0 0 0 0\n"
                               "cpu0 10 1 5 100 20 2 3 4 7 0\n"
                               "cpu2 1 1 1 1 1 1 1 1 0 0\n"
                               "cpu9 1 1 1 1 1 1 1 1 0 0\n"
                               "intr 12345 0 0\nctxt 99\n");
    assert_true(host_read(fakeroot, cores, 3));
    assert_int_equal(cores[0].all, 145);
    assert_int_equal(cores[0].idle, 120);
    assert_int_equal(cores[0].stolen, 4);
    assert_int_equal(cores[1].all, 0);
    assert_int_equal(cores[2].all, 8);
}

/* cpufreq goes before cpuinfo; without either it is not known. */
static void test_mhz(void **state)
{
    (void)state;
    assert_true(isnan(host_mhz(fakeroot, 2)));
    fakeroot_put("/proc/cpuinfo", "processor\t: 0\ncpu MHz\t\t: 2000.000\nflags\t: a\n\n"
                                  "processor\t: 1\ncpu MHz\t\t: 3000.000\n");
    assert_true(host_mhz(fakeroot, 2) == 2500);
    fakeroot_put("/sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "1800000\n");
    assert_true(host_mhz(fakeroot, 2) == 1800);
}

/* This machine has cores, and they have run. */
static void test_real(void **state)
{
    (void)state;
    static struct host_core cores[4096];
    uint64_t sum = 0;
    unsigned count = host_core_count();
    assert_true(count >= 1 && count <= 4096);
    assert_true(host_read("", cores, count));
    for (unsigned i = 0; i < count; i++)
        sum += cores[i].all;
    assert_true(sum > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fakeroot_make, fakeroot_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_cores), TEST(test_mhz), TEST(test_real)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
