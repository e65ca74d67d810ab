/* A bounded queue and a few threads. Whether a job is still wanted is looked at only in the upper
 * part of the recursion, so that looking costs nothing beside the work. */
#include "target/fib.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpus.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    UNCHECKED_BELOW =
        22, /* fib(21) takes some 20 us: cancelling is as prompt as anybody could notice */
    NICENESS = 10,
};

struct fib_pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct fib_job *first, *last;
    unsigned waiting, queue, threads;
    cpu_set_t cpus;
    bool is_stopping;
    struct fib_job **running; /* by thread; what fib_pool_stop() has to cancel */
    pthread_t *ids;
    _Atomic uint64_t *ended_cpu_ns;
};

/* Nothing may be inferred about it from outside; within, the compiler may do what it does to any such
 * function. */
#ifdef __clang__
#define OPAQUE __attribute__((noinline))
#else
#define OPAQUE __attribute__((noipa))
#endif

OPAQUE uint64_t fib_naive(unsigned n)
{
    return n < 2 ? n : fib_naive(n - 1) + fib_naive(n - 2);
}

static uint64_t fib_while_wanted(const struct fib_job *job, unsigned n)
{
    if (n < UNCHECKED_BELOW)
        return fib_naive(n);
    if (atomic_load_explicit(&job->is_cancelled, memory_order_relaxed))
        return 0;
    return fib_while_wanted(job, n - 1) + fib_while_wanted(job, n - 2);
}

/* Both under the lock. */
static void queue_add(struct fib_pool *p, struct fib_job *job)
{
    job->is_waiting = true;
    job->next = NULL;
    job->previous = p->last;
    *(p->last ? &p->last->next : &p->first) = job;
    p->last = job;
    p->waiting++;
}

static void queue_remove(struct fib_pool *p, struct fib_job *job)
{
    job->is_waiting = false;
    *(job->previous ? &job->previous->next : &p->first) = job->next;
    *(job->next ? &job->next->previous : &p->last) = job->previous;
    p->waiting--;
}

static struct fib_job *next_job(struct fib_pool *p, unsigned thread)
{
    pthread_mutex_lock(&p->lock);
    p->running[thread] = NULL;
    while (!p->first && !p->is_stopping)
        pthread_cond_wait(&p->work, &p->lock);
    struct fib_job *job = p->first;
    if (job) {
        queue_remove(p, job);
        p->running[thread] = job;
    }
    pthread_mutex_unlock(&p->lock);
    return job;
}

struct thread_arg {
    struct fib_pool *pool;
    unsigned thread;
};

static void *fib_thread(void *arg)
{
    struct thread_arg *a = arg;
    struct fib_pool *p = a->pool;
    unsigned thread = a->thread;
    free(a);
    pthread_setname_np(pthread_self(), "fib");
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
    if (CPU_COUNT(&p->cpus) && !cpus_pin_set(&p->cpus))
        log_line("fib: its threads could not be pinned and run anywhere");
    struct fib_job *job;
    while ((job = next_job(p, thread))) {
        job->result = fib_while_wanted(job, job->n);
        pthread_mutex_lock(&p->lock);
        p->running[thread] = NULL; /* from here on the job is its owner's again */
        pthread_mutex_unlock(&p->lock);
        loop_post(job->loop, &job->answer);
        atomic_store_explicit(&p->ended_cpu_ns[thread], clock_thread_cpu_ns(),
                              memory_order_relaxed);
    }
    return NULL;
}

static bool start_thread(struct fib_pool *p, struct fail *f)
{
    sigset_t all, before;
    struct thread_arg *a = mem_need(1, sizeof *a);
    *a = (struct thread_arg){p, p->threads};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&p->ids[p->threads], NULL, fib_thread, a);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        free(a);
        return fail_set(f, EXIT_LACKING, "a thread for fib could not be started: %s",
                        strerror(error));
    }
    p->threads++;
    return true;
}

struct fib_pool *fib_pool_start(unsigned threads, unsigned queue, const cpu_set_t *cpus,
                                struct fail *f)
{
    struct fib_pool *p = mem_need(1, sizeof *p);
    if (cpus)
        p->cpus = *cpus;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    p->queue = queue;
    p->running = mem_need(threads, sizeof *p->running);
    p->ids = mem_need(threads, sizeof *p->ids);
    p->ended_cpu_ns = mem_need(threads, sizeof *p->ended_cpu_ns);
    while (p->threads < threads)
        if (!start_thread(p, f)) {
            fib_pool_stop(p);
            return NULL;
        }
    return p;
}

bool fib_submit(struct fib_pool *p, struct fib_job *job)
{
    job->pool = p;
    pthread_mutex_lock(&p->lock);
    bool is_taken = p->waiting < p->queue && !p->is_stopping;
    if (is_taken) {
        queue_add(p, job);
        pthread_cond_signal(&p->work);
    }
    pthread_mutex_unlock(&p->lock);
    return is_taken;
}

static void not_wanted(struct fib_job *job)
{
    atomic_store_explicit(&job->is_cancelled, true, memory_order_relaxed);
}

void fib_cancel(struct fib_job *job)
{
    struct fib_pool *p = job->pool;
    not_wanted(job);
    pthread_mutex_lock(&p->lock);
    bool was_waiting = job->is_waiting;
    if (was_waiting)
        queue_remove(p, job);
    pthread_mutex_unlock(&p->lock);
    if (was_waiting)
        loop_post(job->loop, &job->answer);
}

uint64_t fib_pool_cpu_ns(const struct fib_pool *p)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < p->threads; i++)
        sum += p->is_stopping ? atomic_load_explicit(&p->ended_cpu_ns[i], memory_order_relaxed)
                              : clock_cpu_ns_of(p->ids[i]);
    return sum;
}

void fib_pool_stop(struct fib_pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->is_stopping = true;
    for (struct fib_job *job = p->first; job; job = job->next)
        not_wanted(job);
    for (unsigned i = 0; i < p->threads; i++)
        if (p->running[i])
            not_wanted(p->running[i]);
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->threads; i++)
        pthread_join(p->ids[i], NULL);
    free(p->running);
    free(p->ids);
    free((void *)p->ended_cpu_ns);
    free(p);
}
