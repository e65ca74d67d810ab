/* A control group of our own with limits, version 1 or 2, per controller as cgroup_read() finds them:
 * see cgroups(7), and sched-bwc.rst and cgroup-v2.rst of the kernel. */
#ifndef LAB_LIMITS_H
#define LAB_LIMITS_H

#include <stdint.h>

#include "base/fail.h"
#include "lab/warden.h"

struct limits {
    double cpus;           /* quota, in CPUs, a period is 100 ms as in a pod; 0: none */
    uint64_t memory_bytes; /* UINT64_MAX: none */

    char groups[WARDEN_GROUPS_MOST]
               [WARDEN_GROUP_BYTES];     /* folders, as in warden.h; the second is ""
                                                            where version 2 has one for both */
    char moved_from[WARDEN_GROUP_BYTES]; /* private */
    char moved_to[WARDEN_GROUP_BYTES];   /* private */
};

/* Makes the group with the limits that are set in `l`. `root` goes before every path: "" but in tests.
 * EXIT_LACKING where groups cannot be made, with the mend. Must be called before anything is forked:
 * with version 2 this process itself may have to move to a group beside it. */
bool limits_make(const char *root, struct limits *l, struct fail *f) MUST_USE;

/* Removes the group, once nothing runs in it. Harmless when nothing was made. */
void limits_remove(struct limits *l);

#endif
