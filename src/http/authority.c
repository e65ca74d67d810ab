/* The rare IP literal is left to inet_pton(3); everything else is one walk over the table. */
#include "http/authority.h"

#include <arpa/inet.h>

#include "http/chars.h"

/* "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" ) */
static bool is_future_address(const char *p, const char *end)
{
    if (p == end || (*p | 0x20) != 'v')
        return false;
    const char *dot = chars_skip(++p, end, CHARS_HEX);
    if (dot == p || dot == end || *dot != '.' || ++dot == end)
        return false;
    while (dot < end && (chars_is(*dot, CHARS_HOST) || *dot == ':'))
        dot++;
    return dot == end;
}

static bool is_ipv6(const char *p, const char *end)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    size_t len = (size_t)(end - p);
    if (len >= sizeof text)
        return false;
    memcpy(text, p, len);
    text[len] = 0;
    return strlen(text) == len && inet_pton(AF_INET6, text, &address) == 1;
}

/* The end of the host at the beginning of [p, end), or NULL. */
static const char *host_end(const char *p, const char *end)
{
    if (p == end || *p != '[')
        return chars_skip_uri(p, end, CHARS_HOST);
    const char *close = memchr(p, ']', (size_t)(end - p));
    if (!close || !(is_ipv6(p + 1, close) || is_future_address(p + 1, close)))
        return NULL;
    return close + 1;
}

bool authority_split(struct span text, struct authority *a)
{
    const char *end = text.data + text.len;
    const char *p = host_end(text.data, end);
    if (!p)
        return false;
    a->host = (struct span){text.data, (size_t)(p - text.data)};
    a->has_port = p < end && *p == ':';
    p += a->has_port;
    a->port = (struct span){p, (size_t)(end - p)};
    return chars_skip(p, end, CHARS_DIGIT) == end && (a->has_port || p == end);
}
