/* Manual pages are the option tables once more, in the language of man(7). All text goes through one
 * function that knows which characters mean something there. */
#include "cli/cli.h"

#define SOURCE_COLUMNS 78

struct entry {
    const char *name, *sentence;
};

/* What holds for every command, so that it stands on one page. */
static const char description[] =
    "One program on io_uring that reproduces backend benchmarks on one Linux machine: the target "
    "endpoints, a delayed upstream, a load generator, private PostgreSQL and memcached, the "
    "pinning of each to cores of its own, and a result that says of itself whether it may be "
    "believed.";

static const struct entry options[] = {
    {"-h, --help", "list the commands; behind a command, its options with examples"},
    {"-V, --version", "print the version, outside a release with the revision"},
    {0},
};

static const struct entry values[] = {
    {"DURATION", "500us, 10ms, 5s, 2m, 1h; a bare number is seconds"},
    {"RATE", "requests per second: 250, 2.5k, 1M"},
    {"SIZE", "bytes: 512, 64k, 1M, 2G, in powers of 1024"},
    {"LIST", "cores: 0-3,6"},
    {"ADDR:PORT", "127.0.0.1:8080, [::1]:8080 or unix:PATH; port 0 is a free one"},
    {0},
};

static const struct entry exit_codes[] = {
    {"0", "done"},
    {"1", "failed at run time, or no request succeeded"},
    {"2", "the command line or a scenario file is wrong"},
    {"3", "a threshold (--expect) was not met, or --find-max found no rate"},
    {"4", "this machine lacks something; the message names it and what mends it"},
    {"5", "the verdict is INVALID: the numbers are wrong; goes before 3"},
    {"130, 143", "ended by SIGINT, SIGTERM; what there was is written, marked interrupted"},
    {0},
};

static const struct entry environment[] = {
    {"PGHOST, PGPORT, PGDATABASE, PGUSER ...", "the database as libpq reads it, without --pg"},
    {"DATABASE_URL", "the same as one address"},
    {"MEMCACHED_SERVERS", "HOST:PORT[,...], without --memcached"},
    {"NO_COLOR", "no colours, even on a terminal"},
    {0},
};

/* A character that roff takes for its own becomes the sequence that prints it. */
static void put(struct span text, struct text *out)
{
    for (size_t i = 0; i < text.len; i++) {
        struct span one = {text.data + i, 1};
        switch (*one.data) {
        case '\\':
            one = SPAN("\\e");
            break;
        case '-':
            one = SPAN("\\-");
            break;
        case '\'':
            one = SPAN("\\(aq");
            break;
        case '`':
            one = SPAN("\\(ga");
            break;
        case '^':
            one = SPAN("\\(ha");
            break;
        case '~':
            one = SPAN("\\(ti");
            break;
        default:
            break;
        }
        text_add(out, one);
    }
}

/* Text at the beginning of a line, where a dot would make it a request. */
static void begin(struct span text, struct text *out)
{
    if (text.len && text.data[0] == '.')
        text_add(out, SPAN("\\&"));
    put(text, out);
}

/* Words that roff fills, in lines that a reader of the source can see whole. */
static void put_words(struct span words, struct text *out)
{
    const char *at = words.data, *end = words.data + words.len;
    size_t column = 0;
    while (at < end) {
        struct span word = {at, 0};
        while (at < end && *at != ' ' && *at != '\n')
            at++;
        word.len = (size_t)(at - word.data);
        while (at < end && (*at == ' ' || *at == '\n'))
            at++;
        bool goes_on = column && column + 1 + word.len <= SOURCE_COLUMNS;
        if (column)
            text_add(out, goes_on ? SPAN(" ") : SPAN("\n"));
        if (goes_on)
            put(word, out);
        else
            begin(word, out);
        column = word.len + (goes_on ? column + 1 : 0);
    }
    text_add(out, SPAN("\n"));
}

/* Lines as they are. */
static void put_literal(struct span lines, struct text *out)
{
    text_add(out, SPAN(".nf\n.RS\n"));
    while (lines.len) {
        const char *end = memchr(lines.data, '\n', lines.len);
        struct span line = {lines.data, end ? (size_t)(end - lines.data) : lines.len};
        begin(line, out);
        text_add(out, SPAN("\n"));
        lines.data += line.len + (end ? 1 : 0);
        lines.len -= line.len + (end ? 1 : 0);
    }
    text_add(out, SPAN(".RE\n.fi\n"));
}

/* As in --help: an empty line between paragraphs, and one that begins with a space is kept. */
static void put_paragraphs(const char *paragraphs, struct text *out)
{
    while (*paragraphs) {
        const char *end = strstr(paragraphs, "\n\n");
        struct span paragraph = {paragraphs, end ? (size_t)(end - paragraphs) : strlen(paragraphs)};
        if (*paragraphs == ' ')
            put_literal(paragraph, out);
        else
            put_words(paragraph, out);
        paragraphs += paragraph.len + strspn(paragraphs + paragraph.len, "\n");
        if (*paragraphs)
            text_add(out, SPAN(".PP\n"));
    }
}

/* `name` is bold, what stands behind it in italics. */
static void put_entry(struct span name, struct span rest, const char *sentence, struct text *out)
{
    text_add(out, SPAN(".TP\n\\fB"));
    put(name, out);
    text_add(out, rest.len ? SPAN("\\fI") : SPAN(""));
    put(rest, out);
    text_add(out, SPAN("\\fR\n"));
    put_words(span_of(sentence), out);
}

static void put_section(const char *title, const struct entry *entries, struct text *out)
{
    text_addf(out, ".SH %s\n", title);
    for (; entries->name; entries++)
        put_entry(span_of(entries->name), SPAN(""), entries->sentence, out);
}

static void put_title(const char *name, char section, const struct cli_release *release,
                      struct text *out)
{
    text_add(out, SPAN(".TH IUBENCH"));
    for (const char *c = name; *c; c++)
        text_addf(out, "%s%c", c == name ? "\\-" : "", *c & ~0x20);
    text_addf(out, " %c \"%s\" \"iubench %s\" \"iubench\"\n", section, release->date,
              release->version);
    text_add(out, SPAN(".SH NAME\n"));
    text_addf(out, "iubench%s%s \\- ", *name ? "\\-" : "", name);
}

static void put_option(const struct option_row *row, struct text *out)
{
    struct text names = {0};
    cli_option_names(row, &names);
    size_t len = (size_t)(strstr(names.data, row->name) - names.data) + strlen(row->name);
    put_entry((struct span){names.data, len}, (struct span){names.data + len, names.len - len},
              row->help, out);
    text_free(&names);
}

static void put_options(const struct option_table *tables, struct text *out)
{
    text_add(out, SPAN(".SH OPTIONS\n"));
    for (; tables->rows; tables++)
        for (const struct option_row *row = tables->rows; row->name; row++)
            put_option(row, out);
    put_entry(SPAN("-h, --help"), SPAN(""), "show this help", out);
}

void cli_manual(const struct command *c, const struct cli_release *release, struct text *out)
{
    put_title(c->name, '1', release, out);
    put_words(span_of(c->summary), out);
    text_addf(out, ".SH SYNOPSIS\n.B iubench %s\n[OPTION...]%s", c->name, *c->arguments ? " " : "");
    put(span_of(c->arguments), out);
    text_add(out, SPAN("\n"));
    if (*c->details) {
        text_add(out, SPAN(".SH DESCRIPTION\n"));
        put_paragraphs(c->details, out);
    }
    put_options(c->options, out);
    if (*c->examples) {
        text_add(out, SPAN(".SH EXAMPLES\n"));
        put_literal(span_of(c->examples), out);
    }
    text_add(out, SPAN(".SH SEE ALSO\n.BR iubench (1)\nfor values, exit codes and the other "
                       "commands\n"));
}

void cli_manual_overview(const struct command *const *commands, const struct cli_release *release,
                         struct text *out)
{
    put_title("", '1', release, out);
    text_add(out, SPAN("reproduce backend benchmarks on one Linux machine\n"
                       ".SH SYNOPSIS\n.B iubench\nCOMMAND [OPTION...] [ARGUMENT...]\n"
                       ".SH DESCRIPTION\n"));
    put_words(span_of(description), out);
    text_add(out, SPAN(".SH COMMANDS\n"));
    for (const struct command *const *c = commands; *c; c++) {
        text_addf(out, ".TP\n.BR iubench\\-%s (1)\n", (*c)->name);
        put_words(span_of((*c)->summary), out);
    }
    put_section("OPTIONS", options, out);
    put_section("VALUES", values, out);
    put_section("EXIT STATUS", exit_codes, out);
    put_section("ENVIRONMENT", environment, out);
}

/* --- files --- */

static void put_key(const char *name, const char *value, const char *help, struct text *out)
{
    struct text behind = {0};
    text_addf(&behind, " = %s", value);
    put_entry(span_of(name), text_span(&behind), help, out);
    text_free(&behind);
}

static const char *value_of(const struct option_row *row)
{
    return row->metavar ? row->metavar : row->kind == OPTION_FLAG ? "yes|no" : "CHOICE";
}

static void put_keys(const struct cli_section *s, struct text *out)
{
    const struct cli_key *key;
    for (size_t i = 0; (key = s->key(i)); i++)
        put_key(key->name, key->metavar, key->help, out);
    for (const struct option_table *table = s->options; table->rows; table++)
        for (const struct option_row *row = table->rows; row->name; row++)
            put_key(row->name, value_of(row), row->help, out);
}

void cli_manual_file(const struct cli_file *file, const struct cli_release *release,
                     struct text *out)
{
    put_title(file->name, '5', release, out);
    put_words(span_of(file->summary), out);
    text_add(out, SPAN(".SH DESCRIPTION\n"));
    put_paragraphs(file->details, out);
    for (const struct cli_section *s = file->sections; s->name; s++) {
        text_addf(out, ".SH [%s]\n", s->name);
        put_words(span_of(s->help), out);
        put_keys(s, out);
    }
    text_add(out, SPAN(".SH EXAMPLE\n"));
    put_literal(file->example, out);
    text_add(out, SPAN(".SH SEE ALSO\n.BR iubench (1)\nfor values and the commands\n"));
}
