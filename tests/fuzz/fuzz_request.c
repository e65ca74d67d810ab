/* Any bytes as a request head, with usual and with tight limits. */
#include "http/http.h"
#include "lib/heads.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(const struct http_head *h, const char *data)
{
    struct span path = http_part_span(h->path, data);
    CHECK(h->target.len > 0);
    CHECK(!path.len || path.data[0] == '/');
    CHECK(path.len || h->method == HTTP_OPTIONS || h->method == HTTP_CONNECT);
    CHECK(h->minor == 0 || h->has_host);
    CHECK(h->minor > 0 || !(h->has_chunked || h->expects_continue));
}

static void read_within(struct span bytes, const struct http_limits *limits)
{
    struct http_head h;
    int got = heads_check(http_request_head, &h, bytes, limits);
    switch (got) {
    case -400:
    case -414:
    case -417:
    case -431:
    case -501:
    case -505:
        return;
    }
    CHECK(got >= 0);
    if (got > 0)
        check_request(&h, bytes.data);
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
