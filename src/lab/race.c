/* The steps are listed in race_run(), and each undoes nothing: what was started is ended there, in the
 * reverse order, whichever step failed. */
#include "lab/race.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/url.h"
#include "lab/check.h"
#include "lab/footprint.h"
#include "lab/sampler.h"
#include "lab/verify.h"
#include "report/result.h"
#include "report/view.h"

enum { URL_BYTES = 2560, WARM_CONNECTIONS = 8 };
static const uint64_t CHECK_TIMEOUT_NS = 30 * NS_PER_S; /* a whole fib(35) in Python */

/* What is open while a race goes on. */
struct turn {
    struct race *race;
    struct venue *venue;
    struct target *target; /* ours */
    bool has_child;        /* somebody else's */
    char url[URL_BYTES];
    struct sampler *sampler;
    struct view *view; /* NULL: lines */
    struct verify verify;
    bool is_verified;
    uint64_t start_ns; /* until it was healthy */
    struct fault fault;
    uint64_t window_ns; /* of the load; UINT64_MAX: unknown */
    pid_t pid;          /* of the target that is loaded; 0: it is in this process, or unknown */
    bool
        is_broken; /* the child ended during the load, or the fault could not be made; the reason is
                       in race->why */
};

/* --- starting --- */

static bool start_own(struct turn *t, struct fail *f)
{
    struct target_config config = venue_own_target(t->venue);
    t->target = target_start(&config, f);
    if (!t->target)
        return fail_prefix(f, "target");
    log_line("target: %s", target_line(t->target));
    t->race->pg_batch = target_pg_batch(t->target);
    snprintf(t->race->store, sizeof t->race->store, "%s", target_store_text(t->target));
    snprintf(t->race->cache, sizeof t->race->cache, "%s", target_cache_text(t->target));
    snprintf(t->url, URL_BYTES, "http://%s%s", target_address(t->target), t->venue->scenario->path);
    return true;
}

/* A URL without a path means its root; the scenario says which path is loaded. */
static bool take_url(struct turn *t, struct fail *f)
{
    struct url parsed;
    const char *path = t->venue->scenario->path;
    if (!url_parse(t->race->entrant->word, &parsed, f))
        return fail_prefix(f, "--target");
    bool has_path = strcmp(parsed.target, "/") != 0;
    size_t len = strlen(parsed.text);
    if (!has_path && len && parsed.text[len - 1] == '/')
        parsed.text[len - 1] = 0;
    if (parsed.unix_path[0] && !has_path)
        snprintf(t->url, URL_BYTES, "unix:%s:%s", parsed.unix_path, path);
    else
        snprintf(t->url, URL_BYTES, "%.2000s%s", parsed.text, has_path ? "" : path);
    return true;
}

/* How the contestant of `e` is started; `log` must outlive it. */
static struct contestant_config contestant_config(const struct entrant *e, struct venue *s,
                                                  char log[FOLDER_BYTES + 80])
{
    snprintf(log, FOLDER_BYTES + 80, "%s/%s.log", s->folder, e->name);
    return (struct contestant_config){
        .file = e->file,
        .places = venue_places(s),
        .cpus = &s->pinning.target,
        .limits = s->shape.is_set ? &s->limits : NULL,
        .descriptors = fault_descriptors(&s->scenario->fault),
        .go_threads = s->shape.quota_cpus > 0 ? s->shape.cores : 0,
        .log = log,
        .stop = venue_should_stop,
        .arg = s,
    };
}

/* What target_pg_batch() says of one in this process. */
static uint32_t own_batch(const struct venue *s)
{
    uint32_t batch = s->scenario->target.storage.pg_batch;
    bool has_rows = s->scenario->target.mode == MODE_DB || s->scenario->target.mode == MODE_ALL;
    return !has_rows || !s->services.pg_uri[0] ? 0 : batch ? batch : 1;
}

static bool start_file(struct turn *t, struct fail *f)
{
    char log[FOLDER_BYTES + 80];
    struct contestant_config config = contestant_config(t->race->entrant, t->venue, log);
    t->has_child = contestant_start(t->venue->contestants, &config, f);
    if (!t->has_child)
        return false;
    t->race->pg_batch = t->race->entrant->is_ours ? own_batch(t->venue) : 0;
    log_line("target: %s at %s, process %d, its output in %s", t->race->entrant->name,
             contestant_address(t->venue->contestants), contestant_pid(t->venue->contestants), log);
    snprintf(t->url, URL_BYTES, "http://%s%s", contestant_address(t->venue->contestants),
             t->venue->scenario->path);
    return true;
}

bool race_set_up(const struct entrant *e, struct venue *s, struct fail *f)
{
    char log[FOLDER_BYTES + 80];
    if (e->kind != ENTRANT_FILE)
        return true;
    struct contestant_config config = contestant_config(e, s, log);
    if (*e->file->setup)
        log_line("setting %s up: %s, its output in %s", e->name, e->file->setup, log);
    return contestant_setup(s->contestants, &config, f);
}

static bool start_kind(struct turn *t, struct fail *f)
{
    switch (t->race->entrant->kind) {
    case ENTRANT_OWN:
        return start_own(t, f);
    case ENTRANT_URL:
        return take_url(t, f);
    default:
        return start_file(t, f);
    }
}

static bool start(struct turn *t, struct fail *f)
{
    uint64_t began_ns = clock_ns();
    bool is_up = start_kind(t, f);
    t->start_ns = clock_ns() - began_ns;
    return is_up;
}

/* Before it has done anything. */
static bool weigh(struct turn *t)
{
    const struct entrant *e = t->race->entrant;
    if (e->kind == ENTRANT_URL || !scenario_weighs(t->venue->scenario))
        return true;
    t->race->footprint = footprint_take(e->kind == ENTRANT_FILE ? e->file : NULL,
                                        t->has_child ? contestant_pid(t->venue->contestants) : 0);
    t->race->footprint.start_ms = (double)t->start_ns / NS_PER_MS;
    t->race->has_footprint = true;
    return true;
}

/* --- does it do the same work --- */

static unsigned count_failed(const struct check *c, char first[256])
{
    unsigned count = 0;
    for (unsigned i = 0; i < c->count; i++)
        if (c->points[i].status == CHECK_FAILED && !count++)
            snprintf(first, 256, "%.80s: %.170s", c->points[i].text, c->points[i].found);
    return count;
}

/* A service that was there before us is raced as it is; what it does otherwise is told. */
static bool judge_check(struct turn *t, const struct check *c, struct fail *f)
{
    char first[256];
    unsigned count = count_failed(c, first);
    if (!count)
        return true;
    check_print(c, stderr, true);
    if (t->race->entrant->kind == ENTRANT_URL) {
        log_line("%s does not keep the contract: %s", t->race->entrant->name, first);
        return true;
    }
    return fail_set(f, EXIT_FAILED, "answers wrongly at %u of %u points (see `iubench check`): %s",
                    count, c->count, first);
}

/* The URL of the service: what is loaded, less the scenario's path. False if it is not that which is
 * loaded, but something of which there is no contract. */
static bool service_url(const struct turn *t, char url[URL_BYTES])
{
    const struct scenario *s = t->venue->scenario;
    size_t len = strlen(t->url), path_len = strlen(s->path);
    if (s->load.requests_file || s->load.urls.count || len < path_len ||
        strcmp(t->url + len - path_len, s->path) != 0)
        return false;
    len -= path_len;
    if (strncmp(t->url, "unix:", 5) == 0)
        len--; /* the colon before the path */
    snprintf(url, URL_BYTES, "%.*s", (int)len, t->url);
    return true;
}

static bool check(struct turn *t, struct fail *f)
{
    const struct scenario *s = t->venue->scenario;
    const struct entrant *e = t->race->entrant;
    struct target_places places = venue_places(t->venue);
    const char *deviations[] = {e->file ? e->file->deviations : ""};
    bool has_storage = e->kind != ENTRANT_URL && t->venue->has_services &&
                       s->target.mode == MODE_DB;
    char url[URL_BYTES];
    if (!service_url(t, url))
        return true;
    struct check_config config = {
        .url = url,
        .mode = -1,
        .pg = has_storage ? places.pg_uri : NULL,
        .memcached = has_storage ? places.memcached : NULL,
        .allow = {deviations, 1},
        .path = s->path,
        .method = s->load.method ? s->load.method
                  : s->load.body ? "POST"
                                 : "GET",
        .timeout_ns = CHECK_TIMEOUT_NS,
    };
    struct check *c = mem_need(1, sizeof *c);
    bool is_good = check_run(&config, c, f);
    if (is_good && c->count) {
        t->race->check = check_json(c, t->url);
        is_good = judge_check(t, c, f);
    }
    free(c);
    return is_good || (e->kind == ENTRANT_URL && f->exit == EXIT_FAILED);
}

/* --- the load --- */

/* Asked often: a target that has gone ends the load as well. */
static bool should_stop(void *arg)
{
    struct turn *t = arg;
    if (t->has_child && !t->is_broken)
        t->is_broken = !contestant_is_up(t->venue->contestants, &t->race->why);
    return t->is_broken || venue_should_stop(t->venue);
}

/* The same while faults may be made. */
static bool should_end(void *arg)
{
    struct turn *t = arg;
    const struct services *services = &t->venue->services;
    pid_t pg_pid = services->pg_pid, memcached_pid = services->memcached_pid;
    if (t->view)
        view_tick(t->view);
    if (!t->is_broken)
        t->is_broken = !fault_turn(&t->fault, &t->race->why);
    if (services->pg_pid != pg_pid)
        sampler_follow(t->sampler, PARTY_POSTGRES, services->pg_pid);
    if (services->memcached_pid != memcached_pid)
        sampler_follow(t->sampler, PARTY_MEMCACHED, services->memcached_pid);
    return should_stop(t);
}

static void load_begins(void *arg)
{
    struct turn *t = arg;
    sampler_begin(t->sampler);
    t->is_broken = !fault_begin(&t->fault, &t->venue->scenario->fault, &t->venue->services, t->pid,
                                t->window_ns, &t->race->why);
}

static void second_passed(void *arg, struct load_second *row)
{
    struct turn *t = arg;
    sampler_fill(t->sampler, row);
    live_second(t->venue->live, row);
    if (t->view)
        view_add(view_state(t->view), row);
    else if (!t->venue->scenario->load.is_quiet)
        result_print_second(row, stderr);
}

static struct load_config load_config(const struct scenario *s)
{
    struct load_config config = s->load;
    config.is_scaled = true;
    return config;
}

bool race_check_load(const struct scenario *s, struct fail *f)
{
    char url[sizeof s->path + 32];
    struct load_config config = load_config(s);
    snprintf(url, sizeof url, "http://127.0.0.1:1%s", s->path);
    struct load_plan *plan = load_plan_new(&config, url, f);
    load_plan_free(plan);
    return plan || fail_prefix(f, "%s", s->name);
}

static struct load_plan *plan_new(const struct turn *t, const struct load_config *config,
                                  struct fail *f)
{
    struct load_plan *plan = load_plan_new(config, t->url, f);
    if (plan && CPU_COUNT(&t->venue->pinning.client))
        load_plan_pin(plan, &t->venue->pinning.client);
    return plan;
}

/* The same requests for a while in a closed loop, for compilers that compile while they run, for
 * pools and for caches; nothing of it is counted. */
static bool warm_up(struct turn *t, struct fail *f)
{
    struct load_config config = t->venue->scenario->load;
    struct load_watch watch = {.stop = should_stop, .arg = t};
    struct load_result ignored;
    if (!t->venue->config->warmup_ns)
        return true;
    config.duration_ns = t->venue->config->warmup_ns;
    config.duration_was_set = true;
    if (config.timeout_ns > config.duration_ns)
        config.timeout_ns = config.duration_ns;
    config.requests = 0;
    config.rate = 0;
    config.arrivals = LOAD_UNIFORM; /* of no meaning without a rate, and refused */
    config.ramp = config.stages = config.clients = config.expect = NULL;
    if (config.connections > WARM_CONNECTIONS)
        config.connections = WARM_CONNECTIONS;
    if (config.threads > config.connections)
        config.threads = config.connections;
    struct load_plan *plan = plan_new(t, &config, f);
    bool is_run = plan && load_run(plan, &watch, &ignored, f);
    if (is_run)
        load_result_free(&ignored);
    load_plan_free(plan);
    return is_run;
}

static void take_tree(struct sampler_trees *trees, pid_t pid)
{
    if (pid)
        *trees = (struct sampler_trees){.pids = {pid}, .count = 1};
}

static bool start_sampler(struct turn *t, const struct load_plan *plan, struct fail *f)
{
    const struct venue *s = t->venue;
    struct sampler_config config = {
        .target = t->target,
        .interval_ns = plan->config.sample_ns,
        .busy = {&s->pinning.client, &s->pinning.target, &s->pinning.upstream},
    };
    take_tree(&config.trees[PARTY_POSTGRES], s->services.pg_pid);
    take_tree(&config.trees[PARTY_MEMCACHED], s->services.memcached_pid);
    if (t->has_child) {
        take_tree(&config.trees[PARTY_TARGET], contestant_pid(s->contestants));
        if (s->scenario->target.mode == MODE_DB)
            config.watched = (struct storage_watch_config){
                .address = contestant_address(s->contestants), .tables = s->tables};
    }
    if (t->race->entrant->kind != ENTRANT_URL && plan->config.pid)
        return fail_set(f, EXIT_USAGE,
                        "--pid is for a --target URL: the process of any other is known");
    if (t->race->entrant->kind == ENTRANT_URL && !sampler_find_target(&config, plan, f))
        return false;
    if (t->target)
        sampler_find_storage(&config, target_storage(t->target));
    if (config.trees[PARTY_TARGET].count)
        t->pid = config.trees[PARTY_TARGET].pids[0];
    t->sampler = sampler_start(&config, f);
    return t->sampler;
}

static struct view *open_view(const struct turn *t, const struct load_plan *plan)
{
    char before[160], behind[ADDRESS_TEXT_BYTES + 32] = "";
    const char *url = live_url(t->venue->live);
    if (t->venue->config->repeat > 1)
        snprintf(before, sizeof before, "%.100s, race %u of %u: ", t->race->entrant->name,
                 t->race->repeat, t->venue->config->repeat);
    else
        snprintf(before, sizeof before, "%.100s: ", t->race->entrant->name);
    if (url)
        snprintf(behind, sizeof behind, "   dashboard: %s", url);
    return view_open_load(plan, before, behind);
}

static bool load(struct turn *t, struct fail *f)
{
    struct load_watch watch = {
        .begin = load_begins, .second = second_passed, .stop = should_end, .arg = t};
    struct load_config config = load_config(t->venue->scenario);
    if (t->is_verified)
        config.samples = VERIFY_SAMPLES;
    struct load_plan *plan = plan_new(t, &config, f);
    if (!plan)
        return false;
    live_target(t->venue->live,
                &(struct result_target){.name = t->race->entrant->name, .repeat = t->race->repeat},
                plan);
    t->window_ns = plan->window_ns;
    if (start_sampler(t, plan, f)) {
        t->view = open_view(t, plan);
        t->race->has_result = load_run(plan, &watch, &t->race->load, f);
        view_close(t->view);
    }
    load_plan_free(plan);
    sampler_stop(t->sampler);
    return t->race->has_result;
}

/* In any case, even if the load failed: nothing stays broken for those that come after. */
static bool mend(struct turn *t, struct fail *f)
{
    bool is_mended = fault_end(&t->fault, f);
    if (t->race->has_result)
        t->race->has_fault = fault_judge(&t->fault, &t->race->load, &t->race->fault);
    return is_mended;
}

/* --- verifying --- */

/* Of a target that is another process what it stores in is known where it is the run's. */
static bool begin_verify(struct turn *t, struct fail *f)
{
    const struct storage *storage = t->target      ? target_storage(t->target)
                                    : t->has_child ? t->venue->tables
                                                   : NULL;
    t->is_verified = t->venue->config->is_verified;
    return !t->is_verified || verify_begin(&t->verify, storage, t->race->entrant->is_ours, f);
}

static bool end_verify(struct turn *t, struct fail *f)
{
    if (!t->is_verified)
        return true;
    bool is_read = verify_end(&t->verify, &t->race->load, fault_forgets_ns(&t->fault),
                              &t->race->is_mismatch, f);
    memcpy(t->race->verified, t->verify.text, sizeof t->race->verified);
    return is_read;
}

/* --- the whole --- */

static void race_free_result(struct race *r)
{
    if (r->has_result)
        load_result_free(&r->load);
    r->has_result = false;
}

/* What a target that died showed before is no result. */
static bool has_lived(struct turn *t)
{
    if (t->is_broken && t->race->has_result) {
        fail_prefix(&t->race->why, "in second %u of the load", t->race->load.second_count);
        race_free_result(t->race);
    }
    return !t->is_broken;
}

/* Nor is it one to have been stopped before the first request. */
static bool has_begun(struct turn *t)
{
    bool is_empty = t->venue->is_interrupted && t->race->has_result && !t->race->load.counts.sent;
    if (is_empty)
        race_free_result(t->race);
    return !is_empty;
}

void race_run(struct race *r, struct venue *s)
{
    struct turn t = {.race = r, .venue = s};
    struct fail *f = &r->why, later;
    bool is_good = start(&t, f) && weigh(&t) && check(&t, f) && venue_clear(s, f) &&
                   warm_up(&t, f) && !should_stop(&t) && begin_verify(&t, f) && load(&t, f);
    is_good = mend(&t, is_good ? f : &later) && is_good && end_verify(&t, f);
    (void)should_stop(&t); /* it may have died since that was last asked */
    is_good &= has_lived(&t);
    is_good &= has_begun(&t);
    if (t.target)
        target_stop(t.target);
    if (t.has_child)
        is_good &= contestant_stop(s->contestants, is_good ? f : &later);
    r->has_failed = !is_good;
}

void race_free(struct race *r)
{
    race_free_result(r);
    json_decref(r->check);
}
