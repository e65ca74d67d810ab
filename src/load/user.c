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

void user_init(struct user *u, struct generator *g, struct flight *flights)
{
    *u = (struct user){.generator = g, .flights = flights};
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
    g->wanted_count += !u->was_wanted;
    u->was_wanted = true;
    u->was_useful = false;
    u->address = g->address;
    g->connecting_count++;
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
    user_flush(u); /* what the connection was made for */
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

bool user_has_room(const struct user *u)
{
    const struct load_config *c = &u->generator->plan->config;
    return c->is_kept_alive ? client_is_usable(&u->client) && u->flight_count < c->pipeline
                            : u->client.state == CLIENT_IDLE && !u->flight_count;
}

static struct flight *flight_at(struct user *u, unsigned place)
{
    unsigned room = u->generator->plan->config.pipeline, at = u->first_flight + place;
    return &u->flights[at < room ? at : at - room];
}

static void flight_begin(struct user *u, struct flight *flight)
{
    struct generator *g = u->generator;
    flight->user = u;
    flight->after = NULL;
    flight->before = g->last_flight;
    *(g->last_flight ? &g->last_flight->after : &g->first_flight) = flight;
    g->last_flight = flight;
    g->flight_count++;
}

static void flight_end(struct generator *g, struct flight *flight)
{
    *(flight->before ? &flight->before->after : &g->first_flight) = flight->after;
    *(flight->after ? &flight->after->before : &g->last_flight) = flight->before;
    g->flight_count--;
}

void user_send(struct user *u, uint64_t due_ns, uint32_t step, uint64_t number, uint64_t now_ns)
{
    struct generator *g = u->generator;
    CHECK(user_has_room(u));
    struct flight *flight = flight_at(u, u->flight_count++);
    *flight = (struct flight){.due_ns = due_ns,
                              .sent_ns = now_ns,
                              .step = step,
                              .number = number,
                              .is_sampled = generator_samples(g)};
    flight_begin(u, flight);
    if (u->unsent++ == 0) {
        u->next_unsent = NULL;
        *g->unsent_end = u;
        g->unsent_end = &u->next_unsent;
    }
    if (!g->plan->config.is_kept_alive) {
        u->tries = 0;
        user_connect(u);
    }
}

/* The requests that are not sent yet, one behind the other, in memory that stays for the send. */
static struct span render(struct user *u)
{
    struct generator *g = u->generator;
    const struct mix *mix = &g->plan->mix;
    unsigned first = u->flight_count - u->unsent;
    size_t room = 0, len = 0;
    for (unsigned i = first; i < u->flight_count; i++)
        room += mix_deal(mix, flight_at(u, i)->number)->bytes.bytes_max;
    char *at = ring_stage(&g->worker.loop.ring, room);
    if (!at)
        return (struct span){NULL, 0};
    for (unsigned i = first; i < u->flight_count; i++) {
        uint64_t number = flight_at(u, i)->number;
        len += template_expand(&mix_deal(mix, number)->bytes, number, &g->rng, at + len);
    }
    ring_stage_take(&g->worker.loop.ring, len);
    return (struct span){at, len};
}

void user_flush(struct user *u)
{
    const struct mix *mix = &u->generator->plan->mix;
    uint32_t count = u->unsent;
    if (!count || u->client.state != CLIENT_OPEN)
        return;
    struct flight *first = flight_at(u, u->flight_count - count);
    struct span bytes = mix->literal ? (struct span){mix->literal, count * mix->literal_len}
                                     : render(u);
    u->unsent = 0;
    if (bytes.data)
        client_send(&u->client, mix_deal(mix, first->number)->method, bytes, count);
    else
        client_close(&u->client, CLIENT_RESET);
}

/* --- answered --- */

/* The oldest request ended. */
static void land(struct user *u, uint64_t now_ns)
{
    struct generator *g = u->generator;
    struct flight *flight = flight_at(u, 0);
    CHECK(u->flight_count);
    if (u->unsent > --u->flight_count)
        u->unsent = u->flight_count;
    if (++u->first_flight == g->plan->config.pipeline)
        u->first_flight = 0;
    flight_end(g, flight);
    generator_landed(g, u, flight, now_ns);
    u->landed_ns = now_ns;
}

static void record(struct user *u, unsigned status, uint64_t latency_ns, uint64_t service_ns)
{
    struct tally *t = block_tally(u->generator->block, flight_at(u, 0)->step);
    tally_record(&t->latency, latency_ns);
    if (status / 100 != LOAD_STATUS_2XX)
        tally_record(&t->others[status / 100], latency_ns);
    if (u->generator->plan->is_open)
        tally_record(&t->service, service_ns);
}

static void user_body(struct client *c, struct span bytes)
{
    struct user *u = (struct user *)c;
    struct flight *oldest = u->flight_count ? flight_at(u, 0) : NULL;
    if (oldest && oldest->is_sampled && !bytes_append(&u->sample, bytes, SAMPLE_BYTES_MOST))
        oldest->is_sampled = false;
}

static void keep_sample(struct user *u, bool is_good, uint64_t now_ns)
{
    if (is_good && flight_at(u, 0)->is_sampled)
        generator_sampled(u->generator, &u->sample, now_ns);
    bytes_free(&u->sample);
}

/* Whether the answer is the one that was to come; else it is counted by what it is. */
static bool count_answer(const struct load_plan *p, struct load_counts *c, unsigned status,
                         uint64_t body_bytes)
{
    bool is_expected = p->is_expected[status];
    if (is_expected &&
        (p->config.expect_body_bytes == UINT64_MAX || p->config.expect_body_bytes == body_bytes)) {
        c->ok++;
        return true;
    }
    enum load_error error = LOAD_ERROR_unexpected;
    if (!is_expected && !p->has_expected_status && status / 100 == 3)
        error = LOAD_ERROR_status_3xx;
    else if (!is_expected && !p->has_expected_status && status / 100 == 4)
        error = LOAD_ERROR_status_4xx;
    else if (!is_expected && !p->has_expected_status && status / 100 == 5)
        error = LOAD_ERROR_status_5xx;
    c->errors[error]++;
    return false;
}

static void user_answered(struct client *c, unsigned status, uint64_t body_bytes)
{
    struct user *u = (struct user *)c;
    struct generator *g = u->generator;
    uint64_t now_ns = g->worker.loop.now_ns;
    u->was_useful = true;
    u->retry_wait_ns = 0;
    if (!u->flight_count)
        return; /* abandoned at the run's end */
    struct flight *flight = flight_at(u, 0);
    struct load_counts *counts = &block_tally(g->block, flight->step)->counts;
    bool is_good = count_answer(g->plan, counts, status, body_bytes);
    g->statuses[status < LOAD_STATUSES ? status : 0]++;
    counts->received_bytes += c->received_bytes - u->received_seen;
    u->received_seen = c->received_bytes;
    record(u, status, now_ns - flight->due_ns, now_ns - flight->sent_ns);
    if (g->samples)
        keep_sample(u, is_good, now_ns);
    if (is_good)
        generator_succeeded(g, now_ns);
    land(u, now_ns);
    if (g->plan->config.is_kept_alive)
        generator_free(g, u);
    else
        client_close(c, CLIENT_OK);
}

/* --- lost --- */

/* A request that timed out is known to take longer than that; it is recorded as just that long. */
static void lose(struct user *u, enum client_error error, uint64_t now_ns)
{
    struct generator *g = u->generator;
    struct flight *flight = flight_at(u, 0);
    struct load_counts *counts = &block_tally(g->block, flight->step)->counts;
    uint64_t timeout_ns = g->plan->config.timeout_ns;
    if (error == CLIENT_TIMEOUT) {
        counts->timeouts++;
        record(u, LOAD_STATUS_NONE, flight->sent_ns - flight->due_ns + timeout_ns, timeout_ns);
    } else if (error == CLIENT_CONNECT) {
        counts->errors[LOAD_ERROR_connect]++;
    } else if (error == CLIENT_BAD_RESPONSE) {
        counts->errors[LOAD_ERROR_bad_response]++;
    } else {
        counts->errors[LOAD_ERROR_reset]++;
    }
    land(u, now_ns);
}

void user_abandon(struct user *u, uint64_t now_ns)
{
    block_tally(u->generator->block, flight_at(u, 0)->step)->counts.unfinished++;
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

/* A bad answer is the oldest request's, and so is the time-out that ends a connection; those behind
 * it, if their own time was not over, were lost with the connection. */
static void lose_all(struct user *u, enum client_error error)
{
    struct generator *g = u->generator;
    uint64_t now_ns = g->worker.loop.now_ns, timeout_ns = g->plan->config.timeout_ns;
    for (bool is_oldest = true; u->flight_count; is_oldest = false) {
        bool is_over = error == CLIENT_TIMEOUT && flight_at(u, 0)->sent_ns + timeout_ns <= now_ns;
        lose(u,
             is_oldest || error == CLIENT_CONNECT ? error
             : is_over                            ? CLIENT_TIMEOUT
                                                  : CLIENT_RESET,
             now_ns);
    }
}

static void user_closed(struct client *c, enum client_error error, int error_code)
{
    struct user *u = (struct user *)c;
    struct generator *g = u->generator;
    bool was_open = u->is_open, is_good = u->was_useful;
    bytes_free(&u->sample);
    u->is_open = false;
    user_list_remove(u);
    if (was_open)
        g->open_count--;
    else if (generator_connect_failed(g, u, error_code ? error_code : ETIMEDOUT)) {
        user_connect(u);
        return;
    }
    if (u->flight_count) {
        lose_all(u, error);
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
