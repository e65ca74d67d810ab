#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/cpus.h"
#include "lab/pinning.h"

/* What a machine looks like: CPUs in the mask, and which core each belongs to. */
struct machine {
    cpu_set_t given;
    int siblings[CPU_SETSIZE];
};

static struct machine machine_without_smt(int cpus)
{
    struct machine m;
    CPU_ZERO(&m.given);
    for (int i = 0; i < CPU_SETSIZE; i++)
        m.siblings[i] = i;
    for (int i = 0; i < cpus; i++)
        CPU_SET(i, &m.given);
    return m;
}

/* As Linux numbers them mostly: the second threads come after all first ones. */
static struct machine machine_with_smt(int cpus)
{
    struct machine m = machine_without_smt(cpus);
    for (int i = 0; i < cpus; i++)
        m.siblings[i] = i % (cpus / 2);
    return m;
}

static void assert_shared(const struct machine *m, bool is_pinned, const char *text)
{
    struct pinning p;
    memset(&p, 0xff, sizeof p);
    pinning_share(&m->given, m->siblings, &p);
    assert_string_equal(p.text, text);
    assert_int_equal(p.is_pinned, is_pinned);
    assert_memory_equal(&p.upstream, &p.client, sizeof p.client);
    cpu_set_t both;
    CPU_AND(&both, &p.target, &p.client);
    assert_int_equal(CPU_COUNT(&both), 0);
}

/* One CPU: nothing is pinned and the text says why. */
static void test_one_cpu(void **state)
{
    (void)state;
    struct machine m = machine_without_smt(1);
    assert_shared(&m, false, "not pinned: only CPU 0 may be used, so target and client share it");
    CPU_CLR(0, &m.given);
    CPU_SET(5, &m.given);
    assert_shared(&m, false, "not pinned: only CPU 5 may be used, so target and client share it");
}

/* Two CPUs: one each, services fit themselves in; said if they are threads of one core. */
static void test_two_cpus(void **state)
{
    (void)state;
    struct machine plain = machine_without_smt(2), smt = machine_with_smt(2);
    assert_shared(&plain, true, "target 0, client 1, services unpinned");
    assert_shared(&smt, true, "target 0, client 1, services unpinned (threads of one core)");
}

/* Published proportions without SMT: 2, 2 and 12 of 16, never less than one. */
static void test_proportions(void **state)
{
    (void)state;
    static const struct {
        int cpus;
        const char *text;
    } cases[] = {
        {3, "target 0, client 1, services 2"},
        {4, "target 0, client 1, services 2-3"},
        {8, "target 0, client 1, services 2-7"},
        {16, "target 0-1, client 2-3, services 4-15"},
        {64, "target 0-7, client 8-15, services 16-63"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct machine m = machine_without_smt(cases[i].cpus);
        assert_shared(&m, true, cases[i].text);
    }
}

/* With SMT both threads of a core go to the same party. */
static void test_smt(void **state)
{
    (void)state;
    static const struct {
        int cpus;
        const char *text;
    } cases[] = {
        {4, "target 0,2, client 1,3, services unpinned"},
        {8, "target 0,4, client 1,5, services 2-3,6-7"},
        {16, "target 0,8, client 1,9, services 2-7,10-15"},
        {32, "target 0-1,16-17, client 2-3,18-19, services 4-15,20-31"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct machine m = machine_with_smt(cases[i].cpus);
        assert_shared(&m, true, cases[i].text);
    }
}

/* A mask with holes that cuts cores in half: what is left of a core still stays together. */
static void test_odd_mask(void **state)
{
    (void)state;
    struct machine m = machine_with_smt(16);
    CPU_ZERO(&m.given);
    static const int cpus[] = {3, 5, 6, 11, 14};
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++)
        CPU_SET(cpus[i], &m.given);
    assert_shared(&m, true, "target 3,11, client 5, services 6,14");
    assert_int_equal(pinning_core_count(&m.given, m.siblings), 3);
}

/* "none" pins nothing; "auto" stays within the mask of this process. */
static void test_choose_words(void **state)
{
    (void)state;
    struct pinning p;
    struct fail f;
    assert_true(pinning_choose("none", &p, &f));
    assert_false(p.is_pinned);
    assert_string_equal(p.text, "not pinned");
    assert_int_equal(CPU_COUNT(&p.target) + CPU_COUNT(&p.client) + CPU_COUNT(&p.services), 0);

    assert_true(pinning_choose("auto", &p, &f));
    cpu_set_t all;
    CPU_OR(&all, &p.target, &p.client);
    CPU_OR(&all, &all, &p.services);
    CPU_OR(&all, &all, cpus_given());
    assert_int_equal(CPU_COUNT(&all), CPU_COUNT(cpus_given()));
    assert_int_equal(p.is_pinned, CPU_COUNT(cpus_given()) > 1);
}

/* TARGET/CLIENT is taken as said, services are then unpinned. */
static void test_choose_parties(void **state)
{
    (void)state;
    if (CPU_COUNT(cpus_given()) < 2)
        skip();
    int a = cpus_nth(cpus_given(), 0), b = cpus_nth(cpus_given(), 1);
    char how[64], expected[128];
    struct pinning p;
    struct fail f;
    snprintf(how, sizeof how, "%d/%d", b, a);
    snprintf(expected, sizeof expected, "target %d, client %d, services unpinned", b, a);
    assert_true(pinning_choose(how, &p, &f));
    assert_string_equal(p.text, expected);
    snprintf(how, sizeof how, "%d/%d/%d", b, a, b);
    snprintf(expected, sizeof expected, "target %d, client %d, services %d", b, a, b);
    assert_true(pinning_choose(how, &p, &f));
    assert_string_equal(p.text, expected);
}

/* What cannot be is refused with the reason. */
static void test_choose_refused(void **state)
{
    (void)state;
    static const struct {
        const char *how, *part;
        enum exit_code exit;
    } cases[] = {
        {"0/0", "core 0 is given to both target and client", EXIT_USAGE},
        {"/0", "core list of the target is empty", EXIT_USAGE},
        {"0/", "core list of the client is empty", EXIT_USAGE},
        {"0/1000", "cores of the client: ", EXIT_LACKING},
        {"automatic", "expected auto, none, a core list, or TARGET/CLIENT[/SERVICES]", EXIT_USAGE},
        {"", "expected auto", EXIT_USAGE},
        {"0", "one CPU, too few for target and client", EXIT_USAGE},
    };
    struct pinning p;
    struct fail f;
    if (!CPU_ISSET(0, cpus_given()))
        skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(pinning_choose(cases[i].how, &p, &f));
        assert_int_equal(f.exit, cases[i].exit);
        if (!strstr(f.text, cases[i].part))
            fail_msg("\"%s\" gave: %s", cases[i].how, f.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_cpu),        cmocka_unit_test(test_two_cpus),
        cmocka_unit_test(test_proportions),    cmocka_unit_test(test_smt),
        cmocka_unit_test(test_odd_mask),       cmocka_unit_test(test_choose_words),
        cmocka_unit_test(test_choose_parties), cmocka_unit_test(test_choose_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
