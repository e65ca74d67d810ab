/* A delay is written the way it is said: a kind and its one or two durations. The rows below are
 * all there is to know about a kind, for reading and for printing. */
#include "upstream/delay.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/span.h"
#include "base/units.h"

static const struct {
    const char *prefix;
    bool has_b;
} forms[] = {
    [DELAY_FIXED] = {"", false},
    [DELAY_UNIFORM] = {"uniform:", true},
    [DELAY_NORMAL] = {"normal:", true},
    [DELAY_EXPONENTIAL] = {"exp:", false},
};
#define FORM_COUNT (sizeof forms / sizeof forms[0])

static bool refuse(const char *text, struct fail *f)
{
    char shown[64];
    return fail_set(f, EXIT_USAGE,
                    "\"%s\" is not a delay: expected 500ms, uniform:100ms:900ms, "
                    "normal:500ms:50ms or exp:500ms",
                    log_escape(span_of(text), shown, sizeof shown));
}

/* The last form whose prefix fits: FIXED has an empty one and stands first. */
static enum delay_kind kind_of(const char *text)
{
    unsigned kind = FORM_COUNT - 1;
    while (strncmp(text, forms[kind].prefix, strlen(forms[kind].prefix)) != 0)
        kind--;
    return (enum delay_kind)kind;
}

bool delay_parse(const char *text, struct delay *d, struct fail *f)
{
    struct delay parsed = {.kind = kind_of(text)};
    const char *a = text + strlen(forms[parsed.kind].prefix);
    const char *colon = strchr(a, ':');
    char a_text[UNITS_TEXT_BYTES];
    size_t a_len = colon ? (size_t)(colon - a) : strlen(a);
    if (!colon != !forms[parsed.kind].has_b || a_len >= sizeof a_text)
        return refuse(text, f);
    memcpy(a_text, a, a_len);
    a_text[a_len] = 0;
    if (!units_duration(a_text, &parsed.a_ns, f) ||
        (colon && !units_duration(colon + 1, &parsed.b_ns, f)))
        return refuse(text, f);
    if (parsed.kind == DELAY_UNIFORM && parsed.b_ns < parsed.a_ns)
        return refuse(text, f);
    *d = parsed;
    return true;
}

/* Box and Muller; the second of the pair is dropped so that a draw keeps no state of its own. */
static double draw_normal(struct rng *r)
{
    double radius = sqrt(2 * rng_exponential(r));
    return radius * cos(2 * M_PI * rng_unit(r));
}

uint64_t delay_draw_ns(const struct delay *d, struct rng *r)
{
    switch (d->kind) {
    case DELAY_FIXED:
        return d->a_ns;
    case DELAY_UNIFORM:
        return d->a_ns + rng_below(r, d->b_ns - d->a_ns + 1);
    case DELAY_NORMAL: {
        double ns = (double)d->a_ns + (double)d->b_ns * draw_normal(r);
        return ns > 0 ? (uint64_t)ns : 0;
    }
    case DELAY_EXPONENTIAL:
        return (uint64_t)((double)d->a_ns * rng_exponential(r));
    }
    CHECK(!"a kind of delay");
    return 0;
}

const char *delay_text(const struct delay *d, char out[64])
{
    char a[UNITS_TEXT_BYTES], b[UNITS_TEXT_BYTES];
    snprintf(out, 64, "%s%s%s%s", forms[d->kind].prefix, units_duration_text(d->a_ns, a),
             forms[d->kind].has_b ? ":" : "",
             forms[d->kind].has_b ? units_duration_text(d->b_ns, b) : "");
    return out;
}
