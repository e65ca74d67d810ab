/* A run as the calling thread sees it: start the generators, wait until they are connected, let them
 * go at one moment, take their counts every second, end them, and make a result of it all. */
#include "load/load.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cpus.h"
#include "base/log.h"
#include "base/mem.h"
#include "load/effort.h"
#include "load/generator.h"
#include "load/steal.h"
#include "load/verdict.h"

const char *const load_error_names[LOAD_ERROR_COUNT] = {
#define X(name) #name,
    LOAD_ERRORS(X)
#undef X
};

static const uint64_t CONNECT_WAIT_MAX_NS = 3 * NS_PER_S; /* before the start */
static const uint64_t BEGIN_AHEAD_NS = 600 * NS_PER_MS;   /* for what the watcher does first */
static const uint64_t START_AHEAD_NS = 2 * NS_PER_MS;     /* so that all threads begin together */
static const uint64_t CONNECT_AHEAD_NS = 5 * NS_PER_S;    /* of a start that was agreed upon */
static const uint64_t ASK_STOP_NS = 20 * NS_PER_MS;
static const uint64_t LAST_ROW_WAIT_NS = 250 *
                                         NS_PER_MS; /* a row is not ended just before the end */

struct run {
    const struct load_plan *plan;
    const struct load_watch *watch;
    struct generator *generators;
    unsigned started; /* threads */
    struct crew crew;
    struct series series;
    uint64_t start_ns, window_end_ns;
    int64_t started_us;
    struct clock_quality clock; /* as of the start */
    uint64_t row_ns;            /* clock as of the last row */
    struct effort effort;
    struct steal steal_start; /* all 0: unknown */
    double steal_pct;
    uint64_t measured_ns; /* when; 0: not yet */
    bool is_ending, is_interrupted;
};

/* --- waiting --- */

/* Sleeps until a generator has something to tell, or `until_ns`, or it is time to ask for a stop. */
static void run_sleep(struct run *r, uint64_t until_ns)
{
    uint64_t now_ns = clock_ns(), wait_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    if (wait_ns > ASK_STOP_NS)
        wait_ns = ASK_STOP_NS;
    struct pollfd wake = {.fd = r->crew.wake_fd, .events = POLLIN};
    struct timespec wait = {.tv_nsec = (long)wait_ns};
    uint64_t count;
    if (ppoll(&wake, 1, &wait, NULL) > 0)
        CHECK(read(r->crew.wake_fd, &count, sizeof count) == sizeof count);
}

static bool is_stop_wanted(const struct run *r)
{
    return r->watch && r->watch->stop && r->watch->stop(r->watch->arg);
}

static bool all_did(const struct run *r, const _Atomic unsigned *what)
{
    return atomic_load_explicit(what, memory_order_acquire) >= r->plan->threads;
}

/* --- start --- */

static bool run_start(struct run *r, struct fail *f)
{
    r->crew.wake_fd = eventfd(0, EFD_CLOEXEC);
    if (r->crew.wake_fd < 0)
        return fail_set(f, EXIT_LACKING, "no event descriptor could be had: %s", strerror(errno));
    r->generators = mem_need(r->plan->threads, sizeof *r->generators);
    for (; r->started < r->plan->threads; r->started++)
        if (!generator_start(&r->generators[r->started], r->plan, &r->crew, r->started, f)) {
            r->started++; /* its memory is there */
            return false;
        }
    return true;
}

static const cpu_set_t *client_cpus(const struct run *r)
{
    return CPU_COUNT(&r->plan->cpus) ? &r->plan->cpus : cpus_given();
}

/* Connections are not opened so early that the target closes them again as idle. */
static void await_connecting(struct run *r)
{
    int64_t ahead_us = r->plan->shard.start_at_us - clock_wall_us();
    uint64_t ahead_ns = ahead_us > 0 ? (uint64_t)ahead_us * NS_PER_US : 0;
    if (!r->plan->shard.start_at_us || ahead_ns <= CONNECT_AHEAD_NS)
        return;
    uint64_t until_ns = clock_ns() + ahead_ns - CONNECT_AHEAD_NS;
    while (clock_ns() < until_ns && !is_stop_wanted(r))
        run_sleep(r, until_ns);
}

/* False: the run is to stop. */
static bool sleep_until(struct run *r, uint64_t until_ns)
{
    bool is_stopped = false;
    while (clock_ns() < until_ns && !(is_stopped = is_stop_wanted(r)))
        run_sleep(r, until_ns);
    return !is_stopped;
}

/* At the time agreed upon, or as soon as the connections are open. What the watcher has to do first may
 * take a while, and comes before that. */
static bool choose_start(struct run *r, struct fail *f)
{
    uint64_t agreed_ns = 0;
    if (r->plan->shard.start_at_us && !shard_start_ns(&r->plan->shard, &agreed_ns, f))
        return false;
    const uint64_t ahead_ns = START_AHEAD_NS + BEGIN_AHEAD_NS;
    bool is_agreed = agreed_ns && sleep_until(r, agreed_ns > ahead_ns ? agreed_ns - ahead_ns : 0);
    if (r->watch && r->watch->begin)
        r->watch->begin(r->watch->arg);
    is_agreed = is_agreed && sleep_until(r, agreed_ns - START_AHEAD_NS);
    r->start_ns = is_agreed ? agreed_ns : clock_ns() + START_AHEAD_NS;
    r->started_us = is_agreed ? r->plan->shard.start_at_us
                              : clock_wall_us() + (int64_t)(START_AHEAD_NS / NS_PER_US);
    r->clock = clock_quality();
    return true;
}

/* Whoever mistook the address need not wait for the end to be told. */
static void say_unreachable(const struct run *r)
{
    if (!all_did(r, &r->crew.ready))
        return; /* it is not known yet */
    for (unsigned i = 0; i < r->plan->threads; i++)
        if (!r->generators[i].first_errno)
            return;
    log_line("%s cannot be reached: %s; trying on", r->plan->url.text,
             strerror(r->generators[0].first_errno));
}

/* Connections are opened before the clock runs: what a run measures is the target, not its accept
 * queue. A target that does not accept is waited for no longer than a few seconds. */
static bool run_go(struct run *r, struct fail *f)
{
    uint64_t wait_ns = r->plan->config.timeout_ns;
    if (wait_ns > CONNECT_WAIT_MAX_NS)
        wait_ns = CONNECT_WAIT_MAX_NS;
    uint64_t until_ns = clock_ns() + wait_ns;
    while (!all_did(r, &r->crew.ready) && clock_ns() < until_ns && !is_stop_wanted(r))
        run_sleep(r, until_ns);
    say_unreachable(r);
    if (!choose_start(r, f))
        return false;
    if (!steal_read(client_cpus(r), &r->steal_start))
        r->steal_start = (struct steal){0};
    r->row_ns = r->start_ns;
    r->window_end_ns = r->plan->window_ns == UINT64_MAX ? UINT64_MAX
                                                        : r->start_ns + r->plan->window_ns;
    effort_mark(&r->effort, r->generators, r->plan->threads);
    for (unsigned i = 0; i < r->plan->threads; i++)
        generator_go(&r->generators[i], r->start_ns);
    return true;
}

/* --- rows --- */

static void collect(struct run *r)
{
    atomic_store(&r->crew.swapped, 0);
    for (unsigned i = 0; i < r->plan->threads; i++)
        generator_swap(&r->generators[i]);
    while (!all_did(r, &r->crew.swapped))
        run_sleep(r, UINT64_MAX);
    for (unsigned i = 0; i < r->plan->threads; i++) {
        series_add(&r->series, r->generators[i].swapped);
        block_clear(r->generators[i].swapped);
    }
}

static void take_row(struct run *r)
{
    uint64_t now_ns = clock_ns();
    uint64_t length_ns = now_ns > r->row_ns ? now_ns - r->row_ns : 1;
    effort_mark(&r->effort, r->generators, r->plan->threads);
    double cpu_pct = effort_between(&r->effort, r->row_ns, now_ns).cpu_pct;
    collect(r);
    struct load_second *row = series_second(&r->series, r->row_ns + length_ns - r->start_ns,
                                            cpu_pct);
    row->begin_us = r->started_us + (int64_t)((r->row_ns - r->start_ns) / NS_PER_US);
    r->row_ns += length_ns;
    if (r->watch && r->watch->second)
        r->watch->second(r->watch->arg, row);
    series_next(&r->series);
}

/* --- end --- */

static void run_end(struct run *r, uint64_t wait_ns)
{
    uint64_t now_ns = clock_ns();
    r->is_ending = true;
    if (now_ns < r->start_ns)
        now_ns = r->start_ns;
    if (now_ns < r->window_end_ns)
        r->window_end_ns = now_ns;
    series_cut(&r->series, r->window_end_ns - r->start_ns);
    for (unsigned i = 0; i < r->plan->threads; i++)
        generator_end(&r->generators[i], r->window_end_ns, now_ns + wait_ns);
}

static uint64_t row_end_ns(const struct run *r)
{
    uint64_t end_ns = r->start_ns + (r->series.row_count + 1) * NS_PER_S;
    return end_ns >= r->window_end_ns ? end_ns + LAST_ROW_WAIT_NS : end_ns;
}

/* At the end of the time in which requests are sent: who only waits for the last answers uses nothing. */
static void measure_client(struct run *r)
{
    if (r->measured_ns)
        return;
    r->measured_ns = clock_ns();
    effort_mark(&r->effort, r->generators, r->plan->threads);
    struct steal end;
    bool is_known = r->steal_start.all && steal_read(client_cpus(r), &end);
    r->steal_pct = is_known ? steal_pct(&r->steal_start, &end) : NAN;
}

static void run_watch(struct run *r)
{
    while (!all_did(r, &r->crew.finished)) {
        run_sleep(r, row_end_ns(r));
        if (!r->is_interrupted && is_stop_wanted(r)) {
            r->is_interrupted = true;
            run_end(r, 0);
        }
        if (clock_ns() >= r->window_end_ns)
            measure_client(r);
        if (clock_ns() >= row_end_ns(r) && !all_did(r, &r->crew.finished))
            take_row(r);
        if (r->plan->is_climbing && !r->is_ending && series_is_over(&r->series))
            run_end(r, r->plan->config.timeout_ns);
    }
}

/* --- result --- */

/* That were to work at one time; on a clients ramp that was cut short, as far as it came. */
static uint32_t connections_active(const struct run *r)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < r->plan->threads; i++)
        sum += r->generators[i].active_count;
    return sum ? sum : 1;
}

/* How long the answers took to come, such that ok / duration is the rate at which they came.
 *
 * Closed loop for a duration: each connection works for the window and until its last answer, which
 * it was always going to wait for; the mean over the connections of how long they worked. A single
 * answer that takes long then prolongs the run by its share, not by its length. For a number of
 * requests: until the last one ended.
 *
 * Open loop: the window, if the answers came as fast as the requests were due. Those which came after
 * a window that begins with the first answer were late because the target was behind: the time is
 * extended as if they had gone on coming at the rate within the window. */
static double measure_duration(const struct run *r, const struct load_counts *total)
{
    double window_s = (double)(r->window_end_ns - r->start_ns) / 1e9;
    uint64_t left = 0, last_ns = r->start_ns, overrun_ns = 0, ok_in_window = 0;
    for (unsigned i = 0; i < r->plan->threads; i++) {
        const struct generator *g = &r->generators[i];
        left += g->requests_left != 0;
        overrun_ns += g->overrun_ns;
        ok_in_window += g->ok_in_window;
        if (g->last_end_ns > last_ns)
            last_ns = g->last_end_ns;
    }
    if (r->plan->is_open)
        return ok_in_window ? window_s * (double)total->ok / (double)ok_in_window : window_s;
    if (r->plan->request_count && !left)
        return (double)(last_ns - r->start_ns) / 1e9;
    return window_s + (double)overrun_ns / connections_active(r) / 1e9;
}

static void describe_shard(const struct load_plan *p, struct load_shard *s)
{
    const struct load_config *c = &p->config;
    s->shard = p->shard;
    s->offset = p->offset;
    s->reference = c->clock_from;
    s->connections = p->connections_all;
    s->requests = c->requests;
    s->rate = c->rate > 0 ? c->rate : NAN;
    s->schedule = c->ramp ? c->ramp : c->stages ? c->stages : c->clients;
    s->expect = c->expect;
    s->expect_status = c->expect_status;
    s->window_ns = p->window_ns;
    s->request_hash = mix_hash(&p->mix);
}

void load_plan_describe(const struct load_plan *p, struct load_result *out)
{
    snprintf(out->url, sizeof out->url, "%s", p->url.text);
    snprintf(out->method, sizeof out->method, "%s", p->method_text);
    out->is_open = p->is_open;
    out->model = p->model;
    out->arrivals = (enum load_arrivals)p->config.arrivals;
    out->seed = p->config.seed;
    out->clients = p->clients;
    out->threads = p->threads;
    out->connections = p->connections;
    out->timeout_ns = p->config.timeout_ns;
    out->is_kept_alive = p->config.is_kept_alive;
    out->pipeline = p->config.pipeline;
    out->target_rps = p->config.rate > 0 ? p->config.rate / p->shard.count : NAN;
    describe_shard(p, &out->shard);
}

/* Histograms and rows change hands. */
static void fill_series(struct series *s, struct load_result *out)
{
    out->counts = s->total;
    out->latency = s->latency;
    out->service = s->service;
    out->send_lag = s->send_lag;
    out->seconds = s->rows;
    out->second_count = s->row_count;
    s->latency = s->service = s->send_lag = NULL;
    s->rows = NULL;
}

static struct hist *taken(struct hist **h)
{
    struct hist *it = *h ? *h : hist_new();
    *h = NULL;
    return it;
}

/* What is quoted: the run, or on a ramp the highest step that was held. */
static void fill_quoted(const struct load_plan *p, struct series *s, struct load_result *out)
{
    bool is_held = s->held.tally.is_used;
    out->quoted_latency = out->latency;
    out->quoted_service = out->service;
    out->quoted_send_lag = out->send_lag;
    out->quoted_rps = out->duration_s > 0 ? (double)out->counts.ok / out->duration_s : 0;
    out->held_rps = p->has_steps ? 0 : NAN;
    out->shard.held_begin_ns = UINT64_MAX;
    if (!is_held)
        return;
    const struct plan_step *step = &p->steps[s->held.tally.step];
    out->shard.held_begin_ns = step->begin_ns;
    out->quoted_latency = taken(&s->held.tally.latency);
    out->quoted_service = taken(&s->held.tally.service);
    out->quoted_send_lag = taken(&s->held.tally.send_lag);
    out->quoted_rps = (double)s->held.tally.counts.ok * 1e9 /
                      (double)(step->end_ns - step->begin_ns);
    out->held_rps = p->is_open ? step->rate : out->quoted_rps;
    if (!p->is_open)
        hist_merge(out->quoted_service, out->quoted_latency); /* one and the same */
}

/* The run's, and of the thread that had least left, in the time that is quoted. */
static void fill_effort(const struct run *r, struct load_result *out)
{
    uint64_t begin_ns = r->start_ns, end_ns = r->measured_ns;
    out->client_cpu_pct = effort_between(&r->effort, begin_ns, end_ns).cpu_pct;
    if (r->series.held.tally.is_used) {
        const struct plan_step *step = &r->plan->steps[r->series.held.tally.step];
        begin_ns = r->start_ns + step->begin_ns;
        end_ns = r->start_ns + step->end_ns;
    }
    struct effort_share quoted = effort_between(&r->effort, begin_ns, end_ns);
    out->client_cpu_pct_worst_thread = quoted.worst_cpu_pct;
    out->client_starved_pct_worst_thread = quoted.worst_starved_pct;
}

static void fill_statuses(const struct run *r, struct load_result *out)
{
    for (unsigned i = 0; i < r->plan->threads; i++)
        for (unsigned status = 0; status < LOAD_STATUSES; status++)
            out->statuses[status] += r->generators[i].statuses[status];
}

/* Something was to be sent in this second, and at its end there was nothing to send it on. Without
 * keep-alive that is nothing unusual, and each request that had no connection is counted. */
static bool is_cut_off(const struct load_result *l, const struct load_second *s)
{
    bool was_due = l->is_open ? s->counts.scheduled
                              : !s->counts.ok && s->counts.errors[LOAD_ERROR_connect];
    return l->is_kept_alive && was_due && !s->connections_open;
}

static void judge(const struct run *r, struct load_result *out)
{
    const struct step_sum *held = &r->series.held;
    bool is_held = held->tally.is_used;
    const struct tally *whole = &r->series.steps[0].tally;
    struct verdict_facts v = {
        .is_open = out->is_open,
        .has_steps = r->plan->has_steps,
        .threads = out->threads,
        .connections = connections_active(r),
        .connections_made = out->connections_made,
        .cpu_pct_worst_thread = out->client_cpu_pct_worst_thread,
        .starved_pct_worst_thread = out->client_starved_pct_worst_thread,
        .samples = out->quoted_latency->count,
        .samples_needed = fmax(expect_samples_needed(&r->plan->expected),
                               expect_samples_needed(&r->plan->objective)),
        .steal_pct = r->steal_pct,
        .latency_p99_ns = hist_percentile(out->quoted_latency, 99),
        .send_lag_p99_ns = hist_percentile(out->quoted_send_lag, 99),
        .has_held_step = is_held,
        .quoted_due = is_held ? held->tally.counts.scheduled : whole->counts.scheduled,
        .quoted_sent = is_held ? held->tally.sent_in_time : whole->sent_in_time,
    };
    if (r->plan->has_steps && !is_held)
        v.quoted_due = v.quoted_sent = 0; /* nothing is claimed to have been held */
    /* without keep-alive, how many are open at one time follows from the rate; on a clients ramp the
     * quoted stage was held, which those that could not connect would have prevented: beyond it they
     * are what an overloaded target does */
    bool counts_connections = out->is_kept_alive && !(out->clients.pods && is_held);
    double elapsed_ns = (double)(r->row_ns - r->start_ns);
    for (unsigned i = 0; i < r->plan->threads; i++) {
        const struct generator *g = &r->generators[i];
        v.wanted += counts_connections ? g->wanted_count : 0;
        v.opened += counts_connections ? g->opened_count : 0;
        v.connect_failures += g->connect_failures;
        v.connect_errno = g->connect_errno ? g->connect_errno : v.connect_errno;
        v.descriptor_failures += g->descriptor_failures;
        v.port_failures += g->port_failures;
        v.ring_overflows += g->worker.loop.ring.overflows;
        v.in_flight_mean += g->flying_ns / elapsed_ns;
        v.in_flight_by_law += (double)g->service_sum_ns / elapsed_ns;
        v.ended += g->ended;
    }
    v.seconds = out->second_count;
    for (unsigned i = 0; i < out->second_count; i++)
        v.seconds_cut_off += is_cut_off(out, &out->seconds[i]);
    out->send_lag_p99_ns = v.send_lag_p99_ns;
    verdict_reach(&v, out);
}

/* Nothing is lost and nothing invented: the sums of CONTRACT section 3. */
static void check_sums(const struct load_plan *p, const struct load_counts *c)
{
    uint64_t sum = c->ok + c->timeouts + c->unfinished;
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
        sum += c->errors[i];
    CHECK(c->sent == sum);
    if (p->is_open)
        CHECK(c->scheduled == c->sent + c->unsent);
}

static void take_samples(struct run *r, struct load_result *out)
{
    if (!r->plan->config.samples)
        return;
    out->samples = mem_need((size_t)r->plan->threads * r->plan->config.samples,
                            sizeof *out->samples);
    for (unsigned i = 0; i < r->plan->threads; i++)
        out->sample_count += generator_take_samples(&r->generators[i],
                                                    out->samples + out->sample_count);
}

static void run_result(struct run *r, struct load_result *out)
{
    *out = (struct load_result){.is_interrupted = r->is_interrupted, .started_us = r->started_us};
    if (r->window_end_ns == UINT64_MAX)
        r->window_end_ns = r->row_ns;
    series_finish(&r->series, r->window_end_ns - r->start_ns);
    check_sums(r->plan, &r->series.total);
    load_plan_describe(r->plan, out);
    out->shard.clock = r->clock;
    fill_series(&r->series, out);
    fill_statuses(r, out);
    for (unsigned i = 0; i < r->plan->threads; i++)
        out->connections_made += r->generators[i].open_total;
    out->duration_s = measure_duration(r, &out->counts);
    out->client_steal_pct = r->steal_pct;
    fill_quoted(r->plan, &r->series, out);
    fill_effort(r, out);
    judge(r, out);
    out->expected = r->plan->expected;
    expect_judge(&out->expected, out);
    take_samples(r, out);
}

static void run_free(struct run *r)
{
    for (unsigned i = 0; i < r->started; i++) {
        generator_stop(&r->generators[i]);
        generator_free_memory(&r->generators[i]);
    }
    free(r->generators);
    effort_free(&r->effort);
    if (r->crew.wake_fd >= 0)
        close(r->crew.wake_fd);
    series_close(&r->series);
}

bool load_run(struct load_plan *plan, const struct load_watch *watch, struct load_result *result,
              struct fail *f)
{
    struct run r = {.plan = plan, .watch = watch, .crew.wake_fd = -1};
    series_open(&r.series, plan);
    await_connecting(&r);
    bool is_started = run_start(&r, f) && run_go(&r, f);
    if (is_started) {
        run_watch(&r);
        measure_client(&r);
        take_row(&r);
        for (unsigned i = 0; i < plan->threads; i++)
            generator_stop(&r.generators[i]);
        run_result(&r, result);
    }
    run_free(&r);
    return is_started;
}

void load_result_free(struct load_result *r)
{
    if (r->quoted_latency != r->latency)
        free(r->quoted_latency);
    if (r->quoted_service != r->service)
        free(r->quoted_service);
    if (r->quoted_send_lag != r->send_lag)
        free(r->quoted_send_lag);
    free(r->latency);
    free(r->service);
    free(r->send_lag);
    for (unsigned i = 0; i < r->second_count; i++)
        free(r->seconds[i].usage);
    free(r->seconds);
    for (unsigned i = 0; i < r->sample_count; i++)
        bytes_free(&r->samples[i].body);
    free(r->samples);
    *r = (struct load_result){0};
}

void load_counts_add(struct load_counts *to, const struct load_counts *from)
{
    to->scheduled += from->scheduled;
    to->unsent += from->unsent;
    to->sent += from->sent;
    to->ok += from->ok;
    to->timeouts += from->timeouts;
    to->unfinished += from->unfinished;
    to->received_bytes += from->received_bytes;
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
        to->errors[i] += from->errors[i];
}

uint64_t load_ended(const struct load_counts *c)
{
    uint64_t sum = c->ok + c->timeouts + c->unsent;
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
        sum += c->errors[i];
    return sum;
}

double load_availability(const struct load_counts *c)
{
    uint64_t ended = load_ended(c);
    return ended ? (double)c->ok / (double)ended : 1;
}

int load_exit_code(const struct load_result *r)
{
    if (!r->counts.ok)
        return EXIT_FAILED;
    if (r->verdict == LOAD_INVALID)
        return EXIT_INVALID;
    return expect_all_met(&r->expected) ? EXIT_DONE : EXIT_THRESHOLD;
}
