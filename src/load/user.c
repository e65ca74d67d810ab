/* A user's turn is answered, then sent again from the generator's hook: what came is worked off
 * first, and all sends of a turn carry one time stamp, read right before they are queued. Answers
 * carry the time at which the turn's completions began, so a response is never stamped later than
 * it was looked at, and never earlier than it came. */
#include "load/user.h"

#include <errno.h>

#include "base/clock.h"
#include "load/generator.h"

static void user_opened(struct client *c);
static void user_body(struct client *c, struct span bytes);
static void user_answered(struct client *c, unsigned status, uint64_t body_bytes);
static void user_closed(struct client *c, enum client_error error, int error_code);
static void user_retry(struct timer *t);
static void user_thought(struct timer *t);

static const struct client_events user_events = {
    .opened = user_opened,
    .answered = user_answered,
    .closed = user_closed,
};

/* Bodies are looked at only where some are to be kept. */
static const struct client_events user_sampled_events = {
    .opened = user_opened,
    .body = user_body,
    .answered = user_answered,
    .closed = user_closed,
};
enum { SAMPLE_BYTES_MOST = 16 * 1024 };

static const uint64_t RETRY_FIRST_NS = NS_PER_MS, RETRY_MAX_NS = 100 * NS_PER_MS;

/* --- lists --- */

void user_list_add(struct user_list *l, struct user *u)
{
    CHECK(!u->list);
    u->list = l;
    u->before = l->last;
    u->after = NULL;
    if (l->last)
        l->last->after = u;
    else
        l->first = u;
    l->last = u;
    l->count++;
}

void user_list_remove(struct user *u)
{
    struct user_list *l = u->list;
    if (!l)
        return;
    if (u->before)
        u->before->after = u->after;
    else
        l->first = u->after;
    if (u->after)
        u->after->before = u->before;
    else
        l->last = u->before;
    l->count--;
    u->list = NULL;
}

struct user *user_list_take(struct user_list *l)
{
    struct user *u = l->first;
    if (u)
        user_list_remove(u);
    return u;
}

/* --- opened --- */

void user_init(struct user *u, struct generator *g)
{
    *u = (struct user){.generator = g};
    client_init(&u->client, &g->worker.loop,
                g->plan->config.samples ? &user_sampled_events : &user_events);
    u->retry.due = user_retry;
    u->retry.deadline_ns = TIMER_NEVER;
    u->think.due = user_thought;
    u->think.deadline_ns = TIMER_NEVER;
}

void user_connect(struct user *u)
{
    struct generator *g = u->generator;
    u->was_useful = false;
    u->address = g->address;
    /* the turn's time may be long past when thousands connect in it */
    client_open(&u->client, &g->plan->addresses[u->address],
                clock_ns() + g->plan->config.timeout_ns);
}

static void user_opened(struct client *c)
{
    struct user *u = (struct user *)c;
    u->is_open = true;
    client_deadline(c, TIMER_NEVER); /* requests have deadlines of their own */
    generator_opened(u->generator, u);
}

/* --- sent --- */

void user_think(struct user *u, uint64_t until_ns)
{
    CHECK(timer_set(&u->generator->worker.loop.timers, &u->think, until_ns));
}

static void user_thought(struct timer *t)
{
    struct user *u = (struct user *)((char *)t - offsetof(struct user, think));
    u->has_thought = true;
    generator_thought(u->generator, u);
}

void user_send(struct user *u, uint64_t due_ns, uint32_t step, uint64_t now_ns)
{
    struct generator *g = u->generator;
    CHECK(!u->is_flying);
    u->due_ns = due_ns;
    u->sent_ns = now_ns;
    u->step = step;
    u->is_flying = true;
    u->is_sampled = generator_samples(g);
    user_list_add(&g->flying, u);
    client_send(&u->client, g->plan->method, plan_request(g->plan), 1);
}

/* --- answered --- */

static void land(struct user *u, uint64_t now_ns)
{
    CHECK(u->is_flying);
    u->is_flying = u->has_request = false;
    u->free_ns = now_ns;
    user_list_remove(u);
    generator_landed(u->generator, u, now_ns);
}

static void record(struct user *u, uint64_t latency_ns, uint64_t service_ns)
{
    struct tally *t = block_tally(u->generator->block, u->step);
    tally_record(&t->latency, latency_ns);
    if (u->generator->plan->is_open)
        tally_record(&t->service, service_ns);
}

static void user_body(struct client *c, struct span bytes)
{
    struct user *u = (struct user *)c;
    if (u->is_sampled && !bytes_append(&u->sample, bytes, SAMPLE_BYTES_MOST))
        u->is_sampled = false;
}

static void keep_sample(struct user *u, unsigned status, uint64_t now_ns)
{
    if (u->is_sampled && status / 100 == 2)
        generator_sampled(u->generator, &u->sample, now_ns);
    bytes_free(&u->sample);
}

static void count_status(struct load_counts *c, unsigned status)
{
    if (status / 100 == 2)
        c->ok++;
    else if (status / 100 == 3)
        c->errors[LOAD_ERROR_status_3xx]++;
    else if (status / 100 == 4)
        c->errors[LOAD_ERROR_status_4xx]++;
    else if (status / 100 == 5)
        c->errors[LOAD_ERROR_status_5xx]++;
    else
        c->errors[LOAD_ERROR_unexpected]++;
}

static void user_answered(struct client *c, unsigned status, uint64_t body_bytes)
{
    struct user *u = (struct user *)c;
    struct generator *g = u->generator;
    uint64_t now_ns = g->worker.loop.now_ns;
    (void)body_bytes;
    u->was_useful = true;
    u->retry_wait_ns = 0;
    if (!u->is_flying)
        return; /* abandoned at the run's end */
    struct load_counts *counts = &block_tally(g->block, u->step)->counts;
    count_status(counts, status);
    counts->received_bytes += c->received_bytes - u->received_seen;
    u->received_seen = c->received_bytes;
    record(u, now_ns - u->due_ns, now_ns - u->sent_ns);
    if (g->samples)
        keep_sample(u, status, now_ns);
    if (status / 100 == 2)
        generator_succeeded(g, now_ns);
    land(u, now_ns);
    generator_free(g, u);
}

/* --- lost --- */

/* A request that timed out is known to take longer than that; it is recorded as just that long. */
static void lose(struct user *u, enum client_error error, uint64_t now_ns)
{
    struct generator *g = u->generator;
    struct load_counts *counts = &block_tally(g->block, u->step)->counts;
    if (error == CLIENT_TIMEOUT) {
        uint64_t timeout_ns = g->plan->config.timeout_ns;
        counts->timeouts++;
        record(u, u->sent_ns - u->due_ns + timeout_ns, timeout_ns);
    } else if (error == CLIENT_BAD_RESPONSE) {
        counts->errors[LOAD_ERROR_bad_response]++;
    } else {
        counts->errors[LOAD_ERROR_reset]++;
    }
    land(u, now_ns);
}

void user_abandon(struct user *u, uint64_t now_ns)
{
    block_tally(u->generator->block, u->step)->counts.unfinished++;
    land(u, now_ns);
}

/* --- closed --- */

static void user_rest(struct user *u)
{
    struct loop *loop = &u->generator->worker.loop;
    u->retry_wait_ns = u->retry_wait_ns ? u->retry_wait_ns * 2 : RETRY_FIRST_NS;
    if (u->retry_wait_ns > RETRY_MAX_NS)
        u->retry_wait_ns = RETRY_MAX_NS;
    CHECK(timer_set(&loop->timers, &u->retry, loop->now_ns + u->retry_wait_ns));
}

static void user_retry(struct timer *t)
{
    struct user *u = (struct user *)((char *)t - offsetof(struct user, retry));
    generator_idle(u->generator, u);
}

static void user_closed(struct client *c, enum client_error error, int error_code)
{
    struct user *u = (struct user *)c;
    struct generator *g = u->generator;
    bool was_open = u->is_open, is_good = u->was_useful;
    bytes_free(&u->sample);
    u->is_open = false;
    if (!u->is_flying)
        user_list_remove(u);
    if (was_open)
        g->open_count--;
    else if (generator_connect_failed(g, u, error_code ? error_code : ETIMEDOUT)) {
        user_connect(u);
        return;
    }
    if (u->is_flying) {
        lose(u, error, g->worker.loop.now_ns);
        is_good = error == CLIENT_TIMEOUT;
    }
    if (g->phase == GENERATOR_CLOSING)
        generator_closed(g);
    else if (is_good)
        generator_idle(g, u);
    else
        user_rest(u);
}

void user_quit(struct user *u)
{
    timer_clear(&u->client.loop->timers, &u->retry);
    timer_clear(&u->client.loop->timers, &u->think);
    client_close(&u->client, CLIENT_OK);
}
