/* Commands and options as tables. From one row come the parser, the check of the value, --help, the
 * keys of scenario files, man pages and completions: an option is described nowhere else. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail.h"
#include "base/text.h"

enum option_kind {
    OPTION_FLAG,  /* bool; --name and --no-name */
    OPTION_TEXT,  /* const char *, points into argv or a copy that lives as long as the program */
    OPTION_TEXTS, /* struct cli_texts; may be given several times */
    OPTION_DURATION, /* uint64_t ns */
    OPTION_RATE,     /* double per second */
    OPTION_SIZE,     /* uint64_t bytes */
    OPTION_COUNT,    /* uint32_t, within min and max */
    OPTION_CHOICE,   /* int: index into choices */
    OPTION_PARSED,   /* whatever `parse` makes of it */
};

struct cli_texts {
    const char **items;
    size_t count;
};

/* One option. `at` is the offset of its field in the command's configuration struct, whose initial
 * value is the default. */
struct option_row {
    const char *name; /* long name without dashes; also the key in scenario files */
    char letter;      /* short name or 0 */
    enum option_kind kind;
    size_t at;
    const char *metavar; /* "N", "DURATION", "ADDR:PORT"; NULL for flags, and for choices, whose
                            help then lists them. Of alternatives ("auto|none|FILE") shells complete
                            those in small letters as they stand, FILE and DIR as paths */
    const char *help;    /* one sentence without a full stop; the default is in it when there is one
                            worth showing */
    bool is_value_optional; /* the next word is its value only if it begins with a digit; else ""
                               goes to `parse` */
    uint64_t min, max;      /* OPTION_COUNT */
    const char *const *choices; /* OPTION_CHOICE, NULL-terminated */
    bool (*parse)(void *field, const char *value, struct fail *f); /* OPTION_PARSED */
    size_t was_set_at; /* offset of a bool that is set when the option was given; 0: none */
};

/* Options of one configuration struct, and where that stands in the struct that a command reads into.
 * Lists of tables end with one without rows; rows end with one without a name. */
struct option_table {
    const struct option_row *rows;
    size_t at;
};

struct command {
    const char *name;
    const char *arguments; /* "[URL...]"; "" when it takes none; completed as a metavar is */
    const char *(*argument_word)(size_t i); /* the i-th name that an argument can be, NULL behind
                                               the last; may itself be NULL */
    unsigned arguments_min, arguments_max;
    const char *summary;  /* one line */
    const char *details;  /* paragraphs for --help; "" for none */
    const char *examples; /* lines "iubench ..." */
    const struct option_table *options;
    const struct option_table
        *unlisted; /* those of other commands that are read as well, so that it
                                            can be said why they are of no use here; NULL: none */
    /* Runs with the words behind the command's name; returns the exit code; on failure prints
     * nothing but fills `f`. */
    int (*run)(const struct command *c, int argc, char **argv, struct fail *f);
};

enum cli_outcome { CLI_RUN, CLI_HELP_SHOWN, CLI_BAD };

/* Reads options and arguments into `config`; what these point at is never freed. `--help` and `-h`
 * (unless a row has that letter) print help and give CLI_HELP_SHOWN. GNU style: `--name=value`,
 * `--name value`, `-c 64`, `-c64`, `--` ends options, options and arguments may be mixed,
 * unambiguous prefixes are not accepted. As with getopt_long(3) a value that is due is the next
 * word, even one that begins with a dash. Unknown: EXIT_USAGE with the nearest right spelling. */
enum cli_outcome cli_parse(const struct command *c, int argc, char **argv, void *config,
                           struct cli_texts *arguments, struct fail *f);

/* The exit code of a command that an outcome other than CLI_RUN has ended. */
static inline int cli_exit_code(enum cli_outcome outcome, const struct fail *f)
{
    return outcome == CLI_BAD ? (int)f->exit : EXIT_DONE;
}

/* Sets one option by its name, as scenario files do; flags take yes or no. Copies `value`. The
 * message begins with the name; the caller puts "test1.ini:12" before it with fail_prefix(). */
bool cli_set(const struct option_table *tables, void *config, const char *name, const char *value,
             struct fail *f) MUST_USE;

/* The help of a command; the overview of all. */
void cli_help(const struct command *c, struct text *out);
void cli_overview(const struct command *const *commands, struct text *out);

/* How help and man pages show an option: "-c, --connections N". */
void cli_option_names(const struct option_row *row, struct text *out);

/* What a man page says of the program: "0.1.0", "2026-11-20". */
struct cli_release {
    const char *version, *date;
};

/* The man page of a command; that of the program, iubench(1). In the language of man(7). */
void cli_manual(const struct command *c, const struct cli_release *release, struct text *out);
void cli_manual_overview(const struct command *const *commands, const struct cli_release *release,
                         struct text *out);

/* A kind of file that a person writes: sections of keys. Options are keys by their long names. */
struct cli_key {
    const char *name, *metavar, *help;
};
struct cli_section {
    const char *name, *help;
    const struct cli_key *(*key)(size_t i); /* the i-th that is no option, NULL behind the last */
    const struct option_table *options;
};
struct cli_file {
    const char *name, *summary, *details; /* as of a command */
    const struct cli_section *sections;   /* ended by one without a name */
    struct span example;                  /* a whole one */
};

/* The man page of such files, in section 5: iubench-NAME(5). */
void cli_manual_file(const struct cli_file *file, const struct cli_release *release,
                     struct text *out);

/* A script that completes commands, options, values and arguments in `shell`, one of cli_shells. */
extern const char *const cli_shells[]; /* NULL-terminated */
void cli_completion(const struct command *const *commands, const char *shell, struct text *out);

/* Finds a command by name; on failure EXIT_USAGE with the nearest right spelling. */
const struct command *cli_find(const struct command *const *commands, const char *name,
                               struct fail *f);

/* The nearest of `names` (NULL-terminated) by edit distance, NULL if none is near enough to
 * suggest. */
const char *cli_nearest(const char *word, const char *const *names);

#endif
