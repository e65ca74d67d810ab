/* Counters are summed from the seconds; gauges are read out of the last row of the series by its
 * keys, so that they are what the document says. */
#include "live/metrics.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "metrics/prometheus.h"

/* --- a second --- */

static struct hist *copy(const struct hist *h)
{
    if (!h || !h->count)
        return NULL;
    struct hist *to = hist_new();
    hist_merge(to, h);
    return to;
}

void metrics_copy(struct metrics_second *s, const struct load_second *row)
{
    *s = (struct metrics_second){
        .counts = row->counts,
        .cpu_s = row->client_cpu_pct / 100 * row->length_s,
        .send_lag = copy(row->send_lag),
    };
    struct hist *others = hist_new();
    for (unsigned i = 0; i < LOAD_STATUS_CLASSES; i++)
        if ((s->by_status[i] = copy(row->others[i])))
            hist_merge(others, s->by_status[i]);
    hist_subtract_from(others, row->latency);
    if (others->count)
        s->by_status[LOAD_STATUS_2XX] = others;
    else
        free(others);
}

static void hist_take(struct hist **to, struct hist **from)
{
    if (!*to) {
        *to = *from;
    } else if (*from) {
        hist_merge(*to, *from);
        free(*from);
    }
    *from = NULL;
}

/* --- all of them --- */

void metrics_target(struct metrics *m, const char *name)
{
    struct metrics_load **at = &m->loads;
    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    if (!*at) {
        *at = mem_need(1, sizeof **at);
        (*at)->name = strdup(name);
        CHECK((*at)->name);
        (*at)->sum.by_status[LOAD_STATUS_2XX] = hist_new(); /* there from the beginning */
    }
    m->current = *at;
    json_decref(m->row);
    m->row = NULL;
}

void metrics_add(struct metrics *m, struct metrics_second *s, json_t *row)
{
    struct metrics_second *sum = &m->current->sum;
    load_counts_add(&sum->counts, &s->counts);
    sum->cpu_s += s->cpu_s;
    hist_take(&sum->send_lag, &s->send_lag);
    for (unsigned i = 0; i < LOAD_STATUS_CLASSES; i++)
        hist_take(&sum->by_status[i], &s->by_status[i]);
    json_decref(m->row);
    m->row = row;
}

void metrics_free(struct metrics *m)
{
    while (m->loads) {
        struct metrics_load *l = m->loads;
        m->loads = l->next;
        for (unsigned i = 0; i < LOAD_STATUS_CLASSES; i++)
            free(l->sum.by_status[i]);
        free(l->sum.send_lag);
        free(l->name);
        free(l);
    }
    json_decref(m->row);
    m->row = NULL;
}

/* --- written: counters and histograms --- */

/* `target="name"`, with room for what follows; returns its text. */
static const char *labels(struct text *t, const struct metrics_load *l)
{
    t->len = 0;
    prometheus_label(t, "target", span_of(l->name));
    return t->data;
}

static void put_durations(const struct metrics *m, struct text *out)
{
    struct text label = {0};
    prometheus_family(out, "tester_request_duration_seconds", "histogram",
                      "time from a request's intended send to its end, by the status it got; "
                      "status 0 is none within the timeout");
    for (const struct metrics_load *l = m->loads; l; l = l->next)
        for (unsigned i = 0; i < LOAD_STATUS_CLASSES; i++)
            if (l->sum.by_status[i]) {
                labels(&label, l);
                text_addf(&label, i ? ",status=\"%uxx\"" : ",status=\"%u\"", i);
                prometheus_histogram(out, "tester_request_duration_seconds", label.data,
                                     l->sum.by_status[i]);
            }
    text_free(&label);
}

static void put_send_lag(const struct metrics *m, struct text *out)
{
    static const char name[] = "iubench_load_send_lag_seconds";
    struct text label = {0};
    bool is_begun = false;
    for (const struct metrics_load *l = m->loads; l; l = l->next) {
        if (!l->sum.send_lag)
            continue;
        if (!is_begun)
            prometheus_family(out, name, "histogram",
                              "how late the generator itself sent what was due");
        is_begun = true;
        prometheus_histogram(out, name, labels(&label, l), l->sum.send_lag);
    }
    text_free(&label);
}

#define COUNTERS(X)                                                                   \
    X(scheduled, "requests that were due; an open loop only")                         \
    X(unsent, "requests that were due and never sent, for want of a free connection") \
    X(sent, "requests sent")                                                          \
    X(ok, "requests with the answer that was to come")                                \
    X(timeouts, "requests given up after their timeout")                              \
    X(unfinished, "requests that were under way when the run ended")                  \
    X(received_bytes, "bytes of answers")

static void put_counts(const struct metrics *m, struct text *out)
{
    struct text label = {0};
#define X(field, help)                                                                       \
    prometheus_family(out, "iubench_load_" #field "_total", "counter", help);                \
    for (const struct metrics_load *l = m->loads; l; l = l->next)                            \
        text_addf(out, "iubench_load_" #field "_total{%s} %" PRIu64 "\n", labels(&label, l), \
                  l->sum.counts.field);
    COUNTERS(X)
#undef X
    prometheus_family(out, "iubench_load_errors_total", "counter",
                      "requests that failed, by cause; timeouts and unsent are counted apart");
    for (const struct metrics_load *l = m->loads; l; l = l->next)
        for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
            text_addf(out, "iubench_load_errors_total{%s,cause=\"%s\"} %" PRIu64 "\n",
                      labels(&label, l), load_error_names[i], l->sum.counts.errors[i]);
    prometheus_family(out, "iubench_load_cpu_seconds_total", "counter",
                      "CPU time of the generator's threads");
    for (const struct metrics_load *l = m->loads; l; l = l->next)
        text_addf(out, "iubench_load_cpu_seconds_total{%s} %.6f\n", labels(&label, l),
                  l->sum.cpu_s);
    text_free(&label);
}

/* --- written: gauges, of the last second --- */

struct gauge {
    const char *key, *name, *help;
    double unit; /* of the row's number in that of the metric */
};

static const struct gauge row_gauges[] = {
    {"target_rps", "iubench_load_target_rate", "requests that are to be sent per second", 1},
    {"in_flight", "iubench_load_in_flight", "requests sent and not ended", 1},
    {"backlog", "iubench_load_backlog", "requests that are due and wait for a connection", 1},
    {"connections", "iubench_load_connections", "connections that are open", 1},
    {"max_us", "iubench_load_latency_max_seconds", "the slowest request that ended", 1e-6},
    {"availability", "iubench_load_availability_ratio", "share of requests that ended well", 1},
    {"db_p99_us", "iubench_run_db_p99_seconds", "database inserts, 99th percentile", 1e-6},
    {"cache_p99_us", "iubench_run_cache_p99_seconds", "cache sets, 99th percentile", 1e-6},
    {"pool", "iubench_run_pool_connections", "database connections that are open", 1},
    {"pool_in_flight", "iubench_run_pool_in_flight", "database inserts under way", 1},
};

static const struct gauge party_gauges[] = {
    {"cpu_pct", "iubench_party_cpu_cores", "CPU time per second, in cores", 0.01},
    {"rss_bytes", "iubench_party_resident_memory_bytes", "memory, resident", 1},
    {"pss_bytes", "iubench_party_proportional_memory_bytes", "memory, what is shared by its share",
     1},
    {"threads", "iubench_party_threads", "threads", 1},
    {"fds", "iubench_party_open_fds", "file descriptors", 1},
    {"quota_cpus", "iubench_party_quota_cores",
     "the most CPU time per second that its cgroup allows", 1},
    {"throttled_ms", "iubench_party_throttled_ratio",
     "time per second in which its cgroup was held back", 0.001},
};

static void put_row_gauges(const struct metrics *m, const char *target, struct text *out)
{
    for (size_t i = 0; i < sizeof row_gauges / sizeof *row_gauges; i++) {
        const struct gauge *g = &row_gauges[i];
        const json_t *value = json_object_get(m->row, g->key);
        if (!json_is_number(value))
            continue;
        prometheus_family(out, g->name, "gauge", g->help);
        text_addf(out, "%s{%s} %.12g\n", g->name, target, json_number_value(value) * g->unit);
    }
}

static void put_party_gauges(const struct metrics *m, const char *target, struct text *out)
{
    json_t *parties = json_object_get(m->row, "parties"), *party;
    const char *name;
    for (size_t i = 0; i < sizeof party_gauges / sizeof *party_gauges; i++) {
        const struct gauge *g = &party_gauges[i];
        bool is_begun = false;
        json_object_foreach(parties, name, party)
        {
            const json_t *value = json_object_get(party, g->key);
            if (!json_is_number(value))
                continue;
            if (!is_begun)
                prometheus_family(out, g->name, "gauge", g->help);
            is_begun = true;
            text_addf(out, "%s{%s,party=\"%s\"} %.12g\n", g->name, target, name,
                      json_number_value(value) * g->unit);
        }
    }
}

/* Where there is no ramp of clients, each connection is one. */
static void put_clients(const struct metrics *m, const char *target, struct text *out)
{
    const json_t *clients = json_object_get(m->row, "clients");
    if (!json_is_number(clients))
        clients = json_object_get(m->row, "connections");
    prometheus_family(out, "myapp_clients", "gauge", "clients that take turns in sending");
    text_addf(out, "myapp_clients{%s} %.12g\n", target, json_number_value(clients));
}

static void put_gauges(const struct metrics *m, struct text *out)
{
    struct text label = {0};
    const char *target = labels(&label, m->current);
    put_clients(m, target, out);
    put_row_gauges(m, target, out);
    put_party_gauges(m, target, out);
    text_free(&label);
}

void metrics_write(const struct metrics *m, struct text *out)
{
    if (m->loads) {
        put_durations(m, out);
        put_send_lag(m, out);
        put_counts(m, out);
    }
    if (m->row)
        put_gauges(m, out);
    prometheus_process(out, clock_cpu_ns_by(CLOCK_PROCESS_CPUTIME_ID), m->started_us);
}
