/* GET /fetch-external: one fetch from the upstream, relayed. */
#include "target/target_priv.h"

#include <stdlib.h>

#include "metrics/counter.h"

struct fetch {
    struct target_worker *worker;
    struct server_conn *conn;
    struct proxy_fetch *proxied;
};

static void fetch_abandoned(void *arg)
{
    struct fetch *f = arg;
    proxy_cancel(f->proxied);
}

static void fetch_done(void *arg, enum proxy_outcome outcome, struct span type, struct span body)
{
    struct fetch *f = arg;
    if (outcome != PROXY_OK)
        counter_add(&f->worker->fetch_failed, 1);
    switch (outcome) {
    case PROXY_OK:
        server_reply(f->conn,
                     &(struct server_reply){.status = 200,
                                            .type = type.len ? type : SPAN("application/json"),
                                            .body = body});
        break;
    case PROXY_TIMEOUT:
        server_reply_error(f->conn, 504, (struct span){0}, "the upstream did not answer in time");
        break;
    case PROXY_REFUSED:
        server_reply_error(f->conn, 502, (struct span){0}, "the upstream refused the connection");
        break;
    default:
        server_reply_error(f->conn, 502, (struct span){0}, "the upstream gave no usable answer");
        break;
    }
    free(f);
}

void endpoint_fetch(struct target_worker *w, const struct server_request *r)
{
    struct fetch *f = calloc(1, sizeof *f);
    if (f) {
        *f = (struct fetch){w, r->conn, proxy_fetch(w->proxy, fetch_done, f)};
        if (f->proxied) {
            server_on_abandon(r->conn, fetch_abandoned, f);
            return;
        }
        free(f);
    }
    server_reply_error(r->conn, 503, SPAN("Retry-After: 1\r\n"), "out of memory");
}
