/* The socket's time-outs are set to what is left of the deadline before every call that may wait. */
#include "conn/exchange.h"

#include <errno.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"

enum { REPLY_BYTES_MAX = 4 << 20, PIECE_BYTES = 16384 };

static const struct http_limits limits = {
    .line_bytes = 65536, .head_bytes = 262144, .fields = 1000};

const char *exchange_end_text(enum exchange_end end)
{
    static const char *const texts[] = {
        "replied",
        "refused the connection",
        "closed the connection without a reply",
        "closed the connection in the middle of its reply",
        "sent something that is not HTTP/1.1",
        "did not answer in time",
    };
    return texts[end];
}

/* False past the deadline. */
static bool arm(const struct exchange *x)
{
    uint64_t now_ns = clock_ns();
    if (now_ns >= x->deadline_ns)
        return false;
    uint64_t left_us = (x->deadline_ns - now_ns) / NS_PER_US + 1;
    struct timeval left = {(time_t)(left_us / 1000000), (suseconds_t)(left_us % 1000000)};
    setsockopt(x->fd, SOL_SOCKET, SO_RCVTIMEO, &left, sizeof left);
    setsockopt(x->fd, SOL_SOCKET, SO_SNDTIMEO, &left, sizeof left);
    return true;
}

static bool is_late(int error)
{
    return error == EAGAIN || error == EINPROGRESS;
}

enum exchange_end exchange_open(struct exchange *x, const struct address *to)
{
    int fd = sock_open(to);
    if (fd < 0)
        return EXCHANGE_REFUSED;
    x->fd = fd;
    x->taken = 0;
    if (!arm(x))
        return EXCHANGE_LATE;
    if (connect(fd, &to->sa.any, to->len) == 0)
        return EXCHANGE_REPLIED;
    return is_late(errno) ? EXCHANGE_LATE : EXCHANGE_REFUSED;
}

enum exchange_end exchange_send(struct exchange *x, struct span bytes)
{
    while (bytes.len) {
        if (!arm(x))
            return EXCHANGE_LATE;
        ssize_t sent = send(x->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (sent < 0)
            return is_late(errno) ? EXCHANGE_LATE : EXCHANGE_CLOSED;
        bytes.data += sent;
        bytes.len -= (size_t)sent;
    }
    return EXCHANGE_REPLIED;
}

/* Waits for more: how many bytes, 0 at the end of the stream, -1 past the deadline. A reset is an
 * end as well. */
static ssize_t receive(struct exchange *x)
{
    char piece[PIECE_BYTES];
    if (!arm(x))
        return -1;
    ssize_t got = recv(x->fd, piece, sizeof piece, 0);
    if (got < 0)
        return is_late(errno) ? -1 : 0;
    return bytes_append(&x->input, (struct span){piece, (size_t)got}, REPLY_BYTES_MAX) ? got : 0;
}

static enum exchange_end receive_or_end(struct exchange *x)
{
    ssize_t got = receive(x);
    return got > 0        ? EXCHANGE_REPLIED
           : got < 0      ? EXCHANGE_LATE
           : x->input.len ? EXCHANGE_INCOMPLETE
                          : EXCHANGE_CLOSED;
}

static enum exchange_end read_head(struct exchange *x, struct exchange_reply *reply)
{
    reply->head = (struct http_head){0};
    for (;;) {
        int len = http_response_head(&reply->head, x->input.data, x->input.len, &limits);
        if (len < 0)
            return EXCHANGE_NOT_HTTP;
        if (len > 0) {
            reply->text.len = (size_t)len;
            return EXCHANGE_REPLIED;
        }
        enum exchange_end end = receive_or_end(x);
        if (end != EXCHANGE_REPLIED)
            return end;
    }
}

/* Takes the framing off where the body lies: the payload is moved together at its start. `raw` is how
 * many bytes of the input the whole reply was. */
static enum exchange_end read_body(struct exchange *x, enum http_method method,
                                   struct exchange_reply *reply, size_t *raw)
{
    struct http_body body;
    size_t begin = reply->text.len, at = begin, kept = 0;
    http_response_body(&body, &reply->head, method);
    for (;;) {
        while (at < x->input.len && !body.is_done) {
            struct span payload, in = {x->input.data + at, x->input.len - at};
            int64_t taken = http_body_take(&body, in, &payload);
            if (taken < 0)
                return EXCHANGE_NOT_HTTP;
            memmove(x->input.data + begin + kept, payload.data, payload.len);
            kept += payload.len;
            at += (size_t)taken;
        }
        if (body.is_done)
            break;
        ssize_t got = receive(x);
        if (got < 0)
            return EXCHANGE_LATE;
        if (got == 0 && body.kind != HTTP_BODY_UNTIL_CLOSE)
            return EXCHANGE_INCOMPLETE;
        if (got == 0)
            break;
    }
    reply->body.len = kept;
    *raw = at;
    return EXCHANGE_REPLIED;
}

enum exchange_end exchange_read(struct exchange *x, enum http_method method,
                                struct exchange_reply *reply)
{
    size_t raw = 0;
    do {
        *reply = (struct exchange_reply){0};
        bytes_consume(&x->input, x->taken);
        x->taken = 0;
        enum exchange_end end = read_head(x, reply);
        if (end == EXCHANGE_REPLIED)
            end = read_body(x, method, reply, &raw);
        if (end != EXCHANGE_REPLIED)
            return end;
        x->taken = (uint32_t)raw;
    } while (reply->head.status < 200);
    reply->text.data = x->input.data;
    reply->body.data = x->input.data + reply->text.len;
    return EXCHANGE_REPLIED;
}

bool exchange_is_closed(struct exchange *x)
{
    return x->input.len == x->taken && receive(x) == 0;
}

void exchange_close(struct exchange *x)
{
    if (x->fd > 0)
        close(x->fd);
    x->fd = 0;
    bytes_free(&x->input);
}

bool exchange_field(const struct exchange_reply *reply, const char *name, struct span *value)
{
    struct span text = reply->text, wanted = span_of(name);
    while (text.len) {
        const char *end = memmem(text.data, text.len, "\r\n", 2);
        if (!end || end == text.data)
            return false;
        size_t len = (size_t)(end - text.data);
        if (len > wanted.len && text.data[wanted.len] == ':' &&
            span_eq_nocase((struct span){text.data, wanted.len}, wanted)) {
            struct span found = {text.data + wanted.len + 1, len - wanted.len - 1};
            while (found.len && strchr(" \t", found.data[0]))
                found.data++, found.len--;
            while (found.len && strchr(" \t", found.data[found.len - 1]))
                found.len--;
            *value = found;
            return true;
        }
        text.data += len + 2;
        text.len -= len + 2;
    }
    return false;
}
