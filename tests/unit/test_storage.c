/* What storage is chosen, and what is said of options that make no sense: no server is needed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "storage/storage.h"

static int clean_environment(void **state)
{
    static const char *const names[] = {"PGHOST",     "PGHOSTADDR",   "PGPORT",
                                        "PGDATABASE", "PGSERVICE",    "PGUSER",
                                        "PGPASSWORD", "DATABASE_URL", "MEMCACHED_SERVERS"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    return 0;
}

static void expect_text(const struct storage_config *config, const char *store, const char *cache,
                        bool is_embedded)
{
    struct fail f;
    struct storage *s = storage_open(config, 1, &f);
    if (!s)
        fail_msg("%s", f.text);
    assert_int_equal(strncmp(storage_store_text(s), store, strlen(store)), 0);
    assert_int_equal(strncmp(storage_cache_text(s), cache, strlen(cache)), 0);
    assert_int_equal(storage_is_embedded(s), is_embedded);
    storage_free(s);
}

/* Nothing named: what is built in. PGUSER alone names no server. */
static void takes_what_is_built_in(void **state)
{
    struct storage_config c = STORAGE_CONFIG_DEFAULT;
    (void)state;
    expect_text(&c, "sqlite /", "memory, 64 MiB (embedded)", true);
    setenv("PGUSER", "somebody", 1);
    setenv("PGHOST", "", 1);
    expect_text(&c, "sqlite /", "memory", true);
    clean_environment(NULL);
}

/* Either part can be left out. */
static void leaves_parts_out(void **state)
{
    struct storage_config c = STORAGE_CONFIG_DEFAULT;
    (void)state;
    c.store = "none";
    expect_text(&c, "none", "memory", true);
    c.cache = "none";
    c.pg = "postgresql://nobody@127.0.0.1:1/nothing";
    c.memcached = "127.0.0.1:1";
    expect_text(&c, "none", "none", false);
}

static void expect_failure(const struct storage_config *config, int exit, const char *expected)
{
    struct fail f = {0};
    assert_null(storage_open(config, 1, &f));
    print_message("%s\n", f.text);
    assert_int_equal(f.exit, exit);
    assert_non_null(strstr(f.text, expected));
    assert_null(strstr(f.text, "hunter"));
    assert_null(strstr(f.text, "secret"));
}

/* Words that are no store or cache, and options that contradict each other. */
static void refuses_bad_words(void **state)
{
    struct storage_config c = STORAGE_CONFIG_DEFAULT;
    (void)state;
    c.store = "oracle";
    expect_failure(&c, EXIT_USAGE, "--store oracle: expected sqlite:PATH");
    c.store = "sqlite:/tmp/x.db";
    c.pg = "postgresql://localhost/mydb";
    expect_failure(&c, EXIT_USAGE, "contradict");
    c = STORAGE_CONFIG_DEFAULT;
    c.store = "none";
    c.cache = "redis";
    expect_failure(&c, EXIT_USAGE, "--cache redis: expected memcached");
    c.cache = "memory";
    c.memcached = "127.0.0.1:1";
    expect_failure(&c, EXIT_USAGE, "contradict");
    c = STORAGE_CONFIG_DEFAULT;
    c.timeout_ns = NS_PER_MS - 1;
    expect_failure(&c, EXIT_USAGE, "--storage-timeout must be at least 1ms");
}

/* Texts that PostgreSQL's library cannot read, or reads wrongly, are not quoted: a password may be
 * anywhere in them. */
static void hides_passwords(void **state)
{
    static const char *const texts[] = {
        "host=localhost password=my secret words",   "postgresql://bob:hunter@2@localhost/mydb",
        "postgresql://bob:hunter/2@localhost/mydb",  "postgresql://bob:hunter2@localhost:hunter/x",
        "mysql://bob:hunter2@localhost/mydb",        "postgresql://bob:hun%zzter@localhost/mydb",
        "postgresql://localhost/mydb?secret=hunter2"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct storage_config c = STORAGE_CONFIG_DEFAULT;
        c.pg = texts[i];
        expect_failure(&c, EXIT_USAGE, "--pg ");
        c.pg = NULL;
        setenv("DATABASE_URL", texts[i], 1);
        expect_failure(&c, EXIT_USAGE, "DATABASE_URL ");
        unsetenv("DATABASE_URL");
    }
}

/* A server that is not there is named, with what to do. */
static void names_who_does_not_answer(void **state)
{
    struct storage_config c = STORAGE_CONFIG_DEFAULT;
    (void)state;
    c.pg = "postgresql://bob:hunter2@127.0.0.1:1/mydb";
    expect_failure(&c, EXIT_FAILED, "Connection refused");
    setenv("PGHOST", "127.0.0.1", 1);
    setenv("PGPORT", "1", 1);
    c.pg = NULL;
    expect_failure(&c, EXIT_FAILED, "Connection refused");
    clean_environment(NULL);
    c.store = "none";
    c.memcached = "127.0.0.1:1";
    expect_failure(&c, EXIT_FAILED, "memcached at 127.0.0.1:1 cannot be reached");
    c.memcached = "/nowhere/memcached.sock";
    expect_failure(&c, EXIT_FAILED, "memcached at /nowhere/memcached.sock cannot be reached");
    c.memcached = NULL;
    setenv("MEMCACHED_SERVERS", "127.0.0.1:1", 1);
    expect_failure(&c, EXIT_FAILED, "memcached at 127.0.0.1:1 cannot be reached");
    clean_environment(NULL);
}

/* Lists of memcached servers that cannot be read. */
static void refuses_bad_lists(void **state)
{
    static const char *const lists[] = {"",
                                        ",",
                                        "127.0.0.1:0",
                                        "127.0.0.1:65536",
                                        "127.0.0.1:x",
                                        "127.0.0.1:11211,",
                                        ":11211",
                                        "127.0.0.1:11211/?x",
                                        "127.0.0.1:11211/?0",
                                        "--NONSENSE",
                                        "--SERVER=127.0.0.1:1 --NAMESPACE=abc"};
    struct storage_config c = STORAGE_CONFIG_DEFAULT;
    (void)state;
    c.store = "none";
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        c.memcached = lists[i];
        expect_failure(&c, EXIT_USAGE, "--memcached");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(takes_what_is_built_in, clean_environment),
        cmocka_unit_test_setup(leaves_parts_out, clean_environment),
        cmocka_unit_test_setup(refuses_bad_words, clean_environment),
        cmocka_unit_test_setup(hides_passwords, clean_environment),
        cmocka_unit_test_setup(names_who_does_not_answer, clean_environment),
        cmocka_unit_test_setup(refuses_bad_lists, clean_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
