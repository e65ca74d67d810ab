/* The embedded cache: values come back, expire, are replaced, and make room for newer ones. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <cmocka.h>

#include "base/clock.h"
#include "storage/cache_memory.h"

static const struct ring_config ring = {.entries = 64, .completions = 64};

struct bench {
    struct cache_memory *memory;
    struct loop loop;
    struct cache *cache;
};

static struct bench bench_open(void)
{
    return (struct bench){.memory = cache_memory_new()};
}

static void bench_attach(struct bench *b)
{
    struct fail f;
    if (!loop_open(&b->loop, &ring, &f))
        fail_msg("%s", f.text);
    b->cache = cache_memory_attach(b->memory, &b->loop);
}

static void bench_close(struct bench *b)
{
    cache_close(b->cache);
    loop_close(&b->loop);
    b->cache->ops->free(b->cache);
    cache_memory_free(b->memory);
}

static unsigned outcomes[STORE_OUTCOMES];
static bool is_setting;

static void answered(struct cache_set *s, enum store_outcome outcome)
{
    (void)s;
    if (is_setting)
        abort(); /* done was called from within cache_set() */
    outcomes[outcome]++;
}

static void key_of(unsigned number, char key[UUID_TEXT_BYTES])
{
    char text[UUID_TEXT_BYTES + 1];
    snprintf(text, sizeof text, "%08x-0000-4000-8000-000000000000", number);
    memcpy(key, text, UUID_TEXT_BYTES);
}

static enum store_outcome set_value(struct bench *b, unsigned number, struct span value)
{
    struct cache_set s = {.value = value, .done = answered};
    memset(outcomes, 0, sizeof outcomes);
    key_of(number, s.key);
    is_setting = true;
    cache_set(b->cache, &s);
    is_setting = false;
    loop_turn(&b->loop, 0);
    for (int outcome = 0; outcome < STORE_OUTCOMES; outcome++)
        if (outcomes[outcome])
            return (enum store_outcome)outcome;
    fail_msg("the set was not answered in the next turn");
    return STORE_UNKNOWN;
}

static int get_value(struct bench *b, unsigned number, uint64_t now_ns, char *value)
{
    char key[UUID_TEXT_BYTES];
    key_of(number, key);
    return cache_memory_get(b->memory, key, now_ns, value);
}

/* A value comes back, a replaced one as its replacement, and none under another key. */
static void keeps_values(void **state)
{
    struct bench b = bench_open();
    char value[CACHE_VALUE_BYTES];
    (void)state;
    bench_attach(&b);
    assert_int_equal(set_value(&b, 1, SPAN("first")), STORE_DONE);
    assert_int_equal(set_value(&b, 2, SPAN("")), STORE_DONE);
    assert_int_equal(get_value(&b, 1, clock_ns(), value), 5);
    assert_memory_equal(value, "first", 5);
    assert_int_equal(get_value(&b, 2, clock_ns(), value), 0);
    assert_int_equal(get_value(&b, 3, clock_ns(), value), -1);
    assert_int_equal(set_value(&b, 1, SPAN("second")), STORE_DONE);
    assert_int_equal(get_value(&b, 1, clock_ns(), value), 6);
    assert_memory_equal(value, "second", 6);
    assert_int_equal(b.cache->counters.outcomes[STORE_DONE], 3);
    assert_int_equal(b.cache->counters.in_flight, 0);
    bench_close(&b);
}

/* A value is there for 20 seconds and no longer. */
static void expires(void **state)
{
    struct bench b = bench_open();
    char value[CACHE_VALUE_BYTES];
    (void)state;
    bench_attach(&b);
    uint64_t before_ns = clock_ns();
    set_value(&b, 1, SPAN("short-lived"));
    assert_int_equal(get_value(&b, 1, before_ns + CACHE_EXPIRY_S * NS_PER_S - 1, value), 11);
    assert_int_equal(get_value(&b, 1, clock_ns() + CACHE_EXPIRY_S * NS_PER_S, value), -1);
    bench_close(&b);
}

/* A value that is too long is refused. */
static void refuses_long_values(void **state)
{
    struct bench b = bench_open();
    char value[CACHE_VALUE_BYTES + 1] = "";
    (void)state;
    bench_attach(&b);
    assert_int_equal(set_value(&b, 1, (struct span){value, CACHE_VALUE_BYTES}), STORE_DONE);
    assert_int_equal(set_value(&b, 2, (struct span){value, sizeof value}), STORE_REFUSED);
    bench_close(&b);
}

/* Twice what fits: the newest are all there and whole, the oldest are gone. */
static void forgets_the_oldest(void **state)
{
    struct bench b = bench_open();
    static char value[CACHE_VALUE_BYTES], got[CACHE_VALUE_BYTES];
    const unsigned count = 2 * CACHE_MEMORY_BYTES / 5000;
    unsigned kept = 0;
    (void)state;
    bench_attach(&b);
    for (unsigned i = 0; i < count; i++) {
        memset(value, 'a' + (int)(i % 26), 5000);
        assert_int_equal(set_value(&b, i, (struct span){value, 5000 - i % 100}), STORE_DONE);
    }
    for (unsigned i = 0; i < count; i++) {
        int bytes = get_value(&b, i, clock_ns(), got);
        if (i < count / 10)
            assert_int_equal(bytes, -1);
        if (i > count - count / 4)
            assert_true(bytes >= 0);
        if (bytes < 0)
            continue;
        kept++;
        assert_int_equal(bytes, 5000 - i % 100);
        assert_int_equal(got[0], 'a' + (int)(i % 26));
        assert_int_equal(got[bytes - 1], 'a' + (int)(i % 26));
    }
    assert_true(kept > count / 2 - count / 20 && kept <= count / 2 + count / 20);
    bench_close(&b);
}

static void *set_many(void *arg)
{
    struct bench b = {.memory = arg};
    struct cache_set *sets = calloc(1000, sizeof *sets);
    bench_attach(&b);
    for (unsigned i = 0; i < 1000; i++) {
        sets[i] = (struct cache_set){.value = SPAN("from a thread"), .done = answered};
        key_of(i, sets[i].key);
        cache_set(b.cache, &sets[i]);
    }
    cache_close(b.cache);
    loop_close(&b.loop);
    b.cache->ops->free(b.cache);
    free(sets);
    return NULL;
}

/* Threads share one cache. The answers' count is not looked at: it is shared without a lock. */
static void is_shared_by_threads(void **state)
{
    struct cache_memory *m = cache_memory_new();
    struct bench b = {.memory = m};
    char value[CACHE_VALUE_BYTES];
    pthread_t other;
    (void)state;
    pthread_create(&other, NULL, set_many, m);
    for (unsigned i = 0; i < 1000; i++)
        (void)get_value(&b, i, clock_ns(), value);
    pthread_join(other, NULL);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(get_value(&b, i, clock_ns(), value), 13);
    cache_memory_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_values),         cmocka_unit_test(expires),
        cmocka_unit_test(refuses_long_values),  cmocka_unit_test(forgets_the_oldest),
        cmocka_unit_test(is_shared_by_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
