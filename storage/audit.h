/* Reading back what was acknowledged, by ways that have nothing in common with the ones that wrote
 * it. Blocks; not on a loop. */
#ifndef STORAGE_AUDIT_H
#define STORAGE_AUDIT_H

#include "storage/storage.h"

struct audit;

/* A row as text: what PostgreSQL itself makes of it. */
struct audit_row {
    int64_t id;
    char uuid[64], mac[1024], firmware[1024], created_at[64];
};

/* What lies under a key. */
struct audit_value {
    char data[4096];
    size_t len;
    int64_t ttl_s; /* until it expires; -1: never */
};

/* NULL with `f` filled: EXIT_USAGE where the store is not PostgreSQL, EXIT_FAILED where it cannot be
 * reached. The storage must stay open until audit_close(). */
struct audit *audit_open(const struct storage *s, struct fail *f) MUST_USE;

/* The same, of whichever of PostgreSQL and memcached there is, for audit_find_row() and
 * audit_find_value() alone. */
struct audit *audit_open_any(const struct storage *s, struct fail *f) MUST_USE;
void audit_close(struct audit *a); /* NULL is ignored */

/* Empties the table and memcached, for a run that begins anew. Only for services of one's own. */
bool audit_clear(struct audit *a, struct fail *f) MUST_USE;

/* Connections to the database beside those that read back, and those of them that do something now: in a
 * transaction or not, they do not wait for their client. Waits until `deadline_ns` (clock_ns()) and
 * is EXIT_FAILED past it; the audit is then of no more use. */
bool audit_connections(struct audit *a, uint64_t deadline_ns, unsigned *open, unsigned *busy,
                       struct fail *f) MUST_USE;

/* Rows in the table. */
bool audit_rows(struct audit *a, uint64_t *rows, struct fail *f) MUST_USE;

/* Whether the row is there and, where the cache is memcached, its value is `value`. */
bool audit_has(struct audit *a, int64_t id, const char uuid[UUID_TEXT_BYTES], struct span value,
               bool *is_there, struct fail *f) MUST_USE;

/* The row with this UUID, however it was written; the value under this key. */
bool audit_find_row(struct audit *a, const char *uuid, struct audit_row *row, bool *is_there,
                    struct fail *f) MUST_USE;
bool audit_find_value(struct audit *a, const char *key, struct audit_value *value, bool *is_there,
                      struct fail *f) MUST_USE;

#endif
