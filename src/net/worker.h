/* A thread with a loop: started, pinned, stopped and joined; its CPU time can be read at any time.
 * Signals are blocked on workers; the main thread takes them. */
#ifndef NET_WORKER_H
#define NET_WORKER_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "net/loop.h"

struct worker {
    struct loop loop;
    pthread_t thread;
    bool is_started;

    /* set by the owner before worker_start() */
    char name[16];  /* shown by ps -L and top -H */
    cpu_set_t cpus; /* where it may run; empty: wherever the process may */
    struct ring_config ring;
    /* On the thread, its loop open; false ends the thread and makes the start fail. Optional. */
    bool (*begin)(struct worker *w, struct fail *f);
    /* On the thread, after the last turn, its loop still open. Optional. */
    void (*end)(struct worker *w);
    void *arg;

    /* private to worker.c */
    struct task stop_task;
    void (*on_stop)(struct worker *w);
    _Atomic bool is_posting_stop; /* worker_stop() is about to wake the loop, which must be there */
    struct fail fail;
    int start_outcome;
    _Atomic clockid_t cpu_clock; /* of the thread; 0 before its start and after its end */
    _Atomic uint64_t cpu_ns_at_end;
    _Atomic pid_t tid; /* 0 as cpu_clock */
};

/* Starts the thread, opens its loop and calls `begin` there; returns when that is done. */
bool worker_start(struct worker *w, struct fail *f) MUST_USE;

/* Calls `on_stop` on the worker's thread; it arranges that loop_stop() is called sooner or later.
 * Any thread. */
void worker_stop(struct worker *w, void (*on_stop)(struct worker *w));

/* Waits for the thread's end. */
void worker_join(struct worker *w);

/* CPU time used so far, in ns; also before the start and after worker_join(). Any thread. */
uint64_t worker_cpu_ns(const struct worker *w);

/* That, and how long the thread was ready to run while its core was another's: the second figure of
 * /proc/PID/task/TID/schedstat (the kernel's Documentation/scheduler/sched-stats.rst). 0 where the
 * kernel does not keep it, and after the thread's end. */
struct worker_time {
    uint64_t cpu_ns, starved_ns;
};
struct worker_time worker_time(const struct worker *w);

#endif
