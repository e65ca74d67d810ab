/* `iubench report` */
#include "commands/commands.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "report/file.h"
#include "report/report.h"

struct report_command {
    const char *out;
    bool is_markdown;
};

static const struct option_row report_options[] = {
    {.name = "out",
     .letter = 'o',
     .kind = OPTION_TEXT,
     .at = offsetof(struct report_command, out),
     .metavar = "FILE",
     .help = "where the report goes, - is standard output (default report.html, with --md -)"},
    {.name = "md",
     .kind = OPTION_FLAG,
     .at = offsetof(struct report_command, is_markdown),
     .help =
         "write Markdown for a pull request, the table and what must be known of it, instead of "
         "the page (default off)"},
    {0},
};

static const struct option_table tables[] = {{report_options, 0}, {0}};

static int run_report(const struct command *command, int argc, char **argv, struct fail *f)
{
    struct report_command c = {0};
    struct cli_texts results;
    enum cli_outcome outcome = cli_parse(command, argc, argv, &c, &results, f);
    if (outcome != CLI_RUN)
        return cli_exit_code(outcome, f);
    if (!c.out)
        c.out = c.is_markdown ? "-" : "report.html";
    if (!file_check("--out", c.out, f) ||
        !report_write(results.items, results.count, c.out, c.is_markdown, f))
        return (int)f->exit;
    if (strcmp(c.out, "-") != 0)
        fprintf(stderr, "Report: %s\n", c.out);
    return EXIT_DONE;
}

const struct command command_report = {
    .name = "report",
    .arguments = "[LABEL=]RESULT...",
    .arguments_min = 1,
    .arguments_max = 64,
    .summary = "make one page of results, with the plots, or Markdown",
    .details =
        "RESULT is the file that `iubench load --json` has written, or the folder that `iubench "
        "run` has left, or the reproduction.json of `iubench reproduce`; - is standard input; "
        "LABEL= "
        "names it on the page. The\n"
        "page is one file that opens from a disk and asks for nothing else; of several results "
        "it shows all\n"
        "targets side by side and names the conditions that differ. `iubench run` leaves it "
        "beside its result.",
    .examples = "iubench report results/test2-20261120-213827\n"
                "iubench report before=a.json after=b.json -o changed.html\n"
                "iubench report result.json --md",
    .options = tables,
    .run = run_report,
};
