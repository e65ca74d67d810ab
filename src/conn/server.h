/* The server side of HTTP/1.1 connections on one loop: accept, receive, parse, dispatch, reply,
 * next or close. It knows bytes, deadlines and limits; what a request means is its owner's business
 * (one handler). Everything runs on the loop's thread; several threads share an address by a server
 * each (SO_REUSEPORT).
 *
 * Requests of a connection are handled one after the other: the next one is parsed when the reply
 * to the one before has been given. Replies of one turn to one connection leave in one send. */
#ifndef CONN_SERVER_H
#define CONN_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/span.h"
#include "base/text.h"
#include "conn/share.h"
#include "http/http.h"
#include "net/loop.h"

struct server;
struct server_conn;

/* What the handler is given. The spans are valid until it returns; what it needs for a later reply
 * it must copy. */
struct server_request {
    struct server_conn *conn;
    enum http_method method;
    struct span path, query;
    struct span body;
    struct span content_type;
    unsigned unmet_status; /* of a precondition that does not hold where something is and has no
                              validator: 304 or 412; 0: all do. RFC 9110 section 13.2 */
};

/* Called once per request whose head and body are complete. It must see to it that server_reply()
 * is called exactly once, now or later. */
typedef void server_handler_f(void *arg, const struct server_request *request);

struct server_reply {
    unsigned status;
    struct span type;   /* Content-Type; empty: none */
    struct span fields; /* further fields, each with its CRLF: "Allow: GET, HEAD\r\n" */
    struct span body;
};

/* Gives the reply to the request that `conn` is waiting for, at once or later; the spans are
 * copied. If the client has gone meanwhile, nothing is sent and the connection's slot is released:
 * the call is due all the same. A HEAD request gets the fields without the body. May be called from
 * within the handler. */
void server_reply(struct server_conn *conn, const struct server_reply *reply);

/* A reply in pieces, in place of server_reply(): begin, any number of writes, end. The body of `head`
 * is the first piece; `length` is the whole body's, or unknown (then it is chunked, or for HTTP/1.0
 * ends with the connection). Pieces are copied. A write that returns false was taken, but is the last
 * that is wanted until `writable` is called, from a later turn. If the client goes away, pieces are
 * dropped; the end is due all the same. With `is_whole` false the connection is closed so that what
 * arrived is seen to be cut short. */
#define SERVER_LENGTH_UNKNOWN UINT64_MAX
bool server_stream_begin(struct server_conn *conn, const struct server_reply *head, uint64_t length,
                         void (*writable)(void *arg), void *arg);
bool server_stream_write(struct server_conn *conn, struct span bytes);
void server_stream_end(struct server_conn *conn, bool is_whole);

/* JSON `{"error": "text"}` with the status; `text` must need no escaping. `fields` as in struct
 * server_reply. */
void server_reply_error(struct server_conn *conn, unsigned status, struct span fields,
                        const char *text);

/* 200 with a text that was built with `may_fail` and is freed here; 503 if memory ran out over it. */
void server_reply_text(struct server_conn *conn, struct span type, struct span fields,
                       struct text *body);

/* Asks to be told, once, if the client goes away before the reply. The reply is still due, and may be
 * given from within `abandoned`. NULL takes it back. */
void server_on_abandon(struct server_conn *conn, void (*abandoned)(void *arg), void *arg);

/* The loop that the connection lives on. */
struct loop *server_loop_of(const struct server_conn *conn);

/* Every bound, with its default. A bound that is reached is answered where HTTP has a status for
 * it, and counted. */
struct server_limits {
    struct http_limits head;
    uint64_t body_bytes;              /* 413 */
    uint32_t connections;             /* per server; one more is accepted and closed at once */
    uint32_t requests_per_connection; /* 0: any number; the last one is answered with Connection:
                                         close */
    uint64_t head_ns;                 /* first byte of a head to its end: 408 and close */
    uint64_t body_ns;                 /* between arrivals of a body: 408 and close */
    uint64_t idle_ns;                 /* between requests: close */
    uint64_t write_ns;                /* a client that does not read: reset */
    uint64_t drain_ns;                /* after server_stop(): what is not done by then is cut */
};
/* An initialiser. */
#define SERVER_LIMITS_DEFAULT                                                         \
    {                                                                                 \
        .head = HTTP_LIMITS_DEFAULT, .body_bytes = 1 << 20, .connections = 65536,     \
        .head_ns = 10 * NS_PER_S, .body_ns = 10 * NS_PER_S, .idle_ns = 75 * NS_PER_S, \
        .write_ns = 30 * NS_PER_S, .drain_ns = 10 * NS_PER_S,                         \
    }

/* One row per counter: name, help. accepted = open + closed; requests = replies + waiting. */
#define SERVER_COUNTERS(X)                                                      \
    X(accepted, "connections accepted")                                         \
    X(closed, "connections closed")                                             \
    X(requests, "requests parsed and handed to an endpoint or refused")         \
    X(replies, "replies given")                                                 \
    X(replies_2xx, "replies with a 2xx status")                                 \
    X(replies_4xx, "replies with a 4xx status")                                 \
    X(replies_5xx, "replies with a 5xx status")                                 \
    X(bad_requests, "requests refused by the parser or for their size")         \
    X(over_target, "requests refused: target too long")                         \
    X(over_head, "requests refused: head section or its fields too many")       \
    X(over_body, "requests refused: body too large")                            \
    X(abandoned, "requests whose client went away before the reply")            \
    X(timed_out_head, "connections closed: head deadline")                      \
    X(timed_out_body, "connections closed: body deadline")                      \
    X(timed_out_idle, "connections closed: idle deadline")                      \
    X(timed_out_write, "connections closed: write deadline")                    \
    X(over_connections, "connections refused: too many")                        \
    X(over_requests, "connections closed: as many requests as one may make")    \
    X(accept_failures, "accepts that failed, descriptors exhausted among them") \
    X(resets, "connections lost to a reset or another socket error")            \
    X(received_bytes, "bytes received")                                         \
    X(sent_bytes, "bytes sent")

/* Written by the loop's thread only; any thread may read (each field is read and written as one
 * relaxed atomic). */
struct server_counters {
#define X(name, help) uint64_t name;
    SERVER_COUNTERS(X)
#undef X
};

struct server_config {
    int listener;                       /* taken: closed by server_stop() */
    const struct server_limits *limits; /* borrowed for the server's life */
    server_handler_f *handler;
    void *arg;
    struct share *share;      /* with the servers of the same address; NULL: none */
    const char *server_field; /* value of the Server field; NULL: none is sent */
};

/* On the loop's thread. NULL with `f` filled if memory is out. */
struct server *server_start(struct loop *loop, const struct server_config *config,
                            struct fail *f) MUST_USE;

/* Stops accepting, closes idle connections, lets requests that have begun finish (Connection:
 * close) until drain_ns, then calls `stopped` (once, from a later turn of the loop). */
void server_stop(struct server *s, void (*stopped)(void *arg), void *arg);

/* Frees what is left; after `stopped`. */
void server_free(struct server *s);

/* What happened so far, and what is open now. Any thread; each number is exact, the numbers
 * together are not of one moment. */
const struct server_counters *server_counters(const struct server *s);
uint32_t server_open_connections(const struct server *s);
uint32_t server_waiting(const struct server *s); /* requests whose reply is still due */

#endif
