/* The presets are lesson 231 of github.com/antonputra/tutorials, tester configuration of the two
 * tests; think times there are uniform, drawn in the sibling clients that are published. */
#include "load/clients.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"

enum { CLIENTS_MAX = 1000000 };

static const struct {
    const char *name;
    struct clients_ramp ramp;
} presets[] = {
    {"published-test1",
     {.pods = 14,
      .stage_count = 1000,
      .stage_ns = 17 * NS_PER_S,
      .think_ns = 40 * NS_PER_MS,
      .timeout_ns = 100 * NS_PER_MS}},
    {"published-test2",
     {.pods = 10,
      .stage_count = 1000,
      .stage_ns = 35 * NS_PER_S,
      .think_ns = 100 * NS_PER_MS,
      .timeout_ns = 5 * NS_PER_S,
      .is_post = true}},
};

/* --- reading --- */

/* Cuts `text` at the first `mark`; what is behind it, NULL if there is none. */
static char *cut_at(char *text, char mark)
{
    char *at = text ? strchr(text, mark) : NULL;
    if (at)
        *at++ = 0;
    return at;
}

static bool read_extra(const char *extra, struct clients_ramp *c, struct fail *f)
{
    if (!strncmp(extra, "think=", 6))
        return units_duration(extra + 6, &c->think_ns, f);
    c->is_think_fixed = !strcmp(extra, "think-is=fixed");
    return c->is_think_fixed || !strcmp(extra, "think-is=uniform") ||
           fail_set(f, EXIT_USAGE,
                    "\"%s\" is unknown: expected think=DURATION, think-is=uniform or "
                    "think-is=fixed",
                    extra);
}

static bool read_shape(const char *pods, const char *most, const char *stage,
                       struct clients_ramp *c, struct fail *f)
{
    uint64_t pod_count, stage_count;
    if (!units_count(pods, 1, CLIENTS_MAX, &pod_count, f) ||
        !units_count(most, 1, CLIENTS_MAX, &stage_count, f) ||
        !units_duration(stage, &c->stage_ns, f))
        return false;
    if (!c->stage_ns)
        return fail_set(f, EXIT_USAGE, "a stage must last longer than nothing");
    if (pod_count * stage_count > CLIENTS_MAX)
        return fail_set(f, EXIT_USAGE, "more than %d clients in the end are too many", CLIENTS_MAX);
    c->pods = (uint32_t)pod_count;
    c->stage_count = (uint32_t)stage_count;
    return true;
}

bool clients_parse(const char *text, struct clients_ramp *c, struct fail *f)
{
    char copy[256], shown[256];
    *c = (struct clients_ramp){.think_ns = 40 * NS_PER_MS};
    for (unsigned i = 0; i < sizeof presets / sizeof *presets; i++)
        if (!strcmp(text, presets[i].name)) {
            *c = presets[i].ramp;
            return true;
        }
    log_escape(span_of(text), shown, sizeof shown);
    snprintf(copy, sizeof copy, "%s", shown);
    char *extra = cut_at(copy, ','), *stage = cut_at(copy, '/'), *most = cut_at(copy, 'x');
    if (!stage || !most)
        return fail_set(f, EXIT_USAGE,
                        "--clients-ramp \"%s\" is none: expected "
                        "PODSxMAX/STAGE[,think=40ms][,think-is=uniform|fixed] such as "
                        "14x1000/17s, published-test1 or published-test2",
                        shown);
    if (!read_shape(copy, most, stage, c, f))
        return fail_prefix(f, "--clients-ramp \"%s\"", shown);
    while (extra) {
        char *next = cut_at(extra, ',');
        if (!read_extra(extra, c, f))
            return fail_prefix(f, "--clients-ramp \"%s\"", shown);
        extra = next;
    }
    return true;
}

/* --- asking --- */

void clients_scale(struct clients_ramp *c, uint64_t length_ns)
{
    c->stage_ns = length_ns / c->stage_count;
    if (!c->stage_ns)
        c->stage_ns = 1;
}

uint64_t clients_length_ns(const struct clients_ramp *c)
{
    return c->stage_ns * c->stage_count;
}

uint32_t clients_at(const struct clients_ramp *c, uint64_t ns)
{
    uint64_t stage = ns / c->stage_ns + 1;
    return c->pods * (uint32_t)(stage < c->stage_count ? stage : c->stage_count);
}

uint64_t clients_draw_think_ns(const struct clients_ramp *c, struct rng *r)
{
    if (c->is_think_fixed || !c->think_ns)
        return c->think_ns;
    return rng_below(r, c->think_ns);
}

double clients_equivalent_rps(const struct clients_ramp *c, uint32_t clients, double latency_ns)
{
    double think_ns = (double)c->think_ns / (c->is_think_fixed ? 1 : 2);
    double round_ns = think_ns + latency_ns;
    return round_ns > 0 ? (double)clients * 1e9 / round_ns : INFINITY;
}
