#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "lab/own.h"
#include "lab/target_file.h"

static const struct target_places places = {
    "127.0.0.1", 8080, "postgresql://b@h/d", "h:11211", "http://h/external", 2, 4};

static struct target_file file;
static struct target_words words;
static struct fail f;

/* All keys, with what they become; what is left out has its default. */
static void test_keys(void **state)
{
    (void)state;
    assert_true(target_file_parse(
        "/tmp/x.ini",
        SPAN("; a comment\n[target]\nname = my-service\nsummary = a service\nneeds = node\n"
             "mend = apt-get install nodejs\nsetup = npm ci\ncommand = node server.js\n"
             "    --port {port}\ndirectory = /\nhealth = /up\nenv = A=1\nenv = B={host}\n"
             "deviations = error-body\nstart-timeout = 1500ms\nstop-timeout = 2s\nstop-signal = "
             "SIGINT\n"),
        &file, &f));
    assert_string_equal(file.name, "my-service");
    assert_string_equal(file.command, "node server.js --port {port}");
    assert_string_equal(file.directory, "/");
    assert_string_equal(file.health, "/up");
    assert_int_equal(file.env_count, 2);
    assert_string_equal(file.env[1], "B={host}");
    assert_int_equal(file.start_timeout_ns, 1500 * NS_PER_MS);
    assert_int_equal(file.stop_timeout_ns, 2 * NS_PER_S);
    assert_int_equal(file.stop_signal, SIGINT);

    assert_true(target_file_parse("/x.ini", SPAN("[target]\nname = x\ncommand = y\n"), &file, &f));
    assert_string_equal(file.health, "/healthz");
    assert_string_equal(file.directory, "/");
    assert_int_equal(file.start_timeout_ns, 30 * NS_PER_S);
    assert_int_equal(file.stop_timeout_ns, 5 * NS_PER_S);
    assert_int_equal(file.stop_signal, SIGTERM);
}

static void assert_words(const char *command, const char *const *wanted)
{
    words = (struct target_words){0};
    assert_true(target_file_words(command, "command", &places, &words, &f));
    const char *at = words.text;
    for (unsigned i = 0; wanted[i]; i++, at += strlen(at) + 1) {
        assert_in_range(i, 0, words.count - 1);
        assert_string_equal(at, wanted[i]);
    }
    assert_ptr_equal(at, words.text + words.len);
}

/* Words end at white space, unless it is quoted; places are filled in wherever they stand. */
static void test_words(void **state)
{
    (void)state;
    assert_words("a  b\tc", (const char *[]){"a", "b", "c", NULL});
    assert_words(" --listen {host}:{port} ", (const char *[]){"--listen", "127.0.0.1:8080", NULL});
    assert_words("\"a b\"c \"\" {{x} {workers}", (const char *[]){"a bc", "", "{x}", "4", NULL});
    assert_words("{pg_uri}{memcached} {upstream} {cores}",
                 (const char *[]){"postgresql://b@h/dh:11211", "http://h/external", "2", NULL});
}

/* What a run does not have is said, not left empty; neither are words without an end. */
static void test_bad_words(void **state)
{
    (void)state;
    static const struct target_places nothing = {.host = "h", .port = 1};
    static const char *const wrong[] = {"{pg_uri}", "{nothing}", "{", "{host", "a \"b", "{ host}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        words = (struct target_words){0};
        assert_false(target_file_words(wrong[i], "command", &nothing, &words, &f));
        assert_int_equal(f.exit, EXIT_USAGE);
    }
}

/* A text that is longer than all there is room for is refused. */
static void test_long(void **state)
{
    (void)state;
    char text[sizeof words.text + 2];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    words = (struct target_words){0};
    assert_false(target_file_entry(text, "env", &places, &words, &f));
}

/* Our own options are handed on to a process of its own as they can be read back. */
static void test_own(void **state)
{
    (void)state;
    struct target_config config = target_config_default;
    config.mode = MODE_DB;
    config.threads = 3;
    config.storage.pg_pool = 7;
    config.storage.timeout_ns = 1500 * NS_PER_MS;
    config.limits.head.line_bytes = 4096;
    config.fib_max = 42;
    assert_true(own_target_file(&file, &config, true, false, &f));
    static const char *const parts[] = {" serve --listen {host}:{port}",
                                        " --mode db",
                                        " --threads 3",
                                        " --pg {pg_uri}",
                                        " --pg-pool 7",
                                        " --storage-timeout 1.5s",
                                        " --max-line 4096",
                                        " --fib-max 42"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(file.command, parts[i]))
            fail_msg("no \"%s\" in: %s", parts[i], file.command);
    assert_null(strstr(file.command, "--memcached"));
    config.storage.store = "sqlite:/a \"b\"";
    assert_false(own_target_file(&file, &config, false, false, &f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys), cmocka_unit_test(test_words), cmocka_unit_test(test_bad_words),
        cmocka_unit_test(test_long), cmocka_unit_test(test_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
