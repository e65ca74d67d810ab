/* `iubench manual` and `iubench completion`: the tables of all commands, for man(1) and for shells. */
#include "commands/commands.h"

#include <stdio.h>
#include <string.h>

#include "lab/scenario.h"
#include "version.h"

static const struct option_table no_options[] = {{0}};

/* To standard output; a pipe that ends early is a failure as any other. */
static int print(struct text *text, struct fail *f)
{
    bool is_written = fwrite(text->data, 1, text->len, stdout) == text->len && !fflush(stdout);
    text_free(text);
    if (is_written)
        return EXIT_DONE;
    fail_set(f, EXIT_FAILED, "standard output cannot be written");
    return EXIT_FAILED;
}

static int run_manual(const struct command *command, int argc, char **argv, struct fail *f)
{
    static const struct cli_release release = {IUBENCH_VERSION, IUBENCH_DATE};
    struct cli_texts names;
    struct cli_file scenario;
    enum cli_outcome outcome = cli_parse(command, argc, argv, NULL, &names, f);
    if (outcome != CLI_RUN)
        return cli_exit_code(outcome, f);
    scenario_manual(&scenario);
    bool is_file = names.count && !strcmp(names.items[0], scenario.name);
    const struct command *of = names.count && !is_file ? cli_find(commands, names.items[0], f)
                                                       : NULL;
    if (names.count && !is_file && !of)
        return (int)f->exit;
    struct text page = {0};
    if (is_file)
        cli_manual_file(&scenario, &release, &page);
    else if (of)
        cli_manual(of, &release, &page);
    else
        cli_manual_overview(commands, &release, &page);
    return print(&page, f);
}

static int run_completion(const struct command *command, int argc, char **argv, struct fail *f)
{
    struct cli_texts names;
    enum cli_outcome outcome = cli_parse(command, argc, argv, NULL, &names, f);
    if (outcome != CLI_RUN)
        return cli_exit_code(outcome, f);
    for (const char *const *shell = cli_shells; *shell; shell++) {
        if (strcmp(*shell, names.items[0]) != 0)
            continue;
        struct text script = {0};
        cli_completion(commands, *shell, &script);
        return print(&script, f);
    }
    fail_set(f, EXIT_USAGE, "there is no completion for this shell: expected %s",
             command->arguments);
    return (int)f->exit;
}

/* The commands, then the kind of file. */
static const char *page_name(size_t i)
{
    size_t count = 0;
    while (commands[count])
        count++;
    return i < count ? commands[i]->name : i == count ? "scenario" : NULL;
}

const struct command command_manual = {
    .name = "manual",
    .arguments = "[COMMAND|scenario]",
    .argument_word = page_name,
    .arguments_max = 1,
    .summary = "print the man page of a command, of scenario files, or of the whole",
    .details = "As man(7) source, made of the tables that --help is made of. An installed iubench "
               "has these pages below share/man.",
    .examples = "iubench manual load | man -l -\n"
                "iubench manual >iubench.1",
    .options = no_options,
    .run = run_manual,
};

const struct command command_completion = {
    .name = "completion",
    .arguments = "bash|zsh|fish",
    .arguments_min = 1,
    .arguments_max = 1,
    .summary = "print the script that completes this command line in a shell",
    .details = "An installed iubench has these scripts where the shells look for them; without "
               "installing, read the script as in the examples.",
    .examples = "source <(iubench completion bash)\n"
                "iubench completion zsh >~/.zfunc/_iubench\n"
                "iubench completion fish | source",
    .options = no_options,
    .run = run_completion,
};
