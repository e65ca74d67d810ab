/* Reads rows back, after a run, to compare them with what was acknowledged. Blocks. */
#ifndef STORAGE_STORE_POSTGRES_READER_H
#define STORAGE_STORE_POSTGRES_READER_H

#include "base/uuid.h"
#include "storage/store_postgres_setup.h"

/* A connection for reading; NULL with `f` filled. */
struct pg_conn *store_postgres_reader_open(const struct store_postgres_server *s,
                                           struct fail *f) MUST_USE;
void store_postgres_reader_close(struct pg_conn *conn);

/* Empties the table; ids begin at 1 again. */
bool store_postgres_reader_clear(struct pg_conn *conn, struct fail *f) MUST_USE;

/* See audit_connections(). */
bool store_postgres_reader_connections(struct pg_conn *conn, uint64_t deadline_ns, unsigned *open,
                                       unsigned *busy, struct fail *f) MUST_USE;

/* How many rows the table has. */
bool store_postgres_reader_count(struct pg_conn *conn, uint64_t *rows, struct fail *f) MUST_USE;

/* Whether there is a row of this id with this UUID. */
bool store_postgres_reader_has(struct pg_conn *conn, int64_t id, const char uuid[UUID_TEXT_BYTES],
                               bool *is_there, struct fail *f) MUST_USE;

/* The row with this UUID; of several the latest. */
struct audit_row;
bool store_postgres_reader_find(struct pg_conn *conn, const char *uuid, struct audit_row *row,
                                bool *is_there, struct fail *f) MUST_USE;

#endif
