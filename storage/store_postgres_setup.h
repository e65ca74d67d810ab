/* PostgreSQL before the first request: where the server is, whether it can be used, and the table.
 * All of it blocks. Nothing here ever shows a password: what a person wrote is never quoted, and
 * libpq's own messages are shown only once the text was understood. */
#ifndef STORAGE_STORE_POSTGRES_SETUP_H
#define STORAGE_STORE_POSTGRES_SETUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "net/sock.h"

struct pg_conn; /* libpq's PGconn */

enum {
    STORE_POSTGRES_PARAMS = 64,
    STORE_POSTGRES_BATCH_MOST = 256, /* --pg-batch */
};

struct store_postgres_server {
    /* for PQconnectdbParams() and PQconnectStartParams() */
    const char *keywords[STORE_POSTGRES_PARAMS], *values[STORE_POSTGRES_PARAMS];
    void *parsed; /* what they point into */
    char hostaddr[64], connect_timeout_s[16];
    struct address address; /* that was reached */
    int schema;             /* enum storage_schema */
    uint64_t timeout_ns;
    uint32_t pool;
    uint32_t batch; /* inserts that may share a transaction, at least 1; the caller's to set */
    char text[256]; /* "postgres 15.18 at /run/x (pool 4)" */
};

/* Reads `conninfo` (a URI or key=value text; NULL: libpq's environment), which `source` ("--pg",
 * "DATABASE_URL") gave; connects once; makes the table if it is missing, else checks its columns;
 * settles how many connections `threads` threads get: `pool` in total, 0 for the number that
 * measured fastest. */
bool store_postgres_setup_open(struct store_postgres_server *s, const char *conninfo,
                               const char *source, uint32_t pool, unsigned threads,
                               struct fail *f) MUST_USE;
void store_postgres_setup_close(struct store_postgres_server *s);

/* What a server says beside its replies is printed by nobody; libpq alone would do so. */
void store_postgres_setup_silence(struct pg_conn *conn);

/* One more connection, blocking and silenced. NULL with `f` filled. */
struct pg_conn *store_postgres_setup_connect(const struct store_postgres_server *s,
                                             struct fail *f) MUST_USE;

#endif
