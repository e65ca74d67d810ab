/* A fetch takes an idle connection, the one used last, or opens another, or waits for one. A
 * connection that was idle may have been closed by the upstream a moment before the request reached
 * it: such a fetch is sent once more on a fresh one (RFC 9110 section 9.2.2 allows it for GET). */
#include "target/proxy.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "conn/client.h"

enum { TYPE_BYTES = 128 };

struct proxy_fetch {
    struct proxy *proxy;
    struct proxy_fetch *next; /* in the queue */
    struct link *link;        /* the connection it is on; NULL while it waits */
    struct timer timer;       /* while it waits */
    struct task later;
    uint64_t deadline_ns;
    const struct proxy_events *events;
    void *arg;
    enum proxy_outcome outcome;
    bool is_retried, is_queued;
    bool is_relayed;  /* begun() was told */
    unsigned refused; /* addresses that could not be connected to */
    uint16_t status;
    uint64_t length;
    struct bytes body;
    char type[TYPE_BYTES];
    uint8_t type_len;
    bool is_relayable; /* 200, and not known to be no JSON */
};

/* A connection to the upstream. */
struct link {
    struct client client;
    struct proxy *proxy;
    struct proxy_fetch *fetch; /* NULL: idle */
    struct link *next;         /* idle or unused ones */
    struct link *all;
    bool was_used; /* it has answered before */
};

struct proxy {
    struct loop *loop;
    struct proxy_config config;
    struct text request;
    struct link *idle, *unused, *links;
    struct proxy_fetch *queue, **queue_end;
    uint32_t open;
    unsigned next_address;
    void (*closed)(void *arg);
    void *closed_arg;
    struct task closed_task;
    bool is_closing;
};

#define OWNER(type, member, pointer) ((type *)((char *)(pointer)-offsetof(type, member)))

static void fetch_begin(struct proxy_fetch *f);
static void link_opened(struct client *c);
static void link_head(struct client *c, const struct http_head *head, const char *base);
static void link_body(struct client *c, struct span bytes);
static void link_answered(struct client *c, unsigned status, uint64_t body_bytes);
static void link_closed(struct client *c, enum client_error error, int code);
static void fetch_end(struct proxy_fetch *f, enum proxy_outcome outcome);

static const struct client_events link_events = {
    .opened = link_opened,
    .head = link_head,
    .body = link_body,
    .answered = link_answered,
    .closed = link_closed,
};

struct proxy *proxy_new(struct loop *loop, const struct proxy_config *config)
{
    struct proxy *p = mem_need(1, sizeof *p);
    p->loop = loop;
    p->config = *config;
    p->queue_end = &p->queue;
    text_addf(&p->request, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\n\r\n",
              config->url->target, config->url->host_field);
    return p;
}

/* --- a fetch waits, or takes a connection --- */

static void fetch_due(struct timer *t)
{
    fetch_end(OWNER(struct proxy_fetch, timer, t), PROXY_TIMEOUT);
}

static void fetch_ended(struct task *t)
{
    struct proxy_fetch *f = OWNER(struct proxy_fetch, later, t);
    struct span type = {f->type, f->type_len};
    f->events->done(f->arg, f->outcome, type, bytes_span(&f->body));
    bytes_free(&f->body);
    free(f);
}

struct proxy_fetch *proxy_fetch(struct proxy *p, const struct proxy_events *events, void *arg)
{
    struct proxy_fetch *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->proxy = p;
    f->events = events;
    f->arg = arg;
    f->deadline_ns = p->loop->now_ns + p->config.timeout_ns;
    f->timer.due = fetch_due;
    f->later.run = fetch_ended;
    fetch_begin(f);
    return f;
}

static void link_start(struct link *l, struct proxy_fetch *f)
{
    l->fetch = f;
    f->link = l;
    client_deadline(&l->client, f->deadline_ns);
    client_send(&l->client, HTTP_GET, text_span(&l->proxy->request), 1);
}

static struct link *link_new(struct proxy *p)
{
    struct link *l = p->unused;
    if (l) {
        p->unused = l->next;
        return l;
    }
    l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    client_init(&l->client, p->loop, &link_events);
    l->proxy = p;
    l->all = p->links;
    p->links = l;
    return l;
}

static void fetch_queue(struct proxy_fetch *f)
{
    struct proxy *p = f->proxy;
    f->is_queued = true;
    f->next = NULL;
    *p->queue_end = f;
    p->queue_end = &f->next;
    if (!timer_set(&p->loop->timers, &f->timer, f->deadline_ns))
        fetch_end(f, PROXY_NO_MEMORY);
}

/* The one used last. One that is closing already, its end not yet told, is passed over. */
static struct link *idle_take(struct proxy *p)
{
    struct link *l;
    while ((l = p->idle)) {
        p->idle = l->next;
        if (client_is_usable(&l->client))
            return l;
    }
    return NULL;
}

static void fetch_begin(struct proxy_fetch *f)
{
    struct proxy *p = f->proxy;
    struct link *l = f->is_retried ? NULL : idle_take(p);
    if (l) {
        link_start(l, f);
        return;
    }
    if (p->open >= p->config.connections) {
        fetch_queue(f);
        return;
    }
    l = link_new(p);
    if (!l) {
        fetch_end(f, PROXY_NO_MEMORY);
        return;
    }
    p->open++;
    l->fetch = f;
    f->link = l;
    l->was_used = false;
    const struct address *to = &p->config.addresses[p->next_address++ % p->config.address_count];
    client_open(&l->client, to, f->deadline_ns);
}

static struct proxy_fetch *queue_take(struct proxy *p)
{
    struct proxy_fetch *f = p->queue;
    if (!f)
        return NULL;
    p->queue = f->next;
    if (!p->queue)
        p->queue_end = &p->queue;
    f->is_queued = false;
    timer_clear(&p->loop->timers, &f->timer);
    return f;
}

static void queue_remove(struct proxy *p, struct proxy_fetch *f)
{
    for (struct proxy_fetch **at = &p->queue; *at; at = &(*at)->next) {
        if (*at != f)
            continue;
        *at = f->next;
        if (!*at)
            p->queue_end = at;
        break;
    }
    f->is_queued = false;
    timer_clear(&p->loop->timers, &f->timer);
}

/* --- a connection's events --- */

static void link_opened(struct client *c)
{
    struct link *l = OWNER(struct link, client, c);
    client_send(c, HTTP_GET, text_span(&l->proxy->request), 1);
}

/* `application/json`, or a type of a syntax that ends in `+json` (RFC 6839 section 3.1), with or without
 * parameters. */
static bool is_json(struct span type)
{
    static const char json[] = "application/json", suffix[] = "+json";
    size_t len = 0, tail = sizeof suffix - 1;
    while (len < type.len && !strchr("; \t", type.data[len]))
        len++;
    if (len == sizeof json - 1 && strncasecmp(type.data, json, len) == 0)
        return true;
    return len > tail && strncasecmp(type.data + len - tail, suffix, tail) == 0;
}

static void link_head(struct client *c, const struct http_head *head, const char *base)
{
    struct proxy_fetch *f = OWNER(struct link, client, c)->fetch;
    struct span type = http_part_span(head->content_type, base);
    f->is_relayable = head->status == 200 && (!type.len || is_json(type));
    f->type_len = type.len < TYPE_BYTES ? (uint8_t)type.len : 0;
    memcpy(f->type, type.data, f->type_len);
    f->status = head->status;
    f->length = head->has_length && !head->has_chunked ? head->content_length
                                                       : PROXY_LENGTH_UNKNOWN;
}

/* What is too large to be held is relayed from here on; the deadline is then between its pieces. */
static bool relay_begin(struct proxy_fetch *f, struct span bytes)
{
    struct span type = {f->type, f->type_len}, held = bytes_span(&f->body);
    f->is_relayed = true;
    bool wants_more = f->events->begun(f->arg, type, held, f->length);
    bytes_free(&f->body);
    return f->events->more(f->arg, bytes) && wants_more;
}

static void link_body(struct client *c, struct span bytes)
{
    struct link *l = OWNER(struct link, client, c);
    struct proxy_fetch *f = l->fetch;
    if (!f->is_relayable)
        return;
    if (!f->is_relayed && bytes_append(&f->body, bytes, l->proxy->config.hold_bytes))
        return;
    bool wants_more = f->is_relayed ? f->events->more(f->arg, bytes) : relay_begin(f, bytes);
    if (wants_more) {
        client_deadline(c, c->loop->now_ns + l->proxy->config.timeout_ns);
    } else {
        client_pause(c);
        client_deadline(c, TIMER_NEVER); /* our own client's deadlines rule now */
    }
}

void proxy_go_on(struct proxy_fetch *f)
{
    if (!f->link)
        return;
    struct client *c = &f->link->client;
    client_deadline(c, c->loop->now_ns + f->proxy->config.timeout_ns);
    client_resume(c);
}

static void link_answered(struct client *c, unsigned status, uint64_t body_bytes)
{
    struct link *l = OWNER(struct link, client, c);
    struct proxy *p = l->proxy;
    (void)body_bytes;
    struct proxy_fetch *f = l->fetch;
    l->fetch = NULL;
    l->was_used = true;
    f->link = NULL;
    fetch_end(f, status != 200 ? PROXY_BAD : f->is_relayable ? PROXY_OK : PROXY_NOT_JSON);
    if (!client_is_usable(c))
        return; /* `closed` follows */
    client_deadline(c, TIMER_NEVER);
    client_resume(c);
    if (p->is_closing) {
        client_close(c, CLIENT_OK);
        return;
    }
    struct proxy_fetch *waiting = queue_take(p);
    if (waiting) {
        link_start(l, waiting);
        return;
    }
    l->next = p->idle;
    p->idle = l;
}

static void idle_remove(struct proxy *p, struct link *l)
{
    for (struct link **at = &p->idle; *at; at = &(*at)->next)
        if (*at == l) {
            *at = l->next;
            return;
        }
}

static enum proxy_outcome outcome_of(enum client_error error)
{
    switch (error) {
    case CLIENT_CONNECT:
        return PROXY_REFUSED;
    case CLIENT_TIMEOUT:
        return PROXY_TIMEOUT;
    default:
        return PROXY_BAD;
    }
}

static void check_closed(struct proxy *p)
{
    if (p->is_closing && !p->open)
        loop_defer(p->loop, &p->closed_task);
}

/* On a fresh connection, if an idle one was closed under it; at the next address of the upstream, if
 * this one refuses. */
static bool may_retry(struct proxy_fetch *f, const struct link *l, enum client_error error)
{
    if (l->proxy->is_closing || f->status)
        return false;
    if (error == CLIENT_CONNECT)
        return ++f->refused < l->proxy->config.address_count;
    bool was_idle = error == CLIENT_RESET && l->was_used && !f->is_retried;
    f->is_retried |= was_idle;
    return was_idle;
}

static void link_closed(struct client *c, enum client_error error, int code)
{
    struct link *l = OWNER(struct link, client, c);
    struct proxy *p = l->proxy;
    struct proxy_fetch *f = l->fetch;
    (void)code;
    if (!f)
        idle_remove(p, l);
    l->fetch = NULL;
    l->next = p->unused;
    p->unused = l;
    p->open--;
    if (f) {
        f->link = NULL;
        if (may_retry(f, l, error))
            fetch_begin(f);
        else
            fetch_end(f, outcome_of(error));
    }
    struct proxy_fetch *waiting = p->is_closing || p->open >= p->config.connections ? NULL
                                                                                    : queue_take(p);
    if (waiting)
        fetch_begin(waiting);
    check_closed(p);
}

/* --- done --- */

static void fetch_end(struct proxy_fetch *f, enum proxy_outcome outcome)
{
    if (f->is_queued)
        queue_remove(f->proxy, f);
    f->outcome = f->outcome == PROXY_CANCELLED ? PROXY_CANCELLED : outcome;
    loop_defer(f->proxy->loop, &f->later);
}

void proxy_cancel(struct proxy_fetch *f)
{
    f->outcome = PROXY_CANCELLED;
    if (f->link)
        client_close(&f->link->client, CLIENT_OK);
    else if (f->is_queued)
        fetch_end(f, PROXY_CANCELLED);
}

static void run_closed(struct task *t)
{
    struct proxy *p = OWNER(struct proxy, closed_task, t);
    p->closed(p->closed_arg);
}

void proxy_close(struct proxy *p, void (*closed)(void *arg), void *arg)
{
    p->is_closing = true;
    p->closed = closed;
    p->closed_arg = arg;
    p->closed_task.run = run_closed;
    for (struct proxy_fetch *f; (f = p->queue);)
        fetch_end(f, PROXY_CANCELLED);
    for (struct link *l = p->links; l; l = l->all)
        client_close(&l->client, CLIENT_OK);
    check_closed(p);
}

void proxy_free(struct proxy *p)
{
    while (p->links) {
        struct link *l = p->links;
        p->links = l->all;
        free(l);
    }
    text_free(&p->request);
    free(p);
}
