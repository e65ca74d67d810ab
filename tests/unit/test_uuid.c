#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/uuid.h"

#define COUNT 20000

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, UUID_TEXT_BYTES);
}

static unsigned duplicates(char (*ids)[UUID_TEXT_BYTES], unsigned count)
{
    unsigned found = 0;
    qsort(ids, count, sizeof *ids, compare);
    for (unsigned i = 1; i < count; i++)
        found += !memcmp(ids[i - 1], ids[i], sizeof *ids);
    return found;
}

/* 8-4-4-4-12 lower-case hexadecimal digits, version 4, variant 8 to b; not a byte beyond. */
static void test_form(void **state)
{
    (void)state;
    for (int n = 0; n < COUNT; n++) {
        char text[UUID_TEXT_BYTES + 1];
        text[UUID_TEXT_BYTES] = '!';
        uuid_v4(text);
        assert_int_equal(text[UUID_TEXT_BYTES], '!');
        for (int i = 0; i < UUID_TEXT_BYTES; i++) {
            const char *allowed = i == 8 || i == 13 || i == 18 || i == 23 ? "-"
                                  : i == 14                               ? "4"
                                  : i == 19                               ? "89ab"
                                                                          : "0123456789abcdef";
            assert_true(text[i] && strchr(allowed, text[i]));
        }
    }
}

/* Every digit that is free takes every value: no byte of the pool is left out or used twice. */
static void test_spread(void **state)
{
    (void)state;
    static unsigned seen[UUID_TEXT_BYTES][128];
    for (int n = 0; n < COUNT; n++) {
        char text[UUID_TEXT_BYTES];
        uuid_v4(text);
        for (int i = 0; i < UUID_TEXT_BYTES; i++)
            seen[i][(unsigned char)text[i]]++;
    }
    for (int i = 0; i < UUID_TEXT_BYTES; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23 || i == 14)
            continue;
        const char *digits = i == 19 ? "89ab" : "0123456789abcdef";
        double expected = (double)COUNT / (double)strlen(digits);
        for (const char *d = digits; *d; d++) /* six deviations and more */
            assert_true(seen[i][(int)*d] > 0.8 * expected && seen[i][(int)*d] < 1.2 * expected);
    }
}

static void *draw(void *ids)
{
    char(*at)[UUID_TEXT_BYTES] = ids;
    for (int i = 0; i < COUNT; i++)
        uuid_v4(at[i]);
    return NULL;
}

/* Threads never draw the same id. */
static void test_threads(void **state)
{
    (void)state;
    static char ids[4 * COUNT][UUID_TEXT_BYTES];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, draw, ids[i * COUNT]), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(duplicates(ids, 4 * COUNT), 0);
}

/* A child that forks off in the middle of a pool does not repeat what its parent draws from it. */
static void test_fork(void **state)
{
    (void)state;
    enum { EACH = 300 };
    static char ids[2 * EACH][UUID_TEXT_BYTES];
    int ends[2], status;
    uuid_v4(ids[0]); /* the pool is full, less one */
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    for (int i = 0; i < EACH; i++)
        uuid_v4(ids[i]);
    if (child == 0)
        _exit(write(ends[1], ids, sizeof ids / 2) != (ssize_t)sizeof ids / 2);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(read(ends[0], ids + EACH, sizeof ids / 2), sizeof ids / 2);
    assert_int_equal(duplicates(ids, 2 * EACH), 0);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
