/* The offset of a reference's clock, against references whose clock is known and whose Date has whole
 * seconds: it is enclosed at every step, and after ten answers to a millisecond or the way there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/rng.h"
#include "load/reference.h"

enum { SEED = 20261120 };

/* Answers, whose way there and back takes up to `way_us` each. */
static struct reference_offset asked(int64_t offset_us, uint64_t way_us, unsigned answers,
                                     struct rng *rng)
{
    struct reference_offset o = {0};
    int64_t now_us = 1795194000123456 + (int64_t)rng_below(rng, 1000000);
    for (unsigned i = 0; i < answers; i++) {
        int64_t at_us = reference_next_us(&o, now_us);
        assert_true(at_us >= now_us && at_us <= now_us + 1000000);
        int64_t there_us = at_us + (int64_t)rng_below(rng, way_us + 1);
        int64_t back_us = there_us + (int64_t)rng_below(rng, way_us + 1);
        assert_true(reference_narrow(&o, at_us, back_us, (there_us + offset_us) / 1000000));
        assert_true(o.low_us <= offset_us && offset_us <= o.high_us);
        now_us = back_us;
    }
    return o;
}

/* Fast ways, slow ways, clocks that are ahead, behind, by hours, or not at all. */
static void test_enclosed(void **state)
{
    static const int64_t offsets_us[] = {0,       1,          -1,           499999,
                                         -500001, 3600000000, -86400000000, 123456};
    struct rng rng;
    (void)state;
    rng_seed(&rng, SEED);
    printf("seed %d\n", SEED);
    for (unsigned i = 0; i < sizeof offsets_us / sizeof *offsets_us; i++)
        for (unsigned run = 0; run < 50; run++) {
            struct reference_offset o = asked(offsets_us[i], 0, 12, &rng);
            assert_true(o.high_us - o.low_us <= REFERENCE_FINE_US);
            o = asked(offsets_us[i], 200, 12, &rng);
            assert_true(o.high_us - o.low_us <= REFERENCE_FINE_US + 400);
            o = asked(offsets_us[i], 20000, 12, &rng);
            assert_true(o.high_us - o.low_us <= 80000);
        }
}

/* A clock that is set meanwhile, or a Date that is stale, is told. */
static void test_contradiction(void **state)
{
    struct reference_offset o = {0};
    (void)state;
    assert_true(reference_narrow(&o, 5000000, 5000100, 5));
    assert_false(reference_narrow(&o, 9000000, 9000100, 7));
    assert_false(reference_narrow(&o, 9000000, 9000100, 11));
    assert_true(reference_narrow(&o, 9000000, 9000100, 9));
}

/* What cannot be asked is said with the option's name. */
static void test_refused(void **state)
{
    struct reference_offset o;
    struct fail f;
    (void)state;
    assert_false(reference_ask("https://x/", 0, &o, &f));
    assert_int_equal(f.exit, EXIT_USAGE);
    assert_false(reference_ask("unix:/tmp/x", 0, &o, &f));
    assert_int_equal(f.exit, EXIT_USAGE);
    assert_false(reference_ask("http://127.0.0.1:1/", 0, &o, &f));
    assert_int_equal(f.exit, EXIT_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_enclosed),
        cmocka_unit_test(test_contradiction),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
