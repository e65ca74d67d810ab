/* Prometheus' text format, version 0.0.4: families, and histograms with the published bounds. Names
 * and help are the caller's and need no escaping; label values that come from outside go through
 * prometheus_label(). */
#ifndef METRICS_PROMETHEUS_H
#define METRICS_PROMETHEUS_H

#include "base/span.h"
#include "base/text.h"
#include "metrics/hist.h"

#define PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* The two lines that begin a family; its samples must follow in one piece. `type` is "counter",
 * "gauge" or "histogram". */
void prometheus_family(struct text *out, const char *name, const char *type, const char *help);

/* One histogram in seconds, of nanoseconds. Its 261 bounds are those of both published applications,
 * 10 us to 5 s. `labels` is what stands between the braces, without `le`; not empty. */
void prometheus_histogram(struct text *out, const char *name, const char *labels,
                          const struct hist *h);

/* Appends name="value", the value escaped, what is not UTF-8's ASCII part left as it is. */
void prometheus_label(struct text *out, const char *name, struct span value);

/* What every process tells of itself, under the names of Prometheus' client libraries:
 * process_cpu_seconds_total, process_resident_memory_bytes (left out where /proc does not tell it)
 * and process_start_time_seconds. */
void prometheus_process(struct text *out, uint64_t cpu_ns, int64_t started_us);

#endif
