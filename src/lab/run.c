/* The order of a run: cores, services, upstream, then for each contestant target and load, then the
 * result; and everything stopped in the reverse order. */
#include "lab/run.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpus.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/url.h"
#include "net/sock.h"
#include "lab/pinning.h"
#include "lab/sampler.h"
#include "lab/services.h"
#include "lab/verify.h"
#include "live/live.h"
#include "report/result.h"

enum {
    FOLDER_BYTES = 512,
    URL_BYTES = 2560,
    MARGIN_CONNECTIONS = 100 /* beside --pg-pool, which 0 leaves to the store */
};

static const char *const service_names[] = {"auto", "managed", "external", "embedded"};

/* Everything that a run has open. */
struct lab {
    const struct scenario *scenario;
    const struct run_config *config;
    struct pinning pinning;
    char cores[3][CPUS_TEXT_BYTES]; /* target, client, upstream; "" unpinned */
    enum run_services services_mode;
    bool has_services;
    struct services services;
    struct upstream *upstream;
    char upstream_url[ADDRESS_TEXT_BYTES + 32];
    struct target *target; /* ours, while it races */
    struct sampler *sampler;
    struct live *live; /* NULL: nobody watches */
    struct verify verify;
    bool is_mismatch;
    bool is_interrupted;
    char store[256], cache[256];
    uint32_t pg_batch;
    struct result_target *results;
    struct load_result *loads;
    char (*names)[URL_BYTES];
    unsigned result_count;
};

static bool choose_services(struct lab *l, struct fail *f);
static bool start_services(struct lab *l, struct fail *f);
static bool start_live(struct lab *l, struct fail *f);
static bool start_upstream(struct lab *l, struct fail *f);
static bool race(struct lab *l, const char *contestant, struct fail *f);
static bool leave_result(struct lab *l, int *exit_code, struct fail *f);
static void lab_close(struct lab *l);

static bool needs_storage(const struct scenario *s)
{
    return s->wants_postgres || s->wants_memcached;
}

/* Whether our own target is among the contestants. */
static bool has_own_target(const struct run_config *c)
{
    for (size_t i = 0; i < c->targets.count; i++)
        if (!strcmp(c->targets.items[i], "iubench"))
            return true;
    return !c->targets.count;
}

static bool run_all(struct lab *l, struct fail *f)
{
    const struct run_config *c = l->config;
    if (!pinning_choose(c->pin, &l->pinning, f))
        return fail_prefix(f, "--pin");
    const cpu_set_t *sets[] = {&l->pinning.target, &l->pinning.client, &l->pinning.upstream};
    for (int i = 0; i < 3; i++)
        if (CPU_COUNT(sets[i]))
            cpus_text(sets[i], l->cores[i]);
    if (!live_open(&l->scenario->load, &l->live, f) || !choose_services(l, f) ||
        !start_services(l, f) || !start_live(l, f) || !start_upstream(l, f))
        return false;
    if (!c->targets.count)
        return race(l, "iubench", f);
    for (size_t i = 0; i < c->targets.count && !l->is_interrupted; i++)
        if (!race(l, c->targets.items[i], f))
            return false;
    return true;
}

/* Options of a load by itself: a run has its own course, and its own files. */
static bool has_no_lone_option(const struct load_config *c, struct fail *f)
{
    const char *name = c->find_max ? "find-max" : c->hdr ? "hdr" : c->csv ? "csv" : NULL;
    return !name || fail_set(f, EXIT_USAGE,
                             "--%s is for `iubench load`: start a target by `iubench serve` and "
                             "load that, a run leaves its result in --out DIR",
                             name);
}

bool run_scenario(const struct scenario *s, const struct run_config *config, int *exit_code,
                  struct fail *f)
{
    if (!has_no_lone_option(&s->load, f))
        return false;
    struct lab *l = mem_need(1, sizeof *l);
    unsigned most = config->targets.count ? (unsigned)config->targets.count : 1;
    l->scenario = s;
    l->config = config;
    l->results = mem_need(most, sizeof *l->results);
    l->loads = mem_need(most, sizeof *l->loads);
    l->names = mem_need(most, sizeof *l->names);
    bool is_run = run_all(l, f);
    if (is_run || l->result_count) {
        struct fail later;
        is_run &= leave_result(l, exit_code, is_run ? f : &later);
    }
    lab_close(l);
    return is_run;
}

/* --- services --- */

static bool choose_services(struct lab *l, struct fail *f)
{
    const struct scenario *s = l->scenario;
    struct fail missing;
    l->services_mode = (enum run_services)l->config->services;
    if (!needs_storage(s) || !has_own_target(l->config)) {
        l->services_mode = SERVICES_EXTERNAL;
        return true;
    }
    if (l->services_mode == SERVICES_MANAGED)
        return services_available(s->wants_postgres, s->wants_memcached, f);
    if (l->services_mode != SERVICES_AUTO)
        return true;
    if (services_available(s->wants_postgres, s->wants_memcached, &missing)) {
        l->services_mode = SERVICES_MANAGED;
        return true;
    }
    log_line("embedded stores are used: %s", missing.text);
    l->services_mode = SERVICES_EMBEDDED;
    return true;
}

static const char *services_text(const struct lab *l)
{
    return needs_storage(l->scenario) ? service_names[l->services_mode] : "none";
}

static bool start_services(struct lab *l, struct fail *f)
{
    const struct scenario *s = l->scenario;
    if (l->services_mode != SERVICES_MANAGED)
        return true;
    bool is_pinned = CPU_COUNT(&l->pinning.services);
    struct services_config config = {
        .wants_postgres = s->wants_postgres,
        .wants_memcached = s->wants_memcached,
        .is_sync_commit_on = l->config->is_sync_commit_on,
        .max_connections = s->target.storage.pg_pool + MARGIN_CONNECTIONS,
        .cpus = is_pinned ? &l->pinning.services : NULL,
    };
    l->has_services = services_start(&l->services, &config, f);
    if (l->has_services)
        log_line("services: PostgreSQL %s (synchronous_commit=%s), memcached %s in %s",
                 l->services.pg_version, config.is_sync_commit_on ? "on" : "off",
                 l->services.memcached_version, l->services.folder);
    return l->has_services;
}

static struct result describe(const struct lab *l)
{
    return (struct result){
        .argc = l->config->argc,
        .argv = l->config->argv,
        .scenario = l->scenario->name,
        .published = l->scenario->published[0] ? l->scenario->published : NULL,
        .figures = l->scenario->figures,
        .figure_count = l->scenario->figure_count,
        .services = services_text(l),
        .store = l->store[0] ? l->store : NULL,
        .cache = l->cache[0] ? l->cache : NULL,
        .pg_batch = l->pg_batch,
        .pinning = l->pinning.text,
        .is_interrupted = l->is_interrupted,
        .targets = l->results,
        .target_count = l->result_count,
    };
}

static bool start_live(struct lab *l, struct fail *f)
{
    const struct result known = describe(l);
    if (!live_start(l->live, &known, &l->pinning.client, &l->pinning.target, f))
        return false;
    if (live_url(l->live))
        log_line("dashboard: %s", live_url(l->live));
    return true;
}

static bool start_upstream(struct lab *l, struct fail *f)
{
    const struct target_config *target = &l->scenario->target;
    bool is_needed = target->mode == MODE_PROXY || target->mode == MODE_ALL;
    if (!is_needed || target->upstream || !has_own_target(l->config))
        return true;
    struct upstream_config config = l->scenario->upstream;
    config.listen = "127.0.0.1:0";
    if (l->cores[2][0])
        config.cores = l->cores[2];
    l->upstream = upstream_start(&config, f);
    if (!l->upstream)
        return fail_prefix(f, "upstream");
    snprintf(l->upstream_url, sizeof l->upstream_url, "http://%s/external",
             upstream_address(l->upstream));
    return true;
}

/* --- a contestant --- */

static bool start_own_target(struct lab *l, char url[URL_BYTES], struct fail *f)
{
    struct target_config config = l->scenario->target;
    config.listen = "127.0.0.1:0";
    if (l->cores[0][0])
        config.cores = l->cores[0];
    if (l->upstream)
        config.upstream = l->upstream_url;
    if (l->services_mode == SERVICES_MANAGED) {
        if (l->services.pg_uri[0])
            config.storage.pg = l->services.pg_uri;
        if (l->services.memcached[0])
            config.storage.memcached = l->services.memcached;
    } else if (l->services_mode == SERVICES_EMBEDDED) {
        config.storage.store = "sqlite";
        config.storage.cache = "memory";
    }
    l->target = target_start(&config, f);
    if (!l->target)
        return fail_prefix(f, "target");
    log_line("target: %s", target_line(l->target));
    snprintf(l->store, sizeof l->store, "%s", target_store_text(l->target));
    snprintf(l->cache, sizeof l->cache, "%s", target_cache_text(l->target));
    l->pg_batch = target_pg_batch(l->target);
    snprintf(url, URL_BYTES, "http://%s%s", target_address(l->target), l->scenario->path);
    return true;
}

/* A contestant's URL without a path means its root; the scenario says which path is loaded. */
static bool contestant_url(const struct lab *l, const char *contestant, char url[URL_BYTES],
                           struct fail *f)
{
    struct url parsed;
    if (!url_parse(contestant, &parsed, f))
        return fail_prefix(f, "--target");
    bool has_path = strcmp(parsed.target, "/") != 0;
    size_t len = strlen(parsed.text);
    if (!has_path && len && parsed.text[len - 1] == '/')
        parsed.text[len - 1] = 0;
    if (parsed.unix_path[0] && !has_path)
        snprintf(url, URL_BYTES, "unix:%s:%s", parsed.unix_path, l->scenario->path);
    else
        snprintf(url, URL_BYTES, "%.2000s%s", parsed.text, has_path ? "" : l->scenario->path);
    return true;
}

static void second_passed(void *arg, struct load_second *row)
{
    struct lab *l = arg;
    sampler_fill(l->sampler, row);
    live_second(l->live, row);
    result_print_second(row, stderr);
}

static bool should_stop(void *arg)
{
    struct lab *l = arg;
    l->is_interrupted |= l->config->stop(NULL);
    return l->is_interrupted;
}

static bool load_contestant(struct lab *l, const char *contestant, const char *url, struct fail *f)
{
    struct load_watch watch = {.second = second_passed, .stop = should_stop, .arg = l};
    struct load_config config = l->scenario->load;
    config.is_scaled = true;
    if (l->config->is_verified)
        config.samples = VERIFY_SAMPLES;
    struct load_plan *plan = load_plan_new(&config, url, f);
    if (!plan)
        return false;
    if (CPU_COUNT(&l->pinning.client))
        load_plan_pin(plan, &l->pinning.client);
    live_target(l->live, contestant, plan);
    l->sampler = sampler_new(l->target);
    bool is_run = load_run(plan, &watch, &l->loads[l->result_count], f);
    load_plan_free(plan);
    sampler_free(l->sampler);
    return is_run;
}

static void keep_result(struct lab *l, const char *contestant)
{
    const struct load_result *load = &l->loads[l->result_count];
    snprintf(l->names[l->result_count], URL_BYTES, "%s", contestant);
    l->results[l->result_count] = (struct result_target){
        .name = l->names[l->result_count],
        .load = load,
    };
    l->result_count++;
}

static bool race(struct lab *l, const char *contestant, struct fail *f)
{
    char url[URL_BYTES];
    bool is_ours = !strcmp(contestant, "iubench");
    bool is_ready = is_ours ? start_own_target(l, url, f) : contestant_url(l, contestant, url, f);
    bool is_verified = l->config->is_verified && is_ours;
    bool is_run = is_ready && (!is_verified || verify_begin(&l->verify, l->target, f)) &&
                  load_contestant(l, contestant, url, f);
    if (is_run)
        keep_result(l, contestant);
    if (is_run && is_verified)
        is_run = verify_end(&l->verify, &l->loads[l->result_count - 1], &l->is_mismatch, f);
    if (is_verified)
        verify_close(&l->verify);
    if (l->target)
        target_stop(l->target);
    l->target = NULL;
    return is_run;
}

/* --- the result --- */

static bool make_folders(const char *path, struct fail *f)
{
    char part[FOLDER_BYTES], shown[FOLDER_BYTES];
    for (const char *at = path; *at; at++) {
        bool is_end = !at[1];
        if (*at != '/' && !is_end)
            continue;
        snprintf(part, sizeof part, "%.*s", (int)(at - path + 1), path);
        if (mkdir(part, 0777) && errno != EEXIST)
            return fail_set(f, EXIT_FAILED, "the folder %s for results cannot be made: %s",
                            log_escape(span_of(part), shown, sizeof shown), strerror(errno));
    }
    return true;
}

static void choose_folder(const struct lab *l, char folder[], size_t room)
{
    if (l->config->out) {
        snprintf(folder, room, "%s", l->config->out);
        return;
    }
    char stamp[32];
    time_t now = time(NULL);
    struct tm tm;
    localtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &tm);
    snprintf(folder, room, "results/%s-%s", l->scenario->name, stamp);
    for (int n = 2; !access(folder, F_OK) && n < 1000; n++)
        snprintf(folder, room, "results/%s-%s-%d", l->scenario->name, stamp, n);
}

static int worst_exit_code(const struct lab *l)
{
    int worst = EXIT_DONE;
    for (unsigned i = 0; i < l->result_count; i++) {
        int code = load_exit_code(l->results[i].load);
        if (code > worst)
            worst = code;
    }
    return worst;
}

static bool leave_result(struct lab *l, int *exit_code, struct fail *f)
{
    char folder[FOLDER_BYTES - 32], path[FOLDER_BYTES];
    const struct result result = describe(l);
    choose_folder(l, folder, sizeof folder);
    snprintf(path, sizeof path, "%s/result.json", folder);
    result_print(&result, stdout, isatty(STDOUT_FILENO) && !getenv("NO_COLOR"));
    if (l->scenario->published[0])
        printf("\nPublished: %s\n", l->scenario->published);
    if (l->verify.text[0])
        printf("\n%s\n", l->verify.text);
    *exit_code = l->is_mismatch ? EXIT_FAILED : worst_exit_code(l);
    if (!make_folders(folder, f) || !result_write(&result, path, f))
        return false;
    printf("\nResult: %s\n", path);
    fflush(stdout);
    live_end(l->live, &result);
    l->live = NULL;
    return true;
}

static void lab_close(struct lab *l)
{
    live_end(l->live, NULL);
    if (l->upstream)
        upstream_stop(l->upstream);
    if (l->has_services)
        services_stop(&l->services);
    for (unsigned i = 0; i < l->result_count; i++)
        load_result_free(&l->loads[i]);
    free(l->results);
    free(l->loads);
    free(l->names);
    free(l);
}
