/* The summary on a terminal. One target: its line, then what a reader asks next, in that order: what
 * went wrong, how slow is it, how is that spread, can I believe it. Several: a line each. */
#include "report/result.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "base/units.h"
#include "report/repeats.h"
#include "report/shown.h"
#include "report/usage.h"

enum {
    BARS_MIN = 3,
    BARS_MAX = 8,
    BAR_WIDTH = 40,
    LABEL_WIDTH = 10,
    COLUMN_WIDTH = 8,
    PAGE_WIDTH = 80,
    PAGE_LINES = 23, /* of 24: the last is the prompt */
};

static const char *const verdict_names[] = {"VALID", "SUSPECT", "INVALID"};

struct page {
    FILE *to;
    bool is_colored;
};

enum shade { GOOD, WARN, BAD, FAINT, BOLD };

static const char *begin(const struct page *p, enum shade shade)
{
    static const char *const codes[] = {"\033[32m", "\033[33m", "\033[31m", "\033[2m", "\033[1m"};
    return p->is_colored ? codes[shade] : "";
}

static const char *end(const struct page *p)
{
    return p->is_colored ? "\033[0m" : "";
}

static enum shade verdict_shade(enum load_verdict verdict)
{
    static const enum shade shades[] = {GOOD, WARN, BAD};
    return shades[verdict];
}

/* "-" where nothing was recorded. */
static const char *shown_percentile(const struct hist *h, double percent,
                                    char out[UNITS_TEXT_BYTES])
{
    return h->count ? units_latency_text(hist_percentile(h, percent), out) : "-";
}

/* --- the first line --- */

static void print_headline(const struct page *p, const struct load_result *r)
{
    char rps[32], p50[UNITS_TEXT_BYTES], p99[UNITS_TEXT_BYTES], available[SHOWN_BYTES], held[32];
    fprintf(p->to, "%s%s%s  %s%s requests/s%s", begin(p, verdict_shade(r->verdict)),
            verdict_names[r->verdict], end(p), begin(p, BOLD), shown_rate(r->quoted_rps, rps),
            end(p));
    if (!isnan(r->held_rps) && r->held_rps > 0)
        fprintf(p->to, " (held %s/s)", shown_rate(r->held_rps, held));
    fprintf(p->to, ", p50 %s, p99 %s, availability %s%s%s\n",
            shown_percentile(r->quoted_latency, 50, p50),
            shown_percentile(r->quoted_latency, 99, p99),
            load_ended(&r->counts) ? shown_share(load_availability(&r->counts), available) : "-",
            r->held_rps > 0 ? " of the whole" : "", r->is_interrupted ? ", interrupted" : "");
}

static void print_load(const struct page *p, const struct load_result *r)
{
    char target[32], timeout[UNITS_TEXT_BYTES];
    fprintf(p->to, "%s%-*s%s%s %s\n", begin(p, FAINT), LABEL_WIDTH, "load", end(p), r->method,
            r->url);
    fprintf(p->to, "%-*s%s", LABEL_WIDTH, "",
            r->is_open        ? r->model
            : r->clients.pods ? "clients ramp"
                              : "closed loop");
    if (r->is_open && r->arrivals == LOAD_POISSON)
        fprintf(p->to, " poisson");
    if (!isnan(r->target_rps))
        fprintf(p->to, " %s/s", shown_rate(r->target_rps, target));
    fprintf(p->to, ", %.4g s, %u connection%s", r->duration_s, r->connections,
            r->connections == 1 ? "" : "s");
    if (r->pipeline > 1)
        fprintf(p->to, " with %u in flight", r->pipeline);
    if (!r->is_kept_alive)
        fprintf(p->to, ", one for each request");
    fprintf(p->to, ", %u thread%s, timeout %s\n", r->threads, r->threads == 1 ? "" : "s",
            units_duration_text(r->timeout_ns, timeout));
}

static void add_cause(struct text *t, uint64_t count, const char *name)
{
    char shown[32];
    if (count)
        text_addf(t, "%s%s %s", t->len ? ", " : "", shown_count(count, shown), name);
}

static bool has_statuses(const struct load_result *r)
{
    const uint64_t *errors = r->counts.errors;
    return errors[LOAD_ERROR_unexpected] || errors[LOAD_ERROR_status_3xx] ||
           errors[LOAD_ERROR_status_4xx] || errors[LOAD_ERROR_status_5xx];
}

/* Of what failed by its status it is said which; the most frequent ones where they are many. */
static void print_statuses(const struct page *p, const struct load_result *r)
{
    enum { SHOWN_MAX = 6 };
    uint64_t left[LOAD_STATUSES];
    char shown[SHOWN_BYTES];
    if (!has_statuses(r))
        return;
    memcpy(left, r->statuses, sizeof left);
    fprintf(p->to, "%s%-*s%s", begin(p, FAINT), LABEL_WIDTH, "answers", end(p));
    for (unsigned n = 0; n < SHOWN_MAX; n++) {
        unsigned most = 0;
        for (unsigned i = 1; i < LOAD_STATUSES; i++)
            most = left[i] > left[most] ? i : most;
        if (left[most])
            fprintf(p->to, "%s%s with %u", n ? ", " : "", shown_count(left[most], shown), most);
        left[most] = 0;
    }
    fprintf(p->to, "\n");
}

static void print_requests(const struct page *p, const struct load_result *r)
{
    static const char *const words[LOAD_ERROR_COUNT] = {"DNS failures", "refused or unreachable",
                                                        "reset",        "bad responses",
                                                        "unexpected",   "status 3xx",
                                                        "4xx",          "5xx"};
    const struct load_counts *c = &r->counts;
    struct text causes = {0};
    char sent[32], ok[32], due[32], received[32];
    fprintf(p->to, "%s%-*s%s", begin(p, FAINT), LABEL_WIDTH, "requests", end(p));
    if (r->is_open)
        fprintf(p->to, "%s due, ", shown_count(c->scheduled, due));
    fprintf(p->to, "%s sent, %s ok, %s received\n", shown_count(c->sent, sent),
            shown_count(c->ok, ok), shown_bytes(c->received_bytes, received));
    add_cause(&causes, c->unsent, "never sent");
    add_cause(&causes, c->timeouts, "timeouts");
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
        add_cause(&causes, c->errors[i], words[i]);
    add_cause(&causes, c->unfinished, "unfinished");
    if (causes.len)
        fprintf(p->to, "%s%-*s%s%s%s%s\n", begin(p, FAINT), LABEL_WIDTH, "failures", end(p),
                begin(p, BAD), causes.data, end(p));
    print_statuses(p, r);
    text_free(&causes);
}

/* --- distributions --- */

static void print_distribution(const struct page *p, const char *label, const struct hist *h)
{
    if (!h->count) {
        fprintf(p->to, "%s%-*s%s%*s\n", begin(p, FAINT), LABEL_WIDTH, label, end(p), COLUMN_WIDTH,
                "-");
        return;
    }
    static const double percents[] = {50, 90, 95, 99, 99.9};
    char shown[UNITS_TEXT_BYTES];
    fprintf(p->to, "%s%-*s%s%*s", begin(p, FAINT), LABEL_WIDTH, label, end(p), COLUMN_WIDTH,
            units_latency_text(h->min, shown));
    fprintf(p->to, "%*s", COLUMN_WIDTH, units_latency_text((uint64_t)hist_mean(h), shown));
    for (unsigned i = 0; i < sizeof percents / sizeof *percents; i++) {
        /* a percentile with no sample above it would be the maximum under another name */
        bool is_known = (double)h->count * (100 - percents[i]) >= 100;
        fprintf(p->to, "%*s", COLUMN_WIDTH,
                is_known ? units_latency_text(hist_percentile(h, percents[i]), shown) : "-");
    }
    fprintf(p->to, "%*s\n", COLUMN_WIDTH, units_latency_text(h->max, shown));
}

static void print_distributions(const struct page *p, const struct load_result *r)
{
    static const char *const heads[] = {"min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"};
    fprintf(p->to, "\n%*s", LABEL_WIDTH, "");
    for (unsigned i = 0; i < sizeof heads / sizeof *heads; i++)
        fprintf(p->to, "%s%*s%s", begin(p, FAINT), COLUMN_WIDTH, heads[i], end(p));
    fprintf(p->to, "\n");
    print_distribution(p, "latency", r->quoted_latency);
    if (!r->is_open)
        return;
    print_distribution(p, "service", r->quoted_service);
    print_distribution(p, "send lag", r->quoted_send_lag);
}

/* Bars of equal width on a logarithmic axis, from the minimum to the p99.9 or so. */
static void print_bars(const struct page *p, const struct hist *h, unsigned bars)
{
    if (h->count < bars)
        return;
    double low = log((double)(h->min ? h->min : 1)), high = log((double)(h->max + 1));
    uint64_t below[BARS_MAX + 1], most = 1;
    below[0] = 0;
    for (unsigned i = 1; i <= bars; i++) {
        double edge = exp(low + (high - low) * i / bars);
        below[i] = i == bars ? h->count : hist_count_below(h, (uint64_t)edge);
        if (below[i] - below[i - 1] > most)
            most = below[i] - below[i - 1];
    }
    fprintf(p->to, "\n");
    for (unsigned i = 1; i <= bars; i++) {
        static const char full[] = "########################################";
        uint64_t count = below[i] - below[i - 1];
        int width = (int)((count * BAR_WIDTH + most - 1) / most);
        char edge[UNITS_TEXT_BYTES], shown[32];
        double at = exp(low + (high - low) * i / bars);
        fprintf(p->to, "%s<= %9s%s %s%.*s%s%*s %s\n", begin(p, FAINT),
                units_latency_text(i == bars ? h->max : (uint64_t)at, edge), end(p), begin(p, GOOD),
                width, full, end(p), BAR_WIDTH - width, "", count ? shown_count(count, shown) : "");
    }
}

/* --- belief --- */

static void print_client(const struct page *p, const struct load_result *r)
{
    char lag[UNITS_TEXT_BYTES];
    fprintf(p->to, "%s%-*s%s%.0f %% of a core", begin(p, FAINT), LABEL_WIDTH, "client", end(p),
            r->client_cpu_pct);
    if (r->is_open)
        fprintf(p->to, ", send lag p99 %s", units_latency_text(r->send_lag_p99_ns, lag));
    fprintf(p->to, "\n");
}

/* The client has a line of its own above. Of memory the fair share is shown where it is known. */
static bool has_line(const struct usage_sum *sum, enum party party)
{
    return party != PARTY_CLIENT && sum->is_there && isfinite(sum->cpu_us_per_request);
}

static unsigned party_lines(const struct load_result *r)
{
    unsigned lines = 0;
    for (unsigned i = 0; i < PARTY_COUNT; i++) {
        struct usage_sum sum = usage_sum(r, (enum party)i);
        lines += has_line(&sum, (enum party)i);
    }
    return lines;
}

static void print_parties(const struct page *p, const struct load_result *r)
{
    char memory[SHOWN_BYTES], cpu[UNITS_TEXT_BYTES];
    for (unsigned i = 0; i < PARTY_COUNT; i++) {
        struct usage_sum sum = usage_sum(r, (enum party)i);
        if (!has_line(&sum, (enum party)i))
            continue;
        double held = isfinite(sum.pss_bytes_max) ? sum.pss_bytes_max : sum.rss_bytes_max;
        fprintf(p->to, "%s%-*s%s%s of CPU per request", begin(p, FAINT), LABEL_WIDTH,
                party_names[i], end(p),
                units_latency_text((uint64_t)(sum.cpu_us_per_request * 1000), cpu));
        if (isfinite(held))
            fprintf(p->to, ", %s", shown_bytes((uint64_t)held, memory));
        fprintf(p->to, "\n");
    }
}

/* Breaks between words, at the page's edge. */
static void print_wrapped(const struct page *p, const char *text)
{
    size_t room = PAGE_WIDTH - LABEL_WIDTH, len = strlen(text);
    while (len > room) {
        size_t cut = room;
        while (cut && text[cut] != ' ')
            cut--;
        cut = cut ? cut : room;
        fprintf(p->to, "%.*s\n%-*s", (int)cut, text, LABEL_WIDTH, " ");
        text += cut + (text[cut] == ' ');
        len = strlen(text);
    }
    fprintf(p->to, "%s\n", text);
}

static void print_reasons(const struct page *p, const struct load_result *r)
{
    for (unsigned i = 0; i < r->reason_count; i++) {
        fprintf(p->to, "%s%-*s%s", begin(p, verdict_shade(r->verdict)), LABEL_WIDTH,
                i ? "" : verdict_names[r->verdict], end(p));
        print_wrapped(p, r->reasons[i]);
    }
}

/* As many as leave room on the page for all the rest. */
static unsigned bars_that_fit(const struct result *r, const struct result_target *t)
{
    enum { ALWAYS = 10 }; /* headline, load (2), requests, heads, latency, client, blank lines */
    const struct load_result *l = t->load;
    unsigned lines = ALWAYS + (l->is_open ? 2 : 0) +
                     (l->counts.ok < l->counts.sent + l->counts.unsent) + has_statuses(l) +
                     party_lines(l) + !!r->pinning + (r->store && r->cache) + (r->pg_batch > 1) +
                     !!t->fault + l->expected.count;
    for (unsigned i = 0; i < l->reason_count; i++)
        lines += 1 + (unsigned)strlen(l->reasons[i]) / (PAGE_WIDTH - LABEL_WIDTH);
    unsigned left = lines < PAGE_LINES ? PAGE_LINES - lines : 0;
    return left < BARS_MIN ? BARS_MIN : left > BARS_MAX ? BARS_MAX : left;
}

/* Such figures are no match for those of one commit per request. */
static void print_batch(const struct page *p, const struct result *r)
{
    if (r->pg_batch > 1)
        fprintf(p->to,
                "%s%-*s%s%sup to %u inserts shared one%s (--pg-batch): not comparable with a "
                "commit per request\n",
                begin(p, FAINT), LABEL_WIDTH, "commits", end(p), begin(p, BOLD), r->pg_batch,
                end(p));
}

static void print_expectations(const struct page *p, const struct load_result *r)
{
    char text[EXPECT_TEXT_BYTES], measured[EXPECT_TEXT_BYTES];
    for (unsigned i = 0; i < r->expected.count; i++) {
        const struct expectation *e = &r->expected.items[i];
        fprintf(p->to, "%s%-*s%s%-24s %s%s%s, %s\n", begin(p, FAINT), LABEL_WIDTH,
                i ? "" : "expected", end(p), expect_text(e, text), begin(p, e->is_met ? GOOD : BAD),
                e->is_met ? "met" : "NOT MET", end(p), expect_measured_text(e, measured));
    }
}

/* The answer of a search; what follows it is the last run at that rate. */
static void print_find_max(const struct page *p, const struct find_max *m)
{
    char shown[32], low[32], high[32], text[EXPECT_TEXT_BYTES];
    if (m->rate > 0)
        fprintf(p->to, "%s%s requests/s%s hold", begin(p, BOLD), shown_rate(m->rate, shown),
                end(p));
    else if (m->is_interrupted && m->search.held > 0)
        fprintf(p->to, "%sinterrupted%s: %s requests/s held once, and were not confirmed, at which",
                begin(p, BAD), end(p), shown_rate(m->search.held, shown));
    else
        fprintf(p->to, "%sno rate was %s%s at which", begin(p, BAD),
                m->is_interrupted ? "confirmed" : "found", end(p));
    for (unsigned i = 0; i < m->objective.count; i++)
        fprintf(p->to, "%s %s", i ? "," : "", expect_text(&m->objective.items[i], text));
    if (m->rate <= 0)
        fprintf(p->to, m->objective.count == 1 ? " holds" : " hold");
    if (m->low > 0)
        fprintf(p->to, "; 95 %% interval %s to %s/s", shown_rate(m->low, low),
                shown_rate(m->high, high));
    fprintf(p->to, "\n");
    if (m->broke)
        fprintf(p->to, "%s%-*s%sfirst at %s/s: %s\n", begin(p, FAINT), LABEL_WIDTH, "broke", end(p),
                shown_rate(m->broke->rate, shown), m->broke->broke);
    else if (m->search.is_capped)
        fprintf(p->to, "%s%-*s%snothing: more over these connections cannot be asked for\n",
                begin(p, FAINT), LABEL_WIDTH, "broke", end(p));
    fprintf(p->to, "\n");
}

static void print_fault(const struct page *p, const struct result_target *t, const char *whose)
{
    char available[SHOWN_BYTES];
    const struct result_fault *f = t->fault;
    if (!f)
        return;
    fprintf(p->to, "%s%-*s%s%s%s%s from %.1f to %.1f s: availability %s", begin(p, FAINT),
            LABEL_WIDTH, "fault", end(p), whose, *whose ? ": " : "", f->text, f->begin_s, f->end_s,
            shown_share(f->availability, available));
    if (isnan(f->recovered_s))
        fprintf(p->to, ", %snot as before%s by the end\n", begin(p, BAD), end(p));
    else
        fprintf(p->to, " until all was as before, %.0f s after it\n", f->recovered_s);
}

static void print_one(const struct page *p, const struct result *r, const struct result_target *t)
{
    if (t->find_max)
        print_find_max(p, t->find_max);
    print_headline(p, t->load);
    print_load(p, t->load);
    print_requests(p, t->load);
    print_distributions(p, t->load);
    print_bars(p, t->load->quoted_latency, bars_that_fit(r, t));
    print_client(p, t->load);
    print_parties(p, t->load);
    if (r->pinning)
        fprintf(p->to, "%s%-*s%s%s\n", begin(p, FAINT), LABEL_WIDTH, "cores", end(p), r->pinning);
    if (r->store && r->cache)
        fprintf(p->to, "%s%-*s%s%s, %s\n", begin(p, FAINT), LABEL_WIDTH, "storage", end(p),
                r->store, r->cache);
    print_batch(p, r);
    print_fault(p, t, "");
    print_expectations(p, t->load);
    print_reasons(p, t->load);
}

/* --- several --- */

enum { NAME_WIDTH_MIN = 19, NAME_WIDTH_MAX = 32 };

static int name_width(const struct repeats_side *sides, unsigned count)
{
    size_t width = NAME_WIDTH_MIN;
    for (unsigned i = 0; i < count; i++) {
        size_t len = strlen(sides[i].name);
        if (len > width && len <= NAME_WIDTH_MAX)
            width = len;
    }
    return (int)width + 1;
}

/* One end of the intervals, or the medians, each under its head. */
static void print_figures(const struct page *p, const char *name, int width,
                          const struct repeats_side *side,
                          double (*of)(const struct repeats_figure *f))
{
    char rate[SHOWN_BYTES] = "-", p50[UNITS_TEXT_BYTES] = "-", p99[UNITS_TEXT_BYTES] = "-",
         available[SHOWN_BYTES] = "-", cpu[UNITS_TEXT_BYTES] = "-";
    double values[REPEATS_METRICS];
    for (unsigned i = 0; i < REPEATS_METRICS; i++)
        values[i] = of(&side->figures[i]);
    if (isfinite(values[REPEATS_RPS]))
        shown_rate(values[REPEATS_RPS], rate);
    if (isfinite(values[REPEATS_P50_US]))
        units_latency_text((uint64_t)(values[REPEATS_P50_US] * 1000), p50);
    if (isfinite(values[REPEATS_P99_US]))
        units_latency_text((uint64_t)(values[REPEATS_P99_US] * 1000), p99);
    if (isfinite(values[REPEATS_AVAILABILITY]))
        shown_share(values[REPEATS_AVAILABILITY], available);
    if (isfinite(values[REPEATS_CPU_US]))
        units_latency_text((uint64_t)(values[REPEATS_CPU_US] * 1000), cpu);
    bool is_long = (int)strlen(name) >= width;
    fprintf(p->to, "%s%s%-*s%12s%10s%10s%13s%12s", name, is_long ? "\n" : "",
            is_long ? width : width - (int)strlen(name), "", rate, p50, p99, available, cpu);
}

static double median_of(const struct repeats_figure *f)
{
    return f->median;
}

static double low_of(const struct repeats_figure *f)
{
    return f->interval.low;
}

static double high_of(const struct repeats_figure *f)
{
    return f->interval.high;
}

/* "VALID"; of several races how many have the worst of their verdicts. */
static void print_side_verdict(const struct page *p, const struct repeats_side *side)
{
    unsigned worst = side->by_verdict[LOAD_INVALID]   ? LOAD_INVALID
                     : side->by_verdict[LOAD_SUSPECT] ? LOAD_SUSPECT
                                                      : LOAD_VALID;
    fprintf(p->to, "  %s%s%s", begin(p, verdict_shade(worst)), verdict_names[worst], end(p));
    if (side->races > 1)
        fprintf(p->to, " %u of %u", side->by_verdict[worst], side->races);
    fprintf(p->to, "\n");
}

static void print_side(const struct page *p, const struct repeats_side *side, int width)
{
    print_figures(p, side->name, width, side, median_of);
    print_side_verdict(p, side);
    if (isnan(side->figures[REPEATS_RPS].interval.low))
        return;
    fprintf(p->to, "%s", begin(p, FAINT));
    print_figures(p, "  interval from", width, side, low_of);
    fprintf(p->to, "\n");
    print_figures(p, "  to", width, side, high_of);
    fprintf(p->to, "%s\n", end(p));
}

static void print_sides(const struct page *p, const struct result *r)
{
    struct repeats_side *sides = mem_need(r->target_count + 1, sizeof *sides);
    unsigned count = repeats_sides(r, sides);
    int width = name_width(sides, count);
    fprintf(p->to, "%s%-*s%12s%10s%10s%13s%12s%s\n", begin(p, FAINT), width, r->scenario,
            "requests/s", "p50", "p99", "availability", "CPU/request", end(p));
    for (unsigned i = 0; i < count; i++)
        print_side(p, &sides[i], width);
    free(sides);
}

static void print_all_reasons(const struct page *p, const struct result *r)
{
    enum { REASONS_MAX = 16 };
    struct repeats_reason all[REASONS_MAX];
    unsigned count = repeats_reasons(r, all, REASONS_MAX);
    for (unsigned i = 0; i < count; i++) {
        struct text reason = {0};
        repeats_reason_text(&all[i], &reason);
        fprintf(p->to, "%s%-*s%s", begin(p, verdict_shade(all[i].verdict)), LABEL_WIDTH,
                verdict_names[all[i].verdict], end(p));
        print_wrapped(p, reason.data);
        text_free(&reason);
    }
}

static void print_several(const struct page *p, const struct result *r)
{
    print_sides(p, r);
    print_batch(p, r);
    for (unsigned i = 0; i < r->target_count; i++) {
        print_fault(p, &r->targets[i], r->targets[i].name);
        print_expectations(p, r->targets[i].load);
    }
    print_all_reasons(p, r);
}

void result_print(const struct result *r, FILE *to, bool color)
{
    struct page p = {.to = to, .is_colored = color};
    if (r->target_count == 1)
        print_one(&p, r, &r->targets[0]);
    else
        print_several(&p, r);
}
