/* Inserts of a turn are queued and spread over the links in the hook before the loop enters the
 * kernel. What does not fit waits; what waits too long, or finds no link, certainly was not done.
 * Inserts whose shared transaction failed wait again, before all others and each for one of its own.
 */
#include "storage/store_postgres.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "storage/inserts.h"
#include "storage/ledger.h"
#include "storage/store_postgres_link.h"

enum {
    DEPTH_MOST = 256,   /* under way on one connection: beyond it replies only wait longer */
    QUEUE_MOST = 16384, /* waiting in one loop: some tenths of a second's work */
    GATHER_FROM = 8,    /* under way */
};
static const uint64_t IDLE_NS = 3600 * NS_PER_S;
static const uint64_t GATHER_NS = 200 * NS_PER_US;

struct store_postgres {
    struct store store;
    const struct store_postgres_server *server;
    struct loop_hook hook;
    struct timer timer; /* of the oldest that waits; always armed, so that moving it never fails */
    struct insert_queue waiting;
    struct inserts_later later;
    unsigned link_count, ready_count;
    bool is_started; /* what becomes ready from now on is a reconnect */
    struct store_postgres_link links[];
};

static void insert(struct store *store, struct store_insert *i);
static void send_waiting(struct loop_hook *hook);
static void link_ready(struct store_postgres_link *l);
static void link_answered(struct store_postgres_link *l, struct store_insert *i,
                          enum store_outcome outcome);
static void link_lost(struct store_postgres_link *l, struct insert_queue *unknown);
static void link_undone(struct store_postgres_link *l, struct insert_queue *group);
static void timer_due(struct timer *t);
static void close_store(struct store *store);
static void free_store(struct store *store);

static const struct store_ops ops = {"postgres", insert, close_store, free_store};
static const struct store_postgres_link_events link_events = {link_ready, link_answered, link_lost,
                                                              link_undone};

bool store_postgres_attach(const struct store_postgres_server *server, struct loop *loop,
                           unsigned thread, unsigned threads, struct store **store, struct fail *f)
{
    CHECK(thread < threads && server->pool >= threads);
    unsigned count = server->pool / threads + (thread < server->pool % threads);
    struct store_postgres *p = mem_need(1, sizeof *p + count * sizeof *p->links);
    p->store = (struct store){.ops = &ops, .loop = loop};
    *store = &p->store;
    p->server = server;
    p->link_count = count;
    p->hook.before_submit = send_waiting;
    p->timer = (struct timer){.due = timer_due, .deadline_ns = TIMER_NEVER};
    ledger_open(&p->store.counters, count);
    inserts_later_init(&p->later, &p->store);
    loop_hook_add(loop, &p->hook);
    bool is_good = timer_set(&loop->timers, &p->timer, loop->now_ns + IDLE_NS) ||
                   fail_set(f, EXIT_FAILED, "out of memory: a timer");
    for (unsigned i = 0; i < count; i++) {
        struct store_postgres_link *l = &p->links[i];
        l->events = &link_events;
        l->owner = p;
        l->server = server;
        l->loop = loop;
        is_good = is_good && store_postgres_link_open(l, f);
        if (is_good)
            link_ready(l);
    }
    p->is_started = true;
    return is_good;
}

static void insert(struct store *store, struct store_insert *i)
{
    struct store_postgres *p = (struct store_postgres *)store;
    inserts_begin(store, i);
    i->is_alone = false;
    if (!p->ready_count || p->waiting.count == QUEUE_MOST) {
        inserts_answer_later(&p->later, i, STORE_UNAVAILABLE);
        return;
    }
    inserts_push(&p->waiting, i);
}

static bool has_room(const struct store_postgres_link *l)
{
    return store_postgres_link_takes(l) && l->under_way.count < DEPTH_MOST;
}

static struct store_postgres_link *freest_link(struct store_postgres *p)
{
    struct store_postgres_link *best = NULL;
    for (unsigned i = 0; i < p->link_count; i++) {
        struct store_postgres_link *l = &p->links[i];
        if (has_room(l) && (!best || l->under_way.count < best->under_way.count))
            best = l;
    }
    return best;
}

static void give_to(struct store_postgres *p, struct store_postgres_link *l, int change)
{
    ledger_given(&p->store.counters, (unsigned)(l - p->links), change);
}

/* A transaction that may take more is filled before the next begins. */
static void spread_waiting(struct store_postgres *p)
{
    struct store_postgres_link *l = NULL;
    while (p->waiting.first) {
        if (!l || !l->open_count || !has_room(l))
            l = freest_link(p);
        if (!l)
            return;
        give_to(p, l, 1);
        store_postgres_link_insert(l, inserts_pop(&p->waiting));
    }
}

/* With many under way, replies trickle in one by one, and a turn for each would cost more than the
 * reply: the loop waits a little for the others. (Measured: a third of all CPU per insert on a busy
 * machine. With few under way nothing waits.) */
static void gather(struct store_postgres *p)
{
    uint64_t under_way = p->store.counters.in_flight;
    if (under_way >= GATHER_FROM)
        ring_gather(&p->store.loop->ring, (unsigned)under_way, GATHER_NS);
}

static void send_waiting(struct loop_hook *hook)
{
    struct store_postgres *p = (struct store_postgres *)((char *)hook -
                                                         offsetof(struct store_postgres, hook));
    gather(p);
    if (!p->waiting.first)
        return;
    spread_waiting(p);
    for (unsigned i = 0; i < p->link_count; i++)
        if (p->links[i].is_dirty)
            store_postgres_link_flush(&p->links[i]);
    if (p->waiting.first)
        CHECK(timer_set(&p->store.loop->timers, &p->timer,
                        p->waiting.first->begun_ns + p->server->timeout_ns));
}

static void link_ready(struct store_postgres_link *l)
{
    struct store_postgres *p = l->owner;
    static _Atomic uint64_t told_ns;
    if (!p->ready_count++ && p->is_started && log_is_time(&told_ns, p->store.loop->now_ns))
        log_line("PostgreSQL is connected again");
    ledger_connections(&p->store.counters, 1);
    if (p->is_started)
        ledger_reconnected(&p->store.counters);
}

static void link_answered(struct store_postgres_link *l, struct store_insert *i,
                          enum store_outcome outcome)
{
    struct store_postgres *p = l->owner;
    give_to(p, l, -1);
    inserts_answer(&p->store, i, outcome);
}

static void link_lost(struct store_postgres_link *l, struct insert_queue *unknown)
{
    struct store_postgres *p = l->owner;
    static _Atomic uint64_t told_ns;
    if (!--p->ready_count && !l->is_ending && log_is_time(&told_ns, p->store.loop->now_ns))
        log_line(
            "PostgreSQL: every connection is lost; trying again, until then inserts are answered "
            "503");
    ledger_connections(&p->store.counters, -1);
    give_to(p, l, -(int)unknown->count);
    inserts_answer_all_later(&p->later, unknown, STORE_UNKNOWN);
    if (!p->ready_count)
        inserts_answer_all_later(&p->later, &p->waiting, STORE_UNAVAILABLE);
}

static void link_undone(struct store_postgres_link *l, struct insert_queue *group)
{
    struct store_postgres *p = l->owner;
    for (struct store_insert *i = group->first; i; i = i->next)
        i->is_alone = true;
    give_to(p, l, -(int)group->count);
    inserts_prepend(&p->waiting, group);
}

static void timer_due(struct timer *t)
{
    struct store_postgres *p = (struct store_postgres *)((char *)t -
                                                         offsetof(struct store_postgres, timer));
    uint64_t now_ns = p->store.loop->now_ns, timeout_ns = p->server->timeout_ns;
    while (p->waiting.first && p->waiting.first->begun_ns + timeout_ns <= now_ns)
        inserts_answer_later(&p->later, inserts_pop(&p->waiting), STORE_UNAVAILABLE);
    uint64_t next_ns = p->waiting.first ? p->waiting.first->begun_ns + timeout_ns
                                        : now_ns + IDLE_NS;
    CHECK(timer_set(&p->store.loop->timers, t, next_ns));
}

static void close_store(struct store *store)
{
    struct store_postgres *p = (struct store_postgres *)store;
    loop_hook_remove(store->loop, &p->hook);
    timer_clear(&store->loop->timers, &p->timer);
    inserts_answer_all_later(&p->later, &p->waiting, STORE_UNAVAILABLE);
    for (unsigned i = 0; i < p->link_count; i++)
        store_postgres_link_close(&p->links[i]);
    inserts_later_finish(&p->later);
}

static void free_store(struct store *store)
{
    struct store_postgres *p = (struct store_postgres *)store;
    for (unsigned i = 0; i < p->link_count; i++)
        store_postgres_link_free(&p->links[i]);
    ledger_close(&store->counters);
    free(p);
}
