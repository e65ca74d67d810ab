/* Two threads meet here, and only in news: the one that collects a load's rows makes JSON of them and
 * posts it to the loop of the other, which keeps the feed and the metrics and answers requests. */
#include "live/live.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cpus.h"
#include "base/mem.h"
#include "live/feed.h"
#include "live/metrics.h"
#include "metrics/prometheus.h"
#include "net/sock.h"
#include "net/worker.h"
#include "report/page.h"

enum { BACKLOG = 64, SEND_BUFFER_BYTES = 64 * 1024 };

static const struct ring_config ring_config = {
    .entries = 256, .completions = 1024, .buffers = 64, .buffer_bytes = 2048};

/* A browser holds several connections. */
static const struct server_limits limits = {
    .head = HTTP_LIMITS_DEFAULT,
    .body_bytes = 1024,
    .connections = 4 * LIVE_VIEWERS_MAX,
    .head_ns = 10 * NS_PER_S,
    .body_ns = 10 * NS_PER_S,
    .idle_ns = 75 * NS_PER_S,
    .write_ns = 10 * NS_PER_S,
    .drain_ns = NS_PER_S,
};

/* An address that is listened on. */
struct live_port {
    struct live *live;
    struct address address;
    int listener; /* -1: none, or the server's */
    bool is_used, is_metrics_only;
    struct server *server;
};

struct live {
    struct worker worker;
    struct live_port dashboard, metrics_port;
    char url[ADDRESS_TEXT_BYTES + 16]; /* of the dashboard */

    /* the collecting thread's */
    struct load_result known; /* of the present contestant */
    uint32_t last_t, t_before;

    /* the loop's */
    struct feed feed;
    struct metrics metrics;
    unsigned servers_running;
};

/* What the collecting thread has to say. */
struct news {
    struct task task;
    struct live *live;
    enum feed_kind kind;
    json_t *json;
    char *name;                   /* of a target */
    struct metrics_second counts; /* of a second */
};

static void news_arrived(struct task *t);
static void live_request(void *arg, const struct server_request *r);

/* --- opened --- */

static bool port_open(struct live_port *p, const char *option, const char *text, struct fail *f)
{
    struct fail taken;
    bool is_usual = !*text;
    if (!address_parse(is_usual ? LIVE_ADDRESS : text, &p->address, f))
        return fail_prefix(f, "%s", option);
    p->is_used = sock_listen(&p->address, &p->listener, 1, BACKLOG, is_usual ? &taken : f);
    if (!p->is_used && is_usual)
        p->is_used = address_parse("127.0.0.1:0", &p->address, f) &&
                     sock_listen(&p->address, &p->listener, 1, BACKLOG, f);
    if (!p->is_used)
        return fail_prefix(f, "%s", option);
    /* Accepted sockets inherit it: else the kernel would keep megabytes for a viewer that does not
     * read, and minutes would pass until one is seen not to. */
    int bytes = SEND_BUFFER_BYTES;
    setsockopt(p->listener, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    return true;
}

static void port_close(struct live_port *p)
{
    if (p->server)
        server_free(p->server);
    if (p->listener >= 0)
        close(p->listener);
    if (p->is_used && p->address.sa.any.sa_family == AF_UNIX)
        unlink(p->address.sa.un.sun_path);
}

static void live_free(struct live *l)
{
    port_close(&l->dashboard);
    port_close(&l->metrics_port);
    feed_free(&l->feed);
    metrics_free(&l->metrics);
    free(l);
}

static void write_url(struct live *l)
{
    char text[ADDRESS_TEXT_BYTES];
    bool is_unix = l->dashboard.address.sa.any.sa_family == AF_UNIX;
    snprintf(l->url, sizeof l->url, is_unix ? "%s" : "http://%s/",
             address_text(&l->dashboard.address, text));
}

bool live_open(const struct load_config *config, struct live **live, struct fail *f)
{
    *live = NULL;
    if (!config->dashboard && !config->metrics)
        return true;
    struct live *l = mem_need(1, sizeof *l);
    l->dashboard = (struct live_port){.live = l, .listener = -1};
    l->metrics_port = (struct live_port){.live = l, .listener = -1, .is_metrics_only = true};
    l->metrics.started_us = clock_wall_us();
    sock_raise_descriptors();
    if ((config->dashboard && !port_open(&l->dashboard, "--dashboard", config->dashboard, f)) ||
        (config->metrics && !port_open(&l->metrics_port, "--metrics", config->metrics, f))) {
        live_free(l);
        return false;
    }
    if (l->dashboard.is_used)
        write_url(l);
    *live = l;
    return true;
}

/* --- started --- */

static bool port_serve(struct live_port *p, struct fail *f)
{
    if (!p->is_used)
        return true;
    struct server_config config = {
        .listener = p->listener, .limits = &limits, .handler = live_request, .arg = p};
    p->server = server_start(&p->live->worker.loop, &config, f);
    if (!p->server)
        return false;
    p->listener = -1; /* the server's now */
    p->live->servers_running++;
    return true;
}

static bool live_begin(struct worker *w, struct fail *f)
{
    struct live *l = w->arg;
    return port_serve(&l->dashboard, f) && port_serve(&l->metrics_port, f);
}

/* Those of the process without those of `busy`; false if none is left. */
static bool cpus_without(const cpu_set_t *busy, cpu_set_t *left)
{
    cpu_set_t both;
    CPU_AND(&both, left, busy);
    CPU_XOR(&both, left, &both);
    if (!CPU_COUNT(&both))
        return false;
    *left = both;
    return true;
}

static void choose_cpus(cpu_set_t *cpus, const cpu_set_t *client, const cpu_set_t *others)
{
    *cpus = *cpus_given();
    bool is_free = cpus_without(client, cpus);
    if (is_free)
        cpus_without(others, cpus);
    if (!is_free || CPU_EQUAL(cpus, cpus_given()))
        CPU_ZERO(cpus); /* nobody is pinned, or everybody everywhere: the kernel knows best */
}

bool live_start(struct live *l, const struct result *known, const cpu_set_t *client,
                const cpu_set_t *others, struct fail *f)
{
    if (!l)
        return true;
    char *head = result_text(result_head_json(known));
    feed_open(&l->feed, (struct span){head, strlen(head) - 1});
    free(head);
    choose_cpus(&l->worker.cpus, client, others);
    snprintf(l->worker.name, sizeof l->worker.name, "dashboard");
    l->worker.ring = ring_config;
    l->worker.begin = live_begin;
    l->worker.arg = l;
    return worker_start(&l->worker, f);
}

const char *live_url(const struct live *l)
{
    return l && l->dashboard.is_used ? l->url : NULL;
}

/* --- told, by the collecting thread --- */

static void tell(struct live *l, enum feed_kind kind, json_t *json, const char *name,
                 const struct load_second *row)
{
    struct news *n = mem_need(1, sizeof *n);
    *n = (struct news){.task.run = news_arrived, .live = l, .kind = kind, .json = json};
    if (name)
        CHECK((n->name = strdup(name)));
    if (row)
        metrics_copy(&n->counts, row);
    loop_post(&l->worker.loop, &n->task);
}

void live_target(struct live *l, const struct result_target *who, const struct load_plan *plan)
{
    if (!l)
        return;
    l->known = (struct load_result){0};
    l->last_t = l->t_before = 0;
    load_plan_describe(plan, &l->known);
    struct result_target target = {.name = who->name, .repeat = who->repeat, .load = &l->known};
    tell(l, FEED_TARGET, result_known_json(&target), who->name, NULL);
}

void live_second(struct live *l, const struct load_second *row)
{
    if (!l)
        return;
    struct load_second counted = *row;
    if (row->t == 1)
        l->t_before = l->last_t;
    counted.t = l->last_t = l->t_before + row->t;
    tell(l, FEED_SECOND, result_row_json(&l->known, &counted), NULL, row);
}

/* --- ... and heard, on the loop --- */

static void news_arrived(struct task *t)
{
    struct news *n = (struct news *)((char *)t - offsetof(struct news, task));
    struct live *l = n->live;
    char *text = result_text(json_incref(n->json));
    struct span json = {text, strlen(text)};
    if (n->kind == FEED_TARGET) {
        metrics_target(&l->metrics, n->name);
        feed_target(&l->feed, (struct span){text, json.len - 1});
    } else if (n->kind == FEED_SECOND) {
        metrics_add(&l->metrics, &n->counts, json_incref(n->json));
        feed_second(&l->feed, json);
    } else {
        feed_end(&l->feed, json);
    }
    json_decref(n->json);
    free(text);
    free(n->name);
    free(n);
}

/* --- asked --- */

static void reply_page(struct live *l, const struct server_request *r)
{
    struct text page = {.may_fail = true};
    (void)l;
    text_add(&page, page_before_data());
    text_add(&page, SPAN("null"));
    text_add(&page, page_after_data());
    server_reply_text(r->conn, SPAN("text/html; charset=utf-8"),
                      SPAN("Cache-Control: no-store\r\n"), &page);
}

static void reply_events(struct live *l, const struct server_request *r)
{
    feed_reply_events(&l->feed, r);
}

static void reply_document(struct live *l, const struct server_request *r)
{
    feed_reply_document(&l->feed, r);
}

static void reply_metrics(struct live *l, const struct server_request *r)
{
    struct text page = {.may_fail = true};
    metrics_write(&l->metrics, &page);
    server_reply_text(r->conn, SPAN(PROMETHEUS_TYPE), SPAN(""), &page);
}

static void reply_health(struct live *l, const struct server_request *r)
{
    (void)l;
    server_reply(r->conn, &(struct server_reply){
                              .status = 200, .type = SPAN("text/plain"), .body = SPAN("OK")});
}

static const struct route {
    const char *path;
    bool is_metrics;
    void (*reply)(struct live *l, const struct server_request *r);
} routes[] = {
    {"/", false, reply_page},
    {"/events", false, reply_events},
    {"/result.json", false, reply_document},
    {"/metrics", true, reply_metrics},
    {"/healthz", true, reply_health},
};

static void live_request(void *arg, const struct server_request *r)
{
    const struct live_port *p = arg;
    const struct route *route = NULL;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (span_eq(r->path, span_of(routes[i].path)) &&
            (routes[i].is_metrics || !p->is_metrics_only))
            route = &routes[i];
    if (!route)
        server_reply_error(r->conn, 404, (struct span){0},
                           p->is_metrics_only
                               ? "only /metrics and /healthz are here"
                               : "only /, /events, /result.json, /metrics and /healthz are here");
    else if (r->method != HTTP_GET && r->method != HTTP_HEAD)
        server_reply_error(r->conn, 405, SPAN("Allow: GET, HEAD\r\n"),
                           "this page does not have that method");
    else
        route->reply(p->live, r);
}

/* --- ended --- */

static void server_drained(void *arg)
{
    struct live *l = arg;
    if (!--l->servers_running)
        loop_stop(&l->worker.loop);
}

/* Who reads slowly may still read the end, as long as the drain lasts. */
static void live_drain(struct worker *w)
{
    struct live *l = w->arg;
    if (!l->feed.has_ended)
        feed_cut(&l->feed);
    if (l->dashboard.server)
        server_stop(l->dashboard.server, server_drained, l);
    if (l->metrics_port.server)
        server_stop(l->metrics_port.server, server_drained, l);
}

void live_end(struct live *l, const struct result *r)
{
    if (!l)
        return;
    if (l->worker.is_started && r)
        tell(l, FEED_END, result_json(r), NULL, NULL);
    if (l->worker.is_started)
        worker_stop(&l->worker, live_drain);
    worker_join(&l->worker);
    live_free(l);
}
