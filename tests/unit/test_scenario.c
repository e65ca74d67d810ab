#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lab/scenario.h"

static struct scenario scenario;
static struct fail failure;

static bool parse(const char *text)
{
    memset(&scenario, 0xff, sizeof scenario);
    return scenario_parse("dir/some.ini", span_of(text), &scenario, &failure);
}

static void assert_parsed(const char *text)
{
    if (!parse(text))
        fail_msg("%s", failure.text);
}

static void assert_refused(const char *text, const char *message)
{
    assert_false(parse(text));
    assert_int_equal(failure.exit, EXIT_USAGE);
    assert_string_equal(failure.text, message);
}

/* Every section sets its party's configuration; what is not given keeps the party's default. */
static void test_sections(void **state)
{
    (void)state;
    assert_parsed("; comment\n"
                  "# comment\n"
                  "[scenario]\n"
                  "name = shop\n"
                  "summary = a summary\n"
                  "services = postgres memcached\n"
                  "[target]\n"
                  "mode = db\n"
                  "threads = 3\n"
                  "[upstream]\n"
                  "delay = 20ms\n"
                  "[load]\n"
                  "path = /api/devices?x=1\n"
                  "connections = 7 ; a comment\n"
                  "timeout=100ms\n");
    assert_string_equal(scenario.name, "shop");
    assert_string_equal(scenario.summary, "a summary");
    assert_string_equal(scenario.published, "");
    assert_true(scenario.wants_postgres && scenario.wants_memcached);
    assert_int_equal(scenario.target.mode, MODE_DB);
    assert_int_equal(scenario.target.threads, 3);
    assert_int_equal(scenario.target.fib_max, target_config_default.fib_max);
    assert_int_equal(scenario.upstream.delay.a_ns, 20 * NS_PER_MS);
    assert_string_equal(scenario.path, "/api/devices?x=1");
    assert_int_equal(scenario.load.connections, 7);
    assert_true(scenario.load.connections_was_set);
    assert_int_equal(scenario.load.timeout_ns, 100 * NS_PER_MS);
    assert_int_equal(scenario.load.duration_ns, 10 * NS_PER_S);
    assert_null(scenario.load.ramp);
}

/* A fault on demand; what does not fit together is told with the file's name. */
static void test_fault(void **state)
{
    (void)state;
    assert_parsed("[load]\npath = /x\n[fault]\nwhat = descriptors\nparty = memcached\n"
                  "from = 12.5%\nto = 100%\ndescriptors = 32\n");
    assert_int_equal(scenario.fault.what, FAULT_DESCRIPTORS);
    assert_int_equal(scenario.fault.party, FAULT_MEMCACHED);
    assert_float_equal(scenario.fault.from_pct, 12.5, 1e-9);
    assert_float_equal(scenario.fault.to_pct, 100, 1e-9);
    assert_int_equal(scenario.fault.descriptors, 32);
    assert_refused(
        "[load]\npath = /x\n[fault]\nwhat = stall\nfrom = 5s\n",
        "dir/some.ini:5: from: \"5s\" is no share: expected percent of the load's length "
        "such as 25%");
    assert_refused("[load]\npath = /x\n[fault]\nwhat = stall\nfrom = 50%\nto = 50%\n",
                   "dir/some.ini: [fault] ends before it begins: expected from and to such as 25% "
                   "and 50%");
}

/* Without a name the file's is taken; without services none are wanted. */
static void test_defaults(void **state)
{
    (void)state;
    assert_parsed("[load]\npath = /x\n");
    assert_string_equal(scenario.name, "some");
    assert_false(scenario.wants_postgres || scenario.wants_memcached);
    assert_parsed("[scenario]\nservices =\n[load]\npath = /x");
    assert_false(scenario.wants_postgres || scenario.wants_memcached);
}

/* An indented line continues the value above, comments and blank lines in between or not. */
static void test_continued(void **state)
{
    (void)state;
    assert_parsed("[scenario]\r\n"
                  "published = one,\r\n"
                  "    two = 2,\r\n"
                  "\tthree\r\n"
                  "summary = s\r\n"
                  "[load]\r\n"
                  "path = /x\r\n");
    assert_string_equal(scenario.published, "one, two = 2, three");
    assert_string_equal(scenario.summary, "s");
}

/* A header may be given several times; a body keeps its braces and colons; a ramp may be empty. */
static void test_values(void **state)
{
    (void)state;
    assert_parsed("[load]\n"
                  "path = /x\n"
                  "header = A: 1\n"
                  "header = B: 2\n"
                  "body = {\"a\":\"b;c\"}\n"
                  "rps-ramp =\n");
    assert_int_equal(scenario.load.headers.count, 2);
    assert_string_equal(scenario.load.headers.items[0], "A: 1");
    assert_string_equal(scenario.load.headers.items[1], "B: 2");
    assert_string_equal(scenario.load.body, "{\"a\":\"b;c\"}");
    assert_string_equal(scenario.load.ramp, "");
}

/* What was published is read as figures of contestants. */
static void test_figures(void **state)
{
    (void)state;
    assert_parsed("[scenario]\nfigures = gin max_rps 40k,\n  fastapi-article mean_us 9.5\n"
                  "[load]\npath = /x\n");
    assert_int_equal(scenario.figure_count, 2);
    assert_string_equal(scenario.figures[0].contestant, "gin");
    assert_string_equal(scenario.figures[0].metric, "max_rps");
    assert_true(scenario.figures[0].value == 40000);
    assert_string_equal(scenario.figures[1].contestant, "fastapi-article");
    assert_string_equal(scenario.figures[1].metric, "mean_us");
    assert_refused("[scenario]\nfigures = gin 40k\n",
                   "dir/some.ini:2: figures: \"gin 40k\" is no figure: expected CONTESTANT METRIC "
                   "VALUE, such as gin max_rps 40k");
    assert_refused("[scenario]\nfigures = gin speed 40k\n",
                   "dir/some.ini:2: figures: \"speed\" is no metric: expected one of max_rps, rps, "
                   "mean_us, p99_us, size_bytes, start_ms, idle_bytes, memory_bytes");
}

/* What a reproduction needs: who races, the slower published one first, by what, and why. */
static void test_reproduced(void **state)
{
    (void)state;
    assert_parsed("[scenario]\ncontestants = slow , fast,iubench\nmetrics = p99_us, rps\n"
                  "published-ratio = 5 to 10\nsteps = 500 to 80k\ncause = because\n"
                  "[load]\npath = /x\n");
    assert_int_equal(scenario.contestant_count, 3);
    assert_string_equal(scenario.contestants[0], "slow");
    assert_string_equal(scenario.contestants[2], "iubench");
    assert_int_equal(scenario.metric_count, 2);
    assert_string_equal(scenario.metrics[0]->name, "p99_us");
    assert_true(scenario.ratio.low == 5 && scenario.ratio.high == 10);
    assert_true(scenario.step_from == 500 && scenario.step_to == 80000);
    assert_string_equal(scenario.cause, "because");
    assert_false(scenario_weighs(&scenario));
    assert_parsed("[scenario]\nmetrics = idle_bytes\n[load]\npath = /x\n");
    assert_true(isnan(scenario.ratio.low) && scenario.contestant_count == 0);
    assert_true(scenario_weighs(&scenario));
    assert_refused("[scenario]\ncontestants = one\n",
                   "dir/some.ini:2: contestants: expected two contestants at least, the slower "
                   "published one first, such as fastapi-published, go-published");
    assert_refused("[scenario]\ncontestants = one, one\n",
                   "dir/some.ini:2: contestants: one is named twice");
    assert_refused("[scenario]\nsteps = 1 to 20000\n",
                   "dir/some.ini:2: steps: the range is too wide: expected a factor of 10000 at "
                   "most");
    assert_refused("[scenario]\nshape = 2\n",
                   "dir/some.ini:2: shape: \"2\": expected video, CPUS:MEMORY such as 0.5:512M, or "
                   "three of these for target/PostgreSQL/memcached");
    assert_refused("[scenario]\npublished-ratio = 5-10\n",
                   "dir/some.ini:2: published-ratio: \"5-10\" is no range: expected LOW to HIGH, "
                   "such as 5 to 10");
}

/* Every mistake is named with file and line, what was found and what was expected. */
static void test_refused(void **state)
{
    (void)state;
    assert_refused("[load]\n\nconections = 5\npath = /x\n",
                   "dir/some.ini:3: unknown key \"conections\" in [load]: did you mean "
                   "\"connections\"?");
    assert_refused(
        "[scenario]\nzzzzzz = 5\n",
        "dir/some.ini:2: unknown key \"zzzzzz\" in [scenario]: expected one of name, "
        "summary, published, figures, services, workers, pin, shape, contestants, metrics, "
        "published-ratio, steps, cause");
    assert_refused("[load]\ndelay = 5ms\n",
                   "dir/some.ini:2: \"delay\" is no key of [load]: it belongs in [upstream]");
    assert_refused("[taget]\nmode = db\n",
                   "dir/some.ini:2: unknown section [taget], did you mean [target]?: expected "
                   "[scenario], [target], [upstream], [load] or [fault]");
    assert_refused("path = /x\n",
                   "dir/some.ini:1: \"path\" stands before the first section: expected [scenario], "
                   "[target], [upstream], [load] or [fault] above it");
    assert_refused("[load]\npath = /x\nnonsense\n",
                   "dir/some.ini:3: \"nonsense\" is neither: expected [section], key = value or ; "
                   "comment");
    assert_refused("[load\npath = /x\n",
                   "dir/some.ini:1: \"[load\" is neither: expected [section], key = value or ; "
                   "comment");
    assert_refused(
        "[load]\npath = api\n",
        "dir/some.ini:2: path: \"api\" is not a path: expected one such as /api/devices");
    assert_refused("[load]\npath = /x\npath = /y\n",
                   "dir/some.ini:3: \"path\" in [load] was given on line 2 already");
    assert_refused("[load]\npath = /x\n  method = GET\n",
                   "dir/some.ini:3: an indented line continues \"path\" above: expected the key "
                   "\"method\" at the beginning of its line");
    assert_refused("[load]\np\xe5th = /x\n  method = GET\n",
                   "dir/some.ini:3: an indented line continues \"p\\xe5th\" above: expected the "
                   "key \"method\" at the beginning of its line");
    assert_refused("[scenario]\nservices = postgres, memcache\n",
                   "dir/some.ini:2: services: \"memcache\" is no service: expected postgres, "
                   "memcached; did you mean memcached?");
    assert_refused("[scenario]\nname = a/b\n",
                   "dir/some.ini:2: name: \"a/b\" is not a name: expected letters, digits, - and "
                   "_, since results are filed under it");
    assert_refused("[scenario]\nsummary = s\n",
                   "dir/some.ini: [load] has no path: expected a line such as path = /api/devices");
}

/* The checks of values are those of the command line, with file, line and key before them. */
static void test_refused_values(void **state)
{
    (void)state;
    static const struct {
        const char *text, *begin;
    } cases[] = {
        {"[load]\npath = /x\ntimeout = soon\n", "dir/some.ini:3: timeout: "},
        {"[load]\npath = /x\nconnections = 0\n", "dir/some.ini:3: connections: "},
        {"[load]\nconnections = 1\n  2\npath = /x\n", "dir/some.ini:2: connections: "},
        {"[target]\nmode = bd\n[load]\npath = /x\n", "dir/some.ini:2: mode: "},
        {"[upstream]\ndelay = never\n[load]\npath = /x\n", "dir/some.ini:2: delay: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(parse(cases[i].text));
        assert_int_equal(failure.exit, EXIT_USAGE);
        if (strncmp(failure.text, cases[i].begin, strlen(cases[i].begin)) != 0)
            fail_msg("%s", failure.text);
    }
}

/* Lines that libinih would cut, and bytes that would end them, are refused, as is what is no text.
 */
static void test_hostile(void **state)
{
    (void)state;
    char text[2048];
    snprintf(text, sizeof text, "[load]\npath = /x\nbody = %01000d\n", 0);
    assert_false(parse(text));
    assert_non_null(strstr(failure.text, "dir/some.ini:3: the line has a NUL byte or more than"));
    assert_false(scenario_parse("a.ini", SPAN("[load]\npath = /x\0y\n"), &scenario, &failure));
    assert_non_null(strstr(failure.text, "a.ini:2: the line has a NUL byte"));
    assert_false(parse(""));
    assert_false(parse("\x7f\x45LF\x01\x02\n"));
    assert_null(strpbrk(failure.text, "\x7f\x01"));
    struct text many = {0};
    text_addf(&many, "[load]\n");
    for (int i = 0; i < 300; i++)
        text_addf(&many, "header = A: 1\n");
    assert_false(parse(many.data));
    assert_non_null(strstr(failure.text, "dir/some.ini:130: a scenario has at most 128 keys"));
    text_free(&many);
}

/* Prefixes of a good file never crash and never pass by accident for another. */
static void test_prefixes(void **state)
{
    (void)state;
    for (const struct scenario_file *file = scenario_files(); file->name; file++)
        for (size_t len = 0; len <= file->text.len; len++) {
            struct span cut = {malloc(len + 1), len};
            assert_non_null(cut.data);
            memcpy((char *)cut.data, file->text.data, len);
            if (!scenario_parse("cut.ini", cut, &scenario, &failure))
                assert_int_equal(failure.exit, EXIT_USAGE);
            free((char *)cut.data);
        }
}

/* The built-in ones are the published tests and say what they say. */
static void test_built_in(void **state)
{
    (void)state;
    static const char *const names[] = {"fault-cache-lost",
                                        "fault-db-stall",
                                        "fault-fd",
                                        "fault-fd-cache",
                                        "fault-overload",
                                        "fetch-external",
                                        "fetch-external-ab",
                                        "fib",
                                        "fib-ab",
                                        "footprint",
                                        "rps-table",
                                        "techempower-json",
                                        "techempower-plaintext",
                                        "test1",
                                        "test1-closed",
                                        "test2",
                                        "test2-closed",
                                        "why-closed-loop",
                                        "why-few-workers",
                                        "why-idle-connections",
                                        "why-many-workers",
                                        "why-open-loop",
                                        "why-orm",
                                        "why-timeout"};
    enum { FILES = sizeof names / sizeof *names };
    const struct scenario_file *files = scenario_files();
    for (size_t i = 0; i < FILES; i++) {
        assert_string_equal(files[i].name, names[i]);
        if (!scenario_load(names[i], &scenario, &failure))
            fail_msg("%s", failure.text);
        assert_string_equal(scenario.name, names[i]);
        assert_true(*scenario.summary);
        bool is_fault = strncmp(names[i], "fault-", 6) == 0;
        assert_true(*scenario.published || is_fault);
        assert_true((scenario.fault.what != FAULT_NONE) == is_fault);
        assert_true((*scenario.cause != 0) == (scenario.contestant_count >= 2));
    }
    assert_null(files[FILES].name);

    assert_true(scenario_load("test1", &scenario, &failure));
    assert_int_equal(scenario.target.mode, MODE_STATIC);
    assert_string_equal(scenario.path, "/api/devices");
    assert_string_equal(scenario.load.ramp, "5000:100000:5000/1s");
    assert_false(scenario.wants_postgres || scenario.wants_memcached);
    assert_true(!*scenario.pin && !*scenario.shape);
    assert_true(scenario_load("why-many-workers", &scenario, &failure));
    assert_string_equal(scenario.pin, "none");
    assert_string_equal(scenario.shape, "1:2G");
    assert_true(scenario_load("test2", &scenario, &failure));
    assert_int_equal(scenario.target.mode, MODE_DB);
    assert_string_equal(scenario.load.method, "POST");
    assert_string_equal(scenario.load.body,
                        "{\"mac\":\"EF-2B-C4-F5-D6-34\",\"firmware\":\"2.1.5\"}");
    assert_true(scenario.wants_postgres && scenario.wants_memcached);
    assert_true(scenario_load("fib", &scenario, &failure));
    assert_int_equal(scenario.load.requests, 1000);
    assert_int_equal(scenario.load.connections, 100);
    assert_null(scenario.load.ramp);
    assert_true(scenario_load("fetch-external", &scenario, &failure));
    assert_int_equal(scenario.target.mode, MODE_PROXY);
    assert_int_equal(scenario.upstream.delay.a_ns, 500 * NS_PER_MS);
}

/* A name that is none is answered with the nearest; a path is read as a file. */
static void test_load(void **state)
{
    (void)state;
    char path[] = "/tmp/iubench-scenario-XXXXXX";
    assert_false(scenario_load("tets1", &scenario, &failure));
    assert_int_equal(failure.exit, EXIT_USAGE);
    assert_string_equal(failure.text, "unknown scenario \"tets1\"; did you mean \"test1\"?");
    assert_false(scenario_load("shop", &scenario, &failure));
    assert_string_equal(
        failure.text,
        "unknown scenario \"shop\": expected "
        "fault-cache-lost, fault-db-stall, fault-fd, fault-fd-cache, fault-overload, "
        "fetch-external, fetch-external-ab, fib, fib-ab, footprint, rps-table, "
        "techempower-json, techempower-plaintext, test1, test1-closed, test2, test2-closed, "
        "why-closed-loop, why-few-workers, why-idle-connections, why-many-workers, "
        "why-open-loop, why-orm, why-timeout, or the path of a .ini file");
    assert_false(scenario_load("./no-such.ini", &scenario, &failure));
    assert_non_null(strstr(failure.text, "./no-such.ini: No such file or directory"));
    assert_false(scenario_load("/tmp/", &scenario, &failure));
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "[load]\npath = /y\n", 17), 17);
    close(fd);
    assert_true(scenario_load(path, &scenario, &failure));
    assert_string_equal(scenario.path, "/y");
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sections),       cmocka_unit_test(test_fault),
        cmocka_unit_test(test_defaults),       cmocka_unit_test(test_continued),
        cmocka_unit_test(test_values),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refused_values), cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_prefixes),       cmocka_unit_test(test_built_in),
        cmocka_unit_test(test_figures),        cmocka_unit_test(test_reproduced),
        cmocka_unit_test(test_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
