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
#include <unistd.h>

#include "lab/limits.h"

/* A machine's /proc and /sys below a folder of our own. */
static char root[32];

static void make_folders(const char *path)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(full, 0700);
        *slash = '/';
    }
}

static void put(const char *path, const char *text)
{
    char full[512];
    make_folders(path);
    snprintf(full, sizeof full, "%s%s", root, path);
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void assert_holds(const char *folder, const char *name, const char *text)
{
    char path[1024], found[64] = "";
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(found, sizeof found, file));
    fclose(file);
    assert_string_equal(found, text);
}

static int root_make(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/iubench-limits-XXXXXX");
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

/* Version 1: a group in each of the two trees, with a quota in one and bytes in the other. */
static void test_version_1(void **state)
{
    (void)state;
    struct limits l = {.cpus = 1.5, .memory_bytes = 1 << 30};
    struct fail f;
    put("/proc/self/cgroup", "4:memory:/a\n1:cpu:/\n");
    put("/proc/self/mountinfo", "30 23 0:26 / /cg/cpu rw - cgroup cgroup rw,cpu\n"
                                "31 23 0:27 / /cg/memory rw - cgroup cgroup rw,memory\n");
    make_folders("/cg/cpu/");
    make_folders("/cg/memory/a/");
    assert_true(limits_make(root, &l, &f));
    assert_holds(l.groups[0], "cpu.cfs_quota_us", "150000");
    assert_holds(l.groups[0], "cpu.cfs_period_us", "100000");
    assert_holds(l.groups[1], "memory.limit_in_bytes", "1073741824");
    assert_non_null(strstr(l.groups[1], "/cg/memory/a/iubench-target-"));
    assert_false(*l.moved_to);
}

/* Version 2: one group for both, once its parent gives the controllers on. */
static void test_version_2(void **state)
{
    (void)state;
    struct limits l = {.cpus = 0.5, .memory_bytes = 512 << 20};
    struct fail f;
    put("/proc/self/cgroup", "0::/scope\n");
    put("/proc/self/mountinfo", "30 23 0:26 / /cg2 rw - cgroup2 cgroup2 rw\n");
    make_folders("/cg2/scope/");
    assert_true(limits_make(root, &l, &f));
    assert_holds(l.groups[0], "cpu.max", "50000 100000");
    assert_holds(l.groups[0], "memory.max", "536870912");
    assert_false(*l.groups[1]);
    char parent[256];
    snprintf(parent, sizeof parent, "%s/cg2/scope", root);
    assert_holds(parent, "cgroup.subtree_control", "+cpu +memory");
}

/* A second group stands beside the first, in both versions; where there is nothing to limit, there is
 * none to be moved to. */
static void test_beside(void **state)
{
    (void)state;
    struct limits first = {.cpus = 1, .memory_bytes = 1 << 30}, none = {.cpus = 0};
    struct limits second = {.name = "postgres", .cpus = 2, .memory_bytes = UINT64_MAX};
    struct fail f;
    put("/proc/self/cgroup", "4:memory:/a\n1:cpu:/\n");
    put("/proc/self/mountinfo", "30 23 0:26 / /cg5/cpu rw - cgroup cgroup rw,cpu\n"
                                "31 23 0:27 / /cg5/memory rw - cgroup cgroup rw,memory\n");
    make_folders("/cg5/cpu/");
    make_folders("/cg5/memory/a/");
    assert_true(limits_make(root, &first, &f));
    assert_true(limits_make_beside(&first, &second, &f));
    assert_non_null(strstr(second.groups[0], "/cg5/cpu/iubench-postgres-"));
    assert_holds(second.groups[0], "cpu.cfs_quota_us", "200000");
    assert_true(limits_take(&second, getpid(), &f));
    char pid[16];
    snprintf(pid, sizeof pid, "%d", getpid());
    assert_holds(second.groups[1], "cgroup.procs", pid);

    put("/proc/self/cgroup", "0::/scope\n");
    put("/proc/self/mountinfo", "30 23 0:26 / /cg6 rw - cgroup2 cgroup2 rw\n");
    make_folders("/cg6/scope/");
    assert_true(limits_make(root, &first, &f));
    assert_true(limits_make_beside(&first, &second, &f));
    assert_non_null(strstr(second.groups[0], "/cg6/scope/iubench-postgres-"));
    assert_holds(second.groups[0], "cpu.max", "200000 100000");
    assert_true(limits_take(&none, getpid(), &f));
}

/* No quota means no quota. */
static void test_without_quota(void **state)
{
    (void)state;
    struct limits l = {.memory_bytes = 512 << 20};
    struct fail f;
    char path[1024];
    put("/proc/self/cgroup", "0::/scope\n");
    put("/proc/self/mountinfo", "30 23 0:26 / /cg3 rw - cgroup2 cgroup2 rw\n");
    make_folders("/cg3/scope/");
    assert_true(limits_make(root, &l, &f));
    snprintf(path, sizeof path, "%.500s/cpu.max", l.groups[0]);
    assert_int_equal(access(path, F_OK), -1);
}

/* Where there are no groups, that is said with the mend, and the exit code is that of a lack. */
static void test_lacking(void **state)
{
    (void)state;
    struct limits l = {.cpus = 1, .memory_bytes = UINT64_MAX};
    struct fail f;
    put("/proc/self/cgroup", "");
    assert_false(limits_make(root, &l, &f));
    assert_int_equal(f.exit, EXIT_LACKING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_1), cmocka_unit_test(test_version_2),
        cmocka_unit_test(test_beside),    cmocka_unit_test(test_without_quota),
        cmocka_unit_test(test_lacking),
    };
    return cmocka_run_group_tests(tests, root_make, root_remove);
}
