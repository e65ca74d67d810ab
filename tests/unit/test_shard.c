/* Shards of a load: all of them together send exactly what one client would, whatever the schedule,
 * the number of shards and their threads; and the words of the command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "load/clients.h"
#include "load/pace.h"
#include "load/shard.h"

static const uint64_t SEED = 20261120;

/* Marks what each thread of each shard takes of `p`, walking as a generator does, and asks as the
 * series does how many are due. */
static void check_union(const struct pace *p, uint32_t shards, uint32_t threads)
{
    uint8_t *taken = calloc(p->total + 1, 1);
    assert_non_null(taken);
    for (uint32_t i = 0; i < shards; i++) {
        struct shard s = {.index = i, .count = shards};
        uint64_t count = 0;
        for (uint32_t thread = 0; thread < threads; thread++) {
            struct pace_walk walk = {0};
            for (uint64_t k = shard_index(&s, thread); k < p->total;
                 k += (uint64_t)threads * shards) {
                assert_int_equal(pace_walk_due_ns(p, &walk, k), pace_due_ns(p, k));
                taken[k]++;
                count++;
            }
        }
        assert_int_equal(count, shard_due(&s, p->total));
    }
    for (uint64_t k = 0; k < p->total; k++)
        assert_int_equal(taken[k], 1);
    free(taken);
}

/* Constant rates, ramps, steps and stages, even and random arrivals; 1 to 7 shards of 1 to 3 threads. */
static void test_union(void **state)
{
    static const char *const ramps[] = {"10:900/2s", "100:700:150/300ms", "800:0/1500ms"};
    struct fail f;
    (void)state;
    printf("seed %llu\n", (unsigned long long)SEED);
    for (unsigned kind = 0; kind < 5; kind++)
        for (unsigned is_random = 0; is_random < 2; is_random++)
            for (uint32_t shards = 1; shards <= 7; shards++)
                for (uint32_t threads = 1; threads <= 3; threads++) {
                    struct pace p;
                    if (kind < 3)
                        assert_true(pace_ramp(&p, ramps[kind], 0, &f));
                    else if (kind == 3)
                        assert_true(pace_stages(&p, "400ms:100,1s:999.5,100ms:3", &f));
                    else
                        pace_constant(&p, 1234.5, 700 * NS_PER_MS);
                    if (is_random)
                        pace_randomize(&p, SEED);
                    check_union(&p, shards, threads);
                    pace_free(&p);
                }
}

/* At any time what is due of all shards together is what is due of the whole. */
static void test_due(void **state)
{
    struct rng rng;
    struct pace p;
    (void)state;
    rng_seed(&rng, SEED);
    pace_constant(&p, 997, 3 * NS_PER_S);
    pace_randomize(&p, SEED);
    for (unsigned i = 0; i < 500; i++) {
        uint32_t shards = 1 + (uint32_t)rng_below(&rng, 9);
        uint64_t due = pace_due_count(&p, rng_below(&rng, 4 * NS_PER_S)), sum = 0;
        for (uint32_t j = 0; j < shards; j++) {
            struct shard s = {.index = j, .count = shards};
            sum += shard_due(&s, due);
        }
        assert_int_equal(sum, due);
    }
    pace_free(&p);
}

/* Connections, requests and the clients of every stage are dealt whole, the remainder to the first;
 * so is each part among its threads, and it never shrinks from stage to stage. */
static void test_parts(void **state)
{
    struct clients_ramp ramp = {.pods = 3, .stage_count = 9, .stage_ns = NS_PER_S};
    (void)state;
    assert_int_equal(shard_part(10, 4, 0), 3);
    assert_int_equal(shard_part(10, 4, 1), 3);
    assert_int_equal(shard_part(10, 4, 2), 2);
    assert_int_equal(shard_part(10, 4, 3), 2);
    for (uint32_t shards = 1; shards <= 8; shards++) {
        uint64_t last[8] = {0};
        for (uint64_t stage = 0; stage < 9; stage++) {
            uint32_t all = clients_at(&ramp, stage * NS_PER_S);
            uint64_t sum = 0;
            for (uint32_t i = 0; i < shards; i++) {
                uint64_t part = shard_part(all, shards, i);
                assert_true(part >= last[i]);
                last[i] = part;
                for (uint32_t thread = 0; thread < 2; thread++)
                    sum += shard_part(part, 2, thread);
            }
            assert_int_equal(sum, all);
        }
    }
}

static void refuses(const char *share, const char *start_at, const char *word)
{
    struct shard s;
    struct fail f;
    if (shard_parse(share, start_at, &s, &f))
        fail_msg("%s %s was read", share ? share : "", start_at ? start_at : "");
    assert_int_equal(f.exit, EXIT_USAGE);
    if (!strstr(f.text, word))
        fail_msg("\"%s\" is not in: %s", word, f.text);
}

/* The words of --shard and --start-at, and what is said of others. */
static void test_words(void **state)
{
    struct shard s;
    struct fail f;
    char text[CLOCK_TEXT_BYTES];
    (void)state;
    assert_true(shard_parse(NULL, NULL, &s, &f));
    assert_true(s.index == 0 && s.count == 1 && !s.is_given && !s.start_at_us);
    int64_t before_us = clock_wall_us();
    assert_true(shard_parse("3/4", "+5s", &s, &f));
    assert_true(s.index == 3 && s.count == 4 && s.is_given);
    assert_in_range(s.start_at_us, before_us + 5000000, clock_wall_us() + 5000000);
    clock_text(before_us + 60000000, text);
    assert_true(shard_parse(NULL, text, &s, &f));
    assert_true(s.is_given && s.start_at_us == before_us + 60000000);
    refuses("4/4", NULL, "from 0/4 to 3/4");
    refuses("1", NULL, "INDEX/COUNT");
    refuses("-1/4", NULL, "INDEX/COUNT");
    refuses("0/0", NULL, "INDEX/COUNT");
    refuses("1/4/", NULL, "INDEX/COUNT");
    refuses("0/10001", NULL, "INDEX/COUNT");
    refuses(NULL, "noon", "is no time");
    refuses(NULL, "2001-01-01T00:00:00Z", "is past: it is");
    refuses(NULL, "2999-01-01T00:00:00Z", "more than a day away");
    refuses(NULL, "+2h5", "--start-at");
    refuses(NULL, "+26h", "more than a day away");
}

/* The wall clock's time becomes the monotonic clock's; what is past by more than the bound is refused,
 * what is past by less is kept as it was agreed. */
static void test_start(void **state)
{
    struct fail f;
    uint64_t start_ns, now_ns = clock_ns();
    struct shard s = {.count = 1, .start_at_us = clock_wall_us() + 2000000};
    (void)state;
    assert_true(shard_start_ns(&s, &start_ns, &f));
    assert_in_range(start_ns, now_ns + 1900 * NS_PER_MS, clock_ns() + 2000 * NS_PER_MS);
    s.start_at_us = clock_wall_us() - 10000;
    assert_true(shard_start_ns(&s, &start_ns, &f));
    assert_true(start_ns < clock_ns());
    s.start_at_us = clock_wall_us() - 200000;
    assert_false(shard_start_ns(&s, &start_ns, &f));
    assert_int_equal(f.exit, EXIT_FAILED);
    assert_non_null(strstr(f.text, "later --start-at"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_union), cmocka_unit_test(test_due),   cmocka_unit_test(test_parts),
        cmocka_unit_test(test_words), cmocka_unit_test(test_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
