/* Any text as a URL: what is taken has a normal form that is its own, and the server's parser
 * understands the request that it becomes; what is refused is refused in printable words. */
#include <stdio.h>
#include <stdlib.h>

#include "http/http.h"
#include "http/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_taken(const struct url *u)
{
    static const struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct url again;
    struct fail f;
    struct http_head h = {0};
    char head[4096];
    CHECK(url_parse(u->text, &again, &f));
    CHECK(memcmp(u, &again, sizeof again) == 0);
    CHECK(!u->host[0] == !!u->unix_path[0] && (u->port > 0) == !u->unix_path[0]);
    int len = snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", u->target,
                       u->host_field);
    CHECK(http_request_head(&h, head, (size_t)len, &limits) == len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct url u;
    struct fail f = {.text = ""};
    char *text = malloc(size + 1);
    CHECK(text);
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    if (url_parse(text, &u, &f)) {
        check_taken(&u);
    } else {
        CHECK(f.exit == EXIT_USAGE && f.text[0]);
        for (const char *p = f.text; *p; p++)
            CHECK(*p >= ' ' && *p < 0x7f);
    }
    free(text);
    return 0;
}
