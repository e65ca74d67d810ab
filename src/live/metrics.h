/* The load in Prometheus' text format: what was counted so far, by contestant, and how the last second
 * was. Names that were published come first: tester_request_duration_seconds of the published tester,
 * by status, and myapp_clients of its siblings; the rest is named iubench_load_ (the generator),
 * iubench_run_ (a run's database and cache) and iubench_party_ (who uses what). */
#ifndef LIVE_METRICS_H
#define LIVE_METRICS_H

#include <jansson.h>

#include "base/text.h"
#include "load/load.h"

/* What one second adds, as a copy that may change threads. */
struct metrics_second {
    struct load_counts counts;
    double cpu_s;                                /* of the client's threads */
    struct hist *by_status[LOAD_STATUS_CLASSES]; /* latency; NULL: none */
    struct hist *send_lag;                       /* NULL: none */
};

/* Within load_watch.second(). */
void metrics_copy(struct metrics_second *s, const struct load_second *row);

/* Of one contestant; several of one name are one. */
struct metrics_load {
    char *name;
    struct metrics_second sum;
    struct metrics_load *next;
};

struct metrics {
    struct metrics_load *loads, *current;
    json_t *row; /* of the last second, as in the document's series; NULL: none yet */
    int64_t started_us;
};

/* From here on one thread. Begin with {.started_us = ...}. */
void metrics_target(struct metrics *m, const char *name);

/* Takes what `s` holds, and keeps `row`. */
void metrics_add(struct metrics *m, struct metrics_second *s, json_t *row);
void metrics_write(const struct metrics *m, struct text *out);
void metrics_free(struct metrics *m);

#endif
