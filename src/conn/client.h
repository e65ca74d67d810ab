/* The client side of HTTP/1.1 on one loop: connect, send, receive, parse, done, again or close. The
 * load generator's users and the target's proxy are its owners; each owner embeds a struct client
 * and is told what happened by its events. Everything runs on the loop's thread. */
#ifndef CONN_CLIENT_H
#define CONN_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/span.h"
#include "http/http.h"
#include "net/loop.h"
#include "net/sock.h"

struct client;

/* Why a request or connection ended badly. */
enum client_error {
    CLIENT_OK,
    CLIENT_CONNECT,      /* refused, unreachable, no descriptor or port */
    CLIENT_RESET,        /* reset, or closed before the response was complete */
    CLIENT_BAD_RESPONSE, /* what came is not the HTTP that was due */
    CLIENT_TIMEOUT,      /* the request's deadline passed */
};

/* All are called from the loop's turn, never from within client_open(), client_send() or
 * client_close(). An event may call client_send() and client_close() (and, in `closed`,
 * client_open()). */
struct client_events {
    /* The connection stands; client_send() may be called. */
    void (*opened)(struct client *c);

    /* The head of the response is complete; optional. `base` is what the parts of `head` are
     * offsets into. */
    void (*head)(struct client *c, const struct http_head *head, const char *base);

    /* A piece of the body, valid during the call; optional. */
    void (*body)(struct client *c, struct span bytes);

    /* The oldest request in flight is answered: status, payload bytes. The next may be sent if
     * client_is_usable(). */
    void (*answered)(struct client *c, unsigned status, uint64_t body_bytes);

    /* The connection is closed and the struct is idle again; each request still in flight is lost
     * to `error` (CLIENT_OK: none was, it was client_close() or the peer's orderly end between
     * requests). `error_code` is an errno or 0. */
    void (*closed)(struct client *c, enum client_error error, int error_code);
};

enum client_state { CLIENT_IDLE, CLIENT_CONNECTING, CLIENT_OPEN, CLIENT_CLOSING };

struct client {
    /* set by client_init() */
    struct loop *loop;
    const struct client_events *events;

    /* readable by the owner */
    enum client_state state;
    uint32_t in_flight;      /* requests sent and not answered */
    uint64_t received_bytes; /* over the struct's whole life */

    /* private to client.c */
    int fd;
    bool is_ending; /* the peer said close, or sent its end of stream */
    bool is_receiving_body;
    bool is_send_parked;
    bool is_paused;
    struct op recv, send, connect;
    struct timer timer;
    struct http_head head;
    struct http_body body;
    enum http_method method;
    enum client_error error;
    int error_code;
    struct bytes input; /* an incomplete head; empty mostly */
    struct bytes unsent,
        held; /* what a full socket did not take: the kernel's, and what waits behind it */
    uint64_t sent_turn;  /* the turn that submits the last send */
    uint32_t sent_count; /* requests of that send */
    struct span sent;    /* that send */
    struct task later;
};

/* Makes the struct idle, ready for client_open(); `events` must outlive it. */
void client_init(struct client *c, struct loop *loop, const struct client_events *events);

/* Starts connecting; `opened` or `closed` follows. The deadline (clock_ns(), TIMER_NEVER: none)
 * holds until it is moved by client_deadline(). State must be CLIENT_IDLE. */
void client_open(struct client *c, const struct address *to, uint64_t deadline_ns);

/* What waits for a full socket at most; a request beyond that ends its connection with CLIENT_RESET. */
#define CLIENT_UNSENT_BYTES_MAX (64 << 20)

/* Sends one or several (`count`) complete requests of one method, answers come in order. `bytes`
 * must stay unchanged until the turn after the next (memory that never changes, or ring_stage() of
 * the loop's ring); what the socket does not take at once is copied. State must be CLIENT_OPEN and
 * at most one call may be made per turn and connection; while the ring is behind none, but when
 * nothing is in flight. */
void client_send(struct client *c, enum http_method method, struct span bytes, uint32_t count);

/* Stops reading, and goes on. What the kernel had lent already still comes as events; a peer that
 * sends on is held up by its socket. */
void client_pause(struct client *c);
void client_resume(struct client *c);

/* Moves the deadline of what is in flight: past it the connection is closed with CLIENT_TIMEOUT.
 * O(1) when it moves later. */
void client_deadline(struct client *c, uint64_t deadline_ns);

/* Whether another request may be sent on this connection. */
static inline bool client_is_usable(const struct client *c)
{
    return c->state == CLIENT_OPEN && !c->is_ending;
}

/* Closes; `closed` follows with `error`. Nothing happens when idle or closing. */
void client_close(struct client *c, enum client_error error);

#endif
