#include "lab/pgconf.h"

/* What the published server had is a proportion of its memory and cores wherever PGTune made it so,
 * and a constant elsewhere. */

#include <inttypes.h>

#define MB UINT64_C(1048576)

static uint64_t clamp(uint64_t value, uint64_t low, uint64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* A folder's name as a quoted value: only the quote itself needs care, and is doubled. */
static void add_quoted(struct text *out, const char *name, const char *value)
{
    text_addf(out, "%s = '", name);
    for (; *value; value++)
        text_addf(out, *value == '\'' || *value == '\\' ? "%c%c" : "%c", *value, *value);
    text_addf(out, "'\n");
}

static void add_memory(const struct pgconf *c, struct text *out)
{
    uint64_t memory_mb = c->memory_bytes / MB;
    text_addf(out, "shared_buffers = %" PRIu64 "MB\n", clamp(memory_mb / 4, 32, 16384));
    text_addf(out, "effective_cache_size = %" PRIu64 "MB\n", clamp(memory_mb * 3 / 4, 64, 49152));
    text_addf(out, "maintenance_work_mem = %" PRIu64 "MB\n", clamp(memory_mb / 32, 16, 2048));
    text_addf(out, "work_mem = 3994kB\n"
                   "huge_pages = try\n");
}

static void add_wal(const struct pgconf *c, struct text *out)
{
    /* The log may fill a quarter of what is free: /tmp is often small, and a full disk is a PANIC.
     */
    uint64_t max_mb = clamp(c->disk_bytes / MB / 4, 64, 4096);
    text_addf(out, "wal_buffers = 16MB\n"
                   "checkpoint_completion_target = 0.9\n");
    text_addf(out, "min_wal_size = %" PRIu64 "MB\n", max_mb / 4 < 32 ? 32 : max_mb / 4);
    text_addf(out, "max_wal_size = %" PRIu64 "MB\n", max_mb);
    text_addf(out, "fsync = on\n"
                   "full_page_writes = on\n");
    text_addf(out, "synchronous_commit = %s\n", c->is_sync_commit_on ? "on" : "off");
}

static void add_workers(const struct pgconf *c, struct text *out)
{
    uint64_t workers = clamp(c->cpus, 2, 8);
    text_addf(out, "max_worker_processes = %" PRIu64 "\n", workers);
    text_addf(out, "max_parallel_workers = %" PRIu64 "\n", workers);
    text_addf(out, "max_parallel_workers_per_gather = %" PRIu64 "\n", workers / 2);
    text_addf(out, "max_parallel_maintenance_workers = %" PRIu64 "\n", workers / 2);
}

/* What costs CPU on every insert and changes nothing about what is stored or when a commit counts;
 * fsync and full_page_writes stay on.
 *   wal_writer_flush_after: PostgreSQL before 17 has every asynchronous commit wake the WAL writer as
 *     long as a written page of the log is not flushed, which by default is up to 1 MB later. Flushed
 *     at once, the wake-ups go (a fifth of its CPU), and less is at risk, not more.
 *   track_activities, update_process_title: what each backend does, told to pg_stat_activity and to
 *     ps at every statement.
 *   jit: never pays for a single-row insert. */
static void add_savings(struct text *out)
{
    text_addf(out, "wal_writer_flush_after = 0\n"
                   "track_activities = off\n"
                   "update_process_title = off\n"
                   "jit = off\n");
}

void pgconf_text(const struct pgconf *c, struct text *out)
{
    text_addf(out, "listen_addresses = '%s'\n", c->port ? "127.0.0.1" : "");
    text_addf(out, "port = %u\n", c->port ? c->port : 5432);
    text_addf(out, "unix_socket_permissions = 0700\n");
    add_quoted(out, "unix_socket_directories", c->folder);
    text_addf(out, "max_connections = %u\n", c->max_connections < 20 ? 20 : c->max_connections);
    add_memory(c, out);
    add_wal(c, out);
    add_workers(c, out);
    add_savings(out);
    text_addf(out, "default_statistics_target = 100\n"
                   "random_page_cost = 1.1\n"
                   "effective_io_concurrency = 200\n"
                   "timezone = 'Etc/UTC'\n"
                   "log_timezone = 'Etc/UTC'\n"
                   "logging_collector = off\n"
                   "log_destination = stderr\n");
}
