#include "lib/heads.h"

#include <stdlib.h>

#define BYTEWISE_BYTES 512 /* longer ones take bigger steps: the work is quadratic */

static int read_copy(heads_read_f *read, struct http_head *h, struct span bytes, size_t len,
                     const struct http_limits *limits)
{
    char *copy = malloc(len ? len : 1);
    CHECK(copy);
    if (len)
        memcpy(copy, bytes.data, len);
    int got = read(h, copy, len, limits);
    free(copy);
    CHECK(got <= (int)len);
    CHECK(got != 0 || h->scanned == len);
    return got;
}

static int read_steps(heads_read_f *read, struct http_head *h, struct span bytes, size_t first,
                      size_t step, const struct http_limits *limits)
{
    memset(h, 0, sizeof *h);
    int got = read_copy(read, h, bytes, first, limits);
    for (size_t len = first; got == 0 && len < bytes.len;) {
        len = len + step < bytes.len ? len + step : bytes.len;
        got = read_copy(read, h, bytes, len, limits);
    }
    return got;
}

static void is_inside(struct http_part part, int head_bytes)
{
    CHECK(part.at <= (uint32_t)head_bytes && part.len <= (uint32_t)head_bytes - part.at);
}

static void check_facts(const struct http_head *h, struct span bytes, int head_bytes,
                        const struct http_limits *limits)
{
    CHECK(head_bytes >= 4 && memcmp(bytes.data + head_bytes - 4, "\r\n\r\n", 4) == 0);
    CHECK((uint32_t)head_bytes <= limits->head_bytes && h->fields <= limits->fields);
    CHECK(!memchr(bytes.data, 0, (size_t)head_bytes));
    CHECK(!(h->has_length && h->has_transfer_encoding));
    CHECK(h->has_chunked == h->has_transfer_encoding && !h->has_other_coding);
    CHECK(h->content_length <= INT64_MAX && h->minor <= 1);
    const struct http_part parts[] = {h->target,       h->path,     h->query,      h->host,
                                      h->content_type, h->location, h->retry_after};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        is_inside(parts[i], head_bytes);
}

int heads_check(heads_read_f *read, struct http_head *h, struct span bytes,
                const struct http_limits *limits)
{
    struct http_head other;
    size_t cut = bytes.len ? (uint8_t)bytes.data[bytes.len - 1] % bytes.len : 0;
    size_t step = 1 + bytes.len / BYTEWISE_BYTES;
    int got = read_steps(read, h, bytes, bytes.len, 1, limits);
    CHECK(read_steps(read, &other, bytes, cut, bytes.len, limits) == got);
    CHECK(got <= 0 || memcmp(h, &other, sizeof other) == 0);
    CHECK(read_steps(read, &other, bytes, 0, step, limits) == got);
    CHECK(got <= 0 || memcmp(h, &other, sizeof other) == 0);
    if (got > 0)
        check_facts(h, bytes, got, limits);
    return got;
}
