/* The shape of a target's machine: CPUs and memory as of a pod, scaled to the cores that the target
 * has here. */
#ifndef LAB_SHAPE_H
#define LAB_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"

struct shape {
    bool is_set;
    double cpus;           /* asked for; published: 2 */
    uint64_t memory_bytes; /* ... 4 GiB */
    double scale;          /* of both, at most 1 */
    double quota_cpus;     /* what becomes of it here; 0: no quota */
    uint64_t limit_bytes;
    unsigned cores; /* that a program should count on: the quota, rounded up */
    char text[160]; /* "2 CPUs, 4G scaled by 0.5: quota 1 CPU, memory 2G" */
};

/* `how`: "video" (the published pod), or CPUS:MEMORY such as 0.5:512M; NULL: none. The target has
 * `cores` CPUs here and the machine `machine_bytes`, of which a target gets at most half. EXIT_USAGE.
 * Pure. */
bool shape_choose(const char *how, bool has_quota, unsigned cores, uint64_t machine_bytes,
                  struct shape *s, struct fail *f) MUST_USE;

#endif
