/* The warden: the process that starts contestants, one at a time, outlives whatever happens to the
 * main process, and ends everything that a contestant has started, daemons too. */
#ifndef LAB_WARDEN_H
#define LAB_WARDEN_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lab/target_file.h"

enum { WARDEN_GROUPS_MOST = 2, WARDEN_GROUP_BYTES = 512, WARDEN_NAMES_BYTES = 256 };

/* What the main process asks for: a start, or, with no words, an end, of which only the wait counts. */
struct warden_order {
    struct target_words words, env;  /* environment entries stand beside those of this process */
    char directory[4096], log[4096]; /* of its output, appended to */
    cpu_set_t cpus;
    char groups[WARDEN_GROUPS_MOST][WARDEN_GROUP_BYTES]; /* folders of control groups; "": none */
    bool is_limited; /* it runs in these groups; in the end they are removed in any case */
    int stop_signal;
    uint32_t descriptors;  /* that it may have open, hard; 0: as many as we */
    uint64_t stop_wait_ns; /* from that until it is killed */
};

/* What the warden says: once after a start, once when the process ends by itself, and once after an
 * end. */
struct warden_report {
    enum { WARDEN_STARTED, WARDEN_ENDED, WARDEN_STOPPED } kind;
    pid_t pid;
    int error;                     /* STARTED: errno, 0 for good */
    int status;                    /* ENDED, STOPPED: as of waitpid(2) */
    bool was_killed;               /* STOPPED: it did not end when it was told to */
    char left[WARDEN_NAMES_BYTES]; /* STOPPED: processes that it left behind, "sleep, python3"; they
                                      were killed */
};

/* The life of the warden, in a process freshly forked from a single-threaded one. `fd` is a
 * SOCK_SEQPACKET socket to the main process, whose closing ends everything. */
void warden_run(int fd) __attribute__((noreturn));

#endif
