/* The shape of a target's machine: CPUs and memory as of a pod, scaled to the cores that the target
 * has here. */
#ifndef LAB_SHAPE_H
#define LAB_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"

/* Of a service: its machine as it was published, and what becomes of it here. */
struct shape_share {
    double cpus; /* 0: it is not part of the shape */
    uint64_t memory_bytes;
    double quota_cpus;    /* 0: none, for want of so many CPUs */
    uint64_t limit_bytes; /* UINT64_MAX: none, for want of so much */
};

struct shape {
    bool is_set;
    double cpus;           /* asked for; published: 2 */
    uint64_t memory_bytes; /* ... 4 GiB */
    double scale;          /* of both, at most 1 */
    double quota_cpus;     /* what becomes of it here; 0: no quota */
    uint64_t limit_bytes;
    unsigned cores; /* that a program should count on: the quota, rounded up */
    struct shape_share postgres, memcached;
    char text[320]; /* "2 CPUs, 4G scaled by 0.5: quota 1 CPU, memory 2G; PostgreSQL ..." */
};

/* What there is here. */
struct shape_machine {
    unsigned cores;         /* that the target may use */
    unsigned service_cores; /* that PostgreSQL and memcached may */
    uint64_t memory_bytes;  /* of which a target gets at most half */
};

/* `how`: "video" (the published pod, and the machines of its services), or CPUS:MEMORY such as
 * 0.5:512M, or that of target, PostgreSQL and memcached, 1:2G/4:8G/2:2G; NULL: none. One factor scales
 * all of them; a service is limited where that is less than what is there. EXIT_USAGE. Pure. */
bool shape_choose(const char *how, bool has_quota, const struct shape_machine *machine,
                  struct shape *s, struct fail *f) MUST_USE;

#endif
