/* One send is in flight at a time; what comes meanwhile is the next batch. Replies are parsed where
 * the kernel put them. */
#include "storage/cache_memcached_link.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "storage/storage.h"

static const uint64_t BACKOFF_FIRST_NS = 50 * NS_PER_MS, BACKOFF_MOST_NS = 400 * NS_PER_MS;
static const uint64_t IDLE_NS = 3600 * NS_PER_S;

static void begin_connect(struct cache_memcached_link *l);
static void connected(struct op *op, int res, unsigned flags);
static void arrived(struct op *op, int res, unsigned flags);
static void sent(struct op *op, int res, unsigned flags);
static void lose(struct cache_memcached_link *l);
static void finish_closing(struct cache_memcached_link *l);

/* --- the one timer --- */

static uint64_t oldest_begun(const struct cache_memcached_link *l)
{
    const struct set_queue *queues[] = {&l->batches[l->batch_first].sets, &l->again, &l->waiting};
    uint64_t oldest_ns = l->loop->now_ns + IDLE_NS;
    for (int i = l->batch_count ? 0 : 1; i < 3; i++)
        if (queues[i]->first && queues[i]->first->begun_ns < oldest_ns)
            oldest_ns = queues[i]->first->begun_ns;
    return oldest_ns;
}

static uint64_t deadline_of(const struct cache_memcached_link *l)
{
    switch (l->state) {
    case CACHE_LINK_WAITING:
        return l->tried_ns;
    case CACHE_LINK_CONNECTING:
    case CACHE_LINK_PROBING:
        return l->tried_ns + storage_connect_ns(l->servers->timeout_ns);
    case CACHE_LINK_READY:
        return oldest_begun(l) + l->servers->timeout_ns;
    default:
        return l->loop->now_ns + IDLE_NS;
    }
}

static void schedule(struct cache_memcached_link *l)
{
    CHECK(timer_set(&l->loop->timers, &l->timer, deadline_of(l)));
}

static void timer_due(struct timer *t)
{
    struct cache_memcached_link *l =
        (struct cache_memcached_link *)((char *)t - offsetof(struct cache_memcached_link, timer));
    bool is_due = deadline_of(l) <= l->loop->now_ns;
    if (is_due && l->state == CACHE_LINK_WAITING)
        begin_connect(l);
    else if (is_due)
        lose(l);
    schedule(l);
}

/* --- connecting and probing --- */

bool cache_memcached_link_open(struct cache_memcached_link *l, struct fail *f)
{
    l->state = CACHE_LINK_CLOSING;
    l->fd = -1;
    l->timer = (struct timer){.due = timer_due, .deadline_ns = TIMER_NEVER};
    l->backoff_ns = BACKOFF_FIRST_NS;
    l->out = mem_need(1, CACHE_OUT_BYTES);
    rng_seed(&l->rng, clock_ns() ^ (uintptr_t)l);
    op_init(&l->connecting, connected);
    op_init(&l->arrival, arrived);
    op_init(&l->sending, sent);
    if (!timer_set(&l->loop->timers, &l->timer, l->loop->now_ns + IDLE_NS))
        return fail_set(f, EXIT_FAILED, "out of memory: a timer");
    l->fd = cache_memcached_servers_connect(l->servers, l->server, f);
    if (l->fd < 0)
        return false;
    l->state = CACHE_LINK_READY;
    ring_recv(&l->loop->ring, &l->arrival, l->fd);
    return true;
}

static void begin_connect(struct cache_memcached_link *l)
{
    const struct address *to = &l->servers->list[l->server].address;
    l->state = CACHE_LINK_CONNECTING;
    l->tried_ns = l->loop->now_ns;
    l->line.len = 0;
    l->fd = sock_open(to);
    if (l->fd < 0)
        lose(l);
    else
        ring_connect(&l->loop->ring, &l->connecting, l->fd, &to->sa.any, to->len);
}

static void connected(struct op *op, int res, unsigned flags)
{
    struct cache_memcached_link *l =
        (struct cache_memcached_link *)((char *)op -
                                        offsetof(struct cache_memcached_link, connecting));
    (void)flags;
    if (l->state == CACHE_LINK_CLOSING) {
        finish_closing(l);
    } else if (res < 0) {
        lose(l);
    } else {
        l->state = CACHE_LINK_PROBING;
        ring_recv(&l->loop->ring, &l->arrival, l->fd);
        ring_send(&l->loop->ring, &l->sending, l->fd, SPAN(CACHE_MEMCACHED_BARRIER));
    }
}

static void become_ready(struct cache_memcached_link *l)
{
    l->state = CACHE_LINK_READY;
    l->backoff_ns = BACKOFF_FIRST_NS;
    schedule(l);
    l->events->ready(l);
}

/* --- sets leave --- */

void cache_memcached_link_set(struct cache_memcached_link *l, struct cache_set *s)
{
    CHECK(l->state == CACHE_LINK_READY);
    sets_push(&l->waiting, s);
    if (l->waiting.count == 1 && !l->batch_count && !l->again.count)
        schedule(l);
}

static size_t fill_batch(struct cache_memcached_link *l, struct cache_memcached_batch *b,
                         struct set_queue *from)
{
    size_t len = 0;
    while (from->first && b->sets.count < CACHE_BATCH_SETS_MOST &&
           CACHE_OUT_BYTES - len >= CACHE_MEMCACHED_SET_BYTES + sizeof CACHE_MEMCACHED_BARRIER) {
        struct cache_set *s = sets_pop(from);
        s->outcome = STORE_DONE; /* unless an error says otherwise before the barrier's reply */
        len += cache_memcached_wire_set(l->out + len, s, l->next_opaque++, b->is_quiet);
        sets_push(&b->sets, s);
    }
    b->next_loud = b->is_quiet ? NULL : b->sets.first;
    memcpy(l->out + len, CACHE_MEMCACHED_BARRIER, sizeof CACHE_MEMCACHED_BARRIER - 1);
    return len + sizeof CACHE_MEMCACHED_BARRIER - 1;
}

void cache_memcached_link_flush(struct cache_memcached_link *l)
{
    struct set_queue *from = l->again.first ? &l->again : &l->waiting;
    if (l->state != CACHE_LINK_READY || !from->first || l->sending.in_kernel ||
        l->batch_count == CACHE_BATCHES_MOST)
        return;
    struct cache_memcached_batch *b =
        &l->batches[(l->batch_first + l->batch_count++) % CACHE_BATCHES_MOST];
    *b = (struct cache_memcached_batch){.first_opaque = l->next_opaque,
                                        .is_quiet = from == &l->waiting};
    size_t len = fill_batch(l, b, from);
    ring_send(&l->loop->ring, &l->sending, l->fd, (struct span){l->out, len});
}

static void sent(struct op *op, int res, unsigned flags)
{
    struct cache_memcached_link *l =
        (struct cache_memcached_link *)((char *)op -
                                        offsetof(struct cache_memcached_link, sending));
    (void)flags;
    if (l->state == CACHE_LINK_CLOSING)
        finish_closing(l);
    else if (res < 0)
        lose(l);
}

/* --- replies arrive --- */

static void refuse_by_opaque(struct cache_memcached_batch *b, const struct cache_memcached_reply *r)
{
    uint32_t index = r->opaque - b->first_opaque;
    if (!r->has_opaque || index >= b->sets.count) {
        b->is_unclear = true;
        return;
    }
    struct cache_set *s = b->sets.first;
    while (index--)
        s = s->next;
    s->outcome = STORE_REFUSED;
}

/* Takes the batch out first: `answered` may lead back here with more sets. */
static void finish_batch(struct cache_memcached_link *l)
{
    struct cache_memcached_batch b = l->batches[l->batch_first];
    l->batch_first = (l->batch_first + 1) % CACHE_BATCHES_MOST;
    l->batch_count--;
    struct cache_set *s;
    while ((s = sets_pop(&b.sets))) {
        if (b.is_unclear && s->outcome != STORE_REFUSED)
            sets_push(&l->again, s);
        else
            l->events->answered(l, s, s->outcome);
    }
}

/* False: the reply makes no sense here. */
static bool take_reply(struct cache_memcached_link *l, const struct cache_memcached_reply *r)
{
    if (l->state == CACHE_LINK_PROBING && r->kind == REPLY_BARRIER) {
        become_ready(l);
        return true;
    }
    struct cache_memcached_batch *b = &l->batches[l->batch_first];
    if (l->state != CACHE_LINK_READY || !l->batch_count || r->kind == REPLY_BROKEN)
        return false;
    if (r->kind == REPLY_BARRIER) {
        bool is_complete = !b->next_loud;
        if (is_complete)
            finish_batch(l);
        return is_complete;
    }
    if (b->is_quiet && r->kind == REPLY_REFUSED) {
        refuse_by_opaque(b, r);
        return true;
    }
    if (!b->next_loud)
        return false;
    b->next_loud->outcome = r->kind == REPLY_STORED ? STORE_DONE : STORE_REFUSED;
    b->next_loud = b->next_loud->next;
    return true;
}

static void take_replies(struct cache_memcached_link *l, struct span bytes)
{
    while (bytes.len) {
        struct cache_memcached_reply r = cache_memcached_wire_next(&l->line, &bytes);
        if (r.kind == REPLY_NOTHING)
            return;
        if (!take_reply(l, &r)) {
            lose(l);
            return;
        }
    }
}

static void arrived(struct op *op, int res, unsigned flags)
{
    struct cache_memcached_link *l =
        (struct cache_memcached_link *)((char *)op -
                                        offsetof(struct cache_memcached_link, arrival));
    if (res > 0) {
        if (l->state != CACHE_LINK_CLOSING)
            take_replies(l, ring_lent(&l->loop->ring, res, flags));
        ring_return(&l->loop->ring, flags);
    }
    bool is_over = res <= 0 && res != -ENOBUFS;
    if (l->state == CACHE_LINK_CLOSING)
        finish_closing(l);
    else if (is_over && l->state != CACHE_LINK_WAITING)
        lose(l);
    else if (!ring_more(flags) && l->state != CACHE_LINK_WAITING)
        ring_recv(&l->loop->ring, &l->arrival, l->fd);
}

/* --- lost --- */

static void move_all(struct set_queue *to, struct set_queue *from)
{
    struct cache_set *s;
    while ((s = sets_pop(from)))
        sets_push(to, s);
}

static void lose(struct cache_memcached_link *l)
{
    struct set_queue unknown = {0}, unsent = {0};
    bool was_ready = l->state == CACHE_LINK_READY;
    l->state = CACHE_LINK_CLOSING;
    for (; l->batch_count; l->batch_count--) {
        move_all(&unknown, &l->batches[l->batch_first].sets);
        l->batch_first = (l->batch_first + 1) % CACHE_BATCHES_MOST;
    }
    move_all(&unknown, &l->again);
    move_all(&unsent, &l->waiting);
    ring_cancel(&l->loop->ring, &l->connecting);
    ring_cancel(&l->loop->ring, &l->arrival);
    ring_cancel(&l->loop->ring, &l->sending);
    if (was_ready)
        l->events->lost(l, &unknown, &unsent);
    finish_closing(l);
}

/* The descriptor is closed only when the kernel holds no operation of it. */
static void finish_closing(struct cache_memcached_link *l)
{
    if (l->connecting.in_kernel || l->arrival.in_kernel || l->sending.in_kernel || l->is_ending)
        return;
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    l->state = CACHE_LINK_WAITING;
    /* Jitter keeps the links of all threads from knocking at the same moment. */
    l->tried_ns = l->loop->now_ns + l->backoff_ns / 2 + rng_below(&l->rng, l->backoff_ns / 2);
    l->backoff_ns = l->backoff_ns * 2 < BACKOFF_MOST_NS ? l->backoff_ns * 2 : BACKOFF_MOST_NS;
    schedule(l);
}

void cache_memcached_link_close(struct cache_memcached_link *l)
{
    l->is_ending = true;
    timer_clear(&l->loop->timers, &l->timer);
    if (l->state != CACHE_LINK_WAITING && l->state != CACHE_LINK_CLOSING)
        lose(l);
    if (l->fd >= 0)
        shutdown(l->fd, SHUT_RDWR);
}

void cache_memcached_link_free(struct cache_memcached_link *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    free(l->out);
    l->out = NULL;
}
