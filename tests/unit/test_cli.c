#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/units.h"
#include "cli/cli.h"

/* A command with an option of each kind, in two tables. */
struct config {
    int mode;
    const char *json, *ramp;
    struct cli_texts headers;
    uint64_t duration_ns, body_bytes;
    double rate;
    uint32_t connections, threads;
    bool is_quiet, is_warm;
    uint64_t parity;
    bool duration_was_set, is_quiet_was_set;
};

static bool parse_parity(void *field, const char *value, struct fail *f)
{
    if (strcmp(value, "odd") != 0 && strcmp(value, "even") != 0)
        return fail_set(f, EXIT_USAGE, "neither odd nor even");
    *(uint64_t *)field = !strcmp(value, "odd");
    return true;
}

#define AT(field) .at = offsetof(struct config, field)
static const char *const modes[] = {"all", "static", "fib", "proxy", "post", "db", NULL};
static const struct option_row first_options[] = {
    {.name = "connections",
     .letter = 'c',
     .kind = OPTION_COUNT,
     AT(connections),
     .metavar = "N",
     .help = "connections that are kept open (default 64)",
     .min = 1,
     .max = 65536},
    {.name = "threads",
     .letter = 't',
     .kind = OPTION_COUNT,
     AT(threads),
     .metavar = "N",
     .help = "threads"},
    {.name = "duration",
     .letter = 'd',
     .kind = OPTION_DURATION,
     AT(duration_ns),
     .metavar = "DURATION",
     .help = "how long to send (default 10s)",
     .was_set_at = offsetof(struct config, duration_was_set)},
    {.name = "rate",
     .letter = 'r',
     .kind = OPTION_RATE,
     AT(rate),
     .metavar = "R",
     .help = "requests per second"},
    {.name = "rps-ramp",
     .letter = 'R',
     .kind = OPTION_TEXT,
     AT(ramp),
     .metavar = "FROM:TO[:STEP]/PERIOD",
     .is_value_optional = true,
     .help = "raises the rate from FROM to TO in PERIOD, with STEP by so much every PERIOD; "
             "without a value from 1000/s by 1000/s every second"},
    {0},
};
static const struct option_row second_options[] = {
    {.name = "mode",
     .kind = OPTION_CHOICE,
     AT(mode),
     .choices = modes,
     .help = "which endpoints there are (default all)"},
    {.name = "header",
     .letter = 'H',
     .kind = OPTION_TEXTS,
     AT(headers),
     .metavar = "\"NAME: VALUE\"",
     .help = "adds a field"},
    {.name = "json",
     .kind = OPTION_TEXT,
     AT(json),
     .metavar = "FILE",
     .help = "writes the result to FILE"},
    {.name = "body-limit",
     .kind = OPTION_SIZE,
     AT(body_bytes),
     .metavar = "BYTES",
     .help = "greatest body"},
    {.name = "quiet",
     .letter = 'q',
     .kind = OPTION_FLAG,
     AT(is_quiet),
     .help = "no progress",
     .was_set_at = offsetof(struct config, is_quiet_was_set)},
    {.name = "warm", .letter = 'w', .kind = OPTION_FLAG, AT(is_warm), .help = "warms up first"},
    {.name = "parity",
     .kind = OPTION_PARSED,
     AT(parity),
     .metavar = "odd|even",
     .parse = parse_parity,
     .help = "something of its own"},
    {0},
};
static const struct option_table tables[] = {{first_options, 0}, {second_options, 0}, {0}};

static const struct command load = {
    .name = "load",
    .arguments = "[URL]",
    .arguments_max = 1,
    .summary = "send requests and measure the answers",
    .details = "The first paragraph is long enough that it has to be wrapped, because it goes on "
               "and on.\n\n  kept  as it is\n   here\n\nThe last one.",
    .examples = "iubench load\niubench load -r 2.5k http://127.0.0.1:8080/api/devices\n",
    .options = tables,
};

/* Reads what others take as well, to be able to say something of it. */
static const struct option_row other_options[] = {
    {.name = "elsewhere", .kind = OPTION_FLAG, AT(is_warm), .help = "of another command"}, {0}};
static const struct option_table others[] = {{other_options, 0}, {0}};
static const struct command run_command = {.name = "run",
                                           .arguments = "",
                                           .summary = "runs",
                                           .details = "",
                                           .examples = "",
                                           .options = tables,
                                           .unlisted = others};
static const struct command report = {.name = "report",
                                      .arguments = "RESULT...",
                                      .arguments_min = 1,
                                      .arguments_max = 1000,
                                      .summary = "make a page of results",
                                      .details = "",
                                      .examples = "",
                                      .options = tables};
static const struct command serve = {.name = "serve",
                                     .arguments = "",
                                     .summary = "answer requests",
                                     .details = "",
                                     .examples = "",
                                     .options = tables};
static const struct command *const commands[] = {&serve, &load, &report, NULL};

/* What became of the last command line. */
static struct config config;
static struct cli_texts arguments;
static struct fail fail;

#define WORDS_MAX 64
/* Parses a line cut at spaces; an underscore stands for an empty word. */
static enum cli_outcome parse(const struct command *c, const char *line)
{
    static char copy[1024]; /* values point into it */
    char *words[WORDS_MAX];
    int count = 0;
    snprintf(copy, sizeof copy, "%s", line);
    char *rest;
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        assert_true(count < WORDS_MAX);
        words[count++] = strcmp(word, "_") ? word : strchr(word, 0);
    }
    config = (struct config){.connections = 64, .duration_ns = 10 * NS_PER_S};
    fail = (struct fail){0};
    return cli_parse(c, count, words, &config, &arguments, &fail);
}

static void assert_parses(const char *line)
{
    if (parse(&load, line) != CLI_RUN)
        fail_msg("\"%s\": %s", line, fail.text);
}

static void assert_refused_by(const struct command *c, const char *line, const char *message)
{
    assert_int_equal(parse(c, line), CLI_BAD);
    assert_string_equal(fail.text, message);
    assert_int_equal(fail.exit, EXIT_USAGE);
}

static void assert_refused(const char *line, const char *message)
{
    assert_refused_by(&load, line, message);
}

/* Without a word everything stays as it was. */
static void test_defaults(void **state)
{
    (void)state;
    assert_parses("");
    assert_int_equal(config.connections, 64);
    assert_true(config.duration_ns == 10 * NS_PER_S);
    assert_null(config.ramp);
    assert_false(config.duration_was_set);
    assert_int_equal(arguments.count, 0);
}

/* Each kind lands in its own field as its own type, from either table. */
static void test_kinds(void **state)
{
    (void)state;
    assert_parses("--connections=1k --duration 1.5m --rate=2.5k --mode db --json out.json "
                  "--body-limit 64k --quiet --parity odd --header A:b --header=C:d -HE:f");
    assert_int_equal(config.connections, 1000);
    assert_true(config.duration_ns == 90 * NS_PER_S);
    assert_true(config.rate == 2500);
    assert_int_equal(config.mode, 5);
    assert_string_equal(config.json, "out.json");
    assert_int_equal(config.body_bytes, 65536);
    assert_true(config.is_quiet);
    assert_int_equal(config.parity, 1);
    assert_int_equal(config.headers.count, 3);
    assert_string_equal(config.headers.items[0], "A:b");
    assert_string_equal(config.headers.items[1], "C:d");
    assert_string_equal(config.headers.items[2], "E:f");
    assert_true(config.duration_was_set && config.is_quiet_was_set);
}

/* The ways to write an option that getopt_long(3) knows. */
static void test_forms(void **state)
{
    (void)state;
    static const char *const same[] = {"-c 7 -q",         "-c7 -q",    "-qc7",
                                       "-qc 7",           "-q -c7",    "--quiet --connections 7",
                                       "-wqc7 --no-warm", "-c1 -q -c7"};
    for (unsigned i = 0; i < sizeof same / sizeof same[0]; i++) {
        assert_parses(same[i]);
        assert_int_equal(config.connections, 7);
        assert_true(config.is_quiet && !config.is_warm);
    }
    assert_parses("--quiet --no-quiet");
    assert_true(!config.is_quiet && config.is_quiet_was_set);
    assert_parses("--json --quiet");
    assert_string_equal(config.json, "--quiet");
    assert_parses("--json=a=b=c");
    assert_string_equal(config.json, "a=b=c");
    assert_parses("--json= --quiet");
    assert_string_equal(config.json, "");
    assert_parses("--json _");
    assert_string_equal(config.json, "");
}

/* A value that may be left out is the next word only if that begins with a digit. */
static void test_optional_value(void **state)
{
    (void)state;
    assert_parses("--rps-ramp");
    assert_string_equal(config.ramp, "");
    assert_parses("--rps-ramp 1000:2000/5s");
    assert_string_equal(config.ramp, "1000:2000/5s");
    assert_parses("--rps-ramp=1:2/5s");
    assert_string_equal(config.ramp, "1:2/5s");
    assert_parses("--rps-ramp=fast");
    assert_string_equal(config.ramp, "fast");
    assert_parses("-R5:6/1s");
    assert_string_equal(config.ramp, "5:6/1s");
    assert_parses("-R 5:6/1s");
    assert_string_equal(config.ramp, "5:6/1s");
    assert_parses("--rps-ramp --quiet");
    assert_true(!strcmp(config.ramp, "") && config.is_quiet);
    assert_parses("--rps-ramp http://127.0.0.1/");
    assert_string_equal(config.ramp, "");
    assert_string_equal(arguments.items[0], "http://127.0.0.1/");
    assert_parses("--rps-ramp -- 127.0.0.1");
    assert_string_equal(config.ramp, "");
    assert_string_equal(arguments.items[0], "127.0.0.1");
}

/* Arguments stand anywhere; behind -- everything is one, and a lone dash is one. */
static void test_arguments(void **state)
{
    (void)state;
    assert_int_equal(parse(&report, "a -c 5 b - -q -- -c --help --"), CLI_RUN);
    static const char *const expected[] = {"a", "b", "-", "-c", "--help", "--"};
    assert_int_equal(arguments.count, 6);
    for (unsigned i = 0; i < 6; i++)
        assert_string_equal(arguments.items[i], expected[i]);
    assert_int_equal(config.connections, 5);
    assert_refused("a b", "unexpected argument \"b\": iubench load takes only [URL]");
    assert_refused_by(&serve, "x", "unexpected argument \"x\": iubench serve takes none");
    assert_refused_by(&report, "-q", "RESULT... is missing; iubench report --help shows examples");
}

/* An option that is not listed is read, and shown nowhere. */
static void test_unlisted(void **state)
{
    (void)state;
    struct fail failure;
    struct text help = {0};
    config = (struct config){0};
    char word[] = "--elsewhere", *words[] = {word, NULL};
    assert_int_equal(cli_parse(&run_command, 1, words, &config, &arguments, &failure), CLI_RUN);
    assert_true(config.is_warm);
    cli_help(&run_command, &help);
    assert_null(strstr(help.data, "elsewhere"));
    assert_non_null(strstr(help.data, "-q, --"));
    text_free(&help);
}

/* Unknown options are refused with the nearest one there is, prefixes are not options. */
static void test_unknown(void **state)
{
    (void)state;
    assert_refused("--conections 5", "unknown option --conections; did you mean --connections?");
    assert_refused("--rps_ramp=1", "unknown option --rps_ramp; did you mean --rps-ramp?");
    assert_refused("--dur 5s", "unknown option --dur; did you mean --duration?");
    assert_refused("--Mode=db", "unknown option --Mode; did you mean --mode?");
    assert_refused("--no-connections",
                   "unknown option --no-connections; did you mean --connections?");
    assert_refused("--xyzzy", "unknown option --xyzzy; iubench load --help lists them");
    assert_refused("--=5", "unknown option --; iubench load --help lists them");
    assert_refused("-x", "unknown option -x; iubench load --help lists them");
    assert_refused("-qx", "unknown option -x; iubench load --help lists them");
    assert_refused("-5", "unknown option -5; iubench load --help lists them");
    assert_refused("--\033[2J", "unknown option --\\x1b[2J; iubench load --help lists them");
}

/* A value that is missing, needless or wrong: the message names the option and what was expected.
 */
static void test_bad_values(void **state)
{
    (void)state;
    assert_refused("-c", "--connections needs a value, N: connections that are kept open "
                         "(default 64)");
    assert_refused("--mode", "--mode needs a value, all, static, fib, proxy, post or db: which "
                             "endpoints there are (default all)");
    assert_refused("--quiet=yes", "--quiet takes no value: write it without \"=\"");
    assert_refused("--no-quiet=1", "--no-quiet takes no value: write it without \"=\"");
    assert_refused("-c0", "--connections: \"0\" is out of range: expected a whole number from 1 to "
                          "65536");
    assert_refused("-c --quiet", "--connections: \"--quiet\" is not a whole number: expected one "
                                 "from 1 to 65536");
    assert_refused("-t 5000M", "--threads: \"5000M\" is out of range: expected a whole number from "
                               "0 to 4294967295");
    assert_refused("-d 5x", "--duration: \"5x\" is not understood: expected a duration such as "
                            "500us, 10ms, 5s or 2m");
    assert_refused("-d=5s", "--duration: \"=5s\" is not understood: expected a duration such as "
                            "500us, 10ms, 5s or 2m");
    assert_refused("-r 0", "--rate: a rate of 0 sends nothing: expected a rate per second such as "
                           "1000, 2.5k or 1M");
    assert_refused("--body-limit _", "--body-limit: \"\" is not understood: expected a size in "
                                     "bytes such as 512, 64k, 1M or 2G");
    assert_refused("--mode dbb", "--mode: \"dbb\" is not understood: expected all, static, fib, "
                                 "proxy, post or db; did you mean db?");
    assert_refused("--mode nonsense", "--mode: \"nonsense\" is not understood: expected all, "
                                      "static, fib, proxy, post or db");
    assert_refused("--parity x", "--parity: neither odd nor even");
    assert_false(config.duration_was_set);
}

/* Scenario files set the same options by name; values are copied, flags are yes or no. */
static void test_set(void **state)
{
    (void)state;
    char value[] = "x.json";
    config = (struct config){0};
    assert_true(cli_set(tables, &config, "json", value, &fail));
    value[0] = 0;
    assert_string_equal(config.json, "x.json");
    assert_true(cli_set(tables, &config, "duration", "5s", &fail));
    assert_true(config.duration_ns == 5 * NS_PER_S && config.duration_was_set);
    assert_true(cli_set(tables, &config, "rps-ramp", "", &fail));
    assert_string_equal(config.ramp, "");
    char text[100][12];
    for (int i = 0; i < 100; i++) {
        snprintf(text[i], sizeof text[i], "%d", i);
        assert_true(cli_set(tables, &config, "header", text[i], &fail));
    }
    assert_int_equal(config.headers.count, 100);
    for (int i = 0; i < 100; i++)
        assert_string_equal(config.headers.items[i], text[i]);

    static const char *const yes[] = {"yes", "true", "on", "1", "Yes"};
    static const char *const no[] = {"no", "false", "off", "0", "FALSE"};
    for (unsigned i = 0; i < 5; i++) {
        assert_true(cli_set(tables, &config, "quiet", yes[i], &fail));
        assert_true(config.is_quiet);
        assert_true(cli_set(tables, &config, "quiet", no[i], &fail));
        assert_false(config.is_quiet);
    }
}

static void assert_set_refused(const char *name, const char *value, const char *message)
{
    assert_false(cli_set(tables, &config, name, value, &fail));
    assert_string_equal(fail.text, message);
    assert_int_equal(fail.exit, EXIT_USAGE);
}

/* Tables of several configurations in one: each option lands in its own struct, its note as well, by
 * word, letter and key. */
static void test_several_structs(void **state)
{
    (void)state;
    struct {
        struct config first, second;
    } both;
    const struct option_table placed[] = {
        {first_options, 0}, {second_options, sizeof(struct config)}, {0}};
    struct command c = load;
    c.options = placed;
    static char texts[][12] = {"-d5s", "-q", "--json", "x", "-c", "7", "--no-warm"};
    char *words[7];
    for (int i = 0; i < 7; i++)
        words[i] = texts[i];
    memset(&both, 0, sizeof both);
    both.second.is_warm = true;
    assert_int_equal(cli_parse(&c, 7, words, &both, &arguments, &fail), CLI_RUN);
    assert_true(both.first.duration_ns == 5 * NS_PER_S && both.first.duration_was_set);
    assert_int_equal(both.first.connections, 7);
    assert_string_equal(both.second.json, "x");
    assert_true(both.second.is_quiet && both.second.is_quiet_was_set && !both.second.is_warm);
    assert_true(!both.first.is_quiet && !both.first.json && !both.second.connections);
    assert_true(cli_set(placed, &both, "mode", "db", &fail));
    assert_true(cli_set(placed, &both, "warm", "yes", &fail));
    assert_true(both.second.mode == 5 && both.second.is_warm && !both.first.mode);
}

/* What a scenario file gets wrong is said in its terms: keys, not options. */
static void test_set_refused(void **state)
{
    (void)state;
    assert_set_refused("conection", "5",
                       "unknown key \"conection\"; did you mean \"connections\"?");
    assert_set_refused("xyzzy", "5", "unknown key \"xyzzy\"");
    assert_set_refused("no-quiet", "5", "unknown key \"no-quiet\"");
    assert_set_refused("quiet", "maybe", "quiet: \"maybe\" is not understood: expected yes or no");
    assert_set_refused("connections", "many",
                       "connections: \"many\" is not a whole number: "
                       "expected one from 1 to 65536");
}

/* A slip in three letters is near, two in three are not; swaps are one slip; ties go to the first;
 * a beginning of three letters or more is near if it is of one name only. */
static void test_nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"serve",   "upstream", "load",  "run",    "reproduce",
                                        "compare", "report",   "merge", "doctor", NULL};
    static const struct {
        const char *word, *nearest;
    } rows[] = {{"serv", "serve"},     {"sevre", "serve"},   {"lod", "load"},
                {"laod", "load"},      {"load", "load"},     {"LOAD", "load"},
                {"raport", "report"},  {"doktor", "doctor"}, {"up", NULL},
                {"ups", "upstream"},   {"repo", "report"},   {"rep", NULL},
                {"repr", "reproduce"}, {"rn", "run"},        {"xyz", NULL},
                {"bench", NULL},       {"", NULL},           {"mergers", "merge"}};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *nearest = cli_nearest(rows[i].word, names);
        if (rows[i].nearest ? !nearest || strcmp(nearest, rows[i].nearest) != 0 : nearest != NULL)
            fail_msg("%s: %s", rows[i].word, nearest ? nearest : "none");
    }
    char longest[1000];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_null(cli_nearest(longest, names));
    assert_null(cli_nearest("load", (const char *const[]){NULL}));
}

/* Commands are found by their whole name only. */
static void test_find(void **state)
{
    (void)state;
    assert_ptr_equal(cli_find(commands, "load", &fail), &load);
    assert_null(cli_find(commands, "lod", &fail));
    assert_string_equal(fail.text, "unknown command \"lod\"; did you mean \"load\"?");
    assert_int_equal(fail.exit, EXIT_USAGE);
    assert_null(cli_find(commands, "frobnicate", &fail));
    assert_string_equal(fail.text, "unknown command \"frobnicate\"; iubench --help lists them");
    assert_null(cli_find(commands, "--frobnicate", &fail));
    assert_string_equal(fail.text, "unknown option \"--frobnicate\"; iubench --help lists them");
}

/* The whole page, as it stands: aligned, wrapped, nothing wider than 80 columns. */
static void test_help(void **state)
{
    (void)state;
    struct text help = {0};
    cli_help(&load, &help);
    assert_string_equal(
        help.data,
        "Usage: iubench load [OPTION...] [URL]\n"
        "\n"
        "send requests and measure the answers\n"
        "\n"
        "The first paragraph is long enough that it has to be wrapped, because it goes on\n"
        "and on.\n"
        "\n"
        "  kept  as it is\n"
        "   here\n"
        "\n"
        "The last one.\n"
        "\n"
        "Options:\n"
        "  -c, --connections N         connections that are kept open (default 64)\n"
        "  -t, --threads N             threads\n"
        "  -d, --duration DURATION     how long to send (default 10s)\n"
        "  -r, --rate R                requests per second\n"
        "  -R, --rps-ramp [FROM:TO[:STEP]/PERIOD]\n"
        "                              raises the rate from FROM to TO in PERIOD, with\n"
        "                              STEP by so much every PERIOD; without a value from\n"
        "                              1000/s by 1000/s every second\n"
        "      --mode all|static|fib|proxy|post|db\n"
        "                              which endpoints there are (default all)\n"
        "  -H, --header \"NAME: VALUE\"  adds a field\n"
        "      --json FILE             writes the result to FILE\n"
        "      --body-limit BYTES      greatest body\n"
        "  -q, --[no-]quiet            no progress\n"
        "  -w, --[no-]warm             warms up first\n"
        "      --parity odd|even       something of its own\n"
        "  -h, --help                  show this help\n"
        "\n"
        "Examples:\n"
        "  iubench load\n"
        "  iubench load -r 2.5k http://127.0.0.1:8080/api/devices\n");
    for (const char *line = help.data; *line; line = strchr(line, '\n') + 1)
        assert_true(strcspn(line, "\n") <= 80);
    text_free(&help);
    cli_help(&serve, &help);
    assert_memory_equal(help.data, "Usage: iubench serve [OPTION...]\n\nanswer requests\n\nOptions",
                        58);
    text_free(&help);
}

/* The overview names every command, aligned. */
static void test_overview(void **state)
{
    (void)state;
    struct text overview = {0};
    cli_overview(commands, &overview);
    assert_non_null(strstr(overview.data, "Usage: iubench COMMAND [OPTION...] [ARGUMENT...]\n"));
    assert_non_null(strstr(overview.data, "Commands:\n"
                                          "  serve   answer requests\n"
                                          "  load    send requests and measure the answers\n"
                                          "  report  make a page of results\n"));
    text_free(&overview);
}

/* --help and -h print the page to standard output and run nothing, even where arguments lack. */
static void test_help_shown(void **state)
{
    (void)state;
    static const char *const lines[] = {"--help", "-h", "-q --help", "-qh"};
    struct text expected = {0};
    cli_help(&report, &expected);
    for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char shown[8192];
        int ends[2], saved = dup(STDOUT_FILENO);
        fflush(stdout);
        assert_int_equal(pipe(ends), 0);
        dup2(ends[1], STDOUT_FILENO);
        enum cli_outcome outcome = parse(&report, lines[i]);
        fflush(stdout);
        dup2(saved, STDOUT_FILENO);
        close(saved);
        close(ends[1]);
        ssize_t len = read(ends[0], shown, sizeof shown);
        close(ends[0]);
        assert_int_equal(outcome, CLI_HELP_SHOWN);
        assert_int_equal(len, expected.len);
        assert_memory_equal(shown, expected.data, expected.len);
    }
    text_free(&expected);
}

/* A man page says what help says, and nothing in it is taken for a request or an escape of roff. */
static void test_manual(void **state)
{
    (void)state;
    static const struct option_row odd_options[] = {
        {.name = "path",
         .kind = OPTION_TEXT,
         AT(json),
         .metavar = "DIR",
         .help = ".hidden 'a\\b' ~-`"},
        {0},
    };
    static const struct option_table odd_tables[] = {{odd_options, 0}, {0}};
    static const struct command odd = {.name = "odd",
                                       .arguments = "",
                                       .summary = ".so much",
                                       .details = "One.\n\n  .kept\n\n.TH three",
                                       .examples = "'quoted\n.dotted",
                                       .options = odd_tables};
    static const struct cli_release release = {"0.1.0", "2026-11-20"};
    struct text page = {0};
    cli_manual(&odd, &release, &page);
    assert_string_equal(page.data,
                        ".TH IUBENCH\\-ODD 1 \"2026-11-20\" \"iubench 0.1.0\" \"iubench\"\n"
                        ".SH NAME\niubench\\-odd \\- \\&.so much\n"
                        ".SH SYNOPSIS\n.B iubench odd\n[OPTION...]\n"
                        ".SH DESCRIPTION\nOne.\n.PP\n.nf\n.RS\n  .kept\n.RE\n.fi\n.PP\n"
                        "\\&.TH three\n"
                        ".SH OPTIONS\n.TP\n\\fB\\-\\-path\\fI DIR\\fR\n"
                        "\\&.hidden \\(aqa\\eb\\(aq \\(ti\\-\\(ga\n"
                        ".TP\n\\fB\\-h, \\-\\-help\\fR\nshow this help\n"
                        ".SH EXAMPLES\n.nf\n.RS\n\\(aqquoted\n\\&.dotted\n.RE\n.fi\n"
                        ".SH SEE ALSO\n.BR iubench (1)\n"
                        "for values, exit codes and the other commands\n");
    text_free(&page);
    cli_manual_overview(commands, &release, &page);
    for (const struct command *const *c = commands; *c; c++)
        assert_non_null(strstr(page.data, (*c)->summary));
    text_free(&page);
}

/* What a value can be comes from choices and metavars; who may leave it out is not held to it. */
static void test_completion(void **state)
{
    (void)state;
    struct text script = {0};
    cli_completion(commands, "bash", &script);
    assert_non_null(
        strstr(script.data, "serve:--mode) words='all static fib proxy post db' files= ;;"));
    assert_non_null(strstr(script.data, "serve:--json) words='' files=file ;;"));
    assert_non_null(strstr(script.data, "serve:--parity) words='odd even' files= ;;"));
    assert_non_null(strstr(script.data, "serve:--connections | serve:-c) words='' files= ;;"));
    assert_null(strstr(script.data, "serve:--rps-ramp"));
    assert_non_null(strstr(script.data, " -q --quiet --no-quiet"));
    text_free(&script);
    cli_completion(commands, "zsh", &script);
    assert_non_null(strstr(script.data, "'--rps-ramp=[raises the rate"));
    assert_non_null(strstr(script.data, "::FROM\\:TO\\[\\:STEP\\]/PERIOD: '"));
    assert_non_null(strstr(script.data, "'*--header=[adds a field]:\"NAME\\: VALUE\": '"));
    text_free(&script);
    cli_completion(commands, "fish", &script);
    assert_non_null(strstr(script.data, "-l mode -r -a 'all static fib proxy post db' -f -d"));
    assert_non_null(strstr(script.data, "-l json -r -F -d"));
    text_free(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),    cmocka_unit_test(test_manual),
        cmocka_unit_test(test_completion),  cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_forms),       cmocka_unit_test(test_optional_value),
        cmocka_unit_test(test_arguments),   cmocka_unit_test(test_unlisted),
        cmocka_unit_test(test_unknown),     cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_set),         cmocka_unit_test(test_several_structs),
        cmocka_unit_test(test_set_refused), cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_find),        cmocka_unit_test(test_help),
        cmocka_unit_test(test_overview),    cmocka_unit_test(test_help_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
