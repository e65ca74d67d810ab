/* Waiting for several completions at once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "net/ring.h"

enum { EVENTS = 2 };

struct bench {
    struct ring ring;
    int fds[EVENTS];
    struct op ops[EVENTS];
    uint64_t values[EVENTS];
};

static unsigned done_count;

static void done(struct op *op, int res, unsigned flags)
{
    (void)op, (void)flags;
    assert_int_equal(res, sizeof(uint64_t));
    done_count++;
}

/* Both are read from; the first `ready` have something to read. */
static void begin(struct bench *b, int ready)
{
    struct fail f;
    uint64_t one = 1;
    struct ring_config config = {.entries = 8, .completions = 16};
    *b = (struct bench){0};
    done_count = 0;
    if (!ring_open(&b->ring, &config, &f))
        fail_msg("%s", f.text);
    for (int i = 0; i < EVENTS; i++) {
        b->fds[i] = eventfd(0, EFD_CLOEXEC);
        op_init(&b->ops[i], done);
        ring_read_event(&b->ring, &b->ops[i], b->fds[i], &b->values[i]);
        if (i < ready)
            assert_int_equal(write(b->fds[i], &one, sizeof one), sizeof one);
    }
}

static void end(struct bench *b)
{
    ring_close(&b->ring);
    for (int i = 0; i < EVENTS; i++)
        close(b->fds[i]);
}

static uint64_t turn_ns(struct bench *b)
{
    uint64_t begun_ns = clock_ns();
    ring_enter(&b->ring, RING_FOREVER);
    ring_complete(&b->ring);
    return clock_ns() - begun_ns;
}

/* One of two: it waits for the other as long as was said, and no longer. */
static void waits_a_while(void **state)
{
    struct bench b;
    (void)state;
    begin(&b, 1);
    ring_gather(&b.ring, 2, 20 * NS_PER_MS);
    assert_true(turn_ns(&b) >= 20 * NS_PER_MS);
    assert_int_equal(done_count, 1);
    end(&b);
}

/* Two of two: it does not wait. */
static void ends_with_the_last(void **state)
{
    struct bench b;
    (void)state;
    begin(&b, 2);
    ring_gather(&b.ring, 2, 3600 * NS_PER_S);
    turn_ns(&b);
    assert_int_equal(done_count, 2);
    end(&b);
}

/* It holds for one turn: the next waits for the first completion again. */
static void holds_for_one_turn(void **state)
{
    struct bench b;
    uint64_t one = 1;
    (void)state;
    begin(&b, 0);
    ring_gather(&b.ring, 2, NS_PER_MS);
    turn_ns(&b);
    assert_int_equal(done_count, 0);
    assert_int_equal(write(b.fds[0], &one, sizeof one), sizeof one);
    turn_ns(&b);
    assert_int_equal(done_count, 1);
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_a_while),
        cmocka_unit_test(ends_with_the_last),
        cmocka_unit_test(holds_for_one_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
