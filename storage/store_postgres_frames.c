/* Messages are read where the kernel put them; only one that is cut is copied, and of a long one
 * only the beginning, which has all that is asked for. Order is part of the check: a message that
 * is well formed but not due means that replies and inserts no longer match. */
#include "storage/store_postgres_frames.h"

#include <endian.h>

#include "storage/storage.h"

enum {
    HEAD_BYTES = 5,               /* kind, length */
    MESSAGE_BYTES_MOST = 1 << 20, /* errors with long texts; nothing else comes near it */
    BINARY = 1,
};

/* --- what is sent --- */

static char *put16(char *at, uint16_t value)
{
    value = htobe16(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static char *put32(char *at, size_t value)
{
    uint32_t wire = htobe32((uint32_t)value);
    memcpy(at, &wire, sizeof wire);
    return at + sizeof wire;
}

static char *put_span(char *at, struct span s)
{
    memcpy(at, s.data, s.len);
    return at + s.len;
}

static char *put_value(char *at, struct span s)
{
    return put_span(put32(at, s.len), s);
}

static size_t uuid_len(int schema)
{
    return schema == SCHEMA_ROUND2 ? UUID_BYTES : UUID_TEXT_BYTES;
}

/* Bind: portal "", statement, one format for all parameters, four of them, one format for the
 * result. */
static size_t bind_len(int schema, const struct store_insert *i)
{
    size_t values = uuid_len(schema) + i->mac.len + i->firmware.len + sizeof i->created_us;
    return 4 + 1 + sizeof STORE_POSTGRES_STATEMENT + 3 * 2 + STORE_POSTGRES_PARAMETERS * 4 +
           values + 2 * 2;
}

/* Execute of portal "" without a limit of rows, then Sync. */
static const char execute_and_sync[] = "E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04";
enum { EXECUTE_BYTES = 10 };

static struct span tail(const struct store_insert *i)
{
    size_t len = i->is_last ? sizeof execute_and_sync - 1 : EXECUTE_BYTES;
    return (struct span){execute_and_sync, len};
}

size_t store_postgres_frames_bytes(int schema, const struct store_insert *i)
{
    return 1 + bind_len(schema, i) + tail(i).len;
}

char *store_postgres_frames_insert(char *at, int schema, const struct store_insert *i)
{
    char uuid[UUID_BYTES];
    struct span uuid_value = {i->uuid, UUID_TEXT_BYTES};
    uint64_t created = htobe64((uint64_t)store_postgres_wire_time(i->created_us));

    if (schema == SCHEMA_ROUND2) {
        uuid_bytes(i->uuid, uuid);
        uuid_value = (struct span){uuid, sizeof uuid};
    }
    *at++ = 'B';
    at = put32(at, bind_len(schema, i));
    *at++ = '\0';
    at = put_span(at, (struct span){STORE_POSTGRES_STATEMENT, sizeof STORE_POSTGRES_STATEMENT});
    at = put16(put16(at, 1), BINARY);
    at = put16(at, STORE_POSTGRES_PARAMETERS);
    at = put_value(at, uuid_value);
    at = put_value(at, i->mac);
    at = put_value(at, i->firmware);
    at = put_value(at, (struct span){(const char *)&created, sizeof created});
    at = put16(put16(at, 1), BINARY);
    return put_span(at, tail(i));
}

/* --- what comes --- */

static uint32_t get32(const char *at)
{
    uint32_t wire;
    memcpy(&wire, at, sizeof wire);
    return be32toh(wire);
}

/* A message, or as much of its beginning as is kept. */
struct message {
    char kind;
    size_t body_len; /* of the whole */
    struct span body;
};

/* The length of the whole, kind included; 0 if it is none that a message here may have. */
static size_t message_len(const char *head)
{
    uint32_t len = get32(head + 1);
    return len < 4 || len > MESSAGE_BYTES_MOST ? 0 : (size_t)len + 1;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void move_on(struct span *bytes, size_t n)
{
    bytes->data += n;
    bytes->len -= n;
}

/* Copies until `want` bytes are kept. */
static bool keep(struct store_postgres_stream *s, struct span *bytes, size_t want)
{
    size_t n = s->len < want ? least(want - s->len, bytes->len) : 0;
    memcpy(s->kept + s->len, bytes->data, n);
    s->len += (uint32_t)n;
    move_on(bytes, n);
    return s->len >= want;
}

enum taken { TAKEN, TAKEN_PART, TAKEN_BROKEN };

static enum taken take_message(struct store_postgres_stream *s, struct span *bytes,
                               struct message *m)
{
    bool is_in_place = !s->len && bytes->len >= HEAD_BYTES;
    if (!is_in_place && !keep(s, bytes, HEAD_BYTES))
        return TAKEN_PART;
    const char *head = is_in_place ? bytes->data : s->kept;
    size_t len = message_len(head);
    if (!len)
        return TAKEN_BROKEN;
    size_t want = least(len, STORE_POSTGRES_KEPT_BYTES);
    if (is_in_place && bytes->len >= want) {
        move_on(bytes, want);
    } else {
        if (!keep(s, bytes, want))
            return TAKEN_PART;
        head = s->kept;
    }
    s->len = 0;
    s->skip = (uint32_t)(len - want);
    *m = (struct message){
        .kind = head[0],
        .body_len = len - HEAD_BYTES,
        .body = {head + HEAD_BYTES, want - HEAD_BYTES},
    };
    return TAKEN;
}

static const struct store_postgres_reply lost = {.kind = WIRE_LOST};

/* One column, an integer of four or eight bytes. */
static struct store_postgres_reply read_row(const struct message *m)
{
    static const char narrow[] = "\0\1\0\0\0\4", wide[] = "\0\1\0\0\0\10";
    enum { BEFORE = sizeof narrow - 1 };
    struct store_postgres_reply r = {.kind = WIRE_ROW};
    const char *value = m->body.data + BEFORE;
    if (m->body_len == BEFORE + 4 && !memcmp(m->body.data, narrow, BEFORE))
        r.id = (int32_t)get32(value);
    else if (m->body_len == BEFORE + 8 && !memcmp(m->body.data, wide, BEFORE))
        r.id = (int64_t)((uint64_t)get32(value) << 32 | get32(value + 4));
    else
        r.kind = WIRE_LOST;
    return r;
}

/* Fields: a letter and a text each, then a zero. */
static struct store_postgres_reply read_error(const struct message *m)
{
    struct store_postgres_reply r = {.kind = WIRE_ERROR};
    const char *at = m->body.data, *end = at + m->body.len;
    struct span severity = {0}, state = {0};
    while (at < end && *at) {
        const char *zero = memchr(at + 1, 0, (size_t)(end - at - 1));
        if (!zero)
            break;
        struct span text = {at + 1, (size_t)(zero - at - 1)};
        if (*at == 'V')
            severity = text;
        else if (*at == 'C')
            state = text;
        at = zero + 1;
    }
    if (state.len != sizeof r.sqlstate - 1 || !severity.len)
        return lost;
    memcpy(r.sqlstate, state.data, state.len);
    r.is_fatal = !span_eq(severity, SPAN("ERROR"));
    return r;
}

static struct store_postgres_reply read_complete(struct store_postgres_stream *s,
                                                 const struct message *m)
{
    static const char one[] = "INSERT 0 1", none[] = "INSERT 0 0";
    struct span text = m->body;
    bool has_row = s->due == DUE_COMPLETE;
    if (m->body_len != sizeof one || memcmp(text.data, has_row ? one : none, sizeof one) != 0)
        return lost;
    s->due = s->is_grouped ? DUE_MORE : DUE_READY;
    return (struct store_postgres_reply){.kind = has_row ? WIRE_NOTHING : WIRE_NO_ROW};
}

/* WIRE_NOTHING: understood, and nothing to tell. */
static struct store_postgres_reply read_message(struct store_postgres_stream *s,
                                                const struct message *m)
{
    switch (m->kind) {
    case 'N':
    case 'S':
    case 'A':
        return (struct store_postgres_reply){.kind = WIRE_NOTHING};
    case 'E':
        s->due = DUE_READY;
        return read_error(m);
    case '2':
        if ((s->due != DUE_BIND && s->due != DUE_MORE) || m->body_len)
            return lost;
        s->due = DUE_ROW;
        return (struct store_postgres_reply){.kind = WIRE_NOTHING};
    case 'D':
        if (s->due != DUE_ROW)
            return lost;
        s->due = DUE_COMPLETE;
        return read_row(m);
    case 'C':
        return s->due == DUE_ROW || s->due == DUE_COMPLETE ? read_complete(s, m) : lost;
    case 'Z':
        /* "I": no transaction is open, so that of the inserts has ended. */
        if ((s->due != DUE_READY && s->due != DUE_MORE) || m->body_len != 1 || *m->body.data != 'I')
            return lost;
        s->due = DUE_BIND;
        return (struct store_postgres_reply){.kind = WIRE_SYNC};
    default:
        return lost;
    }
}

struct store_postgres_reply store_postgres_frames_next(struct store_postgres_stream *s,
                                                       struct span *bytes)
{
    struct message m;
    for (;;) {
        size_t skipped = least(s->skip, bytes->len);
        s->skip -= (uint32_t)skipped;
        move_on(bytes, skipped);
        if (!bytes->len)
            return (struct store_postgres_reply){.kind = WIRE_NOTHING};
        switch (take_message(s, bytes, &m)) {
        case TAKEN_PART:
            return (struct store_postgres_reply){.kind = WIRE_NOTHING};
        case TAKEN_BROKEN:
            return lost;
        case TAKEN:
            break;
        }
        struct store_postgres_reply r = read_message(s, &m);
        if (r.kind != WIRE_NOTHING)
            return r;
    }
}
