/* Every turn: completions free users, then the hook gives them what is due, then the ring sleeps
 * until a completion comes or the next request is due; a little less where waking up takes too long
 * to be slept through (see load/waking.h). */
#include "load/generator.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cpus.h"
#include "base/mem.h"

static void generator_turn(struct loop_hook *h);
static uint64_t generator_next_wake(struct loop *l);
static void run_start(struct task *t);
static void run_swap(struct task *t);
static void run_end(struct task *t);

#define OWNER(member, pointer) \
    ((struct generator *)((char *)(pointer)-offsetof(struct generator, member)))

static void tell(struct generator *g, _Atomic unsigned *what)
{
    uint64_t one = 1;
    atomic_fetch_add_explicit(what, 1, memory_order_release);
    CHECK(write(g->crew->wake_fd, &one, sizeof one) == sizeof one);
}

/* --- started --- */

/* Users of this thread that take part at `ns` from the start. */
static uint32_t active_at(const struct generator *g, uint64_t ns)
{
    const struct load_plan *p = g->plan;
    if (!p->clients.pods)
        return g->user_count;
    return (uint32_t)shard_part(plan_clients_at(p, ns), p->threads, g->index);
}

static unsigned power_of_two(unsigned least, unsigned low, unsigned high)
{
    unsigned size = low;
    while (size < least && size < high)
        size *= 2;
    return size;
}

/* A connect(2) takes 20 us, and five times that when most ports are in TIME_WAIT. In one turn only so
 * many are made: when thousands want a connection, neither the answers of the others are kept waiting
 * for all of them, nor do their own deadlines pass before the turn's end shows which of them stand. */
enum { CONNECTS_MAX = 64 };

/* How many may be under way at once: more than the two sides get done within the time-out would all be
 * given up, over and over. As TCP's congestion window does, it grows by one for each that stands, and is
 * halved, once for those that were under way together, when one does not in time. */
enum { CONNECTING_START = CONNECTS_MAX, CONNECTING_MIN = 4 };

static bool generator_begin(struct worker *w, struct fail *f)
{
    struct generator *g = w->arg;
    (void)f;
    prctl(PR_SET_TIMERSLACK, 1ul); /* waits end when they should, not up to 50 us later */
    g->hook.before_submit = generator_turn;
    loop_hook_add(&w->loop, &g->hook);
    w->loop.next_wake = generator_next_wake;
    bool is_kept_alive = g->plan->config.is_kept_alive;
    g->unsent_end = &g->unsent_users;
    g->first_tries = is_kept_alive ? g->active_count : 0;
    for (uint32_t i = 0; i < g->user_count; i++)
        user_init(&g->users[i], g, &g->flights[(size_t)i * g->plan->config.pipeline]);
    for (uint32_t i = 0; i < g->active_count; i++)
        if (is_kept_alive)
            user_list_add(&g->unconnected, &g->users[i]);
        else
            generator_free(g, &g->users[i]);
    if (!g->first_tries)
        tell(g, &g->crew->ready);
    return true;
}

static size_t flights_bytes(const struct generator *g)
{
    return (size_t)g->user_count * g->plan->config.pipeline * sizeof *g->flights;
}

static void choose_core(struct generator *g)
{
    int cores = CPU_COUNT(&g->plan->cpus);
    CPU_ZERO(&g->worker.cpus);
    if (cores)
        CPU_SET((size_t)cpus_nth(&g->plan->cpus, (int)g->index % cores), &g->worker.cpus);
}

bool generator_start(struct generator *g, const struct load_plan *plan, struct crew *crew,
                     unsigned index, struct fail *f)
{
    *g = (struct generator){.plan = plan,
                            .crew = crew,
                            .index = index,
                            .waking = WAKING_START,
                            .connecting_max = CONNECTING_START};
    g->user_count = (uint32_t)shard_part(plan->connections, plan->threads, index);
    g->active_count = active_at(g, 0);
    rng_seed(&g->rng, plan->config.seed + (shard_index(&plan->shard, index) << 32));
    g->users = mem_pages(g->user_count * sizeof *g->users);
    g->flights = mem_pages(flights_bytes(g));
    if (plan->config.samples)
        g->samples = mem_need(plan->config.samples, sizeof *g->samples);
    block_open(&g->blocks[0], plan);
    block_open(&g->blocks[1], plan);
    g->block = &g->blocks[0];
    g->requests_left = plan->request_count ? shard_part(plan->request_count, plan->threads, index)
                                           : UINT64_MAX;
    g->start_task.run = run_start;
    g->swap_task.run = run_swap;

    unsigned users = g->user_count;
    g->worker.arg = g;
    g->worker.begin = generator_begin;
    snprintf(g->worker.name, sizeof g->worker.name, "load-%u", index);
    choose_core(g);
    g->worker.ring = (struct ring_config){
        .entries = power_of_two(users + 8, 64, 4096),
        .completions = power_of_two(2 * users + 16, 256, 32768),
        .buffers = power_of_two(2 * users, 64, 1024),
        .buffer_bytes = 4096,
    };
    return worker_start(&g->worker, f);
}

/* The user's first connection stands, or could not be had. */
static void first_try_done(struct generator *g, struct user *u)
{
    if (u->was_tried)
        return;
    u->was_tried = true;
    if (g->phase != GENERATOR_CONNECTING || !g->first_tries || --g->first_tries)
        return;
    g->first_errno = g->opened_count ? 0 : g->connect_errno;
    tell(g, &g->crew->ready);
}

static void connecting_failed(struct generator *g, int error_code)
{
    uint64_t now_ns = g->worker.loop.now_ns;
    g->connecting_count--;
    if (error_code != ETIMEDOUT || now_ns < g->connecting_cut_ns + g->plan->config.timeout_ns)
        return;
    g->connecting_cut_ns = now_ns;
    g->connecting_max = g->connecting_max / 2 > CONNECTING_MIN ? g->connecting_max / 2
                                                               : CONNECTING_MIN;
}

void generator_opened(struct generator *g, struct user *u)
{
    g->connecting_count--;
    g->connecting_max += g->connecting_max < g->user_count;
    g->open_total++;
    g->open_count++;
    g->reached |= 1u << u->address;
    g->opened_count += !u->was_opened;
    u->was_opened = true;
    first_try_done(g, u);
    generator_free(g, u);
}

/* --- schedule --- */

static void schedule_next(struct generator *g)
{
    if (g->next_k >= g->end_k) {
        g->next_due_ns = TIMER_NEVER;
        return;
    }
    uint64_t due_ns = pace_walk_due_ns(&g->plan->pace, &g->walk, g->next_k);
    while (g->next_step + 1 < g->plan->step_count && g->plan->steps[g->next_step].end_ns <= due_ns)
        g->next_step++;
    g->next_due_ns = g->start_ns + due_ns;
}

/* From one index of this thread to the next. */
static uint64_t schedule_stride(const struct generator *g)
{
    return (uint64_t)g->plan->threads * g->plan->shard.count;
}

static void schedule_take(struct generator *g)
{
    block_tally(g->block, g->next_step)->counts.scheduled++;
    g->next_k += schedule_stride(g);
    schedule_next(g);
}

/* Indices of this thread that are due by `now_ns` and not taken. */
static uint64_t schedule_backlog(const struct generator *g, uint64_t now_ns)
{
    if (!g->plan->is_open || now_ns < g->start_ns)
        return 0;
    uint64_t due = pace_due_count(&g->plan->pace, now_ns - g->start_ns);
    if (due > g->end_k)
        due = g->end_k;
    uint64_t stride = schedule_stride(g);
    return due > g->next_k ? (due - g->next_k + stride - 1) / stride : 0;
}

static void run_start(struct task *t)
{
    struct generator *g = OWNER(start_task, t);
    uint64_t window_ns = g->plan->window_ns;
    static const uint64_t HARD_END_SLACK_NS = 100 * NS_PER_MS; /* time-outs at the end go first */
    g->start_ns = g->start_order_ns;
    g->window_end_ns = window_ns == UINT64_MAX ? TIMER_NEVER : g->start_ns + window_ns;
    g->hard_end_ns = window_ns == UINT64_MAX
                         ? TIMER_NEVER
                         : g->window_end_ns + g->plan->config.timeout_ns + HARD_END_SLACK_NS;
    g->next_due_ns = TIMER_NEVER;
    g->next_stage_ns = g->plan->clients.pods ? g->start_ns : TIMER_NEVER;
    if (g->plan->is_open) {
        g->next_k = shard_index(&g->plan->shard, g->index);
        g->end_k = g->plan->pace.total;
        schedule_next(g);
    }
    g->last_end_ns = g->flying_since_ns = g->start_ns;
    g->phase = GENERATOR_RUNNING;
}

/* --- sending --- */

static void count_sent(struct generator *g, uint32_t step, uint64_t now_ns)
{
    const struct plan_step *s = &g->plan->steps[step];
    struct tally *t = block_tally(g->block, step);
    t->counts.sent++;
    if (now_ns - g->start_ns <= s->end_ns + (s->end_ns - s->begin_ns) / 100)
        t->sent_in_time++;
}

/* The connection that has been free for longest; one with requests under way only if there is no
 * other, so that as few requests as possible wait behind another. */
static struct user *take_free(struct generator *g)
{
    struct user *u = user_list_take(&g->ready);
    return u ? u : user_list_take(&g->spare);
}

/* The generator's own part in a late send: since the request was due and a connection was free. */
static void send_due(struct generator *g, uint64_t now_ns)
{
    struct user *u;
    while (g->next_due_ns <= now_ns && (u = take_free(g))) {
        if (!user_has_room(u))
            continue; /* it is closing, and comes back when it is open again */
        uint64_t could_ns = u->free_ns > g->next_due_ns ? u->free_ns : g->next_due_ns;
        tally_record(&block_tally(g->block, g->next_step)->send_lag, now_ns - could_ns);
        count_sent(g, g->next_step, now_ns);
        user_send(u, g->next_due_ns, g->next_step, g->next_k, now_ns);
        if (user_has_room(u))
            user_list_add(&g->spare, u);
        schedule_take(g);
    }
}

/* What has waited for longer than the timeout is never sent; it is known to take longer than it
 * waited. */
static void shed_one(struct generator *g, uint64_t now_ns)
{
    struct tally *t = block_tally(g->block, g->next_step);
    t->counts.unsent++;
    tally_record(&t->latency, now_ns - g->next_due_ns);
    tally_record(&t->others[LOAD_STATUS_NONE], now_ns - g->next_due_ns);
    schedule_take(g);
}

static void shed_expired(struct generator *g, uint64_t now_ns)
{
    while (g->next_due_ns != TIMER_NEVER && g->next_due_ns + g->plan->config.timeout_ns < now_ns)
        shed_one(g, now_ns);
}

/* On a clients ramp: those who come with the stage think first, like the others. */
static void begin_stage(struct generator *g, uint64_t now_ns)
{
    uint64_t since_ns = now_ns - g->start_ns, stage_ns = g->plan->clients.stage_ns;
    uint32_t active = active_at(g, since_ns);
    for (; g->active_count < active; g->active_count++)
        if (!g->users[g->active_count].list)
            user_list_add(&g->ready, &g->users[g->active_count]);
    while (g->next_step + 1 < g->plan->step_count &&
           g->plan->steps[g->next_step].end_ns <= since_ns)
        g->next_step++;
    g->next_stage_ns = g->start_ns + (since_ns / stage_ns + 1) * stage_ns;
}

/* Whether a client has still to think before its next request; if so it does. */
static bool must_think(struct generator *g, struct user *u, uint64_t now_ns)
{
    if (!g->plan->clients.pods || u->has_request || u->has_thought)
        return false;
    if (u->think.deadline_ns == TIMER_NEVER)
        user_think(u, now_ns + clients_draw_think_ns(&g->plan->clients, &g->rng));
    return true;
}

static bool take_request(struct generator *g, struct user *u, uint64_t now_ns)
{
    if (u->has_request)
        return true;
    if (!g->requests_left || now_ns >= g->window_end_ns)
        return false;
    if (g->requests_left != UINT64_MAX)
        g->requests_left--;
    g->requests_out++;
    u->has_request = true;
    u->has_thought = false;
    return true;
}

static bool may_connect(const struct generator *g)
{
    return g->unconnected.first && g->connecting_count < g->connecting_max;
}

static void connect_some(struct generator *g)
{
    for (unsigned i = 0; i < CONNECTS_MAX && may_connect(g); i++)
        user_connect(user_list_take(&g->unconnected));
}

static void send_ready(struct generator *g, uint64_t now_ns)
{
    unsigned connects = 0;
    struct user *u;
    if (now_ns < g->start_ns)
        return;
    while (connects < CONNECTS_MAX && (u = take_free(g))) {
        while (user_has_room(u) && !must_think(g, u, now_ns) && take_request(g, u, now_ns)) {
            u->has_request = false;
            count_sent(g, g->next_step, now_ns);
            uint64_t number = g->request_count++ * g->plan->threads + g->index;
            user_send(u, now_ns, g->next_step, shard_index(&g->plan->shard, number), now_ns);
            connects += u->client.state != CLIENT_OPEN;
        }
        bool is_idle = u->client.state == CLIENT_IDLE && !u->flight_count;
        if (is_idle && !must_think(g, u, now_ns) && take_request(g, u, now_ns)) {
            user_connect(u);
            connects++;
        }
    } /* one that is closing comes back when it is closed */
}

/* One send for each connection, whatever it has to send in this turn. */
static void flush(struct generator *g)
{
    for (struct user *u = g->unsent_users, *next; u; u = next) {
        next = u->next_unsent;
        user_flush(u);
    }
    g->unsent_users = NULL;
    g->unsent_end = &g->unsent_users;
}

static void time_out(struct generator *g, uint64_t now_ns)
{
    uint64_t timeout_ns = g->plan->config.timeout_ns;
    for (struct flight *flight = g->first_flight; flight && flight->sent_ns + timeout_ns <= now_ns;
         flight = flight->after)
        client_close(&flight->user->client, CLIENT_TIMEOUT);
}

/* --- landed --- */

void generator_landed(struct generator *g, struct user *u, const struct flight *flight,
                      uint64_t now_ns)
{
    g->ended++;
    g->service_sum_ns += now_ns - flight->sent_ns;
    waking_served(&g->waking, now_ns - flight->sent_ns);
    g->last_end_ns = now_ns;
    if (g->plan->is_open)
        return;
    g->requests_out--;
    uint64_t since_ns = u->landed_ns > g->window_end_ns ? u->landed_ns : g->window_end_ns;
    if (now_ns > since_ns)
        g->overrun_ns += now_ns - since_ns;
}

void generator_succeeded(struct generator *g, uint64_t now_ns)
{
    if (!g->first_ok_ns)
        g->first_ok_ns = now_ns;
    if (now_ns - g->first_ok_ns <= g->window_end_ns - g->start_ns)
        g->ok_in_window++;
}

void generator_free(struct generator *g, struct user *u)
{
    struct user_list *to = u->flight_count ? &g->spare : &g->ready;
    if (g->phase > GENERATOR_RUNNING || u->list == to || !user_has_room(u))
        return;
    if (!u->list)
        u->free_ns = g->worker.loop.now_ns;
    user_list_remove(u);
    user_list_add(to, u);
}

void generator_thought(struct generator *g, struct user *u)
{
    bool can_act = client_is_usable(&u->client) || u->client.state == CLIENT_IDLE;
    if (g->phase == GENERATOR_RUNNING && !u->list && can_act)
        user_list_add(&g->ready, u);
}

/* --- without a connection --- */

bool generator_connect_failed(struct generator *g, struct user *u, int error_code)
{
    unsigned addresses = (unsigned)g->plan->address_count;
    connecting_failed(g, error_code);
    g->connect_failures++;
    g->connect_errno = error_code;
    g->descriptor_failures += error_code == EMFILE || error_code == ENFILE;
    /* of an address that was never reached it says that this host has none of its kind: no IPv6 */
    g->port_failures += error_code == EADDRNOTAVAIL && g->reached >> u->address & 1;
    if (u->address == g->address)
        g->address = (g->address + 1) % addresses;
    bool is_first = g->phase == GENERATOR_CONNECTING ||
                    (u->unsent && error_code != ETIMEDOUT && g->phase == GENERATOR_RUNNING);
    if (is_first && ++u->tries < addresses)
        return true;
    first_try_done(g, u);
    if (u->has_request && g->phase == GENERATOR_RUNNING) {
        struct load_counts *c = &block_tally(g->block, g->next_step)->counts;
        c->sent++;
        c->errors[LOAD_ERROR_connect]++;
        u->has_request = false;
        g->requests_out--;
        g->last_end_ns = g->worker.loop.now_ns;
    }
    return false;
}

/* In a closed loop a connection is only tried on behalf of a request. */
void generator_idle(struct generator *g, struct user *u)
{
    if (g->phase > GENERATOR_RUNNING || u->client.state != CLIENT_IDLE)
        return;
    if (!g->plan->config.is_kept_alive)
        generator_free(g, u);
    else if (g->plan->is_open)
        user_list_add(&g->unconnected, u);
    else if (!u->list)
        user_list_add(&g->ready, u);
}

/* --- a turn --- */

/* Between two hooks the number in flight changes once, when the completions are worked off. */
static void integrate_flying(struct generator *g, uint64_t now_ns)
{
    uint64_t turn_ns = g->worker.loop.now_ns;
    if (turn_ns < g->flying_since_ns)
        turn_ns = g->flying_since_ns;
    g->flying_ns += (double)g->flying_count * (double)(turn_ns - g->flying_since_ns);
    g->flying_ns += (double)g->flight_count * (double)(now_ns - turn_ns);
    g->flying_since_ns = now_ns;
}

static void abandon_all(struct generator *g, uint64_t now_ns)
{
    while (g->first_flight)
        user_abandon(g->first_flight->user, now_ns);
    while (g->next_due_ns != TIMER_NEVER)
        shed_one(g, now_ns);
    g->requests_out = 0;
}

static bool is_done(struct generator *g, uint64_t now_ns)
{
    if (g->plan->is_open)
        return g->next_due_ns == TIMER_NEVER && !g->flight_count && now_ns >= g->window_end_ns;
    return !g->requests_out && (!g->requests_left || now_ns >= g->window_end_ns);
}

static void observe_waking(struct generator *g)
{
    uint64_t woken_ns = g->worker.loop.now_ns;
    if (g->asleep_until_ns && woken_ns >= g->asleep_until_ns)
        waking_slept(&g->waking, woken_ns - g->asleep_until_ns);
    g->asleep_until_ns = 0;
}

static void generator_turn(struct loop_hook *h)
{
    struct generator *g = OWNER(hook, h);
    if (g->phase <= GENERATOR_RUNNING)
        connect_some(g);
    if (g->phase != GENERATOR_RUNNING)
        return;
    uint64_t now_ns = clock_ns();
    if (now_ns < g->start_ns)
        return;
    g->has_begun = true;
    observe_waking(g);
    integrate_flying(g, now_ns);
    time_out(g, now_ns);
    if (g->plan->is_open) {
        shed_expired(g, now_ns);
        send_due(g, now_ns);
    } else {
        if (now_ns >= g->next_stage_ns)
            begin_stage(g, now_ns);
        send_ready(g, now_ns);
    }
    flush(g);
    if (now_ns >= g->hard_end_ns)
        abandon_all(g, now_ns);
    g->flying_count = g->flight_count;
    if (is_done(g, now_ns)) {
        g->phase = GENERATOR_FINISHED;
        tell(g, &g->crew->finished);
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t generator_next_wake(struct loop *l)
{
    struct worker *w = l->owner;
    struct generator *g = w->arg;
    if (g->phase <= GENERATOR_RUNNING && may_connect(g))
        return 0; /* connect_some() left some */
    if (g->phase != GENERATOR_RUNNING)
        return TIMER_NEVER;
    if (!g->has_begun)
        return g->start_ns;
    bool can_send = g->ready.first || g->spare.first;
    if (!g->plan->is_open && can_send)
        return g->flying_since_ns; /* send_ready() left some */
    uint64_t timeout_ns = g->plan->config.timeout_ns, wake_ns = g->hard_end_ns;
    if (g->flying_since_ns < g->window_end_ns)
        wake_ns = g->window_end_ns;
    if (!g->plan->is_open && g->flying_since_ns < g->window_end_ns)
        wake_ns = earlier(wake_ns, g->next_stage_ns);
    if (g->first_flight)
        wake_ns = earlier(wake_ns, g->first_flight->sent_ns + timeout_ns);
    if (g->next_due_ns != TIMER_NEVER)
        wake_ns = earlier(wake_ns, can_send ? g->next_due_ns - waking_early_ns(&g->waking)
                                            : g->next_due_ns + timeout_ns + 1);
    if (wake_ns > g->flying_since_ns)
        g->asleep_until_ns = wake_ns;
    return wake_ns;
}

/* --- orders --- */

void generator_go(struct generator *g, uint64_t start_ns)
{
    g->start_order_ns = start_ns;
    loop_post(&g->worker.loop, &g->start_task);
}

void generator_swap(struct generator *g)
{
    loop_post(&g->worker.loop, &g->swap_task);
}

static void run_swap(struct task *t)
{
    struct generator *g = OWNER(swap_task, t);
    struct block *b = g->block;
    b->in_flight = g->flight_count;
    b->backlog = (uint32_t)schedule_backlog(g, clock_ns());
    b->connections_open = g->open_count;
    g->swapped = b;
    g->block = b == &g->blocks[0] ? &g->blocks[1] : &g->blocks[0];
    tell(g, &g->crew->swapped);
}

void generator_end(struct generator *g, uint64_t window_end_ns, uint64_t hard_end_ns)
{
    CHECK(g->end_count < sizeof g->ends / sizeof *g->ends);
    struct end_order *order = &g->ends[g->end_count++];
    *order = (struct end_order){.task.run = run_end,
                                .generator = g,
                                .window_end_ns = window_end_ns,
                                .hard_end_ns = hard_end_ns};
    loop_post(&g->worker.loop, &order->task);
}

static void run_end(struct task *t)
{
    const struct end_order *order = (struct end_order *)((char *)t -
                                                         offsetof(struct end_order, task));
    struct generator *g = order->generator;
    g->window_end_ns = earlier(g->window_end_ns, order->window_end_ns);
    g->hard_end_ns = earlier(g->hard_end_ns, order->hard_end_ns);
    if (!g->plan->is_open)
        return;
    uint64_t length_ns = g->window_end_ns - g->start_ns;
    g->end_k = earlier(g->end_k, pace_due_count(&g->plan->pace, length_ns));
    schedule_next(g);
}

/* --- closed --- */

static void generator_close(struct worker *w)
{
    struct generator *g = w->arg;
    g->phase = GENERATOR_CLOSING;
    g->closing_count = 1;
    for (uint32_t i = 0; i < g->user_count; i++) {
        g->closing_count += g->users[i].client.state != CLIENT_IDLE;
        user_quit(&g->users[i]);
    }
    generator_closed(g);
}

void generator_closed(struct generator *g)
{
    if (--g->closing_count == 0)
        loop_stop(&g->worker.loop);
}

void generator_stop(struct generator *g)
{
    if (!g->worker.is_started)
        return;
    worker_stop(&g->worker, generator_close);
    worker_join(&g->worker);
}

bool generator_samples(struct generator *g)
{
    return g->samples && g->asked++ % LOAD_SAMPLE_EVERY == 0;
}

void generator_sampled(struct generator *g, struct bytes *body, uint64_t now_ns)
{
    struct load_sample *slot = &g->samples[g->sampled++ % g->plan->config.samples];
    bytes_free(&slot->body);
    *slot = (struct load_sample){.body = *body, .answered_ns = now_ns};
    *body = (struct bytes){0};
}

unsigned generator_take_samples(struct generator *g, struct load_sample *out)
{
    uint64_t room = g->plan->config.samples;
    unsigned count = (unsigned)(g->sampled < room ? g->sampled : room);
    memcpy(out, g->samples, count * sizeof *out);
    g->sampled = 0;
    return count;
}

static void free_samples(struct generator *g)
{
    for (uint64_t i = 0; i < g->sampled && i < g->plan->config.samples; i++)
        bytes_free(&g->samples[i].body);
    free(g->samples);
}

void generator_free_memory(struct generator *g)
{
    for (uint32_t i = 0; i < g->user_count && g->samples; i++)
        bytes_free(&g->users[i].sample);
    free_samples(g);
    block_close(&g->blocks[0]);
    block_close(&g->blocks[1]);
    if (g->flights)
        munmap(g->flights, flights_bytes(g));
    if (g->users)
        munmap(g->users, g->user_count * sizeof *g->users);
}
