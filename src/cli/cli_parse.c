/* One pass over the words, as getopt_long(3) reads them, but against the option tables: the row
 * that names an option also says what its value must be and where it goes. Scenario files set
 * options through the same rows. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"

#define SHOWN_BYTES 96

/* What configurations point at lives as long as the program; being linked from here says so to leak
 * checkers. Options are read by one thread, at start. */
struct kept {
    struct kept *next;
    char bytes[];
};

static void *keep(size_t bytes)
{
    static struct kept *all;
    struct kept *kept = mem_need(1, sizeof *kept + bytes);
    kept->next = all;
    all = kept;
    return kept->bytes;
}

static const char *keep_text(const char *text)
{
    size_t bytes = strlen(text) + 1;
    return memcpy(keep(bytes), text, bytes);
}

/* The array is replaced by one of twice the room whenever its count is a power of two. */
static void add_text(struct cli_texts *texts, const char *text)
{
    if (!(texts->count & (texts->count - 1))) {
        size_t room = texts->count ? 2 * texts->count : 1;
        const char **items = keep(room * sizeof *items);
        if (texts->count)
            memcpy(items, texts->items, texts->count * sizeof *items);
        texts->items = items;
    }
    texts->items[texts->count++] = text;
}

/* Both set *at to where the option's configuration struct stands in the command's. */
static const struct option_row *find_name(const struct option_table *tables, struct span name,
                                          size_t *at)
{
    for (; tables->rows; tables++)
        for (const struct option_row *row = tables->rows; row->name; row++)
            if (span_eq(span_of(row->name), name)) {
                *at = tables->at;
                return row;
            }
    return NULL;
}

static const struct option_row *find_letter(const struct option_table *tables, char letter,
                                            size_t *at)
{
    for (; tables->rows; tables++)
        for (const struct option_row *row = tables->rows; row->name; row++)
            if (row->letter == letter) {
                *at = tables->at;
                return row;
            }
    return NULL;
}

static const char *nearest_name(const struct option_table *tables, const char *word)
{
    size_t count = 0;
    for (const struct option_table *table = tables; table->rows; table++)
        for (const struct option_row *row = table->rows; row->name; row++)
            count++;
    const char **names = mem_need(count + 1, sizeof *names);
    count = 0;
    for (const struct option_table *table = tables; table->rows; table++)
        for (const struct option_row *row = table->rows; row->name; row++)
            names[count++] = row->name;
    const char *nearest = cli_nearest(word, names);
    free(names);
    return nearest;
}

/* "all, static or fib" */
static void add_choices(const struct option_row *row, struct text *out)
{
    for (int i = 0; row->choices[i]; i++)
        text_addf(out, "%s%s", !i ? "" : row->choices[i + 1] ? ", " : " or ", row->choices[i]);
}

static bool set_choice(const struct option_row *row, int *field, const char *value, struct fail *f)
{
    for (int i = 0; row->choices[i]; i++) {
        if (!strcmp(row->choices[i], value)) {
            *field = i;
            return true;
        }
    }
    char shown[SHOWN_BYTES];
    struct text choices = {0};
    add_choices(row, &choices);
    const char *nearest = cli_nearest(value, row->choices);
    fail_set(f, EXIT_USAGE, "\"%s\" is not understood: expected %s%s%s%s",
             log_escape(span_of(value), shown, sizeof shown), choices.data,
             nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    text_free(&choices);
    return false;
}

static bool set_count(const struct option_row *row, uint32_t *field, const char *value,
                      struct fail *f)
{
    uint64_t count;
    uint64_t max = row->max ? row->max : UINT32_MAX;
    CHECK(max <= UINT32_MAX);
    if (!units_count(value, row->min, max, &count, f))
        return false;
    *field = (uint32_t)count;
    return true;
}

/* Checks a value and stores it. `value` must live as long as the program. */
static bool set_value(const struct option_row *row, void *config, const char *value, struct fail *f)
{
    void *field = (char *)config + row->at;
    switch (row->kind) {
    case OPTION_FLAG:
        break;
    case OPTION_TEXT:
        *(const char **)field = value;
        return true;
    case OPTION_TEXTS:
        add_text(field, value);
        return true;
    case OPTION_DURATION:
        return units_duration(value, field, f);
    case OPTION_RATE:
        return units_rate(value, field, f);
    case OPTION_SIZE:
        return units_size(value, field, f);
    case OPTION_COUNT:
        return set_count(row, field, value, f);
    case OPTION_CHOICE:
        return set_choice(row, field, value, f);
    case OPTION_PARSED:
        return row->parse(field, value, f);
    }
    CHECK(!"an option with a value");
    return false;
}

static void set_flag(const struct option_row *row, void *config, bool value)
{
    *(bool *)((char *)config + row->at) = value;
}

static void note_set(const struct option_row *row, void *config)
{
    if (row->was_set_at)
        *(bool *)((char *)config + row->was_set_at) = true;
}

/* Where the reading of a command line stands. */
struct reader {
    const struct command *command;
    void *config;
    struct cli_texts *arguments;
    struct fail *f;
    char **word, **end; /* the words not yet read */
};

static bool refuse_unknown(const struct reader *r, const char *dashes, struct span name)
{
    char shown[SHOWN_BYTES];
    log_escape(name, shown, sizeof shown);
    static const char *const of_every_command[] = {"help", NULL};
    const char *nearest = name.len > 1 ? nearest_name(r->command->options, shown) : NULL;
    if (!nearest && name.len > 1)
        nearest = cli_nearest(shown, of_every_command);
    if (nearest)
        return fail_set(r->f, EXIT_USAGE, "unknown option %s%s; did you mean --%s?", dashes, shown,
                        nearest);
    return fail_set(r->f, EXIT_USAGE, "unknown option %s%s; iubench %s --help lists them", dashes,
                    shown, r->command->name);
}

static bool refuse_missing(const struct option_row *row, struct fail *f)
{
    struct text choices = {0};
    if (row->kind == OPTION_CHOICE)
        add_choices(row, &choices);
    fail_set(f, EXIT_USAGE, "--%s needs a value, %s: %s", row->name,
             choices.len    ? choices.data
             : row->metavar ? row->metavar
                            : "any text",
             row->help);
    text_free(&choices);
    return false;
}

/* The value stands behind `=` or the letter (`attached`), or is the next word, whatever that begins
 * with; but where it may be left out only if that begins with a digit. NULL if there is none. */
static const char *take_value(struct reader *r, const struct option_row *row, const char *attached)
{
    if (attached)
        return attached;
    if (r->word < r->end && (!row->is_value_optional || (**r->word >= '0' && **r->word <= '9')))
        return *r->word++;
    return row->is_value_optional ? "" : NULL;
}

static bool read_option(struct reader *r, const struct option_row *row, size_t at,
                        const char *attached)
{
    void *config = (char *)r->config + at;
    const char *value = take_value(r, row, attached);
    if (!value)
        return refuse_missing(row, r->f);
    if (!set_value(row, config, value, r->f))
        return fail_prefix(r->f, "--%s", row->name);
    note_set(row, config);
    return true;
}

static bool read_flag(struct reader *r, const struct option_row *row, size_t at, bool value,
                      const char *attached)
{
    void *config = (char *)r->config + at;
    if (attached)
        return fail_set(r->f, EXIT_USAGE, "--%s%s takes no value: write it without \"=\"",
                        value ? "" : "no-", row->name);
    set_flag(row, config, value);
    note_set(row, config);
    return true;
}

static const struct option_row *find_long(const struct reader *r, struct span name, size_t *at)
{
    const struct command *c = r->command;
    const struct option_row *row = find_name(c->options, name, at);
    return row || !c->unlisted ? row : find_name(c->unlisted, name, at);
}

/* "name", "name=value" or "no-name", behind the two dashes. */
static enum cli_outcome read_long(struct reader *r, const char *text)
{
    struct span name = {text, strcspn(text, "=")};
    const char *attached = text[name.len] ? text + name.len + 1 : NULL;
    size_t at = 0;
    const struct option_row *row = find_long(r, name, &at);
    if (row && row->kind == OPTION_FLAG)
        return read_flag(r, row, at, true, attached) ? CLI_RUN : CLI_BAD;
    if (row)
        return read_option(r, row, at, attached) ? CLI_RUN : CLI_BAD;
    if (span_eq(name, SPAN("help")))
        return CLI_HELP_SHOWN;
    if (span_starts(name, SPAN("no-"))) {
        row = find_name(r->command->options, (struct span){name.data + 3, name.len - 3}, &at);
        if (row && row->kind == OPTION_FLAG)
            return read_flag(r, row, at, false, attached) ? CLI_RUN : CLI_BAD;
    }
    refuse_unknown(r, "--", name);
    return CLI_BAD;
}

/* Letters behind one dash: flags, the last of which may be an option with its value. */
static enum cli_outcome read_short(struct reader *r, const char *letters)
{
    for (; *letters; letters++) {
        size_t at = 0;
        const struct option_row *row = find_letter(r->command->options, *letters, &at);
        if (!row && *letters == 'h')
            return CLI_HELP_SHOWN;
        if (!row) {
            refuse_unknown(r, "-", (struct span){letters, 1});
            return CLI_BAD;
        }
        if (row->kind != OPTION_FLAG)
            return read_option(r, row, at, letters[1] ? letters + 1 : NULL) ? CLI_RUN : CLI_BAD;
        read_flag(r, row, at, true, NULL);
    }
    return CLI_RUN;
}

static enum cli_outcome read_words(struct reader *r)
{
    bool options_ended = false;
    while (r->word < r->end) {
        const char *word = *r->word++;
        enum cli_outcome outcome = CLI_RUN;
        if (options_ended || word[0] != '-' || !word[1])
            add_text(r->arguments, word);
        else if (word[1] != '-')
            outcome = read_short(r, word + 1);
        else if (word[2])
            outcome = read_long(r, word + 2);
        else
            options_ended = true;
        if (outcome != CLI_RUN)
            return outcome;
    }
    return CLI_RUN;
}

static bool check_arguments(const struct reader *r)
{
    const struct command *c = r->command;
    char shown[SHOWN_BYTES];
    if (r->arguments->count < c->arguments_min)
        return fail_set(r->f, EXIT_USAGE, "%s is missing; iubench %s --help shows examples",
                        c->arguments, c->name);
    if (r->arguments->count <= c->arguments_max)
        return true;
    log_escape(span_of(r->arguments->items[c->arguments_max]), shown, sizeof shown);
    if (!c->arguments_max)
        return fail_set(r->f, EXIT_USAGE, "unexpected argument \"%s\": iubench %s takes none",
                        shown, c->name);
    return fail_set(r->f, EXIT_USAGE, "unexpected argument \"%s\": iubench %s takes only %s", shown,
                    c->name, c->arguments);
}

enum cli_outcome cli_parse(const struct command *c, int argc, char **argv, void *config,
                           struct cli_texts *arguments, struct fail *f)
{
    struct reader r = {c, config, arguments, f, argv, argv + argc};
    *arguments = (struct cli_texts){0};
    enum cli_outcome outcome = read_words(&r);
    if (outcome == CLI_RUN && !check_arguments(&r))
        return CLI_BAD;
    if (outcome == CLI_HELP_SHOWN) {
        struct text help = {0};
        cli_help(c, &help);
        fwrite(help.data, 1, help.len, stdout);
        text_free(&help);
    }
    return outcome;
}

/* What people write for a bool in a file. */
static bool read_bool(const char *value, bool *is_on, struct fail *f)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1", NULL};
    char shown[SHOWN_BYTES];
    for (int i = 0; words[i]; i++) {
        if (!strcasecmp(words[i], value)) {
            *is_on = i % 2;
            return true;
        }
    }
    return fail_set(f, EXIT_USAGE, "\"%s\" is not understood: expected yes or no",
                    log_escape(span_of(value), shown, sizeof shown));
}

bool cli_set(const struct option_table *tables, void *config, const char *name, const char *value,
             struct fail *f)
{
    char shown[SHOWN_BYTES];
    size_t at = 0;
    const struct option_row *row = find_name(tables, span_of(name), &at);
    if (!row) {
        const char *nearest = nearest_name(tables, name);
        return fail_set(f, EXIT_USAGE, "unknown key \"%s\"%s%s%s",
                        log_escape(span_of(name), shown, sizeof shown),
                        nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                        nearest ? "\"?" : "");
    }
    config = (char *)config + at;
    bool is_on = false;
    bool is_good = row->kind == OPTION_FLAG ? read_bool(value, &is_on, f)
                                            : set_value(row, config, keep_text(value), f);
    if (!is_good)
        return fail_prefix(f, "%s", row->name);
    if (row->kind == OPTION_FLAG)
        set_flag(row, config, is_on);
    note_set(row, config);
    return true;
}
