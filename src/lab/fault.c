/* A fault has two steps, its beginning and its end, and each is made in the same way: at its time by a
 * call or, for services, by an order to their keeper, who says when it is done. */
#include "lab/fault.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "lab/tree.h"

enum { BEGINS, ENDS };

/* Worse than before, by more than seconds differ anyway. */
static const double AVAILABLE = 0.99, SLOWER = 2;
static const double SLOWER_NS = 10 * NS_PER_MS;

/* --- what is planned --- */

static const char *const whats[] = {"none", "stall", "lose", "descriptors", "overload", NULL};
static const char *const parties[] = {"target", "postgres", "memcached", NULL};

static bool parse_percent(void *field, const char *value, struct fail *f)
{
    char shown[64];
    double percent;
    int end = 0;
    if (sscanf(value, "%lf%%%n", &percent, &end) != 1 || !end || value[end] ||
        !(percent >= 0 && percent <= 100))
        return fail_set(f, EXIT_USAGE,
                        "\"%s\" is no share: expected percent of the load's length such as 25%%",
                        log_escape(span_of(value), shown, sizeof shown));
    *(double *)field = percent;
    return true;
}

#define AT(field) offsetof(struct fault_plan, field)

const struct option_row fault_options[] = {
    {.name = "what",
     .kind = OPTION_CHOICE,
     .at = AT(what),
     .metavar = "stall|lose|descriptors|overload",
     .choices = whats,
     .help = "stall: every process of the party is stopped, then continued; lose: killed, then "
             "started again at the same address; descriptors: it may open no more of them, a "
             "target from its start on, so that the load's stages make the fault; overload: the "
             "load alone is the fault"},
    {.name = "party",
     .kind = OPTION_CHOICE,
     .at = AT(party),
     .metavar = "target|postgres|memcached",
     .choices = parties,
     .help = "whom it befalls (default target); services have to be the run's own"},
    {.name = "from",
     .kind = OPTION_PARSED,
     .at = AT(from_pct),
     .metavar = "PERCENT",
     .parse = parse_percent,
     .help = "when it begins, of the load's length, such as 25%"},
    {.name = "to",
     .kind = OPTION_PARSED,
     .at = AT(to_pct),
     .metavar = "PERCENT",
     .parse = parse_percent,
     .help = "when it ends"},
    {.name = "descriptors",
     .kind = OPTION_COUNT,
     .at = AT(descriptors),
     .metavar = "N",
     .min = 3,
     .max = 1000000,
     .help = "how many each process may have open"},
    {0},
};

bool fault_plan_check(const struct fault_plan *p, struct fail *f)
{
    if (p->what == FAULT_NONE)
        return (!p->to_pct && !p->descriptors) ||
               fail_set(f, EXIT_USAGE, "[fault] has no what: expected a line such as what = stall");
    if (p->to_pct <= p->from_pct)
        return fail_set(
            f, EXIT_USAGE,
            "[fault] ends before it begins: expected from and to such as 25%% and 50%%");
    if (p->what == FAULT_LOSE && p->party == FAULT_TARGET)
        return fail_set(f, EXIT_USAGE,
                        "[fault] a target that is killed ends its race: expected party = postgres "
                        "or memcached");
    if ((p->what == FAULT_DESCRIPTORS) != (p->descriptors > 0))
        return fail_set(f, EXIT_USAGE,
                        "[fault] what = descriptors and descriptors = N go together");
    return true;
}

bool fault_hits_target(const struct fault_plan *p)
{
    return p->party == FAULT_TARGET && (p->what == FAULT_STALL || p->what == FAULT_DESCRIPTORS);
}

uint32_t fault_descriptors(const struct fault_plan *p)
{
    return p->party == FAULT_TARGET ? p->descriptors : 0;
}

bool fault_fits(const struct fault_plan *p, bool has_postgres, bool has_memcached, struct fail *f)
{
    bool hits_service = p->party != FAULT_TARGET && p->what != FAULT_NONE &&
                        p->what != FAULT_OVERLOAD;
    return !hits_service || (p->party == FAULT_POSTGRES ? has_postgres : has_memcached) ||
           fail_set(f, EXIT_USAGE,
                    "the fault is made to %s, and the run has none of its own here: expected "
                    "--services managed, and a target that iubench starts and that uses it",
                    parties[p->party]);
}

/* --- its two steps --- */

static enum service service_of(const struct fault *x)
{
    return x->plan->party == FAULT_POSTGRES ? SERVICE_POSTGRES : SERVICE_MEMCACHED;
}

static bool order(struct fault *x, enum service_order order, struct fail *f)
{
    x->is_ordered = true;
    return services_order(x->services, service_of(x), order, x->plan->descriptors, f);
}

static bool done(struct fault *x, int step)
{
    x->done_ns[step] = clock_ns();
    log_line("fault: %s%s", fault_text(x->plan, (char[FAULT_TEXT_BYTES]){0}),
             step == ENDS ? ", ended" : "");
    return true;
}

static bool stall(struct fault *x, int step, struct fail *f)
{
    if (x->plan->party != FAULT_TARGET)
        return order(x, step == BEGINS ? SERVICE_STALL : SERVICE_RESUME, f);
    tree_signal(x->target, step == BEGINS ? SIGSTOP : SIGCONT);
    return done(x, step);
}

/* A target has had its limit since it was started. */
static bool limit(struct fault *x, int step, struct fail *f)
{
    if (x->plan->party != FAULT_TARGET)
        return order(x, step == BEGINS ? SERVICE_LIMIT : SERVICE_UNLIMIT, f);
    return done(x, step);
}

static bool make(struct fault *x, int step, struct fail *f)
{
    switch (x->plan->what) {
    case FAULT_STALL:
        return stall(x, step, f);
    case FAULT_LOSE:
        return order(x, step == BEGINS ? SERVICE_KILL : SERVICE_START, f);
    case FAULT_DESCRIPTORS:
        return limit(x, step, f);
    default:
        return done(x, step);
    }
}

/* --- its course --- */

bool fault_begin(struct fault *x, const struct fault_plan *plan, struct services *services,
                 pid_t target, uint64_t window_ns, struct fail *f)
{
    *x = (struct fault){0};
    if (plan->what == FAULT_NONE)
        return true;
    if (window_ns == UINT64_MAX)
        return fail_set(f, EXIT_USAGE,
                        "a fault needs a load whose length is known: give -d in place of -n");
    if (fault_hits_target(plan) && !target)
        return fail_set(f, EXIT_USAGE,
                        "the fault is made to the target, whose process is not known: say it by "
                        "--pid");
    *x = (struct fault){
        .plan = plan, .services = services, .target = target, .start_ns = clock_ns()};
    x->due_ns[BEGINS] = x->start_ns + (uint64_t)((double)window_ns * plan->from_pct / 100);
    x->due_ns[ENDS] = x->start_ns + (uint64_t)((double)window_ns * plan->to_pct / 100);
    return true;
}

/* Of the order that was given. */
static bool hear(struct fault *x, struct fail *f)
{
    bool is_done;
    if (!services_ordered(x->services, &is_done, f))
        return false;
    if (is_done) {
        x->is_ordered = false;
        return done(x, x->done_ns[BEGINS] ? ENDS : BEGINS);
    }
    return true;
}

bool fault_turn(struct fault *x, struct fail *f)
{
    if (!x->plan || x->done_ns[ENDS])
        return true;
    if (x->is_ordered)
        return hear(x, f) || fail_prefix(f, "fault");
    int step = x->done_ns[BEGINS] ? ENDS : BEGINS;
    return clock_ns() < x->due_ns[step] || make(x, step, f) || fail_prefix(f, "fault");
}

bool fault_end(struct fault *x, struct fail *f)
{
    if (!x->plan)
        return true;
    x->due_ns[ENDS] = 0;
    while (x->is_ordered || (x->done_ns[BEGINS] && !x->done_ns[ENDS])) {
        if (!fault_turn(x, f))
            return false;
        poll(NULL, 0, 1);
    }
    return true;
}

/* --- what became of it --- */

const char *fault_text(const struct fault_plan *p, char text[FAULT_TEXT_BYTES])
{
    static const char *const words[] = {"", "stalled", "lost", "limited to", "overloaded"};
    int len = snprintf(text, FAULT_TEXT_BYTES, "%s %s", parties[p->party], words[p->what]);
    if (p->what == FAULT_DESCRIPTORS)
        snprintf(text + len, FAULT_TEXT_BYTES - (size_t)len, " %u descriptors", p->descriptors);
    return text;
}

uint64_t fault_forgets_ns(const struct fault *x)
{
    bool is_cache = x->plan && x->plan->what == FAULT_LOSE && x->plan->party == FAULT_MEMCACHED;
    return is_cache ? x->done_ns[ENDS] : 0;
}

/* As it was before: of what ended nearly all was well, and not much later than at worst then. */
static bool is_as_before(const struct load_second *row, double p99_ns)
{
    bool is_served = row->counts.ok || !(row->counts.sent + row->counts.unsent);
    return is_served && load_availability(&row->counts) >= AVAILABLE &&
           (double)row->p99_ns <= fmax(p99_ns * SLOWER, p99_ns + SLOWER_NS);
}

bool fault_judge(const struct fault *x, const struct load_result *r, struct result_fault *to)
{
    struct load_counts hurt = {0}, since = {0}; /* until all was as before; from then on */
    double p99_ns = 0, begin_s = 0;
    bool has_before = false;
    if (!x->plan || !x->done_ns[BEGINS])
        return false;
    *to = (struct result_fault){
        .what = whats[x->plan->what],
        .party = parties[x->plan->party],
        .begin_s = (double)(x->done_ns[BEGINS] - x->start_ns) / NS_PER_S,
        .end_s = (double)(x->done_ns[ENDS] - x->start_ns) / NS_PER_S,
        .recovered_s = NAN,
    };
    fault_text(x->plan, to->text);
    for (unsigned i = 0; i < r->second_count; i++) {
        const struct load_second *row = &r->seconds[i];
        double end_s = begin_s + row->length_s;
        if (end_s <= to->begin_s) {
            p99_ns = fmax(p99_ns, (double)row->p99_ns);
            has_before = true;
        } else {
            load_counts_add(&since, &row->counts);
            if (begin_s < to->end_s || !is_as_before(row, has_before ? p99_ns : INFINITY)) {
                load_counts_add(&hurt, &since);
                since = (struct load_counts){0};
                to->recovered_s = NAN;
            } else if (isnan(to->recovered_s)) {
                to->recovered_s = begin_s - to->end_s;
            }
        }
        begin_s = end_s;
    }
    to->availability = load_availability(&hurt);
    return true;
}
