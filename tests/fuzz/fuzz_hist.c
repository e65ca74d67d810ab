/* Any bytes as an encoded histogram; as the counts inside one that is packed here, since chance
 * does not find its way through base64 and deflate; and as values, which must come back in their
 * buckets. */
#include <stdlib.h>
#include <zlib.h>

#include "metrics/hist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a histogram says of itself must agree, and survive encoding. */
static void check_whole(const struct hist *h)
{
    static struct hist *again;
    again = again ? again : hist_new();
    uint64_t count = 0;
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        count += h->buckets[i];
    CHECK(count == h->count);
    CHECK(!count || (h->min <= h->max && h->max <= HIST_MAX_NS));
    CHECK(hist_percentile(h, 100) == (count ? h->max : 0));

    struct text t = {0};
    hist_encode(h, &t);
    CHECK(hist_decode(again, text_span(&t)));
    CHECK(again->count == h->count && !memcmp(again->buckets, h->buckets, sizeof h->buckets));
    text_free(&t);
}

static void check_decoded(struct hist *h, struct span text)
{
    if (hist_decode(h, text))
        check_whole(h);
    else
        CHECK(!h->count && !hist_percentile(h, 50));
}

static void put_base64(struct text *t, const uint8_t *data, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        unsigned bits = (unsigned)data[i] << 16 | (i + 1 < len ? (unsigned)data[i + 1] << 8 : 0) |
                        (i + 2 < len ? data[i + 2] : 0);
        char quad[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
                        i + 1 < len ? digits[bits >> 6 & 63] : '=',
                        i + 2 < len ? digits[bits & 63] : '='};
        text_add(t, (struct span){quad, sizeof quad});
    }
}

static void put_big32(uint8_t *at, uint64_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* The heads of a histogram of ours around `counts`. */
static void pack(struct text *t, const uint8_t *counts, size_t len)
{
    static const uint8_t head[40] = {0x1c, 0x84, 0x93, 0x13, 0, 0, 0,    0,    0,    0,
                                     0,    0,    0,    0,    0, 3, 0,    0,    0,    0,
                                     0,    0,    0,    1,    0, 0, 0x03, 0x46, 0x30, 0xb8,
                                     0xa0, 0,    0x3f, 0xf0, 0, 0, 0,    0,    0,    0};
    uLongf packed_len = compressBound(sizeof head + len);
    uint8_t *plain = malloc(sizeof head + len), *packed = malloc(8 + packed_len);
    CHECK(plain && packed);
    memcpy(plain, head, sizeof head);
    put_big32(plain + 4, len);
    if (len)
        memcpy(plain + sizeof head, counts, len);
    CHECK(compress2(packed + 8, &packed_len, plain, sizeof head + len, 1) == Z_OK);
    put_big32(packed, 0x1c849314u);
    put_big32(packed + 4, packed_len);
    put_base64(t, packed, 8 + packed_len);
    free(packed);
    free(plain);
}

static void record(struct hist *h, const uint8_t *data, size_t size)
{
    hist_clear(h);
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t ns;
        memcpy(&ns, data + i, sizeof ns);
        hist_record_n(h, ns >> (data[i] & 63), 1 + data[i] % 3);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hist *h;
    h = h ? h : hist_new();
    check_decoded(h, (struct span){(const char *)data, size});
    struct text t = {0};
    pack(&t, data, size);
    check_decoded(h, text_span(&t));
    text_free(&t);
    record(h, data, size);
    check_whole(h);
    return 0;
}
