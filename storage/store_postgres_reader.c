/* By libpq alone and without anything that the store does, so that an error there is not repeated
 * here. */
#include "storage/store_postgres_reader.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "storage/audit.h"

struct pg_conn *store_postgres_reader_open(const struct store_postgres_server *s, struct fail *f)
{
    struct pg_conn *conn = store_postgres_setup_connect(s, f);
    if (conn) /* a target that left a transaction open would be waited for without end */
        PQclear(PQexec(conn, "SET lock_timeout = '5s'; SET timezone = 'UTC'; "
                             "SET application_name = 'iubench audit'"));
    return conn;
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

/* The answer to what was sent; NULL past the deadline. */
static PGresult *await_result(struct pg_conn *conn, uint64_t deadline_ns)
{
    struct pollfd wait = {.fd = PQsocket(conn), .events = POLLIN};
    while (PQisBusy(conn)) {
        uint64_t now_ns = clock_ns();
        if (now_ns >= deadline_ns ||
            poll(&wait, 1, (int)((deadline_ns - now_ns) / NS_PER_MS) + 1) < 1)
            return NULL;
        if (!PQconsumeInput(conn))
            return NULL;
    }
    return PQgetResult(conn);
}

bool store_postgres_reader_connections(struct pg_conn *conn, uint64_t deadline_ns, unsigned *open,
                                       unsigned *busy, struct fail *f)
{
    uint64_t counts[2] = {0};
    bool is_sent = PQsendQuery(
        conn, "SELECT count(*), count(*) FILTER (WHERE coalesce(wait_event, '') <> 'ClientRead') "
              "FROM pg_stat_activity WHERE backend_type = 'client backend' "
              "AND datname = current_database() "
              "AND application_name <> 'iubench audit'");
    PGresult *rows = is_sent ? await_result(conn, deadline_ns) : NULL;
    bool is_read = PQresultStatus(rows) == PGRES_TUPLES_OK && PQntuples(rows) == 1;
    for (int i = 0; is_read && i < 2; i++)
        is_read = num_get(span_of(PQgetvalue(rows, 0, i)), INT_MAX, &counts[i]);
    while (rows) { /* up to the NULL behind it, after which the next may be sent */
        PQclear(rows);
        rows = PQgetResult(conn);
    }
    *open = (unsigned)counts[0];
    *busy = (unsigned)counts[1];
    return is_read || fail_set(f, EXIT_FAILED, "PostgreSQL did not tell its connections");
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

static void copy_column(PGresult *rows, int column, char *to, size_t room)
{
    snprintf(to, room, "%s", PQgetvalue(rows, 0, column));
}

bool store_postgres_reader_find(struct pg_conn *conn, const char *uuid, struct audit_row *row,
                                bool *is_there, struct fail *f)
{
    uint64_t id = 0;
    PGresult *rows = PQexecParams(conn,
                                  "SELECT id, uuid, mac, firmware, created_at FROM device "
                                  "WHERE uuid::text = $1 ORDER BY id DESC LIMIT 1",
                                  1, NULL, &uuid, NULL, NULL, 0);
    bool is_read = PQresultStatus(rows) == PGRES_TUPLES_OK;
    *row = (struct audit_row){0};
    *is_there = is_read && PQntuples(rows) == 1 &&
                num_get(span_of(PQgetvalue(rows, 0, 0)), INT64_MAX, &id);
    if (*is_there) {
        row->id = (int64_t)id;
        copy_column(rows, 1, row->uuid, sizeof row->uuid);
        copy_column(rows, 2, row->mac, sizeof row->mac);
        copy_column(rows, 3, row->firmware, sizeof row->firmware);
        copy_column(rows, 4, row->created_at, sizeof row->created_at);
    }
    PQclear(rows);
    const char *message = PQerrorMessage(conn);
    return is_read || fail_set(f, EXIT_FAILED, "PostgreSQL: the row could not be read back: %.*s",
                               (int)strcspn(message, "\n"), message);
}
