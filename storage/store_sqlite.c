/* An insert becomes a job with its own copy of the values, because its owner may be told UNKNOWN at
 * the deadline and go while a slow disk still keeps the writer busy. Jobs of a turn are handed over
 * together; the writer takes whatever is there, commits it as one transaction, and gives each loop
 * its jobs back with one post. */
#include "storage/store_sqlite.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/log.h"
#include "base/mem.h"
#include "storage/inserts.h"
#include "storage/ledger.h"
#include "storage/schema.h"
#include "storage/storage.h"

enum { UNDER_WAY_MOST = 16384 }; /* of one loop */
static const uint64_t IDLE_NS = 3600 * NS_PER_S;

struct store_sqlite;

struct job {
    struct job *next;         /* in the list that it is in: new, handed over, finished */
    struct job *next_younger; /* in its loop's list of what is under way */
    struct store_sqlite *store;
    struct store_insert *insert; /* the loop's; NULL once its owner was told UNKNOWN */
    enum store_outcome outcome;  /* the writer's until it is finished */
    int64_t id, created_us;
    char uuid[UUID_TEXT_BYTES];
    size_t mac_bytes, firmware_bytes;
    char values[]; /* mac, then firmware */
};

struct job_list {
    struct job *first, *last;
};

struct store_sqlite_file {
    sqlite3 *db; /* the writer's, once it runs */
    sqlite3_stmt *insert, *begin, *commit, *rollback;
    uint64_t timeout_ns;
    char path[512];
    char folder[256]; /* temporary, to be removed; "" when a path was given */
    pthread_t writer;

    pthread_mutex_t lock; /* of what follows, and of struct store_sqlite's shared part */
    pthread_cond_t changed;
    struct job_list handed_over;
    bool is_ending;
};

struct store_sqlite {
    struct store store;
    struct store_sqlite_file *file;
    struct loop_hook hook;
    struct timer timer; /* of the oldest under way; always armed, so that moving it never fails */
    struct inserts_later later;
    struct job_list fresh;         /* of this turn */
    struct job *oldest, *youngest; /* under way, by next_younger */
    uint32_t under_way_count;

    /* shared, under the file's lock */
    struct job_list finished;
    uint32_t with_writer_count;
    bool is_posted;
    struct task take; /* posted while is_posted */
};

static void insert(struct store *store, struct store_insert *i);
static void hand_over(struct loop_hook *hook);
static void *write_all(void *arg);
static void take_finished(struct task *t);
static void timer_due(struct timer *t);
static void close_store(struct store *store);
static void free_store(struct store *store);

static const struct store_ops ops = {"sqlite", insert, close_store, free_store};

static void push(struct job_list *list, struct job *j)
{
    j->next = NULL;
    if (list->last)
        list->last->next = j;
    else
        list->first = j;
    list->last = j;
}

static void append(struct job_list *list, struct job_list *more)
{
    if (!more->first)
        return;
    if (list->last)
        list->last->next = more->first;
    else
        list->first = more->first;
    list->last = more->last;
    *more = (struct job_list){0};
}

static struct job *pop(struct job_list *list)
{
    struct job *j = list->first;
    if (j)
        list->first = j->next;
    if (!list->first)
        list->last = NULL;
    return j;
}

/* --- opening --- */

static bool choose_path(struct store_sqlite_file *file, const char *path, struct fail *f)
{
    const char *below = getenv("TMPDIR");
    if (path) {
        if ((size_t)snprintf(file->path, sizeof file->path, "%s", path) >= sizeof file->path)
            return fail_set(f, EXIT_USAGE, "--store sqlite:PATH: the path is too long");
        return true;
    }
    if ((size_t)snprintf(file->folder, sizeof file->folder, "%s/iubench-XXXXXX",
                         below && *below ? below : "/tmp") >= sizeof file->folder ||
        !mkdtemp(file->folder)) {
        file->folder[0] = 0;
        return fail_set(f, EXIT_FAILED,
                        "no temporary folder for the embedded database could be made: %s; set "
                        "TMPDIR to a writable folder, or give --store sqlite:PATH",
                        strerror(errno));
    }
    snprintf(file->path, sizeof file->path, "%s/devices.db", file->folder);
    return true;
}

static bool fail_sqlite(struct store_sqlite_file *file, const char *what, struct fail *f)
{
    char path[256], reason[256];
    return fail_set(f, EXIT_FAILED, "SQLite database %s: %s: %s",
                    log_escape(span_of(file->path), path, sizeof path), what,
                    log_escape(span_of(sqlite3_errmsg(file->db)), reason, sizeof reason));
}

static bool run(struct store_sqlite_file *file, const char *sql, const char *what, struct fail *f)
{
    return sqlite3_exec(file->db, sql, NULL, NULL, NULL) == SQLITE_OK || fail_sqlite(file, what, f);
}

static bool prepare(struct store_sqlite_file *file, const char *sql, sqlite3_stmt **statement)
{
    return sqlite3_prepare_v3(file->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) ==
           SQLITE_OK;
}

static bool open_database(struct store_sqlite_file *file, int schema, struct fail *f)
{
    if (sqlite3_open_v2(file->path, &file->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        return fail_sqlite(file, "cannot be opened", f);
    /* Shorter than the deadline, so that a database locked by another process is told as such. */
    sqlite3_busy_timeout(file->db, (int)(file->timeout_ns / 2 / NS_PER_MS));
    if (!run(file, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL", "cannot be used", f) ||
        !run(file, schema_sqlite_sql, "the table device cannot be made", f) ||
        (schema == SCHEMA_ROUND2 &&
         !run(file, schema_sqlite_round2_sql, "the index of device cannot be made", f)))
        return false;
    if (sqlite3_db_readonly(file->db, "main"))
        return fail_set(f, EXIT_FAILED, "SQLite database %s is read-only", file->path);
    /* The columns are checked by preparing what will use them. */
    if (!prepare(file,
                 "INSERT INTO device (uuid, mac, firmware, created_at, updated_at) "
                 "VALUES (?1, ?2, ?3, ?4, ?4)",
                 &file->insert))
        return fail_sqlite(file, "its table device has other columns; drop it or choose another",
                           f);
    return (prepare(file, "BEGIN IMMEDIATE", &file->begin) &&
            prepare(file, "COMMIT", &file->commit) && prepare(file, "ROLLBACK", &file->rollback)) ||
           fail_sqlite(file, "cannot be used", f);
}

static void close_database(struct store_sqlite_file *file)
{
    sqlite3_finalize(file->insert);
    sqlite3_finalize(file->begin);
    sqlite3_finalize(file->commit);
    sqlite3_finalize(file->rollback);
    sqlite3_close(file->db);
    if (!*file->folder)
        return;
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char name[sizeof file->path + 16];
        snprintf(name, sizeof name, "%s%s", file->path, suffixes[i]);
        unlink(name);
    }
    rmdir(file->folder);
}

static bool start_writer(struct store_sqlite_file *file, struct fail *f)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&file->writer, NULL, write_all, file);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !error || fail_set(f, EXIT_LACKING,
                              "the thread of the embedded database could not be "
                              "started: %s",
                              strerror(error));
}

struct store_sqlite_file *store_sqlite_open(const char *path, int schema, uint64_t timeout_ns,
                                            struct fail *f)
{
    struct store_sqlite_file *file = mem_need(1, sizeof *file);
    file->timeout_ns = timeout_ns;
    pthread_mutex_init(&file->lock, NULL);
    pthread_cond_init(&file->changed, NULL);
    if (choose_path(file, path, f) && open_database(file, schema, f) && start_writer(file, f))
        return file;
    close_database(file);
    free(file);
    return NULL;
}

void store_sqlite_free(struct store_sqlite_file *file)
{
    if (!file)
        return;
    pthread_mutex_lock(&file->lock);
    file->is_ending = true;
    pthread_cond_broadcast(&file->changed);
    pthread_mutex_unlock(&file->lock);
    pthread_join(file->writer, NULL);
    close_database(file);
    free(file);
}

const char *store_sqlite_path(const struct store_sqlite_file *file)
{
    return file->path;
}

/* --- on the loop: from insert to hand-over --- */

struct store *store_sqlite_attach(struct store_sqlite_file *file, struct loop *loop)
{
    struct store_sqlite *s = mem_need(1, sizeof *s);
    s->store = (struct store){.ops = &ops, .loop = loop};
    s->file = file;
    s->hook.before_submit = hand_over;
    s->timer = (struct timer){.due = timer_due, .deadline_ns = TIMER_NEVER};
    s->take.run = take_finished;
    ledger_open(&s->store.counters, 1);
    ledger_connections(&s->store.counters, 1);
    inserts_later_init(&s->later, &s->store);
    loop_hook_add(loop, &s->hook);
    if (!timer_set(&loop->timers, &s->timer, loop->now_ns + IDLE_NS))
        fail_end(EXIT_FAILED, "out of memory: a timer");
    return &s->store;
}

static struct job *make_job(struct store_sqlite *s, struct store_insert *i)
{
    struct job *j = malloc(sizeof *j + i->mac.len + i->firmware.len);
    if (!j)
        return NULL;
    *j = (struct job){
        .store = s,
        .insert = i,
        .outcome = STORE_UNKNOWN,
        .created_us = i->created_us,
        .mac_bytes = i->mac.len,
        .firmware_bytes = i->firmware.len,
    };
    memcpy(j->uuid, i->uuid, sizeof j->uuid);
    memcpy(j->values, i->mac.data, i->mac.len);
    memcpy(j->values + i->mac.len, i->firmware.data, i->firmware.len);
    return j;
}

static void insert(struct store *store, struct store_insert *i)
{
    struct store_sqlite *s = (struct store_sqlite *)store;
    inserts_begin(store, i);
    struct job *j = s->under_way_count < UNDER_WAY_MOST ? make_job(s, i) : NULL;
    if (!j) {
        inserts_answer_later(&s->later, i, STORE_UNAVAILABLE);
        return;
    }
    push(&s->fresh, j);
    if (s->youngest)
        s->youngest->next_younger = j;
    else
        s->oldest = j;
    s->youngest = j;
    s->under_way_count++;
    ledger_given(&store->counters, 0, 1);
    if (s->oldest == j)
        CHECK(timer_set(&store->loop->timers, &s->timer, i->begun_ns + s->file->timeout_ns));
}

static void hand_over(struct loop_hook *hook)
{
    struct store_sqlite *s = (struct store_sqlite *)((char *)hook -
                                                     offsetof(struct store_sqlite, hook));
    uint32_t count = 0;
    if (!s->fresh.first)
        return;
    for (struct job *j = s->fresh.first; j; j = j->next)
        count++;
    pthread_mutex_lock(&s->file->lock);
    bool was_empty = !s->file->handed_over.first;
    append(&s->file->handed_over, &s->fresh);
    s->with_writer_count += count;
    pthread_mutex_unlock(&s->file->lock);
    if (was_empty)
        pthread_cond_broadcast(&s->file->changed);
}

/* --- on the writer --- */

static int step(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    sqlite3_reset(statement);
    return code;
}

/* What an error says about the one row: its values, or the state of everything. */
static enum store_outcome outcome_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_DONE:
        return STORE_DONE;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
        return STORE_REFUSED;
    default:
        return STORE_UNAVAILABLE;
    }
}

static void write_row(struct store_sqlite_file *file, struct job *j)
{
    char time[CLOCK_TEXT_BYTES];
    clock_text(j->created_us, time);
    sqlite3_bind_text(file->insert, 1, j->uuid, sizeof j->uuid, SQLITE_STATIC);
    sqlite3_bind_text(file->insert, 2, j->values, (int)j->mac_bytes, SQLITE_STATIC);
    sqlite3_bind_text(file->insert, 3, j->values + j->mac_bytes, (int)j->firmware_bytes,
                      SQLITE_STATIC);
    sqlite3_bind_text(file->insert, 4, time, CLOCK_TEXT_BYTES - 1, SQLITE_STATIC);
    j->outcome = outcome_of(step(file->insert));
    j->id = sqlite3_last_insert_rowid(file->db);
}

/* Without a transaction around it each row is committed, or not, by itself. */
static void write_singly(struct store_sqlite_file *file, struct job *first)
{
    for (struct job *j = first; j; j = j->next)
        write_row(file, j);
}

/* An error in one row undoes that row alone, unless it made SQLite roll back the whole (a full
 * disk): then each row is tried by itself, so that each has its own answer. */
static void write_batch(struct store_sqlite_file *file, struct job *first)
{
    if (step(file->begin) != SQLITE_DONE) {
        for (struct job *j = first; j; j = j->next)
            j->outcome = STORE_UNAVAILABLE;
        return;
    }
    for (struct job *j = first; j && !sqlite3_get_autocommit(file->db); j = j->next)
        write_row(file, j);
    if (!sqlite3_get_autocommit(file->db)) {
        if (step(file->commit) == SQLITE_DONE)
            return;
        if (!sqlite3_get_autocommit(file->db))
            (void)step(file->rollback);
    }
    write_singly(file, first);
}

/* Under the lock: jobs back to their stores, one post for each loop that is not awaiting one. */
static void give_back(struct job_list *batch)
{
    struct job *j;
    while ((j = pop(batch))) {
        struct store_sqlite *s = j->store;
        push(&s->finished, j);
        s->with_writer_count--;
        if (!s->is_posted) {
            s->is_posted = true;
            loop_post(s->store.loop, &s->take);
        }
    }
}

static void *write_all(void *arg)
{
    struct store_sqlite_file *file = arg;
    pthread_setname_np(pthread_self(), "sqlite");
    pthread_mutex_lock(&file->lock);
    for (;;) {
        while (!file->handed_over.first && !file->is_ending)
            pthread_cond_wait(&file->changed, &file->lock);
        if (!file->handed_over.first)
            break;
        struct job_list batch = {0};
        append(&batch, &file->handed_over);
        pthread_mutex_unlock(&file->lock);
        write_batch(file, batch.first);
        pthread_mutex_lock(&file->lock);
        give_back(&batch);
        pthread_cond_broadcast(&file->changed);
    }
    pthread_mutex_unlock(&file->lock);
    return NULL;
}

/* --- on the loop again --- */

static struct job *drop_oldest(struct store_sqlite *s)
{
    struct job *j = s->oldest;
    s->oldest = j->next_younger;
    if (!s->oldest)
        s->youngest = NULL;
    s->under_way_count--;
    ledger_given(&s->store.counters, 0, -1);
    return j;
}

static void answer(struct store_sqlite *s, struct job *j)
{
    struct store_insert *i = j->insert;
    enum store_outcome outcome = j->outcome;
    /* The writer keeps the order, so what comes back is the oldest, unless it was given up. */
    if (i) {
        CHECK(j == s->oldest);
        drop_oldest(s);
        i->id = j->id;
    }
    free(j);
    if (i)
        inserts_answer(&s->store, i, outcome);
}

static void take_finished(struct task *t)
{
    struct store_sqlite *s = (struct store_sqlite *)((char *)t -
                                                     offsetof(struct store_sqlite, take));
    struct job_list finished = {0};
    struct job *j;
    pthread_mutex_lock(&s->file->lock);
    append(&finished, &s->finished);
    s->is_posted = false;
    pthread_mutex_unlock(&s->file->lock);
    while ((j = pop(&finished)))
        answer(s, j);
}

static void give_up_oldest(struct store_sqlite *s)
{
    struct job *j = drop_oldest(s);
    inserts_answer_later(&s->later, j->insert, STORE_UNKNOWN);
    j->insert = NULL;
}

static void timer_due(struct timer *t)
{
    struct store_sqlite *s = (struct store_sqlite *)((char *)t -
                                                     offsetof(struct store_sqlite, timer));
    uint64_t now_ns = s->store.loop->now_ns, timeout_ns = s->file->timeout_ns;
    while (s->oldest && s->oldest->insert->begun_ns + timeout_ns <= now_ns)
        give_up_oldest(s);
    uint64_t next_ns = s->oldest ? s->oldest->insert->begun_ns + timeout_ns : now_ns + IDLE_NS;
    CHECK(timer_set(&s->store.loop->timers, t, next_ns));
}

/* The writer cannot be interrupted, so what is under way gets its true outcome. A post that is
 * still on its way to the loop finds nothing left to do. */
static void close_store(struct store *store)
{
    struct store_sqlite *s = (struct store_sqlite *)store;
    struct job_list finished = {0};
    struct job *j;
    hand_over(&s->hook);
    loop_hook_remove(store->loop, &s->hook);
    timer_clear(&store->loop->timers, &s->timer);
    pthread_mutex_lock(&s->file->lock);
    while (s->with_writer_count)
        pthread_cond_wait(&s->file->changed, &s->file->lock);
    append(&finished, &s->finished);
    pthread_mutex_unlock(&s->file->lock);
    while ((j = pop(&finished)))
        answer(s, j);
    inserts_later_finish(&s->later);
}

static void free_store(struct store *store)
{
    ledger_close(&store->counters);
    free(store);
}
