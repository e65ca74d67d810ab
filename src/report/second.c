/* One line per second or per run of a search: what was wanted, what came, how slow, what failed, how hard the client
 * worked. The first is headed. */
#include "report/result.h"

#include <inttypes.h>
#include <math.h>

#include "base/units.h"

static uint64_t failed(const struct load_counts *c)
{
    uint64_t sum = c->timeouts + c->unsent;
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
        sum += c->errors[i];
    return sum;
}

/* Of clients there are many or none; of requests that wait for a connection there are some only in
 * an open loop. */
void result_print_second(const struct load_second *s, FILE *to)
{
    char target[32] = "-", p50[UNITS_TEXT_BYTES], p99[UNITS_TEXT_BYTES], max[UNITS_TEXT_BYTES];
    bool is_empty = !s->max_ns; /* nothing ended */
    double wanted = s->clients ? s->equivalent_rps : s->target_rps;
    if (s->t == 1)
        fprintf(to, "%5s%10s%10s%10s%10s%10s%9s%10s%9s%6s\n", "t", "due/s", "ok/s", "p50", "p99",
                "max", "failed", "in flight", s->clients ? "clients" : "waiting", "CPU");
    if (isfinite(wanted))
        snprintf(target, sizeof target, "%.0f", wanted);
    fprintf(to, "%4us%10s%10.0f%10s%10s%10s%9" PRIu64 "%10u%9u%5.0f%%\n", s->t, target,
            (double)s->counts.ok / s->length_s, is_empty ? "-" : units_latency_text(s->p50_ns, p50),
            is_empty ? "-" : units_latency_text(s->p99_ns, p99),
            is_empty ? "-" : units_latency_text(s->max_ns, max), failed(&s->counts), s->in_flight,
            s->clients ? s->clients : s->backlog, s->client_cpu_pct);
}

void result_print_probe(const struct find_max_probe *p, FILE *to)
{
    char p50[UNITS_TEXT_BYTES], p99[UNITS_TEXT_BYTES];
    fprintf(to, "%10.0f/s  %-7s  ok %10.0f/s  p50 %9s  p99 %9s  availability %7.3f %%  %s%s\n",
            p->rate, p->is_confirmation ? "confirm" : "try", p->rps,
            units_latency_text(p->p50_ns, p50), units_latency_text(p->p99_ns, p99),
            p->availability * 100, p->is_held ? "holds" : "breaks: ", p->broke);
}
