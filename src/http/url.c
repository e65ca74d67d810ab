/* A URL is cut into its parts from the left and put together again in normal form: scheme and host
 * in lower case, the default port left out, at least "/", what may not stand in a request line
 * percent-encoded, the fragment gone. Only what is surely a mistake is refused. */
#include "http/url.h"

#include <stdio.h>

#include "base/log.h"
#include "base/num.h"
#include "http/authority.h"
#include "http/chars.h"

#define HTTP_PORT   80
#define LABEL_BYTES 63 /* RFC 1035 section 2.3.4 */

#define EXPECTED "expected http://HOST[:PORT][/PATH] or unix:/PATH.sock[:/TARGET]"

/* Shows the URL as it was given, but for what may be a password before an '@'. */
static bool refuse(struct fail *f, struct span url, const char *what)
{
    char shown[256];
    const char *at = url.len ? memrchr(url.data, '@', url.len) : NULL;
    struct span safe = at ? (struct span){at, (size_t)(url.data + url.len - at)} : url;
    log_escape(safe, shown, sizeof shown);
    return fail_set(f, EXIT_USAGE, "URL \"%s%s\": %s", at ? "..." : "", shown, what);
}

static const char *find(struct span s, const char *any)
{
    for (size_t i = 0; i < s.len; i++)
        if (strchr(any, s.data[i]) && s.data[i])
            return s.data + i;
    return s.data + s.len;
}

static struct span from(struct span s, const char *p)
{
    return (struct span){p, (size_t)(s.data + s.len - p)};
}

static struct span before(struct span s, const char *p)
{
    return (struct span){s.data, (size_t)(p - s.data)};
}

/* --- the whole text --- */

static bool check_text(struct span url, struct fail *f)
{
    for (size_t i = 0; i < url.len; i++)
        if ((unsigned char)url.data[i] <= ' ' || url.data[i] == 0x7f)
            return refuse(f, url, "has a space or a control character; write a space as %20");
    return url.len > 0 || refuse(f, url, "is empty; " EXPECTED);
}

/* --- target --- */

/* Appends [p, p + len) so that it may stand in a request line (RFC 3986 section 2). */
static size_t put_encoded(char *at, size_t room, struct span s, enum chars_class class)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        bool is_plain = c == '%' || chars_is((char)c, class);
        if (n + (is_plain ? 1 : 3) > room)
            return SIZE_MAX;
        if (is_plain) {
            at[n++] = (char)c;
        } else {
            at[n++] = '%';
            at[n++] = hex[c >> 4];
            at[n++] = hex[c & 15];
        }
    }
    return n;
}

static bool has_broken_percent(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] == '%' && (s.len - i < 3 || !chars_is(s.data[i + 1], CHARS_HEX) ||
                                 !chars_is(s.data[i + 2], CHARS_HEX)))
            return true;
    return false;
}

/* `rest` is empty or begins with '/', '?' or '#'. */
static bool set_target(struct url *u, struct span url, struct span rest, struct fail *f)
{
    struct span target = before(rest, find(rest, "#"));
    size_t n = 0, room = sizeof u->target - 1;
    if (has_broken_percent(target))
        return refuse(f, url, "has a % that no two hex digits follow; write the character as %25");
    if (!target.len || target.data[0] != '/')
        u->target[n++] = '/';
    struct span path = before(target, find(target, "?"));
    size_t more = put_encoded(u->target + n, room - n, path, CHARS_PATH);
    n = more == SIZE_MAX ? SIZE_MAX : n + more;
    if (n != SIZE_MAX) {
        more = put_encoded(u->target + n, room - n, from(target, path.data + path.len),
                           CHARS_QUERY);
        n = more == SIZE_MAX ? SIZE_MAX : n + more;
    }
    if (n == SIZE_MAX)
        return fail_set(f, EXIT_USAGE, "URL: path and query are longer than the limit of %zu bytes",
                        room);
    u->target[n] = 0;
    return true;
}

/* --- host and port --- */

static bool is_number(struct span s)
{
    return s.len && chars_skip(s.data, s.data + s.len, CHARS_DIGIT) == s.data + s.len;
}

/* Letters, digits, '-' and '_' in labels (names of containers have '_'), one dot at the end. */
static bool is_name(struct span host)
{
    size_t label = 0;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        label = c == '.' ? 0 : label + 1;
        bool is_empty_label = c == '.' && (i == 0 || host.data[i - 1] == '.');
        bool is_allowed = c == '.' || c == '-' || c == '_' || chars_is(c, CHARS_DIGIT) ||
                          ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!is_allowed || is_empty_label || label > LABEL_BYTES)
            return false;
    }
    return host.len > 0;
}

static void put_lower(char *at, struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        at[i] = (char)(s.data[i] >= 'A' && s.data[i] <= 'Z' ? s.data[i] | 0x20 : s.data[i]);
    at[s.len] = 0;
}

static bool set_port(struct url *u, struct span url, const struct authority *a, struct fail *f)
{
    uint64_t port = HTTP_PORT;
    if (a->has_port && (!num_get(a->port, UINT16_MAX, &port) || port == 0))
        return refuse(f, url, "the port must be a number from 1 to 65535");
    u->port = (uint16_t)port;
    return true;
}

static bool set_host(struct url *u, struct span url, struct span host, struct fail *f)
{
    bool is_literal = host.len && host.data[0] == '[';
    if (is_literal && (host.data[1] | 0x20) == 'v')
        return refuse(f, url, "no address format after IPv6 is known");
    if (!host.len)
        return refuse(f, url, "has no host; " EXPECTED ", for instance http://127.0.0.1:8080/");
    if (is_number(host))
        return refuse(f, url, "a number alone is no host; write 127.0.0.1:PORT");
    if (!is_literal && !is_name(host))
        return refuse(f, url,
                      "the host must be a name of letters, digits, '-', '_' and '.', an IP "
                      "address, or an IPv6 address in brackets");
    struct span bare = is_literal ? (struct span){host.data + 1, host.len - 2} : host;
    if (bare.len >= sizeof u->host)
        return refuse(f, url, "the host is longer than 255 characters");
    put_lower(u->host, bare);
    return true;
}

/* Two colons outside brackets are an IPv6 address without them. */
static bool has_two_colons(struct span s)
{
    const char *colon = find(s, ":");
    return s.len && s.data[0] != '[' && colon < s.data + s.len &&
           find(from(s, colon + 1), ":") < s.data + s.len;
}

static bool set_authority(struct url *u, struct span url, struct span text, struct fail *f)
{
    struct authority a;
    if (find(text, "@") < text.data + text.len)
        return fail_set(f, EXIT_USAGE,
                        "URL: user information before '@' is not sent; leave it out and pass "
                        "-H 'Authorization: ...'");
    if (has_two_colons(text))
        return refuse(f, url, "an IPv6 address stands in brackets: http://[::1]:8080/");
    if (!authority_split(text, &a)) {
        const char *port = text.len && text.data[0] == '[' ? NULL : find(text, ":");
        bool is_port = port && port < text.data + text.len && is_name(before(text, port));
        return refuse(f, url,
                      is_port ? "the port must be a number from 1 to 65535"
                              : "the host is no name and no IP address; " EXPECTED);
    }
    return set_host(u, url, a.host, f) && set_port(u, url, &a, f);
}

/* --- the two kinds --- */

static bool parse_unix(struct url *u, struct span url, struct fail *f)
{
    struct span path = from(url, url.data + strlen("unix:"));
    const char *end = path.data + path.len, *target = path.data;
    while (target < end && !(target[0] == ':' && target + 1 < end && target[1] == '/'))
        target++;
    path = before(path, target);
    if (!path.len)
        return refuse(f, url, "no path after unix:; expected unix:/PATH.sock[:/TARGET]");
    if (path.len >= sizeof u->unix_path)
        return refuse(f, url, "the path of a Unix socket is at most 107 bytes long (unix(7))");
    memcpy(u->unix_path, path.data, path.len);
    memcpy(u->host_field, "localhost", sizeof "localhost");
    return set_target(u, url, from(url, target < end ? target + 1 : end), f);
}

/* "http://" may be left out. */
static bool skip_scheme(struct span url, struct span *rest, struct fail *f)
{
    const char *colon = find(url, ":/?#");
    struct span after = from(url, colon);
    *rest = url;
    if (!span_starts(after, SPAN("://")))
        return true;
    struct span scheme = before(url, colon);
    if (span_eq_nocase(scheme, SPAN("https")))
        return refuse(f, url, "https is not spoken; name the service's plain http address");
    if (!span_eq_nocase(scheme, SPAN("http")))
        return refuse(f, url, "only http:// and unix: are known; " EXPECTED);
    *rest = from(url, colon + 3);
    return true;
}

static bool parse_http(struct url *u, struct span url, struct fail *f)
{
    struct span rest;
    if (!skip_scheme(url, &rest, f))
        return false;
    struct span authority = before(rest, find(rest, "/?#"));
    if (!set_authority(u, url, authority, f) ||
        !set_target(u, url, from(rest, authority.data + authority.len), f))
        return false;
    bool is_ipv6 = strchr(u->host, ':');
    int len = snprintf(u->host_field, sizeof u->host_field, is_ipv6 ? "[%s]" : "%s", u->host);
    if (u->port != HTTP_PORT)
        snprintf(u->host_field + len, sizeof u->host_field - (size_t)len, ":%u", u->port);
    return true;
}

bool url_parse(const char *text, struct url *u, struct fail *f)
{
    struct span url = span_of(text);
    memset(u, 0, sizeof *u);
    if (!check_text(url, f))
        return false;
    if (span_starts(url, SPAN("unix:"))) {
        if (!parse_unix(u, url, f))
            return false;
        snprintf(u->text, sizeof u->text, "unix:%s:%s", u->unix_path, u->target);
        return true;
    }
    if (!parse_http(u, url, f))
        return false;
    snprintf(u->text, sizeof u->text, "http://%s%s", u->host_field, u->target);
    return true;
}
