/* What the control groups of a process allow it, version 1 or 2, per controller: see cgroups(7)
 * and proc_pid_mountinfo(5). */
#ifndef BASE_CGROUP_H
#define BASE_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CGROUP_PATH_BYTES 512

struct cgroup_controller {
    unsigned version;               /* 1 or 2; 0: not there */
    char folder[CGROUP_PATH_BYTES]; /* of the group, as this process sees it */
    char mount[CGROUP_PATH_BYTES]; /* where the tree begins; limits between the two apply as well */
};

struct cgroup {
    struct cgroup_controller cpu, memory;
    double cpu_limit;                                  /* in CPUs; 0: none */
    uint64_t memory_limit_bytes;                       /* UINT64_MAX: none */
    bool has_throttling;                               /* the three below could be read */
    uint64_t periods, throttled_periods, throttled_ns; /* of its quota, since the group was made */
};

/* Of this process. `root` goes before every path: "" but in tests. */
void cgroup_read(const char *root, struct cgroup *c);

/* Of another process (0: this one), as far as it can be seen from here; nothing is there if the
 * process is not. */
void cgroup_read_of(const char *root, pid_t pid, struct cgroup *c);

/* Limits and throttling of the same group as they are now. */
void cgroup_refresh(struct cgroup *c);

/* Memory that this process may use: the machine's, or the limit of its group if that is less. */
uint64_t cgroup_memory_bytes(void);

#endif
