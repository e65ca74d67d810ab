/* A server whose handler answers by timer. */
#include "upstream/upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpus.h"
#include "base/mem.h"
#include "net/sock.h"
#include "net/worker.h"

enum { BACKLOG = 4096 };

static const struct ring_config ring_config = {
    .entries = 1024, .completions = 16384, .buffers = 256, .buffer_bytes = 2048};

struct upstream_worker {
    struct worker worker;
    struct upstream *upstream;
    int listener;
    struct server *server;
    struct rng rng;
    struct answer *free;
};

/* One request that waits for its time, or for its client to go away. */
struct answer {
    struct timer timer;
    struct server_conn *conn;
    struct upstream_worker *worker;
    struct answer *next;
};

struct upstream {
    struct upstream_config config;
    struct address address;
    char address_text[ADDRESS_TEXT_BYTES];
    unsigned thread_count;
    struct upstream_worker *workers;
    bool is_listening;
};

static bool parse_delay(void *field, const char *value, struct fail *f)
{
    return delay_parse(value, field, f);
}

const struct upstream_config upstream_config_default = {
    .listen = "127.0.0.1:5001",
    .delay = {.kind = DELAY_FIXED, .a_ns = 500 * NS_PER_MS},
    .threads = 1,
    .limits = SERVER_LIMITS_DEFAULT,
};

#define AT(field) offsetof(struct upstream_config, field)

const struct option_row upstream_options[] = {
    {.name = "listen",
     .letter = 'l',
     .kind = OPTION_TEXT,
     .at = AT(listen),
     .metavar = "ADDR:PORT",
     .help = "where to listen, or unix:PATH (default 127.0.0.1:5001)"},
    {.name = "delay",
     .kind = OPTION_PARSED,
     .at = AT(delay),
     .metavar = "DELAY",
     .parse = parse_delay,
     .help = "before an answer: 500ms, uniform:100ms:900ms, normal:500ms:50ms or exp:500ms "
             "(default 500ms)"},
    {.name = "threads",
     .letter = 't',
     .kind = OPTION_COUNT,
     .at = AT(threads),
     .metavar = "N",
     .min = 1,
     .max = 256,
     .help = "event loops (default 1)"},
    {.name = "cores",
     .kind = OPTION_TEXT,
     .at = AT(cores),
     .metavar = "LIST",
     .help = "cores to run on, a loop each in turn (default: not pinned)"},
    {0},
};

/* --- a request: delayed, answered --- */

static void answer_now(struct server_conn *conn)
{
    server_reply(
        conn, &(struct server_reply){.status = 200,
                                     .type = SPAN("application/json"),
                                     .body = SPAN("{\"message\":\"External service response\"}")});
}

static void answer_end(struct answer *a)
{
    answer_now(a->conn);
    a->next = a->worker->free;
    a->worker->free = a;
}

static void answer_due(struct timer *t)
{
    answer_end((struct answer *)((char *)t - offsetof(struct answer, timer)));
}

/* Nobody waits for it any more: answering at once is what gives its connection back. */
static void answer_abandoned(void *arg)
{
    struct answer *a = arg;
    timer_clear(&a->worker->worker.loop.timers, &a->timer);
    answer_end(a);
}

static void delay_answer(struct upstream_worker *w, struct server_conn *conn)
{
    uint64_t delay_ns = delay_draw_ns(&w->upstream->config.delay, &w->rng);
    struct answer *a = w->free;
    if (!delay_ns) {
        answer_now(conn);
        return;
    }
    if (a)
        w->free = a->next;
    else
        a = calloc(1, sizeof *a);
    if (a) {
        a->timer.due = answer_due;
        a->conn = conn;
        a->worker = w;
        if (timer_set(&w->worker.loop.timers, &a->timer, w->worker.loop.now_ns + delay_ns)) {
            server_on_abandon(conn, answer_abandoned, a);
            return;
        }
        free(a);
    }
    server_reply_error(conn, 503, SPAN("Retry-After: 1\r\n"), "out of memory");
}

static void upstream_request(void *arg, const struct server_request *r)
{
    struct upstream_worker *w = arg;
    bool is_get = r->method == HTTP_GET || r->method == HTTP_HEAD;
    if (span_eq(r->path, SPAN("/healthz")) && is_get)
        server_reply(r->conn, &(struct server_reply){
                                  .status = 200, .type = SPAN("text/plain"), .body = SPAN("OK")});
    else if (!span_eq(r->path, SPAN("/external")))
        server_reply_error(r->conn, 404, (struct span){0}, "only /external and /healthz are here");
    else if (!is_get)
        server_reply_error(r->conn, 405, SPAN("Allow: GET, HEAD\r\n"), "only GET is answered here");
    else
        delay_answer(w, r->conn);
}

/* --- start and stop --- */

static struct upstream_worker *worker_of(struct worker *w)
{
    return (struct upstream_worker *)((char *)w - offsetof(struct upstream_worker, worker));
}

static bool worker_begin(struct worker *worker, struct fail *f)
{
    struct upstream_worker *w = worker_of(worker);
    rng_seed(&w->rng, clock_ns());
    struct server_config config = {.listener = w->listener,
                                   .limits = &w->upstream->config.limits,
                                   .handler = upstream_request,
                                   .arg = w};
    w->server = server_start(&worker->loop, &config, f);
    if (w->server)
        w->listener = -1;
    return w->server;
}

static void worker_drained(void *arg)
{
    struct upstream_worker *w = arg;
    loop_stop(&w->worker.loop);
}

static void worker_drain(struct worker *worker)
{
    struct upstream_worker *w = worker_of(worker);
    server_stop(w->server, worker_drained, w);
}

static bool start_workers(struct upstream *u, const cpu_set_t *cpus, struct fail *f)
{
    int *fds = mem_need(u->thread_count, sizeof *fds);
    if (!sock_listen(&u->address, fds, u->thread_count, BACKLOG, f)) {
        free(fds);
        return fail_prefix(f, "--listen");
    }
    u->is_listening = true;
    address_text(&u->address, u->address_text);
    for (unsigned i = 0; i < u->thread_count; i++)
        u->workers[i].listener = fds[i];
    free(fds);
    for (unsigned i = 0; i < u->thread_count; i++) {
        struct worker *w = &u->workers[i].worker;
        snprintf(w->name, sizeof w->name, "upstream-%u", (uint16_t)i);
        w->ring = ring_config;
        w->begin = worker_begin;
        if (cpus)
            CPU_SET(cpus_nth(cpus, (int)i % CPU_COUNT(cpus)), &w->cpus);
        if (!worker_start(w, f))
            return false;
    }
    return true;
}

struct upstream *upstream_start(const struct upstream_config *config, struct fail *f)
{
    struct upstream *u = mem_need(1, sizeof *u);
    cpu_set_t cpus;
    u->config = *config;
    u->thread_count = config->threads;
    u->workers = mem_need(u->thread_count, sizeof *u->workers);
    for (unsigned i = 0; i < u->thread_count; i++)
        u->workers[i] = (struct upstream_worker){.upstream = u, .listener = -1};
    sock_raise_descriptors();
    bool is_started = address_parse(config->listen, &u->address, f) || fail_prefix(f, "--listen");
    if (is_started && config->cores)
        is_started = cpus_parse(config->cores, &cpus, f) || fail_prefix(f, "--cores");
    if (is_started)
        is_started = start_workers(u, config->cores ? &cpus : NULL, f);
    if (is_started)
        return u;
    upstream_stop(u);
    return NULL;
}

const char *upstream_address(const struct upstream *u)
{
    return u->address_text;
}

uint64_t upstream_cpu_ns(const struct upstream *u)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < u->thread_count; i++)
        sum += worker_cpu_ns(&u->workers[i].worker);
    return sum;
}

static void free_worker(struct upstream_worker *w)
{
    if (w->server)
        server_free(w->server);
    if (w->listener >= 0)
        close(w->listener);
    while (w->free) {
        struct answer *a = w->free;
        w->free = a->next;
        free(a);
    }
}

void upstream_stop(struct upstream *u)
{
    if (u->is_listening)
        sock_unlink(&u->address);
    for (unsigned i = 0; i < u->thread_count; i++)
        if (u->workers[i].worker.is_started)
            worker_stop(&u->workers[i].worker, worker_drain);
    for (unsigned i = 0; i < u->thread_count; i++) {
        worker_join(&u->workers[i].worker);
        free_worker(&u->workers[i]);
    }
    free(u->workers);
    free(u);
}
