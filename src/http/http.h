/* HTTP/1.1 messages (RFC 9110, RFC 9112): bytes in, facts out. Pure: no I/O, no allocation, no
 * clock. One parser for both sides: a server reads requests with it, a client responses.
 *
 * The parser is strict: what RFC 9112 lets a recipient refuse is refused (bare LF or CR, obs-fold,
 * whitespace before the colon, both Transfer-Encoding and Content-Length, differing or malformed
 * lengths, ...), because leniency between two parsers is how requests are smuggled. It is
 * incremental: called again with more bytes it goes on where it stopped, so feeding a head byte by
 * byte costs the same as feeding it whole. */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "base/span.h"

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_PATCH,
    HTTP_CONNECT,
    HTTP_TRACE,
    HTTP_OTHER, /* a valid token that is none of them: 501 (RFC 9110 section 15.6.2) */
};
const char *http_method_name(enum http_method m); /* "GET"; HTTP_OTHER gives "?" */
/* By its exact name. False, and *m is HTTP_OTHER, for one that is none of them. */
bool http_method_from(struct span name, enum http_method *m);

/* Bounds on a head. What is over them is refused with the status in brackets. */
struct http_limits {
    uint32_t line_bytes; /* request line or status line without CRLF [414 if the target is what is
                            long] */
    uint32_t head_bytes; /* the whole head including the line and the empty line [431] */
    uint32_t fields;     /* [431] */
};
/* An initialiser. */
#define HTTP_LIMITS_DEFAULT                                           \
    {                                                                 \
        .line_bytes = 8192, .head_bytes = 8192 + 16384, .fields = 100 \
    }

/* Bytes within a head, as offsets, because the buffer that holds the head may move while it is
 * still incomplete. */
struct http_part {
    uint32_t at, len;
};
static inline struct span http_part_span(struct http_part p, const char *head)
{
    return (struct span){head + p.at, p.len};
}

/* What is known about a message once its head is complete. Zero it before the first call. */
struct http_head {
    uint32_t line,
        scanned;     /* private: start of the line being read, bytes already searched for its end */
    uint16_t fields; /* fields seen so far */
    bool has_start_line; /* private */
    uint8_t minor;       /* the version is HTTP/1.minor (0 or 1; a higher minor is treated as 1) */

    enum http_method method; /* requests */
    struct http_part target; /* requests: as sent */
    struct http_part path;   /* requests: absolute path of the target, without query; of an
                                absolute-form target too; empty for "*" and for CONNECT */
    struct http_part query;  /* requests: after '?', may be empty */
    struct http_part
        host; /* requests: the Host field's value, or the authority of an absolute-form target */
    uint16_t status; /* responses: 100 to 999; RFC 9110 section 15 has those from 600 on be taken
                        for 5xx */

    uint64_t content_length; /* valid when has_length */
    bool has_length, has_chunked, has_host, has_transfer_encoding;
    bool has_other_coding;          /* private: a transfer coding that is not known */
    bool has_close, has_keep_alive; /* tokens of Connection */
    bool expects_continue;          /* Expect: 100-continue */
    bool has_match_tag;             /* If-Match with anything but "*" */
    bool has_none_match_any;        /* If-None-Match: * */
    struct http_part content_type, location, retry_after; /* the last one, if repeated */
};

/* Reads a request's or response's head from `data`, which always begins at the first byte of the
 * message and holds everything received since. Returns > 0  the head is complete and that many
 * bytes long (the body begins behind it); 0  incomplete: call again with the same bytes and more;
 *   < 0  minus the status to refuse a request with: -400, -414, -431, -501 (unknown transfer
 * coding), -505 (version), -417 (unknown expectation); for a response always -502. One empty line
 * before a request line is skipped (RFC 9112 section 2.2). */
int http_request_head(struct http_head *h, const char *data, size_t len,
                      const struct http_limits *limits);
int http_response_head(struct http_head *h, const char *data, size_t len,
                       const struct http_limits *limits);

/* Whether the connection may be used for another message after this one (RFC 9112 section 9.3). */
bool http_is_persistent(const struct http_head *h);

/* --- bodies --- */

enum http_body_kind {
    HTTP_BODY_NONE,
    HTTP_BODY_LENGTH,
    HTTP_BODY_CHUNKED,
    HTTP_BODY_UNTIL_CLOSE, /* responses only */
};

/* Framing of a body while it arrives (RFC 9112 sections 6 and 7). */
struct http_body {
    enum http_body_kind kind;
    uint8_t state;       /* private: where in a chunk */
    uint16_t line_bytes; /* private: bytes of the chunk line or trailer section so far */
    uint64_t left;       /* bytes left of the body (LENGTH) or of the current chunk (CHUNKED) */
    uint64_t received;   /* payload bytes so far */
    bool is_done;
};

/* Decides the framing from a complete head. For a response, `method` is that of its request (HEAD
 * and 1xx, 204, 304 have no body). */
void http_request_body(struct http_body *b, const struct http_head *h);
void http_response_body(struct http_body *b, const struct http_head *h, enum http_method method);

/* Takes the next bytes of a body. Returns how many of `in` were consumed (all of them unless the
 * body ended, or a piece of payload has to be looked at first), or -400 (-502 is the caller's word
 * for it) on bad framing. *payload is the part of `in` that is payload, empty if none. Call in a
 * loop: while (in.len && !b->is_done) { n = http_body_take(b, in, &payload); ... in.data += n;
 * in.len -= n; } Chunk extensions and trailers are checked, bounded (4 KiB each) and dropped. */
int64_t http_body_take(struct http_body *b, struct span in, struct span *payload);

/* --- writing --- */

const char *http_reason(unsigned status); /* "Not Found"; "" for unknown ones */

#define HTTP_DATE_BYTES 29
/* The value of a Date field (IMF-fixdate, RFC 9110 section 5.6.7) for seconds since the epoch, no
 * NUL. */
void http_date(int64_t second, char text[HTTP_DATE_BYTES]);

#endif
