/* The search asks, a run answers. Between two runs the target has a moment to come to rest. */
#include "load/find_max.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "load/plan.h"

enum { REST_MS = 200, PROBES_MAX = 256 };

static const double AVAILABILITY_MIN = 0.99;

static bool names_success(const struct expectations *e)
{
    for (unsigned i = 0; i < e->count; i++)
        if (e->items[i].metric == EXPECT_AVAILABILITY || e->items[i].metric == EXPECT_ERRORS)
            return true;
    return false;
}

bool find_max_holds(struct expectations *objective, const struct load_result *r, char *broke,
                    size_t room)
{
    char text[EXPECT_TEXT_BYTES], measured[EXPECT_TEXT_BYTES];
    double availability = load_availability(&r->counts);
    broke[0] = 0;
    expect_judge(objective, r);
    if (!r->counts.ok)
        snprintf(broke, room, "no request succeeded%s%s", r->reason_count ? "; " : "",
                 r->reason_count ? r->reasons[0] : "");
    for (unsigned i = 0; i < objective->count && !broke[0]; i++)
        if (!objective->items[i].is_met)
            snprintf(broke, room, "%s: %s%s", expect_text(&objective->items[i], text),
                     expect_measured_text(&objective->items[i], measured),
                     r->is_only_late ? ", but the client itself was late" : "");
    if (!broke[0] && !names_success(objective) && availability < AVAILABILITY_MIN)
        snprintf(broke, room, "availability: %.3f %%", availability * 100);
    if (!broke[0] && r->verdict == LOAD_INVALID && !r->is_only_late)
        snprintf(broke, room, "%s", r->reasons[0]);
    return !broke[0];
}

static void note(struct find_max *found, const struct load_result *r, double rate, bool is_long)
{
    struct find_max_probe *p = &found->probes[found->probe_count++];
    *p = (struct find_max_probe){
        .rate = rate,
        .length_s = r->duration_s,
        .is_confirmation = is_long,
        .rps = r->quoted_rps,
        .availability = load_availability(&r->counts),
        .p50_ns = hist_percentile(r->quoted_latency, 50),
        .p99_ns = hist_percentile(r->quoted_latency, 99),
    };
    p->is_held = find_max_holds(&found->objective, r, p->broke, sizeof p->broke);
}

static void conclude(struct find_max *found)
{
    found->rate = found->search.phase == SEARCH_DONE ? found->search.rate : 0;
    if (!search_interval(&found->search, &found->low, &found->high))
        found->low = found->high = 0;
    for (unsigned i = 0; i < found->probe_count; i++) {
        const struct find_max_probe *p = &found->probes[i];
        bool is_nearer = !found->broke || p->rate < found->broke->rate;
        if (!p->is_held && p->rate > found->rate && is_nearer)
            found->broke = p;
    }
}

bool find_max_run(struct load_plan *plan, const struct load_watch *watch, find_max_probed_f *probed,
                  struct find_max *found, struct load_result *last, struct fail *f)
{
    const struct load_config config = plan->config;
    *found = (struct find_max){.objective = plan->objective};
    found->probes = mem_need(PROBES_MAX, sizeof *found->probes);
    search_begin(&found->search, config.rate, load_plan_rate_most(plan));
    while (found->search.phase != SEARCH_DONE && found->probe_count < PROBES_MAX) {
        bool is_long = found->search.phase == SEARCH_CONFIRM;
        double rate = found->search.rate;
        load_plan_retime(plan, rate, is_long ? config.duration_ns : config.probe_ns);
        if (found->probe_count) {
            load_result_free(last);
            usleep(REST_MS * 1000);
        }
        if (!load_run(plan, watch, last, f)) {
            find_max_free(found);
            return false;
        }
        if (last->is_interrupted) {
            found->is_interrupted = true;
            break;
        }
        note(found, last, rate, is_long);
        if (probed)
            probed(watch->arg, &found->probes[found->probe_count - 1]);
        if (!last->connections_made)
            break; /* nobody is there, at any rate */
        search_tell(&found->search, found->probes[found->probe_count - 1].is_held);
    }
    conclude(found);
    return true;
}

void find_max_free(struct find_max *found)
{
    free(found->probes);
    *found = (struct find_max){0};
}
