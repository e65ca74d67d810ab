/* What the bare server and the bare client share: a ring with provided receive buffers. Both are
 * measures, not programs to use: whatever cannot happen between them on a loopback ends them. */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define BARE_BUFFERS      256
#define BARE_BUFFER_BYTES 4096
#define BARE_GROUP        7

struct bare {
    struct io_uring ring;
    struct io_uring_buf_ring *published;
    char (*buffers)[BARE_BUFFER_BYTES];
    unsigned returned; /* buffers to be published when the turn ends */
};

static inline void bare_die(const char *what)
{
    perror(what);
    exit(1);
}

/* Reads the whole of `text` as a number of at most `max`. */
static inline unsigned long bare_number(const char *text, unsigned long max)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || number > max) {
        fprintf(stderr, "'%s' is not a number up to %lu\n", text, max);
        exit(2);
    }
    return number;
}

static inline double bare_now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline void bare_give_back(struct bare *b, unsigned buffer)
{
    io_uring_buf_ring_add(b->published, b->buffers[buffer], BARE_BUFFER_BYTES,
                          (unsigned short)buffer, io_uring_buf_ring_mask(BARE_BUFFERS),
                          (int)b->returned++);
}

static inline void bare_publish(struct bare *b)
{
    io_uring_buf_ring_advance(b->published, (int)b->returned);
    b->returned = 0;
}

static inline void bare_open(struct bare *b)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = 16384,
    };
    int error = io_uring_queue_init_params(4096, &b->ring, &params);
    if (error || io_uring_register_ring_fd(&b->ring) != 1) {
        fprintf(stderr, "no io_uring: error %d\n", -error);
        exit(4);
    }
    size_t published_bytes = BARE_BUFFERS * sizeof(struct io_uring_buf);
    b->published = aligned_alloc(4096, published_bytes);
    b->buffers = aligned_alloc(4096, sizeof *b->buffers * BARE_BUFFERS);
    struct io_uring_buf_reg registration = {
        .ring_addr = (unsigned long)b->published,
        .ring_entries = BARE_BUFFERS,
        .bgid = BARE_GROUP,
    };
    if (!b->published || !b->buffers || io_uring_register_buf_ring(&b->ring, &registration, 0))
        bare_die("provided buffers");
    io_uring_buf_ring_init(b->published);
    for (unsigned i = 0; i < BARE_BUFFERS; i++)
        bare_give_back(b, i);
    bare_publish(b);
}

static inline struct io_uring_sqe *bare_entry(struct bare *b)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&b->ring);
    if (sqe)
        return sqe;
    io_uring_submit(&b->ring);
    return io_uring_get_sqe(&b->ring);
}

/* A completion per arrival, each with a buffer of the group. */
static inline void bare_receive(struct bare *b, int fd, unsigned long user_data)
{
    struct io_uring_sqe *sqe = bare_entry(b);
    io_uring_prep_recv(sqe, fd, NULL, 0, 0);
    sqe->ioprio |= IORING_RECV_MULTISHOT;
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BARE_GROUP;
    sqe->user_data = user_data;
}

/* All of it or an error; success completes silently. */
static inline void bare_send(struct bare *b, int fd, const char *bytes, size_t len)
{
    struct io_uring_sqe *sqe = bare_entry(b);
    io_uring_prep_send(sqe, fd, bytes, len, MSG_NOSIGNAL | MSG_WAITALL);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = 0;
}

#endif
