/* GET /fetch-external: one fetch from the upstream, relayed. */
#include "target/target_priv.h"

#include <stdlib.h>

#include "metrics/counter.h"

struct fetch {
    struct target_worker *worker;
    struct server_conn *conn;
    struct proxy_fetch *proxied;
    bool is_relayed, is_abandoned;
};

static void fetch_abandoned(void *arg)
{
    struct fetch *f = arg;
    f->is_abandoned = true;
    proxy_cancel(f->proxied);
}

static void fetch_writable(void *arg)
{
    struct fetch *f = arg;
    proxy_go_on(f->proxied);
}

static bool fetch_begun(void *arg, struct span type, struct span bytes, uint64_t length)
{
    struct fetch *f = arg;
    struct server_reply head = {.status = 200, .type = type, .body = bytes};
    f->is_relayed = true;
    return server_stream_begin(f->conn, &head, length, fetch_writable, f);
}

static bool fetch_more(void *arg, struct span bytes)
{
    struct fetch *f = arg;
    return server_stream_write(f->conn, bytes);
}

static void fetch_refused(struct fetch *f, enum proxy_outcome outcome)
{
    struct span none = {0};
    if (f->is_abandoned)
        target_reply_given_up(f->conn);
    else if (outcome == PROXY_TIMEOUT)
        server_reply_error(f->conn, 504, none, "the upstream did not answer in time");
    else if (outcome == PROXY_NO_MEMORY)
        server_reply_error(f->conn, 503, SPAN("Retry-After: 1\r\n"), "out of memory");
    else if (outcome == PROXY_REFUSED)
        server_reply_error(f->conn, 502, none, "the upstream refused the connection");
    else if (outcome == PROXY_NOT_JSON)
        server_reply_error(f->conn, 502, none, "the upstream's answer is not JSON");
    else
        server_reply_error(f->conn, 502, none, "the upstream gave no usable answer");
}

static void fetch_done(void *arg, enum proxy_outcome outcome, struct span type, struct span body)
{
    struct fetch *f = arg;
    if (outcome != PROXY_OK && outcome != PROXY_CANCELLED)
        counter_add(&f->worker->fetch_failed, 1);
    if (f->is_relayed)
        server_stream_end(f->conn, outcome == PROXY_OK);
    else if (outcome == PROXY_OK)
        server_reply(f->conn,
                     &(struct server_reply){.status = 200,
                                            .type = type.len ? type : SPAN("application/json"),
                                            .body = body});
    else
        fetch_refused(f, outcome);
    free(f);
}

static const struct proxy_events events = {fetch_begun, fetch_more, fetch_done};

void endpoint_fetch(struct target_worker *w, const struct server_request *r)
{
    struct fetch *f = calloc(1, sizeof *f);
    if (f) {
        *f = (struct fetch){.worker = w, .conn = r->conn};
        f->proxied = proxy_fetch(w->proxy, &events, f);
        if (f->proxied) {
            server_on_abandon(r->conn, fetch_abandoned, f);
            return;
        }
        free(f);
    }
    server_reply_error(r->conn, 503, SPAN("Retry-After: 1\r\n"), "out of memory");
}
