/* From a request to its row of endpoints.def, and the endpoints that answer at once. The others
 * have a file each: post.c, compute.c, fetch.c, metrics.c, openapi.c. */
#include "target/target_priv.h"

#include <stdio.h>

#include "target/device.h"

#define IN(mode) (1u << MODE_##mode)
enum { IN_EVERY_MODE = ~0u >> 1 };

static const struct endpoint {
    enum http_method method;
    struct span path;
    bool takes_segment;
    unsigned modes;
    endpoint_f *handle;
} endpoints[] = {
#define ENDPOINT(method, path, modes, handle, meaning) \
    {HTTP_##method, {path, sizeof path - 1}, path[sizeof path - 2] == '/', modes, handle},
#include "target/endpoints.def"
#undef ENDPOINT
};
enum { ENDPOINT_COUNT = sizeof endpoints / sizeof *endpoints };

static bool path_matches(const struct endpoint *e, struct span path)
{
    if (!e->takes_segment)
        return span_eq(path, e->path);
    return span_starts(path, e->path) &&
           !memchr(path.data + e->path.len, '/', path.len - e->path.len);
}

static bool method_matches(const struct endpoint *e, enum http_method m)
{
    return e->method == m || (e->method == HTTP_GET && m == HTTP_HEAD);
}

/* "Allow: GET, HEAD, POST, OPTIONS\r\n" for a path (or for every path: "*"); 0 if nothing here has
 * that path. */
static size_t allow_field(const struct target_worker *w, struct span path, char out[128])
{
    unsigned mode = 1u << w->target->config.mode, methods = 0;
    for (unsigned i = 0; i < ENDPOINT_COUNT; i++)
        if (endpoints[i].modes & mode && (!path.len || path_matches(&endpoints[i], path)))
            methods |= 1u << endpoints[i].method;
    if (!methods)
        return 0;
    return (size_t)snprintf(out, 128, "Allow: %s%sOPTIONS\r\n",
                            methods & 1u << HTTP_GET ? "GET, HEAD, " : "",
                            methods & 1u << HTTP_POST ? "POST, " : "");
}

static void reply_without_row(struct target_worker *w, const struct server_request *r)
{
    char allow[128];
    struct span fields = {allow, allow_field(w, r->path, allow)};
    if (!fields.len)
        server_reply_error(r->conn, 404, fields, "no such endpoint here");
    else if (r->method == HTTP_OPTIONS)
        server_reply(r->conn, &(struct server_reply){.status = 204, .fields = fields});
    else if (r->method == HTTP_OTHER)
        server_reply_error(r->conn, 501, fields, "this method is not implemented");
    else
        server_reply_error(r->conn, 405, fields, "this endpoint does not have that method");
}

bool target_is_unmet(const struct server_request *r)
{
    if (r->unmet_status == 304)
        server_reply(r->conn, &(struct server_reply){.status = 304});
    else if (r->unmet_status)
        server_reply_error(r->conn, r->unmet_status, (struct span){0},
                           "what is here has no entity tag that could match");
    return r->unmet_status;
}

void target_reply_given_up(struct server_conn *conn)
{
    server_reply_error(
        conn, 503, (struct span){0},
        "given up: the client closed the connection, or its side of it, before the reply");
}

void target_request(void *arg, const struct server_request *r)
{
    struct target_worker *w = arg;
    unsigned mode = 1u << w->target->config.mode;
    for (unsigned i = 0; i < ENDPOINT_COUNT; i++) {
        const struct endpoint *e = &endpoints[i];
        if (e->modes & mode && method_matches(e, r->method) && path_matches(e, r->path)) {
            if (e->takes_segment || !target_is_unmet(r))
                e->handle(w, r);
            return;
        }
    }
    reply_without_row(w, r);
}

void target_metrics_request(void *arg, const struct server_request *r)
{
    bool is_get = r->method == HTTP_GET || r->method == HTTP_HEAD;
    bool is_metrics = span_eq(r->path, SPAN("/metrics")),
         is_health = span_eq(r->path, SPAN("/healthz"));
    if (!is_metrics && !is_health)
        server_reply_error(r->conn, 404, (struct span){0}, "only /metrics and /healthz are here");
    else if (!is_get)
        server_reply_error(r->conn, 405, SPAN("Allow: GET, HEAD\r\n"),
                           "this endpoint does not have that method");
    else if (is_metrics)
        endpoint_metrics(arg, r);
    else
        endpoint_healthz(arg, r);
}

void endpoint_devices(struct target_worker *w, const struct server_request *r)
{
    char body[DEVICE_LIST_BYTES];
    (void)w;
    size_t len = (size_t)(device_write_list(body) - body);
    server_reply(r->conn, &(struct server_reply){.status = 200,
                                                 .type = SPAN("application/json"),
                                                 .body = {body, len}});
}

void endpoint_healthz(struct target_worker *w, const struct server_request *r)
{
    (void)w;
    server_reply(r->conn, &(struct server_reply){
                              .status = 200, .type = SPAN("text/plain"), .body = SPAN("OK")});
}

/* TechEmpower's rules ask for Server and Date in these two. */
void endpoint_json(struct target_worker *w, const struct server_request *r)
{
    (void)w;
    server_reply(r->conn, &(struct server_reply){.status = 200,
                                                 .type = SPAN("application/json"),
                                                 .fields = SPAN("Server: iubench\r\n"),
                                                 .body = SPAN("{\"message\":\"Hello, World!\"}")});
}

void endpoint_plaintext(struct target_worker *w, const struct server_request *r)
{
    (void)w;
    server_reply(r->conn, &(struct server_reply){.status = 200,
                                                 .type = SPAN("text/plain"),
                                                 .fields = SPAN("Server: iubench\r\n"),
                                                 .body = SPAN("Hello, World!")});
}
