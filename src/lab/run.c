/* The order of a run: who races, what they share, then race by race, then the result; and everything
 * stopped in the reverse order. */
#include "lab/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/color.h"
#include "base/log.h"
#include "base/mem.h"
#include "lab/order.h"
#include "lab/own.h"
#include "lab/race.h"
#include "lab/venue.h"
#include "live/live.h"
#include "report/html.h"
#include "report/result.h"

static const uint64_t WARMUP_NS = 2 * NS_PER_S;

/* Everything of a run. */
struct lab {
    const struct scenario *scenario;
    struct run_config config; /* with what was left open settled */
    struct entrant *entrants;
    unsigned entrant_count;
    struct live *live; /* NULL: nobody watches */
    struct venue venue;
    struct race *races;
    unsigned race_count, most; /* that were run; that there is room for */
    struct result_failure *failures;
    unsigned failure_count;
};

static bool read_entrants(struct lab *l, struct fail *f);
static bool start_live(struct lab *l, struct fail *f);
static bool set_up(struct lab *l, struct fail *f);
static bool race_all(struct lab *l, struct fail *f);
static bool leave_result(struct lab *l, int *exit_code, struct fail *f);
static void lab_close(struct lab *l);

/* Options of a load by itself: a run has its own course, its own files, and cores for each party. */
static bool has_no_lone_option(const struct load_config *c, struct fail *f)
{
    if (c->cores)
        return fail_set(
            f, EXIT_USAGE,
            "--cores is for `iubench load`: a run pins the client beside the others, by "
            "--pin TARGET/CLIENT[/SERVICES]");
    const char *name = c->find_max ? "find-max"
                       : c->hdr    ? "hdr"
                       : c->csv    ? "csv"
                       : c->json   ? "json"
                                   : NULL;
    return !name || fail_set(f, EXIT_USAGE,
                             "--%s is for `iubench load`: start a target by `iubench serve` and "
                             "load that, a run leaves its result in --out DIR",
                             name);
}

bool run_scenario(const struct scenario *s, const struct run_config *config, int *exit_code,
                  struct fail *f)
{
    if (!has_no_lone_option(&s->load, f) || !race_check_load(s, f))
        return false;
    struct lab *l = mem_need(1, sizeof *l);
    l->scenario = s;
    l->config = *config;
    bool is_run = read_entrants(l, f) && live_open(&s->load, &l->live, f) &&
                  venue_open(&l->venue, s, &l->config, l->entrants, l->entrant_count, f) &&
                  start_live(l, f) && set_up(l, f) && race_all(l, f) &&
                  leave_result(l, exit_code, f);
    lab_close(l);
    return is_run;
}

/* --- who races --- */

static void settle(struct lab *l)
{
    struct run_config *c = &l->config;
    bool is_compared = c->repeat > 1 || l->entrant_count > 1;
    if (!c->warmup_was_set)
        c->warmup_ns = is_compared ? WARMUP_NS : 0;
    if (!c->order_seed)
        c->order_seed = (uint32_t)clock_wall_us() | 1;
    l->most = l->entrant_count * c->repeat;
    l->races = mem_need(l->most, sizeof *l->races);
    l->failures = mem_need(l->most + l->entrant_count, sizeof *l->failures);
}

/* What is somebody else's was not started by us, nor does it store where we can read. A limit is given to
 * a process when it starts. */
static bool fits_url(const struct lab *l, const struct entrant *e, struct fail *f)
{
    if (fault_descriptors(&l->scenario->fault))
        return fail_set(f, EXIT_USAGE,
                        "--target %s: the fault is a limit of descriptors, which a target gets "
                        "when it is started: expected one that iubench starts, by a target file",
                        e->name);
    if (l->config.is_verified)
        return fail_set(f, EXIT_USAGE,
                        "--verify: what %s stores cannot be read back: expected a target that "
                        "iubench starts",
                        e->name);
    return true;
}

static bool read_entrants(struct lab *l, struct fail *f)
{
    static const char *own[] = {"iubench"};
    struct cli_texts words = l->config.targets;
    if (!words.count)
        words = (struct cli_texts){own, 1};
    l->entrants = mem_need(words.count, sizeof *l->entrants);
    for (size_t i = 0; i < words.count; i++) {
        l->entrant_count++;
        if (!entrant_read(&l->entrants[i], words.items[i], f))
            return fail_prefix(f, "--target");
        if (l->entrants[i].kind == ENTRANT_URL && !fits_url(l, &l->entrants[i], f))
            return false;
        for (size_t j = 0; j < i; j++) /* else they would pass for repeats of one */
            if (!strcmp(l->entrants[j].name, l->entrants[i].name))
                return fail_set(f, EXIT_USAGE,
                                "--target: two targets are called %s: expected a name of its own "
                                "for each; --repeat N races one several times",
                                l->entrants[i].name);
    }
    settle(l);
    return true;
}

/* --- as it is told --- */

static struct result_share share_of(const struct shape_share *s)
{
    return (struct result_share){s->cpus, s->memory_bytes, s->quota_cpus, s->limit_bytes};
}

static struct result_shape shape_of(const struct shape *s)
{
    return (struct result_shape){
        .target = {s->cpus, s->memory_bytes, s->quota_cpus, s->limit_bytes},
        .postgres = share_of(&s->postgres),
        .memcached = share_of(&s->memcached),
        .scale = s->scale,
    };
}

/* Without what was measured, for those who watch; stores are those of our own target, if it raced. */
static struct result describe(const struct lab *l)
{
    const struct race *own = NULL;
    const struct services *services = &l->venue.services;
    for (unsigned i = 0; i < l->race_count && !own; i++)
        own = l->races[i].store[0] || l->races[i].pg_batch ? &l->races[i] : NULL;
    return (struct result){
        .argc = l->config.argc,
        .argv = l->config.argv,
        .scenario = l->scenario->name,
        .published = l->scenario->published[0] ? l->scenario->published : NULL,
        .figures = l->scenario->figures,
        .figure_count = l->scenario->figure_count,
        .services = venue_services_text(&l->venue),
        .store = own && own->store[0] ? own->store : NULL,
        .cache = own && own->cache[0] ? own->cache : NULL,
        .pg_batch = own ? own->pg_batch : 0,
        .pg_version = services->pg_version[0] ? services->pg_version : NULL,
        .memcached_version = services->memcached_version[0] ? services->memcached_version : NULL,
        .pinning = l->venue.pinning.text,
        .is_interrupted = l->venue.is_interrupted,
        .races = {.repeats = l->config.repeat,
                  .order_seed = l->config.order_seed,
                  .warmup_ns = l->config.warmup_ns,
                  .shape = shape_of(&l->venue.shape),
                  .failures = l->failures,
                  .failure_count = l->failure_count},
    };
}

static bool start_live(struct lab *l, struct fail *f)
{
    const struct result known = describe(l);
    const struct pinning *p = &l->venue.pinning;
    if (!live_start(l->live, &known, &p->client, &p->target, f))
        return false;
    if (live_url(l->live))
        log_line("dashboard: %s", live_url(l->live));
    l->venue.live = l->live;
    return true;
}

/* --- what goes wrong with one of them --- */

/* Where there is but one, and it has no result, its failure is the run's; and so is a wrong option,
 * which all would meet. */
static bool keep_failure(struct lab *l, const struct entrant *e, unsigned repeat, bool has_result,
                         struct fail *why)
{
    if ((l->most == 1 && !has_result) || why->exit == EXIT_USAGE) {
        if (e->kind != ENTRANT_OWN)
            fail_prefix(why, "%s", e->name);
        return false;
    }
    struct result_failure *to = &l->failures[l->failure_count++];
    *to = (struct result_failure){e->name, repeat, why->exit == EXIT_LACKING, ""};
    snprintf(to->reason, sizeof to->reason, "%s", why->text);
    log_line("%s%s %s: %s", e->name, repeat ? "" : " (setup)",
             to->is_skipped ? "is skipped" : "FAILED", why->text);
    return true;
}

static bool part_with_own(struct lab *l, struct fail *f)
{
    struct target_config config = venue_own_target(&l->venue);
    struct target_places places = venue_places(&l->venue);
    bool has_storage = l->scenario->target.mode == MODE_DB || l->scenario->target.mode == MODE_ALL;
    bool is_embedded = l->venue.services_mode == SERVICES_EMBEDDED;
    for (unsigned i = 0; i < l->entrant_count; i++) {
        struct entrant *e = &l->entrants[i];
        if (e->kind != ENTRANT_OWN || !venue_parts_with_own(&l->venue))
            continue;
        entrant_start_by(e, mem_need(1, sizeof *e->file));
        if (!own_target_file(e->file, &config, has_storage && !is_embedded && places.pg_uri,
                             has_storage && !is_embedded && places.memcached, f))
            return false;
    }
    return true;
}

static bool set_up(struct lab *l, struct fail *f)
{
    if (!part_with_own(l, f))
        return false;
    for (unsigned i = 0; i < l->entrant_count; i++) {
        struct entrant *e = &l->entrants[i];
        e->is_out = !race_set_up(e, &l->venue, f);
        if (e->is_out && (l->venue.is_interrupted || !keep_failure(l, e, 0, false, f)))
            return false;
    }
    return true;
}

/* --- the races --- */

static bool has_races_left(const struct lab *l, const unsigned *order, unsigned from)
{
    for (unsigned i = from; i < l->most; i++)
        if (!l->entrants[order[i]].is_out)
            return true;
    return false;
}

/* A failure that was said already, and for which the run itself ends, is not said again. */
static bool race_one(struct lab *l, struct entrant *e, unsigned repeat, struct fail *f)
{
    struct race *r = &l->races[l->race_count++];
    *r = (struct race){.entrant = e, .repeat = repeat};
    if (l->most > 1)
        log_line("race %u of %u: %s, repeat %u of %u", l->race_count, l->most, e->name, repeat,
                 l->config.repeat);
    race_run(r, &l->venue);
    if (!r->has_failed || l->venue.is_interrupted)
        return true;
    e->is_out = true; /* it would fail again, after as long a wait */
    bool is_kept = keep_failure(l, e, repeat, r->has_result, &r->why);
    if (!is_kept)
        *f = r->why;
    return is_kept;
}

static bool race_all(struct lab *l, struct fail *f)
{
    unsigned *order = mem_need(l->most, sizeof *order);
    order_make(l->entrant_count, l->config.repeat, l->config.order_seed, order);
    if (l->most > 1)
        log_line("order: %u races, seed %u (--order-seed)", l->most, l->config.order_seed);
    bool is_good = true;
    for (unsigned i = 0; i < l->most && is_good && has_races_left(l, order, i); i++) {
        struct entrant *e = &l->entrants[order[i]];
        if (venue_should_stop(&l->venue))
            break;
        if (!e->is_out)
            is_good = race_one(l, e, i / l->entrant_count + 1, f);
    }
    free(order);
    return is_good;
}

/* --- the result --- */

static int judge(const struct lab *l)
{
    int worst = EXIT_DONE;
    bool has_result = false;
    for (unsigned i = 0; i < l->failure_count; i++)
        if (!l->failures[i].is_skipped)
            return EXIT_FAILED;
    for (unsigned i = 0; i < l->race_count; i++) {
        const struct race *r = &l->races[i];
        has_result |= r->has_result;
        int code = r->has_result ? load_exit_code(&r->load) : EXIT_DONE;
        if (r->is_mismatch)
            return EXIT_FAILED;
        if (code > worst)
            worst = code;
    }
    return has_result || l->venue.is_interrupted ? worst : EXIT_LACKING;
}

static void print_rest(const struct lab *l)
{
    if (l->scenario->published[0])
        printf("\nPublished: %s\n", l->scenario->published);
    for (unsigned i = 0; i < l->race_count; i++)
        if (l->races[i].verified[0])
            printf("\n%s\n", l->races[i].verified);
    for (unsigned i = 0; i < l->failure_count; i++)
        printf("\n%s %s: %s\n", l->failures[i].name,
               l->failures[i].is_skipped ? "was skipped" : "FAILED", l->failures[i].reason);
}

static unsigned list_results(const struct lab *l, struct result_target *targets)
{
    unsigned count = 0;
    for (unsigned i = 0; i < l->race_count; i++) {
        const struct race *r = &l->races[i];
        if (r->has_result)
            targets[count++] = (struct result_target){.name = r->entrant->name,
                                                      .repeat = r->repeat,
                                                      .load = &r->load,
                                                      .footprint = r->has_footprint ? &r->footprint
                                                                                    : NULL,
                                                      .fault = r->has_fault ? &r->fault : NULL,
                                                      .check = r->check};
    }
    return count;
}

/* The page beside the result: report.html in the same folder. */
static bool leave_report(const struct lab *l, const struct result *result, struct fail *f)
{
    char path[FOLDER_BYTES + 32];
    json_t *documents = json_pack("[o]", result_json(result));
    snprintf(path, sizeof path, "%s/report.html", l->venue.folder);
    bool is_good = html_write(documents, path, f);
    json_decref(documents);
    if (is_good)
        printf("Report: %s\n", path);
    return is_good;
}

static bool leave_result(struct lab *l, int *exit_code, struct fail *f)
{
    char path[FOLDER_BYTES + 32];
    struct result_target *targets = mem_need(l->most, sizeof *targets);
    struct result result = describe(l);
    result.targets = targets;
    result.target_count = list_results(l, targets);
    live_end(l->live, &result);
    l->live = NULL;
    snprintf(path, sizeof path, "%s/result.json", l->venue.folder);
    if (result.target_count)
        result_print(&result, stdout, color_is_wanted(stdout));
    print_rest(l);
    *exit_code = judge(l);
    bool is_left = result_write(&result, path, f);
    if (is_left)
        printf("\nResult: %s\n", path);
    is_left = is_left && leave_report(l, &result, f);
    free(targets);
    fflush(stdout);
    return is_left;
}

static void lab_close(struct lab *l)
{
    live_end(l->live, NULL);
    venue_close(&l->venue);
    for (unsigned i = 0; i < l->race_count; i++)
        race_free(&l->races[i]);
    for (unsigned i = 0; i < l->entrant_count; i++)
        entrant_free(&l->entrants[i]);
    free(l->entrants);
    free(l->races);
    free(l->failures);
    free(l);
}
