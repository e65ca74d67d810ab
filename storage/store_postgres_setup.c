/* Everything that can be known before load is found out here, so that it is said in one sentence
 * instead of counted as failures later. */
#include "storage/store_postgres_setup.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "storage/schema.h"
#include "storage/storage.h"

/* Where a commit does not wait for the disk, two or three backends a thread measured fastest: more
 * only switch contexts. Where it does, a backend commits one insert at a time and a flush of the log
 * serves all that wait for it: there the rate grows with the number, up to about this many. */
enum { POOL_ALONE = 3, POOL_PER_THREAD = 2, POOL_WAITING = 64 };

static bool read_conninfo(struct store_postgres_server *s, const char *conninfo, const char *source,
                          struct fail *f);
static bool check_writable(PGconn *conn, struct fail *f);
static bool make_or_check_table(PGconn *conn, const struct store_postgres_server *s,
                                struct fail *f);
static bool settle_pool(PGconn *conn, struct store_postgres_server *s, uint32_t wish,
                        unsigned threads, struct fail *f);
static void keep_address(PGconn *conn, struct store_postgres_server *s);

bool store_postgres_setup_open(struct store_postgres_server *s, const char *conninfo,
                               const char *source, uint32_t pool, unsigned threads, struct fail *f)
{
    if (!read_conninfo(s, conninfo, source, f))
        return false;
    PGconn *conn = store_postgres_setup_connect(s, f);
    bool is_good = conn && check_writable(conn, f) && make_or_check_table(conn, s, f) &&
                   settle_pool(conn, s, pool, threads, f);
    if (is_good)
        keep_address(conn, s);
    PQfinish(conn);
    if (!is_good)
        store_postgres_setup_close(s);
    return is_good;
}

void store_postgres_setup_close(struct store_postgres_server *s)
{
    PQconninfoFree(s->parsed);
    s->parsed = NULL;
}

/* --- where --- */

static void add_param(struct store_postgres_server *s, const char *keyword, const char *value)
{
    int i = 0;
    while (s->keywords[i])
        i++;
    CHECK(i + 1 < STORE_POSTGRES_PARAMS);
    s->keywords[i] = keyword;
    s->values[i] = value;
}

static const char *param(const struct store_postgres_server *s, const char *keyword)
{
    for (int i = 0; s->keywords[i]; i++)
        if (strcmp(s->keywords[i], keyword) == 0)
            return s->values[i];
    return NULL;
}

static bool is_port_list(const char *text)
{
    return strspn(text, "0123456789,") == strlen(text);
}

/* In "postgresql://user:p@ss@host" and "user:p/ss@host" libpq would take a part of the password for
 * the host or the port, and name it in its messages. */
static bool is_misread_uri(const struct store_postgres_server *s)
{
    const char *host = param(s, "host"), *port = param(s, "port"), *name = param(s, "dbname");
    return (host && *host && strchr(host + 1, '@')) || (port && !is_port_list(port)) ||
           (name && strchr(name, '@'));
}

static bool read_conninfo(struct store_postgres_server *s, const char *conninfo, const char *source,
                          struct fail *f)
{
    PQconninfoOption *options = PQconninfoParse(conninfo ? conninfo : "", NULL);
    if (!options)
        return fail_set(f, EXIT_USAGE,
                        "%s is no connection text of PostgreSQL; expected a URI such as "
                        "postgresql://user@localhost:5432/mydb, or \"host=/run/postgresql "
                        "dbname=mydb\"",
                        source);
    s->parsed = options;
    for (PQconninfoOption *o = options; o->keyword; o++)
        if (o->val)
            add_param(s, o->keyword, o->val);
    if (is_misread_uri(s)) {
        store_postgres_setup_close(s);
        return fail_set(f, EXIT_USAGE,
                        "%s cannot be read: an @, / or : within a user name or password is "
                        "written %%40, %%2F or %%3A",
                        source);
    }
    if (!param(s, "client_encoding"))
        add_param(s, "client_encoding", "UTF8");
    if (!param(s, "fallback_application_name"))
        add_param(s, "fallback_application_name", "iubench");
    if (!param(s, "connect_timeout")) {
        uint64_t seconds = (storage_connect_ns(s->timeout_ns) + NS_PER_S - 1) / NS_PER_S;
        snprintf(s->connect_timeout_s, sizeof s->connect_timeout_s, "%llu",
                 (unsigned long long)seconds);
        add_param(s, "connect_timeout", s->connect_timeout_s);
    }
    return true;
}

/* Whether the text, the environment or a service file listed several. */
static bool lists_hosts(PGconn *conn)
{
    PQconninfoOption *options = PQconninfo(conn);
    bool is_list = false;
    for (PQconninfoOption *o = options; o && o->keyword; o++)
        if (strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "hostaddr") == 0)
            is_list |= o->val && strchr(o->val, ',');
    PQconninfoFree(options);
    return is_list;
}

/* Looking a name up blocks (getaddrinfo(3)), which a reconnect inside an event loop must not: the
 * address that was reached now is kept. Lists of hosts keep their names, since libpq chooses among
 * them. */
static void keep_address(PGconn *conn, struct store_postgres_server *s)
{
    const char *host = PQhost(conn), *address = PQhostaddr(conn);
    s->address.len = sizeof s->address.sa;
    if (getpeername(PQsocket(conn), &s->address.sa.any, &s->address.len))
        s->address.len = 0;
    if (!address || !*address || !host || *host == '/' || lists_hosts(conn) || param(s, "hostaddr"))
        return;
    snprintf(s->hostaddr, sizeof s->hostaddr, "%s", address);
    add_param(s, "hostaddr", s->hostaddr);
}

/* --- connecting --- */

enum { ERROR_BYTES = 400 };

/* One line of libpq's message, with its quotation marks made harmless. */
static const char *error_line(const char *message, char line[ERROR_BYTES])
{
    char plain[ERROR_BYTES];
    size_t len = 0;
    for (const char *at = message; *at && *at != '\n' && len < sizeof plain; at++)
        plain[len++] = *at == '"' ? '\'' : *at;
    return log_escape((struct span){plain, len}, line, ERROR_BYTES);
}

static const char *mend_for(const char *message)
{
    if (strstr(message, "password"))
        return "give the right one in --pg, PGPASSWORD or ~/.pgpass";
    if (strstr(message, "too many c") || strstr(message, "connection slots"))
        return "raise max_connections of the server, or give a smaller --pg-pool";
    if (strstr(message, "does not exist"))
        return "create it, or name another in --pg";
    if (strstr(message, "pg_hba.conf"))
        return "allow it there, or connect in another way";
    return "start the server, or name another one by --pg, or use --store sqlite:PATH";
}

static void silent(void *arg, const char *message)
{
    (void)arg, (void)message;
}

void store_postgres_setup_silence(struct pg_conn *conn)
{
    PQsetNoticeProcessor(conn, silent, NULL);
}

struct pg_conn *store_postgres_setup_connect(const struct store_postgres_server *s, struct fail *f)
{
    PGconn *conn = PQconnectdbParams(s->keywords, s->values, 0);
    if (!conn) {
        fail_set(f, EXIT_FAILED, "out of memory: a PostgreSQL connection");
        return NULL;
    }
    if (PQstatus(conn) != CONNECTION_OK) {
        char line[ERROR_BYTES];
        const char *message = PQerrorMessage(conn);
        bool is_usage = strncmp(message, "invalid ", 8) ==
                        0; /* libpq's own word, before it connects */
        fail_set(f, is_usage ? EXIT_USAGE : EXIT_FAILED, "PostgreSQL: %s; %s",
                 error_line(message, line),
                 is_usage ? "give another in --pg, DATABASE_URL or libpq's environment"
                          : mend_for(message));
        PQfinish(conn);
        return NULL;
    }
    store_postgres_setup_silence(conn);
    return conn;
}

/* --- checks --- */

static bool fail_query(PGconn *conn, const char *what, struct fail *f)
{
    char line[ERROR_BYTES];
    return fail_set(f, EXIT_FAILED, "PostgreSQL: %s: %s", what,
                    error_line(PQerrorMessage(conn), line));
}

static PGresult *query(PGconn *conn, const char *sql, const char *what, struct fail *f)
{
    PGresult *rows = PQexec(conn, sql);
    if (PQresultStatus(rows) == PGRES_TUPLES_OK && PQntuples(rows) > 0)
        return rows;
    fail_query(conn, what, f);
    PQclear(rows);
    return NULL;
}

static bool check_writable(PGconn *conn, struct fail *f)
{
    /* A lock that somebody holds on the table must not keep the start waiting for ever. */
    PQclear(PQexec(conn, "SET lock_timeout = '5s'"));
    PGresult *rows = query(
        conn, "SELECT current_setting('transaction_read_only') = 'on', pg_is_in_recovery()",
        "its state could not be read", f);
    if (!rows)
        return false;
    bool is_read_only = *PQgetvalue(rows, 0, 0) == 't', is_standby = *PQgetvalue(rows, 0, 1) == 't';
    PQclear(rows);
    if (is_standby)
        return fail_set(f, EXIT_FAILED,
                        "PostgreSQL at %s is a read-only standby: name the primary in --pg",
                        PQhost(conn));
    if (is_read_only)
        return fail_set(f, EXIT_FAILED,
                        "PostgreSQL at %s is read-only for this user or database: set "
                        "default_transaction_read_only = off",
                        PQhost(conn));
    return true;
}

struct column {
    const char *name;
    const char *types[2][4]; /* by enum storage_schema, as format_type() writes them */
};

#define TEXT_TYPES                                            \
    {                                                         \
        "character varying(255)", "character varying", "text" \
    }
#define ID_TYPES            \
    {                       \
        "integer", "bigint" \
    }
#define TIME_TYPES                       \
    {                                    \
        {"timestamp without time zone"}, \
        {                                \
            "timestamp with time zone"   \
        }                                \
    }

static const struct column columns[] = {
    {"id", {ID_TYPES, ID_TYPES}},      {"uuid", {TEXT_TYPES, {"uuid"}}},
    {"mac", {TEXT_TYPES, TEXT_TYPES}}, {"firmware", {TEXT_TYPES, TEXT_TYPES}},
    {"created_at", TIME_TYPES},        {"updated_at", TIME_TYPES},
};
enum { COLUMNS = sizeof columns / sizeof *columns };

/* `is_of_other`: it would be right in the other round. */
static bool fail_column(const char *name, const char *found, const char *expected, int schema,
                        bool is_of_other, struct fail *f)
{
    char safe[2][96];
    return fail_set(f, EXIT_FAILED,
                    "the table device in PostgreSQL has other columns than --schema %s: %s is %s, "
                    "expected %s; %sdrop or rename the table, or choose another database or schema",
                    schema == SCHEMA_ROUND2 ? "round2" : "round1",
                    log_escape(span_of(name), safe[0], sizeof safe[0]),
                    log_escape(span_of(found), safe[1], sizeof safe[1]), expected,
                    !is_of_other              ? ""
                    : schema == SCHEMA_ROUND2 ? "say --schema round1, or "
                                              : "say --schema round2, or ");
}

static bool is_one_of(const char *type, const char *const types[4])
{
    for (int i = 0; i < 4 && types[i]; i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

static bool check_columns(const PGresult *rows, int schema, struct fail *f)
{
    bool is_found[COLUMNS] = {false};
    for (int row = 0; row < PQntuples(rows); row++) {
        const char *name = PQgetvalue(rows, row, 0), *type = PQgetvalue(rows, row, 1);
        bool needs_value = *PQgetvalue(rows, row, 2) == 't';
        int i = 0;
        while (i < COLUMNS && strcmp(name, columns[i].name) != 0)
            i++;
        if ((i == COLUMNS || i == 0) && needs_value)
            return fail_column(name, "not null and without a default",
                               i ? "no such column, or one with a default" : "one that is numbered",
                               schema, false, f);
        if (i == COLUMNS)
            continue;
        if (!is_one_of(type, columns[i].types[schema]))
            return fail_column(name, type, columns[i].types[schema][0], schema,
                               is_one_of(type, columns[i].types[!schema]), f);
        is_found[i] = true;
    }
    for (int i = 0; i < COLUMNS; i++)
        if (!is_found[i])
            return fail_column(columns[i].name, "missing", columns[i].types[schema][0], schema,
                               false, f);
    return true;
}

static bool check_rights(PGconn *conn, struct fail *f)
{
    PGresult *rows = query(
        conn,
        "SELECT has_table_privilege('device', 'INSERT') AND has_table_privilege('device', 'SELECT')"
        " AND coalesce(has_sequence_privilege(pg_get_serial_sequence('device', 'id'), 'USAGE'), "
        "true)",
        "the rights on the table device could not be read", f);
    if (!rows)
        return false;
    bool is_allowed = *PQgetvalue(rows, 0, 0) == 't';
    PQclear(rows);
    return is_allowed ||
           fail_set(f, EXIT_FAILED,
                    "PostgreSQL: this user may not insert into the table device: GRANT INSERT, "
                    "SELECT on it and USAGE on its sequence");
}

static bool make_table(PGconn *conn, int schema, struct fail *f)
{
    PGresult *made = PQexec(conn, schema == SCHEMA_ROUND2 ? schema_round2_sql : schema_round1_sql);
    const char *state = PQresultErrorField(made, PG_DIAG_SQLSTATE);
    /* Two that start at the same time both find no table; one of them makes it. */
    bool is_there = PQresultStatus(made) == PGRES_COMMAND_OK ||
                    (state && (!strcmp(state, "42P07") || !strcmp(state, "23505")));
    PQclear(made);
    return is_there ||
           fail_query(conn,
                      "the table device could not be made (GRANT CREATE on the schema, or make it)",
                      f);
}

static bool make_or_check_table(PGconn *conn, const struct store_postgres_server *s, struct fail *f)
{
    static const char sql[] =
        "SELECT attname, format_type(atttypid, atttypmod),"
        " attnotnull AND NOT atthasdef AND attidentity = '' AND attgenerated = ''"
        " FROM pg_attribute WHERE attrelid = to_regclass('device') AND attnum > 0"
        " AND NOT attisdropped";
    PGresult *rows = PQexec(conn, sql);
    if (PQresultStatus(rows) == PGRES_TUPLES_OK && !PQntuples(rows)) {
        PQclear(rows);
        if (!make_table(conn, s->schema, f))
            return false;
        rows = PQexec(conn, sql);
    }
    bool is_good = PQresultStatus(rows) == PGRES_TUPLES_OK
                       ? check_columns(rows, s->schema, f)
                       : fail_query(conn, "the columns of the table device could not be read", f);
    PQclear(rows);
    return is_good && check_rights(conn, f);
}

/* --- how many --- */

static uint64_t number(const PGresult *rows, int column)
{
    uint64_t value = 0;
    return num_get(span_of(PQgetvalue(rows, 0, column)), UINT32_MAX, &value) ? value : 0;
}

static uint64_t pool_best(unsigned threads, bool waits_for_disk)
{
    if (waits_for_disk)
        return threads > POOL_WAITING ? threads : POOL_WAITING;
    return threads == 1 ? POOL_ALONE : (uint64_t)threads * POOL_PER_THREAD;
}

static bool settle_pool(PGconn *conn, struct store_postgres_server *s, uint32_t wish,
                        unsigned threads, struct fail *f)
{
    PGresult *rows = query(
        conn,
        "SELECT current_setting('max_connections'), CASE WHEN "
        "current_setting('is_superuser') = 'on' THEN '0' ELSE "
        "current_setting('superuser_reserved_connections') END, count(*), "
        "current_setting('synchronous_commit') <> 'off' AND current_setting('fsync')::bool FROM "
        "pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        "its connections could not be counted", f);
    if (!rows)
        return false;
    bool waits_for_disk = *PQgetvalue(rows, 0, 3) == 't';
    uint64_t most = number(rows, 0), reserved = number(rows, 1), used = number(rows, 2);
    PQclear(rows);
    uint64_t room = most > reserved + used ? most - reserved - used : 0;
    uint64_t need = wish > threads ? wish : threads;
    if (need > room)
        return fail_set(f, EXIT_FAILED,
                        "PostgreSQL at %s allows %llu connections, of which %llu are in use and "
                        "%llu reserved: %llu are needed (--pg-pool, at least one a thread); raise "
                        "max_connections or ask for fewer",
                        PQhost(conn), (unsigned long long)most, (unsigned long long)used,
                        (unsigned long long)reserved, (unsigned long long)need);
    uint64_t best = pool_best(threads, waits_for_disk);
    s->pool = (uint32_t)(wish ? need : best < room ? best : room);

    const char *version = PQparameterStatus(conn, "server_version");
    const char *host = PQhost(conn);
    int version_len = version ? (int)strcspn(version, " ") : 0;
    bool is_path = host && *host == '/';
    char grouped[64] = "";
    if (s->batch > 1)
        snprintf(grouped, sizeof grouped, ", up to %u inserts a commit", s->batch);
    snprintf(s->text, sizeof s->text, "postgres %.*s at %s%s%s (pool %u%s)", version_len,
             version ? version : "", host ? host : "", is_path ? "" : ":",
             is_path ? "" : PQport(conn), s->pool, grouped);
    return true;
}
