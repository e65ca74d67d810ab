/* A turn of the fake kernel: what was queued is taken in order, sends and closes happen there and
 * then; afterwards operations that could go on are picked at random, a step each. */
#include "lib/fakering.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "net/ring.h"
#include "net/sock.h"

enum {
    FD_FIRST = 1 << 20,
    FDS_MAX = 256,
    SOCKS_MAX = 256,
    ENTRIES_MAX = 1024,
    LENT_MAX = 256,
    STEP_NS_MAX = 1000000,
};
static const uint64_t TIME_BEGIN_NS = 1000 * NS_PER_S;
static const int64_t WALL_BEGIN_US = 1763660000000000;

enum kind { ACCEPT, RECV, SEND_NOW, SEND, CONNECT, READ_EVENT, CANCEL, CLOSE };
static const char *const kind_names[] = {
    "accept", "recv", "send_now", "send", "connect", "read_event", "cancel", "close",
};

/* A queued submission, later the operation in the kernel that it has become. */
struct entry {
    enum kind kind;
    bool is_cancelled;
    uint16_t generation;
    struct op *op;
    struct fake_sock *sock;
    int fd;
    struct span bytes;
    uint64_t sum; /* of the bytes when they were queued */
    size_t done;  /* bytes sent */
    uint64_t ready_ns;
    int outcome;
    uint64_t *value;
};

struct completion {
    enum kind kind;
    uint16_t generation;
    struct op *op;
    int res;
    unsigned flags;
};

struct stage_chunk {
    struct stage_chunk *next;
    size_t used, room;
    char *data;
};

static struct {
    uint64_t seed, now_ns, wake_ns, stage_failures;
    bool is_tracing, is_event_there;
    struct rng rng;
    struct fake_faults faults;
    struct fake_sock *socks[SOCKS_MAX], *fds[FDS_MAX], *backlog, *connected[SOCKS_MAX];
    unsigned sock_count, connected_count, connected_taken;
    struct entry queue[ENTRIES_MAX], live[ENTRIES_MAX];
    unsigned queue_count, live_count;
    struct completion done[ENTRIES_MAX];
    unsigned done_count;
    char *lent[LENT_MAX];
    unsigned lent_count;
} k;

static void take_entry(struct entry *e);
static void complete_some(struct ring *r);
static bool may_go_on(const struct entry *e);

/* --- a run --- */

/* Called by the address sanitizer, and on an abort, so that the seed is known. */
void __asan_on_error(void);
void __asan_on_error(void)
{
    fprintf(stderr, "seed %llu, at %.6f s\n", (unsigned long long)k.seed,
            (double)(k.now_ns - TIME_BEGIN_NS) / 1e9);
}

/* A failed CHECK; with SA_RESETHAND the second abort is the real one. */
static void aborted(int number)
{
    __asan_on_error();
    raise(number);
}

void fake_start(uint64_t seed, const struct fake_faults *faults, bool trace)
{
    memset(&k, 0, sizeof k);
    k.seed = seed;
    k.now_ns = TIME_BEGIN_NS;
    k.wake_ns = UINT64_MAX;
    k.faults = *faults;
    k.is_tracing = trace;
    rng_seed(&k.rng, seed);
    struct sigaction action = {.sa_handler = aborted, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    sigaction(SIGABRT, &action, NULL);
}

void fake_finish(void)
{
    for (unsigned i = 0; i < FDS_MAX; i++)
        FAKE_CHECK(!k.fds[i], "descriptor %u was left open", i);
    for (unsigned i = 0; i < k.sock_count; i++) {
        bytes_free(&k.socks[i]->arriving);
        bytes_free(&k.socks[i]->leaving);
        free(k.socks[i]);
    }
    k.sock_count = 0;
}

void fake_fail(const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fail_msg("SEED=%llu, at %.6f s: %s", (unsigned long long)k.seed,
             (double)(k.now_ns - TIME_BEGIN_NS) / 1e9, text);
    abort();
}

void fake_trace(const char *format, ...)
{
    va_list arguments;
    if (!k.is_tracing)
        return;
    printf("%12.6f ", (double)(k.now_ns - TIME_BEGIN_NS) / 1e9);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
}

uint64_t fake_now(void)
{
    return k.now_ns;
}

struct rng *fake_rng(void)
{
    return &k.rng;
}

bool fake_chance(unsigned chance)
{
    return chance && (rng_next(&k.rng) & 0xffff) < chance;
}

void fake_wake_at(uint64_t ns)
{
    k.wake_ns = ns;
}

unsigned fake_in_kernel(void)
{
    unsigned count = k.queue_count;
    for (unsigned i = 0; i < k.live_count; i++)
        count += k.live[i].kind != READ_EVENT;
    return count;
}

uint64_t fake_stage_failures(void)
{
    return k.stage_failures;
}

/* --- sockets and their peers --- */

static struct fake_sock *sock_make(void)
{
    FAKE_CHECK(k.sock_count < SOCKS_MAX, "too many sockets");
    struct fake_sock *s = calloc(1, sizeof *s);
    CHECK(s);
    s->number = (int)k.sock_count;
    s->fd = -1;
    k.socks[k.sock_count++] = s;
    return s;
}

/* The lowest free number, as a kernel gives it: descriptors are reused at once. */
static int fd_give(struct fake_sock *s)
{
    unsigned i = 0;
    while (i < FDS_MAX && k.fds[i])
        i++;
    FAKE_CHECK(i < FDS_MAX, "too many descriptors");
    k.fds[i] = s;
    return s->fd = FD_FIRST + (int)i;
}

static struct fake_sock *sock_of(int fd)
{
    bool is_ours = fd >= FD_FIRST && fd < FD_FIRST + FDS_MAX;
    FAKE_CHECK(is_ours && k.fds[fd - FD_FIRST], "descriptor %d is not open", fd);
    return k.fds[fd - FD_FIRST];
}

static void sock_reset(struct fake_sock *s)
{
    s->is_reset = true;
    bytes_free(&s->arriving);
}

/* Closing with bytes unread resets, and may take from the peer what it has not read yet (RFC 9112
 * section 9.6). */
static void sock_close(struct fake_sock *s)
{
    fake_trace("%d closed%s", s->number, s->arriving.len ? ", bytes unread" : "");
    k.fds[s->fd - FD_FIRST] = NULL;
    s->fd = -1;
    s->is_closed = true;
    if ((s->arriving.len || s->is_forgotten) && !s->is_reset) {
        sock_reset(s);
        bytes_free(&s->leaving);
    }
}

struct fake_sock *fake_listen(void)
{
    struct fake_sock *s = sock_make();
    s->is_listener = true;
    fd_give(s);
    return s;
}

struct fake_sock *fake_dial(struct fake_sock *listener)
{
    struct fake_sock *s = sock_make(), **at = &k.backlog;
    if (listener->is_closed) {
        sock_reset(s);
        return s;
    }
    while (*at)
        at = &(*at)->next_in_backlog;
    *at = s;
    return s;
}

struct fake_sock *fake_take_connected(void)
{
    if (k.connected_taken == k.connected_count)
        return NULL;
    return k.connected[k.connected_taken++];
}

void fake_peer_write(struct fake_sock *s, struct span bytes)
{
    if (s->is_reset || !bytes.len)
        return;
    if (s->is_closed) { /* a reset comes back, and may overtake what was not read */
        sock_reset(s);
        if (fake_chance(32768))
            bytes_free(&s->leaving);
        return;
    }
    fake_trace("%d peer writes %zu", s->number, bytes.len);
    CHECK(bytes_append(&s->arriving, bytes, UINT32_MAX));
}

void fake_peer_end(struct fake_sock *s)
{
    fake_trace("%d peer ends", s->number);
    s->peer_ended = true;
}

void fake_peer_close(struct fake_sock *s)
{
    fake_trace("%d peer closes", s->number);
    s->peer_ended = s->peer_gone = true;
    if (s->leaving.len)
        sock_reset(s);
    bytes_free(&s->leaving);
}

void fake_peer_reset(struct fake_sock *s)
{
    fake_trace("%d peer resets", s->number);
    s->peer_gone = true;
    sock_reset(s);
    bytes_free(&s->leaving);
}

size_t fake_peer_read(struct fake_sock *s, struct bytes *into, size_t max)
{
    size_t n = s->leaving.len < max ? s->leaving.len : max;
    if (!n)
        return 0;
    CHECK(bytes_append(into, (struct span){s->leaving.data, n}, UINT32_MAX));
    bytes_consume(&s->leaving, (uint32_t)n);
    return n;
}

bool fake_peer_at_end(const struct fake_sock *s)
{
    return !s->leaving.len && (s->is_closed || s->is_shut_write || s->is_reset);
}

/* --- what the linker puts in the place of others --- */

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_shutdown(int fd, int how);
int __wrap_sock_open(const struct address *a);
void __wrap_sock_forget(int fd);
uint64_t __wrap_clock_ns(void);
int64_t __wrap_clock_wall_us(void);
void __wrap_log_line(const char *format, ...);

static bool is_being_cancelled(const struct fake_sock *s)
{
    for (unsigned i = 0; i < k.queue_count; i++)
        if (k.queue[i].kind == CANCEL && k.queue[i].sock == s)
            return true;
    return false;
}

/* An operation in the kernel keeps a closed listener listening until it is cancelled. */
int __wrap_close(int fd)
{
    if (fd < FD_FIRST)
        return __real_close(fd);
    struct fake_sock *s = sock_of(fd);
    FAKE_CHECK(s->is_listener || !(s->queued + s->in_kernel),
               "closed at once with operations in the kernel");
    FAKE_CHECK(!(s->queued + s->in_kernel) || is_being_cancelled(s),
               "a listener was closed and its accept not cancelled");
    sock_close(s);
    return 0;
}

int __wrap_shutdown(int fd, int how)
{
    struct fake_sock *s = sock_of(fd);
    fake_trace("%d shut %s", s->number, how == SHUT_WR ? "for writing" : "down");
    if (s->is_reset || (s->is_shut_write && s->peer_ended)) {
        errno = ENOTCONN;
        return -1;
    }
    s->is_shut_write = true;
    s->is_shut_read |= how == SHUT_RDWR;
    return 0;
}

int __wrap_sock_open(const struct address *a)
{
    (void)a;
    if (fake_chance(k.faults.open_fails))
        return -EMFILE;
    return fd_give(sock_make());
}

void __wrap_sock_forget(int fd)
{
    sock_of(fd)->is_forgotten = true;
}

uint64_t __wrap_clock_ns(void)
{
    return k.now_ns;
}

int64_t __wrap_clock_wall_us(void)
{
    return WALL_BEGIN_US + (int64_t)((k.now_ns - TIME_BEGIN_NS) / NS_PER_US);
}

void __wrap_log_line(const char *format, ...)
{
    (void)format;
}

/* --- the ring --- */

bool ring_open(struct ring *r, const struct ring_config *config, struct fail *f)
{
    (void)f;
    *r = (struct ring){.buffers = config->buffers, .buffer_bytes = config->buffer_bytes};
    CHECK(r->buffers && r->buffers <= LENT_MAX);
    return true;
}

static void stage_clear(struct stage *s)
{
    while (s->first) {
        struct stage_chunk *chunk = s->first;
        s->first = chunk->next;
        memset(chunk->data, 0xdd, chunk->room);
        free(chunk->data);
        free(chunk);
    }
    s->current = NULL;
}

void ring_close(struct ring *r)
{
    FAKE_CHECK(!fake_in_kernel(), "the ring was closed over %u operations", fake_in_kernel());
    FAKE_CHECK(r->ops_in_kernel == k.live_count, "%u operations in the kernel, %u counted",
               k.live_count, (unsigned)r->ops_in_kernel);
    FAKE_CHECK(!k.lent_count, "%u buffers were not given back", k.lent_count);
    stage_clear(&r->stage[0]);
    stage_clear(&r->stage[1]);
}

/* Something can go on without time passing. */
static bool is_busy(void)
{
    for (unsigned i = 0; i < k.live_count; i++)
        if (may_go_on(&k.live[i]))
            return true;
    return false;
}

static void pass_time(struct ring *r, uint64_t wait_ns)
{
    uint64_t until = wait_ns == RING_FOREVER ? UINT64_MAX : k.now_ns + wait_ns;
    if (k.wake_ns < until)
        until = k.wake_ns;
    for (unsigned i = 0; i < k.live_count; i++)
        if (k.live[i].kind == CONNECT && k.live[i].ready_ns < until)
            until = k.live[i].ready_ns;
    while (!k.done_count && k.now_ns < until) {
        bool is_short = is_busy();
        FAKE_CHECK(is_short || until != UINT64_MAX, "waits for ever");
        uint64_t step = 1 + rng_below(&k.rng, STEP_NS_MAX);
        k.now_ns = is_short && k.now_ns + step < until ? k.now_ns + step : until;
        complete_some(r);
        if (fake_chance(1000)) /* a signal came */
            break;
    }
}

/* Looked at once a turn: only the loop's own thread posts here. */
static void look_for_event(void)
{
    for (unsigned i = 0; i < k.live_count; i++) {
        struct pollfd p = {.fd = k.live[i].fd, .events = POLLIN};
        if (k.live[i].kind == READ_EVENT)
            k.is_event_there = poll(&p, 1, 0) == 1;
    }
}

/* All that was queued, or a part of it. */
static void take_queue(struct ring *r)
{
    bool was_behind = r->is_behind;
    unsigned count = k.queue_count;
    if (count && fake_chance(k.faults.falls_behind))
        count = (unsigned)rng_below(&k.rng, count);
    for (unsigned i = 0; i < count; i++)
        take_entry(&k.queue[i]);
    k.queue_count -= count;
    memmove(k.queue, k.queue + count, k.queue_count * sizeof *k.queue);
    r->is_behind = k.queue_count;
    if (r->is_behind)
        fake_trace("behind by %u", k.queue_count);
    if (!was_behind && !r->is_behind)
        r->filling ^= 1;
}

void ring_enter(struct ring *r, uint64_t wait_ns)
{
    r->turns++;
    take_queue(r);
    look_for_event();
    complete_some(r);
    k.now_ns += rng_below(&k.rng, 20 * NS_PER_US);
    if (wait_ns)
        pass_time(r, wait_ns);
}

static void tell(struct ring *r, const struct completion *c)
{
    fake_trace("op %p %s: %d%s", (void *)c->op, kind_names[c->kind], c->res,
               ring_more(c->flags) ? ", more" : "");
    if (c->kind == SEND_NOW) {
        if (c->op->generation == c->generation)
            c->op->done(c->op, c->res, 0);
        else
            r->stale++;
        return;
    }
    FAKE_CHECK(c->op->generation == c->generation && c->op->in_kernel,
               "the owner of a %s was reused", kind_names[c->kind]);
    if (!ring_more(c->flags)) {
        c->op->in_kernel = false;
        r->ops_in_kernel--;
    }
    c->op->done(c->op, c->res, c->flags);
}

void ring_complete(struct ring *r)
{
    static struct completion taken[ENTRIES_MAX];
    unsigned count = k.done_count;
    memcpy(taken, k.done, count * sizeof *taken);
    k.done_count = 0;
    for (unsigned i = 0; i < count; i++)
        if (taken[i].kind == SEND_NOW)
            tell(r, &taken[i]);
    for (unsigned i = 0; i < count; i++)
        if (taken[i].kind != SEND_NOW)
            tell(r, &taken[i]);
    FAKE_CHECK(!k.lent_count, "%u buffers were not given back in their turn", k.lent_count);
    stage_clear(&r->stage[r->filling ^ 1]); /* what was staged before the enter is certain by now */
    r->completions += count;
}

/* --- operations, queued --- */

/* FNV-1a over at most 64 places: enough to see memory that was filled with something else. */
static uint64_t sum_of(struct span s)
{
    uint64_t sum = 0xcbf29ce484222325;
    size_t stride = s.len / 64 + 1;
    for (size_t i = 0; i < s.len; i += stride)
        sum = (sum ^ (unsigned char)s.data[i]) * 0x100000001b3;
    return sum;
}

static struct entry *queue_entry(enum kind kind, struct op *op, int fd)
{
    FAKE_CHECK(k.queue_count < ENTRIES_MAX, "too many submissions");
    struct entry *e = &k.queue[k.queue_count++];
    *e = (struct entry){.kind = kind, .op = op, .fd = fd, .ready_ns = UINT64_MAX};
    if (op)
        e->generation = op->generation;
    if (fd >= FD_FIRST) {
        e->sock = sock_of(fd);
        e->sock->queued++;
    }
    return e;
}

static struct entry *queue_op(struct ring *r, enum kind kind, struct op *op, int fd)
{
    CHECK(!op->in_kernel);
    op->in_kernel = true;
    r->ops_in_kernel++;
    return queue_entry(kind, op, fd);
}

void ring_accept(struct ring *r, struct op *op, int listener)
{
    queue_op(r, ACCEPT, op, listener);
}

void ring_recv(struct ring *r, struct op *op, int fd)
{
    queue_op(r, RECV, op, fd);
}

void ring_send_now(struct ring *r, struct op *op, int fd, struct span bytes)
{
    (void)r;
    FAKE_CHECK(!op->in_kernel, "sent at once with an operation that the kernel has");
    FAKE_CHECK(bytes.len, "nothing is sent");
    for (unsigned i = 0; i < k.queue_count; i++)
        FAKE_CHECK(k.queue[i].op != op, "sent twice in a turn");
    struct entry *e = queue_entry(SEND_NOW, op, fd);
    e->bytes = bytes;
    e->sum = sum_of(bytes);
}

void ring_send(struct ring *r, struct op *op, int fd, struct span bytes)
{
    FAKE_CHECK(bytes.len, "nothing is sent");
    struct entry *e = queue_op(r, SEND, op, fd);
    e->bytes = bytes;
    e->sum = sum_of(bytes);
}

void ring_connect(struct ring *r, struct op *op, int fd, const struct sockaddr *addr, socklen_t len)
{
    (void)addr, (void)len;
    queue_op(r, CONNECT, op, fd);
}

void ring_poll(struct ring *r, struct op *op, int fd, unsigned events)
{
    (void)r, (void)op, (void)fd, (void)events;
    fake_fail("nobody here polls");
}

void ring_read_event(struct ring *r, struct op *op, int fd, uint64_t *value)
{
    queue_op(r, READ_EVENT, op, fd)->value = value;
}

void ring_cancel(struct ring *r, struct op *victim)
{
    (void)r;
    if (!victim->in_kernel)
        return;
    struct entry *e = queue_entry(CANCEL, victim, -1);
    for (unsigned i = 0; i < k.live_count; i++)
        if (k.live[i].op == victim)
            e->sock = k.live[i].sock;
    for (unsigned i = 0; i + 1 < k.queue_count; i++)
        if (k.queue[i].op == victim && k.queue[i].kind != CANCEL)
            e->sock = k.queue[i].sock;
    if (e->sock)
        e->sock->queued++;
}

void ring_close_fd(struct ring *r, int fd)
{
    (void)r;
    queue_entry(CLOSE, NULL, fd);
}

/* --- operations, taken --- */

static void post(const struct entry *e, int res, unsigned flags)
{
    FAKE_CHECK(k.done_count < ENTRIES_MAX, "too many completions");
    k.done[k.done_count++] = (struct completion){
        .kind = e->kind, .op = e->op, .generation = e->generation, .res = res, .flags = flags};
}

static size_t room_of(const struct fake_sock *s)
{
    return s->leaving.len < k.faults.socket_bytes ? k.faults.socket_bytes - s->leaving.len : 0;
}

/* Moves bytes to the peer; returns how many, or the error. */
static int put_bytes(struct fake_sock *s, struct span bytes)
{
    if (!s->is_reset && !s->is_shut_write && fake_chance(k.faults.send_lost)) {
        s->is_faulted = true;
        sock_reset(s);
        return -ECONNRESET;
    }
    if (s->is_reset || s->is_shut_write)
        return -EPIPE;
    size_t n = room_of(s) < bytes.len ? room_of(s) : bytes.len;
    if (s->peer_gone) {
        sock_reset(s); /* these are taken, and answered by a reset */
        return (int)n;
    }
    if (n && fake_chance(k.faults.send_short))
        n = rng_below(&k.rng, n);
    if (!n)
        return -EAGAIN;
    CHECK(bytes_append(&s->leaving, (struct span){bytes.data, n}, UINT32_MAX));
    s->sent += n;
    return (int)n;
}

static void check_sum(const struct entry *e)
{
    FAKE_CHECK(sum_of(e->bytes) == e->sum, "the bytes of a %s were changed", kind_names[e->kind]);
}

static void take_send_now(const struct entry *e)
{
    check_sum(e);
    int n = put_bytes(e->sock, e->bytes);
    fake_trace("%d send_now %zu: %d", e->sock->number, e->bytes.len, n);
    if (n != (int)e->bytes.len)
        post(e, n, 0);
}

static void take_cancel(const struct entry *e)
{
    for (unsigned i = 0; i < k.live_count; i++)
        if (k.live[i].op == e->op && k.live[i].generation == e->generation)
            k.live[i].is_cancelled = true;
}

static void plan_connect(struct entry *e)
{
    static const int errors[] = {ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL};
    e->ready_ns = k.now_ns + rng_below(&k.rng, fake_chance(8000) ? NS_PER_S : NS_PER_MS);
    if (fake_chance(k.faults.connect_hangs))
        e->ready_ns = UINT64_MAX;
    else if (fake_chance(k.faults.connect_fails))
        e->outcome = -errors[rng_below(&k.rng, 5)];
}

static void take_entry(struct entry *e)
{
    struct fake_sock *s = e->sock;
    if (s)
        s->queued--;
    if (s && e->kind != CANCEL && s->fd != e->fd) {
        FAKE_CHECK(s->is_listener, "a %s was overtaken by a close", kind_names[e->kind]);
        post(e, -EBADF, 0);
        return;
    }
    switch (e->kind) {
    case SEND_NOW:
        take_send_now(e);
        return;
    case CANCEL:
        take_cancel(e);
        return;
    case CLOSE:
        FAKE_CHECK(!s->in_kernel, "%d was closed with %u operations in the kernel", s->number,
                   s->in_kernel);
        sock_close(s);
        return;
    case CONNECT:
        plan_connect(e);
        break;
    default:
        break;
    }
    if (s)
        s->in_kernel++;
    FAKE_CHECK(k.live_count < ENTRIES_MAX, "too many operations");
    k.live[k.live_count++] = *e;
}

/* --- operations, going on --- */

/* Posts a completion; the last one takes the operation out of the kernel. */
static void step_done(struct entry *e, int res, unsigned flags)
{
    post(e, res, flags);
    if (ring_more(flags))
        return;
    if (e->sock)
        e->sock->in_kernel--;
    *e = k.live[--k.live_count];
}

static bool may_go_on(const struct entry *e)
{
    const struct fake_sock *s = e->sock;
    if (e->is_cancelled)
        return true;
    switch (e->kind) {
    case ACCEPT:
        return k.backlog;
    case RECV:
        return s->arriving.len || s->peer_ended || s->is_reset || s->is_shut_read;
    case SEND:
        return room_of(s) || s->is_reset || s->is_shut_write;
    case CONNECT:
        return e->ready_ns <= k.now_ns;
    case READ_EVENT:
        return k.is_event_there;
    default:
        return false;
    }
}

static void step_accept(struct entry *e)
{
    static const int errors[] = {EMFILE, ENFILE, ENOMEM, ECONNABORTED};
    if (e->is_cancelled && (!k.backlog || fake_chance(40000))) {
        step_done(e, -ECANCELED, 0);
        return;
    }
    if (fake_chance(k.faults.accept_fails)) {
        step_done(e, -errors[rng_below(&k.rng, 4)], 0);
        return;
    }
    struct fake_sock *s = k.backlog;
    k.backlog = s->next_in_backlog;
    fd_give(s);
    fake_trace("%d accepted as %d", s->number, s->fd - FD_FIRST);
    step_done(e, s->fd, fake_chance(k.faults.accept_ends) ? 0 : IORING_CQE_F_MORE);
}

static size_t arrival_of(struct ring *r, const struct fake_sock *s)
{
    size_t most = s->arriving.len < r->buffer_bytes ? s->arriving.len : r->buffer_bytes;
    if (fake_chance(k.faults.recv_bytewise))
        return 1;
    return fake_chance(20000) ? 1 + rng_below(&k.rng, most) : most;
}

/* A lent buffer is exactly as large as what it holds and goes when it is given back. */
static unsigned lend(struct span bytes)
{
    unsigned i = 0;
    while (k.lent[i])
        i++;
    k.lent[i] = malloc(bytes.len + !bytes.len);
    CHECK(k.lent[i]);
    if (bytes.len)
        memcpy(k.lent[i], bytes.data, bytes.len);
    k.lent_count++;
    return IORING_CQE_F_BUFFER | i << IORING_CQE_BUFFER_SHIFT;
}

static void step_recv(struct ring *r, struct entry *e)
{
    struct fake_sock *s = e->sock;
    if (e->is_cancelled && !fake_chance(2000)) { /* soon, mostly without another arrival */
        if (fake_chance(10000))
            step_done(e, -ECANCELED, 0);
    } else if (!s->is_reset && fake_chance(k.faults.recv_lost)) {
        s->is_faulted = true;
        sock_reset(s);
    } else if (s->arriving.len) {
        if (k.lent_count == r->buffers || fake_chance(k.faults.recv_no_buffers)) {
            step_done(e, -ENOBUFS, 0);
            return;
        }
        size_t n = arrival_of(r, s);
        unsigned flags = lend((struct span){s->arriving.data, n});
        if (!fake_chance(k.faults.recv_ends))
            flags |= IORING_CQE_F_MORE;
        bytes_consume(&s->arriving, (uint32_t)n);
        s->received += n;
        fake_trace("%d receives %zu", s->number, n);
        step_done(e, (int)n, flags);
    } else if (s->is_reset) {
        step_done(e, -ECONNRESET, 0);
    } else if (s->peer_ended || s->is_shut_read) {
        step_done(e, 0, fake_chance(8000) ? lend((struct span){0}) : 0);
    } else if (e->is_cancelled) {
        step_done(e, -ECANCELED, 0);
    }
}

static void step_send(struct entry *e)
{
    check_sum(e);
    if (e->is_cancelled) {
        step_done(e, e->done ? (int)e->done : -ECANCELED, 0);
        return;
    }
    int n = put_bytes(e->sock, (struct span){e->bytes.data + e->done, e->bytes.len - e->done});
    if (n == -EAGAIN)
        return;
    if (n < 0) {
        step_done(e, e->done ? (int)e->done : n, 0);
        return;
    }
    e->done += (size_t)n;
    if (e->done == e->bytes.len)
        step_done(e, (int)e->done, 0);
}

static void step_connect(struct entry *e)
{
    if (e->ready_ns > k.now_ns) {
        step_done(e, -ECANCELED, 0);
        return;
    }
    if (e->outcome == 0)
        k.connected[k.connected_count++] = e->sock;
    else
        sock_reset(e->sock);
    step_done(e, e->outcome, 0);
}

static void step(struct ring *r, struct entry *e)
{
    switch (e->kind) {
    case ACCEPT:
        step_accept(e);
        return;
    case RECV:
        step_recv(r, e);
        return;
    case SEND:
        step_send(e);
        return;
    case CONNECT:
        step_connect(e);
        return;
    case READ_EVENT:
        k.is_event_there = false;
        step_done(e, (int)read(e->fd, e->value, sizeof *e->value), 0);
        return;
    default:
        fake_fail("a %s in the kernel", kind_names[e->kind]);
    }
}

static void complete_some(struct ring *r)
{
    unsigned tries = 2 * k.live_count + (unsigned)rng_below(&k.rng, 16);
    while (tries-- && k.live_count) {
        struct entry *e = &k.live[rng_below(&k.rng, k.live_count)];
        if (may_go_on(e) && !fake_chance(k.faults.laziness))
            step(r, e);
    }
}

/* --- lent and staged memory --- */

struct span ring_lent(const struct ring *r, int res, unsigned flags)
{
    (void)r;
    CHECK(res >= 0 && flags & IORING_CQE_F_BUFFER);
    const char *data = k.lent[flags >> IORING_CQE_BUFFER_SHIFT];
    FAKE_CHECK(data, "a buffer is read that was given back");
    return (struct span){data, (size_t)res};
}

void ring_return(struct ring *r, unsigned flags)
{
    (void)r;
    unsigned i = flags >> IORING_CQE_BUFFER_SHIFT;
    FAKE_CHECK(k.lent[i], "a buffer was given back twice");
    free(k.lent[i]);
    k.lent[i] = NULL;
    k.lent_count--;
}

char *ring_stage(struct ring *r, size_t bytes)
{
    struct stage *s = &r->stage[r->filling];
    if (fake_chance(k.faults.stage_fails)) {
        k.stage_failures++;
        fake_trace("no memory to stage %zu", bytes);
        return NULL;
    }
    if (!s->current || s->current->room - s->current->used < bytes) {
        struct stage_chunk *chunk = calloc(1, sizeof *chunk);
        CHECK(chunk);
        chunk->room = bytes > RING_STAGE_BYTES ? bytes : RING_STAGE_BYTES;
        chunk->data = malloc(chunk->room);
        CHECK(chunk->data);
        chunk->next = s->first;
        s->first = s->current = chunk;
    }
    return s->current->data + s->current->used;
}

void ring_stage_take(struct ring *r, size_t used)
{
    struct stage_chunk *chunk = r->stage[r->filling].current;
    CHECK(chunk && used <= chunk->room - chunk->used);
    chunk->used += used;
}
