/* A scanner for one small JSON object, made for the hot path of POST: a text without escapes is
 * copied once, into the record that keeps it while it is stored. */
#include "target/device.h"

#include <stdbool.h>

#include "base/num.h"

enum { DEPTH_MAX = 32 };

struct scan {
    const unsigned char *at, *end;
    const char *error;
};

static bool scan_value(struct scan *s, int depth);

static bool scan_fail(struct scan *s, const char *error)
{
    if (!s->error)
        s->error = error;
    return false;
}

static void skip_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
}

static bool scan_char(struct scan *s, char c)
{
    skip_space(s);
    if (s->at == s->end || *s->at != (unsigned char)c)
        return false;
    s->at++;
    return true;
}

/* --- strings --- */

struct text_out {
    char *data; /* NULL: the string is only checked */
    size_t len, chars;
    bool is_over;
    bool is_stored; /* as a database's text, which has no NUL */
};

static void put_char(struct text_out *o, const char *utf8, size_t len)
{
    if (++o->chars > DEVICE_TEXT_CHARS) {
        o->is_over = true;
        return;
    }
    if (o->data)
        memcpy(o->data + o->len, utf8, len);
    o->len += len;
}

static bool hex4(struct scan *s, unsigned *value)
{
    *value = 0;
    if (s->end - s->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        unsigned char c = *s->at++, low = c | 0x20;
        if (c >= '0' && c <= '9')
            *value = *value * 16 + (unsigned)(c - '0');
        else if (low >= 'a' && low <= 'f')
            *value = *value * 16 + (unsigned)(low - 'a' + 10);
        else
            return false;
    }
    return true;
}

static size_t to_utf8(unsigned code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

static bool scan_unicode_escape(struct scan *s, struct text_out *o)
{
    unsigned code, low;
    char utf8[4];
    if (!hex4(s, &code))
        return scan_fail(s, "the JSON has a malformed unicode escape");
    if (code >= 0xd800 && code < 0xe000) {
        if (code >= 0xdc00 || s->end - s->at < 2 || s->at[0] != '\\' || s->at[1] != 'u')
            return scan_fail(s, "the JSON has half a surrogate pair");
        s->at += 2;
        if (!hex4(s, &low) || low < 0xdc00 || low >= 0xe000)
            return scan_fail(s, "the JSON has half a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    if (!code && o->is_stored)
        return scan_fail(s, "a text with a NUL character cannot be stored");
    put_char(o, utf8, to_utf8(code, utf8));
    return true;
}

static bool scan_escape(struct scan *s, struct text_out *o)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (s->at == s->end)
        return scan_fail(s, "the JSON ends within a string");
    unsigned char c = *s->at++;
    if (c == 'u')
        return scan_unicode_escape(s, o);
    const char *found = c ? strchr(from, c) : NULL;
    if (!found)
        return scan_fail(s, "the JSON has an unknown escape");
    put_char(o, &to[found - from], 1);
    return true;
}

/* The length of a well-formed UTF-8 sequence of two to four bytes (RFC 3629 section 4), 0 if it is
 * none. */
static size_t utf8_len(const unsigned char *at, size_t left)
{
    static const struct {
        unsigned char lead_low, lead_high, second_low, second_high, len;
    } rows[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (at[0] < rows[i].lead_low || at[0] > rows[i].lead_high)
            continue;
        if (left < rows[i].len || at[1] < rows[i].second_low || at[1] > rows[i].second_high)
            return 0;
        for (size_t k = 2; k < rows[i].len; k++)
            if (at[k] < 0x80 || at[k] > 0xbf)
                return 0;
        return rows[i].len;
    }
    return 0;
}

/* The opening quote has been read. */
static bool scan_string(struct scan *s, struct text_out *o)
{
    while (s->at < s->end) {
        unsigned char c = *s->at;
        if (c == '"') {
            s->at++;
            return true;
        }
        if (c == '\\') {
            s->at++;
            if (!scan_escape(s, o))
                return false;
        } else if (c < 0x20) {
            return scan_fail(s, "the JSON has a control character in a string");
        } else {
            size_t len = c < 0x80 ? 1 : utf8_len(s->at, (size_t)(s->end - s->at));
            if (!len)
                return scan_fail(s, "the JSON is not valid UTF-8");
            put_char(o, (const char *)s->at, len);
            s->at += len;
        }
    }
    return scan_fail(s, "the JSON ends within a string");
}

/* --- other values: checked, then forgotten --- */

static bool scan_digits(struct scan *s)
{
    const unsigned char *begin = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return s->at > begin;
}

static bool scan_number(struct scan *s)
{
    if (*s->at == '-')
        s->at++;
    bool is_zero = s->at < s->end && *s->at == '0';
    const unsigned char *begin = s->at;
    if (!scan_digits(s) || (is_zero && s->at - begin > 1))
        return scan_fail(s, "the JSON has a malformed number");
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        if (!scan_digits(s))
            return scan_fail(s, "the JSON has a malformed number");
    }
    if (s->at < s->end && (*s->at | 0x20) == 'e') {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
            s->at++;
        if (!scan_digits(s))
            return scan_fail(s, "the JSON has a malformed number");
    }
    return true;
}

static bool scan_word(struct scan *s)
{
    static const struct span words[] = {{"true", 4}, {"false", 5}, {"null", 4}};
    for (size_t i = 0; i < 3; i++)
        if ((size_t)(s->end - s->at) >= words[i].len &&
            memcmp(s->at, words[i].data, words[i].len) == 0) {
            s->at += words[i].len;
            return true;
        }
    return scan_fail(s, "the body is not JSON");
}

static bool scan_key(struct scan *s, struct text_out *key)
{
    if (!scan_char(s, '"'))
        return scan_fail(s, "the JSON lacks a member name");
    if (!scan_string(s, key))
        return false;
    return scan_char(s, ':') || scan_fail(s, "the JSON lacks a colon");
}

static bool scan_members(struct scan *s, int depth, bool is_object)
{
    char close = is_object ? '}' : ']';
    if (depth > DEPTH_MAX)
        return scan_fail(s, "the JSON is nested too deeply");
    if (scan_char(s, close))
        return true;
    do {
        if (is_object && !scan_key(s, &(struct text_out){0}))
            return false;
        if (!scan_value(s, depth))
            return false;
    } while (scan_char(s, ','));
    return scan_char(s, close) || scan_fail(s, "the JSON lacks a comma or a closing bracket");
}

static bool scan_value(struct scan *s, int depth)
{
    skip_space(s);
    if (s->at == s->end)
        return scan_fail(s, "the JSON ends too early");
    switch (*s->at) {
    case '"':
        s->at++;
        return scan_string(s, &(struct text_out){0});
    case '{':
        s->at++;
        return scan_members(s, depth + 1, true);
    case '[':
        s->at++;
        return scan_members(s, depth + 1, false);
    case '-':
    case '0' ... '9':
        return scan_number(s);
    default:
        return scan_word(s);
    }
}

/* --- the device --- */

static bool scan_text(struct scan *s, char *out, uint16_t *len, const char *not_text,
                      const char *too_long)
{
    struct text_out o = {.data = out, .is_stored = true};
    if (!scan_char(s, '"'))
        return scan_fail(s, not_text);
    if (!scan_string(s, &o))
        return false;
    if (o.is_over)
        return scan_fail(s, too_long);
    *len = (uint16_t)o.len;
    return true;
}

static bool scan_member(struct scan *s, struct device_input *d, bool *has_mac, bool *has_firmware)
{
    char name[DEVICE_TEXT_BYTES];
    struct text_out key = {.data = name};
    if (!scan_key(s, &key))
        return false;
    struct span k = {name, key.is_over ? 0 : key.len};
    if (span_eq(k, SPAN("mac"))) {
        *has_mac = true;
        return scan_text(s, d->mac, &d->mac_len, "mac is not a string",
                         "mac is longer than 255 characters");
    }
    if (span_eq(k, SPAN("firmware"))) {
        *has_firmware = true;
        return scan_text(s, d->firmware, &d->firmware_len, "firmware is not a string",
                         "firmware is longer than 255 characters");
    }
    return scan_value(s, 1);
}

const char *device_read(struct device_input *d, struct span json)
{
    struct scan s = {(const unsigned char *)json.data, (const unsigned char *)json.data + json.len,
                     NULL};
    bool has_mac = false, has_firmware = false;
    if (!scan_char(&s, '{'))
        return "the body is not a JSON object";
    if (!scan_char(&s, '}')) {
        do
            if (!scan_member(&s, d, &has_mac, &has_firmware))
                return s.error;
        while (scan_char(&s, ','));
        if (!scan_char(&s, '}'))
            return "the JSON lacks a comma or a closing bracket";
    }
    skip_space(&s);
    if (s.at != s.end)
        return "something follows the JSON object";
    if (!has_mac)
        return "mac is missing";
    return has_firmware ? NULL : "firmware is missing";
}

/* --- writing --- */

static char *put(char *at, struct span s)
{
    memcpy(at, s.data, s.len);
    return at + s.len;
}

/* Whether none of eight bytes must be escaped; may say no for nothing. Sean Anderson, "Bit Twiddling
 * Hacks", "Determine if a word has a byte less than n". */
static bool are_plain(const char *eight)
{
    static const uint64_t each = 0x0101010101010101, high = 0x8080808080808080;
    uint64_t x;
    memcpy(&x, eight, sizeof x);
    uint64_t quote = x ^ each * '"', backslash = x ^ each * '\\';
    return !(
        (((x - each * 0x20) & ~x) | ((quote - each) & ~quote) | ((backslash - each) & ~backslash)) &
        high);
}

static char *put_escaped(char *at, struct span s)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < s.len;) {
        if (i + 8 <= s.len && are_plain(s.data + i)) {
            memcpy(at, s.data + i, 8);
            at += 8;
            i += 8;
            continue;
        }
        unsigned char c = (unsigned char)s.data[i++];
        if (c == '"' || c == '\\') {
            *at++ = '\\';
            *at++ = (char)c;
        } else if (c < 0x20) {
            at = put(at, SPAN("\\u00"));
            *at++ = hex[c >> 4];
            *at++ = hex[c & 15];
        } else {
            *at++ = (char)c;
        }
    }
    return at;
}

char *device_write(char *at, const struct device *d)
{
    at = put(at, SPAN("{"));
    if (d->id) {
        at = put(at, SPAN("\"id\":"));
        at += num_put(at, (uint64_t)d->id);
        *at++ = ',';
    }
    at = put(at, SPAN("\"uuid\":\""));
    at = put(at, d->uuid);
    at = put(at, SPAN("\",\"mac\":\""));
    at = put_escaped(at, d->mac);
    at = put(at, SPAN("\",\"firmware\":\""));
    at = put_escaped(at, d->firmware);
    at = put(at, SPAN("\",\"created_at\":\""));
    at = put(at, d->created_at);
    at = put(at, SPAN("\",\"updated_at\":\""));
    at = put(at, d->updated_at);
    return put(at, SPAN("\"}"));
}

char *device_write_list(char *at)
{
    const struct device devices[] = {
        {1, SPAN("9add349c-c35c-4d32-ab0f-53da1ba40a2a"), SPAN("EF-2B-C4-F5-D6-34"), SPAN("2.1.5"),
         SPAN("2024-05-28T15:21:51.137Z"), SPAN("2024-05-28T15:21:51.137Z")},
        {2, SPAN("d2293412-36eb-46e7-9231-af7e9249fffe"), SPAN("E7-34-96-33-0C-4C"), SPAN("1.0.3"),
         SPAN("2024-01-28T15:20:51.137Z"), SPAN("2024-01-28T15:20:51.137Z")},
        {3, SPAN("eee58ca8-ca51-47a5-ab48-163fd0e44b77"), SPAN("68-93-9B-B5-33-B9"), SPAN("4.3.1"),
         SPAN("2024-08-28T15:18:21.137Z"), SPAN("2024-08-28T15:18:21.137Z")},
    };
    char between = '[';
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        *at++ = between;
        at = device_write(at, &devices[i]);
        between = ',';
    }
    *at++ = ']';
    return at;
}
