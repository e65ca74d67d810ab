/* `iubench compare` */
#include "commands/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "report/compare.h"
#include "report/file.h"

struct compare_command {
    const char *expect, *json, *md;
    uint32_t seed;
};

#define AT(field) offsetof(struct compare_command, field)

static const struct option_row compare_options[] = {
    {.name = "expect",
     .kind = OPTION_TEXT,
     .at = AT(expect),
     .metavar = "THRESHOLDS",
     .help = "end with exit code 3 unless all changes keep within, such as 'p99<+5%,rps>-3%'; of "
             "rps held-rps max-rps p50 p99 p999 availability cpu memory, as +5%, -3% or 1.05x of "
             "what the first result has"},
    {.name = "seed",
     .kind = OPTION_COUNT,
     .at = AT(seed),
     .metavar = "N",
     .help = "of the resamples that intervals are made of (default 1)",
     .max = UINT32_MAX},
    {.name = "json",
     .kind = OPTION_TEXT,
     .at = AT(json),
     .metavar = "FILE",
     .help = "write the comparison to FILE (- is the standard output)"},
    {.name = "md",
     .kind = OPTION_TEXT,
     .at = AT(md),
     .metavar = "FILE",
     .help = "write it as Markdown to FILE (- is the standard output)"},
    {0},
};

static const struct option_table tables[] = {{compare_options, 0}, {NULL, 0}};

struct shown {
    const struct comparison *comparison;
    const struct compare_bounds *bounds;
};

static bool write_json(FILE *to, const void *arg)
{
    const struct shown *s = arg;
    return compare_json(s->comparison, s->bounds, to);
}

static bool write_markdown(FILE *to, const void *arg)
{
    const struct shown *s = arg;
    return compare_markdown(s->comparison, s->bounds, to);
}

static bool is_output(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

static bool write_to(const char *path, file_write_f *write, const struct shown *s, struct fail *f)
{
    if (!path)
        return true;
    if (!is_output(path))
        return file_write(path, write, s, f);
    return write(stdout, s) ||
           fail_set(f, EXIT_FAILED, "the comparison could not be written: %s", strerror(errno));
}

/* The page to standard output, or beside it when a document is there. */
static int show(const struct compare_command *config, const struct comparison *c,
                const struct compare_bounds *bounds, struct fail *f)
{
    struct shown shown = {c, bounds};
    bool is_taken = is_output(config->json) || is_output(config->md);
    compare_print(c, bounds, is_taken ? stderr : stdout);
    if (!write_to(config->json, write_json, &shown, f) ||
        !write_to(config->md, write_markdown, &shown, f))
        return (int)f->exit;
    if (compare_is_invalid(c))
        return EXIT_INVALID;
    return compare_bounds_all_met(bounds, c) ? EXIT_DONE : EXIT_THRESHOLD;
}

static bool check(const struct compare_command *config, struct compare_bounds *bounds,
                  struct fail *f)
{
    *bounds = (struct compare_bounds){0};
    if (config->expect && !compare_bounds_parse(config->expect, bounds, f))
        return fail_prefix(f, "--expect");
    if (is_output(config->json) && is_output(config->md))
        return fail_set(f, EXIT_USAGE,
                        "--json and --md cannot both go to the standard output: give one a file");
    return file_check("--json", config->json, f) && file_check("--md", config->md, f);
}

static int run_compare(const struct command *command, int argc, char **argv, struct fail *f)
{
    struct compare_command config = {.seed = 1};
    struct cli_texts files;
    struct compare_bounds bounds;
    struct comparison comparison;
    enum cli_outcome outcome = cli_parse(command, argc, argv, &config, &files, f);
    if (outcome != CLI_RUN)
        return cli_exit_code(outcome, f);
    if (!check(&config, &bounds, f))
        return (int)f->exit;
    int exit_code = compare_files(&files, config.seed, &comparison, f)
                        ? show(&config, &comparison, &bounds, f)
                        : (int)f->exit;
    compare_free(&comparison);
    return exit_code;
}

const struct command command_compare = {
    .name = "compare",
    .arguments = "[LABEL=]RESULT.json...",
    .arguments_min = 1,
    .arguments_max = 4096,
    .summary = "put results side by side, with confidence intervals",
    .details =
        "Files with one LABEL are repeats of one side. Without labels each file is a side of its "
        "own if all hold the same targets; else targets of one name are repeats, whichever file "
        "they stand in. The first side is the one that the others are measured by.\n\n"
        "A difference is claimed only with at least 4 repeats of each side, and only where rank "
        "test and interval agree; else the two are not distinguishable, or the repeats too "
        "few.\n\n"
        "--expect judges the ratio of the medians; two sides that are not distinguishable count "
        "as equal.\n\n"
        "Exit code: 0 done, 1 a file cannot be read, 2 usage or no result, 3 an --expect was not "
        "met, 5 a result is INVALID.",
    .examples = "iubench compare before.json after.json\n"
                "iubench compare old={1,2,3,4,5}.json new={6,7,8,9,10}.json\n"
                "iubench compare --expect 'p99<+5%,rps>-3%' old.json new.json\n"
                "iubench compare --md comparison.md results/test2-*/result.json",
    .options = tables,
    .run = run_compare,
};
