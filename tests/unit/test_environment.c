/* The environment of a machine of our own making, and of this one; and that what changes is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/fakeroot.h"
#include "report/differences.h"
#include "report/environment.h"

static void put_cpu(int cpu, int package, int core)
{
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/physical_package_id", cpu);
    fakeroot_put(path, "%d\n", package);
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/core_id", cpu);
    fakeroot_put(path, "%d\n", core);
}

static const char *text_of(json_t *from, const char *first, const char *second)
{
    json_t *value = json_object_get(from, first);
    return json_string_value(second ? json_object_get(value, second) : value);
}

static json_int_t number_of(json_t *from, const char *a, const char *b, const char *c)
{
    json_t *value = json_object_get(json_object_get(from, a), b);
    return json_integer_value(c ? json_object_get(value, c) : value);
}

/* Two sockets of two cores of two threads each, whose core numbers begin anew; and every list. */
static void test_whole(void **state)
{
    (void)state;
    for (int cpu = 0; cpu < 8; cpu++)
        put_cpu(cpu, cpu / 4, cpu % 2);
    fakeroot_put("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\n"
                                  "microcode\t: 0xabc\n");
    fakeroot_put("/etc/os-release", "NAME=\"Some\"\nPRETTY_NAME=\"Some Linux 12\"\n");
    fakeroot_put("/sys/devices/system/cpu/smt/control", "on\n");
    fakeroot_put("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
    fakeroot_put("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "3000000\n");
    fakeroot_put("/sys/devices/system/cpu/vulnerabilities/meltdown", "Mitigation: PTI\n");
    fakeroot_put("/proc/sys/net/core/somaxconn", "128\n");
    fakeroot_put("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n");
    fakeroot_put("/proc/self/cgroup", "0::/\n");
    fakeroot_put("/proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    fakeroot_put("/sys/fs/cgroup/cpu.max", "150000 100000\n");
    json_t *e = environment_json(fakeroot);
    assert_int_equal(number_of(e, "cpu", "topology", "sockets"), 2);
    assert_int_equal(number_of(e, "cpu", "topology", "cores"), 4);
    assert_int_equal(number_of(e, "cpu", "topology", "threads"), 8);
    assert_int_equal(number_of(e, "cpu", "frequency_max_khz", NULL), 3000000);
    assert_string_equal(text_of(e, "cpu_model", NULL), "Some CPU @ 3 GHz");
    assert_string_equal(text_of(e, "system", NULL), "Some Linux 12");
    assert_string_equal(text_of(e, "governor", NULL), "powersave");
    assert_string_equal(text_of(e, "cpu", "smt"), "on");
    assert_string_equal(text_of(e, "cpu", "microcode"), "0xabc");
    assert_string_equal(text_of(e, "mitigations", "meltdown"), "Mitigation: PTI");
    assert_string_equal(text_of(e, "sysctls", "net.core.somaxconn"), "128");
    assert_string_equal(text_of(e, "sysctls", "net.ipv4.ip_local_port_range"), "32768 60999");
    assert_int_equal(json_object_size(json_object_get(e, "sysctls")), 2);
    assert_true(json_number_value(json_object_get(json_object_get(e, "cgroup"), "cpu_limit")) ==
                1.5);
    json_decref(e);
}

/* Of a machine that shows nothing nothing is claimed. */
static void test_nothing(void **state)
{
    (void)state;
    json_t *e = environment_json(fakeroot);
    assert_true(json_is_null(json_object_get(e, "cpu_model")));
    assert_true(json_is_null(json_object_get(json_object_get(e, "cpu"), "topology")));
    assert_true(json_is_null(json_object_get(json_object_get(e, "cgroup"), "version")));
    assert_int_equal(json_object_size(json_object_get(e, "mitigations")), 0);
    assert_non_null(text_of(e, "kernel", NULL));
    json_decref(e);
}

/* A machine differs from itself in nothing; two of them in what was changed, by its name. */
static void test_differences(void **state)
{
    (void)state;
    struct text out = {0};
    fakeroot_put("/proc/sys/net/core/somaxconn", "128\n");
    json_t *a = environment_json(fakeroot), *same = environment_json(fakeroot);
    differences_add(&out, "", a, "a.json", same, "b.json");
    assert_int_equal(out.len, 0);
    fakeroot_put("/proc/sys/net/core/somaxconn", "4096\n");
    fakeroot_put("/sys/devices/system/cpu/smt/control", "off\n");
    json_t *b = environment_json(fakeroot);
    differences_add(&out, "", a, "a.json", b, "b.json");
    assert_non_null(out.data);
    assert_non_null(strstr(out.data, "somaxconn: 128 in a.json, 4096 in b.json"));
    assert_non_null(strstr(out.data, "smt"));
    assert_null(strstr(out.data, "kernel"));
    text_free(&out);
    json_decref(a);
    json_decref(same);
    json_decref(b);
}

/* This machine has a kernel, a compiler and libraries. */
static void test_real(void **state)
{
    (void)state;
    json_t *e = environment_json("");
    assert_true(strlen(text_of(e, "kernel", NULL)) > 0);
    assert_true(strlen(text_of(e, "versions", "compiler")) > 0);
    assert_true(number_of(e, "limits", "nofile", NULL) > 0);
    assert_true(json_integer_value(json_object_get(e, "memory_bytes")) > 1 << 20);
    json_decref(e);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fakeroot_make, fakeroot_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_whole), TEST(test_nothing), TEST(test_differences),
                                       TEST(test_real)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
