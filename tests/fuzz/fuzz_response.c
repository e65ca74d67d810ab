/* Any bytes as a response head, with usual and with tight limits, and its framing. */
#include "http/http.h"
#include "lib/heads.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_within(struct span bytes, const struct http_limits *limits)
{
    struct http_head h;
    struct http_body b;
    int got = heads_check(http_response_head, &h, bytes, limits);
    CHECK(got >= 0 || got == -502);
    if (got <= 0)
        return;
    CHECK(h.status >= 100 && h.status <= 999);
    http_response_body(&b, &h, HTTP_GET);
    CHECK(b.kind != HTTP_BODY_LENGTH || h.has_length);
    CHECK(b.kind != HTTP_BODY_CHUNKED || h.has_chunked);
    http_response_body(&b, &h, HTTP_HEAD);
    CHECK(b.kind == HTTP_BODY_NONE && b.is_done);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http_limits usual = HTTP_LIMITS_DEFAULT;
    static const struct http_limits tight = {.line_bytes = 24, .head_bytes = 60, .fields = 2};
    struct span bytes = {(const char *)data, size};
    read_within(bytes, &usual);
    read_within(bytes, &tight);
    return 0;
}
