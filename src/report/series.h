/* The series of a run as files: one row a second as CSV, and the interval log of HdrHistogram, which
 * is written while the run goes on. */
#ifndef REPORT_SERIES_H
#define REPORT_SERIES_H

#include <stdio.h>

#include "base/fail.h"
#include "load/load.h"

/* The rows of the result's "series", errors as columns of their own, figures of parties and host as
 * target_cpu_pct or host_mhz; lists and figures by core are left out; what is null there is empty
 * here. `path` as for file_write(), NULL: standard output. */
bool series_write_csv(const struct load_result *r, const char *path, struct fail *f) MUST_USE;

/* An interval log, version 1.3: two lines a second, tagged latency and service_time; stamps are
 * seconds since the epoch, recorded values nanoseconds, Interval_Max is in milliseconds as the
 * reference writer has it. */
struct hdr_log {
    FILE *to;
    const char *path; /* NULL: standard output */
    bool has_head;
    int write_errno; /* of the first second that could not be written; 0: all were */
};

bool hdr_log_open(struct hdr_log *l, const char *path, struct fail *f) MUST_USE;
void hdr_log_second(struct hdr_log *l, const struct load_second *row); /* see load_watch.second */

/* Says here what could not be written. */
bool hdr_log_close(struct hdr_log *l, struct fail *f) MUST_USE;

#endif
