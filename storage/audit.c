#include "storage/audit.h"

#include <stdlib.h>

#include "base/mem.h"
#include "storage/cache_memcached_reader.h"
#include "storage/store_postgres_reader.h"

struct audit {
    struct pg_conn *rows; /* NULL: there is no PostgreSQL */
    void *values;         /* NULL: there is no memcached */
    const struct cache_memcached_servers *memcached;
};

struct audit *audit_open(const struct storage *s, struct fail *f)
{
    if (storage_postgres(s))
        return audit_open_any(s, f);
    fail_set(f, EXIT_USAGE,
             "only rows in PostgreSQL can be read back, and the store is %s: use --services "
             "managed or external",
             storage_store_text(s));
    return NULL;
}

struct audit *audit_open_any(const struct storage *s, struct fail *f)
{
    const struct store_postgres_server *postgres = storage_postgres(s);
    struct audit *a = mem_need(1, sizeof *a);
    a->memcached = storage_memcached(s);
    if (postgres)
        a->rows = store_postgres_reader_open(postgres, f);
    if (a->memcached && (a->rows || !postgres))
        a->values = cache_memcached_reader_open(a->memcached, f);
    if ((a->rows || !postgres) && (a->values || !a->memcached))
        return a;
    audit_close(a);
    return NULL;
}

void audit_close(struct audit *a)
{
    if (!a)
        return;
    cache_memcached_reader_close(a->values);
    store_postgres_reader_close(a->rows);
    free(a);
}

bool audit_clear(struct audit *a, struct fail *f)
{
    return store_postgres_reader_clear(a->rows, f) &&
           (!a->values || cache_memcached_reader_clear(a->values, f));
}

bool audit_connections(struct audit *a, uint64_t deadline_ns, unsigned *open, unsigned *busy,
                       struct fail *f)
{
    CHECK(a->rows);
    return store_postgres_reader_connections(a->rows, deadline_ns, open, busy, f);
}

bool audit_rows(struct audit *a, uint64_t *rows, struct fail *f)
{
    return store_postgres_reader_count(a->rows, rows, f);
}

bool audit_has(struct audit *a, int64_t id, const char uuid[UUID_TEXT_BYTES], struct span value,
               bool *is_there, struct fail *f)
{
    if (!store_postgres_reader_has(a->rows, id, uuid, is_there, f))
        return false;
    return !*is_there || !a->values ||
           cache_memcached_reader_has(a->values, uuid, value, is_there, f);
}

bool audit_find_row(struct audit *a, const char *uuid, struct audit_row *row, bool *is_there,
                    struct fail *f)
{
    CHECK(a->rows);
    return store_postgres_reader_find(a->rows, uuid, row, is_there, f);
}

bool audit_find_value(struct audit *a, const char *key, struct audit_value *value, bool *is_there,
                      struct fail *f)
{
    CHECK(a->values);
    return cache_memcached_reader_find(a->values, key, value, is_there, f) &&
           (!*is_there || cache_memcached_reader_ttl(a->memcached, key, value, f));
}
