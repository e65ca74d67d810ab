/* Where libpq reads and writes, the ring tells when that will not block: one-shot polls, armed again
 * after each read, because a poll that only reports edges would miss what libpq left unread. Where
 * frames of our own travel, a multishot receive takes the place of the polls. */
#include "storage/store_postgres_link.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>

#include "base/clock.h"
#include "base/log.h"
#include "storage/storage.h"
#include "storage/store_postgres_wire.h"

static const uint64_t BACKOFF_FIRST_NS = 50 * NS_PER_MS, BACKOFF_MOST_NS = 400 * NS_PER_MS;
static const uint64_t IDLE_NS = 3600 * NS_PER_S;

static void begin_connect(struct store_postgres_link *l);
static void socket_ready(struct store_postgres_link *l, bool is_readable);
static void become_ready(struct store_postgres_link *l);
static void arrived(struct op *op, int res, unsigned flags);
static void not_sent(struct op *op, int res, unsigned flags);
static void parked_sent(struct op *op, int res, unsigned flags);
static void lose(struct store_postgres_link *l);
static void finish_closing(struct store_postgres_link *l);

/* --- polls and the one timer --- */

static void readable_done(struct op *op, int res, unsigned flags)
{
    (void)res, (void)flags;
    socket_ready(
        (struct store_postgres_link *)((char *)op - offsetof(struct store_postgres_link, readable)),
        true);
}

static void writable_done(struct op *op, int res, unsigned flags)
{
    (void)res, (void)flags;
    socket_ready(
        (struct store_postgres_link *)((char *)op - offsetof(struct store_postgres_link, writable)),
        false);
}

static void await_readable(struct store_postgres_link *l)
{
    if (!l->readable.in_kernel)
        ring_poll(&l->loop->ring, &l->readable, PQsocket(l->conn), POLLIN);
}

static void await_writable(struct store_postgres_link *l)
{
    if (!l->writable.in_kernel)
        ring_poll(&l->loop->ring, &l->writable, PQsocket(l->conn), POLLOUT);
}

/* An insert that is tried again may be older than those before it. */
static uint64_t oldest_begun_ns(const struct store_postgres_link *l)
{
    uint64_t oldest_ns = UINT64_MAX;
    for (const struct store_insert *i = l->under_way.first; i; i = i->next)
        if (i->begun_ns < oldest_ns)
            oldest_ns = i->begun_ns;
    return oldest_ns;
}

static uint64_t deadline_of(const struct store_postgres_link *l)
{
    switch (l->state) {
    case LINK_WAITING:
        return l->tried_ns;
    case LINK_CONNECTING:
    case LINK_PREPARING:
        return l->tried_ns + storage_connect_ns(l->server->timeout_ns);
    case LINK_READY:
        if (l->under_way.first)
            return oldest_begun_ns(l) + l->server->timeout_ns;
        return l->loop->now_ns + IDLE_NS;
    default:
        return l->loop->now_ns + IDLE_NS;
    }
}

static void schedule(struct store_postgres_link *l)
{
    CHECK(timer_set(&l->loop->timers, &l->timer, deadline_of(l)));
}

static void timer_due(struct timer *t)
{
    struct store_postgres_link *l =
        (struct store_postgres_link *)((char *)t - offsetof(struct store_postgres_link, timer));
    bool is_due = deadline_of(l) <= l->loop->now_ns;
    if (is_due && l->state == LINK_WAITING)
        begin_connect(l);
    else if (is_due && l->state != LINK_CLOSING)
        lose(l);
    schedule(l);
}

/* --- connecting and preparing --- */

/* The end of the first, blocking start: what the ring does later, done with poll(2). */
static bool prepare_now(struct store_postgres_link *l, struct fail *f)
{
    struct pollfd wait = {.fd = PQsocket(l->conn), .events = POLLIN};
    int most_ms = (int)(storage_connect_ns(l->server->timeout_ns) / NS_PER_MS);
    bool is_alive = store_postgres_wire_begin(l->conn, l->server->schema) &&
                    store_postgres_wire_flush(l->conn) == 0;
    while (is_alive) {
        struct store_postgres_reply r = store_postgres_wire_next(l->conn);
        if (r.kind == WIRE_SYNC)
            return true;
        if (r.kind == WIRE_ERROR)
            return fail_set(f, EXIT_FAILED,
                            "PostgreSQL refused to prepare the insert into device (SQLSTATE %s)",
                            r.sqlstate);
        if (r.kind == WIRE_LOST)
            break;
        if (r.kind == WIRE_NOTHING)
            is_alive = poll(&wait, 1, most_ms) == 1 && store_postgres_wire_receive(l->conn);
    }
    return fail_set(f, EXIT_FAILED,
                    "PostgreSQL: the connection was lost, or stalled, while it was prepared");
}

bool store_postgres_link_open(struct store_postgres_link *l, struct fail *f)
{
    l->state = LINK_CLOSING;
    l->timer = (struct timer){.due = timer_due, .deadline_ns = TIMER_NEVER};
    l->backoff_ns = BACKOFF_FIRST_NS;
    rng_seed(&l->rng, clock_ns() ^ (uintptr_t)l);
    op_init(&l->readable, readable_done);
    op_init(&l->writable, writable_done);
    op_init(&l->arrival, arrived);
    op_init(&l->sending, not_sent);
    op_init(&l->parked, parked_sent);
    if (!timer_set(&l->loop->timers, &l->timer, l->loop->now_ns + IDLE_NS))
        return fail_set(f, EXIT_FAILED, "out of memory: a timer");
    l->conn = store_postgres_setup_connect(l->server, f);
    if (!l->conn || !prepare_now(l, f))
        return false;
    become_ready(l);
    return true;
}

static void begin_connect(struct store_postgres_link *l)
{
    l->state = LINK_CONNECTING;
    l->tried_ns = l->loop->now_ns;
    l->conn = PQconnectStartParams(l->server->keywords, l->server->values, 0);
    store_postgres_setup_silence(l->conn); /* NULL is ignored */
    if (!l->conn || PQstatus(l->conn) == CONNECTION_BAD)
        lose(l);
    else
        await_writable(l);
}

static void go_on_connecting(struct store_postgres_link *l)
{
    switch (PQconnectPoll(l->conn)) {
    case PGRES_POLLING_READING:
        await_readable(l);
        return;
    case PGRES_POLLING_WRITING:
        await_writable(l);
        return;
    case PGRES_POLLING_OK:
        l->state = LINK_PREPARING;
        if (!store_postgres_wire_begin(l->conn, l->server->schema)) {
            lose(l);
            return;
        }
        await_readable(l);
        store_postgres_link_flush(l);
        return;
    default:
        lose(l);
    }
}

static void take_preparation(struct store_postgres_link *l)
{
    for (;;) {
        struct store_postgres_reply r = store_postgres_wire_next(l->conn);
        if (r.kind == WIRE_NOTHING)
            return;
        if (r.kind == WIRE_OK)
            continue;
        if (r.kind != WIRE_SYNC) {
            lose(l);
            return;
        }
        become_ready(l);
        l->backoff_ns = BACKOFF_FIRST_NS;
        schedule(l);
        l->events->ready(l);
        return;
    }
}

/* Nothing was asked since the reply that made it ready, so libpq's buffers are empty. (Should a
 * notice have come behind that reply and be cut in two there, its second half is no valid reply, and
 * the connection is given up before an insert was acknowledged on it.) */
static void become_ready(struct store_postgres_link *l)
{
    l->state = LINK_READY;
    l->is_direct = store_postgres_wire_is_plain(l->conn);
    if (!l->is_direct) {
        await_readable(l);
        return;
    }
    l->stream = (struct store_postgres_stream){.is_grouped = l->server->batch > 1};
    op_init(&l->sending, not_sent);
    ring_recv(&l->loop->ring, &l->arrival, PQsocket(l->conn));
}

/* --- inserts leave --- */

/* False: the link is lost. */
static bool end_transaction(struct store_postgres_link *l)
{
    l->under_way.last->is_last = true;
    l->open_count = 0;
    if (l->is_direct || store_postgres_wire_sync(l->conn))
        return true;
    lose(l);
    return false;
}

void store_postgres_link_insert(struct store_postgres_link *l, struct store_insert *i)
{
    CHECK(store_postgres_link_takes(l) && (!i->is_alone || !l->open_count));
    i->outcome = STORE_UNKNOWN;
    i->is_last = false;
    inserts_push(&l->under_way, i);
    if (l->under_way.count == 1 || i->is_alone)
        schedule(l);
    l->is_dirty = true;
    l->open_count++;
    if (l->is_direct && !l->unsent)
        l->unsent = i;
    if (!l->is_direct && !store_postgres_wire_insert(l->conn, l->server->schema, i))
        lose(l);
    else if (i->is_alone || l->open_count == l->server->batch)
        (void)end_transaction(l);
}

static void send_frames(struct store_postgres_link *l)
{
    size_t len = 0;
    for (struct store_insert *i = l->unsent; i; i = i->next)
        len += store_postgres_frames_bytes(l->server->schema, i);
    char *start = ring_stage(&l->loop->ring, len), *at = start;
    if (!start) {
        lose(l);
        return;
    }
    for (struct store_insert *i = l->unsent; i; i = i->next)
        at = store_postgres_frames_insert(at, l->server->schema, i);
    CHECK(at == start + len);
    ring_stage_take(&l->loop->ring, len);
    l->unsent = NULL;
    l->sent = (struct span){start, len};
    ring_send_now(&l->loop->ring, &l->sending, PQsocket(l->conn), l->sent);
}

/* The socket took a part or nothing: the rest follows when there is room. */
static void not_sent(struct op *op, int res, unsigned flags)
{
    struct store_postgres_link *l =
        (struct store_postgres_link *)((char *)op - offsetof(struct store_postgres_link, sending));
    size_t taken = res > 0 ? (size_t)res : 0;
    (void)flags;
    if (l->state != LINK_READY)
        return;
    struct span rest = {l->sent.data + taken, l->sent.len - taken};
    if ((res < 0 && res != -EAGAIN) || !bytes_append(&l->rest, rest, UINT32_MAX)) {
        lose(l);
        return;
    }
    l->is_parked = true;
    ring_send(&l->loop->ring, &l->parked, PQsocket(l->conn), bytes_span(&l->rest));
}

static void parked_sent(struct op *op, int res, unsigned flags)
{
    struct store_postgres_link *l =
        (struct store_postgres_link *)((char *)op - offsetof(struct store_postgres_link, parked));
    (void)flags;
    bool is_whole = res >= 0 && (uint32_t)res == l->rest.len;
    bytes_free(&l->rest);
    l->is_parked = false;
    if (l->state == LINK_CLOSING)
        finish_closing(l);
    else if (!is_whole)
        lose(l);
}

void store_postgres_link_flush(struct store_postgres_link *l)
{
    l->is_dirty = false;
    if (l->open_count && !end_transaction(l))
        return;
    if (l->is_direct) {
        if (l->unsent)
            send_frames(l);
        return;
    }
    int left = store_postgres_wire_flush(l->conn);
    if (left > 0)
        await_writable(l);
    else if (left < 0)
        lose(l);
}

/* --- answers --- */

/* The insert whose reply comes next; NULL: its transaction's end does. */
static struct store_insert *next_to_reply(const struct store_postgres_link *l)
{
    if (!l->replied)
        return l->under_way.first;
    return l->replied->is_last ? NULL : l->replied->next;
}

static void take_row(struct store_postgres_link *l, enum store_outcome outcome, int64_t id)
{
    struct store_insert *i = next_to_reply(l);
    if (!i) {
        lose(l);
        return;
    }
    i->id = id;
    i->outcome = outcome;
    l->replied = i;
}

static struct store_insert *pop_replied(struct store_postgres_link *l, bool *is_last)
{
    struct store_insert *i = inserts_pop(&l->under_way);
    *is_last = i->is_last;
    l->replied = NULL;
    l->has_error = false;
    return i;
}

/* Whoever is answered may close the store, and nothing is left under way then. */
static void answer_group(struct store_postgres_link *l)
{
    bool is_last = false;
    while (!is_last && l->under_way.first) {
        struct store_insert *i = pop_replied(l, &is_last);
        l->events->answered(l, i, i->outcome);
    }
}

static void undo_group(struct store_postgres_link *l)
{
    struct insert_queue group = {0};
    bool is_last = false;
    while (!is_last)
        inserts_push(&group, pop_replied(l, &is_last));
    l->events->undone(l, &group);
}

/* The text of the error is in the server's log, not in what is read here. */
static void tell_refusal(const struct store_postgres_link *l, const char *sqlstate)
{
    static _Atomic uint64_t told_ns;
    if (log_is_time(&told_ns, l->loop->now_ns))
        log_line(
            "PostgreSQL refuses inserts (SQLSTATE %s; its log says more): they are answered 503",
            sqlstate);
}

/* A row that was inserted is done only with the Sync behind it, which is its commit. An error in
 * place of the row, or before the commit, undoes it for certain; but with the end of the connection
 * behind a row nobody knows. */
static void take_error(struct store_postgres_link *l, const struct store_postgres_reply *r)
{
    struct store_insert *i = l->under_way.first;
    l->has_error = true;
    l->is_outdated |= store_postgres_wire_is_outdated(r);
    bool is_refused = !r->is_fatal && !store_postgres_wire_is_outdated(r);
    if (is_refused && store_postgres_wire_outcome(r) == STORE_UNAVAILABLE)
        tell_refusal(l, r->sqlstate);
    if (i->is_last)
        i->outcome = l->replied && r->is_fatal ? STORE_UNKNOWN : store_postgres_wire_outcome(r);
    if (r->is_fatal && i->is_last)
        answer_group(l);
    if (r->is_fatal)
        lose(l);
}

static void take_sync(struct store_postgres_link *l)
{
    if (l->has_error && !l->under_way.first->is_last)
        undo_group(l);
    else if (l->has_error || !next_to_reply(l))
        answer_group(l);
    else
        lose(l);
    if (l->state == LINK_READY && l->is_outdated && !l->under_way.first)
        lose(l);
}

static void take_reply(struct store_postgres_link *l, const struct store_postgres_reply *r)
{
    switch (r->kind) {
    case WIRE_NOTHING:
    case WIRE_OK:
        break;
    case WIRE_ROW:
        take_row(l, STORE_DONE, r->id);
        break;
    case WIRE_NO_ROW: /* nothing is stored that could be acknowledged */
        take_row(l, STORE_REFUSED, 0);
        break;
    case WIRE_ERROR:
        take_error(l, r);
        break;
    case WIRE_SYNC:
        take_sync(l);
        break;
    case WIRE_LOST:
        lose(l);
        break;
    }
}

/* --- answers by way of libpq --- */

static void take_replies(struct store_postgres_link *l)
{
    while (l->state == LINK_READY && l->under_way.first) {
        struct store_postgres_reply r = store_postgres_wire_next(l->conn);
        if (r.kind == WIRE_NOTHING)
            return;
        take_reply(l, &r);
    }
}

static bool is_open(const struct store_postgres_link *l)
{
    return l->state == LINK_PREPARING || l->state == LINK_READY;
}

static void receive(struct store_postgres_link *l)
{
    bool is_alive = store_postgres_wire_receive(l->conn);
    if (l->state == LINK_PREPARING)
        take_preparation(l);
    else
        take_replies(l);
    if (is_open(l) && !is_alive)
        lose(l);
    if (is_open(l) && !l->is_direct)
        await_readable(l);
}

static void socket_ready(struct store_postgres_link *l, bool is_readable)
{
    if (l->state == LINK_CLOSING)
        finish_closing(l);
    else if (l->state == LINK_CONNECTING)
        go_on_connecting(l);
    else if (is_readable)
        receive(l);
    else
        store_postgres_link_flush(l);
}

/* --- answers as frames --- */

/* Whatever comes without an insert that it could answer is the end: the server says why it ends the
 * connection, or replies and inserts no longer match. */
static void take_frames(struct store_postgres_link *l, struct span bytes)
{
    while (l->state == LINK_READY) {
        struct store_postgres_reply r = store_postgres_frames_next(&l->stream, &bytes);
        if (r.kind == WIRE_NOTHING)
            return;
        if (l->under_way.first == l->unsent)
            lose(l);
        else
            take_reply(l, &r);
    }
}

static void arrived(struct op *op, int res, unsigned flags)
{
    struct store_postgres_link *l =
        (struct store_postgres_link *)((char *)op - offsetof(struct store_postgres_link, arrival));
    if (res > 0) {
        take_frames(l, ring_lent(&l->loop->ring, res, flags));
        ring_return(&l->loop->ring, flags);
    }
    bool is_over = res <= 0 && res != -ENOBUFS;
    if (l->state == LINK_CLOSING)
        finish_closing(l);
    else if (l->state == LINK_READY && is_over)
        lose(l);
    else if (l->state == LINK_READY && !ring_more(flags))
        ring_recv(&l->loop->ring, &l->arrival, PQsocket(l->conn));
}

/* --- lost --- */

static void lose(struct store_postgres_link *l)
{
    struct insert_queue unknown = l->under_way;
    bool was_ready = l->state == LINK_READY;
    l->state = LINK_CLOSING;
    l->under_way = (struct insert_queue){0};
    l->unsent = l->replied = NULL;
    l->open_count = 0;
    l->has_error = l->is_outdated = l->is_dirty = l->is_direct = false;
    ring_cancel(&l->loop->ring, &l->readable);
    ring_cancel(&l->loop->ring, &l->writable);
    ring_cancel(&l->loop->ring, &l->arrival);
    ring_cancel(&l->loop->ring, &l->parked);
    if (was_ready)
        l->events->lost(l, &unknown);
    finish_closing(l);
}

/* The descriptor is closed only when no operation of it is left, so that none ever meets a stranger
 * with the same number. */
static void finish_closing(struct store_postgres_link *l)
{
    if (l->readable.in_kernel || l->writable.in_kernel || l->arrival.in_kernel ||
        l->parked.in_kernel || l->is_ending)
        return;
    PQfinish(l->conn);
    l->conn = NULL;
    l->state = LINK_WAITING;
    /* Jitter keeps the links of all threads from knocking at the same moment. */
    l->tried_ns = l->loop->now_ns + l->backoff_ns / 2 + rng_below(&l->rng, l->backoff_ns / 2);
    l->backoff_ns = l->backoff_ns * 2 < BACKOFF_MOST_NS ? l->backoff_ns * 2 : BACKOFF_MOST_NS;
    schedule(l);
}

void store_postgres_link_close(struct store_postgres_link *l)
{
    l->is_ending = true;
    timer_clear(&l->loop->timers, &l->timer);
    if (l->state != LINK_WAITING && l->state != LINK_CLOSING)
        lose(l);
}

void store_postgres_link_free(struct store_postgres_link *l)
{
    PQfinish(l->conn);
    l->conn = NULL;
    bytes_free(&l->rest);
}
