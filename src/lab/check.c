#include "lab/check.h"

/* The routes are a table; which of them must be there follows from the mode. Each answers a plain
 * request first, by which a route that is not there is told from one that is wrong. */

#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "lab/check_priv.h"
#include "storage/storage.h"
#include "target/target.h"

static const char *const deviation_names[] = {
#define X(id, name) name,
    CHECK_DEVIATIONS(X)
#undef X
        NULL};

static const char *const mode_names[] = {"all", "static", "fib", "proxy", "post", "db", NULL};

#define IN(mode) (1u << MODE_##mode)
enum { IN_EVERY_MODE = ~0u >> 1 };

static const struct route {
    const char *method, *path;
    unsigned modes;
    bool is_contract; /* with every target; not only with those that say their mode */
    void (*check)(struct checker *c);
} routes[] = {
    {"GET", "/api/devices", IN_EVERY_MODE, true, check_devices},
    {"GET", "/healthz", IN_EVERY_MODE, true, check_health},
    {"POST", "/api/devices", IN(POST) | IN(DB) | IN(ALL), false, check_create},
    {"GET", "/fetch-external", IN(PROXY) | IN(ALL), false, check_fetch},
    {"GET", "/json", IN(STATIC) | IN(ALL), false, check_techempower_json},
    {"GET", "/plaintext", IN(STATIC) | IN(ALL), false, check_techempower_text},
    {"GET", "/metrics", IN_EVERY_MODE, false, check_metrics},
    {"GET", "/openapi.json", IN_EVERY_MODE, false, check_openapi},
    {"GET", "/api/devices", IN_EVERY_MODE, true, check_http},
    {"GET", "/fib/1", IN(FIB) | IN(ALL), false, check_fib}, /* last: it may compute for long */
};
enum { ROUTE_COUNT = sizeof routes / sizeof *routes };

/* --- asking --- */

void check_request(const struct checker *c, const struct question *q, struct text *to)
{
    const char *root = strcmp(c->url.target, "/") ? c->url.target : "";
    text_addf(to, "%s %s%s HTTP/1.1\r\nHost: %s\r\n%s%s", q->method, root, q->path,
              c->url.host_field, q->fields ? q->fields : "",
              q->is_kept ? "" : "Connection: close\r\n");
    if (q->body.data)
        text_addf(to, "Content-Length: %zu\r\n", q->body.len);
    text_addf(to, "\r\n");
    if (q->body.len)
        text_add(to, q->body);
}

static void forget(struct checker *c)
{
    exchange_close(&c->exchange);
    json_decref(c->json);
    c->json = NULL;
    c->reply = (struct exchange_reply){0};
}

static void take_json(struct checker *c)
{
    json_decref(c->json);
    c->json = json_loadb(c->reply.body.data ? c->reply.body.data : "", c->reply.body.len,
                         JSON_DECODE_ANY, NULL);
}

bool check_next(struct checker *c, enum http_method method)
{
    c->exchange.deadline_ns = clock_ns() + c->config->timeout_ns;
    c->end = exchange_read(&c->exchange, method, &c->reply);
    if (c->end == EXCHANGE_REPLIED)
        take_json(c);
    return c->end == EXCHANGE_REPLIED;
}

/* What was not taken to its end may have been answered all the same. */
bool check_send(struct checker *c, enum http_method method, struct span bytes)
{
    forget(c);
    c->exchange = (struct exchange){.deadline_ns = clock_ns() + c->config->timeout_ns};
    c->end = exchange_open(&c->exchange, &c->address);
    if (c->end != EXCHANGE_REPLIED)
        return false;
    (void)!exchange_send(&c->exchange, bytes);
    return check_next(c, method);
}

bool check_ask(struct checker *c, const struct question *q)
{
    struct text request = {0};
    enum http_method method;
    http_method_from(span_of(q->method), &method);
    check_request(c, q, &request);
    bool has_reply = check_send(c, method, text_span(&request));
    text_free(&request);
    return has_reply;
}

bool check_get(struct checker *c, const char *path)
{
    return check_ask(c, &(struct question){.method = "GET", .path = path});
}

bool check_post(struct checker *c, const char *body)
{
    return check_ask(c, &(struct question){.method = "POST",
                                           .path = "/api/devices",
                                           .fields = "Content-Type: application/json\r\n",
                                           .body = span_of(body)});
}

/* --- judging --- */

static struct check_point *point_add(struct checker *c, const char *text, enum check_status status)
{
    struct check *out = c->out;
    CHECK(out->count < CHECK_POINTS_MOST);
    struct check_point *p = &out->points[out->count++];
    *p = (struct check_point){.status = status};
    snprintf(p->text, sizeof p->text, "%s", text);
    unsigned *sums[] = {&out->passed, &out->failed, &out->allowed, &out->absent};
    ++*sums[status];
    return p;
}

void check_judge(struct checker *c, const char *text, bool is_kept, enum deviation d,
                 const char *found, ...)
{
    struct check_point *p = point_add(c, text,
                                      is_kept            ? CHECK_PASSED
                                      : c->is_allowed[d] ? CHECK_ALLOWED
                                                         : CHECK_FAILED);
    if (is_kept)
        return;
    va_list args;
    va_start(args, found);
    vsnprintf(p->found, sizeof p->found, found, args);
    va_end(args);
    p->deviation = deviation_names[d];
}

const char *check_reply_text(const struct checker *c, char out[200])
{
    char shown[160];
    if (c->end != EXCHANGE_REPLIED) {
        snprintf(out, 200, "it %s", exchange_end_text(c->end));
        return out;
    }
    log_show(c->reply.body, shown, sizeof shown);
    snprintf(out, 200, "%u%s%s", c->reply.head.status, *shown ? " with the body " : "", shown);
    return out;
}

bool check_status(struct checker *c, const char *text, unsigned status, unsigned or_status,
                  const struct other_status *others)
{
    char shown[200], wanted[32];
    unsigned found = c->end == EXCHANGE_REPLIED ? c->reply.head.status : 0;
    bool is_kept = found == status || (or_status && found == or_status);
    enum deviation d = NO_DEVIATION;
    for (; others && others->status && d == NO_DEVIATION; others++)
        if (others->status == found)
            d = others->deviation;
    snprintf(wanted, sizeof wanted, or_status ? "%u or %u" : "%u", status, or_status);
    check_judge(c, text, is_kept, d, "expected %s, found %s", wanted, check_reply_text(c, shown));
    return is_kept;
}

void check_error(struct checker *c, const char *text, unsigned status, unsigned or_status,
                 const struct other_status *others)
{
    char of_body[96], shown[200];
    check_status(c, text, status, or_status, others);
    if (c->end != EXCHANGE_REPLIED || c->reply.head.status < 400)
        return;
    bool is_of_routes = status == 404 || status == 405; /* a framework's own, most often */
    snprintf(of_body, sizeof of_body, "%s: {\"error\": TEXT}", text);
    check_judge(c, of_body, json_is_string(json_object_get(c->json, "error")),
                is_of_routes ? DEVIATES_ROUTE_ERROR_BODY : DEVIATES_ERROR_BODY, "found %s",
                check_reply_text(c, shown));
}

void check_type(struct checker *c, const char *text, const char *type)
{
    char shown[128];
    struct span value = {0}, wanted = span_of(type);
    bool is_there = exchange_field(&c->reply, "Content-Type", &value);
    struct span begin = {value.data, value.len < wanted.len ? value.len : wanted.len};
    check_judge(c, text, is_there && span_eq_nocase(begin, wanted), NO_DEVIATION,
                "expected Content-Type %s, found %s", type,
                is_there ? log_escape(value, shown, sizeof shown) : "none");
}

/* --- before the first point --- */

static bool read_deviations(const char *list, bool is_named[DEVIATION_COUNT + 1], struct fail *f)
{
    static const char between[] = ", \t";
    char name[64], shown[128];
    for (const char *at = list; *(at += strspn(at, between));) {
        size_t len = strcspn(at, between);
        unsigned d = 0;
        snprintf(name, sizeof name, "%.*s", (int)len, at);
        while (deviation_names[d] && strcmp(deviation_names[d], name) != 0)
            d++;
        if (!deviation_names[d]) {
            const char *nearest = cli_nearest(name, deviation_names);
            return fail_set(
                f, EXIT_USAGE, "\"%s\" is no deviation%s%s%s; `iubench check --help` lists them",
                log_escape(span_of(name), shown, sizeof shown), nearest ? ", did you mean " : "",
                nearest ? nearest : "", nearest ? "?" : "");
        }
        is_named[d] = true;
        at += len;
    }
    return true;
}

bool check_deviations(const char *list, struct fail *f)
{
    bool is_named[DEVIATION_COUNT + 1];
    return read_deviations(list, is_named, f);
}

static bool read_allowed(struct checker *c, struct fail *f)
{
    for (size_t i = 0; i < c->config->allow.count; i++)
        if (!read_deviations(c->config->allow.items[i], c->is_allowed, f))
            return false;
    return true;
}

static bool find_address(struct checker *c, struct fail *f)
{
    if (!url_parse(c->config->url, &c->url, f))
        return false;
    size_t len = strlen(c->url.target);
    if (len > 1 && c->url.target[len - 1] == '/')
        c->url.target[len - 1] = 0;
    if (c->url.unix_path[0]) {
        char text[128];
        snprintf(text, sizeof text, "unix:%s", c->url.unix_path);
        return address_parse(text, &c->address, f);
    }
    struct address all[8];
    int count = address_resolve(c->url.host, c->url.port, all, 8, f);
    for (int i = 0; i < count; i++) {
        c->address = all[i];
        struct exchange x = {.deadline_ns = clock_ns() + c->config->timeout_ns};
        bool is_open = exchange_open(&x, &all[i]) == EXCHANGE_REPLIED;
        exchange_close(&x);
        if (is_open)
            return true;
    }
    return count &&
           fail_set(f, EXIT_FAILED, "nothing listens at %s: start the service first", c->url.text);
}

/* The table may be of either round: rows are read back from both alike. What is wrong with it is said
 * by the first. */
static struct storage *open_storage(struct storage_config *at, struct fail *f)
{
    struct fail of_second;
    struct storage *storage = storage_open(at, 1, f);
    if (storage || !at->pg)
        return storage;
    at->schema = SCHEMA_ROUND2;
    return storage_open(at, 1, &of_second);
}

static bool open_services(struct checker *c, struct storage **storage, struct fail *f)
{
    const struct check_config *config = c->config;
    struct storage_config at = STORAGE_CONFIG_DEFAULT;
    if (!config->pg && !config->memcached)
        return true;
    at.pg = config->pg;
    at.memcached = config->memcached;
    at.store = config->pg ? "postgres" : "none";
    at.cache = config->memcached ? "memcached" : "none";
    *storage = open_storage(&at, f);
    c->audit = *storage ? audit_open_any(*storage, f) : NULL;
    c->has_rows = config->pg;
    c->has_values = config->memcached;
    return c->audit;
}

/* What the service says of itself, if it does. */
static void read_mode(struct checker *c)
{
    c->mode = c->config->mode;
    if (check_get(c, "/openapi.json") && c->reply.head.status == 200) {
        json_t *own = json_object_get(c->json, "x-iubench");
        const char *mode = json_string_value(json_object_get(own, "mode"));
        const char *store = json_string_value(json_object_get(own, "store"));
        for (int i = 0; mode && mode_names[i] && c->mode < 0; i++)
            if (strcmp(mode_names[i], mode) == 0)
                c->mode = i;
        c->stores_none = store && strcmp(store, "none") == 0;
    }
    c->has_mode = c->mode >= 0;
}

/* --- the whole --- */

static bool is_absent(struct checker *c, const struct route *r)
{
    struct question q = {.method = r->method, .path = r->path};
    if (strcmp(r->method, "POST") == 0)
        q.body = SPAN("{}");
    return check_ask(c, &q) && (c->reply.head.status == 404 || c->reply.head.status == 405);
}

static void check_route(struct checker *c, const struct route *r)
{
    char text[96];
    bool is_due = r->is_contract || (c->has_mode && r->modes & 1u << c->mode);
    if (!is_due && is_absent(c, r)) {
        snprintf(text, sizeof text, "%s %s", r->method, r->path);
        struct check_point *p = point_add(c, text, CHECK_ABSENT);
        snprintf(p->found, sizeof p->found, "%u: it does not have this route",
                 c->reply.head.status);
        return;
    }
    r->check(c);
}

/* In the quick form what the scenario requests, and nothing else, must be there. */
static bool is_asked_for(const struct checker *c, const struct route *r)
{
    const struct check_config *config = c->config;
    if (!config->path)
        return true;
    size_t len = strcspn(config->path, "?");
    bool is_fib = strncmp(r->path, "/fib/", 5) == 0 && strncmp(config->path, "/fib/", 5) == 0;
    bool is_path = is_fib || (strlen(r->path) == len && strncmp(r->path, config->path, len) == 0);
    return is_path && strcmp(r->method, config->method) == 0 && r->check != check_http;
}

bool check_run(const struct check_config *config, struct check *out, struct fail *f)
{
    struct checker c = {.config = config, .out = out};
    struct storage *storage = NULL;
    *out = (struct check){0};
    bool is_open = read_allowed(&c, f) && find_address(&c, f) && open_services(&c, &storage, f);
    if (is_open)
        read_mode(&c);
    for (unsigned i = 0; is_open && i < ROUTE_COUNT; i++)
        if (is_asked_for(&c, &routes[i])) {
            if (config->path)
                routes[i].check(&c);
            else
                check_route(&c, &routes[i]);
        }
    forget(&c);
    audit_close(c.audit);
    storage_free(storage);
    return is_open;
}

/* --- told --- */

static const char *const status_names[] = {"ok", "FAILED", "allowed", "absent"};

void check_print(const struct check *c, FILE *to, bool is_brief)
{
    for (unsigned i = 0; i < c->count; i++) {
        const struct check_point *p = &c->points[i];
        if (is_brief && (p->status == CHECK_PASSED || p->status == CHECK_ABSENT))
            continue;
        fprintf(to, "%-8s %s", status_names[p->status], p->text);
        if (p->found[0])
            fprintf(to, ": %s", p->found);
        if (p->deviation)
            fprintf(to, p->status == CHECK_ALLOWED ? " [%s]" : " [--allow %s would allow it]",
                    p->deviation);
        fputc('\n', to);
    }
    if (!is_brief)
        fprintf(to, "%u points: %u ok, %u failed, %u allowed, %u absent\n", c->count, c->passed,
                c->failed, c->allowed, c->absent);
}

json_t *check_json(const struct check *c, const char *url)
{
    static const char *const names[] = {"passed", "failed", "allowed", "absent"};
    json_t *points = json_array();
    for (unsigned i = 0; i < c->count; i++) {
        const struct check_point *p = &c->points[i];
        json_t *point = json_pack("{s:s, s:s, s:s?, s:s?}", "point", p->text, "status",
                                  names[p->status], "deviation", p->deviation, "found",
                                  p->found[0] ? p->found : NULL);
        CHECK(json_array_append_new(points, point) == 0);
    }
    return json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:o}", "schema", "iubench-check/1", "url", url,
                     "passed", (int)c->passed, "failed", (int)c->failed, "allowed", (int)c->allowed,
                     "absent", (int)c->absent, "points", points);
}
