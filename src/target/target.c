/* Starting in order (storage, fib pool, upstream, loops) and stopping in the reverse one. */
#include "target/target_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpus.h"
#include "base/mem.h"
#include "base/units.h"

enum {
    BACKLOG = 4096,
    DESCRIPTORS_NEEDED = 4, /* to answer at all: a client, and a fetch for it */
};

static const struct ring_config ring_config = {
    .entries = 4096, .completions = 16384, .buffers = 256, .buffer_bytes = 2048};

static bool open_parts(struct target *t, struct fail *f);
static bool choose_threads(struct target *t, struct fail *f);
static bool open_upstream(struct target *t, struct fail *f);
static bool start_workers(struct target *t, struct fail *f);
static bool worker_begin(struct worker *w, struct fail *f);
static void worker_drain(struct worker *w);
static void close_parts(struct target *t);
static void describe(struct target *t);

static bool mode_has(const struct target *t, enum target_mode a)
{
    return t->config.mode == MODE_ALL || t->config.mode == (int)a;
}

struct target *target_start(const struct target_config *config, struct fail *f)
{
    struct target *t = mem_need(1, sizeof *t);
    t->config = *config;
    pthread_mutex_init(&t->lock, NULL);
    t->insert_latency = hist_new();
    t->set_latency = hist_new();
    t->started_us = clock_wall_us();
    if (!open_parts(t, f) || !start_workers(t, f)) {
        close_parts(t);
        return NULL;
    }
    return t;
}

static bool open_parts(struct target *t, struct fail *f)
{
    const struct target_config *c = &t->config;
    if (!address_parse(c->listen, &t->address, f))
        return fail_prefix(f, "--listen");
    if (c->metrics && !address_parse(c->metrics, &t->metrics_address, f))
        return fail_prefix(f, "--metrics");
    if (!choose_threads(t, f))
        return false;
    if (c->mode == MODE_DB || c->mode == MODE_ALL) {
        t->storage = storage_open(&c->storage, t->thread_count, f);
        if (!t->storage)
            return false;
    }
    if (c->upstream && !url_parse(c->upstream, &t->upstream_url, f)) /* of no use in any mode */
        return fail_prefix(f, "--upstream");
    return !mode_has(t, MODE_PROXY) || open_upstream(t, f);
}

static bool choose_threads(struct target *t, struct fail *f)
{
    cpu_set_t cpus = *cpus_given();
    if (t->config.cores && !cpus_parse(t->config.cores, &cpus, f))
        return fail_prefix(f, "--cores");
    t->thread_count = t->config.threads ? t->config.threads : (unsigned)CPU_COUNT(&cpus);
    t->workers = mem_need(t->thread_count, sizeof *t->workers);
    for (unsigned i = 0; i < t->thread_count; i++) {
        struct target_worker *w = &t->workers[i];
        *w = (struct target_worker){
            .target = t, .index = i, .listener = -1, .metrics_listener = -1};
        if (t->config.cores)
            CPU_SET(cpus_nth(&cpus, (int)i % CPU_COUNT(&cpus)), &w->worker.cpus);
    }
    if (t->thread_count > 1)
        t->share = share_new(); /* out of memory: each keeps what the kernel gives it */
    if (!mode_has(t, MODE_FIB))
        return true;
    unsigned threads = t->config.fib_threads ? t->config.fib_threads : t->thread_count;
    t->fib = fib_pool_start(threads, t->config.fib_queue, t->config.cores ? &cpus : NULL, f);
    return t->fib;
}

static bool open_built_in_upstream(struct target *t, char url[], size_t room, struct fail *f)
{
    struct upstream_config config = upstream_config_default;
    config.listen = "127.0.0.1:0";
    config.delay = (struct delay){.kind = DELAY_FIXED, .a_ns = t->config.upstream_delay_ns};
    t->upstream = upstream_start(&config, f);
    if (t->upstream)
        snprintf(url, room, "http://%s/external", upstream_address(t->upstream));
    return t->upstream;
}

static bool open_upstream(struct target *t, struct fail *f)
{
    char built_in[ADDRESS_TEXT_BYTES + 32];
    if (!t->config.upstream) { /* else it was read by open_parts() */
        if (!open_built_in_upstream(t, built_in, sizeof built_in, f))
            return false;
        if (!url_parse(built_in, &t->upstream_url, f))
            return fail_prefix(f, "upstream");
    }
    if (t->upstream_url.unix_path[0]) {
        char text[ADDRESS_TEXT_BYTES];
        snprintf(text, sizeof text, "unix:%s", t->upstream_url.unix_path);
        t->upstream_address_count = 1;
        return address_parse(text, t->upstream_addresses, f);
    }
    t->upstream_address_count = (unsigned)address_resolve(
        t->upstream_url.host, t->upstream_url.port, t->upstream_addresses, UPSTREAM_ADDRESSES_MAX,
        f);
    return t->upstream_address_count || fail_prefix(f, "--upstream");
}

/* --- workers --- */

static bool open_listeners(struct target *t, struct fail *f)
{
    int *fds = mem_need(t->thread_count, sizeof *fds);
    bool is_open = sock_listen(&t->address, fds, t->thread_count, BACKLOG, f) ||
                   fail_prefix(f, "--listen");
    t->is_listening = is_open;
    for (unsigned i = 0; is_open && i < t->thread_count; i++)
        t->workers[i].listener = fds[i];
    free(fds);
    if (!is_open || !t->config.metrics)
        return is_open;
    t->is_metrics_listening = sock_listen(&t->metrics_address, &t->workers[0].metrics_listener, 1,
                                          BACKLOG, f);
    return t->is_metrics_listening || fail_prefix(f, "--metrics");
}

static bool start_workers(struct target *t, struct fail *f)
{
    sock_raise_descriptors();
    if (!open_listeners(t, f))
        return false;
    address_text(&t->address, t->address_text);
    describe(t);
    openapi_build(t);
    for (unsigned i = 0; i < t->thread_count; i++) {
        struct worker *w = &t->workers[i].worker;
        snprintf(w->name, sizeof w->name, "target-%u", (uint16_t)i);
        w->ring = ring_config;
        w->begin = worker_begin;
        if (!worker_start(w, f))
            return false;
    }
    return sock_descriptors_left(DESCRIPTORS_NEEDED, f);
}

static struct target_worker *worker_of(struct worker *w)
{
    return (struct target_worker *)((char *)w - offsetof(struct target_worker, worker));
}

/* From here on the thread's counters are seen by the others. */
static void enlist(struct target_worker *w, struct server *server, struct store *store,
                   struct cache *cache)
{
    pthread_mutex_lock(&w->target->lock);
    w->server = server;
    w->store = store;
    w->cache = cache;
    pthread_mutex_unlock(&w->target->lock);
}

static struct server *serve(struct target_worker *w, int *listener, server_handler_f *handler,
                            struct share *share, struct fail *f)
{
    struct server_config config = {.listener = *listener,
                                   .limits = &w->target->config.limits,
                                   .handler = handler,
                                   .arg = w,
                                   .share = share};
    struct server *s = server_start(&w->worker.loop, &config, f);
    if (s) {
        *listener = -1; /* the server's now */
        w->servers_running++;
    }
    return s;
}

static bool worker_begin(struct worker *worker, struct fail *f)
{
    struct target_worker *w = worker_of(worker);
    struct target *t = w->target;
    struct store *store = NULL;
    struct cache *cache = NULL;
    if (t->storage && !storage_attach(t->storage, &worker->loop, w->index, &store, &cache, f))
        return false;
    if (t->upstream_address_count)
        w->proxy = proxy_new(&worker->loop, &(struct proxy_config){
                                                .url = &t->upstream_url,
                                                .addresses = t->upstream_addresses,
                                                .address_count = t->upstream_address_count,
                                                .timeout_ns = t->config.upstream_timeout_ns,
                                                .connections = t->config.upstream_connections,
                                                .hold_bytes = 64 * 1024,
                                            });
    if (w->metrics_listener >= 0 &&
        !(w->metrics_server = serve(w, &w->metrics_listener, target_metrics_request, NULL, f)))
        return false;
    struct server *server = serve(w, &w->listener, target_request, t->share, f);
    enlist(w, server, store, cache);
    return server;
}

/* --- stopping: clients first, then what stands behind them --- */

static void worker_closed(void *arg)
{
    struct target_worker *w = arg;
    struct store *store = w->store;
    struct cache *cache = w->cache;
    enlist(w, w->server, NULL, NULL);
    store_close(store);
    cache_close(cache);
    loop_stop(&w->worker.loop);
}

static void worker_drained(void *arg)
{
    struct target_worker *w = arg;
    if (--w->servers_running)
        return;
    if (w->proxy)
        proxy_close(w->proxy, worker_closed, w);
    else
        worker_closed(w);
}

static void worker_drain(struct worker *worker)
{
    struct target_worker *w = worker_of(worker);
    server_stop(w->server, worker_drained, w);
    if (w->metrics_server)
        server_stop(w->metrics_server, worker_drained, w);
}

static void stop_workers(struct target *t)
{
    for (unsigned i = 0; i < t->thread_count; i++)
        if (t->workers[i].worker.is_started)
            worker_stop(&t->workers[i].worker, worker_drain);
    for (unsigned i = 0; i < t->thread_count; i++)
        worker_join(&t->workers[i].worker);
}

static void free_worker(struct target_worker *w)
{
    if (w->server)
        server_free(w->server);
    if (w->metrics_server)
        server_free(w->metrics_server);
    if (w->proxy)
        proxy_free(w->proxy);
    post_free(w);
    if (w->listener >= 0)
        close(w->listener);
    if (w->metrics_listener >= 0)
        close(w->metrics_listener);
}

static void close_parts(struct target *t)
{
    if (t->is_listening)
        sock_unlink(&t->address);
    if (t->is_metrics_listening)
        sock_unlink(&t->metrics_address);
    stop_workers(t);
    for (unsigned i = 0; i < t->thread_count; i++)
        free_worker(&t->workers[i]);
    if (t->share)
        share_free(t->share);
    if (t->fib)
        fib_pool_stop(t->fib);
    if (t->upstream)
        upstream_stop(t->upstream);
    if (t->storage)
        storage_free(t->storage);
    text_free(&t->line);
    text_free(&t->openapi);
    pthread_mutex_destroy(&t->lock);
    free(t->insert_latency);
    free(t->set_latency);
    free(t->workers);
    free(t);
}

void target_stop(struct target *t)
{
    close_parts(t);
}

/* --- what it is --- */

static void describe(struct target *t)
{
    char metrics[ADDRESS_TEXT_BYTES], delay[UNITS_TEXT_BYTES];
    const char *scheme = t->address.sa.any.sa_family == AF_UNIX ? "" : "http://";
    text_addf(&t->line, "listening on %s%s, mode %s, %u thread%s", scheme, t->address_text,
              target_mode_name((enum target_mode)t->config.mode), t->thread_count,
              t->thread_count == 1 ? "" : "s");
    if (t->config.cores)
        text_addf(&t->line, " on cores %s", t->config.cores);
    if (t->is_metrics_listening)
        text_addf(&t->line, ", metrics on %s", address_text(&t->metrics_address, metrics));
    if (t->storage)
        text_addf(&t->line, ", store %s, cache %s", storage_store_text(t->storage),
                  storage_cache_text(t->storage));
    if (t->upstream)
        text_addf(&t->line, ", built-in upstream on %s, delay %s", upstream_address(t->upstream),
                  units_duration_text(t->config.upstream_delay_ns, delay));
    else if (t->upstream_address_count)
        text_addf(&t->line, ", upstream %s", t->upstream_url.text);
}

const char *target_address(const struct target *t)
{
    return t->address_text;
}

const char *target_line(const struct target *t)
{
    return t->line.data;
}

const char *target_store_text(const struct target *t)
{
    return t->storage ? storage_store_text(t->storage) : "none";
}

const char *target_cache_text(const struct target *t)
{
    return t->storage ? storage_cache_text(t->storage) : "none";
}

bool target_is_embedded(const struct target *t)
{
    return t->storage && storage_is_embedded(t->storage);
}

uint32_t target_pg_batch(const struct target *t)
{
    bool has_postgres = t->storage && storage_postgres(t->storage);
    return has_postgres ? storage_batch(t->storage) : 0;
}

const struct storage *target_storage(const struct target *t)
{
    return t->storage;
}

uint64_t target_cpu_ns(const struct target *t)
{
    uint64_t sum = t->fib ? fib_pool_cpu_ns(t->fib) : 0;
    for (unsigned i = 0; i < t->thread_count; i++)
        sum += worker_cpu_ns(&t->workers[i].worker);
    return sum;
}
