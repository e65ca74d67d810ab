/* HTTP/1.1 itself: methods and paths that are not there, connections, and what RFC 9112 has a server
 * refuse. */
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "lab/check_priv.h"

#define CLOSE_WAIT_NS NS_PER_S /* a close is due at once */

static struct text request_of(const struct checker *c, const char *method, const char *fields,
                              bool is_kept)
{
    struct text to = {0};
    check_request(
        c,
        &(struct question){
            .method = method, .path = "/api/devices", .fields = fields, .is_kept = is_kept},
        &to);
    return to;
}

static bool is_closed(struct checker *c)
{
    c->exchange.deadline_ns = clock_ns() + CLOSE_WAIT_NS;
    return exchange_is_closed(&c->exchange);
}

static void check_paths(struct checker *c)
{
    check_get(c, "/no-such-path");
    check_error(c, "GET /no-such-path", 404, 0, NULL);
}

static void check_methods(struct checker *c)
{
    static const struct other_status no_head[] = {
        {405, DEVIATES_NO_HEAD}, {404, DEVIATES_NO_HEAD}, {501, DEVIATES_NO_HEAD}, {0}};
    static const struct other_status no_options[] = {
        {405, DEVIATES_NO_OPTIONS}, {404, DEVIATES_NO_OPTIONS}, {501, DEVIATES_NO_OPTIONS}, {0}};
    static const struct other_status not_found[] = {{404, DEVIATES_WRONG_METHOD_IS_404}, {0}};
    struct span value;
    check_get(c, "/api/devices");
    size_t len = c->reply.body.len;
    check_ask(c, &(struct question){.method = "HEAD", .path = "/api/devices"});
    if (check_status(c, "HEAD /api/devices", 200, 0, no_head))
        check_judge(c, "HEAD /api/devices: the length of GET, and no body",
                    is_closed(c) &&
                        (!c->reply.head.has_length || c->reply.head.content_length == len),
                    NO_DEVIATION, "Content-Length is %llu, GET has %zu bytes",
                    (unsigned long long)c->reply.head.content_length, len);
    check_ask(c, &(struct question){.method = "OPTIONS", .path = "/api/devices"});
    if (check_status(c, "OPTIONS /api/devices", 204, 200, no_options))
        check_judge(c, "OPTIONS /api/devices: Allow", exchange_field(&c->reply, "Allow", &value),
                    DEVIATES_NO_OPTIONS, "there is none");
    check_ask(c, &(struct question){.method = "DELETE", .path = "/api/devices"});
    check_error(c, "DELETE /api/devices", 405, 0, not_found);
    if (c->end == EXCHANGE_REPLIED && c->reply.head.status == 405)
        check_judge(c, "DELETE /api/devices: Allow",
                    exchange_field(&c->reply, "Allow", &value) &&
                        memmem(value.data, value.len, "GET", 3),
                    NO_DEVIATION, "no Allow that names GET");
}

static void check_connections(struct checker *c)
{
    struct text kept = request_of(c, "GET", NULL, true), last = request_of(c, "GET", NULL, false);
    bool is_first = check_send(c, HTTP_GET, text_span(&kept));
    bool is_second = is_first &&
                     exchange_send(&c->exchange, text_span(&last)) == EXCHANGE_REPLIED &&
                     check_next(c, HTTP_GET);
    check_judge(c, "a connection serves several requests", is_second, NO_DEVIATION, "it %s",
                exchange_end_text(c->end));
    check_judge(c, "Connection: close is kept", is_second && is_closed(c), NO_DEVIATION,
                "it stays open");
    text_add(&kept, text_span(&last));
    bool are_both = check_send(c, HTTP_GET, text_span(&kept)) && check_next(c, HTTP_GET);
    check_judge(c, "requests may be pipelined", are_both, DEVIATES_NO_PIPELINING, "it %s",
                exchange_end_text(c->end));
    text_free(&kept);
    text_free(&last);
    check_send(c, HTTP_GET, SPAN("GET /healthz HTTP/1.0\r\n\r\n"));
    check_judge(c, "HTTP/1.0 is answered, and the connection closed",
                c->end == EXCHANGE_REPLIED && c->reply.head.status < 500 && is_closed(c),
                NO_DEVIATION, "it %s", exchange_end_text(c->end));
}

/* Refused with 400, or by closing. */
static void check_refused(struct checker *c, const char *text, struct span bytes)
{
    char shown[200];
    check_send(c, HTTP_GET, bytes);
    bool is_closed = c->end == EXCHANGE_CLOSED;
    bool is_refused = c->end == EXCHANGE_REPLIED && c->reply.head.status >= 400;
    check_judge(c, text, is_closed || is_refused, DEVIATES_LENIENT_HTTP, "expected 400, found %s",
                check_reply_text(c, shown));
}

static void check_requests(struct checker *c)
{
    check_refused(c, "a request without Host is refused", SPAN("GET /healthz HTTP/1.1\r\n\r\n"));
    check_refused(c, "what is not HTTP is refused", SPAN("HELLO\r\n\r\n"));
    check_refused(c, "a space before a colon is refused",
                  SPAN("GET /healthz HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n"));
    check_refused(c, "Content-Length beside chunked is refused",
                  SPAN("POST /api/devices HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                       "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n"));
    check_refused(c, "two lengths are refused",
                  SPAN("POST /api/devices HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                       "Content-Length: 3\r\nConnection: close\r\n\r\n{}}"));
}

static void check_limits(struct checker *c)
{
    struct text fields = {0};
    for (int i = 0; i < 60; i++)
        text_addf(&fields, "X-Field-%d: %0200d\r\n", i, i);
    struct text request = request_of(c, "GET", fields.data, false);
    check_send(c, HTTP_GET, text_span(&request));
    check_status(c, "60 fields of 12 KiB are taken", 200, 0, NULL);
    text_free(&request);
    for (int i = 0; i < 2000; i++)
        text_addf(&fields, "X-More-%d: %0500d\r\n", i, i);
    request = request_of(c, "GET", fields.data, false);
    check_send(c, HTTP_GET, text_span(&request));
    char shown[200];
    bool is_closed = c->end == EXCHANGE_CLOSED || c->end == EXCHANGE_INCOMPLETE;
    check_judge(c, "2060 fields of 1 MiB are refused",
                is_closed || (c->end == EXCHANGE_REPLIED && c->reply.head.status >= 400),
                DEVIATES_NO_LIMITS, "found %s", check_reply_text(c, shown));
    text_free(&request);
    text_free(&fields);
}

void check_http(struct checker *c)
{
    check_paths(c);
    check_methods(c);
    check_connections(c);
    check_requests(c);
    check_limits(c);
}
