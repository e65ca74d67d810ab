/* Staged bytes stay until the sends of the turn that sends them are confirmed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "net/ring.h"

enum {
    COMPLETIONS = 16,
    POLLS = 3 * COMPLETIONS,
    REPLY_BYTES = 4 * RING_STAGE_BYTES, /* goes back to the system the moment it is freed */
};

static const struct ring_config config = {.entries = 8, .completions = COMPLETIONS};
static unsigned polled, failed;
static struct span sent;

static void poll_done(struct op *op, int res, unsigned flags)
{
    (void)op, (void)flags;
    assert_true(res > 0);
    polled++;
}

static void send_failed(struct op *op, int res, unsigned flags)
{
    (void)op, (void)flags;
    assert_int_equal(res, -EPIPE);
    for (size_t i = 0; i < sent.len; i++)
        assert_int_equal(sent.data[i], 'r');
    failed++;
}

static void stage_reply(struct ring *r)
{
    char *room = ring_stage(r, REPLY_BYTES);
    assert_non_null(room);
    memset(room, 'r', REPLY_BYTES);
    ring_stage_take(r, REPLY_BYTES);
    sent = (struct span){room, REPLY_BYTES};
}

/* More completions than the queue holds: the ring is behind. */
static void fall_behind(struct ring *r, struct op ops[POLLS], int event)
{
    for (int i = 0; i < POLLS; i++) {
        op_init(&ops[i], poll_done);
        ring_poll(r, &ops[i], event, 1);
    }
    ring_enter(r, 0);
    assert_true(r->is_behind);
}

/* The completions of a turn that is behind stage a reply. It leaves once the ring has caught up, and
 * the send that fails finds it whole. */
static void test_staged_while_behind(void **state)
{
    struct ring ring;
    struct fail f;
    struct op ops[POLLS] = {0}, send = {0};
    int pair[2], event = eventfd(1, EFD_CLOEXEC);
    (void)state;
    if (!ring_open(&ring, &config, &f))
        fail_msg("%s", f.text);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    close(pair[1]);
    fall_behind(&ring, ops, event);
    stage_reply(&ring);
    ring_complete(&ring);
    while (ring.is_behind) {
        ring_enter(&ring, 0);
        ring_complete(&ring);
    }
    op_init(&send, send_failed);
    ring_send_now(&ring, &send, pair[0], sent);
    ring_enter(&ring, 0);
    ring_complete(&ring);
    assert_int_equal(polled, POLLS);
    assert_int_equal(failed, 1);
    ring_close(&ring);
    close(pair[0]);
    close(event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_staged_while_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
