/* Any bytes as what memcached answers: the same replies however the bytes are cut, and none behind
 * one that ends the connection. */
#include <stdlib.h>

#include "storage/cache_memcached_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REPLIES_MAX = 4096 };

struct taken {
    size_t count;
    struct cache_memcached_reply replies[REPLIES_MAX];
};

/* One piece from an allocation that ends where the piece ends. False behind a broken reply. */
static bool take_piece(struct cache_memcached_line *line, struct span piece, struct taken *t)
{
    char *copy = malloc(piece.len);
    CHECK(copy);
    memcpy(copy, piece.data, piece.len);
    struct span in = {copy, piece.len};
    bool is_open = true;
    while (is_open && t->count < REPLIES_MAX) {
        size_t before = in.len;
        struct cache_memcached_reply r = cache_memcached_wire_next(line, &in);
        CHECK(in.data + in.len == copy + piece.len && line->len <= sizeof line->text);
        if (r.kind == REPLY_NOTHING) {
            CHECK(!in.len);
            break;
        }
        CHECK(r.kind == REPLY_BROKEN || in.len < before);
        CHECK(r.kind == REPLY_STORED || r.kind == REPLY_REFUSED || !r.has_opaque);
        t->replies[t->count++] = r;
        is_open = r.kind != REPLY_BROKEN;
    }
    free(copy);
    return is_open;
}

static void take(struct span s, size_t step, struct taken *t)
{
    struct cache_memcached_line line = {.len = 0};
    t->count = 0;
    for (size_t at = 0; at < s.len; at += step) {
        size_t n = step < s.len - at ? step : s.len - at;
        if (!take_piece(&line, (struct span){s.data + at, n}, t))
            return;
    }
}

static void compare(const struct taken *a, const struct taken *b)
{
    CHECK(a->count == b->count);
    for (size_t i = 0; i < a->count; i++)
        CHECK(a->replies[i].kind == b->replies[i].kind &&
              a->replies[i].has_opaque == b->replies[i].has_opaque &&
              a->replies[i].opaque == b->replies[i].opaque);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct taken whole, cut;
    struct span s = {(const char *)data, size};
    take(s, size + 1, &whole);
    take(s, 1, &cut);
    compare(&whole, &cut);
    take(s, 1 + size / 3, &cut);
    compare(&whole, &cut);
    return 0;
}
