/* The client's connections over a kernel that does everything in any order: owners that open, send
 * one or several requests, close and set deadlines at random, against peers that answer well,
 * badly, slowly, in part or not at all. `SEED=n build/tests/unit/test_sim_client` replays one run
 * and prints what happens. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "conn/client.h"
#include "lib/fakering.h"

enum {
    SEEDS = 3000,
    OWNERS_MAX = 12,
    OPENS_MAX = 8,      /* connections that an owner makes one after the other */
    IN_FLIGHT_MAX = 64, /* requests of a connection that are not answered */
};
static const uint64_t SLACK_NS = NS_PER_S;

/* How a peer's answers are. */
enum manner { BY_LENGTH, CHUNKED, UNTIL_CLOSE, LAST, WITHOUT_BODY, BAD, CUT, MANNERS };

/* One request on its way, and the answer that the peer has planned for it. */
struct exchange {
    unsigned number;
    enum http_method method;
    enum manner manner;
    unsigned status;
    uint32_t body_bytes, seen_bytes;
    bool has_head;
};

struct peer;
struct owner {
    struct client *client; /* from the heap, a new one after each close */
    unsigned number, opens, sent_on, answered_on;
    bool is_open,
        is_told_open; /* client_open() was called and not answered by closed(); opened() came */
    bool is_calling;  /* a client_ function of it is on the stack */
    bool is_closing;  /* client_close() was called */
    enum client_error closing_with;
    uint64_t deadline_ns;
    enum http_method method;
    struct exchange flight[IN_FLIGHT_MAX];
    unsigned first, count;
    unsigned next_number;
    unsigned eagerness; /* a chance to send when it may */
    unsigned closing;   /* a chance to close, per look */
    bool is_keeping;    /* without pauses of its own: sends while it is told of an answer */
    bool is_paused;     /* stopped reading for a while */
    uint64_t turn_sent;
    struct peer *peer;
    struct bytes memory[2]; /* what was sent, until the turn after the next */
    uint64_t next_ns;
};

/* The far end of one connection. */
struct peer {
    struct fake_sock *sock;
    struct owner *owner;
    struct bytes got, answers;
    bool is_over, ends_after;
    bool is_mute; /* reads and never answers */
    uint64_t next_ns;
    struct peer *next;
};

static struct sim {
    struct loop loop;
    struct owner owners[OWNERS_MAX];
    unsigned owner_count;
    struct peer *peers;
    struct address to;
    bool is_finishing;
    uint64_t until_ns; /* then everything is closed */
    uint64_t opened, closed, answered, sent;
} sim;

static uint64_t total_errors[CLIENT_TIMEOUT + 1], total_answered;

static uint64_t below(uint64_t n)
{
    return rng_below(fake_rng(), n);
}

static struct owner *owner_of(const struct client *c)
{
    for (unsigned i = 0; i < sim.owner_count; i++)
        if (sim.owners[i].client == c)
            return &sim.owners[i];
    fake_fail("an event of nobody");
}

static const struct client_events events;

/* The struct is its owner's again once it is told of the close: it may even be freed there. */
static void client_renew(struct owner *o)
{
    if (o->client)
        memset(o->client, 0xdd, sizeof *o->client);
    free(o->client);
    o->client = malloc(sizeof *o->client);
    CHECK(o->client);
    client_init(o->client, &sim.loop, &events);
}

static char letter(unsigned owner, unsigned number, size_t i)
{
    return (char)('!' + (owner * 31 + number * 7 + i * 3 + (i >> 8)) % 94);
}

/* --- what owners do --- */

static void owner_open(struct owner *o)
{
    FAKE_CHECK(o->client->state == CLIENT_IDLE, "opened when not idle");
    o->opens++;
    o->is_open = true;
    o->is_told_open = o->is_closing = o->is_paused = false;
    o->first = o->count = o->sent_on = o->answered_on = 0;
    o->method = below(4) ? HTTP_GET : HTTP_HEAD;
    o->deadline_ns = below(2) ? TIMER_NEVER : fake_now() + below(3 * NS_PER_S);
    sim.opened++;
    fake_trace("owner %u opens, deadline %.6f", o->number, (double)o->deadline_ns / 1e9);
    o->is_calling = true;
    client_open(o->client, &sim.to, o->deadline_ns);
    o->is_calling = false;
}

static enum manner some_manner(void)
{
    if (below(3))
        return below(2) ? BY_LENGTH : CHUNKED;
    return (enum manner)below(MANNERS);
}

static struct exchange *exchange_make(struct owner *o)
{
    struct exchange *e = &o->flight[(o->first + o->count++) % IN_FLIGHT_MAX];
    *e = (struct exchange){.number = o->next_number++, .method = o->method, .status = 200};
    e->manner = some_manner();
    if (e->manner == WITHOUT_BODY)
        e->status = below(2) ? 204 : 304;
    else
        e->body_bytes = (uint32_t)below(fake_chance(2000) ? 100000 : 300);
    return e;
}

static void owner_send(struct owner *o)
{
    unsigned count = 1 + (unsigned)below(fake_chance(16000) ? 8 : 1);
    uint64_t turn = sim.loop.ring.turns;
    struct bytes *memory = &o->memory[turn % 2];
    bool is_uncertain = sim.loop.ring.is_behind && o->count;
    if (!client_is_usable(o->client) || o->turn_sent == turn || is_uncertain ||
        o->count + count > IN_FLIGHT_MAX)
        return;
    bytes_free(memory);
    for (unsigned i = 0; i < count; i++) {
        char text[128];
        struct exchange *e = exchange_make(o);
        unsigned pad = (unsigned)below(40);
        int n = snprintf(text, sizeof text, "%s /%u/%u/%0*d HTTP/1.1\r\nHost: h\r\n\r\n",
                         http_method_name(o->method), o->number, e->number, pad, 0);
        CHECK(bytes_append(memory, (struct span){text, (size_t)n}, UINT32_MAX));
    }
    o->turn_sent = turn;
    o->sent_on += count;
    sim.sent += count;
    fake_trace("owner %u sends %u", o->number, count);
    o->is_calling = true;
    client_send(o->client, o->method, bytes_span(memory), count);
    if (below(2)) {
        o->deadline_ns = fake_now() + 1 + below(2 * NS_PER_S);
        client_deadline(o->client, o->deadline_ns);
    }
    o->is_calling = false;
    FAKE_CHECK(o->client->in_flight == o->count, "%u in flight, not %u", o->client->in_flight,
               o->count);
}

static void owner_close(struct owner *o)
{
    if (!o->is_closing && o->is_open && o->client->state != CLIENT_CLOSING) {
        o->is_closing = true;
        o->closing_with = below(2) ? CLIENT_OK : CLIENT_BAD_RESPONSE;
    }
    fake_trace("owner %u closes", o->number);
    o->is_calling = true;
    client_close(o->client, o->closing_with);
    o->is_calling = false;
}

/* --- what owners are told --- */

static struct owner *told(struct client *c, const char *what)
{
    struct owner *o = owner_of(c);
    fake_trace("owner %u is told: %s", o->number, what);
    FAKE_CHECK(!o->is_calling, "%s from within a call", what);
    FAKE_CHECK(o->is_open, "%s of what is not open", what);
    return o;
}

static struct exchange *oldest(struct owner *o, const char *what)
{
    FAKE_CHECK(o->is_told_open && !o->is_closing, "%s of a connection that is not open", what);
    FAKE_CHECK(o->count, "%s with nothing in flight", what);
    FAKE_CHECK(o->client->in_flight == o->count, "%u in flight, not %u", o->client->in_flight,
               o->count);
    return &o->flight[o->first];
}

static void opened(struct client *c)
{
    struct owner *o = told(c, "opened");
    FAKE_CHECK(!o->is_told_open && !o->is_closing, "opened twice, or after the close");
    o->is_told_open = true;
    if (fake_chance(o->eagerness))
        owner_send(o);
    if (fake_chance(o->closing))
        owner_close(o);
}

static void head(struct client *c, const struct http_head *h, const char *base)
{
    struct owner *o = told(c, "head");
    struct exchange *e = oldest(o, "head");
    struct span type = http_part_span(h->content_type, base);
    FAKE_CHECK(!e->has_head && h->status == e->status, "a head of %u", h->status);
    FAKE_CHECK(span_eq(type, SPAN("text/x")), "another head");
    e->has_head = true;
    if (fake_chance(o->closing / 4))
        owner_close(o);
}

static void body(struct client *c, struct span bytes)
{
    struct owner *o = told(c, "body");
    struct exchange *e = oldest(o, "body");
    FAKE_CHECK(e->has_head && bytes.len, "a body without a head, or nothing of one");
    for (size_t i = 0; i < bytes.len; i++)
        FAKE_CHECK(bytes.data[i] == letter(o->number, e->number, e->seen_bytes + i),
                   "owner %u request %u: another body", o->number, e->number);
    e->seen_bytes += (uint32_t)bytes.len;
    if (fake_chance(6000)) {
        o->is_paused = true;
        client_pause(c);
    }
    if (fake_chance(o->closing / 4))
        owner_close(o);
}

static void answered(struct client *c, unsigned status, uint64_t body_bytes)
{
    struct owner *o = told(c, "answered");
    FAKE_CHECK(o->client->in_flight + 1 == o->count, "%u in flight, not %u", o->client->in_flight,
               o->count - 1);
    struct exchange *e = &o->flight[o->first];
    bool has_body = e->method != HTTP_HEAD;
    FAKE_CHECK(o->is_told_open && !o->is_closing && e->has_head, "answered too early, or too late");
    FAKE_CHECK(e->manner != BAD && (e->manner != CUT || !has_body), "answered, though it was not");
    FAKE_CHECK(status == e->status && body_bytes == (has_body ? e->body_bytes : 0) &&
                   body_bytes == e->seen_bytes,
               "owner %u request %u: %u of %u bytes", o->number, e->number, status,
               (unsigned)body_bytes);
    o->first = (o->first + 1) % IN_FLIGHT_MAX;
    o->count--;
    o->answered_on++;
    sim.answered++;
    if (o->is_keeping && !sim.is_finishing)
        owner_send(o);
    if (fake_chance(o->closing))
        owner_close(o);
}

static void check_error(const struct owner *o, enum client_error error)
{
    const struct fake_sock *s = o->peer ? o->peer->sock : NULL;
    if (o->is_closing) {
        FAKE_CHECK(error == o->closing_with, "closed with %d, not %d", error, o->closing_with);
        return;
    }
    switch (error) {
    case CLIENT_OK:
        FAKE_CHECK(o->is_told_open && !o->count, "%u requests lost to nothing", o->count);
        break;
    case CLIENT_CONNECT:
        FAKE_CHECK(!o->is_told_open, "a connection that stood could not be made");
        break;
    case CLIENT_RESET:
        FAKE_CHECK(s && (s->is_faulted || s->is_reset || s->peer_ended || o->peer->ends_after),
                   "a reset by nobody");
        break;
    case CLIENT_BAD_RESPONSE:
        FAKE_CHECK(o->count && o->flight[o->first].manner == BAD, "nothing was bad");
        break;
    case CLIENT_TIMEOUT:
        FAKE_CHECK(o->deadline_ns <= fake_now(), "the deadline came early");
        break;
    }
}

static void closed(struct client *c, enum client_error error, int error_code)
{
    struct owner *o = told(c, "closed");
    (void)error_code;
    fake_trace("owner %u: error %d, %u in flight", o->number, error, o->count);
    FAKE_CHECK(c->state == CLIENT_IDLE, "closed and not idle");
    check_error(o, error);
    FAKE_CHECK(o->deadline_ns == TIMER_NEVER || fake_now() <= o->deadline_ns + SLACK_NS,
               "the deadline was missed by %.3f s", (double)(fake_now() - o->deadline_ns) / 1e9);
    total_errors[error]++;
    sim.closed++;
    o->is_open = false;
    if (o->peer)
        o->peer->owner = NULL;
    o->peer = NULL;
    client_renew(o);
    if (o->opens < OPENS_MAX && !sim.is_finishing && below(2))
        owner_open(o);
}

static const struct client_events events = {opened, head, body, answered, closed};

/* --- what peers do --- */

static void answer_text(struct peer *p, const char *format, ...) PRINTF_LIKE(2, 3);
static void answer_text(struct peer *p, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    CHECK(bytes_append(&p->answers, (struct span){text, (size_t)n}, UINT32_MAX));
}

static void answer_body(struct peer *p, const struct owner *o, const struct exchange *e)
{
    char *text = malloc(e->body_bytes + 1);
    CHECK(text);
    for (size_t i = 0; i < e->body_bytes; i++)
        text[i] = letter(o->number, e->number, i);
    size_t most = e->manner == CUT ? below(e->body_bytes + !e->body_bytes) : e->body_bytes, at = 0;
    while (at < most) {
        size_t n = e->manner == CHUNKED ? 1 + below(most - at) : most;
        if (e->manner == CHUNKED)
            answer_text(p, "%zx\r\n", n);
        CHECK(bytes_append(&p->answers, (struct span){text + at, n}, UINT32_MAX));
        if (e->manner == CHUNKED)
            answer_text(p, "\r\n");
        at += n;
    }
    if (e->manner == CHUNKED)
        answer_text(p, "0\r\n\r\n");
    free(text);
}

static void answer(struct peer *p, const struct exchange *e)
{
    static const char *const bad[] = {"HTTP/9", "HTTP/1.1 2000 OK\r\n\r\n", "\r\n\r\n\r\n",
                                      "HTTP/1.1 200 OK\r\nA : b\r\n\r\n"};
    p->ends_after = e->manner == UNTIL_CLOSE || e->manner == LAST || e->manner == CUT ||
                    e->manner == BAD;
    if (e->manner == BAD) {
        answer_text(p, "%s", bad[below(sizeof bad / sizeof *bad)]);
        return;
    }
    if (fake_chance(6000))
        answer_text(p, "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n");
    answer_text(p, "HTTP/1.1 %u X\r\nContent-Type: text/x\r\n", e->status);
    if (e->manner == LAST)
        answer_text(p, "Connection: close\r\n");
    if (e->manner == CHUNKED)
        answer_text(p, "Transfer-Encoding: chunked\r\n\r\n");
    else if (e->manner == UNTIL_CLOSE || e->manner == WITHOUT_BODY)
        answer_text(p, "\r\n");
    else
        answer_text(p, "Content-Length: %u\r\n\r\n", e->body_bytes + (e->manner == CUT));
    if (e->method != HTTP_HEAD && e->manner != WITHOUT_BODY)
        answer_body(p, p->owner, e);
}

/* Finds the exchange of the request at the front of what came, which must be the next in order. */
static bool take_request(struct peer *p)
{
    static const struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct http_head h = {0};
    unsigned owner, number;
    int n = http_request_head(&h, p->got.data, p->got.len, &limits);
    FAKE_CHECK(n >= 0, "not a request");
    if (!n)
        return false;
    char path[64] = "";
    memcpy(path, p->got.data + h.path.at, h.path.len);
    CHECK(sscanf(path, "/%u/%u/", &owner, &number) == 2);
    bytes_consume(&p->got, (uint32_t)n);
    struct owner *o = p->owner;
    if (!o || p->is_mute || p->ends_after)
        return true;
    FAKE_CHECK(owner == o->number, "a request of owner %u came from %u", owner, o->number);
    for (unsigned i = 0; i < o->count; i++) {
        const struct exchange *e = &o->flight[(o->first + i) % IN_FLIGHT_MAX];
        if (e->number == number) {
            answer(p, e);
            return true;
        }
    }
    FAKE_CHECK(o->is_closing || o->client->state != CLIENT_OPEN, "request %u is not in flight",
               number);
    return true;
}

static void peer_act(struct peer *p)
{
    p->next_ns = fake_now() + 1 + below(fake_chance(1000) ? NS_PER_S : 3 * NS_PER_MS);
    if (!fake_chance(3000))
        fake_peer_read(p->sock, &p->got, 1 + below(fake_chance(8000) ? 50 : 100000));
    while (p->got.len && take_request(p))
        ;
    size_t n = p->answers.len;
    if (n && fake_chance(16000))
        n = 1 + below(n);
    fake_peer_write(p->sock, (struct span){p->answers.data, n});
    bytes_consume(&p->answers, (uint32_t)n);
    bool is_fed_up = fake_chance(100) && !p->ends_after; /* an answer until the end is not cut */
    if ((p->ends_after && !p->answers.len) || fake_peer_at_end(p->sock) || is_fed_up) {
        p->is_over = true;
        p->next_ns = UINT64_MAX;
        if (is_fed_up && below(2))
            fake_peer_reset(p->sock);
        else if (below(2))
            fake_peer_close(p->sock);
        else
            fake_peer_end(p->sock);
    }
}

/* Descriptors are unique while they are open: that is how a connection finds its owner here. */
static void peers_meet(void)
{
    struct fake_sock *s;
    while ((s = fake_take_connected())) {
        struct peer *p = calloc(1, sizeof *p);
        CHECK(p);
        *p = (struct peer){.sock = s, .next = sim.peers, .is_mute = fake_chance(3000)};
        for (unsigned i = 0; i < sim.owner_count; i++)
            if (s->fd >= 0 && sim.owners[i].client->fd == s->fd && sim.owners[i].is_open)
                p->owner = &sim.owners[i];
        if (p->owner)
            p->owner->peer = p;
        sim.peers = p;
    }
}

/* --- a run --- */

static void owner_act(struct owner *o)
{
    o->next_ns = fake_now() + 1 + below(fake_chance(3000) ? NS_PER_S : 5 * NS_PER_MS);
    if (o->is_paused) {
        o->is_paused = false;
        client_resume(o->client);
    }
    if (!o->is_open && o->opens == OPENS_MAX)
        o->next_ns = UINT64_MAX;
    else if (!o->is_open)
        owner_open(o);
    else if (fake_chance(o->closing))
        owner_close(o);
    else if (fake_chance(o->eagerness))
        owner_send(o);
    if (o->is_open && o->client->state != CLIENT_CLOSING && fake_chance(2000)) {
        o->deadline_ns = fake_now() + below(NS_PER_S);
        client_deadline(o->client, o->deadline_ns);
    }
}

static struct fake_faults choose_faults(struct rng *r)
{
    struct fake_faults f = {.laziness = (unsigned)rng_below(r, 40000), .socket_bytes = 1 << 18};
    if (rng_below(r, 2))
        f.socket_bytes = 100 + (unsigned)rng_below(r, 3000);
    f.recv_no_buffers = (unsigned)rng_below(r, 2) * 4000;
    f.recv_ends = (unsigned)rng_below(r, 2) * 10000;
    f.recv_bytewise = (unsigned)rng_below(r, 2) * 6000;
    f.send_short = (unsigned)rng_below(r, 2) * 10000;
    f.connect_fails = (unsigned)rng_below(r, 2) * 6000;
    f.connect_hangs = (unsigned)rng_below(r, 2) * 6000;
    f.open_fails = (unsigned)rng_below(r, 2) * 3000;
    f.recv_lost = (unsigned)rng_below(r, 2) * 1000;
    f.send_lost = (unsigned)rng_below(r, 2) * 2000;
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
    memset(&sim, 0, sizeof sim);
    struct ring_config ring = {.buffers = 16, .buffer_bytes = 256u << below(6)};
    CHECK(loop_open(&sim.loop, &ring, &f));
    sim.owner_count = 1 + (unsigned)below(fake_chance(8000) ? OWNERS_MAX : 3);
    for (unsigned i = 0; i < sim.owner_count; i++) {
        struct owner *o = &sim.owners[i];
        *o = (struct owner){.number = i, .deadline_ns = TIMER_NEVER, .turn_sent = UINT64_MAX};
        o->eagerness = (unsigned)below(65536);
        o->closing = (unsigned)below(3) * 500;
        o->is_keeping = below(2);
        o->next_ns = fake_now() + below(NS_PER_MS);
        client_renew(o);
    }
}

static void everybody_acts(void)
{
    uint64_t next = sim.is_finishing ? UINT64_MAX : sim.until_ns;
    peers_meet();
    for (unsigned i = 0; i < sim.owner_count; i++) {
        struct owner *o = &sim.owners[i];
        if (o->next_ns <= fake_now() && !sim.is_finishing)
            owner_act(o);
        if (o->next_ns < next && !sim.is_finishing)
            next = o->next_ns;
    }
    for (struct peer *p = sim.peers; p; p = p->next) {
        if (p->next_ns <= fake_now())
            peer_act(p);
        if (p->next_ns < next)
            next = p->next_ns;
    }
    fake_wake_at(next);
}

static bool is_all_closed(void)
{
    for (unsigned i = 0; i < sim.owner_count; i++)
        if (sim.owners[i].is_open)
            return false;
    return true;
}

static void finish(void)
{
    FAKE_CHECK(sim.opened == sim.closed, "%u opened, %u closed", (unsigned)sim.opened,
               (unsigned)sim.closed);
    FAKE_CHECK(!fake_in_kernel(), "%u operations in the kernel", fake_in_kernel());
    total_answered += sim.answered;
    loop_close(&sim.loop);
    for (unsigned i = 0; i < sim.owner_count; i++) {
        free(sim.owners[i].client);
        for (unsigned m = 0; m < 2; m++)
            bytes_free(&sim.owners[i].memory[m]);
    }
    while (sim.peers) {
        struct peer *p = sim.peers;
        sim.peers = p->next;
        bytes_free(&p->got);
        bytes_free(&p->answers);
        free(p);
    }
    fake_finish();
}

static void run(uint64_t seed, bool trace)
{
    begin(seed, trace);
    sim.until_ns = fake_now() + 300 * NS_PER_MS;
    while (!sim.is_finishing || !is_all_closed()) {
        if (!sim.is_finishing && fake_now() >= sim.until_ns) {
            sim.is_finishing = true;
            loop_stop(&sim.loop); /* do not wait: all may be closed already */
            for (unsigned i = 0; i < sim.owner_count; i++)
                if (sim.owners[i].is_open)
                    owner_close(&sim.owners[i]);
        }
        everybody_acts();
        FAKE_CHECK(fake_now() < sim.until_ns + 10 * NS_PER_S, "it does not come to an end");
        loop_turn(&sim.loop, RING_FOREVER);
    }
    fake_wake_at(fake_now());
    for (int i = 0; i < 3; i++)
        loop_turn(&sim.loop, 0);
    finish();
}

/* --- tests --- */

/* Any order, any result: answers come in order with their own bytes, and each connection is closed
 * once. */
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
    for (int error = CLIENT_OK; error <= CLIENT_TIMEOUT; error++)
        if (!total_errors[error])
            fail_msg("no run has error %d", error);
    assert_true(total_answered > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
