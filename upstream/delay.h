/* How long the upstream waits: a fixed time or a distribution. Pure. */
#ifndef UPSTREAM_DELAY_H
#define UPSTREAM_DELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "base/rng.h"

enum delay_kind { DELAY_FIXED, DELAY_UNIFORM, DELAY_NORMAL, DELAY_EXPONENTIAL };

struct delay {
    enum delay_kind kind;
    uint64_t a_ns, b_ns; /* FIXED: a; UNIFORM: a to b; NORMAL: mean a, deviation b, cut at 0;
                            EXPONENTIAL: mean a */
};

/* "500ms", "uniform:100ms:900ms", "normal:500ms:50ms", "exp:500ms"; EXIT_USAGE with these forms. */
bool delay_parse(const char *text, struct delay *d, struct fail *f) MUST_USE;
uint64_t delay_draw_ns(const struct delay *d, struct rng *r);
const char *delay_text(const struct delay *d, char out[64]);

#endif
