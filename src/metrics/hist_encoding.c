/* HdrHistogram's V2 encoding, as its Java reference writes it
 * (AbstractHistogram.encodeIntoByteBuffer and encodeIntoCompressedByteBuffer,
 * https://github.com/HdrHistogram/HdrHistogram). From the inside out: counts up to the greatest
 * recorded value as ZigZag LEB128 numbers, where -n stands for n empty buckets; a head of 40 bytes;
 * zlib's deflate; a head of 8 bytes; base64. Numbers in heads are big-endian. */
#include "metrics/hist.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"

#define COOKIE_COUNTS     0x1c849313u
#define COOKIE_COMPRESSED 0x1c849314u
#define DIGITS            3
#define LOWEST            1
#define RATIO_ONE         0x3ff0000000000000u /* 1.0 as an IEEE 754 double */

#define HEAD_BYTES   40
#define NUMBER_BYTES 9 /* at most */
#define PLAIN_BYTES  (HEAD_BYTES + NUMBER_BYTES * HIST_BUCKETS)
#define OUTER_BYTES  8

static uint8_t *put_big(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
    return at + bytes;
}

static uint64_t get_big(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

/* Seven bits a byte, the lowest first, the top bit saying that more follow; a ninth byte has all
 * eight, so 64 bits never need a tenth. */
static uint8_t *put_number(uint8_t *at, int64_t value)
{
    uint64_t bits = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
    for (int i = 1; i < NUMBER_BYTES && bits > 0x7f; i++, bits >>= 7)
        *at++ = (uint8_t)(bits | 0x80);
    *at++ = (uint8_t)bits;
    return at;
}

/* Returns what follows the number, NULL if it does not end before `end`. */
static const uint8_t *get_number(const uint8_t *at, const uint8_t *end, int64_t *value)
{
    uint64_t bits = 0;
    for (int i = 0;; i++) {
        if (at == end)
            return NULL;
        uint8_t byte = *at++;
        bool is_last = i == NUMBER_BYTES - 1 || byte < 0x80;
        bits |= (uint64_t)(i == NUMBER_BYTES - 1 ? byte : byte & 0x7f) << 7 * i;
        if (is_last)
            break;
    }
    *value = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
    return at;
}

/* Counts up to the greatest value; a single empty bucket is written as a count of 0. */
static uint8_t *put_counts(const struct hist *h, uint8_t *at)
{
    unsigned end = hist_bucket(h->max) + 1;
    for (unsigned i = 0; i < end;) {
        unsigned empty = 0;
        while (i + empty < end && !h->buckets[i + empty])
            empty++;
        if (empty > 1) {
            at = put_number(at, -(int64_t)empty);
            i += empty;
        } else {
            at = put_number(at, (int64_t)h->buckets[i++]);
        }
    }
    return at;
}

static size_t put_plain(const struct hist *h, uint8_t *plain)
{
    uint8_t *end = put_counts(h, plain + HEAD_BYTES);
    uint8_t *at = put_big(plain, COOKIE_COUNTS, 4);
    at = put_big(at, (uint64_t)(end - plain - HEAD_BYTES), 4);
    at = put_big(at, 0, 4); /* normalizing offset */
    at = put_big(at, DIGITS, 4);
    at = put_big(at, LOWEST, 8);
    at = put_big(at, HIST_MAX_NS, 8);
    put_big(at, RATIO_ONE, 8);
    return (size_t)(end - plain);
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void put_base64(const uint8_t *data, size_t len, struct text *t)
{
    char quad[4];
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        unsigned bits = (unsigned)data[i] << 16 | (left > 1 ? (unsigned)data[i + 1] << 8 : 0) |
                        (left > 2 ? data[i + 2] : 0);
        quad[0] = base64_digits[bits >> 18];
        quad[1] = base64_digits[bits >> 12 & 63];
        quad[2] = left > 1 ? base64_digits[bits >> 6 & 63] : '=';
        quad[3] = left > 2 ? base64_digits[bits & 63] : '=';
        text_add(t, (struct span){quad, sizeof quad});
    }
}

/* Into `data`, which has room for 3/4 of the text. */
static bool get_base64(struct span text, uint8_t *data, size_t *len)
{
    if (text.len % 4)
        return false;
    size_t padding = 0;
    while (padding < 2 && padding < text.len && text.data[text.len - 1 - padding] == '=')
        padding++;
    *len = 0;
    for (size_t i = 0; i < text.len; i += 4) {
        unsigned bits = 0;
        for (size_t j = i; j < i + 4; j++) {
            const char *digit = j < text.len - padding && text.data[j]
                                    ? strchr(base64_digits, text.data[j])
                                    : NULL;
            if (!digit && j < text.len - padding)
                return false;
            bits = bits << 6 | (digit ? (unsigned)(digit - base64_digits) : 0);
        }
        put_big(data + *len, bits, 3);
        *len += 3;
    }
    *len -= padding;
    return true;
}

void hist_encode(const struct hist *h, struct text *t)
{
    uint8_t *plain = mem_need(1, PLAIN_BYTES);
    size_t plain_len = put_plain(h, plain);
    uLongf packed_len = compressBound(plain_len);
    uint8_t *packed = mem_need(1, OUTER_BYTES + packed_len);
    CHECK(compress(packed + OUTER_BYTES, &packed_len, plain, plain_len) == Z_OK);
    put_big(packed, COOKIE_COMPRESSED, 4);
    put_big(packed + 4, packed_len, 4);
    put_base64(packed, OUTER_BYTES + packed_len, t);
    free(packed);
    free(plain);
}

/* The values themselves are gone: each count is taken to lie in the middle of its bucket. */
static bool get_counts(struct hist *h, const uint8_t *at, const uint8_t *end)
{
    uint64_t bucket = 0;
    while (at < end) {
        int64_t number;
        at = get_number(at, end, &number);
        if (!at)
            return false;
        uint64_t width = number < 0 ? -(uint64_t)number : 1;
        if (width > HIST_BUCKETS - bucket)
            return false;
        if (number > 0) {
            if ((uint64_t)number > INT64_MAX - h->count)
                return false;
            uint64_t low = hist_bucket_low((unsigned)bucket);
            uint64_t size = hist_bucket_high((unsigned)bucket) - low + 1;
            hist_record_n(h, low + size / 2, (uint64_t)number);
        }
        bucket += width;
    }
    return true;
}

static bool get_plain(struct hist *h, const uint8_t *plain, size_t len)
{
    if (len < HEAD_BYTES || get_big(plain, 4) != COOKIE_COUNTS ||
        get_big(plain + 4, 4) != len - HEAD_BYTES || get_big(plain + 8, 4) != 0 ||
        get_big(plain + 12, 4) != DIGITS || get_big(plain + 16, 8) != LOWEST ||
        get_big(plain + 24, 8) != HIST_MAX_NS || get_big(plain + 32, 8) != RATIO_ONE ||
        !get_counts(h, plain + HEAD_BYTES, plain + len))
        return false;
    if (h->count) {
        h->min = hist_bucket_low(hist_bucket(h->min));
        h->max = hist_bucket_high(hist_bucket(h->max));
        if (h->max > HIST_MAX_NS)
            h->max = HIST_MAX_NS;
    }
    return true;
}

bool hist_decode(struct hist *h, struct span text)
{
    hist_clear(h);
    if (text.len > 2 * PLAIN_BYTES) /* what it says would not fit anyway; no need to look */
        return false;
    uint8_t *packed = mem_need(1, text.len + 1), *plain = mem_need(1, PLAIN_BYTES);
    size_t packed_len;
    uLongf plain_len = PLAIN_BYTES;
    bool is_good = get_base64(text, packed, &packed_len) && packed_len > OUTER_BYTES &&
                   get_big(packed, 4) == COOKIE_COMPRESSED &&
                   get_big(packed + 4, 4) == packed_len - OUTER_BYTES &&
                   uncompress(plain, &plain_len, packed + OUTER_BYTES, packed_len - OUTER_BYTES) ==
                       Z_OK &&
                   get_plain(h, plain, plain_len);
    free(plain);
    free(packed);
    if (!is_good)
        hist_clear(h);
    return is_good;
}
