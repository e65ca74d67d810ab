/* http URLs as a client is given them (RFC 3986, RFC 9110 section 4.2.1), and unix:PATH:/target. */
#ifndef HTTP_URL_H
#define HTTP_URL_H

#include <stdint.h>

#include "base/fail.h"

struct url {
    char host[256];       /* name or literal without brackets; empty for unix */
    uint16_t port;        /* 80 when not named */
    char unix_path[108];  /* empty for TCP */
    char host_field[272]; /* what goes into Host: name[:port], brackets round IPv6, port only if not
                             80 */
    char target[2048];    /* origin-form: path and query, at least "/" ; no fragment */
    char text[2560]; /* the normalised URL, as it stands in results; user information is refused, so
                        no secrets */
};

/* "http://host:port/path?query", "host:port/path" (http:// is assumed), ":8080/x" and "8080/x" are
 * not accepted; "unix:/path/to.sock:/target" or "unix:/path/to.sock". https:// and other schemes,
 * user information, spaces, control characters and a bad port are refused with EXIT_USAGE and what
 * was expected. */
bool url_parse(const char *text, struct url *u, struct fail *f) MUST_USE;

#endif
