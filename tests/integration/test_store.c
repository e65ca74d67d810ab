/* One suite for every store adapter. Run alone it tests SQLite; pytest (test_storage.py) runs it on
 * PostgreSQL as well: IUBENCH_TEST_PG is the server's address, IUBENCH_TEST_BATCH how many inserts
 * may share a transaction, and the server is killed, paused and started again through
 * tests/lib/control.h. An argument selects tests by name, with wildcards. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>
#include <libpq-fe.h>
#include <sqlite3.h>

#include "base/clock.h"
#include "lib/control.h"
#include "net/loop.h"
#include "net/worker.h"
#include "storage/storage.h"

enum { UNDER_WAY = 64, ROWS_MOST = 400000 };

static const struct ring_config ring = {
    .entries = 256, .completions = 4096, .buffers = 64, .buffer_bytes = 4096};

/* --- a store on the test's own loop --- */

struct bench {
    struct storage_config config;
    struct storage *storage;
    struct loop loop;
    struct store *store;
    struct cache *cache;
    char path[64]; /* of the SQLite database; "" for PostgreSQL */
    struct fail fail;
};

static const char *pg_uri(void)
{
    return getenv("IUBENCH_TEST_PG");
}

static void configure(struct bench *b)
{
    *b = (struct bench){.config = STORAGE_CONFIG_DEFAULT};
    b->config.cache = "none";
    if (getenv("IUBENCH_TEST_BATCH"))
        b->config.pg_batch = (uint32_t)strtoul(getenv("IUBENCH_TEST_BATCH"), NULL, 10);
    if (pg_uri()) {
        b->config.pg = pg_uri();
        return;
    }
    static char store[80];
    char folder[] = "/tmp/iubench-store-XXXXXX";
    assert_non_null(mkdtemp(folder));
    snprintf(b->path, sizeof b->path, "%s/db", folder);
    snprintf(store, sizeof store, "sqlite:%s", b->path);
    b->config.store = store;
}

static void query(const struct bench *b, const char *sql);

static void open_bench(struct bench *b)
{
    b->storage = storage_open(&b->config, 1, &b->fail);
    if (!b->storage)
        fail_msg("%s", b->fail.text);
    query(b, "DELETE FROM device");
    if (!loop_open(&b->loop, &ring, &b->fail) ||
        !storage_attach(b->storage, &b->loop, 0, &b->store, &b->cache, &b->fail))
        fail_msg("%s", b->fail.text);
    assert_non_null(b->store);
    assert_null(b->cache);
}

static void remove_files(struct bench *b)
{
    if (!*b->path)
        return;
    for (int i = 0; i < 4; i++) {
        char name[80];
        snprintf(name, sizeof name, "%s%s", b->path,
                 (const char *[]){"", "-wal", "-shm", "-journal"}[i]);
        unlink(name);
    }
    *strrchr(b->path, '/') = 0;
    assert_int_equal(rmdir(b->path), 0);
}

static void close_bench(struct bench *b)
{
    store_close(b->store);
    loop_close(&b->loop);
    storage_free(b->storage);
    remove_files(b);
}

/* --- looking into the database by another way --- */

typedef void row_f(void *arg, const char *const *values);

static void query_pg(const char *sql, row_f *each, void *arg)
{
    PGconn *conn = PQconnectdb(pg_uri());
    assert_int_equal(PQstatus(conn), CONNECTION_OK);
    PQclear(PQexec(conn, "SET timezone = 'UTC'; SET client_min_messages = error"));
    PGresult *rows = PQexec(conn, sql);
    if (PQresultStatus(rows) != PGRES_TUPLES_OK && PQresultStatus(rows) != PGRES_COMMAND_OK)
        fail_msg("%s", PQerrorMessage(conn));
    for (int row = 0; row < PQntuples(rows); row++) {
        const char *values[8];
        for (int i = 0; i < PQnfields(rows); i++)
            values[i] = PQgetvalue(rows, row, i);
        each(arg, values);
    }
    PQclear(rows);
    PQfinish(conn);
}

struct each {
    row_f *row;
    void *arg;
};

static int sqlite_row(void *arg, int count, char **values, char **names)
{
    struct each *each = arg;
    (void)count, (void)names;
    each->row(each->arg, (const char *const *)values);
    return 0;
}

static void query_rows(const struct bench *b, const char *sql, row_f *row, void *arg)
{
    if (!*b->path) {
        query_pg(sql, row, arg);
        return;
    }
    sqlite3 *db;
    struct each each = {row, arg};
    assert_int_equal(sqlite3_open(b->path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    if (sqlite3_exec(db, sql, sqlite_row, &each, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void no_row(void *arg, const char *const *values)
{
    (void)arg, (void)values;
    fail_msg("a row where none was expected");
}

static void query(const struct bench *b, const char *sql)
{
    query_rows(b, sql, no_row, NULL);
}

static void take_number(void *arg, const char *const *values)
{
    *(long *)arg = strtol(values[0], NULL, 10);
}

static long query_number(const struct bench *b, const char *sql)
{
    long number = -1;
    query_rows(b, sql, take_number, &number);
    return number;
}

/* --- many inserts --- */

struct row {
    struct store_insert insert;
    struct crowd *crowd;
    char firmware[24]; /* its number: how it is found again in the table */
    bool is_answered;
};

struct crowd {
    struct store *store;
    struct row *rows;
    unsigned used, under_way, number_from;
    unsigned outcomes[STORE_OUTCOMES];
    enum store_outcome last;
    bool is_inserting;
};

static void answered(struct store_insert *i, enum store_outcome outcome)
{
    struct row *row = (struct row *)((char *)i - offsetof(struct row, insert));
    struct crowd *c = row->crowd;
    if (c->is_inserting)
        abort(); /* done was called from within store_insert() */
    if (row->is_answered)
        abort(); /* answered twice */
    row->is_answered = true;
    c->outcomes[outcome]++;
    c->last = outcome;
    c->under_way--;
    i->outcome = outcome;
}

static struct row *insert_values(struct crowd *c, struct span mac, struct span firmware)
{
    struct row *row = &c->rows[c->used++];
    if (c->used > ROWS_MOST)
        abort();
    row->crowd = c;
    row->insert = (struct store_insert){
        .mac = mac, .firmware = firmware, .created_us = clock_wall_us(), .done = answered};
    uuid_v4(row->insert.uuid);
    c->under_way++;
    c->is_inserting = true;
    store_insert(c->store, &row->insert);
    c->is_inserting = false;
    return row;
}

static void insert_next(struct crowd *c)
{
    struct row *row = &c->rows[c->used];
    snprintf(row->firmware, sizeof row->firmware, "%u", c->number_from + c->used);
    insert_values(c, SPAN("EF-2B-C4-F5-D6-34"), span_of(row->firmware));
}

static struct crowd crowd_of(struct store *store)
{
    struct crowd c = {.store = store, .rows = calloc(ROWS_MOST, sizeof *c.rows)};
    assert_non_null(c.rows);
    return c;
}

static void crowd_free(struct crowd *c)
{
    free(c->rows);
}

/* One turn with UNDER_WAY inserts under way; at a store that says UNAVAILABLE it only knocks. */
static void turn(struct crowd *c)
{
    struct loop *loop = c->store->loop;
    if (c->last == STORE_UNAVAILABLE) {
        loop_turn(loop, 2 * NS_PER_MS);
        insert_next(c);
    } else {
        while (c->under_way < UNDER_WAY)
            insert_next(c);
    }
    loop_turn(loop, 100 * NS_PER_MS);
}

static void drain(struct crowd *c)
{
    uint64_t end_ns = clock_ns() + 20 * NS_PER_S;
    while (c->under_way) {
        loop_turn(c->store->loop, 100 * NS_PER_MS);
        if (clock_ns() > end_ns)
            fail_msg("%u inserts were never answered", c->under_way);
    }
}

/* Turns until `more` inserts of an outcome have come. */
static void turn_until(struct crowd *c, enum store_outcome outcome, unsigned more)
{
    unsigned wanted = c->outcomes[outcome] + more;
    uint64_t end_ns = clock_ns() + 20 * NS_PER_S;
    while (c->outcomes[outcome] < wanted) {
        turn(c);
        if (clock_ns() > end_ns)
            fail_msg("outcome %d did not come: %u done, %u unavailable, %u unknown, %u refused",
                     outcome, c->outcomes[0], c->outcomes[1], c->outcomes[2], c->outcomes[3]);
    }
}

static void find_row(void *arg, const char *const *values)
{
    struct crowd *c = arg;
    unsigned number = (unsigned)strtoul(values[2], NULL, 10) - c->number_from;
    if (number >= c->used)
        return; /* another crowd's */
    struct row *row = &c->rows[number];
    assert_memory_equal(values[1], row->insert.uuid, UUID_TEXT_BYTES);
    if (row->insert.outcome == STORE_UNAVAILABLE || row->insert.outcome == STORE_REFUSED)
        fail_msg("row %u is in the table though outcome %d said that it is not", number,
                 row->insert.outcome);
    if (row->insert.outcome == STORE_DONE)
        assert_int_equal(strtoll(values[0], NULL, 10), row->insert.id);
    assert_true(row->is_answered);
    row->is_answered = false; /* found; a second one would fail above */
}

/* Every row that was acknowledged is there once, with its id; every one that certainly was not done
 * is not. */
static void compare(const struct bench *b, struct crowd *c)
{
    assert_int_equal(c->under_way, 0);
    query_rows(b, "SELECT id, uuid, firmware FROM device", find_row, c);
    for (unsigned i = 0; i < c->used; i++)
        if (c->rows[i].is_answered && c->rows[i].insert.outcome == STORE_DONE)
            fail_msg("row %u was acknowledged but is not in the table", i);
}

static void assert_sums(const struct store *store)
{
    const struct store_counters *c = &store->counters;
    uint64_t sum = c->in_flight;
    for (int i = 0; i < STORE_OUTCOMES; i++)
        sum += c->outcomes[i];
    assert_int_equal(sum, c->inserts);
    sum = 0;
    for (unsigned i = 0; i < c->pool; i++)
        sum += c->by_connection[i];
    assert_true(sum <= c->in_flight);
    assert_int_equal(c->latency->count, c->outcomes[STORE_DONE]);
}

/* --- the suite --- */

struct expected {
    struct row *row;
    unsigned count;
};

static void check_columns(void *arg, const char *const *values)
{
    struct expected *e = arg;
    const struct store_insert *i = &e->row->insert;
    char time[CLOCK_TEXT_BYTES], id[24], uuid[UUID_TEXT_BYTES + 1] = "";
    memcpy(uuid, i->uuid, UUID_TEXT_BYTES);
    clock_text(i->created_us, time);
    snprintf(id, sizeof id, "%lld", (long long)i->id);
    assert_string_equal(values[0], id);
    assert_string_equal(values[1], uuid);
    assert_string_equal(values[2], "Gerät ☃ \"'\\");
    assert_int_equal(strlen(values[3]), 255);
    assert_string_equal(values[4], time);
    assert_string_equal(values[5], time);
    e->count++;
}

static void check_one_row(struct bench *b)
{
    struct crowd c = crowd_of(b->store);
    char firmware[255];
    memset(firmware, 'f', sizeof firmware);
    struct expected e = {.row = insert_values(&c, span_of("Gerät ☃ \"'\\"),
                                              (struct span){firmware, sizeof firmware})};
    drain(&c);
    assert_int_equal(c.outcomes[STORE_DONE], 1);
    query_rows(b,
               pg_uri() ? "SELECT id, uuid, mac, firmware, to_char(created_at, "
                          "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), to_char(updated_at, "
                          "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM device"
                        : "SELECT id, uuid, mac, firmware, created_at, updated_at FROM device",
               check_columns, &e);
    assert_int_equal(e.count, 1);
    crowd_free(&c);
}

/* Each column of a row comes back as it was given, in the first round's table. */
static void reads_back_round1(void **state)
{
    struct bench b;
    (void)state;
    configure(&b);
    if (pg_uri())
        query(&b, "DROP TABLE IF EXISTS device");
    open_bench(&b);
    check_one_row(&b);
    close_bench(&b);
}

/* The same in the second round's, which has other types and an index. */
static void reads_back_round2(void **state)
{
    struct bench b;
    (void)state;
    configure(&b);
    b.config.schema = SCHEMA_ROUND2;
    if (pg_uri())
        query(&b, "DROP TABLE IF EXISTS device");
    open_bench(&b);
    check_one_row(&b);
    assert_int_equal(
        query_number(&b, pg_uri()
                             ? "SELECT count(*) FROM pg_indexes WHERE indexname = 'device_uuid'"
                             : "SELECT count(*) FROM sqlite_schema WHERE name = 'device_uuid'"),
        1);
    if (pg_uri())
        query(&b, "DROP TABLE device");
    close_bench(&b);
}

/* A thousand inserts of one turn are all done, each with an id of its own, and counted once. */
static void counts_a_full_turn(void **state)
{
    struct bench b;
    (void)state;
    configure(&b);
    open_bench(&b);
    struct crowd c = crowd_of(b.store);
    for (int i = 0; i < 1000; i++)
        insert_next(&c);
    assert_int_equal(b.store->counters.in_flight, 1000);
    drain(&c);
    assert_int_equal(c.outcomes[STORE_DONE], 1000);
    assert_int_equal(query_number(&b, "SELECT count(DISTINCT id) FROM device"), 1000);
    compare(&b, &c);
    assert_sums(b.store);
    crowd_free(&c);
    close_bench(&b);
}

/* What does not fit the bounded queue is refused at once; everything else is done. */
static void refuses_beyond_its_queue(void **state)
{
    struct bench b;
    (void)state;
    configure(&b);
    open_bench(&b);
    struct crowd c = crowd_of(b.store);
    for (int i = 0; i < 20000; i++)
        insert_next(&c);
    drain(&c);
    assert_true(c.outcomes[STORE_UNAVAILABLE] > 0);
    assert_int_equal(c.outcomes[STORE_DONE] + c.outcomes[STORE_UNAVAILABLE], 20000);
    compare(&b, &c);
    assert_sums(b.store);
    crowd_free(&c);
    close_bench(&b);
}

/* A store that closes answers what is under way, and tells no lies about it. */
static void answers_when_it_closes(void **state)
{
    struct bench b;
    (void)state;
    configure(&b);
    open_bench(&b);
    struct crowd c = crowd_of(b.store);
    for (int i = 0; i < 300; i++)
        insert_next(&c);
    loop_turn(&b.loop, 0);
    for (int i = 0; i < 300; i++)
        insert_next(&c);
    store_close(b.store);
    assert_int_equal(c.under_way, 0);
    assert_sums(b.store);
    for (int i = 0; i < 3; i++) /* late completions find nothing to break */
        loop_turn(&b.loop, 10 * NS_PER_MS);
    loop_close(&b.loop);
    storage_free(b.storage);
    compare(&b, &c);
    crowd_free(&c);
    remove_files(&b);
}

struct part {
    struct worker worker;
    struct storage *storage;
    struct store *store;
    struct crowd crowd;
    unsigned index, wanted;
    struct task top_up;
};

static void top_up(struct task *t)
{
    struct part *p = (struct part *)((char *)t - offsetof(struct part, top_up));
    while (p->crowd.under_way < UNDER_WAY && p->crowd.used < p->wanted)
        insert_next(&p->crowd);
    if (p->crowd.under_way)
        loop_defer(&p->worker.loop, t);
    else
        loop_stop(&p->worker.loop);
}

static bool part_begin(struct worker *w, struct fail *f)
{
    struct part *p = w->arg;
    struct cache *cache;
    if (!storage_attach(p->storage, &w->loop, p->index, &p->store, &cache, f))
        return false;
    p->crowd.store = p->store;
    p->top_up.run = top_up;
    loop_defer(&w->loop, &p->top_up);
    return true;
}

static void part_end(struct worker *w)
{
    struct part *p = w->arg;
    store_close(p->store);
}

/* Two loops on two threads write 10 000 rows between them. */
static void serves_two_loops(void **state)
{
    struct bench b;
    struct part parts[2] = {0};
    (void)state;
    configure(&b);
    b.storage = storage_open(&b.config, 2, &b.fail);
    if (!b.storage)
        fail_msg("%s", b.fail.text);
    query(&b, "DELETE FROM device");
    for (unsigned i = 0; i < 2; i++) {
        struct part *p = &parts[i];
        p->storage = b.storage;
        p->index = i;
        p->wanted = 5000;
        p->crowd = crowd_of(NULL);
        p->crowd.number_from = i * p->wanted;
        p->worker = (struct worker){
            .name = "part", .ring = ring, .begin = part_begin, .end = part_end, .arg = p};
        if (!worker_start(&p->worker, &b.fail))
            fail_msg("%s", b.fail.text);
    }
    for (int i = 0; i < 2; i++)
        worker_join(&parts[i].worker);
    assert_int_equal(query_number(&b, "SELECT count(DISTINCT id) FROM device"), 10000);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(parts[i].crowd.outcomes[STORE_DONE], 5000);
        compare(&b, &parts[i].crowd);
        assert_sums(parts[i].store);
        crowd_free(&parts[i].crowd);
    }
    storage_free(b.storage);
    remove_files(&b);
}

/* One row that the store does not take does no harm to the others of its turn. */
static void refuses_one_row_alone(void **state)
{
    struct bench b;
    (void)state;
    configure(&b);
    open_bench(&b);
    query(&b, "CREATE UNIQUE INDEX only_once ON device (firmware)");
    struct crowd c = crowd_of(b.store);
    for (int i = 0; i < 20; i++)
        insert_next(&c);
    drain(&c);
    struct row *twice = insert_values(&c, SPAN("m"), SPAN("7"));
    for (int i = 0; i < 20; i++)
        insert_next(&c);
    drain(&c);
    assert_int_equal(twice->insert.outcome, STORE_REFUSED);
    assert_int_equal(c.outcomes[STORE_REFUSED], 1);
    assert_int_equal(c.outcomes[STORE_DONE], 40);
    compare(&b, &c);
    query(&b, "DROP INDEX only_once");
    crowd_free(&c);
    close_bench(&b);
}

/* --- PostgreSQL alone --- */

/* Bytes that are no UTF-8 are refused by the server, row by row. */
static void refuses_bad_utf8(void **state)
{
    struct bench b;
    (void)state;
    configure(&b);
    open_bench(&b);
    struct crowd c = crowd_of(b.store);
    insert_next(&c);
    struct row *bad = insert_values(&c, SPAN("\xff\xfe"), SPAN("1"));
    insert_next(&c);
    drain(&c);
    assert_int_equal(bad->insert.outcome, STORE_REFUSED);
    assert_int_equal(c.outcomes[STORE_DONE], 2);
    compare(&b, &c);
    crowd_free(&c);
    close_bench(&b);
}

/* Every insert is a transaction of its own, or as many of a turn share one as may. */
static void commits_as_asked(void **state)
{
    struct bench b;
    (void)state;
    configure(&b);
    open_bench(&b);
    unsigned batch = b.config.pg_batch > 1 ? b.config.pg_batch : 1;
    struct crowd c = crowd_of(b.store);
    for (unsigned i = 0; i < 20 * batch; i++)
        insert_next(&c);
    drain(&c);
    assert_int_equal(query_number(&b, "SELECT count(DISTINCT xmin::text) FROM device"), 20);
    assert_int_equal(storage_batch(b.storage), batch);
    assert_int_equal(!!strstr(storage_store_text(b.storage), "inserts a commit"), batch > 1);
    compare(&b, &c);
    crowd_free(&c);
    close_bench(&b);
}

/* Rows that are refused by a constraint, at the commit, or by a trigger that takes them: exactly
 * those are, whoever shared their transaction. */
static void refuses_exactly_the_bad(void **state)
{
    enum { ROWS = 500 };
    struct bench b;
    unsigned bad_count = 0;
    (void)state;
    configure(&b);
    open_bench(&b);
    query(&b, "ALTER TABLE device ADD CONSTRAINT no_sevenths CHECK (firmware::int % 7 <> 0);"
              "CREATE FUNCTION take() RETURNS trigger LANGUAGE plpgsql AS "
              "$$ BEGIN IF NEW.firmware::int % 11 = 0 THEN RETURN NULL; END IF; RETURN NEW; END $$;"
              "CREATE TRIGGER take BEFORE INSERT ON device FOR EACH ROW EXECUTE FUNCTION take();"
              "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
              "IF NEW.firmware::int % 13 = 0 THEN RAISE EXCEPTION 'late' USING ERRCODE = '23514'; "
              "END IF; RETURN NULL; END $$;"
              "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON device DEFERRABLE INITIALLY DEFERRED "
              "FOR EACH ROW EXECUTE FUNCTION late()");
    struct crowd c = crowd_of(b.store);
    while (c.used < ROWS) {
        for (int i = 0; i < 50; i++)
            insert_next(&c);
        loop_turn(&b.loop, 10 * NS_PER_MS);
    }
    drain(&c);
    for (unsigned i = 0; i < ROWS; i++) {
        bool is_bad = i % 7 == 0 || i % 11 == 0 || i % 13 == 0;
        bad_count += is_bad;
        assert_int_equal(c.rows[i].insert.outcome, is_bad ? STORE_REFUSED : STORE_DONE);
    }
    assert_int_equal(c.outcomes[STORE_REFUSED], bad_count);
    assert_int_equal(b.store->counters.reconnects, 0);
    compare(&b, &c);
    assert_sums(b.store);
    query(&b, "DROP FUNCTION take, late CASCADE; ALTER TABLE device DROP CONSTRAINT no_sevenths");
    crowd_free(&c);
    close_bench(&b);
}

/* The pool is a total over threads and never below one a thread. */
static void divides_its_pool(void **state)
{
    struct bench b;
    (void)state;
    configure(&b);
    b.config.pg_pool = 7;
    b.storage = storage_open(&b.config, 2, &b.fail);
    assert_non_null(b.storage);
    assert_non_null(strstr(storage_store_text(b.storage), "(pool 7"));
    assert_false(storage_is_embedded(b.storage));
    struct loop loops[2];
    struct store *stores[2];
    for (unsigned i = 0; i < 2; i++) {
        assert_true(loop_open(&loops[i], &ring, &b.fail));
        assert_true(storage_attach(b.storage, &loops[i], i, &stores[i], &b.cache, &b.fail));
    }
    assert_int_equal(stores[0]->counters.connections, 4);
    assert_int_equal(stores[1]->counters.connections, 3);
    for (unsigned i = 0; i < 2; i++) {
        store_close(stores[i]);
        loop_close(&loops[i]);
    }
    storage_free(b.storage);
}

/* Runs under load while `hurt` is done to the server and `mend` makes it good again. */
static void survives(const char *hurt, const char *mend, uint64_t timeout_ns)
{
    struct bench b;
    configure(&b);
    b.config.timeout_ns = timeout_ns;
    open_bench(&b);
    struct crowd c = crowd_of(b.store);
    for (int round = 0; round < 3; round++) {
        turn_until(&c, STORE_DONE, 2000);
        control(hurt);
        uint64_t hurt_ns = clock_ns();
        turn_until(&c, STORE_UNKNOWN, 1);
        assert_true(clock_ns() - hurt_ns < timeout_ns + NS_PER_S);
        turn_until(&c, STORE_UNAVAILABLE, 20);
        control(mend);
        uint64_t mended_ns = clock_ns();
        turn_until(&c, STORE_DONE, 1);
        assert_true(clock_ns() - mended_ns < 3 * NS_PER_S);
    }
    drain(&c);
    assert_true(b.store->counters.reconnects >= 3);
    assert_int_equal(b.store->counters.pool, 3);
    compare(&b, &c);
    assert_sums(b.store);
    crowd_free(&c);
    close_bench(&b);
}

/* SIGKILL of every process of the server, under load: nothing false, and it comes back by itself. */
static void survives_kill(void **state)
{
    (void)state;
    survives("postgres kill", "postgres start", 5 * NS_PER_S);
}

/* An orderly stop, which tells its clients. */
static void survives_stop(void **state)
{
    (void)state;
    survives("postgres stop", "postgres start", 5 * NS_PER_S);
}

/* A server that stands still (SIGSTOP): unknown at the deadline, then unavailable at once. */
static void survives_pause(void **state)
{
    (void)state;
    survives("postgres pause", "postgres resume", 500 * NS_PER_MS);
}

/* One backend of several is ended: its inserts are unknown, the others go on without a pause. */
static void survives_one_backend(void **state)
{
    struct bench b;
    (void)state;
    configure(&b);
    open_bench(&b);
    struct crowd c = crowd_of(b.store);
    for (int round = 0; round < 5; round++) {
        turn_until(&c, STORE_DONE, 1000);
        control("postgres kill-one");
        turn_until(&c, STORE_DONE, 1000);
    }
    drain(&c);
    assert_int_equal(c.outcomes[STORE_REFUSED], 0);
    compare(&b, &c);
    assert_sums(b.store);
    crowd_free(&c);
    close_bench(&b);
}

/* A transaction of several rows whose backend is ended in its midst: nothing is known of any. */
static void loses_a_group_as_a_whole(void **state)
{
    enum { GROUP = 16 };
    struct bench b;
    (void)state;
    configure(&b);
    b.config.pg_pool = 1;
    b.config.pg_batch = GROUP;
    open_bench(&b);
    query(&b, "CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS "
              "$$ BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END $$;"
              "CREATE TRIGGER nap BEFORE INSERT ON device FOR EACH ROW EXECUTE FUNCTION nap()");
    struct crowd c = crowd_of(b.store);
    for (int i = 0; i < GROUP; i++)
        insert_next(&c);
    loop_turn(&b.loop, 150 * NS_PER_MS);
    control("postgres kill-one");
    drain(&c);
    assert_int_equal(c.outcomes[STORE_UNKNOWN], GROUP);
    assert_int_equal(query_number(&b, "SELECT count(*) FROM device"), 0);
    query(&b, "DROP FUNCTION nap CASCADE");
    turn_until(&c, STORE_DONE, 100);
    drain(&c);
    compare(&b, &c);
    assert_sums(b.store);
    crowd_free(&c);
    close_bench(&b);
}

/* A table that goes away under load, or a server that becomes read-only, is no reason to say that
 * this or that device was refused. */
static void is_unavailable_when_all_fail(void **state)
{
    struct bench b;
    (void)state;
    configure(&b);
    open_bench(&b);
    struct crowd c = crowd_of(b.store);
    turn_until(&c, STORE_DONE, 100);
    drain(&c);
    query(&b, "ALTER TABLE device RENAME TO elsewhere");
    insert_next(&c);
    insert_next(&c);
    drain(&c);
    assert_int_equal(c.outcomes[STORE_UNAVAILABLE], 2);
    query(&b, "ALTER TABLE elsewhere RENAME TO device");
    turn_until(&c, STORE_DONE, 100);
    drain(&c);
    assert_int_equal(c.outcomes[STORE_REFUSED], 0);
    compare(&b, &c);
    crowd_free(&c);
    close_bench(&b);
}

/* What is wrong is said at start, in one sentence, and without the password: IUBENCH_TEST_EXPECT is
 * part of the sentence, IUBENCH_TEST_SECRET is not. */
static void says_why_it_cannot_open(void **state)
{
    struct bench b;
    const char *pool = getenv("IUBENCH_TEST_POOL");
    (void)state;
    configure(&b);
    b.config.timeout_ns = 2 * NS_PER_S;
    b.config.pg_pool = pool ? (uint32_t)strtoul(pool, NULL, 10) : 0;
    b.storage = storage_open(&b.config, 1, &b.fail);
    assert_null(b.storage);
    print_message("%s\n", b.fail.text);
    assert_non_null(strstr(b.fail.text, getenv("IUBENCH_TEST_EXPECT")));
    assert_null(strstr(b.fail.text, getenv("IUBENCH_TEST_SECRET")));
    assert_null(strchr(b.fail.text, '\n'));
    assert_int_equal(b.fail.exit, EXIT_FAILED);
}

/* --- SQLite alone --- */

/* Without a path the database is a temporary file, which goes with the storage. */
static void removes_its_temporary_file(void **state)
{
    struct bench b = {.config = STORAGE_CONFIG_DEFAULT};
    char path[256];
    (void)state;
    b.config.store = "sqlite";
    b.config.cache = "none";
    b.storage = storage_open(&b.config, 1, &b.fail);
    assert_non_null(b.storage);
    assert_true(storage_is_embedded(b.storage));
    assert_int_equal(sscanf(storage_store_text(b.storage), "sqlite %255s (embedded)", path), 1);
    assert_int_equal(access(path, F_OK), 0);
    storage_free(b.storage);
    assert_int_not_equal(access(path, F_OK), 0);
    *strrchr(path, '/') = 0;
    assert_int_not_equal(access(path, F_OK), 0);
}

/* A database that is kept is continued by the next one. */
static void continues_a_database(void **state)
{
    struct bench b;
    (void)state;
    configure(&b);
    for (unsigned round = 0; round < 2; round++) {
        b.storage = storage_open(&b.config, 1, &b.fail);
        assert_non_null(b.storage);
        assert_int_equal(query_number(&b, "SELECT count(*) FROM device"), round);
        query(&b, "INSERT INTO device (created_at, updated_at) VALUES ('', '')");
        storage_free(b.storage);
    }
    remove_files(&b);
}

/* Another process that holds the database makes it unavailable before the deadline, not wrong. */
static void waits_for_a_lock_in_vain(void **state)
{
    struct bench b;
    sqlite3 *db;
    (void)state;
    configure(&b);
    b.config.timeout_ns = NS_PER_S;
    open_bench(&b);
    struct crowd c = crowd_of(b.store);
    assert_int_equal(sqlite3_open(b.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    insert_next(&c);
    drain(&c);
    assert_int_equal(c.outcomes[STORE_UNAVAILABLE], 1);
    assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    insert_next(&c);
    drain(&c);
    assert_int_equal(c.outcomes[STORE_DONE], 1);
    compare(&b, &c);
    crowd_free(&c);
    close_bench(&b);
}

/* A disk without room (a limit of file size here): what was acknowledged is there, the rest is
 * unavailable, and with room again it goes on. */
static void survives_a_full_disk(void **state)
{
    struct bench b;
    struct rlimit given, small = {.rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY};
    (void)state;
    configure(&b);
    open_bench(&b);
    struct crowd c = crowd_of(b.store);
    sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    getrlimit(RLIMIT_FSIZE, &given);
    small.rlim_max = given.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    turn_until(&c, STORE_UNAVAILABLE, 10);
    assert_true(c.outcomes[STORE_DONE] > 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &given), 0);
    turn_until(&c, STORE_DONE, 100);
    drain(&c);
    compare(&b, &c);
    assert_sums(b.store);
    crowd_free(&c);
    close_bench(&b);
}

static void expect_refusal(const char *path, const char *expected)
{
    struct storage_config config = STORAGE_CONFIG_DEFAULT;
    struct fail f = {0};
    char store[96];
    snprintf(store, sizeof store, "sqlite:%s", path);
    config.store = store;
    config.cache = "none";
    assert_null(storage_open(&config, 1, &f));
    print_message("%s\n", f.text);
    assert_non_null(strstr(f.text, expected));
    assert_int_equal(f.exit, EXIT_FAILED);
}

/* Files that cannot be used are told apart. */
static void says_why_a_file_cannot_be_used(void **state)
{
    struct bench b;
    sqlite3 *db;
    (void)state;
    configure(&b);
    expect_refusal("/nowhere/at/all.db", "cannot be opened");
    FILE *file = fopen(b.path, "w");
    for (int i = 0; i < 1000; i++)
        fputs("this is no database ", file);
    fclose(file);
    expect_refusal(b.path, "not a database");
    unlink(b.path);
    assert_int_equal(sqlite3_open(b.path, &db), SQLITE_OK);
    sqlite3_exec(db, "CREATE TABLE device (id integer, name text)", NULL, NULL, NULL);
    sqlite3_close(db);
    expect_refusal(b.path, "other columns");
    remove_files(&b);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest any[] = {
        cmocka_unit_test(reads_back_round1),      cmocka_unit_test(reads_back_round2),
        cmocka_unit_test(counts_a_full_turn),     cmocka_unit_test(serves_two_loops),
        cmocka_unit_test(refuses_one_row_alone),  cmocka_unit_test(refuses_beyond_its_queue),
        cmocka_unit_test(answers_when_it_closes),
    };
    const struct CMUnitTest postgres[] = {
        cmocka_unit_test(refuses_bad_utf8),
        cmocka_unit_test(commits_as_asked),
        cmocka_unit_test(refuses_exactly_the_bad),
        cmocka_unit_test(divides_its_pool),
        cmocka_unit_test(is_unavailable_when_all_fail),
    };
    const struct CMUnitTest postgres_hurt[] = {
        cmocka_unit_test(survives_kill),           cmocka_unit_test(survives_stop),
        cmocka_unit_test(survives_pause),          cmocka_unit_test(survives_one_backend),
        cmocka_unit_test(says_why_it_cannot_open), cmocka_unit_test(loses_a_group_as_a_whole),
    };
    const struct CMUnitTest sqlite[] = {
        cmocka_unit_test(removes_its_temporary_file),     cmocka_unit_test(continues_a_database),
        cmocka_unit_test(waits_for_a_lock_in_vain),       cmocka_unit_test(survives_a_full_disk),
        cmocka_unit_test(says_why_a_file_cannot_be_used),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    if (argc > 1 && control_is_there())
        return cmocka_run_group_tests(postgres_hurt, NULL, NULL);
    int failed = cmocka_run_group_tests(any, NULL, NULL);
    failed += pg_uri() ? cmocka_run_group_tests(postgres, NULL, NULL)
                       : cmocka_run_group_tests(sqlite, NULL, NULL);
    return failed;
}
