/* `iubench merge` */
#include "commands/commands.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "report/file.h"
#include "report/merge.h"

struct merge_command {
    const char *out;
    bool is_partial;
};

#define AT(field) offsetof(struct merge_command, field)

static const struct option_row merge_options[] = {
    {.name = "out",
     .letter = 'o',
     .kind = OPTION_TEXT,
     .at = AT(out),
     .metavar = "FILE",
     .help = "write the result to FILE (- is the standard output, which is the default)"},
    {.name = "partial",
     .kind = OPTION_FLAG,
     .at = AT(is_partial),
     .help = "let shards be missing: the result is marked all the same, but it is no failure"},
    {0},
};

static const struct option_table tables[] = {{merge_options, 0}, {NULL, 0}};

static void say_clocks(const struct merge *m)
{
    char apart[UNITS_TEXT_BYTES];
    if (isnan(m->clocks_apart_us))
        log_line(
            "how far the clients' clocks were apart is not known: not every one is kept by NTP or "
            "PTP, by what its kernel says");
    else
        log_line("the clients' clocks were at most %s apart, by %s",
                 units_latency_text((uint64_t)(m->clocks_apart_us * NS_PER_US), apart),
                 m->reference ? "the reference that they asked" : "what their kernels say");
}

static bool wants_color(FILE *to)
{
    const char *no_color = getenv("NO_COLOR");
    return isatty(fileno(to)) && !(no_color && *no_color);
}

static int exit_code_of(const struct merge *m, const struct merge_command *config, struct fail *f)
{
    struct text missing = {0};
    if (!m->missing_count || config->is_partial)
        return load_exit_code(&m->load);
    for (unsigned i = 0; i < m->missing_count && i < 20; i++)
        text_addf(&missing, "%s%u", i ? ", " : "", m->missing[i]);
    fail_set(f, EXIT_FAILED,
             "%u of %u shards are missing: %s%s; the result is of the others, and says so "
             "(--partial: that is no failure)",
             m->missing_count, m->shard_count, missing.data, m->missing_count > 20 ? " ..." : "");
    text_free(&missing);
    return EXIT_FAILED;
}

/* The document to its file, the summary to standard output, or beside it when the document is there. */
static int show(const struct merge *m, const struct merge_command *config, int argc, char **argv,
                struct fail *f)
{
    bool is_shown = !config->out || strcmp(config->out, "-") == 0;
    FILE *to = is_shown ? stderr : stdout;
    struct result_target target = {.name = m->load.url, .load = &m->load};
    struct result result = {.scenario = "load", .targets = &target, .target_count = 1};
    result_print(&result, to, wants_color(to));
    fflush(to);
    say_clocks(m);
    if (!result_save(merge_json(m, argc, argv), is_shown ? NULL : config->out, f))
        return (int)f->exit;
    return exit_code_of(m, config, f);
}

static int merge_and_show(const struct cli_texts *files, const struct merge_command *config,
                          int argc, char **argv, struct fail *f)
{
    struct merge merge;
    int exit_code = merge_files(files, &merge, f) ? show(&merge, config, argc, argv, f)
                                                  : (int)f->exit;
    merge_free(&merge);
    return exit_code;
}

static int run_merge(const struct command *command, int argc, char **argv, struct fail *f)
{
    struct merge_command config = {0};
    struct cli_texts files;
    char **words = mem_need((size_t)argc + 2, sizeof *words);
    words[0] = (char *)(uintptr_t) "iubench";
    words[1] = (char *)(uintptr_t) "merge";
    memcpy(words + 2, argv, (size_t)argc * sizeof *words);
    enum cli_outcome outcome = cli_parse(command, argc, argv, &config, &files, f);
    int exit_code = cli_exit_code(outcome, f);
    if (outcome == CLI_RUN) {
        exit_code = file_check("--out", config.out, f)
                        ? merge_and_show(&files, &config, argc + 2, words, f)
                        : (int)f->exit;
    }
    free(words);
    return exit_code;
}

const struct command command_merge = {
    .name = "merge",
    .arguments = "SHARD.json...",
    .arguments_min = 1,
    .arguments_max = SHARDS_MAX,
    .summary = "make one result of those of several clients",
    .details =
        "The clients are `iubench load --shard INDEX/COUNT --start-at TIME --json FILE` with the "
        "same options otherwise. Counts and histograms are added; each shard's own quantiles, "
        "verdict and clock stand beside the sum.\n\n"
        "Results that do not belong together, or are there twice, are refused. Where shards are "
        "missing, or left an empty file, the result is of the others, its verdict is SUSPECT and "
        "names them, and the exit code is 1 unless --partial is given.\n\n"
        "Exit code: 0 done, 1 shards are missing, a file cannot be read or no request succeeded, 2 "
        "usage or no shards of one load, 3 an --expect of the load was not met by all together, 5 "
        "the verdict is INVALID.",
    .examples = "iubench load --shard 0/2 --start-at 2026-11-20T17:00:00Z --rate 20k --json 0.json "
                "http://10.0.0.1:8080/json\n"
                "iubench merge 0.json 1.json -o result.json\n"
                "iubench merge --partial shard-*.json > result.json",
    .options = tables,
    .run = run_merge,
};
