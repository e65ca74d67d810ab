/* All parameters travel in binary: lengths instead of terminators, and no text to parse for times.
 * Before version 17 libpq flushes at each Sync, so there a statement costs a send; from 17 on the
 * statements of a turn leave in one. */
#include "storage/store_postgres_wire.h"

#include <endian.h>
#include <libpq-fe.h>
#include <string.h>

#include "storage/storage.h"

/* From the server's src/include/catalog/pg_type.dat; they never change. */
enum { UUID_OID = 2950, VARCHAR_OID = 1043, TIMESTAMP_OID = 1114, TIMESTAMPTZ_OID = 1184 };

enum { PARAMS = STORE_POSTGRES_PARAMETERS };

bool store_postgres_wire_sync(struct pg_conn *conn)
{
#ifdef LIBPQ_HAS_SEND_PIPELINE_SYNC
    return PQsendPipelineSync(conn);
#else
    return PQpipelineSync(conn);
#endif
}

bool store_postgres_wire_begin(struct pg_conn *conn, int schema)
{
    static const char sql[] = "INSERT INTO device (uuid, mac, firmware, created_at, updated_at) "
                              "VALUES ($1, $2, $3, $4, $4) RETURNING id";
    static const Oid types[2][PARAMS] = {
        [SCHEMA_ROUND1] = {VARCHAR_OID, VARCHAR_OID, VARCHAR_OID, TIMESTAMP_OID},
        [SCHEMA_ROUND2] = {UUID_OID, VARCHAR_OID, VARCHAR_OID, TIMESTAMPTZ_OID},
    };
    return PQsetnonblocking(conn, 1) == 0 && PQenterPipelineMode(conn) &&
           PQsendPrepare(conn, STORE_POSTGRES_STATEMENT, sql, PARAMS, types[schema]) &&
           store_postgres_wire_sync(conn);
}

bool store_postgres_wire_is_plain(struct pg_conn *conn)
{
    return !PQsslInUse(conn) && !PQgssEncInUse(conn);
}

bool store_postgres_wire_insert(struct pg_conn *conn, int schema, const struct store_insert *i)
{
    static const int formats[PARAMS] = {1, 1, 1, 1};
    char uuid[UUID_BYTES];
    const char *values[PARAMS] = {i->uuid, i->mac.data, i->firmware.data};
    int lengths[PARAMS] = {UUID_TEXT_BYTES, (int)i->mac.len, (int)i->firmware.len};
    uint64_t created = htobe64((uint64_t)store_postgres_wire_time(i->created_us));

    if (schema == SCHEMA_ROUND2) {
        uuid_bytes(i->uuid, uuid);
        values[0] = uuid;
        lengths[0] = UUID_BYTES;
    }
    values[3] = (const char *)&created;
    lengths[3] = sizeof created;
    return PQsendQueryPrepared(conn, STORE_POSTGRES_STATEMENT, PARAMS, values, lengths, formats, 1);
}

int store_postgres_wire_flush(struct pg_conn *conn)
{
    return PQflush(conn);
}

bool store_postgres_wire_receive(struct pg_conn *conn)
{
    /* Under TLS one call may leave a part of a record inside the library, where no poll sees it: a
     * record has at most 16 KiB and each call takes at least 8. */
    int calls = store_postgres_wire_is_plain(conn) ? 1 : 3;
    while (calls--)
        if (!PQconsumeInput(conn))
            return false;
    return true;
}

static int64_t row_id(const PGresult *result)
{
    const char *value = PQgetvalue(result, 0, 0);
    uint32_t narrow;
    uint64_t wide;
    if (PQgetlength(result, 0, 0) == sizeof wide) {
        memcpy(&wide, value, sizeof wide);
        return (int64_t)be64toh(wide);
    }
    memcpy(&narrow, value, sizeof narrow);
    return (int32_t)be32toh(narrow);
}

/* An error that libpq made itself has no SQLSTATE: the connection is gone, and what the server did
 * with the statement is not known. */
static struct store_postgres_reply error_reply(const PGresult *result)
{
    struct store_postgres_reply r = {.kind = WIRE_ERROR};
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (!state || strlen(state) >= sizeof r.sqlstate)
        return (struct store_postgres_reply){.kind = WIRE_LOST};
    memcpy(r.sqlstate, state, strlen(state) + 1);
    r.is_fatal = severity && strcmp(severity, "ERROR") != 0;
    return r;
}

static struct store_postgres_reply read_reply(const PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
        return (struct store_postgres_reply){.kind = WIRE_OK};
    case PGRES_TUPLES_OK:
        if (PQntuples(result) == 1 && PQgetlength(result, 0, 0) >= (int)sizeof(uint32_t))
            return (struct store_postgres_reply){.kind = WIRE_ROW, .id = row_id(result)};
        return (struct store_postgres_reply){.kind = WIRE_NO_ROW};
    case PGRES_PIPELINE_ABORTED: /* the error that did it has come already */
        return (struct store_postgres_reply){.kind = WIRE_OK};
    case PGRES_PIPELINE_SYNC:
        return (struct store_postgres_reply){.kind = WIRE_SYNC};
    default:
        return error_reply(result);
    }
}

struct store_postgres_reply store_postgres_wire_next(struct pg_conn *conn)
{
    /* Each statement's results end in a NULL; two in a row mean that nothing is awaited. */
    for (int ends = 0; ends < 2; ends++) {
        if (PQisBusy(conn))
            break;
        PGresult *result = PQgetResult(conn);
        if (!result)
            continue;
        struct store_postgres_reply reply = read_reply(result);
        PQclear(result);
        return reply;
    }
    return (struct store_postgres_reply){.kind = WIRE_NOTHING};
}

enum store_outcome store_postgres_wire_outcome(const struct store_postgres_reply *r)
{
    /* Classes 22 (data) and 23 (integrity) are about this row's values; everything else, such as a
     * full disk (53100), a server that became read-only (25006) or a dropped table (42P01), would
     * meet any other row as well. So would a sequence at its end (2200H), though it is of class 22. */
    bool is_about_row = r->sqlstate[0] == '2' && (r->sqlstate[1] == '2' || r->sqlstate[1] == '3') &&
                        strcmp(r->sqlstate, "2200H") != 0;
    return is_about_row ? STORE_REFUSED : STORE_UNAVAILABLE;
}

bool store_postgres_wire_is_outdated(const struct store_postgres_reply *r)
{
    /* "cached plan must not change result type", "prepared statement does not exist" */
    return strcmp(r->sqlstate, "0A000") == 0 || strcmp(r->sqlstate, "26000") == 0;
}
