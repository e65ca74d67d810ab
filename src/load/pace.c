/* N(t), the requests due by the time t, is the area under the rate; request k is due when N reaches
 * k. Within a phase N is a parabola, so the due time is the root of a quadratic equation. That root
 * is only the guess: the answer is the first nanosecond at which N, as computed here, has reached
 * k, and so due time and due count are exact inverses of each other whatever the rounding. */
#include "load/pace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"

enum { PHASES_MAX = 100000 };

/* Requests due in the first `ns` of a phase. Products before quotients: whole numbers stay exact.
 * A falling phase is measured from its end, so that rounding cannot make the sum fall. */
static double phase_area(const struct pace_phase *p, uint64_t ns)
{
    double t = (double)ns, length = (double)p->length_ns;
    if (p->to == p->from)
        return p->from * t / 1e9;
    if (p->to > p->from)
        return (p->from + (p->to - p->from) * t / (2 * length)) * t / 1e9;
    double left = length - t;
    double whole = (p->from + p->to) / 2 * length / 1e9;
    return whole - (p->to + (p->from - p->to) * left / (2 * length)) * left / 1e9;
}

static double phase_end(const struct pace_phase *p)
{
    return p->before + phase_area(p, p->length_ns);
}

/* --- building --- */

/* Puts begins, sums and totals right after the phases' lengths and rates were set. */
static void pace_finish(struct pace *p)
{
    double before = 0;
    uint64_t begin_ns = 0;
    for (unsigned i = 0; i < p->count; i++) {
        p->phases[i].begin_ns = begin_ns;
        p->phases[i].before = before;
        begin_ns += p->phases[i].length_ns;
        before = phase_end(&p->phases[i]);
    }
    p->length_ns = begin_ns;
    /* 10 s at 1000/s are 10000 requests, 0 to 9999, even if the sum came out a hair above */
    double total = ceil(before - 1e-6);
    p->total = total > 0 ? (uint64_t)total : 0;
}

static void pace_add(struct pace *p, double from, double to, uint64_t length_ns)
{
    if (length_ns)
        p->phases[p->count++] = (struct pace_phase){.length_ns = length_ns, .from = from, .to = to};
}

static void pace_start(struct pace *p, unsigned phases_max)
{
    *p = (struct pace){.phases = mem_need(phases_max, sizeof *p->phases)};
}

void pace_constant(struct pace *p, double rate, uint64_t length_ns)
{
    pace_start(p, 1);
    pace_add(p, rate, rate, length_ns);
    pace_finish(p);
}

void pace_free(struct pace *p)
{
    free(p->phases);
    *p = (struct pace){0};
}

/* Ends the schedule at `length_ns`, or holds its last rate until then. */
static void pace_fit(struct pace *p, uint64_t length_ns)
{
    while (p->count && p->phases[p->count - 1].begin_ns >= length_ns)
        p->count--;
    CHECK(p->count);
    struct pace_phase *last = &p->phases[p->count - 1];
    uint64_t end_ns = last->begin_ns + last->length_ns;
    if (end_ns > length_ns) {
        double kept = (double)(length_ns - last->begin_ns) / (double)last->length_ns;
        last->to = last->from + (last->to - last->from) * kept;
        last->length_ns = length_ns - last->begin_ns;
    } else if (end_ns < length_ns && last->from == last->to) {
        last->length_ns = length_ns - last->begin_ns;
    } else {
        pace_add(p, last->to, last->to, length_ns - end_ns);
    }
    pace_finish(p);
}

void pace_scale(struct pace *p, uint64_t length_ns)
{
    long double factor = (long double)length_ns / (long double)p->length_ns;
    for (unsigned i = 0; i < p->count; i++) {
        uint64_t begin_ns = (uint64_t)llroundl((long double)p->phases[i].begin_ns * factor);
        uint64_t old_end_ns = p->phases[i].begin_ns + p->phases[i].length_ns;
        uint64_t end_ns = (uint64_t)llroundl((long double)old_end_ns * factor);
        p->phases[i].length_ns = end_ns > begin_ns ? end_ns - begin_ns : 1;
    }
    pace_finish(p);
}

/* The random times are taken from a process of unit rate, whose clock is N(t). */
void pace_randomize(struct pace *p, uint64_t seed)
{
    double area = p->count ? phase_end(&p->phases[p->count - 1]) : 0;
    p->arrivals = (struct arrivals){.seed = seed, .count = p->total, .length = area};
}

/* --- reading --- */

/* As units_rate(), but a ramp may begin or end at nothing. */
static bool rate_or_zero(const char *text, double *rate, struct fail *f)
{
    *rate = 0;
    return strcmp(text, "0") == 0 || units_rate(text, rate, f);
}

/* Cuts `text` at the first `mark` and returns what is behind it, NULL if there is none. */
static char *cut_at(char *text, char mark)
{
    char *at = text ? strchr(text, mark) : NULL;
    if (!at)
        return NULL;
    *at = 0;
    return at + 1;
}

struct ramp {
    double from, to, step; /* step 0: linear */
    uint64_t period_ns;
};

static bool ramp_read(const char *text, struct ramp *r, struct fail *f)
{
    char copy[128], shown[128];
    *r = (struct ramp){0};
    log_escape(span_of(text), shown, sizeof shown);
    if (strlen(text) < sizeof copy) {
        memcpy(copy, text, strlen(text) + 1);
        char *period = cut_at(copy, '/');
        char *to = cut_at(copy, ':');
        char *step = cut_at(to, ':');
        if (period && to) {
            if (!rate_or_zero(copy, &r->from, f) || !rate_or_zero(to, &r->to, f) ||
                (step && !units_rate(step, &r->step, f)) ||
                !units_duration(period, &r->period_ns, f))
                return fail_prefix(f, "--rps-ramp \"%s\"", shown);
            if (r->period_ns && (r->from > 0 || r->to > 0))
                return true;
        }
    }
    return fail_set(f, EXIT_USAGE,
                    "--rps-ramp \"%s\" is no ramp: FROM:TO/PERIOD rises linearly (100:5000/30s), "
                    "FROM:TO:STEP/PERIOD by STEP every PERIOD (1k:20k:1k/5s)",
                    shown);
}

static bool ramp_steps(struct pace *p, const struct ramp *r, struct fail *f)
{
    double way = fabs(r->to - r->from), levels = ceil(way / r->step - 1e-9) + 1;
    if (levels >= PHASES_MAX)
        return fail_set(f, EXIT_USAGE,
                        "--rps-ramp has %.0f steps: at most %d are possible; "
                        "take a greater STEP",
                        levels, PHASES_MAX - 1);
    pace_start(p, (unsigned)levels + 1);
    for (unsigned i = 0; i < (unsigned)levels; i++) {
        double done = fmin(r->step * i, way);
        double rate = r->to > r->from ? r->from + done : r->from - done;
        pace_add(p, rate, rate, r->period_ns);
    }
    pace_finish(p);
    return true;
}

static const uint64_t RAMP_DEFAULT_LENGTH_NS = 600 * NS_PER_S;

bool pace_ramp(struct pace *p, const char *text, uint64_t length_ns, struct fail *f)
{
    struct ramp r = {.from = 1000, .step = 1000, .period_ns = NS_PER_S};
    if (*text) {
        if (!ramp_read(text, &r, f))
            return false;
    } else {
        if (!length_ns)
            length_ns = RAMP_DEFAULT_LENGTH_NS;
        r.to = 1000 * ceil((double)length_ns / 1e9);
    }
    if (r.step > 0) {
        if (!ramp_steps(p, &r, f))
            return false;
    } else {
        pace_start(p, 2);
        pace_add(p, r.from, r.to, r.period_ns);
        pace_finish(p);
    }
    if (length_ns && length_ns != p->length_ns)
        pace_fit(p, length_ns);
    return true;
}

static bool stage_read(char *stage, struct pace *p, struct fail *f)
{
    uint64_t length_ns;
    double rate;
    char *rate_text = cut_at(stage, ':');
    if (!rate_text)
        return fail_set(f, EXIT_USAGE,
                        "\"%s\" is no stage: expected DURATION:RATE such as "
                        "10s:1000",
                        stage);
    if (!units_duration(stage, &length_ns, f) || !rate_or_zero(rate_text, &rate, f))
        return false;
    if (!length_ns)
        return fail_set(f, EXIT_USAGE, "a stage must last longer than nothing");
    if (!p->count && rate == 0)
        return fail_set(f, EXIT_USAGE, "the first stage must have a rate above 0");
    pace_add(p, rate, rate, length_ns);
    return true;
}

bool pace_stages(struct pace *p, const char *text, struct fail *f)
{
    size_t room = strlen(text) + 1, stages = 1;
    for (const char *c = text; *c; c++)
        stages += *c == ',';
    char shown[128], *copy = mem_need(room * 4 + 4, 1);
    log_escape(span_of(text), shown, sizeof shown);
    log_escape(span_of(text), copy, room * 4 + 4);
    pace_start(p, (unsigned)stages);
    bool is_good = true;
    for (char *stage = copy; stage && is_good;) {
        char *next = cut_at(stage, ',');
        is_good = stage_read(stage, p, f);
        stage = next;
    }
    free(copy);
    if (!is_good) {
        pace_free(p);
        return fail_prefix(f, "--stages \"%s\"", shown);
    }
    pace_finish(p);
    return true;
}

/* --- asking --- */

/* The last phase that begins at or before `ns`. */
static const struct pace_phase *phase_at(const struct pace *p, uint64_t ns)
{
    unsigned low = 0, high = p->count;
    while (high - low > 1) {
        unsigned middle = low + (high - low) / 2;
        if (p->phases[middle].begin_ns <= ns)
            low = middle;
        else
            high = middle;
    }
    return &p->phases[low];
}

/* The first phase at whose end N has reached `k`. */
static const struct pace_phase *phase_reaching(const struct pace *p, double k)
{
    unsigned low = 0, high = p->count - 1;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (p->phases[middle + 1].before >= k)
            high = middle;
        else
            low = middle + 1;
    }
    return &p->phases[low];
}

static bool has_reached(const struct pace_phase *p, uint64_t ns, double k)
{
    return p->before + phase_area(p, ns) >= k;
}

/* The first ns of the phase at which N has reached `k`, near `guess_ns`: usually that very one. */
static uint64_t first_reached(const struct pace_phase *p, uint64_t guess_ns, double k)
{
    uint64_t not_yet = 0, reached = p->length_ns, stride = 1;
    if (has_reached(p, 0, k))
        return 0;
    if (has_reached(p, guess_ns, k)) {
        for (reached = guess_ns; reached > stride && has_reached(p, reached - stride, k);
             stride *= 2)
            reached -= stride;
        not_yet = reached > stride ? reached - stride : 0;
    } else {
        for (not_yet = guess_ns;
             p->length_ns - not_yet > stride && !has_reached(p, not_yet + stride, k); stride *= 2)
            not_yet += stride;
        reached = p->length_ns - not_yet > stride ? not_yet + stride : p->length_ns;
    }
    while (reached - not_yet > 1) {
        uint64_t middle = not_yet + (reached - not_yet) / 2;
        if (has_reached(p, middle, k))
            reached = middle;
        else
            not_yet = middle;
    }
    return reached;
}

/* When N has reached `n`. */
static uint64_t reached_ns(const struct pace *p, double n)
{
    const struct pace_phase *phase = phase_reaching(p, n);
    double area = (n - phase->before) * 1e9; /* rate times ns */
    double guess = 0, length = (double)phase->length_ns;
    if (area > 0) {
        double bend = (phase->to - phase->from) / (2 * length);
        double root = phase->from * phase->from + 4 * bend * area;
        guess = 2 * area / (phase->from + sqrt(root > 0 ? root : 0));
    }
    guess = guess < length ? ceil(guess) : length;
    return phase->begin_ns + first_reached(phase, (uint64_t)guess, n);
}

uint64_t pace_walk_due_ns(const struct pace *p, struct pace_walk *w, uint64_t k)
{
    CHECK(k < p->total);
    return reached_ns(p,
                      p->arrivals.count ? arrivals_at(&p->arrivals, &w->arrivals, k) : (double)k);
}

uint64_t pace_due_ns(const struct pace *p, uint64_t k)
{
    struct pace_walk from_nowhere = {0};
    return pace_walk_due_ns(p, &from_nowhere, k);
}

uint64_t pace_due_count(const struct pace *p, uint64_t ns)
{
    if (ns >= p->length_ns)
        return p->total;
    const struct pace_phase *phase = phase_at(p, ns);
    double due = phase->before + phase_area(phase, ns - phase->begin_ns);
    if (p->arrivals.count)
        return arrivals_until(&p->arrivals, due);
    uint64_t count = (uint64_t)due + 1;
    return count < p->total ? count : p->total;
}

double pace_rate_at(const struct pace *p, uint64_t ns)
{
    if (ns >= p->length_ns)
        return 0;
    const struct pace_phase *phase = phase_at(p, ns);
    double way = (double)(ns - phase->begin_ns) / (double)phase->length_ns;
    return phase->from + (phase->to - phase->from) * way;
}

double pace_rate_most(const struct pace *p)
{
    double most = 0;
    for (unsigned i = 0; i < p->count; i++)
        most = fmax(most, fmax(p->phases[i].from, p->phases[i].to));
    return most;
}
