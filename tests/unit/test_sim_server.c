/* The server's connections over a kernel that does everything in any order: peers with scripts of
 * good, bad, cut and abandoned requests, a handler that replies at once or much later, a stop at
 * any time. `SEED=n build/tests/unit/test_sim_server` replays one run and prints what happens. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/num.h"
#include "conn/server.h"
#include "lib/fakering.h"

enum {
    SEEDS = 2000,
    PEERS_MAX = 24,
    PLANS_MAX = 160,
};
static const uint64_t DELAY_MAX_NS = NS_PER_S, /* of the handler */
    SLACK_NS = NS_PER_S;                       /* a peer's pauses and a lazy kernel */

/* What a peer does once it has written what it wants to. */
enum mood {
    CLOSES,      /* when everything is answered */
    HALF_CLOSES, /* at once, and reads on */
    IDLES,       /* until the server closes */
    STALLS,      /* in the middle of a request */
    VANISHES,    /* at any byte */
    READS_NOTHING,
    MOODS,
};

enum reply_how { AT_ONCE, DEFERRED, LATER, POSTED, WHEN_ABANDONED, REPLY_HOWS };

/* One request of a script, and what has become of it. */
struct plan {
    uint32_t begin, head_end, end; /* places in the script */
    uint32_t body_bytes, reply_bytes;
    unsigned status; /* of the reply that is due */
    enum http_method method;
    enum reply_how how;
    bool is_refused; /* by the server itself: the handler never sees it */
    bool is_last, is_old, expects_continue;
    bool is_replied, is_after_stop; /* the reply was given, when the server was stopping */
};

struct peer {
    unsigned number;
    struct fake_sock *sock;
    enum mood mood;
    struct bytes script;
    uint32_t written, stop_at;
    struct plan plans[PLANS_MAX];
    unsigned count, handled, answered;
    unsigned window; /* requests that are written ahead of their replies */
    size_t piece_max, appetite;
    uint64_t gap_ns, next_ns;
    uint64_t write_ns, begin_ns, read_ns; /* last byte written, first byte of the request that is
                                             being written, last reply read */
    struct bytes got, body;               /* the latter without its framing */
    struct http_head head;
    size_t head_bytes;
    bool is_heavy; /* large bodies, ahead of their replies */
    bool is_told_last, has_408, has_ended, is_over;
};

/* A request whose reply is due later. */
struct job {
    struct timer timer;
    struct task task;
    struct server_conn *conn;
    struct peer *peer;
    struct plan *plan;
    bool is_abandoned, is_replied, is_queued;
};

/* A reply that is given in pieces. */
struct stream {
    struct timer timer; /* until the next piece */
    struct task task;   /* cut short */
    struct server_conn *conn;
    struct peer *peer;
    struct plan *plan;
    char *text;
    uint32_t given;
    bool is_told;
};

static struct sim {
    struct loop loop;
    struct server *server;
    struct server_limits limits;
    struct fake_sock *listener;
    struct peer *peers;
    unsigned peer_count;
    uint64_t stop_ns; /* planned, then actual */
    bool is_stopping, is_always_told;
    bool is_streaming; /* replies are given in pieces */
    unsigned stopped_calls, jobs, streams, told;
    uint64_t stopped_ns;
} sim;

static struct server_counters total; /* over all seeds: what was reached at all */

static uint64_t below(uint64_t n)
{
    return rng_below(fake_rng(), n);
}

/* --- scripts --- */

static void say(struct peer *p, struct span s)
{
    CHECK(bytes_append(&p->script, s, UINT32_MAX));
}

static void say_text(struct peer *p, const char *format, ...) PRINTF_LIKE(2, 3);
static void say_text(struct peer *p, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say(p, (struct span){text, (size_t)n});
}

/* Bytes that nobody else's request or reply has at this place. */
static char letter(const struct peer *p, unsigned index, size_t i)
{
    return (char)('!' + (p->number * 31 + index * 7 + i * 3 + (i >> 8)) % 94);
}

static char *letters(const struct peer *p, unsigned index, size_t count)
{
    char *text = malloc(count + 1);
    CHECK(text);
    for (size_t i = 0; i < count; i++)
        text[i] = letter(p, index, i);
    return text;
}

static uint32_t some_bytes(void)
{
    if (fake_chance(300))
        return (uint32_t)(64 * 1024 + below(120 * 1024));
    return (uint32_t)below(fake_chance(6000) ? 12000 : 400);
}

static void say_body(struct peer *p, unsigned index, bool is_chunked)
{
    struct plan *plan = &p->plans[index];
    char *text = letters(p, index, plan->body_bytes);
    size_t at = 0;
    while (is_chunked && at < plan->body_bytes) {
        size_t n = 1 + below(plan->body_bytes - at);
        say_text(p, "%zx%s\r\n", n, fake_chance(8000) ? ";a=b" : "");
        say(p, (struct span){text + at, n});
        say_text(p, "\r\n");
        at += n;
    }
    if (is_chunked)
        say_text(p, "0\r\n%s\r\n", fake_chance(8000) ? "Trailer: x\r\n" : "");
    else
        say(p, (struct span){text, plan->body_bytes});
    free(text);
}

static void plan_good(struct peer *p, unsigned index)
{
    static const char *const names[] = {"GET", "HEAD", "POST"};
    struct plan *plan = &p->plans[index];
    bool is_old = fake_chance(3000), is_chunked = fake_chance(32768) && !is_old;
    plan->method = p->is_heavy ? HTTP_POST : (enum http_method)below(3);
    plan->how = fake_chance(32768) ? AT_ONCE : (enum reply_how)below(REPLY_HOWS);
    plan->status = fake_chance(4000) ? 404 : 200;
    plan->reply_bytes = some_bytes();
    plan->is_old = is_old;
    plan->is_last |= is_old || fake_chance(2000);
    say_text(p, "%s /%u/%u?q HTTP/1.%d\r\nHost: h\r\n", names[plan->method], p->number, index,
             !is_old);
    if (plan->is_last && !is_old)
        say_text(p, "Connection: close\r\n");
    if (plan->method == HTTP_POST) {
        plan->body_bytes = p->is_heavy ? (uint32_t)below(100 * 1024) : some_bytes();
        plan->expects_continue = fake_chance(8000);
        if (plan->expects_continue)
            say_text(p, "Expect: 100-continue\r\n");
        if (is_chunked)
            say_text(p, "Transfer-Encoding: chunked\r\n");
        else
            say_text(p, "Content-Length: %u\r\n", plan->body_bytes);
    }
    say_text(p, "\r\n");
    plan->head_end = p->script.len;
    if (plan->method == HTTP_POST)
        say_body(p, index, is_chunked);
}

static void plan_bad(struct peer *p, unsigned index)
{
    static const struct {
        unsigned status;
        const char *text;
    } kinds[] = {
        {414, "GET /"},
        {431, "GET / HTTP/1.1\r\nHost: h\r\n"},
        {400, "\x01\x02\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"},
        {413, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 999999999\r\n\r\nabc"},
        {501, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: rot13, chunked\r\n\r\n"},
        {505, "GET / HTTP/2.0\r\nHost: h\r\n\r\n"},
        {417, "HEAD / HTTP/1.1\r\nHost: h\r\nExpect: nothing\r\n\r\n"},
    };
    size_t kind = below(sizeof kinds / sizeof *kinds);
    p->plans[index].status = kinds[kind].status;
    p->plans[index].is_refused = p->plans[index].is_last = true;
    p->plans[index].method = kinds[kind].status == 417 ? HTTP_HEAD : HTTP_GET;
    say_text(p, "%s", kinds[kind].text);
    for (int i = 0; kinds[kind].status == 414 && i < 900; i++)
        say_text(p, "0123456789");
    for (int i = 0; kinds[kind].status == 431 && i < 200; i++)
        say_text(p, "A: b\r\n");
    p->plans[index].head_end = p->script.len;
}

/* Requests up to the one that is the last by its own word or by the limit, sometimes with more
 * behind it, which must go unheard. */
static void write_script(struct peer *p)
{
    unsigned wanted = fake_chance(3000) ? PLANS_MAX : (unsigned)below(8);
    bool is_bad = fake_chance(6000);
    uint32_t most = sim.limits.requests_per_connection;
    while (p->count < wanted) {
        struct plan *plan = &p->plans[p->count];
        plan->begin = p->script.len;
        plan->is_last = most && p->count + 1 == most;
        if (is_bad && p->count + 1 == wanted)
            plan_bad(p, p->count);
        else
            plan_good(p, p->count);
        plan->end = p->script.len;
        p->count++;
        if (plan->is_last)
            break;
        if (p->script.len > 400 * 1024)
            break;
    }
    p->stop_at = p->script.len;
    if (p->count && p->plans[p->count - 1].is_last && fake_chance(16000))
        say_text(p, "GET /beyond HTTP/1.1\r\nHost: h\r\n\r\n");
    if (p->mood == VANISHES)
        p->stop_at = (uint32_t)below(p->script.len + 1);
    else if (p->mood != STALLS)
        p->stop_at = p->script.len;
}

/* A stalling peer stops within its last request; what it cannot stop in makes it idle. */
static void plan_stall(struct peer *p)
{
    struct plan *plan = &p->plans[p->count - !!p->count];
    if (p->mood != STALLS)
        return;
    if (!p->count || plan->is_refused || p->script.len != plan->end ||
        plan->end - plan->begin < 4) {
        p->mood = IDLES;
        p->stop_at = p->script.len;
        return;
    }
    p->stop_at = plan->begin + 3 + (uint32_t)below(plan->end - plan->begin - 3);
}

static void peer_make(struct peer *p, unsigned number)
{
    *p = (struct peer){.number = number};
    p->mood = (enum mood)below(MOODS);
    p->window = fake_chance(32768) ? PLANS_MAX : 1 + (unsigned)below(4);
    p->piece_max = fake_chance(32768) ? SIZE_MAX : 1 + below(fake_chance(8000) ? 20 : 3000);
    p->is_heavy = p->window == PLANS_MAX && p->piece_max == SIZE_MAX && fake_chance(20000);
    p->appetite = fake_chance(40000) ? SIZE_MAX : 4096 + below(30000);
    p->gap_ns = 1 + below(10 * NS_PER_MS);
    p->next_ns = fake_now() + below(fake_chance(40000) ? NS_PER_MS : 3 * NS_PER_S);
    if (p->mood == VANISHES && fake_chance(32768)) {
        p->appetite = 0;
        p->window = PLANS_MAX;
    }
    write_script(p);
    plan_stall(p);
    /* A run shall come to an end, and a long head within its deadline. */
    unsigned pieces = p->count && p->plans[p->count - 1].status == 414 ? 50 : 500;
    if (p->piece_max < p->script.len / pieces)
        p->piece_max = p->script.len / pieces;
}

/* --- the handler --- */

static void stream_free(struct stream *st)
{
    timer_clear(&sim.loop.timers, &st->timer);
    sim.streams--;
    free(st->text);
    free(st);
}

static void stream_cut(struct task *t)
{
    struct stream *st = (struct stream *)((char *)t - offsetof(struct stream, task));
    fake_trace("peer %u: cut short", st->peer->number);
    server_stream_end(st->conn, false);
    stream_free(st);
}

/* Nobody waits for it any more: it goes on to its end without being asked, or is cut short in a later
 * turn. */
static void stream_abandoned(void *arg)
{
    struct stream *st = arg;
    FAKE_CHECK(!st->is_told, "abandoned twice");
    st->is_told = true;
    sim.told++;
    if (st->peer->mood == VANISHES && st->plan->reply_bytes % 2) {
        timer_clear(&sim.loop.timers, &st->timer);
        loop_defer(&sim.loop, &st->task);
    } else {
        CHECK(timer_set(&sim.loop.timers, &st->timer, fake_now()));
    }
}

/* The next pieces: some at once, until the server wants no more or some time passes. Who was told that
 * the client has gone is not told more, and does not wait for it. */
static void stream_go_on(struct stream *st)
{
    bool is_wanted = true;
    while ((is_wanted || st->is_told) && st->given < st->plan->reply_bytes) {
        if (fake_chance(10000)) {
            CHECK(timer_set(&sim.loop.timers, &st->timer, fake_now() + below(50 * NS_PER_MS)));
            return;
        }
        uint32_t n = 1 + (uint32_t)below(st->plan->reply_bytes - st->given);
        is_wanted = server_stream_write(st->conn, (struct span){st->text + st->given, n});
        st->given += n;
    }
    if (st->given < st->plan->reply_bytes || st->task.is_queued)
        return;
    server_stream_end(st->conn, true);
    stream_free(st);
}

static void stream_due(struct timer *t)
{
    stream_go_on((struct stream *)((char *)t - offsetof(struct stream, timer)));
}

static void stream_writable(void *arg)
{
    struct stream *st = arg;
    if (!st->task.is_queued && st->timer.deadline_ns == TIMER_NEVER)
        stream_go_on(st);
}

static void stream_reply(struct peer *p, struct plan *plan, struct server_conn *conn, char *text,
                         bool was_told)
{
    struct stream *st = calloc(1, sizeof *st);
    CHECK(st);
    *st = (struct stream){.conn = conn, .peer = p, .plan = plan, .text = text, .is_told = was_told};
    st->timer = (struct timer){.due = stream_due, .deadline_ns = TIMER_NEVER};
    st->task.run = stream_cut;
    st->given = (uint32_t)below(plan->reply_bytes + 1);
    sim.streams++;
    server_on_abandon(conn, was_told ? NULL : stream_abandoned, st);
    uint64_t length = plan->is_old || below(2) ? plan->reply_bytes : SERVER_LENGTH_UNKNOWN;
    struct server_reply head = {
        .status = plan->status, .type = SPAN("text/plain"), .body = {text, st->given}};
    if (server_stream_begin(conn, &head, length, stream_writable, st))
        stream_go_on(st);
}

static void give_reply(struct peer *p, struct plan *plan, struct server_conn *conn, bool was_told)
{
    unsigned index = (unsigned)(plan - p->plans);
    char *text = letters(p, index, plan->reply_bytes);
    FAKE_CHECK(!plan->is_replied, "replied twice");
    plan->is_replied = true;
    plan->is_after_stop = sim.is_stopping;
    fake_trace("peer %u request %u: reply of %u", p->number, index, plan->reply_bytes);
    if (sim.is_streaming) {
        stream_reply(p, plan, conn, text, was_told);
        return;
    }
    server_reply(conn, &(struct server_reply){.status = plan->status,
                                              .type = SPAN("text/plain"),
                                              .body = {text, plan->reply_bytes}});
    free(text);
}

static void job_reply(struct job *j)
{
    CHECK(!j->is_replied);
    j->is_replied = true;
    give_reply(j->peer, j->plan, j->conn, j->is_abandoned);
}

/* A job goes once it is replied to and in no list. */
static void job_end(struct job *j)
{
    timer_clear(&sim.loop.timers, &j->timer);
    sim.jobs--;
    free(j);
}

static void job_due(struct timer *t)
{
    struct job *j = (struct job *)((char *)t - offsetof(struct job, timer));
    job_reply(j);
    job_end(j);
}

static void job_run(struct task *t)
{
    struct job *j = (struct job *)((char *)t - offsetof(struct job, task));
    job_reply(j);
    job_end(j);
}

static void job_abandoned(void *arg)
{
    struct job *j = arg;
    FAKE_CHECK(!j->is_abandoned && !j->is_replied, "abandoned twice, or after the reply");
    j->is_abandoned = true;
    sim.told++;
    fake_trace("peer %u: abandoned", j->peer->number);
    if (j->plan->how == WHEN_ABANDONED) {
        job_reply(j);
        job_end(j);
    }
}

static void job_make(struct peer *p, struct plan *plan, struct server_conn *conn)
{
    struct job *j = calloc(1, sizeof *j);
    CHECK(j);
    *j = (struct job){.timer.due = job_due, .task.run = job_run};
    j->conn = conn;
    j->peer = p;
    j->plan = plan;
    sim.jobs++;
    if (sim.is_always_told || plan->how == WHEN_ABANDONED || fake_chance(32768))
        server_on_abandon(conn, job_abandoned, j);
    if (plan->how == DEFERRED)
        loop_defer(&sim.loop, &j->task);
    else if (plan->how == POSTED)
        loop_post(&sim.loop, &j->task);
    else
        CHECK(timer_set(&sim.loop.timers, &j->timer, fake_now() + below(DELAY_MAX_NS)));
}

static void check_body(const struct peer *p, unsigned index, struct span body)
{
    FAKE_CHECK(body.len == p->plans[index].body_bytes, "peer %u request %u: a body of %zu, not %u",
               p->number, index, body.len, p->plans[index].body_bytes);
    for (size_t i = 0; i < body.len; i++)
        FAKE_CHECK(body.data[i] == letter(p, index, i), "peer %u request %u: another body",
                   p->number, index);
}

static void handle(void *arg, const struct server_request *r)
{
    unsigned number, index;
    char path[64];
    (void)arg;
    FAKE_CHECK(r->path.len < sizeof path, "a path of %zu", r->path.len);
    memcpy(path, r->path.data, r->path.len);
    path[r->path.len] = 0;
    FAKE_CHECK(sscanf(path, "/%u/%u", &number, &index) == 2 && number < sim.peer_count,
               "a request for %s", path);
    struct peer *p = &sim.peers[number];
    struct plan *plan = &p->plans[index];
    fake_trace("peer %u request %u of %u: handled", number, index, p->count);
    FAKE_CHECK(index == p->handled && index < p->count, "peer %u request %u comes as number %u",
               number, index, p->handled);
    FAKE_CHECK(!index || plan[-1].is_replied, "the request before was not replied to");
    FAKE_CHECK(!plan->is_refused && r->method == plan->method && span_eq(r->query, SPAN("q")),
               "peer %u request %u is another", number, index);
    check_body(p, index, r->body);
    p->handled++;
    if (plan->how != AT_ONCE) {
        job_make(p, plan, r->conn);
        return;
    }
    give_reply(p, plan, r->conn, false);
    FAKE_CHECK(memcmp(path, r->path.data, r->path.len) == 0, "the request went before its handler");
    check_body(p, index, r->body);
}

/* --- the peers --- */

/* The last whole request that was sent and has to be answered. */
static unsigned due_count(const struct peer *p)
{
    unsigned n = 0;
    while (n < p->count && p->plans[n].end <= p->written)
        n++;
    return n;
}

static void check_408(struct peer *p)
{
    const struct plan *plan = &p->plans[p->answered];
    uint64_t now = fake_now();
    FAKE_CHECK(p->mood == STALLS && p->written == p->stop_at, "peer %u: 408 for no reason",
               p->number);
    bool is_body = p->written >= plan->head_end;
    uint64_t limit = is_body ? sim.limits.body_ns : sim.limits.head_ns;
    uint64_t from = is_body ? p->write_ns : p->begin_ns;
    uint64_t last = p->write_ns > p->read_ns ? p->write_ns : p->read_ns;
    FAKE_CHECK(now >= from + limit, "peer %u: the deadline came early", p->number);
    FAKE_CHECK(now <= last + limit + SLACK_NS, "peer %u: the deadline came %.3f s late", p->number,
               (double)(now - last - limit) / 1e9);
    p->has_408 = true;
}

/* Whether the server can know the method. */
static bool has_first_line(const struct peer *p, const struct plan *plan)
{
    return memchr(p->script.data + plan->begin, '\n', p->written - plan->begin);
}

/* The body behind the head; false if it is not whole yet. `raw` is its length on the wire. */
static bool read_body(struct peer *p, enum http_method method, size_t *raw)
{
    struct http_body body;
    struct span payload, in = {p->got.data + p->head_bytes, p->got.len - p->head_bytes};
    http_response_body(&body, &p->head, method);
    FAKE_CHECK(body.kind != HTTP_BODY_UNTIL_CLOSE, "peer %u: a body without framing", p->number);
    bytes_free(&p->body);
    while (in.len && !body.is_done) {
        int64_t n = http_body_take(&body, in, &payload);
        FAKE_CHECK(n > 0, "peer %u: a body that is framed badly", p->number);
        if (payload.len)
            CHECK(bytes_append(&p->body, payload, UINT32_MAX));
        in.data += n;
        in.len -= (size_t)n;
    }
    *raw = p->got.len - p->head_bytes - in.len;
    return body.is_done;
}

/* One whole reply at the front of `got`; false if it is not whole yet. */
static bool take_reply(struct peer *p)
{
    static const struct http_limits limits = HTTP_LIMITS_DEFAULT;
    if (!p->head_bytes) {
        int n = http_response_head(&p->head, p->got.data, p->got.len, &limits);
        FAKE_CHECK(n >= 0, "peer %u: not a response", p->number);
        if (!n)
            return false;
        p->head_bytes = (size_t)n;
    }
    struct plan *plan = &p->plans[p->answered];
    FAKE_CHECK(p->answered < p->count && !p->is_told_last, "peer %u: a reply that nobody asked for",
               p->number);
    bool is_interim = p->head.status == 100, is_408 = p->head.status == 408;
    FAKE_CHECK(!is_interim || plan->expects_continue, "peer %u: 100 unasked", p->number);
    bool is_head = plan->method == HTTP_HEAD && (!is_408 || has_first_line(p, plan));
    size_t raw = 0;
    if (!is_interim && !read_body(p, is_head ? HTTP_HEAD : HTTP_GET, &raw))
        return false;
    if (is_408)
        check_408(p);
    else if (!is_interim)
        FAKE_CHECK(p->head.status == plan->status, "peer %u request %u: %u, not %u", p->number,
                   p->answered, p->head.status, plan->status);
    if (!is_interim && !is_408 && !plan->is_refused) {
        FAKE_CHECK(plan->is_replied, "peer %u request %u: answered by nobody", p->number,
                   p->answered);
        FAKE_CHECK(!p->head.has_length || p->head.content_length == plan->reply_bytes,
                   "peer %u request %u: of %u bytes", p->number, p->answered,
                   (unsigned)p->head.content_length);
        FAKE_CHECK(is_head || p->body.len == plan->reply_bytes, "peer %u request %u: %u bytes",
                   p->number, p->answered, p->body.len);
        for (size_t i = 0; i < p->body.len; i++)
            FAKE_CHECK(p->body.data[i] == letter(p, p->answered, i),
                       "peer %u request %u: somebody else's reply", p->number, p->answered);
    }
    if (!is_interim && !is_408) {
        FAKE_CHECK(p->head.has_close || !(plan->is_last || plan->is_after_stop),
                   "peer %u: the last is not called so", p->number);
        FAKE_CHECK(!p->head.has_close || plan->is_last || sim.is_stopping,
                   "peer %u request %u: called the last", p->number, p->answered);
        p->answered++;
        p->read_ns = fake_now();
    }
    p->is_told_last |= p->head.has_close;
    bytes_consume(&p->got, (uint32_t)(p->head_bytes + raw));
    p->head_bytes = 0;
    p->head = (struct http_head){0};
    return true;
}

static void peer_reads(struct peer *p)
{
    if (p->mood == READS_NOTHING && p->written == p->stop_at)
        return;
    fake_peer_read(p->sock, &p->got, p->appetite);
    while (p->got.len && take_reply(p))
        ;
}

static void peer_writes(struct peer *p)
{
    uint32_t until = p->stop_at;
    unsigned ahead = p->answered + p->window;
    if (ahead < p->count && p->plans[ahead].begin < until)
        until = p->plans[ahead].begin;
    if (p->written >= until || p->is_told_last)
        return;
    size_t n = until - p->written;
    if (n > p->piece_max)
        n = 1 + below(p->piece_max);
    fake_peer_write(p->sock, (struct span){p->script.data + p->written, n});
    for (unsigned i = p->answered; i < p->count; i++)
        if (p->plans[i].begin >= p->written && p->plans[i].begin < p->written + n)
            p->begin_ns = fake_now();
    p->written += (uint32_t)n;
    p->write_ns = fake_now();
}

/* What has to be so when the connection is over and nothing went wrong that is not the server's
 * doing. */
static void check_over(struct peer *p)
{
    const struct server_counters *n = server_counters(sim.server);
    bool is_cut = sim.is_stopping && fake_now() >= sim.stop_ns + sim.limits.drain_ns;
    bool is_refused = n->over_connections && !p->sock->received;
    if (p->sock->is_faulted || fake_stage_failures() || is_cut || is_refused ||
        p->mood == VANISHES || p->mood == READS_NOTHING)
        return;
    FAKE_CHECK(p->answered >= p->handled, "peer %u: %u of %u handled requests were answered",
               p->number, p->answered, p->handled);
    if (sim.is_stopping)
        return;
    FAKE_CHECK(!p->got.len, "peer %u: %u bytes of a reply", p->number, p->got.len);
    FAKE_CHECK(p->answered >= due_count(p), "peer %u: %u of %u requests were answered", p->number,
               p->answered, due_count(p));
    if (p->is_told_last || p->mood == CLOSES || p->mood == HALF_CLOSES)
        return;
    FAKE_CHECK(p->mood != STALLS || p->has_408, "peer %u: no 408", p->number);
    uint64_t last = p->write_ns > p->read_ns ? p->write_ns : p->read_ns;
    if (p->mood == IDLES && last)
        FAKE_CHECK(fake_now() >= last + sim.limits.idle_ns - SLACK_NS &&
                       fake_now() <= last + sim.limits.idle_ns + SLACK_NS,
                   "peer %u: closed after %.3f s of silence", p->number,
                   (double)(fake_now() - last) / 1e9);
}

static void peer_ends(struct peer *p)
{
    bool is_written = p->written == p->stop_at;
    if (p->has_ended)
        return;
    if (p->mood == VANISHES && is_written) {
        if (!p->sock->peer_ended && fake_chance(20000)) { /* goes in two steps */
            fake_peer_end(p->sock);
            return;
        }
        p->has_ended = true;
        if (fake_chance(32768))
            fake_peer_reset(p->sock);
        else
            fake_peer_close(p->sock);
        return;
    }
    bool is_done = p->mood == CLOSES && p->answered == p->count && is_written;
    if (is_done || (p->mood == HALF_CLOSES && is_written)) {
        p->has_ended = true;
        fake_peer_end(p->sock);
    }
}

static void peer_act(struct peer *p)
{
    p->next_ns = fake_now() + 1 + below(fake_chance(1000) ? 300 * NS_PER_MS : p->gap_ns);
    if (!p->sock) {
        p->sock = fake_dial(sim.listener);
        fake_trace("peer %u dials as %d, mood %d, %u requests", p->number, p->sock->number, p->mood,
                   p->count);
    }
    peer_reads(p);
    bool is_ignored = p->sock->is_closed && (p->mood == READS_NOTHING || !p->appetite);
    if (fake_peer_at_end(p->sock) || is_ignored || p->sock->peer_gone) {
        fake_trace("peer %u is over: %u of %u", p->number, p->answered, p->count);
        check_over(p);
        p->is_over = true;
        p->next_ns = UINT64_MAX;
        if (!p->sock->peer_gone && fake_chance(50000))
            fake_peer_close(p->sock);
        return;
    }
    peer_writes(p);
    peer_ends(p);
}

/* --- a run --- */

static void stopped(void *arg)
{
    (void)arg;
    sim.stopped_calls++;
    sim.stopped_ns = fake_now();
    fake_trace("stopped");
    loop_stop(&sim.loop);
}

static void choose_limits(void)
{
    sim.limits = (struct server_limits)SERVER_LIMITS_DEFAULT;
    sim.limits.body_bytes = 256 * 1024;
    sim.limits.head_ns = 2 * NS_PER_S + below(8 * NS_PER_S);
    sim.limits.body_ns = 2 * NS_PER_S + below(8 * NS_PER_S);
    sim.limits.idle_ns = 3 * NS_PER_S + below(20 * NS_PER_S);
    sim.limits.write_ns = 3 * NS_PER_S + below(20 * NS_PER_S);
    sim.limits.drain_ns = below(10 * NS_PER_S);
    if (fake_chance(8000))
        sim.limits.connections = 1 + (uint32_t)below(4);
    if (fake_chance(8000))
        sim.limits.requests_per_connection = 1 + (uint32_t)below(6);
}

/* Half of the runs are on a kernel that does its best, where everything has to work out. */
static struct fake_faults choose_faults(struct rng *r)
{
    struct fake_faults f = {.laziness = (unsigned)rng_below(r, 40000), .socket_bytes = 1 << 18};
    if (rng_below(r, 2))
        f.socket_bytes = 1000 + (unsigned)rng_below(r, 60000);
    f.recv_no_buffers = (unsigned)rng_below(r, 2) * 4000;
    f.recv_ends = (unsigned)rng_below(r, 2) * 10000;
    f.recv_bytewise = (unsigned)rng_below(r, 2) * 6000;
    f.send_short = (unsigned)rng_below(r, 2) * 6000;
    f.accept_ends = (unsigned)rng_below(r, 2) * 10000;
    f.accept_fails = (unsigned)rng_below(r, 2) * 6000;
    if (rng_below(r, 2))
        return f;
    f.recv_lost = (unsigned)rng_below(r, 2) * 400;
    f.send_lost = (unsigned)rng_below(r, 2) * 1000;
    f.stage_fails = (unsigned)rng_below(r, 4) ? 0 : 1000;
    return f;
}

static void begin(uint64_t seed, bool trace)
{
    struct rng r;
    struct fail f;
    rng_seed(&r, ~seed);
    struct fake_faults faults = choose_faults(&r);
    faults.falls_behind = (unsigned)rng_below(&r, 2) * 3000;
    fake_start(seed, &faults, trace);
    sim = (struct sim){.listener = fake_listen()};
    choose_limits();
    sim.is_always_told = below(2);
    sim.is_streaming = !rng_below(&r, 4);
    sim.peer_count = 1 + (unsigned)below(fake_chance(6000) ? PEERS_MAX : 6);
    sim.peers = calloc(sim.peer_count, sizeof *sim.peers);
    CHECK(sim.peers);
    for (unsigned i = 0; i < sim.peer_count; i++)
        peer_make(&sim.peers[i], i);
    sim.stop_ns = fake_chance(32768) ? fake_now() + below(8 * NS_PER_S) : UINT64_MAX;
    struct ring_config ring = {.buffers = 16, .buffer_bytes = 256u << below(8)};
    CHECK(loop_open(&sim.loop, &ring, &f));
    sim.server = server_start(&sim.loop,
                              &(struct server_config){.listener = sim.listener->fd,
                                                      .limits = &sim.limits,
                                                      .handler = handle,
                                                      .server_field = below(2) ? "sim" : NULL},
                              &f);
    CHECK(sim.server);
}

static bool peers_act(void)
{
    uint64_t next = UINT64_MAX;
    bool is_over = true;
    for (unsigned i = 0; i < sim.peer_count; i++) {
        struct peer *p = &sim.peers[i];
        if (p->next_ns <= fake_now())
            peer_act(p);
        if (p->next_ns < next)
            next = p->next_ns;
        is_over &= p->is_over;
    }
    if (!sim.is_stopping && sim.stop_ns < next)
        next = sim.stop_ns;
    fake_wake_at(next);
    return is_over;
}

static void check_turn(void)
{
    const struct server_counters *n = server_counters(sim.server);
    uint32_t open = server_open_connections(sim.server), waiting = server_waiting(sim.server);
    FAKE_CHECK(n->accepted == n->closed + open, "%u accepted, %u closed, %u open",
               (unsigned)n->accepted, (unsigned)n->closed, open);
    FAKE_CHECK(n->requests == n->replies + waiting, "%u requests, %u replies, %u waiting",
               (unsigned)n->requests, (unsigned)n->replies, waiting);
    FAKE_CHECK(waiting == sim.jobs + sim.streams, "%u waiting, %u jobs, %u streams", waiting,
               sim.jobs, sim.streams);
    FAKE_CHECK(n->abandoned == sim.told || !sim.is_always_told, "%u abandoned, %u told",
               (unsigned)n->abandoned, sim.told);
}

static void check_end(void)
{
    const struct server_counters *n = server_counters(sim.server);
    uint64_t received = 0, sent = 0;
    for (unsigned i = 0; i < sim.peer_count; i++) {
        received += sim.peers[i].sock ? sim.peers[i].sock->received : 0;
        sent += sim.peers[i].sock ? sim.peers[i].sock->sent : 0;
    }
    FAKE_CHECK(n->received_bytes == received, "%u bytes received, %u delivered",
               (unsigned)n->received_bytes, (unsigned)received);
    FAKE_CHECK(n->sent_bytes >= sent, "%u bytes sent, %u taken", (unsigned)n->sent_bytes,
               (unsigned)sent);
    FAKE_CHECK(n->replies == n->replies_2xx + n->replies_4xx + n->replies_5xx, "replies by class");
    FAKE_CHECK(sim.stopped_calls == 1, "stopped %u times", sim.stopped_calls);
    FAKE_CHECK(!fake_in_kernel(), "%u operations in the kernel", fake_in_kernel());
    FAKE_CHECK(!server_open_connections(sim.server) && !sim.jobs && !sim.streams,
               "something is open");
    uint64_t took = sim.stopped_ns - sim.stop_ns;
    FAKE_CHECK(took <= sim.limits.drain_ns + DELAY_MAX_NS + SLACK_NS, "it took %.3f s to stop",
               (double)took / 1e9);
    const uint64_t *from = (const uint64_t *)n;
    uint64_t *to = (uint64_t *)&total;
    for (size_t i = 0; i < sizeof total / sizeof *to; i++)
        to[i] += from[i];
}

static void finish(void)
{
    check_end();
    server_free(sim.server);
    loop_close(&sim.loop);
    for (unsigned i = 0; i < sim.peer_count; i++) {
        bytes_free(&sim.peers[i].script);
        bytes_free(&sim.peers[i].got);
        bytes_free(&sim.peers[i].body);
    }
    free(sim.peers);
    fake_finish();
}

static void run(uint64_t seed, bool trace)
{
    begin(seed, trace);
    uint64_t end = fake_now() + 600 * NS_PER_S;
    while (!sim.stopped_calls) {
        bool is_over = peers_act();
        FAKE_CHECK(fake_now() < end, "it does not come to an end");
        if (!sim.is_stopping && (fake_now() >= sim.stop_ns || is_over)) {
            sim.is_stopping = true;
            sim.stop_ns = fake_now();
            fake_trace("stop");
            server_stop(sim.server, stopped, NULL);
        }
        loop_turn(&sim.loop, RING_FOREVER);
        check_turn();
    }
    fake_wake_at(fake_now());
    for (int i = 0; i < 3; i++)
        loop_turn(&sim.loop, 0);
    finish();
}

/* --- tests --- */

/* What runs found stays mended. (A seed shows what it says as long as the simulation draws the same
 * numbers: a change there asks for new ones.) */
static void test_found(void **state)
{
    static const struct {
        uint64_t seed;
        const char *what;
    } found[] = {
        {1, "a connection that waits for its reply is counted as closed and open"},
        {52, "the idle deadline comes late after a longer one"},
        {128, "pipelined requests behind 32 KiB of replies are never looked at"},
        {325, "the request goes while its handler reads it, when a reply finds no memory"},
        {4302, "a client that half-closes and then resets is abandoned twice"},
        {16822, "a receive is armed twice when its last data end the pause of reading"},
        {23818, "a client that half-closes while the ring is behind loses its reply"},
    };
    (void)state;
    if (getenv("SEED"))
        return;
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
        print_message("seed %u: %s\n", (unsigned)found[i].seed, found[i].what);
        run(found[i].seed, false);
    }
}

/* Any order, any result: every request is answered once, in order, with its own bytes. */
static void test_seeds(void **state)
{
    (void)state;
    const char *one = getenv("SEED"), *count = getenv("SEEDS");
    if (one) {
        run(strtoull(one, NULL, 10), true);
        return;
    }
    uint64_t seeds = count ? strtoull(count, NULL, 10) : SEEDS;
    for (uint64_t seed = 1; seed <= seeds; seed++)
        run(seed, false);
#define X(name, help)                  \
    if (!total.name && seeds >= SEEDS) \
        fail_msg("no run has any of: " help);
    SERVER_COUNTERS(X)
#undef X
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
