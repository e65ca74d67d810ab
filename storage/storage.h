/* Which store and which cache: chosen from options and environment, opened once per process, then
 * once per loop. */
#ifndef STORAGE_STORAGE_H
#define STORAGE_STORAGE_H

#include "base/clock.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "net/sock.h"
#include "storage/cache.h"
#include "storage/store.h"

enum storage_schema { SCHEMA_ROUND1, SCHEMA_ROUND2 };

struct storage_config {
    const char *
        pg; /* URI or key=value text; NULL: environment (PGHOST, PGDATABASE, ... or DATABASE_URL) */
    uint32_t pg_pool;  /* connections in total over threads; 0: the number that measured fastest */
    uint32_t pg_batch; /* inserts that may share a transaction; 0 or 1: each has its own */
    const char
        *memcached;    /* "HOST:PORT[,HOST:PORT...]", "/path/to.sock"; NULL: MEMCACHED_SERVERS */
    const char *store; /* "sqlite:PATH", "postgres", "none"; NULL: PostgreSQL if configured, else
                          SQLite in a temporary file */
    const char
        *cache; /* "memcached", "memory", "none"; NULL: memcached if configured, else memory */
    int schema; /* enum storage_schema */
    uint64_t timeout_ns; /* deadline of one insert or set */
};
#define STORAGE_CONFIG_DEFAULT ((struct storage_config){.timeout_ns = 5 * NS_PER_S})

/* The deadline of a connection, which takes several turns on the way and, at the server, a process:
 * that of an insert, but no less than this. */
#define STORAGE_CONNECT_NS (2 * NS_PER_S)
static inline uint64_t storage_connect_ns(uint64_t timeout_ns)
{
    return timeout_ns > STORAGE_CONNECT_NS ? timeout_ns : STORAGE_CONNECT_NS;
}

/* The options --pg --pg-pool --pg-batch --memcached --store --cache --schema --storage-timeout, for a
 * configuration struct that has a struct storage_config at offset 0. */
extern const struct option_row storage_options[];

struct storage;

/* Decides, connects once (blocking) and makes the table if it is missing. `threads` loops will use
 * it. On failure one clear sentence, never with a password: unreachable or refused EXIT_FAILED,
 * wrong option EXIT_USAGE. */
struct storage *storage_open(const struct storage_config *config, unsigned threads,
                             struct fail *f) MUST_USE;
/* After every store and cache of it was closed and its loop closed as well. NULL is ignored. */
void storage_free(struct storage *s);

/* One per loop, on its thread. *store or *cache is NULL where it is "none". False with `f` filled.
 */
bool storage_attach(struct storage *s, struct loop *loop, unsigned thread, struct store **store,
                    struct cache **cache, struct fail *f) MUST_USE;

/* For the start-up line and results: "postgres 15.18 at /run/x (pool 4)", "sqlite /tmp/...
 * (embedded)", "none". No passwords. */
const char *storage_store_text(const struct storage *s);
const char *storage_cache_text(const struct storage *s);
bool storage_is_embedded(const struct storage *s);
/* As many inserts may share a transaction; 1: each has its own. */
uint32_t storage_batch(const struct storage *s);

/* Where the servers are: how many of `most` addresses. */
enum storage_system { STORAGE_POSTGRES, STORAGE_MEMCACHED };
unsigned storage_addresses(const struct storage *s, enum storage_system system,
                           struct address *addresses, unsigned most);

/* What was opened, for reading back (storage/audit.h); NULL where it is another. */
const struct store_postgres_server *storage_postgres(const struct storage *s);
const struct cache_memcached_servers *storage_memcached(const struct storage *s);

#endif
