#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/cgroup.h"
#include "lib/fakeroot.h"

/* Version 2: the tightest limit on the way to the root counts. */
static void test_version_2(void **state)
{
    (void)state;
    struct cgroup c;
    fakeroot_put("/proc/self/cgroup", "0::/user.slice/app\n");
    fakeroot_put(
        "/proc/self/mountinfo",
        "21 1 0:20 / /proc rw - proc proc rw\n"
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
    fakeroot_put("/sys/fs/cgroup/user.slice/memory.max", "1073741824\n");
    fakeroot_put("/sys/fs/cgroup/user.slice/cpu.max", "150000 100000\n");
    fakeroot_put("/sys/fs/cgroup/user.slice/app/memory.max", "max\n");
    fakeroot_put("/sys/fs/cgroup/user.slice/app/cpu.max", "max 100000\n");
    fakeroot_put("/sys/fs/cgroup/user.slice/app/cpu.stat",
                 "usage_usec 5\nnr_periods 9\nnr_throttled 4\nthrottled_usec 1500\n");
    cgroup_read(fakeroot, &c);
    assert_int_equal(c.cpu.version, 2);
    assert_int_equal(c.memory.version, 2);
    assert_non_null(strstr(c.cpu.folder, "/sys/fs/cgroup/user.slice/app"));
    assert_int_equal(c.memory_limit_bytes, 1073741824);
    assert_true(c.cpu_limit == 1.5);
    assert_true(c.has_throttling);
    assert_int_equal(c.periods, 9);
    assert_int_equal(c.throttled_periods, 4);
    assert_int_equal(c.throttled_ns, 1500000);
}

/* Version 1: each controller in a hierarchy of its own, beside an empty version 2. */
static void test_version_1(void **state)
{
    (void)state;
    struct cgroup c;
    fakeroot_put("/proc/self/cgroup", "4:memory:/m\n3:cpuset:/\n1:cpu,cpuacct:/\n0::/\n");
    fakeroot_put("/proc/self/mountinfo",
                 "31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
                 "32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                 "33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    fakeroot_put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000\n");
    fakeroot_put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    fakeroot_put("/sys/fs/cgroup/cpu,cpuacct/cpu.stat",
                 "nr_periods 0\nnr_throttled 7\nthrottled_time 12345\n");
    fakeroot_put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    fakeroot_put("/sys/fs/cgroup/memory/m/memory.limit_in_bytes", "536870912\n");
    cgroup_read(fakeroot, &c);
    assert_int_equal(c.cpu.version, 1);
    assert_int_equal(c.memory.version, 1);
    assert_true(c.cpu_limit == 2.0);
    assert_int_equal(c.memory_limit_bytes, 536870912);
    assert_int_equal(c.throttled_periods, 7);
    assert_int_equal(c.throttled_ns, 12345);
}

/* In a container the group's path is the host's, of which only the part below is mounted. */
static void test_container(void **state)
{
    (void)state;
    struct cgroup c;
    fakeroot_put("/proc/self/cgroup", "5:memory:/docker/abc\n0::/docker/abc/inner\n");
    fakeroot_put(
        "/proc/self/mountinfo",
        "31 30 0:27 /docker/abc /sys/fs/cgroup/memory ro master:9 - cgroup cgroup rw,memory\n"
        "33 30 0:29 / /sys/fs/cgroup/unified ro - cgroup2 cgroup2 rw\n");
    fakeroot_put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n");
    fakeroot_put("/sys/fs/cgroup/unified/cpu.max", "50000 100000\n");
    cgroup_read(fakeroot, &c);
    assert_int_equal(c.memory_limit_bytes, 268435456);
    assert_int_equal(c.cpu.version, 2);
    assert_true(c.cpu_limit == 0.5);
    assert_false(c.has_throttling);
}

/* Another process is in another group, of either version; what changes there is seen by a refresh. */
static void test_other_process(void **state)
{
    (void)state;
    struct cgroup c;
    fakeroot_put("/proc/77/cgroup", "1:cpu,cpuacct:/pod\n0::/\n");
    fakeroot_put("/proc/self/cgroup", "1:cpu,cpuacct:/\n0::/\n");
    fakeroot_put("/proc/self/mountinfo",
                 "31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n");
    fakeroot_put("/sys/fs/cgroup/cpu/pod/cpu.cfs_quota_us", "50000\n");
    fakeroot_put("/sys/fs/cgroup/cpu/pod/cpu.cfs_period_us", "100000\n");
    fakeroot_put("/sys/fs/cgroup/cpu/pod/cpu.stat",
                 "nr_periods 10\nnr_throttled 1\nthrottled_time 1000\n");
    cgroup_read_of(fakeroot, 77, &c);
    assert_true(c.cpu_limit == 0.5);
    assert_int_equal(c.periods, 10);
    fakeroot_put("/sys/fs/cgroup/cpu/pod/cpu.stat",
                 "nr_periods 20\nnr_throttled 6\nthrottled_time 9000\n");
    fakeroot_put("/sys/fs/cgroup/cpu/pod/cpu.cfs_quota_us", "-1\n");
    cgroup_refresh(&c);
    assert_true(c.cpu_limit == 0);
    assert_int_equal(c.periods, 20);
    assert_int_equal(c.throttled_periods, 6);
    assert_int_equal(c.throttled_ns, 9000);
    cgroup_read_of(fakeroot, 78, &c); /* not there */
    assert_int_equal(c.cpu.version, 0);
    assert_false(c.has_throttling);

    fakeroot_put("/proc/79/cgroup", "0::/slice\n");
    fakeroot_put("/proc/self/mountinfo", "30 23 0:26 / /sys/fs/unified rw - cgroup2 cgroup2 rw\n");
    fakeroot_put("/sys/fs/unified/slice/cpu.max", "25000 100000\n");
    fakeroot_put("/sys/fs/unified/slice/cpu.stat",
                 "nr_periods 3\nnr_throttled 2\nthrottled_usec 7\n");
    cgroup_read_of(fakeroot, 79, &c);
    assert_int_equal(c.cpu.version, 2);
    assert_true(c.cpu_limit == 0.25);
    assert_int_equal(c.throttled_ns, 7000);
}

/* Without any of it there is no limit; the machine's own memory is a real figure. */
static void test_nothing(void **state)
{
    (void)state;
    struct cgroup c;
    cgroup_read(fakeroot, &c);
    assert_int_equal(c.cpu.version + c.memory.version, 0);
    assert_true(c.cpu_limit == 0);
    assert_true(c.memory_limit_bytes == UINT64_MAX);
    assert_true(cgroup_memory_bytes() > 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_version_2, fakeroot_make, fakeroot_remove),
        cmocka_unit_test_setup_teardown(test_version_1, fakeroot_make, fakeroot_remove),
        cmocka_unit_test_setup_teardown(test_container, fakeroot_make, fakeroot_remove),
        cmocka_unit_test_setup_teardown(test_other_process, fakeroot_make, fakeroot_remove),
        cmocka_unit_test_setup_teardown(test_nothing, fakeroot_make, fakeroot_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
