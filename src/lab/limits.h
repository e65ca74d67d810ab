/* A control group of our own with limits, version 1 or 2, per controller as cgroup_read() finds them:
 * see cgroups(7), and sched-bwc.rst and cgroup-v2.rst of the kernel. */
#ifndef LAB_LIMITS_H
#define LAB_LIMITS_H

#include <stdint.h>
#include <sys/types.h>

#include "base/fail.h"
#include "lab/warden.h"

struct limits {
    const char *name;      /* of whom, for the group's folder; NULL: "target" */
    double cpus;           /* quota, in CPUs, a period is 100 ms as in a pod; 0: none */
    uint64_t memory_bytes; /* UINT64_MAX: none */

    char groups[WARDEN_GROUPS_MOST]
               [WARDEN_GROUP_BYTES];     /* folders, as in warden.h; the second is ""
                                                            where version 2 has one for both */
    char moved_from[WARDEN_GROUP_BYTES]; /* private */
    char moved_to[WARDEN_GROUP_BYTES];   /* private */
    char parents[WARDEN_GROUPS_MOST][WARDEN_GROUP_BYTES]; /* private */
    unsigned versions[WARDEN_GROUPS_MOST]; /* private: of the CPU's controller, the memory's */
};

/* Makes the group with the limits that are set in `l`. `root` goes before every path: "" but in tests.
 * EXIT_LACKING where groups cannot be made, with the mend. Must be called before anything is forked:
 * with version 2 this process itself may have to move to a group beside it. */
bool limits_make(const char *root, struct limits *l, struct fail *f) MUST_USE;

/* The same beside a group that was made already. */
bool limits_make_beside(const struct limits *first, struct limits *l, struct fail *f) MUST_USE;

/* Moves a process that runs into the group, and its children; what they fork from then on is there as
 * well. Without a group nothing. */
bool limits_take(const struct limits *l, pid_t pid, struct fail *f) MUST_USE;

/* Removes the group, once nothing runs in it. Harmless when nothing was made. */
void limits_remove(struct limits *l);

#endif
