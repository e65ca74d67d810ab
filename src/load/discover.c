/* One GET of the contract, and the one key of it that matters here. */
#include "load/discover.h"

#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "conn/exchange.h"

static const uint64_t DEADLINE_NS = 2 * NS_PER_S;

static bool refuse(struct fail *f, const char *what)
{
    return fail_set(f, EXIT_FAILED,
                    "no URL was given and " DISCOVER_ADDRESS " %s; start the target "
                    "with `iubench serve --mode db`, or name a URL such as "
                    "http://host:port/path",
                    what);
}

static bool ask(struct exchange *x, const struct address *to, struct discovery *d, struct fail *f)
{
    static const char request[] = "GET /openapi.json HTTP/1.1\r\nHost: " DISCOVER_ADDRESS
                                  "\r\nConnection: close\r\n\r\n";
    struct exchange_reply reply;
    enum exchange_end end = exchange_open(x, to);
    if (end == EXCHANGE_REPLIED)
        end = exchange_send(x, span_of(request));
    if (end == EXCHANGE_REPLIED)
        end = exchange_read(x, HTTP_GET, &reply);
    if (end != EXCHANGE_REPLIED)
        return refuse(f, exchange_end_text(end));
    if (reply.head.status == 200 && !discover_read(d, reply.body))
        return refuse(f, "answers /openapi.json with something that is not JSON");
    return true;
}

bool discover_target(struct discovery *d, struct fail *f)
{
    struct address to;
    *d = (struct discovery){0};
    if (!address_parse(DISCOVER_ADDRESS, &to, f))
        return false;
    struct exchange x = {.deadline_ns = clock_ns() + DEADLINE_NS};
    bool is_good = ask(&x, &to, d, f);
    exchange_close(&x);
    return is_good;
}

bool discover_read(struct discovery *d, struct span body)
{
    json_error_t error;
    json_t *document = json_loadb(body.data, body.len, 0, &error);
    *d = (struct discovery){0};
    if (!document)
        return false;
    const char *mode = json_string_value(
        json_object_get(json_object_get(document, "x-iubench"), "mode"));
    if (mode && strlen(mode) < sizeof d->mode) {
        memcpy(d->mode, mode, strlen(mode) + 1);
        d->is_post = strcmp(mode, "post") == 0 || strcmp(mode, "db") == 0;
    }
    json_decref(document);
    return true;
}
