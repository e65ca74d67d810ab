/* The PostgreSQL store of one loop: inserts wait in one queue and leave over a few connections,
 * each in a transaction of its own. */
#ifndef STORAGE_STORE_POSTGRES_H
#define STORAGE_STORE_POSTGRES_H

#include "storage/store.h"
#include "storage/store_postgres_setup.h"

/* The share of thread number `thread` in `server`'s pool, connected and ready (blocking). `server`
 * must stay. *store is set in any case and has to be closed and freed; false with `f` filled. */
bool store_postgres_attach(const struct store_postgres_server *server, struct loop *loop,
                           unsigned thread, unsigned threads, struct store **store,
                           struct fail *f) MUST_USE;

#endif
