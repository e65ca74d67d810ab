/* Payload is passed over in one step; what frames it is a few bytes and is read one by one, by a
 * state that says which byte may come next. */
#include "http/http.h"

#include "http/chars.h"

#define BAD_FRAMING      (-400)
#define SECTION_BYTES    4096 /* of a chunk line, and of the trailer section */
#define CHUNK_SIZE_LIMIT (UINT64_C(1) << 59)

/* What the next byte belongs to (RFC 9112 section 7.1). */
enum state {
    SIZE_BEGIN,
    SIZE,
    EXT_BEFORE_SEMICOLON, /* after BWS */
    EXT_BEFORE_NAME,
    EXT_NAME,
    EXT_BEFORE_EQUALS, /* BWS after a name: '=' or the next ';' */
    EXT_BEFORE_VALUE,
    EXT_VALUE,
    EXT_QUOTED,
    EXT_ESCAPED, /* after a backslash in quotes */
    EXT_AFTER_QUOTED,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_BEGIN, /* of a line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
};

/* --- which framing --- */

static void begin(struct http_body *b, const struct http_head *h, enum http_body_kind otherwise)
{
    *b = (struct http_body){.kind = otherwise};
    if (h->has_chunked) {
        b->kind = HTTP_BODY_CHUNKED;
    } else if (h->has_length) {
        b->kind = HTTP_BODY_LENGTH;
        b->left = h->content_length;
    }
    b->is_done = b->kind == HTTP_BODY_NONE || (b->kind == HTTP_BODY_LENGTH && b->left == 0);
}

void http_request_body(struct http_body *b, const struct http_head *h)
{
    begin(b, h, HTTP_BODY_NONE);
}

/* RFC 9112 section 6.3: these have none whatever their fields say. */
static bool has_no_body(unsigned status, enum http_method method)
{
    return method == HTTP_HEAD || status < 200 || status == 204 || status == 304 ||
           (method == HTTP_CONNECT && status < 300);
}

void http_response_body(struct http_body *b, const struct http_head *h, enum http_method method)
{
    if (has_no_body(h->status, method))
        *b = (struct http_body){.kind = HTTP_BODY_NONE, .is_done = true};
    else
        begin(b, h, HTTP_BODY_UNTIL_CLOSE);
}

/* --- chunks --- */

/* The size of the chunk is in `left` while its line is read. */
static int add_digit(struct http_body *b, char c)
{
    unsigned digit = c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
    if (b->left >= CHUNK_SIZE_LIMIT)
        return BAD_FRAMING;
    b->left = b->left * 16 + digit;
    return SIZE;
}

/* What may follow a complete size or extension; `space` is the state for BWS there. */
static int after_item(char c, int space)
{
    if (c == '\r')
        return SIZE_LF;
    if (c == ';')
        return EXT_BEFORE_NAME;
    return chars_is_space(c) ? space : BAD_FRAMING;
}

static int in_extension_name(char c, int space)
{
    return c == '=' ? EXT_BEFORE_VALUE : after_item(c, space);
}

static int before_extension_value(char c)
{
    if (chars_is_space(c))
        return EXT_BEFORE_VALUE;
    if (c == '"')
        return EXT_QUOTED;
    return chars_is(c, CHARS_TOKEN) ? EXT_VALUE : BAD_FRAMING;
}

/* RFC 9112 section 7.1.1: read to the letter, since a laxer reader elsewhere could see another end
 * of the line. Spaces must be followed by what they stand before. */
static int after_extension_byte(int state, char c)
{
    switch (state) {
    case EXT_BEFORE_SEMICOLON:
        return c == '\r' ? BAD_FRAMING : after_item(c, EXT_BEFORE_SEMICOLON);
    case EXT_BEFORE_NAME:
        if (chars_is_space(c))
            return EXT_BEFORE_NAME;
        return chars_is(c, CHARS_TOKEN) ? EXT_NAME : BAD_FRAMING;
    case EXT_NAME:
        return chars_is(c, CHARS_TOKEN) ? EXT_NAME : in_extension_name(c, EXT_BEFORE_EQUALS);
    case EXT_BEFORE_EQUALS:
        return c == '\r' ? BAD_FRAMING : in_extension_name(c, EXT_BEFORE_EQUALS);
    case EXT_BEFORE_VALUE:
        return before_extension_value(c);
    case EXT_VALUE:
        return chars_is(c, CHARS_TOKEN) ? EXT_VALUE : after_item(c, EXT_BEFORE_SEMICOLON);
    case EXT_QUOTED:
        if (c == '"')
            return EXT_AFTER_QUOTED;
        if (c == '\\')
            return EXT_ESCAPED;
        return chars_is(c, CHARS_VALUE) ? EXT_QUOTED : BAD_FRAMING;
    case EXT_ESCAPED:
        return chars_is(c, CHARS_VALUE) ? EXT_QUOTED : BAD_FRAMING;
    default: /* EXT_AFTER_QUOTED */
        return after_item(c, EXT_BEFORE_SEMICOLON);
    }
}

/* Trailers are fields that nobody reads here; their framing is held all the same. */
static int after_trailer_byte(int state, char c)
{
    switch (state) {
    case TRAILER_BEGIN:
        if (c == '\r')
            return LAST_LF;
        return chars_is(c, CHARS_TOKEN) ? TRAILER_NAME : BAD_FRAMING;
    case TRAILER_NAME:
        if (c == ':')
            return TRAILER_VALUE;
        return chars_is(c, CHARS_TOKEN) ? TRAILER_NAME : BAD_FRAMING;
    case TRAILER_VALUE:
        if (c == '\r')
            return TRAILER_LF;
        return chars_is(c, CHARS_VALUE) ? TRAILER_VALUE : BAD_FRAMING;
    default: /* TRAILER_LF */
        return c == '\n' ? TRAILER_BEGIN : BAD_FRAMING;
    }
}

/* The state after a byte that frames, or BAD_FRAMING. */
static int after_byte(struct http_body *b, char c)
{
    switch (b->state) {
    case SIZE_BEGIN:
        return chars_is(c, CHARS_HEX) ? add_digit(b, c) : BAD_FRAMING;
    case SIZE:
        return chars_is(c, CHARS_HEX) ? add_digit(b, c) : after_item(c, EXT_BEFORE_SEMICOLON);
    case SIZE_LF:
        b->line_bytes = 0;
        if (c != '\n')
            return BAD_FRAMING;
        return b->left ? DATA : TRAILER_BEGIN;
    case DATA_CR:
        return c == '\r' ? DATA_LF : BAD_FRAMING;
    case DATA_LF:
        b->line_bytes = 0;
        return c == '\n' ? SIZE_BEGIN : BAD_FRAMING;
    case LAST_LF:
        b->is_done = true;
        return c == '\n' ? LAST_LF : BAD_FRAMING;
    default:
        return b->state < SIZE_LF ? after_extension_byte(b->state, c)
                                  : after_trailer_byte(b->state, c);
    }
}

static size_t take_payload(struct http_body *b, struct span in, struct span *payload)
{
    size_t n = in.len < b->left ? in.len : (size_t)b->left;
    *payload = (struct span){in.data, n};
    b->left -= n;
    b->received += n;
    return n;
}

/* Goes on behind a payload until the next one begins, so that one call sees to the usual body. */
static int64_t take_chunked(struct http_body *b, struct span in, struct span *payload)
{
    size_t at = 0;
    while (at < in.len && !b->is_done) {
        if (b->state == DATA) {
            if (payload->len)
                break;
            at += take_payload(b, (struct span){in.data + at, in.len - at}, payload);
            b->state = b->left ? DATA : DATA_CR;
            continue;
        }
        int state = ++b->line_bytes > SECTION_BYTES ? BAD_FRAMING : after_byte(b, in.data[at++]);
        if (state < 0)
            return state;
        b->state = (uint8_t)state;
    }
    return (int64_t)at;
}

int64_t http_body_take(struct http_body *b, struct span in, struct span *payload)
{
    *payload = (struct span){in.data, 0};
    switch (b->kind) {
    case HTTP_BODY_NONE:
        return 0;
    case HTTP_BODY_CHUNKED:
        return take_chunked(b, in, payload);
    case HTTP_BODY_UNTIL_CLOSE:
        b->received += in.len;
        *payload = in;
        return (int64_t)in.len;
    case HTTP_BODY_LENGTH:
        break;
    }
    size_t n = take_payload(b, in, payload);
    b->is_done = b->left == 0;
    return (int64_t)n;
}
