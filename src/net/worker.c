/* A thread and its loop, from start to join. */
#include "net/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpus.h"

static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t start_done = PTHREAD_COND_INITIALIZER;

enum { NOT_YET, READY, FAILED };

static void tell_start(struct worker *w, int outcome)
{
    pthread_mutex_lock(&start_lock);
    w->start_outcome = outcome;
    pthread_cond_broadcast(&start_done);
    pthread_mutex_unlock(&start_lock);
}

static bool open_worker(struct worker *w)
{
    if (CPU_COUNT(&w->cpus) && !cpus_pin_set(&w->cpus)) {
        char text[CPUS_TEXT_BYTES];
        return fail_set(&w->fail, EXIT_FAILED, "thread %s could not be pinned to core %s: %s",
                        w->name, cpus_text(&w->cpus, text), strerror(errno));
    }
    if (!loop_open(&w->loop, &w->ring, &w->fail))
        return false;
    w->loop.owner = w;
    if (w->begin && !w->begin(w, &w->fail)) {
        loop_close(&w->loop);
        return false;
    }
    return true;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    pthread_setname_np(pthread_self(), w->name);
    if (!open_worker(w)) {
        tell_start(w, FAILED);
        return NULL;
    }
    clockid_t clock;
    atomic_store(&w->cpu_clock, pthread_getcpuclockid(pthread_self(), &clock) ? 0 : clock);
    atomic_store(&w->tid, gettid());
    tell_start(w, READY);
    loop_run(&w->loop);
    if (w->end)
        w->end(w);
    while (atomic_load(&w->is_posting_stop)) /* for a moment: the task was seen before its wake */
        sched_yield();
    loop_close(&w->loop);
    atomic_store(&w->cpu_ns_at_end, clock_thread_cpu_ns());
    atomic_store(&w->cpu_clock, 0);
    atomic_store(&w->tid, 0);
    return NULL;
}

bool worker_start(struct worker *w, struct fail *f)
{
    sigset_t all, before;
    w->start_outcome = NOT_YET;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&w->thread, NULL, worker_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return fail_set(f, EXIT_LACKING, "thread %s could not be started: %s", w->name,
                        strerror(error));

    pthread_mutex_lock(&start_lock);
    while (w->start_outcome == NOT_YET)
        pthread_cond_wait(&start_done, &start_lock);
    pthread_mutex_unlock(&start_lock);
    if (w->start_outcome == FAILED) {
        pthread_join(w->thread, NULL);
        *f = w->fail;
        return false;
    }
    w->is_started = true;
    return true;
}

static void run_stop(struct task *t)
{
    struct worker *w = (struct worker *)((char *)t - offsetof(struct worker, stop_task));
    w->on_stop(w);
}

void worker_stop(struct worker *w, void (*on_stop)(struct worker *w))
{
    w->on_stop = on_stop;
    w->stop_task.run = run_stop;
    atomic_store(&w->is_posting_stop, true);
    loop_post(&w->loop, &w->stop_task);
    atomic_store(&w->is_posting_stop, false);
}

void worker_join(struct worker *w)
{
    if (!w->is_started)
        return;
    pthread_join(w->thread, NULL);
    w->is_started = false;
}

uint64_t worker_cpu_ns(const struct worker *w)
{
    clockid_t clock = atomic_load(&w->cpu_clock);
    uint64_t used_ns = clock ? clock_cpu_ns_by(clock) : 0;
    return used_ns ? used_ns : atomic_load(&w->cpu_ns_at_end); /* it may have ended meanwhile */
}

static uint64_t starved_ns(pid_t tid)
{
    char path[64];
    uint64_t ns = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/schedstat", (int)tid);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%*u %" SCNu64, &ns) != 1)
        ns = 0;
    fclose(file);
    return ns;
}

struct worker_time worker_time(const struct worker *w)
{
    pid_t tid = atomic_load(&w->tid);
    return (struct worker_time){.cpu_ns = worker_cpu_ns(w),
                                .starved_ns = tid ? starved_ns(tid) : 0};
}
