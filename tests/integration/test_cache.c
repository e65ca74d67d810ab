/* The memcached cache against real servers, started and hurt by pytest (test_storage.py):
 * IUBENCH_TEST_MEMCACHED is what --memcached would be, IUBENCH_TEST_ORACLE the same servers as a
 * configuration of libmemcached, which reads back what was set. An argument selects a test. Run
 * alone it is skipped. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libmemcached/memcached.h>

#include "base/clock.h"
#include "lib/control.h"
#include "net/loop.h"
#include "net/worker.h"
#include "storage/storage.h"

enum { UNDER_WAY = 64, SETS_MOST = 400000 };

static const struct ring_config ring = {
    .entries = 256, .completions = 4096, .buffers = 64, .buffer_bytes = 4096};

/* --- a cache on the test's own loop, and many sets --- */

struct bench {
    struct storage_config config;
    struct storage *storage;
    struct loop loop;
    struct store *store;
    struct cache *cache;
    struct fail fail;
};

static void configure(struct bench *b)
{
    *b = (struct bench){.config = STORAGE_CONFIG_DEFAULT};
    b->config.store = "none";
    b->config.memcached = getenv("IUBENCH_TEST_MEMCACHED");
}

static void open_bench(struct bench *b)
{
    b->storage = storage_open(&b->config, 1, &b->fail);
    if (!b->storage || !loop_open(&b->loop, &ring, &b->fail) ||
        !storage_attach(b->storage, &b->loop, 0, &b->store, &b->cache, &b->fail))
        fail_msg("%s", b->fail.text);
    assert_null(b->store);
    assert_non_null(b->cache);
}

static void close_bench(struct bench *b)
{
    cache_close(b->cache);
    loop_close(&b->loop);
    storage_free(b->storage);
}

struct item {
    struct cache_set set;
    struct crowd *crowd;
    char value[32];
    bool is_answered;
};

struct crowd {
    struct cache *cache;
    struct item *items;
    unsigned used, under_way;
    unsigned outcomes[STORE_OUTCOMES];
    enum store_outcome last;
    bool is_setting;
};

static void answered(struct cache_set *s, enum store_outcome outcome)
{
    struct item *item = (struct item *)((char *)s - offsetof(struct item, set));
    struct crowd *c = item->crowd;
    if (c->is_setting || item->is_answered)
        abort(); /* from within cache_set(), or twice */
    item->is_answered = true;
    s->outcome = outcome;
    c->outcomes[outcome]++;
    c->last = outcome;
    c->under_way--;
}

static struct item *set_value(struct crowd *c, struct span value)
{
    struct item *item = &c->items[c->used++];
    if (c->used > SETS_MOST)
        abort();
    item->crowd = c;
    item->set = (struct cache_set){.value = value, .done = answered};
    uuid_v4(item->set.key);
    c->under_way++;
    c->is_setting = true;
    cache_set(c->cache, &item->set);
    c->is_setting = false;
    return item;
}

static struct item *set_next(struct crowd *c)
{
    struct item *item = &c->items[c->used];
    snprintf(item->value, sizeof item->value, "{\"id\":%u}", c->used);
    return set_value(c, span_of(item->value));
}

static struct crowd crowd_of(struct cache *cache)
{
    struct crowd c = {.cache = cache, .items = calloc(SETS_MOST, sizeof *c.items)};
    assert_non_null(c.items);
    return c;
}

/* One turn with UNDER_WAY sets under way; at a cache that says UNAVAILABLE it only knocks. */
static void turn(struct crowd *c)
{
    if (c->last == STORE_UNAVAILABLE) {
        loop_turn(c->cache->loop, 2 * NS_PER_MS);
        set_next(c);
    } else {
        while (c->under_way < UNDER_WAY)
            set_next(c);
    }
    loop_turn(c->cache->loop, 100 * NS_PER_MS);
}

static void drain(struct crowd *c)
{
    uint64_t end_ns = clock_ns() + 20 * NS_PER_S;
    while (c->under_way) {
        loop_turn(c->cache->loop, 100 * NS_PER_MS);
        if (clock_ns() > end_ns)
            fail_msg("%u sets were never answered", c->under_way);
    }
}

static void turn_until(struct crowd *c, enum store_outcome outcome, unsigned more)
{
    unsigned wanted = c->outcomes[outcome] + more;
    uint64_t end_ns = clock_ns() + 20 * NS_PER_S;
    while (c->outcomes[outcome] < wanted) {
        turn(c);
        if (clock_ns() > end_ns)
            fail_msg("outcome %d did not come: %u done, %u unavailable, %u unknown, %u refused",
                     outcome, c->outcomes[0], c->outcomes[1], c->outcomes[2], c->outcomes[3]);
    }
}

static void assert_sums(const struct cache *cache)
{
    const struct store_counters *c = &cache->counters;
    uint64_t sum = c->in_flight;
    for (int i = 0; i < STORE_OUTCOMES; i++)
        sum += c->outcomes[i];
    assert_int_equal(sum, c->inserts);
    assert_int_equal(c->latency->count, c->outcomes[STORE_DONE]);
}

/* --- the oracle: libmemcached's own client --- */

static memcached_st *oracle_open(void)
{
    const char *text = getenv("IUBENCH_TEST_ORACLE");
    memcached_st *oracle = memcached(text, strlen(text));
    assert_non_null(oracle);
    if (strstr(getenv("IUBENCH_TEST_MEMCACHED"), "/?"))
        memcached_behavior_set(oracle, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1);
    return oracle;
}

static bool is_there(memcached_st *oracle, const struct item *item)
{
    size_t len;
    uint32_t flags;
    memcached_return_t error;
    char *value = memcached_get(oracle, item->set.key, UUID_TEXT_BYTES, &len, &flags, &error);
    if (error == MEMCACHED_NOTFOUND)
        return false;
    assert_int_equal(error, MEMCACHED_SUCCESS);
    assert_int_equal(flags, 0);
    assert_int_equal(len, item->set.value.len);
    assert_memory_equal(value ? value : "", item->set.value.data, len); /* NULL when empty */
    free(value);
    return true;
}

/* Every set from `from` on that was confirmed is read back; returns how many. */
static unsigned compare(const struct crowd *c, unsigned from)
{
    unsigned found = 0;
    memcached_st *oracle = oracle_open();
    for (unsigned i = from; i < c->used; i++) {
        const struct item *item = &c->items[i];
        if (item->set.outcome == STORE_DONE) {
            assert_true(is_there(oracle, item));
            found++;
        } else if (item->set.outcome != STORE_UNKNOWN) {
            assert_false(is_there(oracle, item));
        }
    }
    memcached_free(oracle);
    return found;
}

/* --- the suite --- */

/* What is confirmed is found by libmemcached's client, on the server where it looks for it. */
static void reads_back(void **state)
{
    struct bench b;
    char value[CACHE_VALUE_BYTES + 1];
    (void)state;
    configure(&b);
    open_bench(&b);
    struct crowd c = crowd_of(b.cache);
    memset(value, 'v', sizeof value);
    for (int i = 0; i < 3000; i++)
        set_next(&c);
    set_value(&c, (struct span){value, CACHE_VALUE_BYTES});
    set_value(&c, SPAN(""));
    set_value(&c, SPAN("MN\r\nms x\r\n"));
    struct item *long_one = set_value(&c, (struct span){value, sizeof value});
    drain(&c);
    assert_int_equal(long_one->set.outcome, STORE_REFUSED);
    assert_int_equal(c.outcomes[STORE_DONE], 3003);
    assert_int_equal(compare(&c, 0), 3003);
    assert_sums(b.cache);
    assert_int_equal(b.cache->counters.connections, b.cache->counters.pool);
    printf("key %.36s\n", c.items[0].set.key); /* for its expiry to be looked at */
    free(c.items);
    close_bench(&b);
}

struct part {
    struct worker worker;
    struct storage *storage;
    struct crowd crowd;
    unsigned index;
    struct task top_up;
};

static void top_up(struct task *t)
{
    struct part *p = (struct part *)((char *)t - offsetof(struct part, top_up));
    while (p->crowd.under_way < UNDER_WAY && p->crowd.used < 5000)
        set_next(&p->crowd);
    if (p->crowd.under_way)
        loop_defer(&p->worker.loop, t);
    else
        loop_stop(&p->worker.loop);
}

static bool part_begin(struct worker *w, struct fail *f)
{
    struct part *p = w->arg;
    struct store *store;
    if (!storage_attach(p->storage, &w->loop, p->index, &store, &p->crowd.cache, f))
        return false;
    p->top_up.run = top_up;
    loop_defer(&w->loop, &p->top_up);
    return true;
}

static void part_end(struct worker *w)
{
    struct part *p = w->arg;
    cache_close(p->crowd.cache);
}

/* Two loops on two threads set 10 000 values between them. */
static void serves_two_loops(void **state)
{
    struct bench b;
    struct part parts[2] = {0};
    (void)state;
    configure(&b);
    b.storage = storage_open(&b.config, 2, &b.fail);
    assert_non_null(b.storage);
    for (unsigned i = 0; i < 2; i++) {
        struct part *p = &parts[i];
        p->storage = b.storage;
        p->index = i;
        p->crowd = crowd_of(NULL);
        p->worker = (struct worker){
            .name = "part", .ring = ring, .begin = part_begin, .end = part_end, .arg = p};
        if (!worker_start(&p->worker, &b.fail))
            fail_msg("%s", b.fail.text);
    }
    for (int i = 0; i < 2; i++)
        worker_join(&parts[i].worker);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(parts[i].crowd.outcomes[STORE_DONE], 5000);
        assert_int_equal(compare(&parts[i].crowd, 0), 5000);
        assert_sums(parts[i].crowd.cache);
        free(parts[i].crowd.items);
    }
    storage_free(b.storage);
}

/* A cache that closes answers what is under way. */
static void answers_when_it_closes(void **state)
{
    struct bench b;
    (void)state;
    configure(&b);
    open_bench(&b);
    struct crowd c = crowd_of(b.cache);
    for (int i = 0; i < 300; i++)
        set_next(&c);
    loop_turn(&b.loop, 0);
    for (int i = 0; i < 300; i++)
        set_next(&c);
    cache_close(b.cache);
    assert_int_equal(c.under_way, 0);
    assert_sums(b.cache);
    for (int i = 0; i < 3; i++) /* late completions find nothing to break */
        loop_turn(&b.loop, 10 * NS_PER_MS);
    loop_close(&b.loop);
    storage_free(b.storage);
    compare(&c, 0);
    free(c.items);
}

static void survives(const char *hurt, const char *mend, uint64_t timeout_ns)
{
    struct bench b;
    unsigned from = 0;
    configure(&b);
    b.config.timeout_ns = timeout_ns;
    open_bench(&b);
    struct crowd c = crowd_of(b.cache);
    for (int round = 0; round < 3; round++) {
        turn_until(&c, STORE_DONE, 2000);
        control(hurt);
        uint64_t hurt_ns = clock_ns();
        turn_until(&c, STORE_UNKNOWN, 1);
        assert_true(clock_ns() - hurt_ns < timeout_ns + NS_PER_S);
        turn_until(&c, STORE_UNAVAILABLE, 20);
        control(mend);
        uint64_t mended_ns = clock_ns();
        from = c.used;
        turn_until(&c, STORE_DONE, 1);
        assert_true(clock_ns() - mended_ns < 3 * NS_PER_S);
    }
    turn_until(&c, STORE_DONE, 1000);
    drain(&c);
    assert_true(b.cache->counters.reconnects >= 3);
    assert_int_equal(c.outcomes[STORE_REFUSED], 0);
    assert_true(compare(&c, from) >= 1000);
    assert_sums(b.cache);
    free(c.items);
    close_bench(&b);
}

/* SIGKILL under load, and a new server at the same place. */
static void survives_kill(void **state)
{
    (void)state;
    survives("memcached kill", "memcached start", 5 * NS_PER_S);
}

/* An orderly end. */
static void survives_stop(void **state)
{
    (void)state;
    survives("memcached stop", "memcached start", 5 * NS_PER_S);
}

/* A server that stands still (SIGSTOP): unknown at the deadline, then unavailable at once. */
static void survives_pause(void **state)
{
    (void)state;
    survives("memcached pause", "memcached resume", 500 * NS_PER_MS);
}

/* Of two servers one stands still: the keys of the other do not wait. */
static void does_not_stall_others(void **state)
{
    struct bench b;
    (void)state;
    configure(&b);
    b.config.timeout_ns = 2 * NS_PER_S;
    open_bench(&b);
    struct crowd c = crowd_of(b.cache);
    turn_until(&c, STORE_DONE, 1000);
    drain(&c);
    control("memcached pause");
    uint64_t begun_ns = clock_ns();
    for (int i = 0; i < 100; i++)
        set_next(&c);
    while (clock_ns() - begun_ns < NS_PER_S)
        loop_turn(&b.loop, 100 * NS_PER_MS);
    assert_true(c.outcomes[STORE_DONE] > 1010);
    assert_true(c.under_way > 10);
    drain(&c);
    assert_true(c.outcomes[STORE_UNKNOWN] > 10);
    control("memcached resume");
    turn_until(&c, STORE_DONE, 1000);
    drain(&c);
    assert_sums(b.cache);
    free(c.items);
    close_bench(&b);
}

/* A full server that may not evict refuses sets without saying whose: each still has its own, true
 * answer. */
static void tells_refusals_apart(void **state)
{
    struct bench b;
    (void)state;
    configure(&b);
    open_bench(&b);
    struct crowd c = crowd_of(b.cache);
    char *value = malloc(CACHE_VALUE_BYTES);
    memset(value, 'v', CACHE_VALUE_BYTES);
    uint64_t end_ns = clock_ns() + 20 * NS_PER_S;
    while (c.outcomes[STORE_REFUSED] < 200 && clock_ns() < end_ns) {
        for (size_t i = 0; i < 20; i++) /* sizes differ, so that some still find room */
            set_value(&c, (struct span){value, 200 + i * 400});
        loop_turn(&b.loop, 100 * NS_PER_MS);
    }
    drain(&c);
    assert_true(c.outcomes[STORE_REFUSED] >= 200);
    assert_true(c.outcomes[STORE_DONE] > 0);
    assert_int_equal(c.outcomes[STORE_UNKNOWN] + c.outcomes[STORE_UNAVAILABLE], 0);
    compare(&c, 0);
    assert_sums(b.cache);
    free(value);
    free(c.items);
    close_bench(&b);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back),
        cmocka_unit_test(serves_two_loops),
        cmocka_unit_test(answers_when_it_closes),
    };
    const struct CMUnitTest hurt[] = {
        cmocka_unit_test(survives_kill),        cmocka_unit_test(survives_stop),
        cmocka_unit_test(survives_pause),       cmocka_unit_test(does_not_stall_others),
        cmocka_unit_test(tells_refusals_apart),
    };
    if (!getenv("IUBENCH_TEST_MEMCACHED"))
        return 77;
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    if (control_is_there())
        return cmocka_run_group_tests(hurt, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
