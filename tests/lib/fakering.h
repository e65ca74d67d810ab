/* A kernel that exists only in the test: net/ring.h's functions, sockets with a peer that the test
 * plays, and a clock that jumps. Everything that a real kernel may do in any order it does in an
 * order that a seed decides, so that a seed replays a run exactly. One such kernel per process.
 *
 * It is linked in place of net/ring.o; close(2), shutdown(2), sock_open(), sock_forget(), the clocks and
 * log_line() are wrapped by the linker (see the Makefile). What the contract of net/ring.h forbids
 * its users fails the test: a close with operations in the kernel, a send whose bytes change, an
 * owner reused while the kernel has an operation of it, staged or lent memory touched too late (it
 * is freed: build with the address sanitizer to see that). */
#ifndef TESTS_LIB_FAKERING_H
#define TESTS_LIB_FAKERING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/rng.h"
#include "base/span.h"

/* What may go wrong, each as a chance in 65536 per occasion. */
struct fake_faults {
    unsigned recv_no_buffers; /* -ENOBUFS */
    unsigned recv_ends;       /* data, but the multishot is over */
    unsigned recv_bytewise;   /* one byte arrives */
    unsigned recv_lost;       /* the connection is reset out of the blue */
    unsigned send_short;      /* the socket takes a part, or nothing, although it has room */
    unsigned send_lost;       /* the connection is reset when it is sent on */
    unsigned accept_fails;    /* -EMFILE, -ENOMEM, -ECONNABORTED */
    unsigned accept_ends;     /* a connection, but the multishot is over */
    unsigned connect_fails;   /* -ECONNREFUSED, -ETIMEDOUT and others */
    unsigned connect_hangs;   /* never ends unless cancelled */
    unsigned open_fails;      /* sock_open() finds no descriptor */
    unsigned stage_fails;     /* ring_stage() finds no memory */
    unsigned laziness;        /* an operation that could go on waits for another turn */
    unsigned falls_behind;    /* a turn leaves submissions for the next */
    unsigned socket_bytes;    /* what a socket holds before the peer reads */
};

/* One connection: our end, which the code under test has by its descriptor, and the peer's, which
 * the test plays. Stays until fake_finish(). */
struct fake_sock {
    int number; /* in the order of their making */
    int fd;     /* -1 before it is accepted and after it was closed */
    bool is_listener;

    struct bytes arriving; /* peer to us, not yet received */
    uint64_t received;     /* bytes that were delivered to us */
    bool peer_ended;       /* its end of stream stands behind `arriving` */
    bool peer_gone;        /* it reads no more: what is sent to it resets */

    struct bytes leaving; /* us to the peer, not yet read by it */
    uint64_t sent;        /* bytes that were ever put there */
    bool is_shut_write, is_shut_read;
    bool is_forgotten; /* closing it resets */
    bool is_closed;    /* by us */
    bool is_reset;     /* by whomever: every operation fails from now on */
    bool is_faulted;   /* a fault of fake_faults ended or will end it */

    unsigned queued, in_kernel; /* operations */
    struct fake_sock *next_in_backlog;
    void *owner; /* the test's */
};

/* Begins a run: time, descriptors and sockets start anew. `trace`: print what happens. */
void fake_start(uint64_t seed, const struct fake_faults *faults, bool trace);
/* Ends it: no descriptor may be open. */
void fake_finish(void);

/* Fails the test with the seed and the sentence; does not return. */
void fake_fail(const char *format, ...) PRINTF_LIKE(1, 2) __attribute__((noreturn));
#define FAKE_CHECK(cond, ...) ((cond) ? (void)0 : fake_fail(__VA_ARGS__))
void fake_trace(const char *format, ...) PRINTF_LIKE(1, 2);

uint64_t fake_now(void);
struct rng *fake_rng(void);
/* True with `chance` in 65536. */
bool fake_chance(unsigned chance);
/* Waiting ends by then, so that the test can act; UINT64_MAX: nothing is planned. */
void fake_wake_at(uint64_t ns);
/* Operations that the kernel has, without the loop's own. */
unsigned fake_in_kernel(void);
uint64_t fake_stage_failures(void);

/* A listening socket, and a connection to it. */
struct fake_sock *fake_listen(void);
struct fake_sock *fake_dial(struct fake_sock *listener);
/* The next socket that the code under test has connected, NULL if none is new. */
struct fake_sock *fake_take_connected(void);

/* What the peer does. */
void fake_peer_write(struct fake_sock *s, struct span bytes);
void fake_peer_end(struct fake_sock *s);
void fake_peer_close(struct fake_sock *s);
void fake_peer_reset(struct fake_sock *s);
/* Appends up to `max` bytes to `into`; returns how many. */
size_t fake_peer_read(struct fake_sock *s, struct bytes *into, size_t max);
/* Everything was read, and our end of stream or a reset is behind it. */
bool fake_peer_at_end(const struct fake_sock *s);

#endif
