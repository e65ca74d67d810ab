/* HTTP/1.1 on a blocking socket, byte by byte as the caller writes it: for the few questions that
 * are asked before and after a measurement (is it up, what is it, does it keep the contract). Never
 * on a loop. */
#ifndef CONN_EXCHANGE_H
#define CONN_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/span.h"
#include "http/http.h"
#include "net/sock.h"

enum exchange_end {
    EXCHANGE_REPLIED,
    EXCHANGE_REFUSED,    /* no connection */
    EXCHANGE_CLOSED,     /* closed or reset before a reply had begun */
    EXCHANGE_INCOMPLETE, /* ... in the middle of one */
    EXCHANGE_NOT_HTTP,   /* what came is not the HTTP/1.1 that was due */
    EXCHANGE_LATE,       /* the deadline passed */
};

/* Zeroed, then `deadline_ns` (clock_ns()) set; may be moved between calls. */
struct exchange {
    uint64_t deadline_ns;
    int fd;             /* private, as is all that follows; 0: not open */
    struct bytes input; /* received and not yet taken as a reply */
    uint32_t taken;     /* of it, by the reply that was given last */
};

/* A reply, valid until the next call. */
struct exchange_reply {
    struct http_head head;
    struct span text; /* the head as it came */
    struct span body; /* the payload */
};

enum exchange_end exchange_open(struct exchange *x, const struct address *to) MUST_USE;

/* All of `bytes`, which may be half a request or several. */
enum exchange_end exchange_send(struct exchange *x, struct span bytes) MUST_USE;

/* The next final reply; `method` is that of its request. Interim ones (1xx) are passed over. */
enum exchange_end exchange_read(struct exchange *x, enum http_method method,
                                struct exchange_reply *reply) MUST_USE;

/* Whether the peer closes the connection now, sending nothing more. */
bool exchange_is_closed(struct exchange *x);

void exchange_close(struct exchange *x);

/* "refused the connection" and the like: what the peer did. */
const char *exchange_end_text(enum exchange_end end);

/* The value of a header field; false if there is none. */
bool exchange_field(const struct exchange_reply *reply, const char *name, struct span *value);

#endif
