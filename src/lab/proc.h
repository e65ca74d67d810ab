/* What /proc tells of processes and their threads: proc_pid_stat(5), proc_pid_schedstat(5),
 * proc_pid_status(5), proc_pid_statm(5), proc_pid_smaps(5). `root` goes before every path: "" but in
 * tests. `pid` 0 is this process. */
#ifndef LAB_PROC_H
#define LAB_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/check.h"

#define PROC_PATH_BYTES 512

/* A whole small file as a text, at most `room` - 1 bytes of it; false if there is none. */
bool proc_read(const char *path, char *text, size_t room) MUST_USE;

/* "ROOT/proc/PID/", "ROOT/proc/self/"; returns `out`. */
const char *proc_folder(const char *root, pid_t pid, char out[PROC_PATH_BYTES]);

/* The number that a folder of processes or threads is named by; false if the name is none. */
bool proc_number(const char *name, pid_t *number) MUST_USE;

/* The line "stat" of a process or of a thread. Times are in ns, but only as fine as a tick. */
struct proc_stat {
    pid_t parent;
    uint64_t cpu_ns;          /* of a process: of all its threads, those that ended included */
    uint64_t children_cpu_ns; /* of all descendants that ended and were waited for */
    uint64_t start_ticks;     /* tells apart what had the same number */
    unsigned processor;       /* last run on */
};
bool proc_stat_parse(const char *text, struct proc_stat *s) MUST_USE;
bool proc_stat_read(const char *root, pid_t pid, struct proc_stat *s) MUST_USE;

/* A thread as of the last reading, and what it has done since the one before (or since it began). */
struct proc_thread {
    pid_t tid;
    uint64_t start_ticks;
    unsigned processor;
    uint64_t cpu_ns, voluntary, involuntary;
    uint64_t cpu_more_ns, voluntary_more, involuntary_more;
    int group;    /* the caller's; -1 at first */
    bool is_seen; /* private */
};

/* The threads of one process. Zeroed is a good start. */
struct proc_threads {
    struct proc_thread *items;
    unsigned count, room;
    uint64_t ended_ns; /* what those that ended had used at their last reading */
};

/* CPU time is the scheduler's, in ns and at most a tick old; where the kernel does not keep it, that
 * of stat. False if the process is gone; then nothing is changed. */
bool proc_threads_read(const char *root, pid_t pid, struct proc_threads *t) MUST_USE;
void proc_threads_free(struct proc_threads *t);

/* A thread's name, or "". */
void proc_thread_name(const char *root, pid_t pid, pid_t tid, char name[16]);

/* What threads have used since some time in the past: only differences mean something, but for how
 * many there are now. */
struct proc_use {
    uint64_t cpu_ns, voluntary, involuntary;
    unsigned processes, threads;
    unsigned core_count;
    uint64_t *core_ns; /* by core */
};
void proc_use_open(struct proc_use *use, unsigned core_count);
void proc_use_close(struct proc_use *use);

/* Adds a thread, and what it has done since the last reading to all but `cpu_ns`. */
void proc_use_add(struct proc_use *use, const struct proc_thread *t);

/* NAN: not known, most often because the process is another user's. */
double proc_rss_bytes(const char *root, pid_t pid);
double proc_pss_bytes(const char *root, pid_t pid); /* costs: walks the page tables */
double proc_fds(const char *root, pid_t pid);

#endif
