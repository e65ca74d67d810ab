/* The published benchmark's tester as a load model: a closed loop that grows. In stage n every pod
 * has n clients; each thinks for a while, sends one request, waits for its answer, and thinks again;
 * after a stage there is one client more per pod. */
#ifndef LOAD_CLIENTS_H
#define LOAD_CLIENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "base/rng.h"

struct clients_ramp {
    uint32_t pods;
    uint32_t stage_count; /* clients of a pod in the last stage */
    uint64_t stage_ns;
    uint64_t think_ns;   /* at most, or always */
    bool is_think_fixed; /* else uniform in [0, think_ns) */
    uint64_t timeout_ns; /* that of a preset; 0: none is given */
    bool is_post;        /* a preset that posts a device */
};

/* "14x1000/17s,think=40ms,think-is=uniform", or the presets "published-test1" and
 * "published-test2". */
bool clients_parse(const char *text, struct clients_ramp *c, struct fail *f) MUST_USE;

/* Compresses or stretches the stages so that all take `length_ns` together. */
void clients_scale(struct clients_ramp *c, uint64_t length_ns);
uint64_t clients_length_ns(const struct clients_ramp *c);

/* How many clients there are at `ns` from the start. */
uint32_t clients_at(const struct clients_ramp *c, uint64_t ns);
uint64_t clients_draw_think_ns(const struct clients_ramp *c, struct rng *r);

/* The rate of an open loop that this many clients amount to, if each answer takes `latency_ns`:
 * clients / (mean think time + latency). INFINITY if nothing takes any time. */
double clients_equivalent_rps(const struct clients_ramp *c, uint32_t clients, double latency_ns);

#endif
