/* `iubench check` */
#include "commands/commands.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "commands/signals.h"
#include "lab/check.h"

struct check_command {
    struct check_config check;
    int mode;     /* index into modes */
    bool is_json; /* the document instead of lines */
};

/* "auto" and then enum target_mode. */
static const char *const modes[] = {"auto", "all", "static", "fib", "proxy", "post", "db", NULL};

#define AT(field) offsetof(struct check_command, field)

static const struct option_row check_options[] = {
    {.name = "mode",
     .kind = OPTION_CHOICE,
     .at = AT(mode),
     .choices = modes,
     .help =
         "whose routes must be there; auto: those of the mode that /openapi.json tells, without "
         "one GET /api/devices and GET /healthz, and what else it has is checked as well (default "
         "auto)"},
    {.name = "pg",
     .kind = OPTION_TEXT,
     .at = AT(check.pg),
     .metavar = "URI",
     .help = "the PostgreSQL that it stores in: its rows are looked at"},
    {.name = "memcached",
     .kind = OPTION_TEXT,
     .at = AT(check.memcached),
     .metavar = "HOST:PORT[,...]",
     .help = "the memcached that it sets: its values and their expiry are looked at"},
    {.name = "allow",
     .kind = OPTION_TEXTS,
     .at = AT(check.allow),
     .metavar = "DEVIATION[,...]",
     .help = "do not hold these ways of differing against it, and show them as allowed"},
    {.name = "timeout",
     .letter = 'T',
     .kind = OPTION_DURATION,
     .at = AT(check.timeout_ns),
     .metavar = "DURATION",
     .help = "of each answer (default 10s)"},
    {.name = "json",
     .kind = OPTION_FLAG,
     .at = AT(is_json),
     .help = "print a JSON document instead of lines"},
    {0},
};

static const struct option_table tables[] = {{check_options, 0}, {0}};

static bool print(const struct check *c, const struct check_command *command, struct fail *f)
{
    if (!command->is_json) {
        check_print(c, stdout, false);
    } else {
        json_t *document = check_json(c, command->check.url);
        json_dumpf(document, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(document);
    }
    return fflush(stdout) == 0 ||
           fail_set(f, EXIT_FAILED, "the result could not be written: %s", strerror(errno));
}

static int run_check(const struct command *command, int argc, char **argv, struct fail *f)
{
    struct check_command c = {.check = {.timeout_ns = 10 * NS_PER_S}};
    struct cli_texts arguments;
    enum cli_outcome outcome = cli_parse(command, argc, argv, &c, &arguments, f);
    if (outcome != CLI_RUN)
        return cli_exit_code(outcome, f);
    c.check.url = arguments.items[0];
    c.check.mode = c.mode - 1;
    struct check *result = mem_need(1, sizeof *result);
    bool is_run = check_run(&c.check, result, f) && print(result, &c, f);
    int exit_code = !is_run ? (int)f->exit : result->failed ? EXIT_FAILED : EXIT_DONE;
    free(result);
    return exit_code;
}

const struct command command_check = {
    .name = "check",
    .arguments = "URL",
    .arguments_min = 1,
    .arguments_max = 1,
    .summary = "does a service keep the contract: every route, point by point",
    .details =
        "A line for each point: ok, FAILED, allowed (it differs in a way that --allow names), "
        "absent "
        "(a route that it does not have and need not).\n"
        "\n"
        "Deviations: errors-are-400, errors-are-500, error-body, route-error-body, "
        "wrong-input-is-422, unchecked-fields, ascii-only,\n"
        "time-format, cache-value-is-repr, cache-key-is-hex, cache-not-awaited, fib-unlimited, "
        "fib-blocks,\n"
        "upstream-errors-are-500, upstream-errors-are-502, no-head, no-options, "
        "wrong-method-is-404, no-pipelining, no-limits, lenient-http;\n"
        "contestants/README.md says what each means.\n"
        "\n"
        "It stores some devices in the course. Exit code: 0 all points are kept or allowed, 1 a "
        "point is not, or it could not be asked.",
    .examples = "iubench check http://127.0.0.1:8080\n"
                "iubench check --mode db --pg postgresql://me@localhost/mydb --memcached "
                "localhost:11211 http://127.0.0.1:8080\n"
                "iubench check --allow error-body,wrong-input-is-422 http://127.0.0.1:8000",
    .options = tables,
    .run = run_check,
};
