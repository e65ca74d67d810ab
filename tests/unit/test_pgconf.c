#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "lab/pgconf.h"

#define GB (UINT64_C(1) << 30)

static void assert_line(const struct text *t, const char *line)
{
    const char *at = strstr(t->data, line);
    if (!at || at[strlen(line)] != '\n' || (at != t->data && at[-1] != '\n'))
        fail_msg("no line \"%s\" in:\n%s", line, t->data);
}

/* On a machine like the published one the settings are the published ones. */
static void test_published(void **state)
{
    (void)state;
    struct text t = {0};
    pgconf_text(&(struct pgconf){.folder = "/tmp/x",
                                 .memory_bytes = 64 * GB,
                                 .disk_bytes = 1000 * GB,
                                 .cpus = 8,
                                 .max_connections = 1050,
                                 .is_sync_commit_on = true},
                &t);
    static const char *const lines[] = {
        "max_connections = 1050",
        "shared_buffers = 16384MB",
        "effective_cache_size = 49152MB",
        "maintenance_work_mem = 2048MB",
        "work_mem = 3994kB",
        "wal_buffers = 16MB",
        "checkpoint_completion_target = 0.9",
        "default_statistics_target = 100",
        "random_page_cost = 1.1",
        "effective_io_concurrency = 200",
        "huge_pages = try",
        "min_wal_size = 1024MB",
        "max_wal_size = 4096MB",
        "max_worker_processes = 8",
        "max_parallel_workers = 8",
        "max_parallel_workers_per_gather = 4",
        "max_parallel_maintenance_workers = 4",
        "fsync = on",
        "full_page_writes = on",
        "synchronous_commit = on",
        "wal_writer_flush_after = 0",
        "track_activities = off",
        "update_process_title = off",
        "jit = off",
        "timezone = 'Etc/UTC'",
        "listen_addresses = ''",
        "unix_socket_directories = '/tmp/x'",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_line(&t, lines[i]);
    text_free(&t);
}

/* A laptop gets its share; a tiny one still gets what PostgreSQL needs to run. */
static void test_scaled(void **state)
{
    (void)state;
    struct text t = {0};
    pgconf_text(&(struct pgconf){.folder = "/tmp/x",
                                 .memory_bytes = 8 * GB,
                                 .disk_bytes = 4 * GB,
                                 .cpus = 2,
                                 .max_connections = 24},
                &t);
    assert_line(&t, "shared_buffers = 2048MB");
    assert_line(&t, "max_wal_size = 1024MB");
    assert_line(&t, "min_wal_size = 256MB");
    assert_line(&t, "max_worker_processes = 2");
    assert_line(&t, "max_connections = 24");
    assert_line(&t, "synchronous_commit = off");
    text_free(&t);

    pgconf_text(&(struct pgconf){.folder = "/tmp/x", .cpus = 1}, &t);
    assert_line(&t, "shared_buffers = 32MB");
    assert_line(&t, "min_wal_size = 32MB");
    assert_line(&t, "max_wal_size = 64MB");
    assert_line(&t, "max_connections = 20");
    text_free(&t);
}

/* A folder's name cannot end the value that it stands in. */
static void test_quoting(void **state)
{
    (void)state;
    struct text t = {0};
    pgconf_text(&(struct pgconf){.folder = "/tmp/it's \\ here"}, &t);
    assert_line(&t, "unix_socket_directories = '/tmp/it''s \\\\ here'");
    text_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published),
        cmocka_unit_test(test_scaled),
        cmocka_unit_test(test_quoting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
