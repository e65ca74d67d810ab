#include "lab/venue.h"

/* Opened from the outside in: whoever is forked comes first, while there is one thread. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/log.h"
#include "storage/storage.h"
#include "upstream/upstream.h"

enum {
    MARGIN_CONNECTIONS = 100,     /* beside --pg-pool, which 0 leaves to the store */
    PUBLISHED_CONNECTIONS = 1050, /* contestants bring pools of their own, of up to 500 each */
};

static const char *const service_names[] = {"auto", "managed", "external", "embedded"};

/* What these entrants, together, make necessary. */
struct needs {
    bool postgres, memcached, upstream;
    bool own, files;
    bool is_several;
};

static struct needs needs_of(const struct venue *s, const struct entrant *entrants, unsigned count)
{
    const struct scenario *scenario = s->scenario;
    struct needs n = {.is_several = count > 1 || s->config->repeat > 1};
    for (unsigned i = 0; i < count; i++) {
        n.own |= entrants[i].kind == ENTRANT_OWN;
        n.files |= entrants[i].kind == ENTRANT_FILE;
        n.postgres |= entrant_asks_for(&entrants[i], "pg_uri");
        n.memcached |= entrant_asks_for(&entrants[i], "memcached");
        n.upstream |= entrant_asks_for(&entrants[i], "upstream");
    }
    int mode = scenario->target.mode;
    n.postgres |= n.own && scenario->wants_postgres;
    n.memcached |= n.own && scenario->wants_memcached;
    n.upstream |= n.own && (mode == MODE_PROXY || mode == MODE_ALL);
    return n;
}

/* --- cores --- */

static bool choose_cores(struct venue *s, struct fail *f)
{
    const char *option = s->config->pin, *key = *s->scenario->pin ? s->scenario->pin : "auto";
    if (!pinning_choose(option ? option : key, &s->pinning, f))
        return fail_prefix(f, option ? "--pin" : "pin");
    const cpu_set_t *sets[] = {&s->pinning.target, &s->pinning.client, &s->pinning.upstream};
    for (int i = 0; i < 3; i++)
        if (CPU_COUNT(sets[i]))
            cpus_text(sets[i], s->cores[i]);
    return true;
}

static unsigned core_count(const cpu_set_t *set)
{
    return (unsigned)CPU_COUNT(CPU_COUNT(set) ? set : cpus_given());
}

/* Of a service that is started here; one of somebody else's has what it has. */
static bool make_share(const struct venue *s, const struct shape_share *share, const char *name,
                       struct limits *l, struct fail *f)
{
    *l = (struct limits){
        .name = name, .cpus = share->quota_cpus, .memory_bytes = share->limit_bytes};
    bool is_limited = share->quota_cpus > 0 || share->limit_bytes != UINT64_MAX;
    return s->services_mode != SERVICES_MANAGED || !is_limited ||
           limits_make_beside(&s->limits, l, f);
}

/* The target's limits; whoever is forked comes after this. */
static bool make_shape(struct venue *s, struct fail *f)
{
    const struct run_config *c = s->config;
    const char *key = *s->scenario->shape ? s->scenario->shape : NULL;
    const struct shape_machine machine = {.cores = core_count(&s->pinning.target),
                                          .service_cores = core_count(&s->pinning.services),
                                          .memory_bytes = cgroup_memory_bytes()};
    if (!shape_choose(c->shape ? c->shape : key, !c->has_no_quota, &machine, &s->shape, f))
        return fail_prefix(f, c->shape ? "--shape" : "shape");
    if (!s->shape.is_set)
        return true;
    s->limits = (struct limits){.cpus = s->shape.quota_cpus, .memory_bytes = s->shape.limit_bytes};
    log_line("shape: %s", s->shape.text);
    return limits_make("", &s->limits, f) &&
           make_share(s, &s->shape.postgres, "postgres", &s->pg_limits, f) &&
           make_share(s, &s->shape.memcached, "memcached", &s->memcached_limits, f);
}

/* --- services --- */

/* Storage that is named is not passed over. */
static bool choose_by_names(struct venue *s, struct fail *f)
{
    const struct storage_config *named = &s->scenario->target.storage;
    const char *option = named->pg ? "pg" : named->memcached ? "memcached" : NULL;
    s->services_mode = (enum run_services)s->config->services;
    if (!option)
        return true;
    if (s->services_mode == SERVICES_MANAGED || s->services_mode == SERVICES_EMBEDDED)
        return fail_set(f, EXIT_USAGE,
                        "--%s names a service of yours: it goes with --services external", option);
    s->services_mode = SERVICES_EXTERNAL;
    return true;
}

static bool choose_services(struct venue *s, const struct needs *n, struct fail *f)
{
    struct fail missing;
    if (!choose_by_names(s, f))
        return false;
    if (!n->postgres && !n->memcached) {
        s->services_mode = SERVICES_EXTERNAL;
        return true;
    }
    if (s->services_mode == SERVICES_MANAGED)
        return services_available(n->postgres, n->memcached, f);
    if (s->services_mode != SERVICES_AUTO)
        return true;
    if (services_available(n->postgres, n->memcached, &missing)) {
        s->services_mode = SERVICES_MANAGED;
        return true;
    }
    if (n->files) {
        *f = missing;
        return false;
    }
    log_line("embedded stores are used: %s", missing.text);
    s->services_mode = SERVICES_EMBEDDED;
    return true;
}

static bool can_have_fault(const struct venue *s, const struct needs *n, struct fail *f)
{
    bool is_ours = s->services_mode == SERVICES_MANAGED;
    return fault_fits(&s->scenario->fault, is_ours && n->postgres, is_ours && n->memcached, f);
}

static bool start_services(struct venue *s, const struct needs *n, struct fail *f)
{
    if (s->services_mode != SERVICES_MANAGED)
        return true;
    unsigned connections = s->scenario->target.storage.pg_pool + MARGIN_CONNECTIONS;
    if (n->files && connections < PUBLISHED_CONNECTIONS)
        connections = PUBLISHED_CONNECTIONS;
    struct services_config config = {
        .wants_postgres = n->postgres,
        .wants_memcached = n->memcached,
        .has_tcp = n->files,
        .is_sync_commit_on = s->config->is_sync_commit_on,
        .max_connections = connections,
        .pg_limits = &s->pg_limits,
        .memcached_limits = &s->memcached_limits,
        .cpus = CPU_COUNT(&s->pinning.services) ? &s->pinning.services : NULL,
    };
    log_line("starting%s%s%s", n->postgres ? " PostgreSQL" : "",
             n->postgres && n->memcached ? " and" : "", n->memcached ? " memcached" : "");
    s->has_services = services_start(&s->services, &config, f);
    if (s->has_services)
        log_line("services: PostgreSQL %s (synchronous_commit=%s), memcached %s in %s",
                 s->services.pg_version, config.is_sync_commit_on ? "on" : "off",
                 s->services.memcached_version, s->services.folder);
    return s->has_services;
}

/* A contestant finds its table made, as the published ones did; and what is to be emptied between
 * races has to be ours. */
static bool make_tables(struct venue *s, const struct needs *n, struct fail *f)
{
    bool is_needed = s->has_services && n->postgres &&
                     (n->files || n->is_several || venue_parts_with_own(s));
    if (!is_needed)
        return true;
    struct storage_config config = s->scenario->target.storage;
    config.pg = s->services.pg_uri;
    config.store = "postgres";
    config.memcached = n->memcached ? s->services.memcached : NULL;
    config.cache = n->memcached ? "memcached" : "none";
    s->tables = storage_open(&config, 1, f);
    return s->tables || fail_prefix(f, "tables");
}

/* By connections of its own each time: a service may have been started again. */
bool venue_clear(struct venue *s, struct fail *f)
{
    if (!s->tables)
        return true;
    struct audit *audit = audit_open(s->tables, f);
    bool is_clear = audit && audit_clear(audit, f);
    audit_close(audit);
    return is_clear;
}

const char *venue_services_text(const struct venue *s)
{
    bool has_storage = s->has_services || s->scenario->wants_postgres ||
                       s->scenario->wants_memcached;
    return has_storage ? service_names[s->services_mode] : "none";
}

/* --- the upstream --- */

static bool start_upstream(struct venue *s, const struct needs *n, struct fail *f)
{
    if (!n->upstream || s->scenario->target.upstream)
        return true;
    struct upstream_config config = s->scenario->upstream;
    config.listen = "127.0.0.1:0";
    if (s->cores[2][0])
        config.cores = s->cores[2];
    s->upstream = upstream_start(&config, f);
    if (!s->upstream)
        return fail_prefix(f, "upstream");
    snprintf(s->upstream_url, sizeof s->upstream_url, "http://%s/external",
             upstream_address(s->upstream));
    return true;
}

/* --- the whole --- */

bool venue_open(struct venue *s, const struct scenario *scenario, const struct run_config *config,
                const struct entrant *entrants, unsigned count, struct fail *f)
{
    *s = (struct venue){.scenario = scenario, .config = config, .is_comparison = count > 1};
    struct needs n = needs_of(s, entrants, count);
    folder_choose(config->out, scenario->name, s->folder);
    s->is_folder_new = access(s->folder, F_OK) != 0;
    if (!folder_make(s->folder, f) || !choose_cores(s, f) || !choose_services(s, &n, f) ||
        !can_have_fault(s, &n, f) || !make_shape(s, f))
        return false;
    if (n.files || venue_parts_with_own(s)) {
        s->contestants = contestants_open(f);
        if (!s->contestants)
            return false;
    }
    return start_services(s, &n, f) && make_tables(s, &n, f) && start_upstream(s, &n, f);
}

static const char *text_or_null(const char *text)
{
    return text && *text ? text : NULL;
}

struct target_places venue_places(const struct venue *s)
{
    const struct storage_config *storage = &s->scenario->target.storage;
    unsigned cores = s->shape.cores;
    unsigned workers = s->config->workers ? s->config->workers : s->scenario->workers;
    const char *upstream = s->scenario->target.upstream;
    return (struct target_places){
        .pg_uri = s->has_services ? text_or_null(s->services.pg_uri)
                  : storage->pg   ? storage->pg
                                  : text_or_null(getenv("DATABASE_URL")),
        .memcached = s->has_services      ? text_or_null(s->services.memcached)
                     : storage->memcached ? storage->memcached
                                          : text_or_null(getenv("MEMCACHED_SERVERS")),
        .upstream = upstream ? upstream : text_or_null(s->upstream_url),
        .cores = cores,
        .workers = workers ? workers : cores,
    };
}

bool venue_parts_with_own(const struct venue *s)
{
    /* what it stores with others it reads back itself */
    bool must_read_back = s->config->is_verified && s->services_mode == SERVICES_EXTERNAL;
    return s->shape.is_set || fault_hits_target(&s->scenario->fault) ||
           (s->is_comparison && !must_read_back);
}

struct target_config venue_own_target(const struct venue *s)
{
    struct target_config config = s->scenario->target;
    config.listen = "127.0.0.1:0";
    if (s->cores[0][0])
        config.cores = s->cores[0];
    if (s->upstream)
        config.upstream = s->upstream_url;
    if (s->services_mode == SERVICES_MANAGED) {
        if (s->services.pg_uri[0])
            config.storage.pg = s->services.pg_uri;
        if (s->services.memcached[0])
            config.storage.memcached = s->services.memcached;
    } else if (s->services_mode == SERVICES_EMBEDDED) {
        config.storage.store = "sqlite";
        config.storage.cache = "memory";
    } else if (s->config->services == SERVICES_EXTERNAL) { /* asked for: nothing stands in for it */
        if (s->scenario->wants_postgres && !config.storage.store)
            config.storage.store = "postgres";
        if (s->scenario->wants_memcached && !config.storage.cache)
            config.storage.cache = "memcached";
    }
    return config;
}

bool venue_should_stop(void *arg)
{
    struct venue *s = arg;
    s->is_interrupted |= s->config->stop(NULL);
    return s->is_interrupted;
}

void venue_close(struct venue *s)
{
    contestants_close(s->contestants);
    if (s->upstream)
        upstream_stop(s->upstream);
    storage_free(s->tables);
    if (s->has_services)
        services_stop(&s->services);
    limits_remove(&s->pg_limits);
    limits_remove(&s->memcached_limits);
    limits_remove(&s->limits);
    if (s->is_folder_new)
        (void)!rmdir(s->folder); /* where nothing was left in it */
}
