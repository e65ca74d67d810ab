#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <pthread.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cpus.h"

/* The core that main() takes out of this process's mask; -1 where there is only one. */
static int excluded = -1;

static cpu_set_t set_of(const int *cpus, int count)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < count; i++)
        CPU_SET(cpus[i], &set);
    return set;
}

/* Sets are printed as ranges, lone cores as themselves, nothing as nothing. */
static void test_text(void **state)
{
    (void)state;
    char out[CPUS_TEXT_BYTES];
    cpu_set_t set = set_of((int[]){0, 1, 2, 3, 6, 8, 9, 1022, 1023}, 9);
    assert_string_equal(cpus_text(&set, out), "0-3,6,8-9,1022-1023");
    set = set_of(NULL, 0);
    assert_string_equal(cpus_text(&set, out), "");
    set = set_of((int[]){5}, 1);
    assert_string_equal(cpus_text(&set, out), "5");
}

/* A set too scattered for the room is cut where a core ends, and says so. */
static void test_text_cut(void **state)
{
    (void)state;
    char out[CPUS_TEXT_BYTES];
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu += 2)
        CPU_SET(cpu, &set);
    cpus_text(&set, out);
    assert_true(strlen(out) < sizeof out);
    assert_string_equal(out + strlen(out) - 4, ",...");
    assert_memory_equal(out, "0,2,4,6,8,10,", 13);
}

/* The i-th core counts only those in the set. */
static void test_nth(void **state)
{
    (void)state;
    cpu_set_t set = set_of((int[]){1, 4, 1023}, 3);
    assert_int_equal(cpus_nth(&set, 0), 1);
    assert_int_equal(cpus_nth(&set, 1), 4);
    assert_int_equal(cpus_nth(&set, 2), 1023);
    assert_int_equal(cpus_nth(&set, 3), -1);
}

/* The given mask, printed, reads back as itself; so does each single core, in any order and twice.
 */
static void test_parse(void **state)
{
    (void)state;
    char text[CPUS_TEXT_BYTES];
    struct fail f;
    cpu_set_t set;
    assert_true(CPU_COUNT(cpus_given()) > 0);
    assert_true(cpus_parse(cpus_text(cpus_given(), text), &set, &f));
    assert_true(CPU_EQUAL(&set, cpus_given()));

    int first = cpus_nth(cpus_given(), 0);
    int last = cpus_nth(cpus_given(), CPU_COUNT(cpus_given()) - 1);
    snprintf(text, sizeof text, "%d,%d,%d-%d", last, first, last, last);
    assert_true(cpus_parse(text, &set, &f));
    cpu_set_t expected = set_of((int[]){first, last}, 2);
    assert_true(CPU_EQUAL(&set, &expected));
}

/* Anything that is not a list of numbers and rising ranges is refused with an example. */
static void test_syntax(void **state)
{
    (void)state;
    static const char *const bad[] = {"",     ",",   "0,",  ",0",   "a",   "0-",         "-1",
                                      "0--1", "1-0", "0 ",  "0, 1", "0;1", "0-1-2",      "+0",
                                      "0x1",  "0-x", "all", "0:1",  "1.5", "99999999999"};
    struct fail f;
    cpu_set_t set;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(cpus_parse(bad[i], &set, &f));
        assert_int_equal(f.exit, EXIT_USAGE);
        assert_non_null(strstr(f.text, "is not a core list: expected one such as 0-3,6"));
    }
}

/* Cores that the machine lacks are named, with those that may be used. */
static void test_no_such_core(void **state)
{
    (void)state;
    char text[64], expected[512], usable[CPUS_TEXT_BYTES];
    struct fail f;
    cpu_set_t set;
    long count = sysconf(_SC_NPROCESSORS_CONF);
    cpus_text(cpus_given(), usable);
    const long missing[] = {count, CPU_SETSIZE, UINT32_MAX};
    for (unsigned i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "%d,%ld", cpus_nth(cpus_given(), 0), missing[i]);
        snprintf(expected, sizeof expected, "this machine has no core %ld: expected cores of %s",
                 missing[i], usable);
        assert_false(cpus_parse(text, &set, &f));
        assert_string_equal(f.text, expected);
        assert_int_equal(f.exit, EXIT_LACKING);
    }
}

/* A core that is there but not in the mask is refused as such. */
static void test_excluded_core(void **state)
{
    (void)state;
    char text[64], expected[512], usable[CPUS_TEXT_BYTES];
    struct fail f;
    cpu_set_t set;
    if (excluded < 0)
        skip();
    cpus_text(cpus_given(), usable);
    snprintf(text, sizeof text, "%d", excluded);
    snprintf(expected, sizeof expected,
             "core %d is outside the affinity mask of this process: expected cores of %s", excluded,
             usable);
    assert_false(cpus_parse(text, &set, &f));
    assert_string_equal(f.text, expected);
    assert_int_equal(f.exit, EXIT_LACKING);
}

static void *pin_and_ask(void *ok)
{
    int cpu = cpus_nth(cpus_given(), 0);
    cpu_set_t now, only = set_of(&cpu, 1);
    *(bool *)ok = cpus_pin(cpu) && !sched_getaffinity(0, sizeof now, &now) &&
                  CPU_EQUAL(&now, &only) && cpus_pin_set(cpus_given()) &&
                  !sched_getaffinity(0, sizeof now, &now) && CPU_EQUAL(&now, cpus_given());
    return NULL;
}

/* Pinning binds the calling thread only, and does not change what counts as given. */
static void test_pin(void **state)
{
    (void)state;
    cpu_set_t before = *cpus_given(), now;
    bool ok = false;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, pin_and_ask, &ok), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(ok);
    assert_true(CPU_EQUAL(&before, cpus_given()));
    assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
    assert_true(CPU_EQUAL(&before, &now));
    assert_false(cpus_pin(CPU_SETSIZE - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),          cmocka_unit_test(test_text_cut),
        cmocka_unit_test(test_nth),           cmocka_unit_test(test_parse),
        cmocka_unit_test(test_syntax),        cmocka_unit_test(test_no_such_core),
        cmocka_unit_test(test_excluded_core), cmocka_unit_test(test_pin),
    };
    /* Before anything asks for the mask, which is read once. */
    cpu_set_t mask;
    if (!sched_getaffinity(0, sizeof mask, &mask) && CPU_COUNT(&mask) > 1) {
        excluded = cpus_nth(&mask, CPU_COUNT(&mask) - 1);
        CPU_CLR(excluded, &mask);
        if (sched_setaffinity(0, sizeof mask, &mask))
            excluded = -1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
