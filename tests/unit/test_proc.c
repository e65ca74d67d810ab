/* What is read of processes and threads from a /proc of our own, and of this very process from the
 * real one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "lab/proc.h"
#include "lib/fakeroot.h"

#define STAT                                                                                 \
    "%d (%s) S %d 1 1 0 -1 4194304 9 9 0 0 %d %d %d %d 20 0 2 0 %d 9 9 9 9 9 9 9 9 9 9 9 9 " \
    "9 0 0 17 %d 0 0 0 0 0\n"

/* The name may hold anything, a bracket too; ticks of a hundredth of a second are told in ns. */
static void test_stat(void **state)
{
    (void)state;
    struct proc_stat s;
    fakeroot_put("/proc/7/stat", STAT, 7, "a) R 1 (b", 3, 10, 5, 200, 100, 4711, 3);
    assert_true(proc_stat_read(fakeroot, 7, &s));
    assert_int_equal(s.parent, 3);
    assert_int_equal(s.cpu_ns, 150000000);
    assert_int_equal(s.children_cpu_ns, 3000000000);
    assert_int_equal(s.start_ticks, 4711);
    assert_int_equal(s.processor, 3);
    assert_false(proc_stat_read(fakeroot, 8, &s));
}

/* A line that is cut or is none is refused. */
static void test_stat_cut(void **state)
{
    (void)state;
    static const char whole[] = "7 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 "
                                "23 24 25 26 27 28 29 30 31 32 33 34 35 36";
    struct proc_stat s;
    char text[sizeof whole];
    assert_true(proc_stat_parse(whole, &s));
    for (size_t len = 0; len + 4 < sizeof whole; len++) {
        snprintf(text, sizeof text, "%.*s", (int)len, whole);
        assert_false(proc_stat_parse(text, &s));
    }
    assert_false(proc_stat_parse("7 (x) S 1 2 x", &s));
}

static void put_thread(int tid, int start, const char *schedstat, int voluntary, int processor)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/7/task/%d/stat", tid);
    fakeroot_put(path, STAT, tid, "t", 1, 3, 0, 0, 0, start, processor);
    snprintf(path, sizeof path, "/proc/7/task/%d/status", tid);
    fakeroot_put(path, "Name:\tt\nvoluntary_ctxt_switches:\t%d\nnonvoluntary_ctxt_switches:\t5\n",
                 voluntary);
    snprintf(path, sizeof path, "/proc/7/task/%d/schedstat", tid);
    if (schedstat)
        fakeroot_put(path, "%s", schedstat);
}

/* Of each thread what it did since the last reading; one that ended leaves its last reading, and one
 * that took over its number is another. */
static void test_threads(void **state)
{
    (void)state;
    struct proc_threads t = {0};
    put_thread(7, 100, "1000 5 6\n", 10, 0);
    put_thread(8, 100, "500 5 6\n", 1, 1);
    assert_true(proc_threads_read(fakeroot, 7, &t));
    assert_int_equal(t.count, 2);
    put_thread(7, 100, "1700 5 6\n", 12, 1);
    fakeroot_drop("/proc/7/task/8");
    assert_true(proc_threads_read(fakeroot, 7, &t));
    assert_int_equal(t.count, 1);
    assert_int_equal(t.items[0].cpu_more_ns, 700);
    assert_int_equal(t.items[0].voluntary_more, 2);
    assert_int_equal(t.items[0].involuntary_more, 0);
    assert_int_equal(t.items[0].processor, 1);
    assert_int_equal(t.ended_ns, 500);
    put_thread(7, 200, "40 5 6\n", 1, 0);
    assert_true(proc_threads_read(fakeroot, 7, &t));
    assert_int_equal(t.items[0].cpu_more_ns, 40);
    assert_int_equal(t.ended_ns, 2200);
    fakeroot_drop("/proc/7");
    assert_false(proc_threads_read(fakeroot, 7, &t));
    proc_threads_free(&t);
}

/* Without the scheduler's statistics stat has to do. */
static void test_without_schedstat(void **state)
{
    (void)state;
    struct proc_threads t = {0};
    put_thread(7, 100, NULL, 0, 0);
    assert_true(proc_threads_read(fakeroot, 7, &t));
    assert_int_equal(t.items[0].cpu_ns, 30000000);
    proc_threads_free(&t);
}

/* Memory and descriptors, and that what cannot be read is not zero. */
static void test_memory(void **state)
{
    (void)state;
    fakeroot_put("/proc/7/statm", "900 10 3 1 0 5 0\n");
    fakeroot_put("/proc/7/smaps_rollup", "55d-7ff ---p 0 0:0 0 [rollup]\nRss:  9 kB\nPss:  6 kB\n"
                                         "Pss_Dirty:  1 kB\n");
    fakeroot_link("/proc/7/fd/0", "/dev/null");
    fakeroot_link("/proc/7/fd/12", "socket:[5]");
    assert_true(proc_rss_bytes(fakeroot, 7) == 10.0 * (double)sysconf(_SC_PAGESIZE));
    assert_true(proc_pss_bytes(fakeroot, 7) == 6 * 1024);
    assert_true(proc_fds(fakeroot, 7) == 2);
    assert_true(isnan(proc_rss_bytes(fakeroot, 8)));
    assert_true(isnan(proc_pss_bytes(fakeroot, 8)));
    assert_true(isnan(proc_fds(fakeroot, 8)));
}

/* This process, by the real /proc: one more descriptor is one more, work is seen as CPU time. */
static void test_real(void **state)
{
    (void)state;
    struct proc_threads t = {0};
    char name[16];
    double fds = proc_fds("", 0);
    int fd = dup(0);
    assert_true(fd >= 0);
    assert_true(proc_fds("", 0) == fds + 1);
    close(fd);
    assert_true(proc_rss_bytes("", 0) > 100000);
    assert_true(proc_threads_read("", 0, &t));
    uint64_t before_ns = t.items[0].cpu_ns;
    for (unsigned i = 0; t.items[0].cpu_ns < before_ns + 20000000 && i < 1u << 20; i++)
        assert_true(proc_threads_read("", 0, &t));
    assert_true(t.items[0].cpu_ns >= before_ns + 20000000);
    proc_thread_name("", 0, t.items[0].tid, name);
    assert_true(strlen(name) > 0);
    proc_threads_free(&t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fakeroot_make, fakeroot_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_stat),   TEST(test_stat_cut), TEST(test_threads), TEST(test_without_schedstat),
        TEST(test_memory), TEST(test_real),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
