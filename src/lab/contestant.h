/* A contestant: somebody's service as a process tree of its own, on a free port and on cores of its
 * own. It is started for each race and ended with everything that it has started. */
#ifndef LAB_CONTESTANT_H
#define LAB_CONTESTANT_H

#include <sched.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/fail.h"
#include "lab/limits.h"
#include "lab/target_file.h"
#include "lab/warden.h"

/* The one that starts them all. Opened before other threads are started. NULL with `f` filled. */
struct contestants *contestants_open(struct fail *f) MUST_USE;
void contestants_close(struct contestants *c); /* NULL is ignored */

struct contestant_config {
    const struct target_file *file;
    struct target_places places; /* host and port are set by contestant_start() */
    const cpu_set_t *cpus;       /* NULL or empty: all that this process was given */
    const struct limits *limits; /* the group that it runs in; NULL: ours */
    unsigned
        go_threads; /* GOMAXPROCS in its environment, unless its file says another; 0: not said */
    uint32_t descriptors;    /* that it may have open; 0: as many as we */
    const char *log;         /* path of a file for its output, appended to */
    bool (*stop)(void *arg); /* asked often; true: give up now */
    void *arg;
};

/* Runs its setup, which may take minutes. EXIT_LACKING: this machine lacks what it needs, and `f` has
 * the mend; EXIT_FAILED: it failed, with the end of its output. */
bool contestant_setup(struct contestants *c, const struct contestant_config *config,
                      struct fail *f) MUST_USE;

/* Starts it and waits until it is healthy. On failure `f` has the end of its output and nothing of it
 * runs any more. */
bool contestant_start(struct contestants *c, const struct contestant_config *config,
                      struct fail *f) MUST_USE;

/* Of the one that runs: the root of its process tree; "127.0.0.1:41234". */
pid_t contestant_pid(const struct contestants *c);
const char *contestant_address(const struct contestants *c);

/* Whether it is still there; if not, `f` says how it ended, with the end of its output. */
bool contestant_is_up(struct contestants *c, struct fail *f) MUST_USE;

/* Ends it. False with `f` filled if it had ended by itself before, did not end when told, or left
 * processes behind, which were killed. */
bool contestant_stop(struct contestants *c, struct fail *f) MUST_USE;

#endif
