/* Everything that can be known before the first request is found out here, mistakes above all: the
 * parts of a load are checked in the order in which a reader would ask. What, where to, which
 * bytes, how often, with how much. */
#include "load/plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpus.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "base/units.h"
#include "conn/client.h"
#include "load/discover.h"

/* The body that the published benchmark's client sends. */
static const char published_body[] = "{\"mac\":\"EF-2B-C4-F5-D6-34\",\"firmware\":\"2.1.5\"}";
_Static_assert(sizeof published_body - 1 == 46, "the published body has 46 bytes");

/* --- what and where to --- */

static bool plan_discover(struct load_plan *p, struct fail *f)
{
    struct discovery found;
    char mode[64] = "";
    if (!discover_target(&found, f))
        return false;
    if (found.is_post && !p->config.method && !p->config.body)
        p->config.body = published_body;
    if (found.mode[0])
        snprintf(mode, sizeof mode, " (its mode is %s)", found.mode);
    log_line("no URL was given: %s http://" DISCOVER_ADDRESS "/api/devices%s",
             p->config.method ? p->config.method : (p->config.body ? "POST" : "GET"), mode);
    return url_parse("http://" DISCOVER_ADDRESS "/api/devices", &p->url, f);
}

static bool plan_address(struct load_plan *p, struct fail *f)
{
    if (!p->url.unix_path[0]) {
        p->address_count = address_resolve(p->url.host, p->url.port, p->addresses,
                                           PLAN_ADDRESSES_MAX, f);
        return p->address_count > 0;
    }
    struct address *a = &p->addresses[0];
    a->sa.un.sun_family = AF_UNIX;
    snprintf(a->sa.un.sun_path, sizeof a->sa.un.sun_path, "%s", p->url.unix_path);
    a->len = sizeof a->sa.un;
    p->address_count = 1;
    return true;
}

/* --- which bytes --- */

static bool plan_source(const struct load_plan *p, struct request_source *from, char **data,
                        struct fail *f)
{
    const struct load_config *c = &p->config;
    *from = (struct request_source){
        .method = c->method,
        .method_place = "-m",
        .defaults = c->headers,
        .headers_place = "-H",
        .has_body = c->body,
        .body = c->body ? span_of(c->body) : SPAN(""),
        .is_literal = c->is_literal,
        .closes = !c->is_kept_alive,
    };
    if (!c->body || c->body[0] != '@')
        return true;
    from->body.data = *data = request_read_file("the body file", c->body + 1, &from->body.len, f);
    return *data;
}

static bool plan_file(struct load_plan *p, const char *url, const struct request_source *from,
                      struct fail *f)
{
    if (p->config.method || p->config.body)
        return fail_set(f, EXIT_USAGE,
                        "-m and -b do not go with --requests-file: each line there has a method "
                        "and a body of its own");
    if (p->config.urls.count > 1)
        return fail_set(f, EXIT_USAGE,
                        "one URL goes with --requests-file, for the host; the paths stand in the "
                        "file");
    return (!url || url_parse(url, &p->url, f)) &&
           mix_read(&p->mix, from, p->config.requests_file, &p->url, f);
}

static bool plan_urls(struct load_plan *p, const char *url, struct request_source *from,
                      struct fail *f)
{
    const struct cli_texts *urls = &p->config.urls;
    if (urls->count > 1)
        return mix_from_urls(&p->mix, from, urls->items, (unsigned)urls->count, &p->url, f);
    return mix_from_urls(&p->mix, from, &url, 1, &p->url, f);
}

/* What several requests have in common is the host. */
static void plan_name(struct load_plan *p)
{
    struct url *u = &p->url;
    if (p->mix.count == 1) {
        snprintf(p->method_text, sizeof p->method_text, "%s", p->mix.requests[0].method_text);
        return;
    }
    snprintf(p->method_text, sizeof p->method_text, "mix of %u", p->mix.count);
    if (u->unix_path[0])
        snprintf(u->text, sizeof u->text, "unix:%s", u->unix_path);
    else
        snprintf(u->text, sizeof u->text, "http://%s/", u->host_field);
}

/* An answer to HEAD has no body whatever its head says, so who reads answers in a row must know
 * whether they are all of that kind. */
static bool plan_pipeline(const struct load_plan *p, struct fail *f)
{
    unsigned heads = 0;
    if (p->config.pipeline == 1)
        return true;
    for (unsigned i = 0; i < p->mix.count; i++)
        heads += p->mix.requests[i].method == HTTP_HEAD;
    if (heads && heads < p->mix.count)
        return fail_set(f, EXIT_USAGE,
                        "--pipeline cannot mix HEAD with other methods on one connection");
    return p->config.is_kept_alive ||
           fail_set(f, EXIT_USAGE,
                    "--pipeline puts several requests on a connection, --no-keepalive one: give "
                    "one of them");
}

/* What a connection cannot take would look as if the target had reset it. */
static bool plan_sizes(const struct load_plan *p, struct fail *f)
{
    char size[UNITS_TEXT_BYTES];
    uint64_t most = CLIENT_UNSENT_BYTES_MAX / p->config.pipeline;
    for (unsigned i = 0; i < p->mix.count; i++)
        if (p->mix.requests[i].bytes.bytes_max > most)
            return fail_set(f, EXIT_USAGE,
                            "a request of %zu bytes is too long, %u at a time on a connection: at "
                            "most %s are possible",
                            p->mix.requests[i].bytes.bytes_max, p->config.pipeline,
                            units_size_text(most, size));
    return true;
}

static bool plan_requests(struct load_plan *p, const char *url, struct fail *f)
{
    struct request_source from;
    char *data = NULL;
    if (!url && !p->config.requests_file) {
        if (!plan_discover(p, f))
            return false;
        url = p->url.text;
    }
    bool is_good = plan_source(p, &from, &data, f) &&
                   (p->config.requests_file ? plan_file(p, url, &from, f)
                                            : plan_urls(p, url, &from, f)) &&
                   plan_pipeline(p, f) && plan_sizes(p, f);
    free(data);
    if (!is_good)
        return false;
    mix_shuffle(&p->mix, p->config.seed, p->config.pipeline);
    plan_name(p);
    return true;
}

/* --- which answers --- */

static bool plan_expected(struct load_plan *p, struct fail *f)
{
    const char *at = p->config.expect_status;
    p->has_expected_status = at;
    for (unsigned status = 200; status < 300 && !at; status++)
        p->is_expected[status] = true;
    while (at) {
        const char *comma = strchr(at, ',');
        size_t len = comma ? (size_t)(comma - at) : strlen(at);
        uint64_t status;
        if (!num_get((struct span){at, len}, 599, &status) || status < 200)
            return fail_set(f, EXIT_USAGE,
                            "--expect-status expects a status from 200 to 599, or several such as "
                            "200,201");
        p->is_expected[status] = true;
        at = comma ? comma + 1 : NULL;
    }
    return true;
}

/* --- how often --- */

/* Which open loop it is at the most: what a reader compares a rate ramp with. */
static void clients_say(const struct clients_ramp *c)
{
    char stage[UNITS_TEXT_BYTES], think[UNITS_TEXT_BYTES], length[UNITS_TEXT_BYTES];
    log_line(
        "clients ramp: %u to %u clients in %u stages of %s (%s in all), each thinking %s%s; if "
        "answers took no time that would be %.0f to %.0f requests/s, %.0f/s more every second",
        c->pods, c->pods * c->stage_count, c->stage_count, units_duration_text(c->stage_ns, stage),
        units_duration_text(clients_length_ns(c), length), c->is_think_fixed ? "" : "up to ",
        units_duration_text(c->think_ns, think), clients_equivalent_rps(c, c->pods, 0),
        clients_equivalent_rps(c, c->pods * c->stage_count, 0),
        clients_equivalent_rps(c, c->pods, 0) * 1e9 / (double)c->stage_ns);
}

/* The tester's own connections, time-out and request follow from its ramp. */
static bool plan_clients(struct load_plan *p, struct fail *f)
{
    struct load_config *c = &p->config;
    if (!clients_parse(c->clients, &p->clients, f))
        return false;
    if (c->connections_was_set)
        return fail_set(f, EXIT_USAGE,
                        "-c does not go with --clients-ramp: each client has a connection");
    if (c->requests)
        return fail_set(f, EXIT_USAGE,
                        "-n does not go with --clients-ramp: its stages have their time");
    if (c->duration_was_set)
        clients_scale(&p->clients, c->duration_ns);
    if (p->clients.timeout_ns && !c->timeout_was_set)
        c->timeout_ns = p->clients.timeout_ns;
    if (p->clients.is_post && !c->method && !c->body)
        c->body = published_body;
    c->connections = p->clients.pods * p->clients.stage_count;
    clients_say(&p->clients);
    return true;
}

/* A search is a constant rate that changes from run to run. */
static bool plan_find_max(struct load_plan *p, struct fail *f)
{
    struct load_config *c = &p->config;
    if (c->rate > 0 || c->ramp || c->stages || c->clients || c->requests)
        return fail_set(f, EXIT_USAGE,
                        "--find-max finds the rate itself: leave --rate, --rps-ramp, --stages, "
                        "--clients-ramp and -n out; --find-start says where to begin");
    if (!c->probe_ns)
        return fail_set(f, EXIT_USAGE, "--probe-time must be longer than nothing");
    if (!expect_parse(c->find_max, &p->objective, f))
        return fail_prefix(f, "--find-max");
    c->rate = c->find_start;
    return true;
}

/* A client that waits says for what. */
static void shard_say(const struct shard *s)
{
    char start[CLOCK_TEXT_BYTES];
    clock_text(s->start_at_us, start);
    log_line("begins at %s, in %.3g s", start, (double)(s->start_at_us - clock_wall_us()) / 1e6);
}

/* What ends when the target no longer keeps up would end at another time for each client. */
static bool plan_shard(struct load_plan *p, struct fail *f)
{
    const struct load_config *c = &p->config;
    if (!shard_parse(c->shard, c->start_at, &p->shard, f))
        return false;
    if (p->shard.is_given && (c->find_max || (c->ramp && !*c->ramp)))
        return fail_set(f, EXIT_USAGE,
                        "--shard and --start-at need a schedule that is known before: give "
                        "--rate, --stages, --clients-ramp, a whole --rps-ramp or none of them");
    if (p->shard.start_at_us && !c->is_quiet)
        shard_say(&p->shard);
    return true;
}

/* Before the connections are opened, which is five seconds before the start. */
static bool plan_clock(struct load_plan *p, struct fail *f)
{
    static const int64_t LEFT_US = 6000000, AT_MOST_US = 12000000;
    const char *reference = p->config.clock_from;
    int64_t until_us = p->shard.start_at_us - LEFT_US, most_us = clock_wall_us() + AT_MOST_US;
    if (!reference)
        return true;
    if (!p->shard.start_at_us)
        return fail_set(
            f, EXIT_USAGE,
            "--clock-from asks how well clients agree on --start-at: give that as well");
    return reference_ask(reference, until_us < most_us ? until_us : most_us, &p->offset, f);
}

static bool plan_model(struct load_plan *p, struct fail *f)
{
    const struct load_config *c = &p->config;
    if (!plan_shard(p, f) || (c->find_max && !plan_find_max(p, f)))
        return false;
    bool has_rate = c->rate > 0;
    if (has_rate + !!c->ramp + !!c->stages + !!c->clients > 1)
        return fail_set(f, EXIT_USAGE,
                        "--rate, --rps-ramp, --stages and --clients-ramp are ways to say one "
                        "thing: give one of them");
    p->is_open = has_rate || c->ramp || c->stages;
    p->has_steps = c->ramp || c->stages || c->clients;
    p->model = has_rate     ? "constant"
               : c->ramp    ? "ramp"
               : c->stages  ? "stages"
               : c->clients ? "clients"
                            : "closed";
    if (c->arrivals == LOAD_POISSON && !p->is_open)
        return fail_set(f, EXIT_USAGE,
                        "--arrivals needs a rate that requests arrive at: give --rate, "
                        "--rps-ramp or --stages");
    if (p->is_open && c->requests)
        return fail_set(f, EXIT_USAGE,
                        "-n counts the requests of a closed loop; with a rate their "
                        "number follows from rate and time: leave one out");
    if (c->duration_was_set && !c->duration_ns)
        return fail_set(f, EXIT_USAGE, "-d must be longer than nothing");
    if (c->stages && c->duration_was_set && !c->is_scaled)
        return fail_set(f, EXIT_USAGE, "-d does not go with --stages: each stage has its own time");
    return !c->clients || plan_clients(p, f);
}

static bool plan_schedule(struct load_plan *p, struct fail *f)
{
    const struct load_config *c = &p->config;
    p->is_climbing = c->ramp && !*c->ramp;
    bool is_cut = c->duration_was_set && (!c->is_scaled || p->is_climbing);
    uint64_t length_ns = is_cut ? c->duration_ns : 0;
    if (!p->is_open) {
        p->request_count = shard_part(c->requests, p->shard.count, p->shard.index);
        p->window_ns = c->requests && !c->duration_was_set ? UINT64_MAX : c->duration_ns;
        if (c->clients)
            p->window_ns = clients_length_ns(&p->clients);
        return true;
    }
    if (c->ramp && !pace_ramp(&p->pace, c->ramp, length_ns, f))
        return false;
    if (c->stages && !pace_stages(&p->pace, c->stages, f))
        return false;
    if (c->rate > 0)
        pace_constant(&p->pace, c->rate, c->duration_ns);
    if (c->is_scaled && p->has_steps && c->duration_was_set && !p->is_climbing)
        pace_scale(&p->pace, c->duration_ns);
    if (c->arrivals == LOAD_POISSON)
        pace_randomize(&p->pace, c->seed);
    p->window_ns = p->pace.length_ns;
    return true;
}

static bool plan_sampling(const struct load_plan *p, struct fail *f)
{
    uint64_t every_ns = p->config.sample_ns;
    return (every_ns >= 10 * NS_PER_MS && every_ns <= NS_PER_S) ||
           fail_set(f, EXIT_USAGE, "--sample-interval must be from 10ms to 1s");
}

/* A user who gives a time-out longer than the run has one of the two numbers wrong. */
static bool plan_timeout(struct load_plan *p, struct fail *f)
{
    char timeout[UNITS_TEXT_BYTES], window[UNITS_TEXT_BYTES];
    if (!p->config.timeout_ns)
        return fail_set(f, EXIT_USAGE, "-T must be longer than nothing");
    bool is_users = p->config.timeout_was_set && !p->config.is_scaled; /* not a scenario's */
    if (!is_users || p->config.timeout_ns <= p->window_ns)
        return true;
    return fail_set(f, EXIT_USAGE,
                    "the timeout (-T %s) is above the duration (%s): no answer could "
                    "ever time out within the run",
                    units_duration_text(p->config.timeout_ns, timeout),
                    units_duration_text(p->window_ns, window));
}

/* --- steps --- */

static const uint64_t LINEAR_STEP_NS = NS_PER_S;

static unsigned phase_steps(const struct load_plan *p, const struct pace_phase *phase)
{
    bool is_one = !p->has_steps || phase->from == phase->to || phase->length_ns <= LINEAR_STEP_NS;
    return is_one ? 1 : (unsigned)(phase->length_ns / LINEAR_STEP_NS);
}

/* A linear phase is cut into seconds, its last step takes the rest. */
static void phase_cut(struct load_plan *p, const struct pace_phase *phase)
{
    unsigned steps = phase_steps(p, phase);
    for (unsigned i = 0; i < steps; i++) {
        struct plan_step *s = &p->steps[p->step_count++];
        s->begin_ns = phase->begin_ns + i * LINEAR_STEP_NS;
        s->end_ns = i + 1 < steps ? s->begin_ns + LINEAR_STEP_NS
                                  : phase->begin_ns + phase->length_ns;
        s->rate = pace_rate_at(&p->pace, s->begin_ns + (s->end_ns - s->begin_ns) / 2) /
                  p->shard.count;
    }
}

static unsigned count_alive(const struct load_plan *p)
{
    uint64_t life_ns = plan_life_ns(p);
    unsigned most = 1;
    for (unsigned first = 0, last = 0; last < p->step_count; last++) {
        while (p->steps[first].end_ns + life_ns < p->steps[last].begin_ns)
            first++;
        if (last - first + 1 > most)
            most = last - first + 1;
    }
    return most;
}

/* A step for each stage, or for each second where stages are shorter. */
static void clients_cut(struct load_plan *p)
{
    uint64_t step_ns = p->clients.stage_ns;
    if (step_ns < LINEAR_STEP_NS)
        step_ns = LINEAR_STEP_NS;
    uint64_t count = p->window_ns > step_ns ? p->window_ns / step_ns : 1;
    p->steps = mem_need(count, sizeof *p->steps);
    for (uint64_t i = 0; i < count; i++) {
        struct plan_step *s = &p->steps[p->step_count++];
        s->begin_ns = i * step_ns;
        s->end_ns = i + 1 < count ? s->begin_ns + step_ns : p->window_ns;
        s->rate = clients_at(&p->clients, s->begin_ns + (s->end_ns - s->begin_ns) / 2);
    }
    p->steps_alive = count_alive(p);
}

static void plan_steps(struct load_plan *p)
{
    if (p->clients.pods) {
        clients_cut(p);
        return;
    }
    unsigned steps = 0;
    for (unsigned i = 0; i < p->pace.count; i++)
        steps += phase_steps(p, &p->pace.phases[i]);
    p->steps = mem_need(steps ? steps : 1, sizeof *p->steps);
    for (unsigned i = 0; i < p->pace.count; i++)
        phase_cut(p, &p->pace.phases[i]);
    if (!p->is_open)
        p->steps[p->step_count++] = (struct plan_step){.end_ns = p->window_ns};
    p->steps_alive = count_alive(p);
}

/* --- with how much --- */

/* 10 us there and back for each request under way: faster than loopback */
static const double RATE_PER_REQUEST_MAX = 100000;

static double rate_per_connection_most(const struct load_plan *p)
{
    return RATE_PER_REQUEST_MAX * p->config.pipeline;
}

/* A climb ends when the target no longer keeps up, and asks for no rate beyond. */
static bool plan_rate_is_possible(const struct load_plan *p, struct fail *f)
{
    double each = rate_per_connection_most(p), rate = pace_rate_most(&p->pace);
    char shown[UNITS_TEXT_BYTES];
    if (p->is_climbing || rate <= each * p->connections_all)
        return true;
    return fail_set(f, EXIT_USAGE,
                    "a rate of %s/s cannot be met over %u connection%s, each would "
                    "have to answer every %.2g us: give at least -c %.0f",
                    units_rate_text(rate, shown), p->connections_all,
                    p->connections_all == 1 ? "" : "s", 1e6 * p->connections_all / rate,
                    rate / each + 1);
}

static bool plan_connections(struct load_plan *p, struct fail *f)
{
    const struct load_config *c = &p->config;
    enum { PER_THREAD = 4, OTHERS = 32 }; /* ring, event; terminal, files, the lab's */
    p->threads = c->threads;
    p->connections_all = c->connections;
    if (c->requests && c->requests < p->connections_all)
        p->connections_all = c->requests;
    if (p->shard.count > p->connections_all)
        return fail_set(
            f, EXIT_USAGE,
            "%u clients cannot share %u connection%s or request%s: give each of them -c %u or more",
            p->shard.count, p->connections_all, p->connections_all == 1 ? "" : "s",
            p->connections_all == 1 ? "" : "s", p->shard.count);
    p->connections = (uint32_t)shard_part(p->connections_all, p->shard.count, p->shard.index);
    if (p->threads > p->connections)
        return fail_set(f, EXIT_USAGE,
                        "%u threads cannot share %u connection%s: give -c %u or more", p->threads,
                        p->connections, p->connections == 1 ? "" : "s", p->threads);
    uint64_t most = sock_raise_descriptors();
    uint64_t need = (uint64_t)p->connections + PER_THREAD * p->threads + OTHERS;
    if (need > most)
        return fail_set(
            f, EXIT_LACKING,
            "-c %u needs %llu file descriptors and this process may have %llu: give at "
            "most -c %llu, or raise the hard limit (ulimit -Hn %llu, as root)",
            p->connections, (unsigned long long)need, (unsigned long long)most,
            (unsigned long long)(most > need - p->connections ? most - (need - p->connections) : 1),
            (unsigned long long)need);
    return true;
}

/* A closed connection keeps its port in TIME_WAIT for a minute, on loopback for a second. */
static void warn_ports(const struct load_plan *p, unsigned ports)
{
    static const double TIME_WAIT_S = 60;
    double window_s = fmin((double)p->window_ns / 1e9, TIME_WAIT_S);
    double need = p->is_open ? (double)p->pace.total * window_s * 1e9 / (double)p->window_ns
                             : (double)p->request_count;
    if (need > ports)
        log_line("--no-keepalive will use %.0f ports within a minute, of %u that there are: off "
                 "loopback they may run out; widen net.ipv4.ip_local_port_range",
                 need, ports);
}

/* Ports that this end of a connection to one address can have. */
static bool plan_ports(const struct load_plan *p, struct fail *f)
{
    unsigned low, high;
    FILE *from = p->url.unix_path[0] ? NULL : fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
    if (!from)
        return true;
    bool is_known = fscanf(from, "%u %u", &low, &high) == 2 && high >= low;
    fclose(from);
    if (is_known && !p->config.is_kept_alive)
        warn_ports(p, high - low + 1);
    if (!is_known || p->connections <= high - low + 1)
        return true;
    return fail_set(f, EXIT_LACKING,
                    "-c %u is more than the %u local ports there are for one target: widen the "
                    "range with sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"",
                    p->connections, high - low + 1);
}

/* --- the plan --- */

static bool plan_make(struct load_plan *p, const char *url, struct fail *f)
{
    if (!plan_model(p, f) || !plan_schedule(p, f) || !plan_timeout(p, f) || !plan_sampling(p, f) ||
        !plan_connections(p, f) || !plan_rate_is_possible(p, f))
        return false;
    if (p->config.expect && !expect_parse(p->config.expect, &p->expected, f))
        return fail_prefix(f, "--expect");
    if (p->config.cores && !cpus_parse(p->config.cores, &p->cpus, f))
        return fail_prefix(f, "--cores");
    if (!plan_expected(p, f) || !plan_requests(p, url, f) || !plan_ports(p, f) ||
        !plan_address(p, f) || !plan_clock(p, f))
        return false;
    plan_steps(p);
    return true;
}

struct load_plan *load_plan_new(const struct load_config *config, const char *url, struct fail *f)
{
    struct load_plan *p = mem_need(1, sizeof *p);
    p->config = *config;
    if (plan_make(p, url, f))
        return p;
    load_plan_free(p);
    return NULL;
}

void load_plan_free(struct load_plan *p)
{
    if (!p)
        return;
    pace_free(&p->pace);
    free(p->steps);
    mix_free(&p->mix);
    free(p);
}

void load_plan_retime(struct load_plan *p, double rate, uint64_t length_ns)
{
    struct fail f;
    p->config.rate = rate;
    p->config.duration_ns = length_ns;
    pace_free(&p->pace);
    free(p->steps);
    p->step_count = 0;
    CHECK(plan_schedule(p, &f)); /* a constant rate needs no reading */
    plan_steps(p);
}

double load_plan_rate_most(const struct load_plan *p)
{
    return rate_per_connection_most(p) * p->connections;
}

void load_plan_pin(struct load_plan *p, const cpu_set_t *cpus)
{
    p->cpus = *cpus;
}
