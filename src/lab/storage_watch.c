/* The thread asks at fixed times after the load's begin, and hands over what is new; a row takes it or
 * finds nothing. A question that takes longer than a second leaves out those that were due meanwhile. */
#include "lab/storage_watch.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpus.h"
#include "base/mem.h"
#include "conn/exchange.h"
#include "lab/exposition.h"
#include "storage/audit.h"

static const uint64_t BEFORE_ROW_NS = 150 * NS_PER_MS;
static const uint64_t ANSWER_MAX_NS = 2 * NS_PER_S; /* sampler_stop() may wait for it */

enum { CALLERS = 4 };
enum storage_op { OP_INSERT, OP_SET, OPS };
static const char *const op_names[OPS] = {"insert", "set"};

/* Of a second. */
struct storage_news {
    double p99_us[OPS], errors[OPS]; /* NAN: not known */
    int pool, pool_in_flight;        /* -1: not known */
};
static const struct storage_news nothing = {{NAN, NAN}, {NAN, NAN}, -1, -1};

/* A connection to the target, and what its process said last. */
struct caller {
    struct exchange exchange;
    bool is_connected, has_before;
    struct exposition before[OPS];
};

struct storage_watch {
    struct storage_watch_config config;
    struct address address;
    cpu_set_t busy[3];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under the lock */
    uint64_t begin_ns; /* 0: the load has not begun */
    bool is_ending;
    struct storage_news news;

    /* the thread's own */
    struct caller callers[CALLERS];
    struct audit *audit; /* NULL: not connected */
};

static void *watch_main(void *arg);

/* --- start and stop --- */

static void watch_free(struct storage_watch *w)
{
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->changed);
    free(w);
}

struct storage_watch *storage_watch_start(const struct storage_watch_config *config,
                                          const cpu_set_t *const busy[3], struct fail *f)
{
    struct storage_watch *w = mem_need(1, sizeof *w);
    sigset_t all, before;
    w->config = *config;
    w->news = nothing;
    for (int i = 0; i < 3; i++)
        if (busy[i])
            w->busy[i] = *busy[i];
    pthread_mutex_init(&w->lock, NULL);
    clock_cond_init(&w->changed);
    if (!address_parse(config->address, &w->address, f)) {
        watch_free(w);
        return NULL;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&w->thread, NULL, watch_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!error)
        return w;
    fail_set(f, EXIT_LACKING, "the thread that watches the storage could not be started: %s",
             strerror(error));
    watch_free(w);
    return NULL;
}

static void tell(struct storage_watch *w, uint64_t begin_ns, bool is_ending)
{
    pthread_mutex_lock(&w->lock);
    w->begin_ns = begin_ns;
    w->is_ending = is_ending;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

void storage_watch_begin(struct storage_watch *w)
{
    if (w)
        tell(w, clock_ns(), false);
}

void storage_watch_stop(struct storage_watch *w)
{
    if (!w)
        return;
    tell(w, w->begin_ns, true);
    pthread_join(w->thread, NULL);
    watch_free(w);
}

/* --- a row --- */

void storage_watch_fill(struct storage_watch *w, struct load_second *row)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    row->db_p99_us = w->news.p99_us[OP_INSERT];
    row->cache_p99_us = w->news.p99_us[OP_SET];
    row->db_errors = w->news.errors[OP_INSERT];
    row->cache_errors = w->news.errors[OP_SET];
    row->pool = w->news.pool;
    row->pool_in_flight = w->news.pool_in_flight;
    w->news = nothing;
    pthread_mutex_unlock(&w->lock);
}

/* --- the target's page --- */

static void hang_up(struct caller *c)
{
    if (c->is_connected)
        exchange_close(&c->exchange);
    *c = (struct caller){.is_connected = false};
}

static bool ask(struct caller *c, const struct address *to, uint64_t deadline_ns)
{
    static const char request[] = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    if (!c->is_connected) {
        c->exchange = (struct exchange){.deadline_ns = deadline_ns};
        c->is_connected = true; /* to be closed, in any case */
        if (exchange_open(&c->exchange, to) != EXCHANGE_REPLIED)
            return false;
    }
    c->exchange.deadline_ns = deadline_ns;
    return exchange_send(&c->exchange, SPAN(request)) == EXCHANGE_REPLIED;
}

static bool hear(struct caller *c, struct exposition now[OPS])
{
    struct exchange_reply reply;
    if (exchange_read(&c->exchange, HTTP_GET, &reply) != EXCHANGE_REPLIED ||
        reply.head.status != 200)
        return false;
    for (int op = 0; op < OPS; op++)
        exposition_read(reply.body, op_names[op], &now[op]);
    return true;
}

/* What came since the caller asked last; false: the process that it hears had nothing to do. */
static bool add_since(struct caller *c, struct exposition sum[OPS],
                      const struct exposition now[OPS])
{
    double count = 0;
    for (int op = 0; op < OPS; op++) {
        if (c->has_before && exposition_add(&sum[op], &c->before[op], &now[op]))
            count += exposition_count(&now[op]) - exposition_count(&c->before[op]);
        c->before[op] = now[op];
    }
    c->has_before = true;
    return count > 0;
}

/* All are asked before the first is heard. One that hears an idle process tries its luck with a new
 * connection, which another may take. */
static void learn_latencies(struct storage_watch *w, struct storage_news *news)
{
    struct exposition sum[OPS] = {0}, now[OPS];
    bool is_asked[CALLERS], is_idle[CALLERS] = {false};
    for (int round = 0; round < 2; round++) {
        uint64_t deadline_ns = clock_ns() + ANSWER_MAX_NS;
        for (int i = 0; i < CALLERS; i++) {
            is_asked[i] = (!round || is_idle[i]) && ask(&w->callers[i], &w->address, deadline_ns);
            if (!is_asked[i] && !round)
                hang_up(&w->callers[i]);
        }
        for (int i = 0; i < CALLERS; i++) {
            bool was_new = !w->callers[i].has_before;
            if (!is_asked[i])
                continue;
            if (!hear(&w->callers[i], now))
                hang_up(&w->callers[i]);
            else if (!add_since(&w->callers[i], sum, now) && !was_new) {
                hang_up(&w->callers[i]);
                is_idle[i] = true;
            }
        }
    }
    for (int op = 0; op < OPS; op++) {
        news->p99_us[op] = exposition_quantile(&sum[op], 0.99) * 1e6;
        news->errors[op] = sum[op].bucket_count ? sum[op].errors : NAN;
    }
}

/* --- the database's word --- */

static void learn_connections(struct storage_watch *w, struct storage_news *news)
{
    unsigned open, busy;
    struct fail ignored; /* a database that does not answer is in the row as unknown */
    if (!w->config.tables)
        return;
    if (!w->audit)
        w->audit = audit_open(w->config.tables, &ignored);
    if (w->audit &&
        audit_connections(w->audit, clock_ns() + ANSWER_MAX_NS, &open, &busy, &ignored)) {
        news->pool = (int)open;
        news->pool_in_flight = (int)busy;
    } else {
        audit_close(w->audit);
        w->audit = NULL;
    }
}

/* --- the thread --- */

/* Until the next question is due; false: there is none any more. */
static bool wait_turn(struct storage_watch *w, uint64_t *asked)
{
    pthread_mutex_lock(&w->lock);
    for (;;) {
        uint64_t now_ns = clock_ns();
        uint64_t due_ns = w->begin_ns + (*asked ? *asked * NS_PER_S - BEFORE_ROW_NS : 0);
        if (w->is_ending || (w->begin_ns && now_ns >= due_ns))
            break;
        if (w->begin_ns)
            (void)clock_cond_wait(&w->changed, &w->lock, due_ns); /* the clock is asked anew */
        else
            pthread_cond_wait(&w->changed, &w->lock);
    }
    *asked = (clock_ns() - w->begin_ns + BEFORE_ROW_NS) / NS_PER_S + 1;
    bool goes_on = !w->is_ending;
    pthread_mutex_unlock(&w->lock);
    return goes_on;
}

static void *watch_main(void *arg)
{
    struct storage_watch *w = arg;
    const cpu_set_t *busy[] = {&w->busy[0], &w->busy[1], &w->busy[2]};
    uint64_t asked = 0;
    pthread_setname_np(pthread_self(), "storage-watch");
    cpus_keep_off(busy, 3);
    while (wait_turn(w, &asked)) {
        struct storage_news news = nothing;
        learn_latencies(w, &news);
        learn_connections(w, &news);
        pthread_mutex_lock(&w->lock);
        w->news = news;
        pthread_mutex_unlock(&w->lock);
    }
    for (int i = 0; i < CALLERS; i++)
        hang_up(&w->callers[i]);
    audit_close(w->audit);
    return NULL;
}
