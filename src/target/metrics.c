/* GET /metrics: what all workers have counted, in Prometheus' text format, under the published
 * names where there are any (myapp_request_duration_seconds with its 261 buckets,
 * myapp_errors_count). */
#include "target/target_priv.h"

#include <stdlib.h>

#include "metrics/counter.h"
#include "metrics/prometheus.h"

/* --- gathering --- */

static void sum_servers(const struct target *t, struct server_counters *sum, uint64_t *open,
                        uint64_t *waiting)
{
    *sum = (struct server_counters){0};
    *open = *waiting = 0;
    for (unsigned i = 0; i < t->thread_count; i++) {
        const struct server *s = t->workers[i].server;
        if (!s)
            continue;
        const struct server_counters *c = server_counters(s);
#define X(name, help) sum->name += counter_read(&c->name);
        SERVER_COUNTERS(X)
#undef X
        *open += server_open_connections(s);
        *waiting += server_waiting(s);
    }
}

static const struct store_counters *counters_of(const struct target_worker *w, bool is_cache)
{
    if (is_cache)
        return w->cache ? &w->cache->counters : NULL;
    return w->store ? &w->store->counters : NULL;
}

static void sum_storage(const struct target *t, bool is_cache, struct store_counters *sum,
                        struct hist *latency)
{
    *sum = (struct store_counters){0};
    for (unsigned i = 0; i < t->thread_count; i++) {
        const struct store_counters *c = counters_of(&t->workers[i], is_cache);
        if (!c)
            continue;
        sum->inserts += counter_read(&c->inserts);
        sum->in_flight += counter_read(&c->in_flight);
        sum->reconnects += counter_read(&c->reconnects);
        for (int o = 0; o < STORE_OUTCOMES; o++)
            sum->outcomes[o] += counter_read(&c->outcomes[o]);
        sum->connections += gauge_read(&c->connections);
        sum->pool += gauge_read(&c->pool);
        hist_merge(latency, c->latency);
    }
}

void target_storage_latency(const struct target *t, struct hist *store, struct hist *cache)
{
    struct store_counters ignored;
    sum_storage(t, false, &ignored, store);
    sum_storage(t, true, &ignored, cache);
}

static uint64_t errors_of(const struct store_counters *c)
{
    return counter_read(&c->outcomes[STORE_UNAVAILABLE]) +
           counter_read(&c->outcomes[STORE_UNKNOWN]) + counter_read(&c->outcomes[STORE_REFUSED]);
}

unsigned target_pool_in_flight(const struct target *t)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < t->thread_count; i++) {
        const struct store_counters *c = counters_of(&t->workers[i], false);
        sum += c ? counter_read(&c->in_flight) : 0;
    }
    return (unsigned)sum;
}

void target_storage_errors(const struct target *t, uint64_t *db, uint64_t *cache)
{
    *db = *cache = 0;
    for (unsigned i = 0; i < t->thread_count; i++) {
        const struct store_counters *store = counters_of(&t->workers[i], false);
        const struct store_counters *set = counters_of(&t->workers[i], true);
        *db += store ? errors_of(store) : 0;
        *cache += set ? errors_of(set) : 0;
    }
}

int target_pool(const struct target *t)
{
    struct store_counters sum = {0};
    bool has_pool = false;
    for (unsigned i = 0; i < t->thread_count; i++) {
        const struct store_counters *c = counters_of(&t->workers[i], false);
        has_pool |= c && c->pool;
        sum.connections += c ? gauge_read(&c->connections) : 0;
    }
    return has_pool ? (int)sum.connections : -1;
}

/* --- the page --- */

static void put_server(const struct target *t, struct text *out)
{
    struct server_counters sum;
    uint64_t open, waiting;
    sum_servers(t, &sum, &open, &waiting);
#define X(name, help)                                                   \
    prometheus_family(out, "iubench_" #name "_total", "counter", help); \
    text_addf(out, "iubench_" #name "_total %llu\n", (unsigned long long)sum.name);
    SERVER_COUNTERS(X)
#undef X
    prometheus_family(out, "iubench_thread_requests_total", "counter", "requests by event loop");
    for (unsigned i = 0; i < t->thread_count; i++)
        if (t->workers[i].server)
            text_addf(
                out, "iubench_thread_requests_total{thread=\"%u\"} %llu\n", i,
                (unsigned long long)counter_read(&server_counters(t->workers[i].server)->requests));
    prometheus_family(out, "iubench_connections_open", "gauge", "connections open now");
    text_addf(out, "iubench_connections_open %llu\n", (unsigned long long)open);
    prometheus_family(out, "iubench_requests_waiting", "gauge",
                      "requests whose reply is still due");
    text_addf(out, "iubench_requests_waiting %llu\n", (unsigned long long)waiting);
}

static void put_errors(struct text *out, const char *op, const char *db,
                       const struct store_counters *c)
{
    text_addf(out, "myapp_errors_count{op=\"%s\",db=\"%s\"} %llu\n", op, db,
              (unsigned long long)errors_of(c));
}

static void put_outcomes(struct text *out, const char *op, const struct store_counters *c)
{
    static const char *const names[STORE_OUTCOMES] = {"done", "unavailable", "unknown", "refused"};
    for (int o = 0; o < STORE_OUTCOMES; o++)
        text_addf(out, "iubench_storage_outcomes_total{op=\"%s\",outcome=\"%s\"} %llu\n", op,
                  names[o], (unsigned long long)c->outcomes[o]);
}

static void put_storage_gauge(struct text *out, const char *name, const char *type,
                              const char *help, uint64_t insert, uint64_t set)
{
    prometheus_family(out, name, type, help);
    text_addf(out, "%s{op=\"insert\"} %llu\n%s{op=\"set\"} %llu\n", name,
              (unsigned long long)insert, name, (unsigned long long)set);
}

static void put_connections(const struct target *t, struct text *out)
{
    static const char name[] = "iubench_storage_connection_in_flight";
    prometheus_family(out, name, "gauge", "operations that each connection has to answer");
    for (unsigned i = 0; i < t->thread_count; i++)
        for (int is_cache = 0; is_cache < 2; is_cache++) {
            const struct store_counters *c = counters_of(&t->workers[i], is_cache);
            for (unsigned n = 0; c && n < gauge_read(&c->pool); n++)
                text_addf(out, "%s{op=\"%s\",thread=\"%u\",connection=\"%u\"} %u\n", name,
                          is_cache ? "set" : "insert", i, n, gauge_read(&c->by_connection[n]));
        }
}

static void put_storage(const struct target *t, struct text *out)
{
    struct hist *insert_latency = t->insert_latency, *set_latency = t->set_latency;
    struct store_counters insert, set;
    hist_clear(insert_latency);
    hist_clear(set_latency);
    sum_storage(t, false, &insert, insert_latency);
    sum_storage(t, true, &set, set_latency);
    prometheus_family(out, "myapp_request_duration_seconds", "histogram",
                      "time of a database insert or a cache set");
    prometheus_histogram(out, "myapp_request_duration_seconds", "op=\"insert\",db=\"postgres\"",
                         insert_latency);
    prometheus_histogram(out, "myapp_request_duration_seconds", "op=\"set\",db=\"memcache\"",
                         set_latency);
    prometheus_family(out, "myapp_errors_count", "counter", "operations that failed");
    put_errors(out, "insert", "postgres", &insert);
    put_errors(out, "set", "memcache", &set);
    prometheus_family(out, "iubench_storage_outcomes_total", "counter",
                      "what became of inserts and sets");
    put_outcomes(out, "insert", &insert);
    put_outcomes(out, "set", &set);
    put_storage_gauge(out, "iubench_storage_connections", "gauge",
                      "connections open to database and cache", insert.connections,
                      set.connections);
    put_storage_gauge(out, "iubench_storage_pool", "gauge", "connections there should be",
                      insert.pool, set.pool);
    put_storage_gauge(out, "iubench_storage_in_flight", "gauge", "operations under way",
                      insert.in_flight, set.in_flight);
    put_connections(t, out);
    put_storage_gauge(out, "iubench_storage_reconnects_total", "counter",
                      "connections that had to be made again", insert.reconnects, set.reconnects);
}

static void put_others(const struct target *t, struct text *out)
{
    uint64_t fib_refused = 0, fetch_failed = 0;
    for (unsigned i = 0; i < t->thread_count; i++) {
        fib_refused += counter_read(&t->workers[i].fib_refused);
        fetch_failed += counter_read(&t->workers[i].fetch_failed);
    }
    prometheus_family(out, "iubench_fib_refused_total", "counter",
                      "computations refused because too many were waiting");
    text_addf(out, "iubench_fib_refused_total %llu\n", (unsigned long long)fib_refused);
    prometheus_family(out, "iubench_fetch_failed_total", "counter",
                      "fetches from the upstream that failed");
    text_addf(out, "iubench_fetch_failed_total %llu\n", (unsigned long long)fetch_failed);
    prometheus_family(out, "iubench_threads", "gauge", "event loops");
    text_addf(out, "iubench_threads %u\n", t->thread_count);
    prometheus_process(out, target_cpu_ns(t), t->started_us);
}

void endpoint_metrics(struct target_worker *w, const struct server_request *r)
{
    struct text page = {.may_fail = true};
    pthread_mutex_lock(&w->target->lock);
    put_server(w->target, &page);
    put_storage(w->target, &page);
    pthread_mutex_unlock(&w->target->lock);
    put_others(w->target, &page);
    server_reply_text(r->conn, SPAN(PROMETHEUS_TYPE), SPAN(""), &page);
}
