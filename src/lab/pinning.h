/* Who runs on which cores. With two: the target on one, the client (and the upstream) on the other,
 * services unpinned. With more: in the published proportions (target 2, client 2, PostgreSQL 8,
 * memcached 4 of 16), SMT siblings kept together. */
#ifndef LAB_PINNING_H
#define LAB_PINNING_H

#include <sched.h>
#include <stdbool.h>

#include "base/fail.h"

struct pinning {
    bool is_pinned;
    cpu_set_t target, client, upstream, services; /* an empty set: unpinned */
    char text[256]; /* for results: "target 0, client 1, services unpinned" */
};

/* `how`: "auto", "none", or a LIST "0-1,2,3" as core lists by party separated by "/":
 * TARGET/CLIENT[/SERVICES], or one plain core list that is shared out as auto does. Within the mask
 * this process was given. */
bool pinning_choose(const char *how, struct pinning *p, struct fail *f) MUST_USE;

/* The rule of auto as a pure function, for tests: `siblings[i]` is the core that CPU i belongs to.
 */
void pinning_share(const cpu_set_t *given, const int *siblings, struct pinning *p);

/* The core of each CPU: the lowest CPU that shares it (SMT). */
void pinning_siblings(int siblings[CPU_SETSIZE]);

/* How many cores the set has something of. */
int pinning_core_count(const cpu_set_t *set, const int *siblings);

#endif
