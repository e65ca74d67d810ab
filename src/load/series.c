/* Requests are counted twice over: in the second in which they ended, which makes the series, and
 * under the step in which they were due, which makes what is quoted. A step is judged only when
 * none of its requests can be under way any more, so its slowest ones are in its percentiles. */
#include "load/series.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

enum {
    ANSWERED_PCT_MIN = 95,
    AVAILABLE_PCT_MIN = 99,
    SENT_PCT_MIN = 99,
    SLACK_ROWS_MAX = 3,
};

/* --- a thread's side --- */

void block_open(struct block *b, const struct load_plan *plan)
{
    *b = (struct block){.room = plan->steps_alive};
    b->tallies = mem_need(b->room, sizeof *b->tallies);
}

static void clear_if_any(struct hist *h)
{
    if (h)
        hist_clear(h);
}

/* The histograms stay, emptied. */
static void tally_clear(struct tally *t)
{
    struct tally empty = {.latency = t->latency, .service = t->service, .send_lag = t->send_lag};
    clear_if_any(t->latency);
    clear_if_any(t->service);
    clear_if_any(t->send_lag);
    for (unsigned i = 0; i < LOAD_STATUS_CLASSES; i++)
        clear_if_any(empty.others[i] = t->others[i]);
    *t = empty;
}

static void tally_free(struct tally *t)
{
    free(t->latency);
    free(t->service);
    free(t->send_lag);
    for (unsigned i = 0; i < LOAD_STATUS_CLASSES; i++)
        free(t->others[i]);
}

void block_clear(struct block *b)
{
    for (unsigned i = 0; i < b->room; i++)
        if (b->tallies[i].is_used)
            tally_clear(&b->tallies[i]);
}

void block_close(struct block *b)
{
    for (unsigned i = 0; i < b->room; i++)
        tally_free(&b->tallies[i]);
    free(b->tallies);
    *b = (struct block){0};
}

/* Doubles the room until every step has a place of its own. */
static void block_grow(struct block *b)
{
    struct tally *old = b->tallies;
    unsigned count = b->room;
    b->room *= 2;
    b->tallies = mem_need(b->room, sizeof *b->tallies);
    for (unsigned i = 0; i < count; i++)
        b->tallies[old[i].is_used ? old[i].step % b->room : i] = old[i];
    free(old);
}

struct tally *block_tally_new(struct block *b, uint32_t step)
{
    while (b->tallies[step % b->room].is_used)
        block_grow(b);
    struct tally *t = &b->tallies[step % b->room];
    t->is_used = true;
    t->step = step;
    return t;
}

void tally_record(struct hist **h, uint64_t ns)
{
    if (!*h)
        *h = hist_new();
    hist_record(*h, ns);
}

/* --- the collector's side --- */

static void hist_add(struct hist **to, const struct hist *from)
{
    if (!from)
        return;
    if (!*to)
        *to = hist_new();
    hist_merge(*to, from);
}

void series_open(struct series *s, const struct load_plan *plan)
{
    *s = (struct series){.plan = plan, .step_room = plan->steps_alive + 1, .end_ns = UINT64_MAX};
    s->steps = mem_need(s->step_room, sizeof *s->steps);
    s->latency = hist_new();
    s->service = hist_new();
    s->send_lag = hist_new();
    s->row_latency = hist_new();
    s->row_service = hist_new();
    s->row_send_lag = hist_new();
}

void series_close(struct series *s)
{
    for (unsigned i = 0; i < s->step_room; i++)
        tally_free(&s->steps[i].tally);
    tally_free(&s->held.tally);
    free(s->steps);
    free(s->rows);
    free(s->latency);
    free(s->service);
    free(s->send_lag);
    free(s->row_latency);
    free(s->row_service);
    free(s->row_send_lag);
    for (unsigned i = 0; i < LOAD_STATUS_CLASSES; i++)
        free(s->row_others[i]);
    *s = (struct series){0};
}

static uint64_t answered(const struct load_counts *c)
{
    return c->ok + c->errors[LOAD_ERROR_unexpected] + c->errors[LOAD_ERROR_status_3xx] +
           c->errors[LOAD_ERROR_status_4xx] + c->errors[LOAD_ERROR_status_5xx];
}

/* --- steps --- */

/* A closed loop has no schedule to fall behind: a stage was held if what it asked for was had. */
static bool step_was_held(const struct series *s, const struct step_sum *step)
{
    const struct load_counts *c = &step->tally.counts;
    if (!s->plan->is_open)
        return c->ok && !c->unfinished && c->ok * 100 >= load_ended(c) * AVAILABLE_PCT_MIN;
    return c->scheduled && !c->unfinished &&
           step->tally.sent_in_time * 100 >= c->scheduled * SENT_PCT_MIN &&
           step->answered_rows * 100 >= step->due_rows * ANSWERED_PCT_MIN &&
           c->ok * 100 >= load_ended(c) * AVAILABLE_PCT_MIN;
}

/* Takes a step out that cannot change any more; the best one is kept. */
static void step_retire(struct series *s, struct step_sum *step)
{
    double rate = s->plan->steps[step->tally.step].rate;
    double best = s->held.tally.is_used ? s->plan->steps[s->held.tally.step].rate : 0;
    if (rate > 0 && rate >= best && step_was_held(s, step)) { /* a pause holds nothing */
        struct step_sum former = s->held;
        s->held = *step;
        *step = former;
    }
    tally_clear(&step->tally);
    step->answered_rows = step->due_rows = 0;
}

/* Judges, in their order, the steps that ended before `end_ns`. */
static void steps_retire(struct series *s, uint64_t end_ns)
{
    if (!s->plan->has_steps)
        return;
    for (; s->step_first < s->plan->step_count && s->plan->steps[s->step_first].end_ns <= end_ns;
         s->step_first++) {
        struct step_sum *step = &s->steps[s->step_first % s->step_room];
        if (step->tally.is_used && step->tally.step == s->step_first)
            step_retire(s, step);
    }
}

static void steps_grow(struct series *s)
{
    struct step_sum *old = s->steps;
    unsigned count = s->step_room;
    s->step_room *= 2;
    s->steps = mem_need(s->step_room, sizeof *s->steps);
    for (unsigned i = 0; i < count; i++)
        s->steps[old[i].tally.is_used ? old[i].tally.step % s->step_room : i] = old[i];
    free(old);
}

/* NULL for a step that was judged already. */
static struct step_sum *step_get(struct series *s, uint32_t step)
{
    if (step < s->step_first)
        return NULL;
    struct step_sum *at = &s->steps[step % s->step_room];
    while (at->tally.is_used && at->tally.step != step) {
        steps_grow(s);
        at = &s->steps[step % s->step_room];
    }
    at->tally.is_used = true;
    at->tally.step = step;
    return at;
}

static void step_add(struct series *s, const struct tally *t)
{
    struct step_sum *step = step_get(s, t->step);
    if (!step)
        return;
    struct tally *to = &step->tally;
    load_counts_add(&to->counts, &t->counts);
    to->sent_in_time += t->sent_in_time;
    hist_add(&to->latency, t->latency);
    hist_add(&to->service, t->service);
    hist_add(&to->send_lag, t->send_lag);
}

void series_add(struct series *s, const struct block *b)
{
    s->row.in_flight += b->in_flight;
    s->row.backlog += b->backlog;
    s->row.connections_open += b->connections_open;
    for (unsigned i = 0; i < b->room; i++) {
        const struct tally *t = &b->tallies[i];
        if (!t->is_used)
            continue;
        load_counts_add(&s->row.counts, &t->counts);
        load_counts_add(&s->total, &t->counts);
        if (t->latency)
            hist_merge(s->row_latency, t->latency);
        /* in a closed loop the intended time is the actual one */
        const struct hist *service = s->plan->is_open ? t->service : t->latency;
        if (service)
            hist_merge(s->row_service, service);
        if (t->send_lag)
            hist_merge(s->row_send_lag, t->send_lag);
        for (unsigned j = 0; j < LOAD_STATUS_CLASSES; j++)
            hist_add(&s->row_others[j], t->others[j]);
        step_add(s, t);
    }
}

/* --- rows --- */

static uint64_t due_until(const struct series *s, uint64_t ns)
{
    const struct load_plan *p = s->plan;
    return shard_due(&p->shard, pace_due_count(&p->pace, ns < s->end_ns ? ns : s->end_ns));
}

static uint64_t due_between(const struct series *s, uint64_t begin_ns, uint64_t end_ns,
                            uint64_t earlier_ns)
{
    uint64_t until = end_ns > earlier_ns ? due_until(s, end_ns - earlier_ns) : 0;
    uint64_t from = begin_ns > earlier_ns ? due_until(s, begin_ns - earlier_ns) : 0;
    return until - from;
}

static double target_rps(const struct series *s, uint64_t ns)
{
    const struct load_plan *p = s->plan;
    if (!p->is_open)
        return NAN;
    return ns < s->end_ns ? pace_rate_at(&p->pace, ns) / p->shard.count : 0;
}

/* The step that the middle of the row lies in; NULL after the schedule's end. */
static struct step_sum *row_step(struct series *s, uint64_t end_ns)
{
    uint64_t middle_ns = s->row_begin_ns + (end_ns - s->row_begin_ns) / 2;
    unsigned low = 0, high = s->plan->step_count;
    while (high - low > 1) {
        unsigned middle = low + (high - low) / 2;
        if (s->plan->steps[middle].begin_ns <= middle_ns)
            low = middle;
        else
            high = middle;
    }
    return middle_ns < s->plan->steps[low].end_ns ? step_get(s, low) : NULL;
}

static void row_judge(struct series *s, uint64_t end_ns)
{
    const struct load_counts *c = &s->row.counts;
    uint64_t due = due_between(s, s->row_begin_ns, end_ns, (uint64_t)s->service_mean_ns);
    struct step_sum *step = row_step(s, end_ns);
    if (step) {
        step->answered_rows += answered(c);
        step->due_rows += due;
    }
    bool keeps_up = answered(c) * 100 >= due * ANSWERED_PCT_MIN &&
                    c->ok * 100 >= load_ended(c) * AVAILABLE_PCT_MIN;
    s->slack_rows = keeps_up ? 0 : s->slack_rows + 1;
}

static void row_measure(struct series *s, uint64_t end_ns, double client_cpu_pct)
{
    struct load_second *r = &s->row;
    uint64_t middle_ns = s->row_begin_ns + (end_ns - s->row_begin_ns) / 2;
    r->t = s->row_count + 1;
    r->length_s = (double)(end_ns - s->row_begin_ns) / 1e9;
    r->target_rps = target_rps(s, middle_ns);
    if (s->plan->is_open)
        r->counts.scheduled = due_between(s, s->row_begin_ns, end_ns, 0);
    r->equivalent_rps = NAN;
    if (s->plan->clients.pods) {
        r->clients = plan_clients_at(s->plan, middle_ns);
        r->equivalent_rps = clients_equivalent_rps(&s->plan->clients, r->clients,
                                                   hist_mean(s->row_latency));
    }
    r->p50_ns = hist_percentile(s->row_latency, 50);
    r->p90_ns = hist_percentile(s->row_latency, 90);
    r->p99_ns = hist_percentile(s->row_latency, 99);
    r->p999_ns = hist_percentile(s->row_latency, 99.9);
    r->max_ns = s->row_latency->max;
    r->send_lag_p99_ns = hist_percentile(s->row_send_lag, 99);
    r->client_cpu_pct = client_cpu_pct;
    hist_coarsen(s->row_latency, r->latency_buckets);
    r->db_p99_us = r->cache_p99_us = r->db_errors = r->cache_errors = NAN;
    r->pool = r->pool_in_flight = -1;
    if (s->row_service->count)
        s->service_mean_ns = hist_mean(s->row_service);
}

static struct load_second *row_keep(struct series *s)
{
    if (s->row_count == s->row_room) {
        s->row_room = s->row_room ? s->row_room * 2 : 64;
        s->rows = realloc(s->rows, s->row_room * sizeof *s->rows);
        CHECK(s->rows);
    }
    s->rows[s->row_count] = s->row;
    return &s->rows[s->row_count++];
}

struct load_second *series_second(struct series *s, uint64_t end_ns, double client_cpu_pct)
{
    row_measure(s, end_ns, client_cpu_pct);
    if (s->plan->is_open)
        row_judge(s, end_ns);
    hist_merge(s->latency, s->row_latency);
    hist_merge(s->service, s->row_service);
    hist_merge(s->send_lag, s->row_send_lag);
    struct load_second *row = row_keep(s);
    row->latency = s->row_latency;
    row->service = s->row_service;
    row->send_lag = s->row_send_lag;
    for (unsigned i = 0; i < LOAD_STATUS_CLASSES; i++)
        row->others[i] = s->row_others[i];
    s->row_begin_ns = end_ns;
    uint64_t life_ns = plan_life_ns(s->plan);
    if (end_ns > life_ns)
        steps_retire(s, end_ns - life_ns);
    return row;
}

void series_next(struct series *s)
{
    struct load_second *last = &s->rows[s->row_count - 1];
    last->latency = last->service = last->send_lag = NULL;
    for (unsigned i = 0; i < LOAD_STATUS_CLASSES; i++) {
        last->others[i] = NULL;
        clear_if_any(s->row_others[i]);
    }
    hist_clear(s->row_latency);
    hist_clear(s->row_service);
    hist_clear(s->row_send_lag);
    s->row = (struct load_second){0};
}

void series_cut(struct series *s, uint64_t end_ns)
{
    s->end_ns = end_ns;
}

bool series_is_over(const struct series *s)
{
    return s->slack_rows >= SLACK_ROWS_MAX;
}

void series_finish(struct series *s, uint64_t end_ns)
{
    steps_retire(s, end_ns);
}
