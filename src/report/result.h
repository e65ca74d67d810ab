/* The result document of CONTRACT section 3 ("iubench-result/1"): made from what was measured,
 * written to a file, and shown as a table on the terminal. The JSON is libjansson's; its schema is
 * docs/result.schema.json. */
#ifndef REPORT_RESULT_H
#define REPORT_RESULT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/fail.h"
#include "load/find_max.h"
#include "load/load.h"

/* What a contestant weighs before it has done anything; NAN: not known. */
struct result_footprint {
    double size_bytes; /* installed for it */
    double start_ms;   /* from its start until it is healthy, to 20 ms for one that a file starts */
    double idle_bytes; /* PSS of its processes */
};

/* A fault that was made on demand while the load went on (lab/fault.h). Times are from its start. */
struct result_fault {
    const char *what, *party; /* "stall", "postgres" */
    char text[48];            /* "postgres stalled" */
    double begin_s, end_s;
    double availability; /* of what ended in the seconds from its begin until all was as before */
    double recovered_s;  /* from its end to the first second since which all was as before (of what
                            ended 99 % well, p99 at most twice the highest before or 10 ms above it), to a
                            second; NAN: not before the end of the load */
};

/* One contestant's part, and what only the one who ran it knows. */
struct result_target {
    const char *name;
    unsigned repeat; /* which of its races, from 1; 0: there is but one */
    const struct load_result *load;
    json_t *check; /* of its contract, see lab/check.h; NULL: not checked */
    const struct result_footprint *footprint; /* NULL: nobody asked */
    const struct result_fault *fault;         /* NULL: none was made */
    const struct find_max *find_max;          /* NULL: `load` is no search's last run */
};

/* What somebody published of a contestant. */
struct result_figure {
    char contestant[32];
    const char *metric; /* as of reproduction_metrics, "max_rps" */
    double value;
};

/* A race that gave no numbers, or should not have. */
struct result_failure {
    const char *name;
    unsigned repeat; /* 0: before the first race */
    bool is_skipped; /* this machine lacks what it needs */
    char reason[1024];
};

/* The limits of a party; cpus 0: none. */
struct result_share {
    double cpus; /* as of the machine that is meant */
    uint64_t memory_bytes;
    double quota_cpus;    /* what came of it here; 0: no quota */
    uint64_t limit_bytes; /* UINT64_MAX: none */
};
struct result_shape {
    struct result_share target, postgres, memcached;
    double scale; /* of all */
};

/* How the races of a run were made; zeroed: there was none. */
struct result_races {
    uint32_t repeats, order_seed;
    uint64_t warmup_ns;
    struct result_shape shape;
    const struct result_failure *failures;
    unsigned failure_count;
};

struct result {
    int argc;
    char **argv;           /* the command line */
    const char *scenario;  /* "test2"; "load" for plain loads */
    const char *published; /* the scenario's words about it; NULL: none */
    const struct result_figure *figures;
    unsigned figure_count;
    const char *services;      /* "managed", "external", "embedded", "none" */
    const char *store, *cache; /* as storage_store_text(); NULL: not ours */
    uint32_t
        pg_batch; /* as many inserts might share a commit, 1: each had its own; 0: not ours, or no
                          PostgreSQL */
    const char *pg_version, *memcached_version; /* of the servers; NULL: not known */
    const char *pinning; /* "target 0, client 1, services unpinned"; NULL: not pinned */
    bool is_interrupted;
    const struct result_target *targets; /* in the order in which they raced */
    unsigned target_count;
    struct result_races races;
};

/* The document; freed with json_decref(). */
json_t *result_json(const struct result *r);

/* The series of one target, as it stands in the document. */
json_t *result_series_json(const struct load_result *r);

/* Parts of it, as they are known while a run goes on: what stands before "targets" (of `r` no target
 * is needed); a target before its first request (of its load what load_plan_describe() fills in); a
 * row of its series. */
json_t *result_head_json(const struct result *r);
json_t *result_known_json(const struct result_target *t);
json_t *result_row_json(const struct load_result *r, const struct load_second *s);

/* JSON in one line, its numbers with the digits that they have in a result; releases `document`. Freed
 * with free(3). */
char *result_text(json_t *document);

/* Writes a document to `path`, as file_write(), or to standard output (NULL), and releases it. */
bool result_save(json_t *document, const char *path, struct fail *f) MUST_USE;

/* The same of the result's document. */
bool result_write(const struct result *r, const char *path, struct fail *f) MUST_USE;

/* The summary for a person: the first line is the one that matters; fits one screen. `color`: see
 * color_is_wanted(). */
void result_print(const struct result *r, FILE *to, bool color);

/* The line of one run of a search. */
void result_print_probe(const struct find_max_probe *p, FILE *to);

/* The line of one second, for standard error while a run goes on. */
void result_print_second(const struct load_second *s, FILE *to);

#endif
