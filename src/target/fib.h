/* Fibonacci by the naive double recursion, on threads of its own: the work is the point, and the
 * event loops never do it. */
#ifndef TARGET_FIB_H
#define TARGET_FIB_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "net/loop.h"

#define FIB_MOST \
    92 /* fib(93) does not fit 63 bits; long before, the time it takes is what bounds n */

struct fib_pool;

/* One computation. The owner keeps it until `answer` runs on the loop, which happens exactly once.
 */
struct fib_job {
    unsigned n;
    uint64_t result;
    atomic_bool is_cancelled; /* set by fib_cancel(); the result is then worth nothing */
    struct loop *loop;        /* where `answer` is posted */
    struct task answer;
    /* private */
    struct fib_pool *pool;
    bool is_waiting; /* among the pool's, between these two */
    struct fib_job *next, *previous;
};

/* `threads` workers on these CPUs (NULL: wherever the process may run) and at most `queue` jobs
 * waiting behind them. They run at a lower priority than the loops, so that on a shared core a
 * request does not wait for a computation. */
struct fib_pool *fib_pool_start(unsigned threads, unsigned queue, const cpu_set_t *cpus,
                                struct fail *f) MUST_USE;

/* False if the queue is full: the job was not taken. Any thread. */
bool fib_submit(struct fib_pool *p, struct fib_job *job) MUST_USE;

/* The job is not wanted any more: waiting, it leaves the queue; running, it stops soon. `answer` runs
 * all the same, later. Any thread, after fib_submit(). */
void fib_cancel(struct fib_job *job);

/* CPU time of the workers so far, ns. */
uint64_t fib_pool_cpu_ns(const struct fib_pool *p);

/* Cancels what is left, joins the workers. Loops that wait for answers must still be open. */
void fib_pool_stop(struct fib_pool *p);

/* The recursion itself: costs what a C compiler makes of `n < 2 ? n : fib(n - 1) + fib(n - 2)`. */
uint64_t fib_naive(unsigned n);

#endif
