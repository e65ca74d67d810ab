/* By libpq alone and without anything that the store does, so that an error there is not repeated
 * here. */
#include "storage/store_postgres_reader.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"

struct pg_conn *store_postgres_reader_open(const struct store_postgres_server *s, struct fail *f)
{
    return store_postgres_setup_connect(s, f);
}

void store_postgres_reader_close(struct pg_conn *conn)
{
    PQfinish(conn);
}

/* One row with one number. */
static bool read_number(struct pg_conn *conn, PGresult *rows, uint64_t *number, struct fail *f)
{
    bool is_read = PQresultStatus(rows) == PGRES_TUPLES_OK && PQntuples(rows) == 1 &&
                   num_get(span_of(PQgetvalue(rows, 0, 0)), INT64_MAX, number);
    if (!is_read) {
        const char *message = PQerrorMessage(conn);
        fail_set(f, EXIT_FAILED, "PostgreSQL: the rows could not be read back: %.*s",
                 (int)strcspn(message, "\n"), message);
    }
    PQclear(rows);
    return is_read;
}

bool store_postgres_reader_clear(struct pg_conn *conn, struct fail *f)
{
    PGresult *done = PQexec(conn, "TRUNCATE device RESTART IDENTITY");
    bool is_clear = PQresultStatus(done) == PGRES_COMMAND_OK;
    const char *message = PQerrorMessage(conn);
    PQclear(done);
    return is_clear || fail_set(f, EXIT_FAILED, "PostgreSQL: the table could not be emptied: %.*s",
                                (int)strcspn(message, "\n"), message);
}

bool store_postgres_reader_count(struct pg_conn *conn, uint64_t *rows, struct fail *f)
{
    return read_number(conn, PQexec(conn, "SELECT count(*) FROM device"), rows, f);
}

bool store_postgres_reader_has(struct pg_conn *conn, int64_t id, const char uuid[UUID_TEXT_BYTES],
                               bool *is_there, struct fail *f)
{
    char id_text[32], uuid_text[UUID_TEXT_BYTES + 1];
    const char *values[] = {id_text, uuid_text};
    uint64_t count;
    snprintf(id_text, sizeof id_text, "%" PRId64, id);
    memcpy(uuid_text, uuid, UUID_TEXT_BYTES);
    uuid_text[UUID_TEXT_BYTES] = 0;
    if (!read_number(conn,
                     PQexecParams(conn,
                                  "SELECT count(*) FROM device WHERE id = $1::bigint "
                                  "AND uuid::text = $2",
                                  2, NULL, values, NULL, NULL, 0),
                     &count, f))
        return false;
    *is_there = count == 1;
    return true;
}
