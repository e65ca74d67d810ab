/* Any bytes as PostgreSQL's replies, to inserts with a commit each and to such as may share one:
 * whole, and cut where the first byte says; what is understood must be the same. */
#include "base/check.h"
#include "storage/store_postgres_frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
    uint64_t hash, replies;
    bool is_grouped, has_row, is_over;
};

static void note(struct heard *h, uint64_t value)
{
    h->hash = (h->hash ^ value) * 1099511628211u;
}

/* A row is followed by its own end, and nothing follows the end of all. */
static void hear(struct heard *h, const struct store_postgres_reply *r)
{
    CHECK(!h->is_over);
    CHECK(r->kind == WIRE_ROW || r->kind == WIRE_NO_ROW || r->kind == WIRE_ERROR ||
          r->kind == WIRE_SYNC || r->kind == WIRE_LOST);
    CHECK(r->kind != WIRE_ROW || !h->has_row || h->is_grouped);
    CHECK(r->kind != WIRE_ERROR || (r->sqlstate[5] == 0 && r->sqlstate[0] != 0));
    h->has_row = r->kind == WIRE_ROW;
    h->is_over = r->kind == WIRE_LOST;
    h->replies++;
    note(h, r->kind);
    note(h, (uint64_t)r->id);
    for (int i = 0; i < 5; i++)
        note(h, (unsigned char)r->sqlstate[i]);
}

static void take(struct store_postgres_stream *s, struct heard *h, struct span bytes)
{
    while (!h->is_over) {
        size_t before = bytes.len;
        struct store_postgres_reply r = store_postgres_frames_next(s, &bytes);
        CHECK(bytes.len <= before);
        if (r.kind == WIRE_NOTHING) {
            CHECK(!bytes.len);
            return;
        }
        CHECK(bytes.len < before || r.kind == WIRE_LOST);
        hear(h, &r);
    }
}

static void compare(struct span all, size_t piece, bool is_grouped)
{
    struct store_postgres_stream whole = {.is_grouped = is_grouped}, cut = whole;
    struct heard once = {.is_grouped = is_grouped}, often = once;
    take(&whole, &once, all);
    for (size_t at = 0; at < all.len; at += piece)
        take(&cut, &often,
             (struct span){all.data + at, all.len - at < piece ? all.len - at : piece});
    CHECK(once.hash == often.hash && once.replies == often.replies);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct span all = {(const char *)data + 1, size - 1};
    compare(all, data[0] ? data[0] : 1, false);
    compare(all, data[0] ? data[0] : 1, true);
    return 0;
}
