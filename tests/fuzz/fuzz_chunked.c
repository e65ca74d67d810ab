/* Any bytes as a chunked body, in pieces of every size; and any bytes as the payload of one that is
 * written here, which must come out as it went in. */
#include <stdlib.h>

#include "http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct taken {
    int64_t consumed; /* or the refusal */
    size_t len;
    bool is_done;
    char *payload;
};

static void *need(size_t bytes)
{
    void *p = malloc(bytes ? bytes : 1);
    CHECK(p);
    return p;
}

/* One piece from an allocation that ends where the piece ends. False if it was refused. */
static bool take_piece(struct http_body *b, struct span piece, struct taken *t)
{
    char *copy = need(piece.len);
    memcpy(copy, piece.data, piece.len);
    struct span in = {copy, piece.len}, payload;
    while (in.len && !b->is_done) {
        int64_t n = http_body_take(b, in, &payload);
        CHECK(n == -400 || (n > 0 && n <= (int64_t)in.len));
        if (n < 0) {
            t->consumed = n;
            break;
        }
        CHECK(payload.data >= in.data && payload.data + payload.len <= in.data + n);
        memcpy(t->payload + t->len, payload.data, payload.len);
        t->len += payload.len;
        t->consumed += n;
        in.data += n;
        in.len -= (size_t)n;
    }
    free(copy);
    return t->consumed >= 0;
}

static struct taken take(struct span s, size_t step)
{
    static const struct http_head chunked = {.has_chunked = true};
    struct taken t = {.payload = need(s.len)};
    struct http_body b;
    http_request_body(&b, &chunked);
    for (size_t at = 0; at < s.len && !b.is_done; at += step) {
        size_t n = step < s.len - at ? step : s.len - at;
        if (!take_piece(&b, (struct span){s.data + at, n}, &t))
            return t;
    }
    CHECK(b.received == t.len);
    t.is_done = b.is_done;
    return t;
}

static void compare(struct taken a, struct taken b)
{
    CHECK(a.consumed == b.consumed);
    CHECK(a.consumed < 0 ||
          (a.is_done == b.is_done && a.len == b.len && memcmp(a.payload, b.payload, a.len) == 0));
    free(b.payload);
}

static size_t put(char *at, const char *text)
{
    memcpy(at, text, strlen(text));
    return strlen(text);
}

/* Writes `s` in chunks of 1 to 15 bytes, as its own bytes say. */
static size_t write_chunks(char *at, struct span s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len;) {
        size_t want = 1 + (uint8_t)s.data[i] % 15;
        size_t len = want < s.len - i ? want : s.len - i;
        at[n++] = "0123456789abcdef"[len];
        n += put(at + n, len % 2 ? "\r\n" : ";a=\"b\"\r\n");
        memcpy(at + n, s.data + i, len);
        n += len;
        n += put(at + n, "\r\n");
        i += len;
    }
    return n + put(at + n, "0\r\nX: y\r\n\r\n");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span s = {(const char *)data, size};
    struct taken whole = take(s, size + 1);
    compare(whole, take(s, 1));
    compare(whole, take(s, 1 + size / 3));
    free(whole.payload);

    char *written = need(size * 16 + 64);
    struct span w = {written, write_chunks(written, s)};
    struct taken back = take(w, 1 + size / 2);
    CHECK(back.is_done && back.consumed == (int64_t)w.len && back.len == size);
    CHECK(!size || memcmp(back.payload, data, size) == 0);
    free(back.payload);
    free(written);
    return 0;
}
