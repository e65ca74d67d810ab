/* The embedded store: one SQLite database and one writing thread for all loops of the process. What
 * waits is committed as one transaction (WAL, synchronous=NORMAL: a crash of the process loses
 * nothing, one of the machine may lose the last commits). */
#ifndef STORAGE_STORE_SQLITE_H
#define STORAGE_STORE_SQLITE_H

#include "storage/store.h"

struct store_sqlite_file;

/* Opens or makes the database at `path` (NULL: in a temporary folder that goes with it), makes the
 * table of `schema` (enum storage_schema) if it is missing, starts the thread. NULL with `f`
 * filled.
 */
struct store_sqlite_file *store_sqlite_open(const char *path, int schema, uint64_t timeout_ns,
                                            struct fail *f) MUST_USE;
/* After every store of it was closed. */
void store_sqlite_free(struct store_sqlite_file *file);
const char *store_sqlite_path(const struct store_sqlite_file *file);

/* The store of one loop. Never NULL. */
struct store *store_sqlite_attach(struct store_sqlite_file *file, struct loop *loop);

#endif
