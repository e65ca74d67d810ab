/* Reading back what was acknowledged, by ways that have nothing in common with the ones that wrote
 * it. Blocks; not on a loop. */
#ifndef STORAGE_AUDIT_H
#define STORAGE_AUDIT_H

#include "storage/storage.h"

struct audit;

/* NULL with `f` filled: EXIT_USAGE where the store is not PostgreSQL, EXIT_FAILED where it cannot be
 * reached. The storage must stay open until audit_close(). */
struct audit *audit_open(const struct storage *s, struct fail *f) MUST_USE;
void audit_close(struct audit *a); /* NULL is ignored */

/* Empties the table and memcached, for a run that begins anew. Only for services of one's own. */
bool audit_clear(struct audit *a, struct fail *f) MUST_USE;

/* Rows in the table. */
bool audit_rows(struct audit *a, uint64_t *rows, struct fail *f) MUST_USE;

/* Whether the row is there and, where the cache is memcached, its value is `value`. */
bool audit_has(struct audit *a, int64_t id, const char uuid[UUID_TEXT_BYTES], struct span value,
               bool *is_there, struct fail *f) MUST_USE;

#endif
