/* Text is added line by line; a histogram's buckets are walked once for all its bounds. */
#include "metrics/prometheus.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

void prometheus_family(struct text *out, const char *name, const char *type, const char *help)
{
    text_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void prometheus_label(struct text *out, const char *name, struct span value)
{
    text_addf(out, "%s=\"", name);
    for (size_t i = 0; i < value.len; i++) {
        struct span one = {value.data + i, 1};
        if (*one.data == '\n')
            text_add(out, SPAN("\\n"));
        else if (*one.data == '"' || *one.data == '\\')
            text_addf(out, "\\%c", *one.data);
        else
            text_add(out, one);
    }
    text_add(out, SPAN("\""));
}

/* --- histograms --- */

static const struct {
    uint64_t from_us, to_us, step_us; /* `to` belongs to the next row */
} bounds[] = {
    {10, 100, 5},
    {100, 200, 1},
    {200, 1000, 10},
    {1000, 10000, 500},
    {10000, 100000, 5000},
    {100000, 1000000, 50000},
    {1000000, 5500000, 500000},
};

void prometheus_histogram(struct text *out, const char *name, const char *labels,
                          const struct hist *h)
{
    uint64_t seen = 0;
    unsigned next = 0; /* bucket */
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        for (uint64_t us = bounds[i].from_us; us < bounds[i].to_us; us += bounds[i].step_us) {
            uint64_t ns = us * NS_PER_US;
            for (unsigned end = hist_bucket(ns) + 1; next < end; next++)
                seen += h->buckets[next];
            text_addf(out, "%s_bucket{%s,le=\"%.9g\"} %llu\n", name, labels,
                      (double)ns / (double)NS_PER_S, (unsigned long long)seen);
        }
    text_addf(out, "%s_bucket{%s,le=\"+Inf\"} %llu\n", name, labels, (unsigned long long)h->count);
    text_addf(out, "%s_sum{%s} %.9g\n", name, labels, h->sum / (double)NS_PER_S);
    text_addf(out, "%s_count{%s} %llu\n", name, labels, (unsigned long long)h->count);
}

/* --- the process --- */

static uint64_t resident_bytes(void)
{
    unsigned long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    int found = fscanf(file, "%lu %lu", &size, &resident);
    fclose(file);
    return found == 2 ? (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

void prometheus_process(struct text *out, uint64_t cpu_ns, int64_t started_us)
{
    uint64_t bytes = resident_bytes();
    prometheus_family(out, "process_cpu_seconds_total", "counter", "CPU time of its threads");
    text_addf(out, "process_cpu_seconds_total %.6f\n", (double)cpu_ns / (double)NS_PER_S);
    if (bytes) {
        prometheus_family(out, "process_resident_memory_bytes", "gauge",
                          "memory of the whole process");
        text_addf(out, "process_resident_memory_bytes %llu\n", (unsigned long long)bytes);
    }
    prometheus_family(out, "process_start_time_seconds", "gauge", "when it was started, Unix time");
    text_addf(out, "process_start_time_seconds %.3f\n", (double)started_us / 1e6);
}
