/* What the parties of a run used in the second that has passed, read on a thread of its own and handed
 * to the row of that second. A party is the threads of this process that have its role (told by
 * their names: "target-0", "load-0", "upstream-0") or the process trees that it was given.
 *
 * CPU time is the scheduler's. Memory and descriptors of this process cannot be split among its
 * threads: they stand with the target if it is ours, else with the client; for the others they are
 * not known. CPU limits and throttling are those of the control group that a party's first process
 * is in.
 *
 * A reading costs 1 ms of CPU time for this process alone, and 1.5 ms with PostgreSQL and memcached
 * (measured on the development machine by the thread's own clock); PSS, which the kernel adds up page
 * by page, costs 6 ms more there. It is read once a second at most, and so seldom that it takes no
 * more than 1 % of the time; in between the last value stands. The thread keeps off the client's
 * cores if it may run on others. */
#ifndef LAB_SAMPLER_H
#define LAB_SAMPLER_H

#include "base/fail.h"
#include "lab/listener.h"
#include "lab/storage_watch.h"
#include "load/plan.h"
#include "storage/storage.h"
#include "target/target.h"

struct sampler_trees {
    pid_t pids[LISTENER_PIDS_MAX];
    unsigned count; /* 0: no such processes */
};

struct sampler_config {
    const struct target *target;         /* ours, for its storage; NULL: none. Borrowed */
    struct storage_watch_config watched; /* another, for its storage; without an address: none */
    struct sampler_trees trees[PARTY_COUNT]; /* processes, by party */
    uint64_t interval_ns;                    /* 1 s: a reading a row; less: more of them */
    const cpu_set_t *busy[3];                /* cores to keep off, the most sensitive first: of the
                                                 client, the target, the upstream; NULL or empty: none */
};

/* The processes of a target that is not ours: --pid, or those that listen where `plan` goes to; none
 * where they cannot be found. False: there is no process --pid. */
bool sampler_find_target(struct sampler_config *config, const struct load_plan *plan,
                         struct fail *f) MUST_USE;

/* The servers that our own target stores in, where they run on this machine and are not known yet. */
void sampler_find_storage(struct sampler_config *config, const struct storage *storage);

struct sampler;

/* Starts the thread. */
struct sampler *sampler_start(const struct sampler_config *config, struct fail *f) MUST_USE;

/* A party that consists of processes has another one, which was started again. */
void sampler_follow(struct sampler *s, enum party party, pid_t pid);

/* What was used up to now is nobody's: the first row begins. Waits for a reading. */
void sampler_begin(struct sampler *s);

/* Fills the lab's columns of a row with what was used since the last one. Waits for the reading; if
 * it takes too long, the row stays without, and the next has both. */
void sampler_fill(struct sampler *s, struct load_second *row);

/* Ends the thread; harmless with NULL. */
void sampler_stop(struct sampler *s);

#endif
