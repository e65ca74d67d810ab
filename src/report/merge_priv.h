/* A shard as it was read, for merge.c and merge_json.c. */
#ifndef REPORT_MERGE_PRIV_H
#define REPORT_MERGE_PRIV_H

#include "report/merge.h"

struct merge_part {
    struct read_node root, shard, target;
    uint32_t index;
    int64_t started_us;
};

#endif
