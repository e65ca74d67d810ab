/* The results of several clients that shared one schedule (load/shard.h) as one result.
 *
 * Added exactly: counts, histograms (the sum is the histogram of all requests), rows of the series by
 * their second. Percentiles of a row come from the rows' latency buckets, and are within a quarter of
 * a doubling; nothing is ever averaged. */
#ifndef REPORT_MERGE_H
#define REPORT_MERGE_H

#include <jansson.h>

#include "cli/cli.h"
#include "report/read.h"
#include "report/result.h"

/* "shard" of a client's result: which one it is, when it was to begin, how far its clock may be off,
 * and what all shards must agree on, with a hash of that. NULL if the load is no shard. */
json_t *merge_shard_json(const struct load_result *r);

struct merge_part; /* a shard as it was read */

struct merge {
    struct merge_part *parts; /* by index */
    unsigned part_count;
    uint32_t shard_count;
    uint32_t *missing; /* indices, ascending */
    unsigned missing_count;
    double clocks_apart_us; /* at most; NAN: not all are synchronised, or say so */
    const char *reference;  /* that was measured by it; NULL: by what the kernels say */
    /* By row of the series; else its percentiles are the greatest of the shards'. */
    bool *is_row_of_buckets;
    struct load_result load; /* of all together */
};

/* Reads the shards' documents and adds them up. EXIT_USAGE with the file and the key if one is no shard,
 * is there twice, does not agree with the others, or began at another time. That some are missing, or
 * left an empty file, is no failure, but makes the verdict SUSPECT; EXIT_FAILED if all did. Freed by
 * merge_free(), also after a failure. */
bool merge_files(const struct cli_texts *files, struct merge *m, struct fail *f) MUST_USE;
void merge_free(struct merge *m);

/* The document: a result as any other, and beside it "shards": {"count", "missing", "parts": [..]} with
 * each shard's own quantiles, verdict, clock and environment. */
json_t *merge_json(const struct merge *m, int argc, char **argv);

#endif
