/* Decides by what was asked for, else by what the environment names, else takes what is built in.
 */
#include "storage/storage.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "storage/cache_memcached.h"
#include "storage/cache_memory.h"
#include "storage/store_postgres.h"
#include "storage/store_sqlite.h"

static const char *const schemas[] = {"round1", "round2", NULL};

const struct option_row storage_options[] = {
    {.name = "pg",
     .kind = OPTION_TEXT,
     .at = offsetof(struct storage_config, pg),
     .metavar = "URI",
     .help = "PostgreSQL to store in (default: PGHOST, PGDATABASE ... or DATABASE_URL)"},
    {.name = "pg-pool",
     .kind = OPTION_COUNT,
     .at = offsetof(struct storage_config, pg_pool),
     .metavar = "N",
     .max = 10000,
     .help = "connections to PostgreSQL in total, at least one a thread (default 0: few, or 64 "
             "where commits wait for the disk)"},
    {.name = "pg-batch",
     .kind = OPTION_COUNT,
     .at = offsetof(struct storage_config, pg_batch),
     .metavar = "N",
     .max = STORE_POSTGRES_BATCH_MOST,
     .help = "let up to N inserts of a turn share a commit, and say so wherever the store is named "
             "(default 0: a commit for each)"},
    {.name = "memcached",
     .kind = OPTION_TEXT,
     .at = offsetof(struct storage_config, memcached),
     .metavar = "HOST:PORT[,...]",
     .help = "memcached servers, or a Unix socket's path (default: MEMCACHED_SERVERS)"},
    {.name = "store",
     .kind = OPTION_TEXT,
     .at = offsetof(struct storage_config, store),
     .metavar = "STORE",
     .help = "sqlite:PATH, postgres or none (default: PostgreSQL if named, else SQLite in a "
             "temporary file)"},
    {.name = "cache",
     .kind = OPTION_TEXT,
     .at = offsetof(struct storage_config, cache),
     .metavar = "CACHE",
     .help = "memcached, memory or none (default: memcached if named, else memory)"},
    {.name = "schema",
     .kind = OPTION_CHOICE,
     .at = offsetof(struct storage_config, schema),
     .metavar = "round1|round2",
     .choices = schemas,
     .help = "layout of the table, as in the first or second published round (default round1)"},
    {.name = "storage-timeout",
     .kind = OPTION_DURATION,
     .at = offsetof(struct storage_config, timeout_ns),
     .metavar = "DURATION",
     .help = "deadline of one insert or set, and of a connection, which has 2s at least (default "
             "5s)"},
    {.name = NULL},
};

struct storage {
    struct storage_config config;
    unsigned threads;
    struct store_postgres_server postgres;
    struct store_sqlite_file *sqlite;
    struct cache_memcached_servers memcached;
    struct cache_memory *memory;
    bool has_postgres, has_memcached;
    struct store **stores; /* by thread; each slot is its thread's own until storage_free() */
    struct cache **caches;
    char store_text[640], cache_text[320];
};

static bool open_store(struct storage *s, struct fail *f);
static bool open_cache(struct storage *s, struct fail *f);

struct storage *storage_open(const struct storage_config *config, unsigned threads, struct fail *f)
{
    if (config->timeout_ns < NS_PER_MS) {
        fail_set(f, EXIT_USAGE, "--storage-timeout must be at least 1ms");
        return NULL;
    }
    struct storage *s = mem_need(1, sizeof *s);
    s->config = *config;
    s->threads = threads;
    s->stores = mem_need(threads, sizeof *s->stores);
    s->caches = mem_need(threads, sizeof *s->caches);
    if (open_store(s, f) && open_cache(s, f))
        return s;
    storage_free(s);
    return NULL;
}

void storage_free(struct storage *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->threads; i++) {
        if (s->stores[i])
            s->stores[i]->ops->free(s->stores[i]);
        if (s->caches[i])
            s->caches[i]->ops->free(s->caches[i]);
    }
    free(s->stores);
    free(s->caches);
    if (s->has_postgres)
        store_postgres_setup_close(&s->postgres);
    store_sqlite_free(s->sqlite);
    if (s->has_memcached)
        cache_memcached_servers_close(&s->memcached);
    cache_memory_free(s->memory);
    free(s);
}

/* --- the store --- */

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* The variables that say where; PGUSER, PGPASSWORD and others only say how. */
static bool has_pg_environment(void)
{
    static const char *const names[] = {"PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE",
                                        "PGSERVICE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (environment(names[i]))
            return true;
    return false;
}

static bool open_postgres(struct storage *s, struct fail *f)
{
    const char *conninfo = s->config.pg, *source = "--pg";
    if (!conninfo && !has_pg_environment()) {
        conninfo = environment("DATABASE_URL");
        source = "DATABASE_URL";
    }
    s->postgres.schema = s->config.schema;
    s->postgres.timeout_ns = s->config.timeout_ns;
    s->postgres.batch = storage_batch(s);
    if (!store_postgres_setup_open(&s->postgres, conninfo, source, s->config.pg_pool, s->threads,
                                   f))
        return false;
    s->has_postgres = true;
    snprintf(s->store_text, sizeof s->store_text, "%s", s->postgres.text);
    return true;
}

static bool is_without_batch(const struct storage *s, const char *store, struct fail *f)
{
    return storage_batch(s) == 1 ||
           fail_set(f, EXIT_USAGE,
                    "--pg-batch is for PostgreSQL, and the store is %s: leave it out, or name a "
                    "server by --pg",
                    store);
}

static bool open_sqlite(struct storage *s, const char *path, struct fail *f)
{
    char safe[512];
    if (!is_without_batch(s, "SQLite, which always groups", f))
        return false;
    s->sqlite = store_sqlite_open(path, s->config.schema, s->config.timeout_ns, f);
    if (!s->sqlite)
        return false;
    snprintf(s->store_text, sizeof s->store_text, "sqlite %s (embedded)",
             log_escape(span_of(store_sqlite_path(s->sqlite)), safe, sizeof safe));
    return true;
}

static bool open_store(struct storage *s, struct fail *f)
{
    const char *store = s->config.store;
    char safe[128];
    if (!store)
        return s->config.pg || has_pg_environment() || environment("DATABASE_URL")
                   ? open_postgres(s, f)
                   : open_sqlite(s, NULL, f);
    if (strcmp(store, "none") == 0) {
        snprintf(s->store_text, sizeof s->store_text, "none");
        return is_without_batch(s, "none", f);
    }
    if (strcmp(store, "postgres") == 0)
        return open_postgres(s, f);
    bool is_sqlite = strcmp(store, "sqlite") == 0 || strncmp(store, "sqlite:", 7) == 0;
    if (is_sqlite && s->config.pg)
        return fail_set(f, EXIT_USAGE, "--pg and --store sqlite contradict each other: give one");
    if (is_sqlite)
        return open_sqlite(s, store[6] && store[7] ? store + 7 : NULL, f);
    return fail_set(f, EXIT_USAGE,
                    "--store %s: expected sqlite:PATH, sqlite (in a temporary file), postgres or "
                    "none",
                    log_escape(span_of(store), safe, sizeof safe));
}

/* --- the cache --- */

static bool open_memcached(struct storage *s, struct fail *f)
{
    const char *servers = s->config.memcached, *source = "--memcached";
    if (!servers) {
        servers = environment("MEMCACHED_SERVERS");
        source = "MEMCACHED_SERVERS";
    }
    s->memcached.timeout_ns = s->config.timeout_ns;
    if (!cache_memcached_servers_open(&s->memcached, servers ? servers : "127.0.0.1:11211", source,
                                      f))
        return false;
    s->has_memcached = true;
    snprintf(s->cache_text, sizeof s->cache_text, "%s", s->memcached.text);
    return true;
}

static bool open_memory(struct storage *s)
{
    s->memory = cache_memory_new();
    snprintf(s->cache_text, sizeof s->cache_text, "memory, %llu MiB (embedded)",
             CACHE_MEMORY_BYTES >> 20);
    return true;
}

static bool open_cache(struct storage *s, struct fail *f)
{
    const char *cache = s->config.cache;
    char safe[128];
    if (!cache)
        return s->config.memcached || environment("MEMCACHED_SERVERS") ? open_memcached(s, f)
                                                                       : open_memory(s);
    if (strcmp(cache, "none") == 0) {
        snprintf(s->cache_text, sizeof s->cache_text, "none");
        return true;
    }
    if (strcmp(cache, "memcached") == 0)
        return open_memcached(s, f);
    if (strcmp(cache, "memory") == 0 && s->config.memcached)
        return fail_set(f, EXIT_USAGE,
                        "--memcached and --cache memory contradict each other: give one");
    if (strcmp(cache, "memory") == 0)
        return open_memory(s);
    return fail_set(f, EXIT_USAGE, "--cache %s: expected memcached, memory or none",
                    log_escape(span_of(cache), safe, sizeof safe));
}

/* --- for each loop --- */

bool storage_attach(struct storage *s, struct loop *loop, unsigned thread, struct store **store,
                    struct cache **cache, struct fail *f)
{
    CHECK(thread < s->threads && !s->stores[thread] && !s->caches[thread]);
    struct store **own_store = &s->stores[thread];
    struct cache **own_cache = &s->caches[thread];
    bool is_good = true;
    if (s->has_postgres)
        is_good = store_postgres_attach(&s->postgres, loop, thread, s->threads, own_store, f);
    else if (s->sqlite)
        *own_store = store_sqlite_attach(s->sqlite, loop);

    if (is_good && s->has_memcached)
        is_good = cache_memcached_attach(&s->memcached, loop, own_cache, f);
    else if (s->memory)
        *own_cache = cache_memory_attach(s->memory, loop);

    if (!is_good) {
        store_close(*own_store);
        cache_close(*own_cache);
    }
    *store = is_good ? *own_store : NULL;
    *cache = is_good ? *own_cache : NULL;
    return is_good;
}

const char *storage_store_text(const struct storage *s)
{
    return s->store_text;
}

const char *storage_cache_text(const struct storage *s)
{
    return s->cache_text;
}

bool storage_is_embedded(const struct storage *s)
{
    return s->sqlite || s->memory;
}

uint32_t storage_batch(const struct storage *s)
{
    return s->config.pg_batch ? s->config.pg_batch : 1;
}

const struct store_postgres_server *storage_postgres(const struct storage *s)
{
    return s->has_postgres ? &s->postgres : NULL;
}

const struct cache_memcached_servers *storage_memcached(const struct storage *s)
{
    return s->has_memcached ? &s->memcached : NULL;
}

unsigned storage_addresses(const struct storage *s, enum storage_system system,
                           struct address *addresses, unsigned most)
{
    unsigned count = 0;
    if (system == STORAGE_POSTGRES && s->has_postgres && s->postgres.address.len && most)
        addresses[count++] = s->postgres.address;
    for (unsigned i = 0; system == STORAGE_MEMCACHED && s->has_memcached; i++) {
        if (i == s->memcached.count || count == most)
            break;
        addresses[count++] = s->memcached.list[i].address;
    }
    return count;
}
