/* Help is the option tables, laid out: names in a column on the left, sentences wrapped on the
 * right, in lines that fit an old terminal. */
#include "cli/cli.h"

#define LINE_COLUMNS 80
#define NAME_COLUMNS 28 /* a longer name has its sentence on the next line */

static void indent(struct text *out, size_t columns)
{
    text_addf(out, "%*s", (int)columns, "");
}

/* Adds words at `column`, going on below at `margin`; ends the line. */
static void add_wrapped(struct text *out, const char *words, size_t column, size_t margin)
{
    bool is_first = true;
    while (*(words += strspn(words, " \n"))) {
        struct span word = {words, strcspn(words, " \n")};
        if (!is_first && column + 1 + word.len > LINE_COLUMNS) {
            text_add(out, SPAN("\n"));
            indent(out, margin);
            column = margin;
        } else if (!is_first) {
            text_add(out, SPAN(" "));
            column++;
        }
        text_add(out, word);
        column += word.len;
        words += word.len;
        is_first = false;
    }
    text_add(out, SPAN("\n"));
}

/* Paragraphs stand apart by an empty line; one that begins with a space is kept as it is. */
static void add_paragraphs(struct text *out, const char *paragraphs)
{
    while (*paragraphs) {
        const char *end = strstr(paragraphs, "\n\n");
        struct span paragraph = {paragraphs, end ? (size_t)(end - paragraphs) : strlen(paragraphs)};
        struct text copy = {0};
        text_add(&copy, paragraph);
        text_add(out, SPAN("\n"));
        if (*paragraphs == ' ')
            text_addf(out, "%s\n", copy.data);
        else
            add_wrapped(out, copy.data, 0, 0);
        text_free(&copy);
        paragraphs += paragraph.len;
        paragraphs += strspn(paragraphs, "\n");
    }
}

/* "  name   sentence", both columns kept. */
static void add_entry(struct text *out, const char *name, size_t name_columns, const char *sentence)
{
    size_t margin = 2 + name_columns + 2, len = strlen(name);
    text_addf(out, "  %s", name);
    if (len > name_columns) {
        text_add(out, SPAN("\n"));
        indent(out, margin);
    } else {
        indent(out, margin - 2 - len);
    }
    add_wrapped(out, sentence, margin, margin);
}

/* What stands for the value: the row's own word, or the choices themselves. */
static void put_metavar(const struct option_row *row, struct text *out)
{
    if (row->metavar)
        text_addf(out, "%s", row->metavar);
    else if (row->kind == OPTION_CHOICE)
        for (const char *const *choice = row->choices; *choice; choice++)
            text_addf(out, "%s%s", choice == row->choices ? "" : "|", *choice);
    else
        text_add(out, SPAN("VALUE"));
}

void cli_option_names(const struct option_row *row, struct text *out)
{
    if (row->letter)
        text_addf(out, "-%c, ", row->letter);
    text_addf(out, "--%s%s", row->kind == OPTION_FLAG ? "[no-]" : "", row->name);
    if (row->kind == OPTION_FLAG)
        return;
    text_add(out, row->is_value_optional ? SPAN(" [") : SPAN(" "));
    put_metavar(row, out);
    text_add(out, row->is_value_optional ? SPAN("]") : SPAN(""));
}

/* Long names stand below one another, whether there is a short one or not. */
static void put_names(const struct option_row *row, struct text *out)
{
    if (!row->letter)
        indent(out, 4);
    cli_option_names(row, out);
}

static void add_option(struct text *out, const struct option_row *row, size_t columns)
{
    struct text names = {0};
    put_names(row, &names);
    add_entry(out, names.data, columns, row->help);
    text_free(&names);
}

/* The widest of the names that stay within the column. */
static size_t names_columns(const struct option_table *tables)
{
    size_t widest = strlen("-h, --help");
    for (; tables->rows; tables++)
        for (const struct option_row *row = tables->rows; row->name; row++) {
            struct text names = {0};
            put_names(row, &names);
            if (names.len > widest && names.len <= NAME_COLUMNS)
                widest = names.len;
            text_free(&names);
        }
    return widest;
}

static void add_examples(struct text *out, const char *examples)
{
    text_add(out, SPAN("\nExamples:\n"));
    while (*examples) {
        size_t len = strcspn(examples, "\n");
        text_addf(out, "  %.*s\n", (int)len, examples);
        examples += len + (examples[len] == '\n');
    }
}

void cli_help(const struct command *c, struct text *out)
{
    text_addf(out, "Usage: iubench %s [OPTION...]%s%s\n\n", c->name, *c->arguments ? " " : "",
              c->arguments);
    add_wrapped(out, c->summary, 0, 0);
    add_paragraphs(out, c->details);

    text_add(out, SPAN("\nOptions:\n"));
    size_t columns = names_columns(c->options);
    for (const struct option_table *table = c->options; table->rows; table++)
        for (const struct option_row *row = table->rows; row->name; row++)
            add_option(out, row, columns);
    add_entry(out, "-h, --help", columns, "show this help");
    if (*c->examples)
        add_examples(out, c->examples);
}

void cli_overview(const struct command *const *commands, struct text *out)
{
    size_t columns = 0;
    for (const struct command *const *c = commands; *c; c++)
        if (strlen((*c)->name) > columns)
            columns = strlen((*c)->name);
    text_add(out, SPAN("Usage: iubench COMMAND [OPTION...] [ARGUMENT...]\n"
                       "       iubench COMMAND --help\n"
                       "       iubench --version\n\nCommands:\n"));
    for (; *commands; commands++)
        add_entry(out, (*commands)->name, columns, (*commands)->summary);
}
