/* A connection's life: accepted, received, parsed, dispatched, replied, sent, next or closed; the
 * functions stand in that order. A request that arrives whole is parsed where the kernel put it,
 * answered into the ring's staging area, and leaves with the turn's submission: it allocates
 * nothing and copies only its reply. Everything else (a head in pieces, a body, a client that does
 * not read) takes a buffer of its own while it lasts. */
#include "conn/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "metrics/counter.h"
#include "net/sock.h"

enum {
    SLOTS_PER_CHUNK = 64,
    INPUT_BYTES_MAX =
        64 * 1024, /* kept of what arrives while a request is being answered; then reading stops */
    OUTPUT_BYTES_TURN =
        32 *
        1024, /* replies of one turn to one connection; pipelined requests behind wait a turn */
    HELD_BYTES_MAX = 64 << 20, /* a guard against runaway, above any reply there is */
    REPLY_HEAD_BYTES = 256,    /* a reply's head without type and extra fields */
};
static const uint64_t LINGER_NS = 2 * NS_PER_S, ACCEPT_RETRY_NS = 50 * NS_PER_MS,
                      ACCEPT_RETRY_MAX_NS = NS_PER_S, LOG_EVERY_NS = 5 * NS_PER_S;

enum conn_state {
    CONN_FREE,
    CONN_HEAD,    /* between requests, or a head has begun */
    CONN_BODY,    /* a head is complete, its body is not */
    CONN_WAITING, /* a request was dispatched, its reply is due */
    CONN_LAST,    /* the last reply is on its way; what arrives is dropped */
    CONN_LINGER,  /* our side is shut; waiting for the client's end, so that it reads the reply
                     before a reset */
    CONN_DEAD, /* closed; the slot waits for its last completion, or for the reply that is still due
                */
};

struct server_conn {
    struct server *server;
    struct server_conn *next, *previous; /* among the open ones, or the free ones */
    struct op recv, send;
    struct timer timer;
    struct task later;
    int fd;
    uint8_t state;
    bool is_reply_due;   /* the handler has a request of ours */
    bool is_dispatching; /* the handler is on the stack */
    bool is_parked;      /* the kernel holds `unsent` */
    bool is_flush_due;   /* in the server's list of those with output of this turn */
    bool is_paused;      /* reading was stopped: too much input kept */
    bool is_at_end;      /* the client sent its end of stream */
    bool is_head_request, is_old, is_last;
    bool is_chunked;     /* the streamed reply is */
    bool wants_writable; /* a streamed reply waits until more may be written */
    uint16_t stream_status;
    bool is_abandoned; /* the request whose reply is due, and counted as such */
    uint32_t requests;
    uint64_t since_ns; /* when the present wait began: what deadlines count from */

    struct http_head head;
    struct http_body body;
    struct bytes input;    /* received and not yet consumed */
    struct bytes request;  /* a head and its body so far, when they did not come in one piece */
    uint32_t request_head; /* bytes of the head in `request` */

    char *out; /* replies of this turn, in the staging area */
    uint32_t out_len;
    struct span sent; /* what was sent last turn, until its success is certain */
    struct bytes unsent, held;
    struct server_conn *next_flush;

    void (*abandoned)(void *arg);
    void *abandoned_arg;
    void (*writable)(void *arg);
    void *writable_arg;
};

struct server {
    struct loop *loop;
    struct server_config config;
    const struct server_limits *limits;
    struct server_counters counters;
    uint32_t open, waiting;

    struct op accept;
    struct timer accept_timer;
    uint64_t accept_retry_ns, accept_logged_ns;

    struct share_member member;
    struct server_conn *conns; /* open ones */
    struct server_conn *free;
    struct slot_chunk *chunks;
    struct server_conn *flush, **flush_end;
    struct loop_hook hook;

    int64_t date_second;
    uint64_t date_until_ns;
    char date_field[HTTP_DATE_BYTES + 8]; /* "Date: ...\r\n" */

    bool is_stopping;
    struct timer drain;
    struct task stopped_task;
    void (*stopped)(void *arg);
    void *stopped_arg;
};

struct slot_chunk {
    struct slot_chunk *next;
    struct server_conn conns[SLOTS_PER_CHUNK];
};

static void accept_arm(struct server *s);
static void conn_accepted(struct op *op, int res, unsigned flags);
static void conn_given(struct share_member *m, int fd);
static void conn_open(struct server *s, int fd);
static void conn_received(struct op *op, int res, unsigned flags);
static void conn_take(struct server_conn *c, struct span bytes);
static size_t conn_process(struct server_conn *c, struct span in);
static size_t conn_read_head(struct server_conn *c, struct span in);
static size_t conn_read_body(struct server_conn *c, struct span in);
static void conn_dispatch(struct server_conn *c, const char *head, struct span body);
static void conn_refuse(struct server_conn *c, unsigned status);
static void conn_write_reply(struct server_conn *c, const struct server_reply *reply,
                             uint64_t length);
static char *conn_out_room(struct server_conn *c, size_t bytes);
static void conn_out_take(struct server_conn *c, char *begin, const char *end);
static void server_flush(struct loop_hook *h);
static void conn_send_failed(struct op *op, int res, unsigned flags);
static void conn_resume(struct task *t);
static uint64_t conn_limit_ns(const struct server_conn *c);
static void conn_due(struct timer *t);
static void conn_close(struct server_conn *c);
static void conn_retire(struct server_conn *c);

#define OWNER(type, member, pointer) ((type *)((char *)(pointer)-offsetof(type, member)))
#define COUNT(s, name, n)            counter_add(&(s)->counters.name, (n))

struct server *server_start(struct loop *loop, const struct server_config *config, struct fail *f)
{
    struct server *s = calloc(1, sizeof *s);
    if (!s) {
        fail_set(f, EXIT_FAILED, "out of memory");
        return NULL;
    }
    s->loop = loop;
    s->config = *config;
    s->limits = config->limits;
    s->flush_end = &s->flush;
    s->accept_retry_ns = ACCEPT_RETRY_NS;
    s->hook.before_submit = server_flush;
    loop_hook_add(loop, &s->hook);
    s->member = (struct share_member){.loop = loop, .open = &s->open, .take = conn_given};
    if (s->config.share)
        share_join(s->config.share, &s->member);
    op_init(&s->accept, conn_accepted);
    accept_arm(s);
    return s;
}

/* --- accepted --- */

static void accept_arm(struct server *s)
{
    ring_accept(&s->loop->ring, &s->accept, s->config.listener);
}

static void accept_again(struct timer *t)
{
    struct server *s = OWNER(struct server, accept_timer, t);
    if (!s->is_stopping)
        accept_arm(s);
}

/* Out of descriptors or memory: accepting pauses and comes back, connections that stand never
 * notice. */
static void accept_failed(struct server *s, int error)
{
    COUNT(s, accept_failures, 1);
    if (s->loop->now_ns - s->accept_logged_ns > LOG_EVERY_NS || !s->accept_logged_ns) {
        log_line("accepting connections pauses: %s", strerror(error));
        s->accept_logged_ns = s->loop->now_ns;
    }
    s->accept_timer.due = accept_again;
    if (!timer_set(&s->loop->timers, &s->accept_timer, s->loop->now_ns + s->accept_retry_ns))
        accept_arm(s); /* without a pause, rather than never again */
    s->accept_retry_ns *= 2;
    if (s->accept_retry_ns > ACCEPT_RETRY_MAX_NS)
        s->accept_retry_ns = ACCEPT_RETRY_MAX_NS;
}

static void server_check_stopped(struct server *s)
{
    if (s->is_stopping && !s->open && !s->accept.in_kernel && !s->member.arriving)
        loop_defer(s->loop, &s->stopped_task);
}

static void conn_accepted(struct op *op, int res, unsigned flags)
{
    struct server *s = OWNER(struct server, accept, op);
    if (res >= 0) {
        s->accept_retry_ns = ACCEPT_RETRY_NS;
        if (!s->config.share || !share_give(s->config.share, &s->member, res))
            conn_open(s, res);
    }
    if (ring_more(flags))
        return;
    if (s->is_stopping)
        server_check_stopped(s);
    else if (res < 0 && res != -ECONNABORTED && res != -EINTR)
        accept_failed(s, -res);
    else
        accept_arm(s);
}

/* By another server of the same address, which has more than we have. */
static void conn_given(struct share_member *m, int fd)
{
    struct server *s = OWNER(struct server, member, m);
    conn_open(s, fd);
    server_check_stopped(s);
}

static struct server_conn *slot_take(struct server *s)
{
    if (!s->free) {
        struct slot_chunk *chunk = calloc(1, sizeof *chunk);
        if (!chunk)
            return NULL;
        chunk->next = s->chunks;
        s->chunks = chunk;
        for (int i = SLOTS_PER_CHUNK - 1; i >= 0; i--) {
            chunk->conns[i].next = s->free;
            s->free = &chunk->conns[i];
        }
    }
    struct server_conn *c = s->free;
    s->free = c->next;
    return c;
}

static void list_add(struct server *s, struct server_conn *c)
{
    c->previous = NULL;
    c->next = s->conns;
    if (s->conns)
        s->conns->previous = c;
    s->conns = c;
}

static void list_remove(struct server *s, struct server_conn *c)
{
    if (c->next)
        c->next->previous = c->previous;
    if (c->previous)
        c->previous->next = c->next;
    else
        s->conns = c->next;
}

static void conn_open(struct server *s, int fd)
{
    struct server_conn *c = NULL;
    COUNT(s, accepted, 1);
    if (s->open >= s->limits->connections || s->is_stopping || !(c = slot_take(s))) {
        COUNT(s, over_connections, 1);
        COUNT(s, closed, 1);
        ring_close_fd(&s->loop->ring, fd);
        return;
    }
    uint16_t recv_generation = c->recv.generation, send_generation = c->send.generation;
    *c = (struct server_conn){
        .server = s, .fd = fd, .state = CONN_HEAD, .since_ns = s->loop->now_ns};
    c->recv.generation = recv_generation;
    c->send.generation = send_generation;
    op_init(&c->recv, conn_received);
    op_init(&c->send, conn_send_failed);
    c->timer.due = conn_due;
    c->later.run = conn_resume;
    list_add(s, c);
    gauge_add(&s->open, 1);
    if (!timer_set(&s->loop->timers, &c->timer, c->since_ns + s->limits->idle_ns)) {
        conn_close(c);
        return;
    }
    ring_recv(&s->loop->ring, &c->recv, fd);
}

/* --- received --- */

static bool conn_is_reading(const struct server_conn *c)
{
    return c->state == CONN_HEAD || c->state == CONN_BODY;
}

/* Whether the next request, or the rest of this one, may be looked at now. */
static bool conn_may_proceed(const struct server_conn *c)
{
    return conn_is_reading(c) && !c->is_parked && c->out_len < OUTPUT_BYTES_TURN;
}

/* A client that has gone may be seen to go several times: its end of stream, then a reset. */
static void conn_abandon(struct server_conn *c)
{
    void (*abandoned)(void *) = c->abandoned;
    if (!c->is_reply_due)
        return;
    if (!c->is_abandoned)
        COUNT(c->server, abandoned, 1);
    c->is_abandoned = true;
    c->abandoned = NULL;
    if (abandoned)
        abandoned(c->abandoned_arg);
}

static void conn_at_end(struct server_conn *c)
{
    struct server *s = c->server;
    c->is_at_end = true;
    if (c->is_reply_due) {
        conn_abandon(c);
        return; /* it may have shut only its sending side: the reply is still sent */
    }
    bool is_all_sent = !c->is_parked && !c->out_len && !s->loop->ring.is_behind;
    if (c->state == CONN_LINGER || (conn_is_reading(c) && is_all_sent && !c->input.len))
        conn_close(c);
    else
        loop_defer(s->loop, &c->later); /* what it had sent before is answered first */
}

static void conn_lost(struct server_conn *c)
{
    COUNT(c->server, resets, 1);
    c->is_at_end = true;
    conn_close(c);
}

static void conn_received(struct op *op, int res, unsigned flags)
{
    struct server_conn *c = OWNER(struct server_conn, recv, op);
    struct ring *ring = &c->server->loop->ring;
    if (res > 0) {
        if (conn_is_reading(c) || c->state == CONN_WAITING)
            conn_take(c, ring_lent(ring, res, flags));
        COUNT(c->server, received_bytes, (uint64_t)res);
    }
    if (flags & IORING_CQE_F_BUFFER)
        ring_return(ring, flags);
    if (ring_more(flags))
        return;
    if (c->state == CONN_DEAD)
        conn_retire(c);
    else if (res == 0)
        conn_at_end(c);
    else if (res > 0 || res == -ENOBUFS) {
        if (!c->is_paused && !c->recv.in_kernel) /* the end of a pause has armed it */
            ring_recv(ring, &c->recv, c->fd);
    } else if (res != -ECANCELED)
        conn_lost(c);
    else if (!c->is_paused)
        ring_recv(ring, &c->recv, c->fd); /* the pause was over before its cancellation came */
}

/* Beyond it reading stops, until there is less than half of it: a head that is still incomplete is
 * never what it waits for. */
static uint32_t conn_input_max(const struct server_conn *c)
{
    uint32_t heads = 2 * c->server->limits->head.head_bytes;
    return heads > INPUT_BYTES_MAX ? heads : INPUT_BYTES_MAX;
}

static void conn_keep_input(struct server_conn *c, struct span rest)
{
    struct server *s = c->server;
    uint32_t enough = conn_input_max(c);
    uint32_t lent = s->loop->ring.buffers * s->loop->ring.buffer_bytes;
    if (!bytes_append(&c->input, rest, enough + lent)) {
        conn_lost(c);
        return;
    }
    if (c->input.len > enough && !c->is_paused) {
        c->is_paused = true;
        ring_cancel(&s->loop->ring, &c->recv);
    }
}

static void conn_take(struct server_conn *c, struct span bytes)
{
    if (c->input.len || !conn_may_proceed(c)) {
        conn_keep_input(c, bytes);
        if (c->state != CONN_DEAD)
            conn_resume(&c->later);
        return;
    }
    size_t used = conn_process(c, bytes);
    if (used < bytes.len && (conn_is_reading(c) || c->state == CONN_WAITING))
        conn_keep_input(c, (struct span){bytes.data + used, bytes.len - used});
}

/* --- parsed --- */

/* Works through whole requests; returns the bytes consumed. What is left is an incomplete head, or
 * has to wait. */
static size_t conn_process(struct server_conn *c, struct span in)
{
    size_t used = 0;
    while (used < in.len && conn_may_proceed(c)) {
        struct span rest = {in.data + used, in.len - used};
        size_t n = c->state == CONN_HEAD ? conn_read_head(c, rest) : conn_read_body(c, rest);
        if (!n)
            break;
        used += n;
    }
    return used;
}

/* The wait for the rest of a request has begun or goes on: unlike the wait for a next one it has a
 * short deadline. The timer only ever moves earlier here: a wait that ends soon may be followed by
 * one that is due before this one would have been. */
static void conn_wait_for_rest(struct server_conn *c, uint64_t limit_ns)
{
    c->since_ns = c->server->loop->now_ns;
    if (c->since_ns + limit_ns < c->timer.deadline_ns)
        timer_set(&c->server->loop->timers, &c->timer, c->since_ns + limit_ns);
}

static size_t conn_read_head(struct server_conn *c, struct span in)
{
    struct server *s = c->server;
    bool is_new = !c->head.scanned;
    int n = http_request_head(&c->head, in.data, in.len, &s->limits->head);
    if (n == 0) {
        if (is_new)
            conn_wait_for_rest(c, s->limits->head_ns);
        return 0;
    }
    if (n < 0) {
        COUNT(s, bad_requests, 1);
        conn_refuse(c, (unsigned)-n);
        return 0;
    }
    size_t head = (size_t)n;
    http_request_body(&c->body, &c->head);
    if (c->body.kind == HTTP_BODY_NONE || c->body.is_done) {
        conn_dispatch(c, in.data, (struct span){0});
        return head;
    }
    if (c->body.kind == HTTP_BODY_LENGTH) {
        if (c->body.left > s->limits->body_bytes) {
            COUNT(s, bad_requests, 1);
            conn_refuse(c, 413);
            return 0;
        }
        if (c->body.left <= in.len - head) {
            struct span body = {in.data + head, (size_t)c->body.left};
            conn_dispatch(c, in.data, body);
            return head + body.len;
        }
    }
    if (!bytes_append(&c->request, (struct span){in.data, head}, UINT32_MAX)) {
        conn_refuse(c, 503);
        return 0;
    }
    c->request_head = (uint32_t)head;
    c->state = CONN_BODY;
    if (c->head.expects_continue && c->head.minor >= 1 && head == in.len)
        conn_write_reply(c, &(struct server_reply){.status = 100}, 0);
    conn_wait_for_rest(c, s->limits->body_ns);
    return head;
}

static size_t conn_read_body(struct server_conn *c, struct span in)
{
    struct server *s = c->server;
    struct span payload = {0};
    int64_t n = http_body_take(&c->body, in, &payload);
    if (n < 0) {
        COUNT(s, bad_requests, 1);
        conn_refuse(c, 400);
        return 0;
    }
    if (c->body.received > s->limits->body_bytes) {
        COUNT(s, bad_requests, 1);
        conn_refuse(c, 413);
        return 0;
    }
    if (!bytes_append(&c->request, payload, UINT32_MAX)) {
        conn_refuse(c, 503);
        return 0;
    }
    c->since_ns = s->loop->now_ns;
    if (c->body.is_done) {
        struct span whole = bytes_span(&c->request);
        conn_dispatch(c, whole.data,
                      (struct span){whole.data + c->request_head, whole.len - c->request_head});
        bytes_free(&c->request);
    }
    return (size_t)n;
}

/* --- dispatched --- */

static void conn_begin_request(struct server_conn *c)
{
    struct server *s = c->server;
    c->requests++;
    c->state = CONN_WAITING;
    c->is_reply_due = true;
    c->is_abandoned = false;
    c->is_head_request = c->head.method == HTTP_HEAD;
    c->is_old = c->head.minor == 0;
    c->is_last = !http_is_persistent(&c->head) || s->is_stopping;
    if (s->limits->requests_per_connection && c->requests >= s->limits->requests_per_connection) {
        COUNT(s, over_requests, 1);
        c->is_last = true;
    }
    gauge_add(&s->waiting, 1);
    COUNT(s, requests, 1);
}

/* RFC 9110 sections 13.1.1, 13.1.2 and 13.2.2. Dates are ignored, as is due where there are none. */
static unsigned unmet_status(const struct http_head *h)
{
    bool is_read = h->method == HTTP_GET || h->method == HTTP_HEAD;
    if (h->has_match_tag)
        return 412;
    return !h->has_none_match_any ? 0 : is_read ? 304 : 412;
}

static void conn_dispatch(struct server_conn *c, const char *head, struct span body)
{
    struct server *s = c->server;
    struct server_request request = {
        .conn = c,
        .method = c->head.method,
        .path = http_part_span(c->head.path, head),
        .query = http_part_span(c->head.query, head),
        .content_type = http_part_span(c->head.content_type, head),
        .body = body,
        .unmet_status = unmet_status(&c->head),
    };
    conn_begin_request(c);
    c->head = (struct http_head){0};
    c->is_dispatching = true;
    s->config.handler(s->config.arg, &request);
    c->is_dispatching = false;
}

/* What cannot be parsed cannot be trusted to end where it seems to: the reply is the last one. */
static void conn_refuse(struct server_conn *c, unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } texts[] = {
        {400, "malformed request"},
        {408, "the request took too long to arrive"},
        {413, "the body is too large"},
        {414, "the request target is too long"},
        {417, "only Expect: 100-continue is known"},
        {431, "the header section is too large"},
        {501, "this method or transfer coding is not implemented"},
        {503, "out of memory"},
        {505, "only HTTP/1.0 and HTTP/1.1 are spoken here"},
    };
    struct server *s = c->server;
    COUNT(s, over_target, status == 414);
    COUNT(s, over_head, status == 431);
    COUNT(s, over_body, status == 413);
    const char *text = "refused";
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].status == status)
            text = texts[i].text;
    conn_begin_request(c);
    c->is_last = true;
    c->is_dispatching = true;
    server_reply_error(c, status, (struct span){0}, text);
    c->is_dispatching = false;
}

void server_on_abandon(struct server_conn *c, void (*abandoned)(void *arg), void *arg)
{
    c->abandoned = abandoned;
    c->abandoned_arg = arg;
}

struct loop *server_loop_of(const struct server_conn *c)
{
    return c->server->loop;
}

/* --- replied --- */

static char *put(char *at, struct span s)
{
    memcpy(at, s.data, s.len);
    return at + s.len;
}

void server_reply_error(struct server_conn *c, unsigned status, struct span fields,
                        const char *text)
{
    char body[256];
    size_t len = 0;
    struct span parts[] = {SPAN("{\"error\":\""), span_of(text), SPAN("\"}")};
    for (size_t i = 0; i < 3; i++) {
        CHECK(len + parts[i].len <= sizeof body);
        memcpy(body + len, parts[i].data, parts[i].len);
        len += parts[i].len;
    }
    server_reply(c, &(struct server_reply){.status = status,
                                           .type = SPAN("application/json"),
                                           .fields = fields,
                                           .body = {body, len}});
}

void server_reply_text(struct server_conn *c, struct span type, struct span fields,
                       struct text *body)
{
    if (body->is_cut)
        server_reply_error(c, 503, SPAN("Retry-After: 1\r\n"), "out of memory");
    else
        server_reply(c,
                     &(struct server_reply){
                         .status = 200, .type = type, .fields = fields, .body = text_span(body)});
    text_free(body);
}

static void count_reply(struct server *s, unsigned status)
{
    COUNT(s, replies, 1);
    if (status < 300)
        COUNT(s, replies_2xx, 1);
    else if (status >= 500)
        COUNT(s, replies_5xx, 1);
    else if (status >= 400)
        COUNT(s, replies_4xx, 1);
}

/* The reply is given; what is left of it is what `write` adds. */
static bool conn_end_request(struct server_conn *c, unsigned status)
{
    struct server *s = c->server;
    CHECK(c->is_reply_due);
    c->is_reply_due = c->wants_writable = false;
    c->abandoned = NULL;
    c->writable = NULL;
    gauge_add(&s->waiting, -1);
    count_reply(s, status);
    if (c->state == CONN_DEAD) {
        conn_retire(c);
        return false;
    }
    c->is_last |= s->is_stopping;
    c->state = c->is_last ? CONN_LAST : CONN_HEAD;
    c->since_ns = s->loop->now_ns;
    return true;
}

void server_reply(struct server_conn *c, const struct server_reply *reply)
{
    CHECK(!c->writable);
    if (!conn_end_request(c, reply->status))
        return;
    conn_write_reply(c, reply, reply->body.len);
    if (!c->is_dispatching && c->state != CONN_DEAD)
        conn_resume(&c->later);
}

/* --- replied in pieces --- */

static bool conn_takes_more(struct server_conn *c)
{
    c->wants_writable = c->is_parked || c->out_len >= OUTPUT_BYTES_TURN;
    return !c->wants_writable;
}

bool server_stream_begin(struct server_conn *c, const struct server_reply *head, uint64_t length,
                         void (*writable)(void *arg), void *arg)
{
    CHECK(c->is_reply_due && !c->writable && writable);
    c->stream_status = (uint16_t)head->status;
    c->writable = writable;
    c->writable_arg = arg;
    c->is_chunked = length == SERVER_LENGTH_UNKNOWN && !c->is_old;
    c->is_last |= c->server->is_stopping || (length == SERVER_LENGTH_UNKNOWN && c->is_old);
    if (c->state == CONN_DEAD)
        return true;
    struct server_reply bare = *head;
    bare.body = (struct span){0};
    conn_write_reply(c, &bare, length);
    return server_stream_write(c, head->body);
}

bool server_stream_write(struct server_conn *c, struct span bytes)
{
    enum { CHUNK_LINE_BYTES = 24 };
    CHECK(c->writable);
    if (c->state == CONN_DEAD || c->is_head_request || !bytes.len)
        return true;
    char *begin = conn_out_room(c, bytes.len + CHUNK_LINE_BYTES), *at = begin;
    if (!begin) {
        conn_lost(c);
        return true;
    }
    if (c->is_chunked)
        at += snprintf(at, CHUNK_LINE_BYTES, "%zx\r\n", bytes.len);
    at = put(at, bytes);
    if (c->is_chunked)
        at = put(at, SPAN("\r\n"));
    conn_out_take(c, begin, at);
    return conn_takes_more(c);
}

void server_stream_end(struct server_conn *c, bool is_whole)
{
    CHECK(c->writable);
    bool has_last_chunk = is_whole && c->is_chunked && !c->is_head_request;
    c->is_last |= !is_whole;
    if (!conn_end_request(c, c->stream_status))
        return;
    char *begin = has_last_chunk ? conn_out_room(c, sizeof "0\r\n\r\n") : NULL;
    if (begin)
        conn_out_take(c, begin, put(begin, SPAN("0\r\n\r\n")));
    else if (has_last_chunk)
        conn_lost(c);
    if (!c->is_dispatching && c->state != CONN_DEAD)
        conn_resume(&c->later);
}

/* --- written --- */

static const char *date_field(struct server *s)
{
    if (s->loop->now_ns >= s->date_until_ns) {
        int64_t wall_us = clock_wall_us();
        s->date_until_ns = s->loop->now_ns + (uint64_t)(1000000 - wall_us % 1000000) * NS_PER_US;
        memcpy(s->date_field, "Date: ", 6);
        http_date(wall_us / 1000000, s->date_field + 6);
        memcpy(s->date_field + 6 + HTTP_DATE_BYTES, "\r\n", 2);
    }
    return s->date_field;
}

static char *put_status_line(char *at, unsigned status)
{
    if (status == 200)
        return put(at, SPAN("HTTP/1.1 200 OK\r\n"));
    at = put(at, SPAN("HTTP/1.1 "));
    at += num_put(at, status);
    *at++ = ' ';
    at = put(at, span_of(http_reason(status)));
    return put(at, SPAN("\r\n"));
}

static char *put_head(struct server_conn *c, char *at, const struct server_reply *reply,
                      uint64_t length)
{
    struct server *s = c->server;
    at = put_status_line(at, reply->status);
    if (reply->status == 100)
        return put(at, SPAN("\r\n"));
    at = put(at, (struct span){date_field(s), HTTP_DATE_BYTES + 8});
    if (s->config.server_field) {
        at = put(at, SPAN("Server: "));
        at = put(at, span_of(s->config.server_field));
        at = put(at, SPAN("\r\n"));
    }
    if (reply->type.len) {
        at = put(at, SPAN("Content-Type: "));
        at = put(at, reply->type);
        at = put(at, SPAN("\r\n"));
    }
    if (reply->fields.len)
        at = put(at, reply->fields);
    if (length == SERVER_LENGTH_UNKNOWN) {
        if (c->is_chunked)
            at = put(at, SPAN("Transfer-Encoding: chunked\r\n"));
    } else if (reply->status != 204 && reply->status != 304) {
        at = put(at, SPAN("Content-Length: "));
        at += num_put(at, length);
        at = put(at, SPAN("\r\n"));
    }
    if (c->is_last)
        at = put(at, SPAN("Connection: close\r\n"));
    else if (c->is_old)
        at = put(at, SPAN("Connection: keep-alive\r\n"));
    return put(at, SPAN("\r\n"));
}

/* Room for `bytes` behind what this turn already says to the connection: one send takes it all. */
static char *conn_out_room(struct server_conn *c, size_t bytes)
{
    struct ring *ring = &c->server->loop->ring;
    char *at = ring_stage(ring, bytes);
    if (!at || !c->out_len || at == c->out + c->out_len)
        return at;
    /* Twice the room: what is written piece by piece is not moved for each piece. */
    at = ring_stage(ring, 2 * (c->out_len + bytes));
    if (!at)
        return NULL;
    memcpy(at, c->out, c->out_len);
    ring_stage_take(ring, c->out_len);
    c->out = at;
    return at + c->out_len;
}

/* What was written from `begin`, which conn_out_room() gave, leaves with this turn. */
static void conn_out_take(struct server_conn *c, char *begin, const char *end)
{
    struct server *s = c->server;
    if (!c->out_len)
        c->out = begin;
    c->out_len += (uint32_t)(end - begin);
    ring_stage_take(&s->loop->ring, (size_t)(end - begin));
    if (!c->is_flush_due) {
        c->is_flush_due = true;
        c->next_flush = NULL;
        *s->flush_end = c;
        s->flush_end = &c->next_flush;
    }
}

static void conn_write_reply(struct server_conn *c, const struct server_reply *reply,
                             uint64_t length)
{
    const char *server_field = c->server->config.server_field;
    size_t most = REPLY_HEAD_BYTES + reply->type.len + reply->fields.len + reply->body.len +
                  (server_field ? strlen(server_field) : 0);
    char *begin = conn_out_room(c, most);
    if (!begin) {
        conn_lost(c);
        return;
    }
    char *end = put_head(c, begin, reply, length);
    if (!c->is_head_request && reply->body.len)
        end = put(end, reply->body);
    conn_out_take(c, begin, end);
}

/* --- sent --- */

static void conn_flush(struct server_conn *c)
{
    struct server *s = c->server;
    struct span out = {c->out, c->out_len};
    c->is_flush_due = false;
    c->out_len = 0;
    if (c->state == CONN_DEAD) {
        conn_retire(c);
        return;
    }
    COUNT(s, sent_bytes, out.len);
    if (c->is_parked) {
        if (!bytes_append(&c->held, out, HELD_BYTES_MAX))
            conn_lost(c);
        return;
    }
    c->sent = out;
    ring_send_now(&s->loop->ring, &c->send, c->fd, out);
    bool is_held_up = out.len >= OUTPUT_BYTES_TURN && c->input.len;
    if (c->state == CONN_LAST || c->is_at_end || is_held_up || c->wants_writable)
        loop_defer(s->loop, &c->later); /* a turn on, when the send is certain */
}

static void server_flush(struct loop_hook *h)
{
    struct server *s = OWNER(struct server, hook, h);
    struct server_conn *c = s->flush;
    s->flush = NULL;
    s->flush_end = &s->flush;
    while (c) {
        struct server_conn *next = c->next_flush;
        conn_flush(c);
        c = next;
    }
}

static void conn_parked_sent(struct op *op, int res, unsigned flags);

static void conn_park(struct server_conn *c)
{
    struct server *s = c->server;
    c->is_parked = true;
    conn_wait_for_rest(c, s->limits->write_ns);
    op_init(&c->send, conn_parked_sent);
    ring_send(&s->loop->ring, &c->send, c->fd, bytes_span(&c->unsent));
}

/* Told before anything else of the turn: the client reads slowly or is gone. */
static void conn_send_failed(struct op *op, int res, unsigned flags)
{
    struct server_conn *c = OWNER(struct server_conn, send, op);
    (void)flags;
    if (c->state == CONN_DEAD || c->state == CONN_FREE)
        return;
    size_t done = res > 0 ? (size_t)res : 0;
    struct span rest = {c->sent.data + done, c->sent.len - done};
    if ((res < 0 && res != -EAGAIN) || !bytes_append(&c->unsent, rest, HELD_BYTES_MAX))
        conn_lost(c);
    else
        conn_park(c);
}

static void conn_parked_sent(struct op *op, int res, unsigned flags)
{
    struct server_conn *c = OWNER(struct server_conn, send, op);
    (void)flags;
    c->is_parked = false;
    op_init(&c->send, conn_send_failed);
    if (c->state == CONN_DEAD) {
        conn_retire(c);
        return;
    }
    if (res != (int)c->unsent.len) {
        conn_lost(c);
        return;
    }
    bytes_free(&c->unsent);
    conn_wait_for_rest(c, conn_limit_ns(c));
    if (c->held.len) {
        c->unsent = c->held;
        c->held = (struct bytes){0};
        conn_park(c);
        return;
    }
    loop_defer(c->server->loop, &c->later);
}

/* --- next, or close --- */

static void conn_read_on(struct server_conn *c)
{
    if (c->is_paused && c->input.len <= conn_input_max(c) / 2) {
        c->is_paused = false;
        if (!c->recv.in_kernel && !c->is_at_end)
            ring_recv(&c->server->loop->ring, &c->recv, c->fd);
    }
}

static void conn_shut(struct server_conn *c)
{
    if (c->is_at_end) {
        conn_close(c);
        return;
    }
    c->state = CONN_LINGER;
    bytes_free(&c->input);
    bytes_free(&c->request);
    conn_wait_for_rest(c, LINGER_NS);
    if (shutdown(c->fd, SHUT_WR))
        conn_close(c);
    else
        conn_read_on(c);
}

/* Goes on with what was kept: after a reply, after a full socket took its bytes, a turn after a
 * long batch. */
static void conn_resume(struct task *t)
{
    struct server_conn *c = OWNER(struct server_conn, later, t);
    if (c->state == CONN_DEAD) {
        conn_retire(c);
        return;
    }
    if (c->input.len && conn_may_proceed(c)) {
        size_t used = conn_process(c, bytes_span(&c->input));
        if (c->state == CONN_DEAD)
            return;
        bytes_consume(&c->input, (uint32_t)used);
        conn_read_on(c);
    }
    if (c->is_parked || c->is_flush_due)
        return;
    if (c->wants_writable) {
        c->wants_writable = false;
        c->writable(c->writable_arg);
        return;
    }
    if (c->is_reply_due)
        return;
    if (c->state == CONN_LAST)
        conn_shut(c);
    else if (c->is_at_end && conn_is_reading(c) && !c->later.is_queued)
        conn_close(c);
}

static uint64_t conn_limit_ns(const struct server_conn *c)
{
    const struct server_limits *l = c->server->limits;
    if (c->is_parked)
        return l->write_ns;
    switch (c->state) {
    case CONN_HEAD:
        return c->head.scanned ? l->head_ns : l->idle_ns;
    case CONN_BODY:
        return l->body_ns;
    case CONN_LINGER:
        return LINGER_NS;
    default:
        return l->idle_ns;
    }
}

/* Deadlines are kept lazily: requests only note when the present wait began, and this looks whether
 * it has lasted. */
static void conn_due(struct timer *t)
{
    struct server_conn *c = OWNER(struct server_conn, timer, t);
    struct server *s = c->server;
    uint64_t due_ns = c->since_ns + conn_limit_ns(c);
    bool is_waiting = c->is_reply_due && !c->is_parked;
    if (is_waiting || due_ns > s->loop->now_ns) {
        uint64_t look_ns = s->loop->now_ns + s->limits->idle_ns;
        timer_set(&s->loop->timers, t, is_waiting || look_ns < due_ns ? look_ns : due_ns);
        return;
    }
    if (c->is_parked) {
        COUNT(s, timed_out_write, 1);
        sock_forget(c->fd); /* else the kernel would keep megabytes for it, and try for minutes */
        conn_close(c);
    } else if (c->state == CONN_BODY || (c->state == CONN_HEAD && c->head.scanned)) {
        if (c->state == CONN_BODY)
            COUNT(s, timed_out_body, 1);
        else
            COUNT(s, timed_out_head, 1);
        conn_wait_for_rest(c, LINGER_NS);
        conn_refuse(c, 408);
    } else {
        if (c->state == CONN_HEAD)
            COUNT(s, timed_out_idle, 1);
        conn_close(c);
    }
}

static void conn_close(struct server_conn *c)
{
    struct server *s = c->server;
    if (c->state == CONN_DEAD)
        return;
    c->state = CONN_DEAD;
    timer_clear(&s->loop->timers, &c->timer);
    if (!c->is_dispatching) {
        bytes_free(&c->input);
        bytes_free(&c->request);
    }
    bytes_free(&c->held);
    loop_defer(s->loop, &c->later); /* holds the slot for whoever is still on the stack with it */
    conn_abandon(c);
    /* Ends whatever the kernel still has of it; the descriptor is closed when the last completion
     * is in. */
    if (c->recv.in_kernel || c->send.in_kernel)
        shutdown(c->fd, SHUT_RDWR);
    conn_retire(c);
}

/* Gives the slot back once nobody knows it any more: not the kernel, not the handler, not a list.
 */
static void conn_retire(struct server_conn *c)
{
    struct server *s = c->server;
    if (c->fd >= 0 && !c->recv.in_kernel && !c->send.in_kernel) {
        ring_close_fd(&s->loop->ring, c->fd);
        c->fd = -1;
        bytes_free(&c->unsent);
    }
    if (c->fd >= 0 || c->is_reply_due || c->is_flush_due || c->later.is_queued || c->is_dispatching)
        return;
    bytes_free(&c->input);
    bytes_free(&c->request);
    c->state = CONN_FREE;
    list_remove(s, c);
    c->next = s->free;
    s->free = c;
    gauge_add(&s->open, -1);
    COUNT(s, closed, 1);
    server_check_stopped(s);
}

/* --- stopping --- */

static void run_stopped(struct task *t)
{
    struct server *s = OWNER(struct server, stopped_task, t);
    timer_clear(&s->loop->timers, &s->drain);
    timer_clear(&s->loop->timers, &s->accept_timer);
    s->stopped(s->stopped_arg);
}

static void drain_due(struct timer *t)
{
    struct server *s = OWNER(struct server, drain, t);
    for (struct server_conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        conn_close(c);
    }
}

void server_stop(struct server *s, void (*stopped)(void *arg), void *arg)
{
    s->is_stopping = true;
    s->stopped = stopped;
    s->stopped_arg = arg;
    s->stopped_task.run = run_stopped;
    s->drain.due = drain_due;
    if (s->config.share)
        share_leave(s->config.share, &s->member);
    timer_set(&s->loop->timers, &s->drain, s->loop->now_ns + s->limits->drain_ns);
    ring_cancel(&s->loop->ring, &s->accept);
    close(s->config.listener);
    for (struct server_conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        if (c->state != CONN_HEAD || c->head.scanned || c->input.len)
            continue;
        /* Between requests: our end of stream goes out, behind a reply that may still be on its
         * way. */
        c->state = CONN_LAST;
        loop_defer(s->loop, &c->later);
    }
    server_check_stopped(s);
}

void server_free(struct server *s)
{
    loop_hook_remove(s->loop, &s->hook);
    while (s->chunks) {
        struct slot_chunk *chunk = s->chunks;
        s->chunks = chunk->next;
        free(chunk);
    }
    free(s);
}

const struct server_counters *server_counters(const struct server *s)
{
    return &s->counters;
}

uint32_t server_open_connections(const struct server *s)
{
    return gauge_read(&s->open);
}

uint32_t server_waiting(const struct server *s)
{
    return gauge_read(&s->waiting);
}
