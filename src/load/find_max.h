/* --find-max: runs of a plan at rates that a search asks for, judged by thresholds. A run holds if
 * all are met, its verdict is not INVALID for another reason than send lag (which is within the
 * latencies: they are at most what was measured), and, where neither availability nor errors are
 * among the thresholds, 99 % of its requests ended well. */
#ifndef LOAD_FIND_MAX_H
#define LOAD_FIND_MAX_H

#include "load/load.h"
#include "load/search.h"

struct find_max_probe {
    double rate, length_s;
    bool is_confirmation, is_held;
    double rps, availability;
    uint64_t p50_ns, p99_ns;
    char broke[192]; /* what did first, in words; "" when it held */
};

struct find_max {
    struct expectations objective;
    struct find_max_probe *probes; /* in the order in which they were */
    unsigned probe_count;
    struct search search;
    double rate;                        /* confirmed, per second; 0: none */
    double low, high;                   /* interval; both 0: unknown */
    const struct find_max_probe *broke; /* the slowest above `rate` that broke; NULL: none did */
    bool is_interrupted;
};

/* Searches; `probed` (optional) is told each run when it is over, `watch` is asked and told during
 * each. `last` becomes the last run at the confirmed rate, or the last one of all. The plan must be
 * one with config.find_max. Freed by find_max_free() and load_result_free(). False if a run could not
 * start; then there is nothing to free. */
typedef void find_max_probed_f(void *arg, const struct find_max_probe *probe);
bool find_max_run(struct load_plan *plan, const struct load_watch *watch, find_max_probed_f *probed,
                  struct find_max *found, struct load_result *last, struct fail *f) MUST_USE;
void find_max_free(struct find_max *found);

/* Whether a run holds; if not, `broke` says what did first. Fills the objective's measurements. */
bool find_max_holds(struct expectations *objective, const struct load_result *r, char *broke,
                    size_t room);

#endif
