/* One GET on a blocking socket whose receive time-out is what is left of the deadline. */
#include "load/discover.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/http.h"
#include "net/sock.h"

enum { REPLY_BYTES_MAX = 1024 * 1024 };
static const uint64_t DEADLINE_NS = 2 * NS_PER_S;

struct reply {
    char *data;
    size_t len, head_len;
    struct http_head head;
    bool is_closed;
};

/* Waits for more bytes; 0 at the end of the stream, -1 with errno. */
static ssize_t receive(int fd, struct reply *r, uint64_t deadline_ns)
{
    uint64_t now_ns = clock_ns();
    if (now_ns >= deadline_ns) {
        errno = EAGAIN;
        return -1;
    }
    uint64_t left_us = (deadline_ns - now_ns) / NS_PER_US + 1;
    struct timeval left = {(time_t)(left_us / 1000000), (suseconds_t)(left_us % 1000000)};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &left, sizeof left);
    ssize_t n = recv(fd, r->data + r->len, REPLY_BYTES_MAX - r->len, 0);
    if (n > 0)
        r->len += (size_t)n;
    return n;
}

/* 1 once the whole body is there, its payload moved together at the start of the body; 0: not yet;
 * -1: never. What has no length is complete when the target closes, as it was asked to. */
static int body_done(struct reply *r, struct span *body)
{
    struct http_body framing;
    char *to = r->data + r->head_len;
    struct span in = {to, r->len - r->head_len};
    *body = (struct span){to, 0};
    http_response_body(&framing, &r->head, HTTP_GET);
    bool is_there = framing.kind == HTTP_BODY_LENGTH ? in.len >= framing.left : framing.is_done;
    if (!is_there && !r->is_closed)
        return 0;
    while (in.len && !framing.is_done) {
        struct span payload;
        int64_t taken = http_body_take(&framing, in, &payload);
        if (taken < 0)
            return -1;
        memmove(to + body->len, payload.data, payload.len);
        body->len += payload.len;
        in.data += taken, in.len -= (size_t)taken;
    }
    return framing.is_done || framing.kind == HTTP_BODY_UNTIL_CLOSE ? 1 : -1;
}

static bool refuse(struct fail *f, const char *what)
{
    return fail_set(f, EXIT_FAILED,
                    "no URL was given and " DISCOVER_ADDRESS " %s; start the target "
                    "with `iubench serve --mode db`, or name a URL such as "
                    "http://host:port/path",
                    what);
}

static const struct http_limits limits = HTTP_LIMITS_DEFAULT;

static bool read_reply(int fd, struct reply *r, struct span *body, struct fail *f)
{
    uint64_t deadline_ns = clock_ns() + DEADLINE_NS;
    for (;;) {
        ssize_t n = receive(fd, r, deadline_ns);
        if (n < 0)
            return refuse(f, errno == EAGAIN ? "accepts but does not answer" : strerror(errno));
        r->is_closed = n == 0;
        if (!r->head_len) {
            int head = http_response_head(&r->head, r->data, r->len, &limits);
            if (head < 0 || (head == 0 && r->is_closed))
                return refuse(f, "does not speak HTTP/1.1");
            r->head_len = (size_t)head;
        }
        int done = r->head_len ? body_done(r, body) : 0;
        if (done > 0)
            return true;
        if (done < 0 || r->is_closed || r->len == REPLY_BYTES_MAX)
            return refuse(f, "answered /openapi.json incompletely");
    }
}

static bool ask(int fd, struct discovery *d, struct fail *f)
{
    static const char request[] = "GET /openapi.json HTTP/1.1\r\nHost: " DISCOVER_ADDRESS
                                  "\r\nConnection: close\r\n\r\n";
    struct reply r = {.data = mem_need(REPLY_BYTES_MAX + 1, 1)};
    struct span body = {0};
    bool is_good = send(fd, request, sizeof request - 1, MSG_NOSIGNAL) == sizeof request - 1
                       ? read_reply(fd, &r, &body, f)
                       : refuse(f, strerror(errno));
    if (is_good && r.head.status == 200 && !discover_read(d, body))
        is_good = refuse(f, "answers /openapi.json with something that is not JSON");
    free(r.data);
    return is_good;
}

bool discover_target(struct discovery *d, struct fail *f)
{
    struct address to;
    *d = (struct discovery){0};
    if (!address_parse(DISCOVER_ADDRESS, &to, f))
        return false;
    int fd = sock_open(&to);
    if (fd < 0)
        return refuse(f, strerror(-fd));
    bool is_good = connect(fd, &to.sa.any, to.len) == 0;
    is_good = is_good ? ask(fd, d, f)
                      : refuse(f, errno == ECONNREFUSED ? "does not listen" : strerror(errno));
    close(fd);
    return is_good;
}

bool discover_read(struct discovery *d, struct span body)
{
    json_error_t error;
    json_t *document = json_loadb(body.data, body.len, 0, &error);
    *d = (struct discovery){0};
    if (!document)
        return false;
    const char *mode = json_string_value(
        json_object_get(json_object_get(document, "x-iubench"), "mode"));
    if (mode && strlen(mode) < sizeof d->mode) {
        memcpy(d->mode, mode, strlen(mode) + 1);
        d->is_post = strcmp(mode, "post") == 0 || strcmp(mode, "db") == 0;
    }
    json_decref(document);
    return true;
}
