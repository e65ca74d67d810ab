#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lab/cgroup.h"

/* A machine's /proc and /sys below a folder of our own. */
static char root[32];

static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(full, 0700);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int root_make(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/iubench-cgroup-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static int root_remove(void **state)
{
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Version 2: the tightest limit on the way to the root counts. */
static void test_version_2(void **state)
{
    (void)state;
    struct cgroup c;
    put("/proc/self/cgroup", "0::/user.slice/app\n");
    put("/proc/self/mountinfo",
        "21 1 0:20 / /proc rw - proc proc rw\n"
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
    put("/sys/fs/cgroup/user.slice/memory.max", "1073741824\n");
    put("/sys/fs/cgroup/user.slice/cpu.max", "150000 100000\n");
    put("/sys/fs/cgroup/user.slice/app/memory.max", "max\n");
    put("/sys/fs/cgroup/user.slice/app/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/user.slice/app/cpu.stat",
        "usage_usec 5\nnr_periods 9\nnr_throttled 4\nthrottled_usec 1500\n");
    cgroup_read(root, &c);
    assert_int_equal(c.cpu.version, 2);
    assert_int_equal(c.memory.version, 2);
    assert_non_null(strstr(c.cpu.folder, "/sys/fs/cgroup/user.slice/app"));
    assert_int_equal(c.memory_limit_bytes, 1073741824);
    assert_true(c.cpu_limit == 1.5);
    assert_true(c.has_throttling);
    assert_int_equal(c.throttled_periods, 4);
    assert_int_equal(c.throttled_ns, 1500000);
}

/* Version 1: each controller in a hierarchy of its own, beside an empty version 2. */
static void test_version_1(void **state)
{
    (void)state;
    struct cgroup c;
    put("/proc/self/cgroup", "4:memory:/m\n3:cpuset:/\n1:cpu,cpuacct:/\n0::/\n");
    put("/proc/self/mountinfo",
        "31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.stat",
        "nr_periods 0\nnr_throttled 7\nthrottled_time 12345\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/memory/m/memory.limit_in_bytes", "536870912\n");
    cgroup_read(root, &c);
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
    put("/proc/self/cgroup", "5:memory:/docker/abc\n0::/docker/abc/inner\n");
    put("/proc/self/mountinfo",
        "31 30 0:27 /docker/abc /sys/fs/cgroup/memory ro master:9 - cgroup cgroup rw,memory\n"
        "33 30 0:29 / /sys/fs/cgroup/unified ro - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n");
    put("/sys/fs/cgroup/unified/cpu.max", "50000 100000\n");
    cgroup_read(root, &c);
    assert_int_equal(c.memory_limit_bytes, 268435456);
    assert_int_equal(c.cpu.version, 2);
    assert_true(c.cpu_limit == 0.5);
    assert_false(c.has_throttling);
}

/* Without any of it there is no limit; the machine's own memory is a real figure. */
static void test_nothing(void **state)
{
    (void)state;
    struct cgroup c;
    cgroup_read(root, &c);
    assert_int_equal(c.cpu.version + c.memory.version, 0);
    assert_true(c.cpu_limit == 0);
    assert_true(c.memory_limit_bytes == UINT64_MAX);
    assert_true(cgroup_memory_bytes() > 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_version_2, root_make, root_remove),
        cmocka_unit_test_setup_teardown(test_version_1, root_make, root_remove),
        cmocka_unit_test_setup_teardown(test_container, root_make, root_remove),
        cmocka_unit_test_setup_teardown(test_nothing, root_make, root_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
