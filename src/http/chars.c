/* One table says for every byte where it may stand; long values are looked at eight bytes at a
 * time. */
#include "http/chars.h"

#define MARK     CHARS_VALUE                              /* stands in values only */
#define SEGMENT  (CHARS_PATH | CHARS_QUERY | CHARS_VALUE) /* pchar's : and @, and / */
#define SUBDELIM (CHARS_HOST | SEGMENT)                   /* of a URI, no tchar */
#define COMMON   (CHARS_TOKEN | SUBDELIM)                 /* of a URI and tchar */
#define DIGIT    (COMMON | CHARS_HEX | CHARS_DIGIT)

const uint8_t chars_table[256] = {
    ['\t'] = MARK,
    [' '] = MARK,
    ['!'] = COMMON,
    ['"'] = MARK,
    ['#'] = CHARS_TOKEN | MARK,
    ['$'] = COMMON,
    ['%'] = CHARS_TOKEN | MARK,
    ['&'] = COMMON,
    ['\''] = COMMON,
    ['('] = SUBDELIM,
    [')'] = SUBDELIM,
    ['*'] = COMMON,
    ['+'] = COMMON,
    [','] = SUBDELIM,
    ['-'] = COMMON,
    ['.'] = COMMON,
    ['/'] = SEGMENT,
    ['0' ... '9'] = DIGIT,
    [':'] = SEGMENT,
    [';'] = SUBDELIM,
    ['<'] = MARK,
    ['='] = SUBDELIM,
    ['>'] = MARK,
    ['?'] = CHARS_QUERY | MARK,
    ['@'] = SEGMENT,
    ['A' ... 'F'] = COMMON | CHARS_HEX,
    ['G' ... 'Z'] = COMMON,
    ['['] = MARK,
    ['\\'] = MARK,
    [']'] = MARK,
    ['^'] = CHARS_TOKEN | MARK,
    ['_'] = COMMON,
    ['`'] = CHARS_TOKEN | MARK,
    ['a' ... 'f'] = COMMON | CHARS_HEX,
    ['g' ... 'z'] = COMMON,
    ['{'] = MARK,
    ['|'] = CHARS_TOKEN | MARK,
    ['}'] = MARK,
    ['~'] = COMMON,
    [0x80 ... 0xff] = MARK,
};

static uint64_t eight(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* Whether one of eight bytes is below 0x20 or is 0x7f; a tab is among them and wants the table. */
static bool has_control(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101, tops = ones << 7;
    uint64_t del = word ^ (ones * 0x7f);
    uint64_t low = (word - ones * 0x20) & ~word;
    return (low | ((del - ones) & ~del)) & tops;
}

bool chars_are_value(struct span s)
{
    const char *p = s.data, *end = s.data + s.len;
    while (end - p >= 8 && !has_control(eight(p)))
        p += 8;
    if (s.len >= 8 && end - p < 8 && !has_control(eight(end - 8)))
        return true; /* the last word overlaps what was seen already */
    return chars_skip(p, end, CHARS_VALUE) == end;
}

bool chars_next_element(struct span *list, struct span *element)
{
    const char *p = list->data, *end = p + list->len;
    while (p < end && (*p == ',' || chars_is_space(*p)))
        p++;
    const char *comma = p;
    while (comma < end && *comma != ',')
        comma++;
    *element = chars_trim((struct span){p, (size_t)(comma - p)});
    *list = (struct span){comma, (size_t)(end - comma)};
    return element->len;
}
