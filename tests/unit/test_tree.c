/* A tree of processes in a /proc of our own: found whole, nothing lost when some of it ends, nothing
 * counted twice when a parent takes it over; and a real one that forks and burns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "lab/tree.h"
#include "lib/fakeroot.h"

static const uint64_t TICK_NS = 10000000;

/* A process with one thread; its times in ticks, the thread's processor 1. */
static void put_process(int pid, int parent, int own, int waited_for, const char *children)
{
    static const char format[] = "%d (p) S %d 1 1 0 -1 0 0 0 0 0 %d 0 %d 0 20 0 1 0 %d 9 9 9 9 9 9 "
                                 "9 9 9 9 9 9 9 0 0 17 1 0\n";
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    fakeroot_put(path, format, pid, parent, own, waited_for, pid);
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, pid);
    fakeroot_put(path, format, pid, parent, own, 0, pid);
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    if (children)
        fakeroot_put(path, "%s", children);
}

/* Children of children are found, what is no descendant is not; with the kernel's lists or without. */
static void find(const char *of_root, const char *of_child, const char *of_others)
{
    put_process(10, 1, 5, 0, of_root);
    put_process(20, 10, 7, 0, of_child);
    put_process(21, 10, 1, 0, of_others);
    put_process(30, 20, 2, 0, of_others);
    put_process(40, 1, 100, 0, of_others);
    struct tree *t = tree_new(fakeroot, 2);
    tree_add(t, 10);
    tree_add(t, 99); /* not there */
    const struct proc_use *use = tree_read(t);
    assert_int_equal(use->processes, 4);
    assert_int_equal(use->threads, 4);
    assert_int_equal(use->cpu_ns, 15 * TICK_NS);
    assert_int_equal(use->core_ns[1], 15 * TICK_NS);
    assert_int_equal(use->core_ns[0], 0);
    tree_free(t);
}

static void test_found_by_lists(void **state)
{
    (void)state;
    find("20 21 ", "30 ", "");
}

static void test_found_by_parents(void **state)
{
    (void)state;
    find(NULL, NULL, NULL);
}

/* A child ends; its parent waits for it at once, later, or never; it has used some more meanwhile, and
 * another came and went unseen. */
static void test_child_ends(void **state)
{
    (void)state;
    put_process(10, 1, 1, 0, "20 21 22 ");
    put_process(20, 10, 100, 0, "");
    put_process(21, 10, 50, 0, "");
    put_process(22, 10, 10, 0, "");
    struct tree *t = tree_new(fakeroot, 2);
    tree_add(t, 10);
    assert_int_equal(tree_read(t)->cpu_ns, 161 * TICK_NS);

    fakeroot_drop("/proc/20"); /* waited for at once, with 5 ticks more */
    put_process(10, 1, 1, 105, "21 22 ");
    assert_int_equal(tree_read(t)->cpu_ns, 166 * TICK_NS);
    assert_int_equal(tree_read(t)->cpu_ns, 166 * TICK_NS);

    fakeroot_drop("/proc/21"); /* not yet */
    put_process(22, 10, 12, 0, "");
    assert_int_equal(tree_read(t)->cpu_ns, 168 * TICK_NS);
    put_process(10, 1, 1, 105 + 51 + 4, "22 "); /* now, and one that nobody saw */
    assert_int_equal(tree_read(t)->cpu_ns, 173 * TICK_NS);

    fakeroot_drop("/proc/22"); /* never */
    put_process(10, 1, 2, 160, "");
    assert_int_equal(tree_read(t)->cpu_ns, 174 * TICK_NS);
    assert_int_equal(tree_read(t)->processes, 1);
    tree_free(t);
}

/* A family ends between two readings, the child first and waited for. */
static void test_family_ends(void **state)
{
    (void)state;
    put_process(10, 1, 1, 0, "20 ");
    put_process(20, 10, 10, 0, "30 ");
    put_process(30, 20, 20, 0, "");
    struct tree *t = tree_new(fakeroot, 2);
    tree_add(t, 10);
    assert_int_equal(tree_read(t)->cpu_ns, 31 * TICK_NS);
    fakeroot_drop("/proc/20");
    fakeroot_drop("/proc/30");
    put_process(10, 1, 1, 33, "");
    assert_int_equal(tree_read(t)->cpu_ns, 34 * TICK_NS);
    assert_int_equal(tree_read(t)->cpu_ns, 34 * TICK_NS);
    tree_free(t);
}

/* A process whose parent ended stays; the root's end leaves what it used; its number taken over by
 * another is not it. */
static void test_root_ends(void **state)
{
    (void)state;
    put_process(10, 1, 10, 0, "20 ");
    put_process(20, 10, 20, 0, "");
    struct tree *t = tree_new(fakeroot, 2);
    tree_add(t, 10);
    assert_int_equal(tree_read(t)->cpu_ns, 30 * TICK_NS);
    fakeroot_drop("/proc/10");
    put_process(20, 1, 25, 0, "");
    assert_int_equal(tree_read(t)->cpu_ns, 35 * TICK_NS);
    assert_int_equal(tree_read(t)->processes, 1);
    fakeroot_drop("/proc/20");
    fakeroot_put("/proc/20/stat",
                 "20 (x) S 1 1 1 0 -1 0 0 0 0 0 500 0 0 0 20 0 1 0 77 9 9 9 9 9 9 9 "
                 "9 9 9 9 9 9 0 0 17 1 0\n");
    assert_int_equal(tree_read(t)->cpu_ns, 35 * TICK_NS);
    assert_int_equal(tree_read(t)->processes, 0);
    tree_free(t);
}

static void burn(uint64_t ns)
{
    while (clock_thread_cpu_ns() < ns)
        ;
}

/* A real process whose children burn 50 ms each and end, seen alive or not: all of it is counted, and
 * as much as the kernel says that they used. */
static void test_real(void **state)
{
    (void)state;
    enum { CHILDREN = 6 };
    const uint64_t each_ns = 50 * NS_PER_MS;
    int go[2], done[2];
    char byte = 0;
    assert_int_equal(pipe(go) | pipe(done), 0);
    pid_t root = fork();
    if (root == 0) {
        close(go[1]); /* its end is the test's */
        close(done[0]);
        for (int i = 0; i < CHILDREN; i++) {
            if (read(go[0], &byte, 1) != 1)
                _exit(1);
            pid_t child = fork();
            if (child == 0) {
                burn(each_ns);
                _exit(0);
            }
            waitpid(child, NULL, 0);
            if (write(done[1], &byte, 1) != 1)
                _exit(1);
        }
        (void)!read(go[0], &byte, 1);
        _exit(0);
    }
    struct tree *t = tree_new("", 64);
    tree_add(t, root);
    uint64_t first_ns = tree_read(t)->cpu_ns, last_ns = first_ns;
    for (int i = 0; i < CHILDREN; i++) {
        assert_int_equal(write(go[1], &byte, 1), 1);
        for (int k = 0; i % 2 && k < 20; k++) { /* every other one is watched */
            uint64_t now_ns = tree_read(t)->cpu_ns;
            assert_true(now_ns >= last_ns);
            last_ns = now_ns;
        }
        assert_int_equal(read(done[0], &byte, 1), 1);
    }
    uint64_t used_ns = tree_read(t)->cpu_ns - first_ns;
    assert_true(used_ns >= CHILDREN * each_ns - 2 * TICK_NS);
    assert_true(used_ns <= CHILDREN * each_ns + 100 * NS_PER_MS);
    assert_true(tree_rss_bytes(t) > 4096);
    assert_true(tree_fds(t) >= 4);
    close(go[1]);
    close(go[0]);
    waitpid(root, NULL, 0);
    assert_int_equal(tree_read(t)->processes, 0);
    close(done[0]);
    close(done[1]);
    tree_free(t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fakeroot_make, fakeroot_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_found_by_lists), TEST(test_found_by_parents), TEST(test_child_ends),
        TEST(test_family_ends),    TEST(test_root_ends),        TEST(test_real),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
