/* Two passes over the slots: the first draws the numbers and so learns the body's length, the second
 * writes. UUIDs and MAC addresses have one width, and are drawn where they are written. */
#include "load/template.h"

#include <string.h>

#include "base/log.h"
#include "base/num.h"
#include "base/uuid.h"

enum { MAC_TEXT_BYTES = 17 };

/* --- building --- */

void template_add_literal(struct template *t, struct span s)
{
    struct template_piece *last = &t->pieces[t->slot_count];
    text_add(&t->literals, s);
    last->literal_len += (uint32_t)s.len;
    t->bytes_max += s.len;
    if (t->is_in_body)
        t->body_bytes += s.len;
}

static bool is_number(enum template_slot slot)
{
    return slot != SLOT_UUID && slot != SLOT_MAC;
}

static void add_slot(struct template *t, enum template_slot slot, uint64_t low, uint64_t count)
{
    struct template_piece *p = &t->pieces[t->slot_count++];
    size_t width = slot == SLOT_UUID  ? UUID_TEXT_BYTES
                   : slot == SLOT_MAC ? MAC_TEXT_BYTES
                                      : NUM_MAX_DIGITS;
    p->slot = slot;
    p->is_body = t->is_in_body;
    p->low = low;
    p->count = count;
    t->bytes_max += width;
    if (t->is_in_body && is_number(slot))
        t->body_numbers++;
    else if (t->is_in_body)
        t->body_bytes += width;
    p[1].literal_at = (uint32_t)t->literals.len;
}

void template_add_body_length(struct template *t)
{
    add_slot(t, SLOT_BODY_LENGTH, 0, 0);
}

void template_begin_body(struct template *t)
{
    t->is_in_body = true;
}

void template_free(struct template *t)
{
    text_free(&t->literals);
    *t = (struct template){0};
}

/* --- reading --- */

static bool read_range(struct span s, uint64_t *low, uint64_t *count)
{
    const char *dash = memchr(s.data, '-', s.len);
    uint64_t high;
    if (!dash || !num_get((struct span){s.data, (size_t)(dash - s.data)}, INT64_MAX, low) ||
        !num_get((struct span){dash + 1, (size_t)(s.data + s.len - dash - 1)}, INT64_MAX, &high) ||
        high < *low)
        return false;
    *count = high - *low + 1;
    return true;
}

static struct span behind(struct span s, size_t n)
{
    return (struct span){s.data + n, s.len - n};
}

/* What stands between braces; SLOT_NONE if that is no placeholder. */
static bool read_slot(struct span name, struct template_piece *p, struct fail *f)
{
    char shown[80];
    bool is_good = true;
    *p = (struct template_piece){.slot = SLOT_NONE, .low = 1};
    if (span_eq(name, SPAN("uuid")))
        p->slot = SLOT_UUID;
    else if (span_eq(name, SPAN("mac")))
        p->slot = SLOT_MAC;
    else if (span_eq(name, SPAN("seq")))
        p->slot = SLOT_SEQ;
    else if (span_starts(name, SPAN("seq:"))) {
        p->slot = SLOT_SEQ;
        is_good = num_get(behind(name, 4), INT64_MAX, &p->low);
    } else if (span_eq(name, SPAN("rand")) || span_starts(name, SPAN("rand:"))) {
        p->slot = SLOT_RAND;
        is_good = name.len > 5 && read_range(behind(name, 5), &p->low, &p->count);
    }
    return is_good || fail_set(f, EXIT_USAGE,
                               "the placeholder {%s} is not understood: expected {rand:LOW-HIGH} "
                               "with two whole numbers, or {seq:FIRST}",
                               log_escape(name, shown, sizeof shown));
}

bool template_add(struct template *t, struct span s, struct fail *f)
{
    while (s.len) {
        const char *open = memchr(s.data, '{', s.len), *close = NULL;
        struct template_piece p = {.slot = SLOT_NONE};
        if (open)
            close = memchr(open, '}', (size_t)(s.data + s.len - open));
        struct span name = {open ? open + 1 : NULL, close ? (size_t)(close - open - 1) : 0};
        if (close && !read_slot(name, &p, f))
            return false;
        if (p.slot != SLOT_NONE && t->slot_count == TEMPLATE_SLOTS_MAX - 1)
            return fail_set(f, EXIT_USAGE, "a request has more than the limit of %d placeholders",
                            TEMPLATE_SLOTS_MAX - 1);
        size_t plain = !close ? s.len : (size_t)(open - s.data) + (p.slot == SLOT_NONE);
        template_add_literal(t, (struct span){s.data, plain});
        if (p.slot != SLOT_NONE) {
            add_slot(t, p.slot, p.low, p.count);
            plain = (size_t)(close + 1 - s.data);
        }
        s = behind(s, plain);
    }
    return true;
}

/* --- expanding --- */

static unsigned digits(uint64_t value)
{
    unsigned n = 1;
    for (; value >= 10; value /= 10)
        n++;
    return n;
}

static char *put_mac(char *at, struct rng *rng)
{
    static const char hex[] = "0123456789ABCDEF";
    uint64_t random = (rng_next(rng) & ~UINT64_C(3)) | 2; /* local, for one receiver */
    for (unsigned i = 0; i < 6; i++, random >>= 8) {
        if (i)
            *at++ = '-';
        *at++ = hex[random >> 4 & 15];
        *at++ = hex[random & 15];
    }
    return at;
}

/* Draws the numbers; returns the length of the body. */
static uint64_t draw(const struct template *t, uint64_t number, struct rng *rng, uint64_t *values)
{
    uint64_t body_bytes = t->body_bytes;
    for (unsigned i = 0; i < t->slot_count; i++) {
        const struct template_piece *p = &t->pieces[i];
        if (p->slot == SLOT_SEQ)
            values[i] = p->low + number;
        else if (p->slot == SLOT_RAND)
            values[i] = p->low + rng_below(rng, p->count);
        else
            continue;
        if (p->is_body)
            body_bytes += digits(values[i]);
    }
    return body_bytes;
}

size_t template_expand(const struct template *t, uint64_t number, struct rng *rng, char *at)
{
    uint64_t values[TEMPLATE_SLOTS_MAX];
    uint64_t body_bytes = draw(t, number, rng, values);
    char *begin = at;
    for (unsigned i = 0;; i++) {
        const struct template_piece *p = &t->pieces[i];
        memcpy(at, t->literals.data + p->literal_at, p->literal_len);
        at += p->literal_len;
        if (i == t->slot_count)
            return (size_t)(at - begin);
        if (p->slot == SLOT_UUID) {
            uuid_v4(at);
            at += UUID_TEXT_BYTES;
        } else if (p->slot == SLOT_MAC) {
            at = put_mac(at, rng);
        } else {
            at += num_put(at, p->slot == SLOT_BODY_LENGTH ? body_bytes : values[i]);
        }
    }
}
