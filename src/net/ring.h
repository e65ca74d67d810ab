/* The only module that calls io_uring. One ring per thread, used by that thread alone
 * (SINGLE_ISSUER, DEFER_TASKRUN).
 *
 * An operation is a `struct op` inside its owner. Its address and generation travel through the
 * kernel as user_data, so a completion finds its owner without a look-up, and never a stranger: an
 * owner is not reused before the last completion of its operations, and a completion of an older
 * generation is counted and dropped. A file descriptor is never an identity.
 *
 * Kernel 6.1 is the floor. See io_uring_enter(2), io_uring_setup(2), io_uring_prep_recv(3). */
#ifndef NET_RING_H
#define NET_RING_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/fail.h"
#include "base/span.h"

struct op;

/* Called once per completion, from ring_complete() only. `res` is the result or -errno; `flags` are
 * for ring_more() and the ring_lent() calls. */
typedef void op_done_f(struct op *op, int res, unsigned flags);

struct op {
    op_done_f *done;
    uint16_t generation;
    bool in_kernel; /* at least one more completion will come; the owner must stay where it is */
};

/* Makes an op ready for use in a fresh or reused owner: completions of its earlier life no longer
 * reach it. */
static inline void op_init(struct op *op, op_done_f *done)
{
    CHECK(!op->in_kernel);
    op->done = done;
    op->generation++;
}

struct ring_config {
    unsigned entries; /* submissions of one turn before an extra enter is needed; a power of two */
    unsigned
        completions;  /* a power of two, at least the number of live multishot operations is best */
    unsigned buffers; /* provided receive buffers; a power of two, at most 32768 */
    unsigned buffer_bytes;
};

struct stage_chunk;

struct ring {
    struct io_uring uring;
    struct io_uring_buf_ring *buf_ring;
    char *buf_memory;
    unsigned buffers, buffer_bytes;
    unsigned returned; /* buffers to publish to the kernel at the end of the turn */
    struct stage {
        struct stage_chunk *first, *current;
    } stage[2]; /* the one being filled and the one whose sends are being confirmed */
    unsigned filling;
    unsigned gather_count; /* see ring_gather() */
    uint64_t gather_ns;
    bool is_behind; /* the last ring_enter() left entries or completions with the kernel: what was
                       queued is not certain yet, and nothing more may be sent */
    uint64_t ops_in_kernel;
    uint64_t turns, completions, stale, overflows; /* counters, for reports */
};

/* Creates the ring on the thread that will use it. On failure `f` says why (sysctl, seccomp,
 * memlock, kernel version) and what mends it, with EXIT_LACKING. */
bool ring_open(struct ring *r, const struct ring_config *config, struct fail *f) MUST_USE;
void ring_close(struct ring *r);

/* One turn is ring_enter(), then ring_complete(). ring_enter() submits what was queued and waits
 * until a completion is there or `wait_ns` is over (0: does not wait; RING_FOREVER). */
#define RING_FOREVER UINT64_MAX
void ring_enter(struct ring *r, uint64_t wait_ns);

/* The next ring_enter(), if it waits at all, waits for `count` completions, or `ns`, instead of for
 * the first. For an owner that knows that much is under way: what a turn costs is shared by more,
 * for at most `ns` of delay. After that it is as ever; whoever wants it says so every turn. */
static inline void ring_gather(struct ring *r, unsigned count, uint64_t ns)
{
    r->gather_count = count;
    r->gather_ns = ns;
}

/* Calls the `done` of every completion that is there: those of ring_send_now() first, so that
 * nobody acts on an answer to bytes that did not leave; the others in the order in which the kernel
 * posted them. Never recursive. */
void ring_complete(struct ring *r);

/* --- operations: each needs op->in_kernel false and sets it, except where said --- */

/* Multishot: a completion per connection, with its descriptor in `res`. */
void ring_accept(struct ring *r, struct op *op, int listener);

/* Multishot: a completion per arrival. With res > 0 a buffer is lent: read it with ring_lent(),
 * give it back with ring_return() before `done` returns. -ENOBUFS ends it without loss: arm again.
 * 0 is the peer's end of stream. */
void ring_recv(struct ring *r, struct op *op, int fd);
struct span ring_lent(const struct ring *r, int res, unsigned flags);
void ring_return(struct ring *r, unsigned flags);

/* True if the completion was not the last of a multishot operation. */
static inline bool ring_more(unsigned flags)
{
    return flags & IORING_CQE_F_MORE;
}

/* Sends without waiting, in the kernel's submission path. Success posts no completion and is
 * certain once the following ring_enter() has returned and the ring is not behind; only failure calls `done`:
 * res is the number of bytes that did fit (short), or -EAGAIN if none did, or another error. Does
 * not set op->in_kernel, and the op must not be used for another send until the turn after. `bytes`
 * must stay until then: use ring_stage(), or memory that never changes. (MSG_DONTWAIT makes the
 * kernel fail rather than park; MSG_WAITALL makes a short send a failure; the flag
 * IOSQE_CQE_SKIP_SUCCESS drops only the completions of full sends.) */
void ring_send_now(struct ring *r, struct op *op, int fd, struct span bytes);

/* Sends all of `bytes`, parked by the kernel as long as the peer does not read; one completion. The
 * bytes belong to the kernel until then. */
void ring_send(struct ring *r, struct op *op, int fd, struct span bytes);

/* Connects; one completion, res 0 or the error. `addr` must stay until the next ring_enter(). */
void ring_connect(struct ring *r, struct op *op, int fd, const struct sockaddr *addr,
                  socklen_t len);

/* One-shot poll for events of poll(2). */
void ring_poll(struct ring *r, struct op *op, int fd, unsigned events);

/* Reads 8 bytes of an eventfd(2) into *value. */
void ring_read_event(struct ring *r, struct op *op, int fd, uint64_t *value);

/* Asks the kernel to end `victim`, which then completes with -ECANCELED (or had completed already).
 * No completion of its own. */
void ring_cancel(struct ring *r, struct op *victim);

/* Closes the descriptor, after what was queued before it. No completion; no operation may be in the
 * kernel for it. */
void ring_close_fd(struct ring *r, int fd);

/* Room for `bytes` that stays put until the sends queued in this turn are confirmed; NULL if memory
 * is out. Successive calls are contiguous as long as they fit the same chunk of RING_STAGE_BYTES.
 * ring_stage_take() keeps the first `used` bytes of the room last given. */
#define RING_STAGE_BYTES (64 * 1024)
char *ring_stage(struct ring *r, size_t bytes);
void ring_stage_take(struct ring *r, size_t used);

#endif
