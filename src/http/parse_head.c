/* A head is read line by line: memchr finds the end of a line, one walk over the table checks it.
 * A line that has not ended yet is only searched, from where the last search stopped, and kept
 * within the limits; what is known of the lines before it stands in struct http_head, so nothing is
 * looked at twice however the bytes arrive. */
#include "http/http.h"

#include "base/num.h"
#include "http/authority.h"
#include "http/chars.h"

enum side {
    REQUEST,
    RESPONSE,
};

enum {
    BAD_REQUEST = -400,
    URI_TOO_LONG = -414,
    EXPECTATION_FAILED = -417,
    FIELDS_TOO_LARGE = -431,
    NOT_IMPLEMENTED = -501,
    VERSION_NOT_SUPPORTED = -505,
    BAD_GATEWAY = -502,
};

#define VERSION_LEN 8 /* of "HTTP/1.1" */

/* A line without its CRLF, or what is left to read of it. */
struct line {
    const char *p, *end;
};

static struct http_part part(const char *data, const char *from, const char *to)
{
    return (struct http_part){(uint32_t)(from - data), (uint32_t)(to - from)};
}

/* --- limits --- */

/* Decides by the bytes that fit and one more, so that it does not matter how many had arrived. */
static int refuse_long_line(const char *p, const char *end)
{
    const char *space = chars_skip(p, end, CHARS_TOKEN);
    if (space == end)
        return NOT_IMPLEMENTED; /* a method longer than any: RFC 9112 section 3 */
    if (space == p || *space != ' ')
        return BAD_REQUEST;
    const char *after = memchr(space + 1, ' ', (size_t)(end - space - 1));
    return after && end - after - 1 > VERSION_LEN ? BAD_REQUEST : URI_TOO_LONG;
}

/* `end`: bytes before the line's LF, or all bytes there are, at most limits->head_bytes. What is
 * over a limit is so before its line has ended; but for a CR, which may be the head's end. */
static int check_limits(const struct http_head *h, const char *data, size_t end,
                        const struct http_limits *limits)
{
    size_t fitting = (size_t)limits->line_bytes + 1; /* with the CR */
    if (!h->has_start_line && end - h->line > fitting)
        return refuse_long_line(data + h->line, data + h->line + fitting);
    bool is_field = h->has_start_line && end > h->line && data[h->line] != '\r';
    bool is_over = end >= limits->head_bytes || (is_field && h->fields >= limits->fields);
    return is_over ? FIELDS_TOO_LARGE : 0;
}

/* --- start lines --- */

/* "HTTP/1.x" at `p`. RFC 9110 section 2.5: a higher minor is taken as the highest known. */
static int read_version(struct http_head *h, const char *p)
{
    if (memcmp(p, "HTTP/", 5) != 0 || p[6] != '.' || !chars_is(p[5], CHARS_DIGIT) ||
        !chars_is(p[7], CHARS_DIGIT))
        return BAD_REQUEST;
    h->minor = p[7] != '0';
    return p[5] == '1' ? 0 : VERSION_NOT_SUPPORTED;
}

static int read_path_and_query(struct http_head *h, const char *data, struct line target)
{
    const char *p = chars_skip_uri(target.p, target.end, CHARS_PATH);
    h->path = part(data, target.p, p);
    if (p < target.end && *p == '?') {
        const char *query = p + 1;
        p = chars_skip_uri(query, target.end, CHARS_QUERY);
        h->query = part(data, query, p);
    }
    return p == target.end ? 0 : BAD_REQUEST;
}

/* "http://" authority [path] ["?" query]: to be accepted, and to go before Host (RFC 9112 section
 * 3.2.2). https is to be refused on a connection that is not secured (RFC 9110 section 7.4). */
static int read_absolute_form(struct http_head *h, const char *data, struct line target)
{
    static const struct span scheme = SPAN("http://");
    struct authority a;
    if ((size_t)(target.end - target.p) < scheme.len ||
        !span_eq_nocase((struct span){target.p, scheme.len}, scheme))
        return BAD_REQUEST;
    const char *host = target.p + scheme.len, *p = host;
    while (p < target.end && *p != '/' && *p != '?')
        p++;
    if (!authority_split((struct span){host, (size_t)(p - host)}, &a) || !a.host.len)
        return BAD_REQUEST;
    h->host = part(data, host, p);
    int refusal = read_path_and_query(h, data, (struct line){p, target.end});
    if (!h->path.len)
        h->path = part(data, host - 1, host); /* no path means "/": the one before the host */
    return refusal;
}

/* host ":" port, of CONNECT only (RFC 9112 section 3.2.3). */
static int read_authority_form(struct http_head *h, const char *data, struct line target)
{
    struct authority a;
    if (!authority_split((struct span){target.p, (size_t)(target.end - target.p)}, &a) ||
        !a.host.len || !a.port.len)
        return BAD_REQUEST;
    h->host = part(data, target.p, target.end);
    return 0;
}

static int read_target(struct http_head *h, const char *data, struct line target)
{
    h->target = part(data, target.p, target.end);
    if (h->method == HTTP_CONNECT)
        return read_authority_form(h, data, target);
    if (*target.p == '/')
        return read_path_and_query(h, data, target);
    if (*target.p == '*' && h->target.len == 1) /* RFC 9112 section 3.2.4 */
        return h->method == HTTP_OPTIONS ? 0 : BAD_REQUEST;
    return read_absolute_form(h, data, target);
}

/* method SP target SP version; a second space anywhere falls foul of the target's characters. */
static int read_request_line(struct http_head *h, const char *data, struct line line)
{
    const char *space = chars_skip(line.p, line.end, CHARS_TOKEN);
    if (space == line.p || line.end - space < VERSION_LEN + 3 || *space != ' ')
        return BAD_REQUEST;
    struct line target = {space + 1, line.end - VERSION_LEN - 1};
    if (*target.end != ' ')
        return BAD_REQUEST;
    http_method_from((struct span){line.p, (size_t)(space - line.p)}, &h->method);
    int refusal = read_version(h, target.end + 1);
    return refusal ? refusal : read_target(h, data, target);
}

/* version SP 3DIGIT SP [reason]: the second space is not optional (RFC 9112 section 4). */
static int read_status_line(struct http_head *h, struct line line)
{
    const char *code = line.p + VERSION_LEN + 1, *reason = code + 4;
    if (line.end - line.p < VERSION_LEN + 5 || read_version(h, line.p) != 0 || code[-1] != ' ' ||
        chars_skip(code, code + 3, CHARS_DIGIT) != code + 3 || code[0] == '0' || code[3] != ' ' ||
        !chars_are_value((struct span){reason, (size_t)(line.end - reason)}))
        return BAD_GATEWAY;
    h->status = (uint16_t)((code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0'));
    return 0;
}

/* --- fields --- */

/* RFC 9112 section 3.2: one valid Host, or 400. An absolute-form target goes before it. */
static int read_host(struct http_head *h, const char *data, struct span value)
{
    struct authority a;
    if (h->has_host || !authority_split(value, &a))
        return BAD_REQUEST;
    h->has_host = true;
    if (!h->host.len)
        h->host = part(data, value.data, value.data + value.len);
    return 0;
}

/* One decimal number, once, and never beside Transfer-Encoding (RFC 9112 section 6.3). */
static int read_content_length(struct http_head *h, struct span value)
{
    if (h->has_length || h->has_transfer_encoding || !num_get(value, INT64_MAX, &h->content_length))
        return BAD_REQUEST;
    h->has_length = true;
    return 0;
}

/* RFC 9112 sections 6.1 and 6.3: chunked once, and last; HTTP/1.0 knows none. A coding before it
 * is valid but unknown, which check_coding() refuses once it is sure that chunked follows. */
static int read_transfer_encoding(struct http_head *h, struct span value)
{
    struct span coding;
    if (h->has_length || h->minor == 0)
        return BAD_REQUEST;
    h->has_transfer_encoding = true;
    while (chars_next_element(&value, &coding)) {
        if (h->has_chunked)
            return BAD_REQUEST;
        if (span_eq_nocase(coding, SPAN("chunked")))
            h->has_chunked = true;
        else
            h->has_other_coding = true;
    }
    return 0;
}

static int check_coding(const struct http_head *h)
{
    if (h->has_transfer_encoding && !h->has_chunked)
        return BAD_REQUEST;
    return h->has_other_coding ? NOT_IMPLEMENTED : 0;
}

static void read_connection(struct http_head *h, struct span value)
{
    struct span option;
    while (chars_next_element(&value, &option)) {
        h->has_close |= span_eq_nocase(option, SPAN("close"));
        h->has_keep_alive |= span_eq_nocase(option, SPAN("keep-alive"));
    }
}

/* RFC 9110 section 10.1.1; of an HTTP/1.0 request 100-continue must be ignored. */
static int read_expect(struct http_head *h, struct span value)
{
    struct span expectation;
    while (chars_next_element(&value, &expectation)) {
        if (!span_eq_nocase(expectation, SPAN("100-continue")))
            return EXPECTATION_FAILED;
        h->expects_continue = h->minor > 0;
    }
    return 0;
}

/* Words with letters in lower case. Setting bit 5 makes no two field names equal that are not: of
 * a token's characters only letters, '^' and '_' change, and no known name has '~' or DEL. */
static inline uint64_t lower_eight(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word | UINT64_C(0x2020202020202020);
}

static inline uint32_t lower_four(const char *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word | UINT32_C(0x20202020);
}

/* `name` is a token and as long as `known`, which is in lower case and 4 to 24 bytes long: words
 * that overlap cover it. */
static inline bool is_name(const char *name, const char *known, size_t len)
{
    if (len < 8)
        return lower_four(name) == lower_four(known) &&
               lower_four(name + len - 4) == lower_four(known + len - 4);
    return lower_eight(name) == lower_eight(known) &&
           lower_eight(name + len - 8) == lower_eight(known + len - 8) &&
           (len <= 16 || lower_eight(name + 8) == lower_eight(known + 8));
}
#define IS_NAME(name, literal) is_name((name), (literal), sizeof(literal) - 1)

static int read_known_field(struct http_head *h, const char *data, struct span name,
                            struct span value, enum side side)
{
    struct http_part where = {(uint32_t)(value.data - data), (uint32_t)value.len};
    switch (name.len) {
    case 4:
        if (side == REQUEST && IS_NAME(name.data, "host"))
            return read_host(h, data, value);
        break;
    case 6:
        if (side == REQUEST && IS_NAME(name.data, "expect"))
            return read_expect(h, value);
        break;
    case 8:
        if (IS_NAME(name.data, "location"))
            h->location = where;
        else if (side == REQUEST && IS_NAME(name.data, "if-match"))
            h->has_match_tag |= !span_eq(value, SPAN("*"));
        break;
    case 10:
        if (IS_NAME(name.data, "connection"))
            read_connection(h, value);
        break;
    case 11:
        if (IS_NAME(name.data, "retry-after"))
            h->retry_after = where;
        break;
    case 12:
        if (IS_NAME(name.data, "content-type"))
            h->content_type = where;
        break;
    case 13:
        if (side == REQUEST && IS_NAME(name.data, "if-none-match"))
            h->has_none_match_any |= span_eq(value, SPAN("*"));
        break;
    case 14:
        if (IS_NAME(name.data, "content-length"))
            return read_content_length(h, value);
        break;
    case 17:
        if (IS_NAME(name.data, "transfer-encoding"))
            return read_transfer_encoding(h, value);
        break;
    }
    return 0;
}

/* name ":" OWS value OWS. A space before the name (obs-fold) or before the colon is no token
 * character, so both end here (RFC 9112 sections 2.2, 5.1, 5.2). */
static int read_field(struct http_head *h, const char *data, struct line line, enum side side)
{
    h->fields++;
    const char *colon = chars_skip(line.p, line.end, CHARS_TOKEN);
    if (colon == line.p || colon == line.end || *colon != ':')
        return BAD_REQUEST;
    struct span name = {line.p, (size_t)(colon - line.p)};
    struct span value = chars_trim((struct span){colon + 1, (size_t)(line.end - colon - 1)});
    if (!chars_are_value(value))
        return BAD_REQUEST;
    return read_known_field(h, data, name, value, side);
}

/* --- the whole --- */

static int check_head(const struct http_head *h, enum side side)
{
    if (side == REQUEST && h->minor > 0 && !h->has_host)
        return BAD_REQUEST; /* RFC 9112 section 3.2 */
    return check_coding(h);
}

/* An empty line comes here only before the start line, where one is to be passed over before a
 * request (RFC 9112 section 2.2). */
static int read_line(struct http_head *h, const char *data, struct line line, enum side side)
{
    if (h->has_start_line)
        return read_field(h, data, line, side);
    if (line.p == line.end)
        return side == REQUEST && line.p == data ? 0 : BAD_REQUEST;
    h->has_start_line = true;
    return side == REQUEST ? read_request_line(h, data, line) : read_status_line(h, line);
}

static int read_head(struct http_head *h, const char *data, size_t len,
                     const struct http_limits *limits, enum side side)
{
    size_t room = len < limits->head_bytes ? len : limits->head_bytes;
    while (h->scanned < room) {
        const char *lf = memchr(data + h->scanned, '\n', room - h->scanned);
        size_t end = lf ? (size_t)(lf - data) : room;
        int refusal = check_limits(h, data, end, limits);
        if (refusal)
            return refusal;
        h->scanned = (uint32_t)end;
        if (!lf)
            return 0;
        if (end == h->line || lf[-1] != '\r')
            return BAD_REQUEST;
        struct line line = {data + h->line, lf - 1};
        h->line = h->scanned = (uint32_t)(end + 1);
        bool is_end = h->has_start_line && line.p == line.end;
        refusal = is_end ? check_head(h, side) : read_line(h, data, line, side);
        if (refusal || is_end)
            return refusal ? refusal : (int)h->line;
    }
    return len >= limits->head_bytes ? FIELDS_TOO_LARGE : 0;
}

int http_request_head(struct http_head *h, const char *data, size_t len,
                      const struct http_limits *limits)
{
    return read_head(h, data, len, limits, REQUEST);
}

int http_response_head(struct http_head *h, const char *data, size_t len,
                       const struct http_limits *limits)
{
    int got = read_head(h, data, len, limits, RESPONSE);
    return got < 0 ? BAD_GATEWAY : got;
}

bool http_is_persistent(const struct http_head *h)
{
    return !h->has_close && (h->minor > 0 || h->has_keep_alive);
}
