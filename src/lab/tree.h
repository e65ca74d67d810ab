/* A process with all its descendants, as one consumer of CPU, memory and descriptors: PostgreSQL's
 * postmaster and backends, a contestant with its workers. Descendants are found as children of what
 * is known, and stay known when their parent ends. What a process has used is not lost when it ends:
 * its last reading stands until its parent's cutime has taken it over, which holds what it used
 * since and what children used that came and went between two readings. */
#ifndef LAB_TREE_H
#define LAB_TREE_H

#include <sys/types.h>

#include "lab/proc.h"

struct tree;

/* `root` as in lab/proc.h, borrowed. */
struct tree *tree_new(const char *root, unsigned core_count);
void tree_add(struct tree *t, pid_t pid); /* another root; one that is not there is ignored */
void tree_free(struct tree *t);

/* Reads all of it; `cpu_ns` never goes down. The use is valid until the next call. */
const struct proc_use *tree_read(struct tree *t);

/* Sums over the processes of the last reading; NAN if it is not known of any of them. */
double tree_rss_bytes(const struct tree *t);
double tree_pss_bytes(const struct tree *t);
double tree_fds(const struct tree *t);

/* Calls `act` for a process and each of its descendants as they are now, parents first; returns how
 * many they are. */
unsigned tree_each(pid_t pid, void (*act)(pid_t pid, void *arg), void *arg);

/* Sends a signal to all of them, and to those that are forked meanwhile. */
void tree_signal(pid_t pid, int signal);

#endif
