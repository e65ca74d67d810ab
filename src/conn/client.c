/* A client connection's life: opened, sent, received, answered, again or closed. As on the server's
 * side a response that arrives whole is parsed where the kernel put it, and a request leaves with
 * the turn's submission. */
#include "conn/client.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"

enum { HEAD_BYTES_MAX = 64 * 1024 };

static const struct http_limits response_limits = {
    .line_bytes = 8192, .head_bytes = HEAD_BYTES_MAX, .fields = 200};

static void client_connected(struct op *op, int res, unsigned flags);
static void client_send_failed(struct op *op, int res, unsigned flags);
static void client_parked_sent(struct op *op, int res, unsigned flags);
static void client_received(struct op *op, int res, unsigned flags);
static void client_take(struct client *c, struct span bytes);
static void client_due(struct timer *t);
static void client_settle(struct client *c);
static void client_settle_task(struct task *t);

#define OWNER(member, pointer) \
    ((struct client *)((char *)(pointer)-offsetof(struct client, member)))

void client_init(struct client *c, struct loop *loop, const struct client_events *events)
{
    *c = (struct client){.loop = loop, .events = events, .fd = -1};
    c->timer.due = client_due;
    c->timer.deadline_ns = TIMER_NEVER;
    c->later.run = client_settle_task;
}

/* --- opened --- */

static void open_reset(struct client *c)
{
    op_init(&c->recv, client_received);
    op_init(&c->send, client_send_failed);
    op_init(&c->connect, client_connected);
    c->state = CLIENT_CONNECTING;
    c->in_flight = 0;
    c->is_ending = c->is_receiving_body = c->is_send_parked = c->is_paused = false;
    c->head = (struct http_head){0};
    c->error = CLIENT_OK;
    c->error_code = 0;
}

void client_open(struct client *c, const struct address *to, uint64_t deadline_ns)
{
    CHECK(c->state == CLIENT_IDLE);
    open_reset(c);
    c->fd = sock_open(to);
    if (c->fd < 0) {
        c->error_code = -c->fd;
        c->fd = -1;
        client_close(c, CLIENT_CONNECT);
        return;
    }
    client_deadline(c, deadline_ns);
    ring_connect(&c->loop->ring, &c->connect, c->fd, &to->sa.any, to->len);
}

static void client_connected(struct op *op, int res, unsigned flags)
{
    struct client *c = OWNER(connect, op);
    (void)flags;
    if (c->state == CLIENT_CLOSING) {
        client_settle(c);
        return;
    }
    if (res < 0) {
        c->error_code = -res;
        client_close(c, CLIENT_CONNECT);
        return;
    }
    c->state = CLIENT_OPEN;
    ring_recv(&c->loop->ring, &c->recv, c->fd);
    c->events->opened(c);
}

/* --- sent --- */

void client_send(struct client *c, enum http_method method, struct span bytes, uint32_t count)
{
    CHECK(c->state == CLIENT_OPEN && count);
    c->method = method;
    c->in_flight += count;
    if (c->is_send_parked) {
        if (!bytes_append(&c->held, bytes, CLIENT_UNSENT_BYTES_MAX))
            client_close(c, CLIENT_RESET);
        return;
    }
    CHECK(c->sent_turn != c->loop->ring.turns + 1);
    c->sent_turn = c->loop->ring.turns + 1;
    c->sent_count = count;
    c->sent = bytes;
    ring_send_now(&c->loop->ring, &c->send, c->fd, bytes);
}

static void client_park(struct client *c)
{
    c->is_send_parked = true;
    op_init(&c->send, client_parked_sent);
    ring_send(&c->loop->ring, &c->send, c->fd, bytes_span(&c->unsent));
}

static void client_fail(struct client *c, enum client_error error, int code)
{
    c->error_code = code;
    client_close(c, error);
}

static void client_send_failed(struct op *op, int res, unsigned flags)
{
    struct client *c = OWNER(send, op);
    (void)flags;
    if (c->state != CLIENT_OPEN)
        return;
    size_t done = res > 0 ? (size_t)res : 0;
    struct span rest = {c->sent.data + done, c->sent.len - done};
    if (res < 0 && res != -EAGAIN) {
        /* The peer may have answered and closed before it read this: what it said is still read. */
        c->is_ending = true;
        c->error_code = -res;
        return;
    }
    if (bytes_append(&c->unsent, rest, CLIENT_UNSENT_BYTES_MAX))
        client_park(c);
    else
        client_fail(c, CLIENT_RESET, ENOMEM);
}

static void client_parked_sent(struct op *op, int res, unsigned flags)
{
    struct client *c = OWNER(send, op);
    (void)flags;
    c->is_send_parked = false;
    op_init(&c->send, client_send_failed);
    if (c->state == CLIENT_CLOSING) {
        client_settle(c);
        return;
    }
    if (res != (int)c->unsent.len) {
        client_fail(c, CLIENT_RESET, res < 0 ? -res : EPIPE);
        return;
    }
    bytes_free(&c->unsent);
    if (c->held.len) {
        c->unsent = c->held;
        c->held = (struct bytes){0};
        client_park(c);
    }
}

/* --- received --- */

static void client_received(struct op *op, int res, unsigned flags)
{
    struct client *c = OWNER(recv, op);
    struct ring *ring = &c->loop->ring;
    if (res > 0) {
        c->received_bytes += (uint64_t)res;
        if (c->state == CLIENT_OPEN)
            client_take(c, ring_lent(ring, res, flags));
    }
    if (flags & IORING_CQE_F_BUFFER)
        ring_return(ring, flags);
    if (ring_more(flags))
        return;
    if (c->state == CLIENT_CLOSING) {
        client_settle(c);
        return;
    }
    if (res > 0 || res == -ENOBUFS || res == -ECANCELED) {
        if (!c->is_paused && !c->recv.in_kernel) /* the end of a pause has armed it */
            ring_recv(ring, &c->recv, c->fd);
        return;
    }
    bool is_body_done = res == 0 && c->is_receiving_body && c->body.kind == HTTP_BODY_UNTIL_CLOSE;
    c->is_ending = true;
    if (is_body_done) {
        c->is_receiving_body = false;
        c->in_flight--;
        c->events->answered(c, c->head.status, c->body.received);
        if (c->state != CLIENT_OPEN)
            return;
    }
    client_fail(c, c->in_flight ? CLIENT_RESET : CLIENT_OK, -res);
}

void client_pause(struct client *c)
{
    if (c->state != CLIENT_OPEN || c->is_paused)
        return;
    c->is_paused = true;
    ring_cancel(&c->loop->ring, &c->recv);
}

/* A cancellation that has not come back yet arms it again when it does. */
void client_resume(struct client *c)
{
    if (c->state != CLIENT_OPEN || !c->is_paused)
        return;
    c->is_paused = false;
    if (!c->recv.in_kernel)
        ring_recv(&c->loop->ring, &c->recv, c->fd);
}

/* Reads one head from `in`; returns the bytes consumed, 0 if it is incomplete or the connection was
 * closed over it. */
static size_t take_head(struct client *c, struct span in)
{
    int n = http_response_head(&c->head, in.data, in.len, &response_limits);
    if (n == 0)
        return 0;
    if (n < 0) {
        client_fail(c, CLIENT_BAD_RESPONSE, 0);
        return 0;
    }
    if (c->head.status < 200) { /* an interim response; the real one follows */
        c->head = (struct http_head){0};
        return (size_t)n;
    }
    http_response_body(&c->body, &c->head, c->method);
    c->is_receiving_body = true;
    if (!http_is_persistent(&c->head) || c->body.kind == HTTP_BODY_UNTIL_CLOSE)
        c->is_ending = true;
    if (c->events->head)
        c->events->head(c, &c->head, in.data);
    return (size_t)n;
}

static size_t take_body(struct client *c, struct span in)
{
    struct span payload = {0};
    int64_t n = http_body_take(&c->body, in, &payload);
    if (n < 0) {
        client_fail(c, CLIENT_BAD_RESPONSE, 0);
        return 0;
    }
    if (payload.len && c->events->body)
        c->events->body(c, payload);
    return (size_t)n;
}

/* With more behind it that nobody asked for, the connection is of no further use. */
static void response_done(struct client *c, bool has_more)
{
    unsigned status = c->head.status;
    c->is_receiving_body = false;
    c->head = (struct http_head){0};
    c->in_flight--;
    c->is_ending |= has_more && !c->in_flight;
    c->events->answered(c, status, c->body.received);
    if (c->state == CLIENT_OPEN && c->is_ending)
        client_fail(c, c->in_flight ? CLIENT_RESET : CLIENT_OK, 0);
}

/* What arrived before a request has left is no answer to it (RFC 9112 section 9.2). */
static bool is_awaiting(const struct client *c)
{
    bool is_sending = c->sent_turn > c->loop->ring.turns;
    return c->in_flight > (is_sending ? c->sent_count : 0);
}

/* Works through what is there; returns the bytes consumed. What is left is an incomplete head. */
static size_t client_process(struct client *c, struct span in)
{
    size_t used = 0;
    while (c->state == CLIENT_OPEN && used < in.len) {
        struct span rest = {in.data + used, in.len - used};
        if (!is_awaiting(c)) { /* nobody asked */
            client_fail(c, CLIENT_BAD_RESPONSE, 0);
            break;
        }
        size_t n = c->is_receiving_body ? take_body(c, rest) : take_head(c, rest);
        used += n;
        if (c->state == CLIENT_OPEN && c->is_receiving_body && c->body.is_done)
            response_done(c, used < in.len);
        if (!n)
            break;
    }
    return used;
}

static void client_take(struct client *c, struct span bytes)
{
    if (!c->input.len) {
        size_t used = client_process(c, bytes);
        struct span rest = {bytes.data + used, bytes.len - used};
        if (c->state == CLIENT_OPEN && rest.len &&
            !bytes_append(&c->input, rest, HEAD_BYTES_MAX * 2))
            client_fail(c, CLIENT_BAD_RESPONSE, ENOMEM);
        return;
    }
    if (!bytes_append(&c->input, bytes, UINT32_MAX)) {
        client_fail(c, CLIENT_BAD_RESPONSE, ENOMEM);
        return;
    }
    size_t used = client_process(c, bytes_span(&c->input));
    if (c->state == CLIENT_OPEN)
        bytes_consume(&c->input, (uint32_t)used);
}

/* --- deadlines --- */

void client_deadline(struct client *c, uint64_t deadline_ns)
{
    if (deadline_ns == TIMER_NEVER)
        timer_clear(&c->loop->timers, &c->timer);
    else if (!timer_set(&c->loop->timers, &c->timer, deadline_ns))
        client_fail(c, CLIENT_TIMEOUT, ENOMEM);
}

static void client_due(struct timer *t)
{
    client_fail(OWNER(timer, t), CLIENT_TIMEOUT, 0);
}

/* --- closed --- */

void client_close(struct client *c, enum client_error error)
{
    if (c->state == CLIENT_IDLE || c->state == CLIENT_CLOSING)
        return;
    c->state = CLIENT_CLOSING;
    c->error = error;
    timer_clear(&c->loop->timers, &c->timer);
    if (c->connect.in_kernel)
        ring_cancel(&c->loop->ring, &c->connect);
    if (c->recv.in_kernel || c->send.in_kernel)
        shutdown(c->fd, SHUT_RDWR);
    loop_defer(c->loop, &c->later);
}

static void client_settle_task(struct task *t)
{
    client_settle(OWNER(later, t));
}

/* Tells the owner once the kernel has nothing of this connection any more. */
static void client_settle(struct client *c)
{
    if (c->state != CLIENT_CLOSING || c->later.is_queued || c->recv.in_kernel ||
        c->send.in_kernel || c->connect.in_kernel)
        return;
    if (c->sent_turn > c->loop->ring.turns || c->loop->ring.is_behind) { /* a send may still fail */
        loop_defer(c->loop, &c->later);
        return;
    }
    if (c->fd >= 0 && c->error == CLIENT_TIMEOUT)
        sock_forget(c->fd);
    if (c->fd >= 0)
        ring_close_fd(&c->loop->ring, c->fd);
    c->fd = -1;
    bytes_free(&c->input);
    bytes_free(&c->unsent);
    bytes_free(&c->held);
    c->state = CLIENT_IDLE;
    c->events->closed(c, c->error, c->error_code);
}
