/* A turn costs one system call: what was queued since the last one is submitted, and completions
 * are taken from shared memory. Sends are made in the submission path itself and are silent when
 * they succeed, so that a request costs one completion, that of its arrival. */
#include "net/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "base/clock.h"

enum {
    BUFFER_GROUP = 1,
    STAGE_CHUNKS_KEPT = 16, /* 1 MiB of staging stays; what a burst took beyond it is given back */
};

/* Ops are at least 8-aligned and user addresses have 47 bits: the low bit marks a silent send, the
 * top 16 the generation. */
static const uint64_t SILENT_SEND = 1, ADDRESS_BITS = 0x0000fffffffffff8;

struct stage_chunk {
    struct stage_chunk *next;
    size_t used, room;
    char data[];
};

static bool open_uring(struct ring *r, const struct ring_config *config, struct fail *f);
static bool lend_buffers(struct ring *r, const struct ring_config *config, struct fail *f);
static void publish_returned(struct ring *r);
static void stage_flip(struct ring *r);
static void stage_free(struct stage *s);

bool ring_open(struct ring *r, const struct ring_config *config, struct fail *f)
{
    *r = (struct ring){0};
    if (!open_uring(r, config, f))
        return false;
    if (config->buffers && !lend_buffers(r, config, f)) {
        io_uring_queue_exit(&r->uring);
        return false;
    }
    return true;
}

static bool fail_uring(struct fail *f, int error)
{
    switch (error) {
    case ENOSYS:
        return fail_set(
            f, EXIT_LACKING,
            "this kernel has no io_uring, which needs Linux 6.1 or later: see `iubench doctor`");
    case EPERM:
        return fail_set(
            f, EXIT_LACKING,
            "io_uring is refused: `sysctl -w kernel.io_uring_disabled=0` allows it on a host; in a "
            "container, run it with a seccomp profile that allows io_uring (docker run "
            "--security-opt "
            "seccomp=unconfined)");
    case EINVAL:
        return fail_set(f, EXIT_LACKING,
                        "this kernel's io_uring is too old: Linux 6.1 or later is needed");
    case ENOMEM:
        return fail_set(
            f, EXIT_LACKING,
            "no memory for an io_uring: the limit of locked memory is too small (`ulimit -l "
            "unlimited`, or --ulimit memlock=-1 for a container)");
    case EMFILE:
        return fail_set(
            f, EXIT_LACKING,
            "no file descriptor is left for an io_uring: raise the limit (`ulimit -n`)");
    default:
        return fail_set(f, EXIT_LACKING, "an io_uring could not be set up: %s", strerror(error));
    }
}

static bool open_uring(struct ring *r, const struct ring_config *config, struct fail *f)
{
    struct io_uring_params params = {
        /* SINGLE_ISSUER and DEFER_TASKRUN: completions are worked out when we enter, not by
         * interrupting us. SUBMIT_ALL: one bad entry does not hold up those behind it. CQSIZE: a
         * completion queue for every live multishot. CLAMP: too large a wish is cut instead of
         * refused. */
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
        .cq_entries = config->completions,
    };
    int error = io_uring_queue_init_params(config->entries, &r->uring, &params);
    if (error < 0)
        return fail_uring(f, -error);
    /* Saves the kernel two reference counts per enter; does without where it cannot. */
    (void)io_uring_register_ring_fd(&r->uring);
    return true;
}

static bool lend_buffers(struct ring *r, const struct ring_config *config, struct fail *f)
{
    r->buffers = config->buffers;
    r->buffer_bytes = config->buffer_bytes;
    r->buf_ring = mem_pages(r->buffers * sizeof(struct io_uring_buf));
    r->buf_memory = mem_pages((size_t)r->buffers * r->buffer_bytes);
    struct io_uring_buf_reg reg = {
        .ring_addr = (uintptr_t)r->buf_ring,
        .ring_entries = r->buffers,
        .bgid = BUFFER_GROUP,
    };
    int error = io_uring_register_buf_ring(&r->uring, &reg, 0);
    if (error < 0)
        return fail_uring(f, -error);
    io_uring_buf_ring_init(r->buf_ring);
    for (unsigned i = 0; i < r->buffers; i++)
        ring_return(r, i << IORING_CQE_BUFFER_SHIFT);
    publish_returned(r);
    return true;
}

void ring_close(struct ring *r)
{
    io_uring_queue_exit(&r->uring);
    if (r->buf_ring) {
        munmap(r->buf_ring, r->buffers * sizeof(struct io_uring_buf));
        munmap(r->buf_memory, (size_t)r->buffers * r->buffer_bytes);
    }
    stage_free(&r->stage[0]);
    stage_free(&r->stage[1]);
}

/* --- a turn --- */

/* -ETIME and -EINTR are ends of a wait; -EAGAIN and -EBUSY leave entries queued for the next turn. */
static void check_entered(int result)
{
    if (result < 0 && result != -ETIME && result != -EINTR && result != -EAGAIN && result != -EBUSY)
        fail_end(EXIT_FAILED, "the kernel refuses to go on with an io_uring (io_uring_enter: %s)",
                 strerror(-result));
}

void ring_enter(struct ring *r, uint64_t wait_ns)
{
    struct io_uring_cqe *cqe;
    unsigned count = 1;
    bool was_behind = r->is_behind;
    int result;
    if (r->gather_count > 1 && wait_ns) {
        count = r->gather_count;
        wait_ns = wait_ns < r->gather_ns ? wait_ns : r->gather_ns;
    }
    r->gather_count = 0;
    if (!wait_ns) {
        result = io_uring_submit_and_get_events(&r->uring);
    } else if (wait_ns == RING_FOREVER) {
        result = io_uring_submit_and_wait(&r->uring, 1);
    } else {
        struct __kernel_timespec time = {.tv_sec = (long long)(wait_ns / NS_PER_S),
                                         .tv_nsec = (long long)(wait_ns % NS_PER_S)};
        result = io_uring_submit_and_wait_timeout(&r->uring, &cqe, count, &time, NULL);
    }
    check_entered(result);
    r->is_behind = io_uring_sq_ready(&r->uring) || io_uring_cq_has_overflow(&r->uring);
    r->turns++;
    if (!was_behind && !r->is_behind)
        stage_flip(r); /* what was staged while it was behind leaves with the turn that begins */
}

static struct op *op_of(struct ring *r, const struct io_uring_cqe *cqe)
{
    struct op *op = (struct op *)(uintptr_t)(cqe->user_data & ADDRESS_BITS);
    if (op && op->generation == (uint16_t)(cqe->user_data >> 48))
        return op;
    if (op)
        r->stale++;
    return NULL;
}

static void complete_silent_sends(struct ring *r, unsigned head, unsigned count, unsigned mask)
{
    for (unsigned i = 0; i < count; i++) {
        struct io_uring_cqe *cqe = &r->uring.cq.cqes[(head + i) & mask];
        if (!(cqe->user_data & SILENT_SEND))
            continue;
        struct op *op = op_of(r, cqe);
        if (op)
            op->done(op, cqe->res, 0);
    }
}

static void complete_others(struct ring *r, unsigned head, unsigned count, unsigned mask)
{
    for (unsigned i = 0; i < count; i++) {
        struct io_uring_cqe *cqe = &r->uring.cq.cqes[(head + i) & mask];
        if (cqe->user_data & SILENT_SEND)
            continue;
        struct op *op = op_of(r, cqe);
        if (!op)
            continue;
        if (!(cqe->flags & IORING_CQE_F_MORE)) {
            op->in_kernel = false;
            r->ops_in_kernel--;
        }
        op->done(op, cqe->res, cqe->flags);
    }
}

void ring_complete(struct ring *r)
{
    unsigned head = *r->uring.cq.khead;
    unsigned mask = *r->uring.cq.kring_mask;
    unsigned count = io_uring_cq_ready(&r->uring);

    complete_silent_sends(r, head, count, mask);
    complete_others(r, head, count, mask);
    io_uring_cq_advance(&r->uring, count);
    publish_returned(r);
    r->completions += count;
    r->overflows += io_uring_cq_has_overflow(&r->uring);
}

/* --- operations --- */

static struct io_uring_sqe *next_sqe(struct ring *r)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);
    /* Full: submit early. With the completion queue full as well (-EBUSY), the kernel moves what it
     * holds back as soon as there is room, which this turn makes; until then there is nothing to do
     * but ask again. */
    while (!sqe) {
        check_entered(io_uring_submit(&r->uring));
        sqe = io_uring_get_sqe(&r->uring);
    }
    return sqe;
}

static uint64_t identity(const struct op *op)
{
    return (uint64_t)op->generation << 48 | (uintptr_t)op;
}

static void enter_kernel(struct ring *r, struct op *op, struct io_uring_sqe *sqe)
{
    CHECK(!op->in_kernel);
    op->in_kernel = true;
    r->ops_in_kernel++;
    sqe->user_data = identity(op);
}

void ring_accept(struct ring *r, struct op *op, int listener)
{
    struct io_uring_sqe *sqe = next_sqe(r);
    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    enter_kernel(r, op, sqe);
}

void ring_recv(struct ring *r, struct op *op, int fd)
{
    struct io_uring_sqe *sqe = next_sqe(r);
    io_uring_prep_recv(sqe, fd, NULL, 0, 0);
    sqe->ioprio |= IORING_RECV_MULTISHOT;
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
    enter_kernel(r, op, sqe);
}

struct span ring_lent(const struct ring *r, int res, unsigned flags)
{
    CHECK(res >= 0 && flags & IORING_CQE_F_BUFFER);
    size_t index = flags >> IORING_CQE_BUFFER_SHIFT;
    return (struct span){r->buf_memory + index * r->buffer_bytes, (size_t)res};
}

void ring_return(struct ring *r, unsigned flags)
{
    unsigned index = flags >> IORING_CQE_BUFFER_SHIFT;
    io_uring_buf_ring_add(r->buf_ring, r->buf_memory + (size_t)index * r->buffer_bytes,
                          r->buffer_bytes, (unsigned short)index,
                          io_uring_buf_ring_mask(r->buffers), (int)r->returned++);
}

static void publish_returned(struct ring *r)
{
    if (r->returned)
        io_uring_buf_ring_advance(r->buf_ring, (int)r->returned);
    r->returned = 0;
}

void ring_send_now(struct ring *r, struct op *op, int fd, struct span bytes)
{
    struct io_uring_sqe *sqe = next_sqe(r);
    io_uring_prep_send(sqe, fd, bytes.data, bytes.len, MSG_NOSIGNAL | MSG_WAITALL | MSG_DONTWAIT);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = identity(op) | SILENT_SEND;
}

void ring_send(struct ring *r, struct op *op, int fd, struct span bytes)
{
    struct io_uring_sqe *sqe = next_sqe(r);
    io_uring_prep_send(sqe, fd, bytes.data, bytes.len, MSG_NOSIGNAL | MSG_WAITALL);
    enter_kernel(r, op, sqe);
}

void ring_connect(struct ring *r, struct op *op, int fd, const struct sockaddr *addr, socklen_t len)
{
    struct io_uring_sqe *sqe = next_sqe(r);
    io_uring_prep_connect(sqe, fd, addr, len);
    enter_kernel(r, op, sqe);
}

void ring_poll(struct ring *r, struct op *op, int fd, unsigned events)
{
    struct io_uring_sqe *sqe = next_sqe(r);
    io_uring_prep_poll_add(sqe, fd, events);
    enter_kernel(r, op, sqe);
}

void ring_read_event(struct ring *r, struct op *op, int fd, uint64_t *value)
{
    struct io_uring_sqe *sqe = next_sqe(r);
    io_uring_prep_read(sqe, fd, value, sizeof *value, 0);
    enter_kernel(r, op, sqe);
}

void ring_cancel(struct ring *r, struct op *victim)
{
    if (!victim->in_kernel)
        return;
    struct io_uring_sqe *sqe = next_sqe(r);
    io_uring_prep_cancel64(sqe, identity(victim), 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = 0;
}

void ring_close_fd(struct ring *r, int fd)
{
    struct io_uring_sqe *sqe = next_sqe(r);
    io_uring_prep_close(sqe, fd);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = 0;
}

/* --- staging --- */

/* What was staged before the last enter is kept for one more turn, in which its failures are told.
 */
static void stage_flip(struct ring *r)
{
    r->filling ^= 1;
    struct stage *s = &r->stage[r->filling];
    unsigned kept = 0;
    for (struct stage_chunk **at = &s->first; *at;) {
        struct stage_chunk *chunk = *at;
        if (chunk->room > RING_STAGE_BYTES || kept == STAGE_CHUNKS_KEPT) {
            *at = chunk->next;
            free(chunk);
        } else {
            chunk->used = 0;
            kept++;
            at = &chunk->next;
        }
    }
    s->current = s->first;
}

char *ring_stage(struct ring *r, size_t bytes)
{
    struct stage *s = &r->stage[r->filling];
    struct stage_chunk **at = s->current ? &s->current : &s->first;
    while (*at && (*at)->room - (*at)->used < bytes)
        at = &(*at)->next;
    if (!*at) {
        size_t room = bytes > RING_STAGE_BYTES ? bytes : RING_STAGE_BYTES;
        struct stage_chunk *chunk = malloc(sizeof *chunk + room);
        if (!chunk)
            return NULL;
        *chunk = (struct stage_chunk){.room = room};
        *at = chunk;
    }
    s->current = *at;
    return s->current->data + s->current->used;
}

void ring_stage_take(struct ring *r, size_t used)
{
    struct stage_chunk *chunk = r->stage[r->filling].current;
    CHECK(chunk && used <= chunk->room - chunk->used);
    chunk->used += used;
}

static void stage_free(struct stage *s)
{
    while (s->first) {
        struct stage_chunk *chunk = s->first;
        s->first = chunk->next;
        free(chunk);
    }
}
