/* Everything that can be known before the first request is found out here, mistakes above all: the
 * parts of a load are checked in the order in which a reader would ask. What, where to, which
 * bytes, how often, with how much. */
#include "load/plan.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpus.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "base/units.h"
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

static bool is_token(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!isalnum((unsigned char)s.data[i]) && !memchr("!#$%&'*+-.^_`|~", s.data[i], 15))
            return false;
    return s.len > 0;
}

static bool plan_method(struct load_plan *p, struct fail *f)
{
    const char *given = p->config.method ? p->config.method : (p->config.body ? "POST" : "GET");
    struct span name = span_of(given);
    char shown[64], upper[16] = "";
    if (!is_token(name) || name.len >= sizeof p->method_text)
        return fail_set(f, EXIT_USAGE,
                        "-m \"%s\" is no method: expected a word such as GET, POST "
                        "or DELETE",
                        log_escape(name, shown, sizeof shown));
    for (size_t i = 0; i < name.len; i++)
        upper[i] = (char)toupper((unsigned char)given[i]);
    bool is_known = http_method_from(name, &p->method) && p->method != HTTP_OTHER;
    if (!is_known && http_method_from(span_of(upper), &p->method) && p->method != HTTP_OTHER)
        given = upper; /* "post" is meant as POST */
    if (p->method == HTTP_CONNECT)
        return fail_set(f, EXIT_USAGE, "-m CONNECT opens a tunnel; it is no request to load with");
    snprintf(p->method_text, sizeof p->method_text, "%s", given);
    return true;
}

/* Reads a body file whole; the caller frees it. */
static char *read_body(const char *path, size_t *len, struct fail *f)
{
    FILE *from = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    char shown[256], *data = NULL;
    size_t room = 0, n;
    log_escape(span_of(path), shown, sizeof shown);
    *len = 0;
    if (!from) {
        fail_set(f, EXIT_USAGE, "the body file \"%s\" cannot be opened: %s", shown,
                 strerror(errno));
        return NULL;
    }
    do {
        if (*len == room) {
            char *more = realloc(data, room = room ? room * 2 : 65536);
            CHECK(more);
            data = more;
        }
        n = fread(data + *len, 1, room - *len, from);
        *len += n;
    } while (n);
    if (ferror(from)) {
        fail_set(f, EXIT_USAGE, "the body file \"%s\" cannot be read: %s", shown, strerror(errno));
        free(data);
        data = NULL;
    }
    if (from != stdin)
        fclose(from);
    return data;
}

/* Fields that are ours to write, because a wrong one makes the stream of requests unreadable. */
static const char *const reserved_fields[] = {"Content-Length", "Transfer-Encoding", "Upgrade",
                                              "Expect"};

struct fields {
    struct text text;
    bool has_host, has_content_type;
};

static bool field_add(struct fields *to, const char *given, struct fail *f)
{
    char shown[128];
    const char *colon = strchr(given, ':');
    log_escape(span_of(given), shown, sizeof shown);
    struct span name = {given, colon ? (size_t)(colon - given) : 0};
    if (!is_token(name))
        return fail_set(f, EXIT_USAGE, "-H \"%s\" is no header field: expected \"Name: value\"",
                        shown);
    const char *value = colon + 1 + strspn(colon + 1, " \t");
    for (const char *c = value; *c; c++)
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
            return fail_set(f, EXIT_USAGE,
                            "-H \"%s\" has a line break or control character in its "
                            "value",
                            shown);
    for (unsigned i = 0; i < sizeof reserved_fields / sizeof *reserved_fields; i++)
        if (span_eq_nocase(name, span_of(reserved_fields[i])))
            return fail_set(f, EXIT_USAGE,
                            "-H \"%s\": %s is not for the user to set, the load "
                            "generator frames its requests itself",
                            shown, reserved_fields[i]);
    to->has_host |= span_eq_nocase(name, SPAN("Host"));
    to->has_content_type |= span_eq_nocase(name, SPAN("Content-Type"));
    text_addf(&to->text, "%.*s: %s\r\n", (int)name.len, name.data, value);
    return true;
}

static bool looks_like_json(struct span body)
{
    for (size_t i = 0; i < body.len; i++)
        if (!isspace((unsigned char)body.data[i]))
            return body.data[i] == '{' || body.data[i] == '[';
    return false;
}

static bool wants_length(const struct load_plan *p, struct span body)
{
    return body.len || p->method == HTTP_POST || p->method == HTTP_PUT || p->method == HTTP_PATCH;
}

static bool plan_bytes(struct load_plan *p, struct span body, struct fail *f)
{
    struct fields fields = {0};
    struct text bytes = {0};
    bool is_good = true;
    for (size_t i = 0; i < p->config.headers.count && is_good; i++)
        is_good = field_add(&fields, p->config.headers.items[i], f);
    if (is_good) {
        text_addf(&bytes, "%s %s HTTP/1.1\r\n", p->method_text, p->url.target);
        if (!fields.has_host)
            text_addf(&bytes, "Host: %s\r\n", p->url.host_field);
        text_add(&bytes, text_span(&fields.text));
        if (!fields.has_content_type && looks_like_json(body))
            text_add(&bytes, SPAN("Content-Type: application/json\r\n"));
        if (wants_length(p, body))
            text_addf(&bytes, "Content-Length: %zu\r\n", body.len);
        text_add(&bytes, SPAN("\r\n"));
        text_add(&bytes, body);
    }
    text_free(&fields.text);
    p->request = bytes.data;
    p->request_len = bytes.len;
    return is_good;
}

static bool plan_request_bytes(struct load_plan *p, struct fail *f)
{
    const char *body = p->config.body;
    if (!plan_method(p, f))
        return false;
    if (!body || body[0] != '@')
        return plan_bytes(p, body ? span_of(body) : SPAN(""), f);
    size_t len;
    char *data = read_body(body + 1, &len, f);
    bool is_good = data && plan_bytes(p, (struct span){data, len}, f);
    free(data);
    return is_good;
}

/* --- how often --- */

/* Which open loop it is at the most: what a reader compares a rate ramp with. */
static void clients_say(const struct clients_ramp *c)
{
    char stage[UNITS_TEXT_BYTES], think[UNITS_TEXT_BYTES], length[UNITS_TEXT_BYTES];
    log_line(
        "clients ramp: %u to %u clients in %u stages of %s (%s in all), each thinking %s%s; if "
        "answers took no time that were %.0f to %.0f requests/s, %.3g/s more every second",
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

static bool plan_model(struct load_plan *p, struct fail *f)
{
    const struct load_config *c = &p->config;
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
    uint64_t length_ns = c->duration_was_set && !c->is_scaled ? c->duration_ns : 0;
    if (!p->is_open) {
        p->request_count = c->requests;
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
    if (c->is_scaled && p->has_steps && c->duration_was_set)
        pace_scale(&p->pace, c->duration_ns);
    if (c->arrivals == LOAD_POISSON)
        pace_randomize(&p->pace, c->seed);
    p->is_climbing = c->ramp && !*c->ramp;
    p->window_ns = p->pace.length_ns;
    return true;
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
        s->rate = pace_rate_at(&p->pace, s->begin_ns + (s->end_ns - s->begin_ns) / 2);
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

static const double RATE_PER_CONNECTION_MAX =
    100000; /* 10 us there and back: faster than loopback */

static bool plan_rate_is_possible(const struct load_plan *p, struct fail *f)
{
    double most = RATE_PER_CONNECTION_MAX * p->connections;
    char rate[UNITS_TEXT_BYTES];
    if (p->config.rate <= most)
        return true;
    return fail_set(f, EXIT_USAGE,
                    "a rate of %s/s cannot be met over %u connection%s, each would "
                    "have to answer every %.1f us: give at least -c %.0f",
                    units_rate_text(p->config.rate, rate), p->connections,
                    p->connections == 1 ? "" : "s", 1e6 * p->connections / p->config.rate,
                    p->config.rate / RATE_PER_CONNECTION_MAX + 1);
}

static bool plan_connections(struct load_plan *p, struct fail *f)
{
    const struct load_config *c = &p->config;
    enum { PER_THREAD = 4, OTHERS = 32 }; /* ring, event; terminal, files, the lab's */
    p->threads = c->threads;
    p->connections = c->connections;
    if (p->request_count && p->request_count < p->connections)
        p->connections = (uint32_t)p->request_count;
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

/* Ports that this end of a connection to one address can have. */
static bool plan_ports(const struct load_plan *p, struct fail *f)
{
    unsigned low, high;
    FILE *from = p->url.unix_path[0] ? NULL : fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
    if (!from)
        return true;
    bool is_known = fscanf(from, "%u %u", &low, &high) == 2 && high >= low;
    fclose(from);
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
    if (!plan_model(p, f) || !plan_schedule(p, f) || !plan_timeout(p, f) ||
        !plan_connections(p, f) || !plan_rate_is_possible(p, f))
        return false;
    if (p->config.expect && !expect_parse(p->config.expect, &p->expected, f))
        return fail_prefix(f, "--expect");
    if (p->config.cores && !cpus_parse(p->config.cores, &p->cpus, f))
        return fail_prefix(f, "--cores");
    if (url ? !url_parse(url, &p->url, f) : !plan_discover(p, f))
        return false;
    if (!plan_request_bytes(p, f) || !plan_ports(p, f) || !plan_address(p, f))
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
    free(p->request);
    free(p);
}

void load_plan_pin(struct load_plan *p, const cpu_set_t *cpus)
{
    p->cpus = *cpus;
}
