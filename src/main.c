/* The commands, and the way to them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "base/text.h"
#include "cli/cli.h"
#include "commands/commands.h"
#include "version.h"

const struct command *const commands[] = {
    &command_serve,
    &command_upstream,
    &command_load,
    &command_run,
    &command_reproduce,
    &command_check,
    &command_compare,
    &command_report,
    &command_merge,
    &command_doctor,
    &command_manual,
    &command_completion,
    NULL,
};

static int print_overview(FILE *to, int exit_code)
{
    struct text text = {0};
    cli_overview(commands, &text);
    fwrite(text.data, 1, text.len, to);
    text_free(&text);
    return exit_code;
}

static bool is_any(const char *word, const char *a, const char *b, const char *c)
{
    return !strcmp(word, a) || !strcmp(word, b) || !strcmp(word, c);
}

static bool is_help(const char *word)
{
    return is_any(word, "--help", "-h", "help");
}

/* A disk that is full is told of when what was printed is flushed. */
static bool is_output_written(struct fail *f)
{
    bool is_written = !fflush(stdout) && !ferror(stdout);
    return is_written ||
           fail_set(f, EXIT_FAILED, "standard output could not be written: %s", strerror(errno));
}

/* Says why it failed, if it did, and returns the exit code. */
static int end(int exit_code, const struct command *command, struct fail *f)
{
    if (exit_code == EXIT_DONE && !is_output_written(f))
        exit_code = EXIT_FAILED;
    if (f->text[0])
        fprintf(stderr, "iubench%s%s: %s\n", command ? " " : "", command ? command->name : "",
                f->text);
    return exit_code;
}

int main(int argc, char **argv)
{
    struct fail fail = {.exit = EXIT_FAILED};
    if (argc < 2)
        return print_overview(stderr, EXIT_USAGE);
    if (is_any(argv[1], "--version", "-V", "version")) {
        printf("iubench %s\n", IUBENCH_VERSION);
        return end(EXIT_DONE, NULL, &fail);
    }
    static char help_option[] = "--help";
    if (is_help(argv[1])) {
        if (argc == 2 || is_help(argv[2]))
            return end(print_overview(stdout, EXIT_DONE), NULL, &fail);
        argv[1] = argv[2];
        argv[2] = help_option;
    }
    const struct command *command = cli_find(commands, argv[1], &fail);
    int exit_code = command ? command->run(command, argc - 2, argv + 2, &fail) : (int)fail.exit;
    return end(exit_code, command, &fail);
}
