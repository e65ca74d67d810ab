/* Replies are short lines; most turns bring nothing but the barrier's. */
#include "storage/cache_memcached_wire.h"

#include <string.h>

#include "base/num.h"

static char *add(char *at, struct span s)
{
    memcpy(at, s.data, s.len);
    return at + s.len;
}

size_t cache_memcached_wire_set(char *at, const struct cache_set *s, uint32_t opaque, bool is_quiet)
{
    CHECK(s->value.len <= CACHE_VALUE_BYTES);
    char *end = add(at, SPAN("ms "));
    end = add(end, (struct span){s->key, sizeof s->key});
    *end++ = ' ';
    end += num_put(end, s->value.len);
    end = add(end, SPAN(" T"));
    end += num_put(end, CACHE_EXPIRY_S);
    end = add(end, SPAN(" O"));
    end += num_put(end, opaque);
    end = add(end, is_quiet ? SPAN(" q\r\n") : SPAN("\r\n"));
    end = add(end, s->value);
    end = add(end, SPAN("\r\n"));
    return (size_t)(end - at);
}

static void read_opaque(struct span text, struct cache_memcached_reply *r)
{
    const char *at = memchr(text.data, 'O', text.len);
    uint64_t value;
    if (!at)
        return;
    struct span digits = {at + 1, (size_t)(text.data + text.len - at - 1)};
    const char *space = memchr(digits.data, ' ', digits.len);
    if (space)
        digits.len = (size_t)(space - digits.data);
    if (num_get(digits, UINT32_MAX, &value)) {
        r->has_opaque = true;
        r->opaque = (uint32_t)value;
    }
}

static struct cache_memcached_reply read_line(struct span line)
{
    struct cache_memcached_reply r = {.kind = REPLY_BROKEN};
    if (line.len && line.data[line.len - 1] == '\r')
        line.len--;
    if (span_eq(line, SPAN("MN"))) {
        r.kind = REPLY_BARRIER;
        return r;
    }
    if (span_starts(line, SPAN("SERVER_ERROR "))) {
        r.kind = REPLY_REFUSED;
        return r;
    }
    struct span code = {line.data, line.len < 2 ? line.len : 2};
    bool ends = line.len == 2 || (line.len > 2 && line.data[2] == ' ');
    if (!ends)
        return r;
    if (span_eq(code, SPAN("HD")))
        r.kind = REPLY_STORED;
    else if (span_eq(code, SPAN("NS")) || span_eq(code, SPAN("NF")) || span_eq(code, SPAN("EX")))
        r.kind = REPLY_REFUSED;
    if (r.kind != REPLY_BROKEN)
        read_opaque((struct span){line.data + 2, line.len - 2}, &r);
    return r;
}

struct cache_memcached_reply cache_memcached_wire_next(struct cache_memcached_line *line,
                                                       struct span *bytes)
{
    const char *end = memchr(bytes->data, '\n', bytes->len);
    size_t len = end ? (size_t)(end - bytes->data) : bytes->len;
    if (len > sizeof line->text - line->len)
        return (struct cache_memcached_reply){.kind = REPLY_BROKEN};
    memcpy(line->text + line->len, bytes->data, len);
    line->len += len;
    bytes->data += end ? len + 1 : len;
    bytes->len -= end ? len + 1 : len;
    if (!end)
        return (struct cache_memcached_reply){.kind = REPLY_NOTHING};
    struct span whole = {line->text, line->len};
    line->len = 0;
    return read_line(whole);
}
