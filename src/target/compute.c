/* GET /fib/{n}: the number is checked at once, computed on the pool, and answered when the pool is
 * done. */
#include "target/target_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"
#include "metrics/counter.h"

struct compute {
    struct fib_job job;
    struct server_conn *conn;
};

static void compute_abandoned(void *arg)
{
    struct compute *c = arg;
    fib_cancel(&c->job);
}

static void compute_answered(struct task *t)
{
    struct compute *c = (struct compute *)((char *)t - offsetof(struct compute, job.answer));
    char body[96];
    int len = snprintf(body, sizeof body, "{\"n\":%u,\"fibonacci\":%llu}", c->job.n,
                       (unsigned long long)c->job.result);
    if (atomic_load_explicit(&c->job.is_cancelled, memory_order_relaxed))
        target_reply_given_up(c->conn);
    else
        server_reply(c->conn, &(struct server_reply){.status = 200,
                                                     .type = SPAN("application/json"),
                                                     .body = {body, (size_t)len}});
    free(c);
}

void endpoint_fib(struct target_worker *w, const struct server_request *r)
{
    const struct target_config *config = &w->target->config;
    struct span number = {r->path.data + sizeof "/fib/" - 1, r->path.len - (sizeof "/fib/" - 1)};
    uint64_t n;
    if (!num_get(number, config->fib_max, &n)) {
        char text[96];
        snprintf(text, sizeof text, "n must be a whole number from 0 to %u", config->fib_max);
        server_reply_error(r->conn, 400, (struct span){0}, text);
        return;
    }
    if (target_is_unmet(r))
        return;
    struct compute *c = calloc(1, sizeof *c);
    if (c) {
        c->conn = r->conn;
        c->job.n = (unsigned)n;
        c->job.loop = &w->worker.loop;
        c->job.answer.run = compute_answered;
        if (fib_submit(w->target->fib, &c->job)) {
            server_on_abandon(r->conn, compute_abandoned, c);
            return;
        }
        free(c);
    }
    counter_add(&w->fib_refused, 1);
    server_reply_error(r->conn, 503, SPAN("Retry-After: 1\r\n"),
                       "too many computations are waiting");
}
