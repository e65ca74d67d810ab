/* Counters that only grow are read each second and the last reading is subtracted. */
#include "lab/sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "lab/cgroup.h"

struct sampler {
    const struct target *target;
    uint64_t read_ns, cpu_ns, throttled_ns;
    struct hist *store, *cache;         /* since the start, as of the last second */
    struct hist *store_now, *cache_now; /* since the start, as of now */
};

static uint64_t target_cpu(const struct sampler *s)
{
    return s->target ? target_cpu_ns(s->target) : 0;
}

static uint64_t throttled_ns(void)
{
    struct cgroup c;
    cgroup_read("", &c);
    return c.has_throttling ? c.throttled_ns : 0;
}

struct sampler *sampler_new(const struct target *target)
{
    struct sampler *s = mem_need(1, sizeof *s);
    s->target = target;
    s->store = hist_new();
    s->cache = hist_new();
    s->store_now = hist_new();
    s->cache_now = hist_new();
    s->read_ns = clock_ns();
    s->cpu_ns = target_cpu(s);
    s->throttled_ns = throttled_ns();
    return s;
}

static uint64_t rss_bytes(void)
{
    unsigned long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    int found = fscanf(file, "%lu %lu", &size, &resident);
    fclose(file);
    return found == 2 ? (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* p99 of what `now` has and `before` had not, NAN if that is nothing; `before` becomes `now`. */
static double p99_since(struct hist *before, const struct hist *now)
{
    double p99_us = NAN;
    hist_subtract_from(before, now);
    if (before->count)
        p99_us = (double)hist_percentile(before, 99) / (double)NS_PER_US;
    hist_clear(before);
    hist_merge(before, now);
    return p99_us;
}

static void fill_storage(struct sampler *s, struct load_second *row)
{
    hist_clear(s->store_now);
    hist_clear(s->cache_now);
    target_storage_latency(s->target, s->store_now, s->cache_now);
    row->db_p99_us = p99_since(s->store, s->store_now);
    row->cache_p99_us = p99_since(s->cache, s->cache_now);
    row->pool = target_pool(s->target);
}

void sampler_fill(struct sampler *s, struct load_second *row)
{
    uint64_t now_ns = clock_ns(), cpu_ns = target_cpu(s), throttled = throttled_ns();
    if (s->target) {
        row->usage = usage_new((unsigned)sysconf(_SC_NPROCESSORS_CONF));
        row->usage->readings = 1;
        struct usage_party *p = &row->usage->parties[PARTY_TARGET];
        double rss = (double)rss_bytes();
        double pct = 100.0 * (double)(cpu_ns - s->cpu_ns) / (double)(now_ns - s->read_ns);
        p->is_there = true;
        p->cpu_ns = cpu_ns - s->cpu_ns;
        p->cpu_pct = (struct usage_spread){pct, pct, pct};
        p->rss_bytes = (struct usage_spread){rss, rss, rss};
        p->throttled_ms = (double)(throttled - s->throttled_ns) / (double)NS_PER_MS;
        fill_storage(s, row);
    }
    s->read_ns = now_ns;
    s->cpu_ns = cpu_ns;
    s->throttled_ns = throttled;
}

void sampler_free(struct sampler *s)
{
    free(s->store);
    free(s->cache);
    free(s->store_now);
    free(s->cache_now);
    free(s);
}
