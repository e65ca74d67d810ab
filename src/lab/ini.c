#include "lab/ini.h"

/* libinih takes the text apart; the reader that feeds it counts lines, so that every complaint can
 * name one. A key with the lines that continue it is collected first and handed on when the next one
 * begins. */

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"

#define SHOWN_BYTES 96

struct parser {
    const struct ini_reader *reader;
    const char *where;
    struct span text;
    size_t at;     /* of the next line */
    unsigned line; /* last handed to libinih, from 1 */
    bool is_indented;
    bool has_pending;
    struct ini_key pending;
    struct text value; /* of the pending key */
    bool has_failed;
    unsigned failed_line;
    struct fail *f;
};

static bool fail_at(struct parser *p, unsigned line)
{
    p->has_failed = true;
    p->failed_line = line;
    return fail_prefix(p->f, "%s:%u", p->where, line);
}

static bool give_pending(struct parser *p)
{
    bool is_good = true;
    if (p->has_pending) {
        p->pending.value = text_span(&p->value).data;
        is_good = p->reader->key(p->reader->arg, &p->pending, p->f) || fail_at(p, p->pending.line);
    }
    text_free(&p->value);
    p->has_pending = false;
    return is_good;
}

/* An indented line continues the value above it; an indented key is most likely not meant to. */
static bool continue_pending(struct parser *p, const char *value)
{
    char name[INI_NAME_BYTES], shown[SHOWN_BYTES];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(value, " =:"), value);
    const char *behind = value + strlen(name);
    behind += strspn(behind, " ");
    if (*behind == '=' && p->reader->is_known(p->reader->arg, name)) {
        fail_set(p->f, EXIT_USAGE,
                 "an indented line continues \"%s\" above: expected the key \"%s\" at the "
                 "beginning of its line",
                 log_escape(span_of(p->pending.name), shown, sizeof shown), name);
        return fail_at(p, p->line);
    }
    if (*value)
        text_addf(&p->value, " %s", value);
    return true;
}

/* libinih's handler: 0 is failure. */
static int take_pair(void *arg, const char *section, const char *name, const char *value)
{
    struct parser *p = arg;
    if (p->has_failed)
        return 0;
    if (p->has_pending && p->is_indented)
        return continue_pending(p, value);
    if (!give_pending(p))
        return 0;
    snprintf(p->pending.section, sizeof p->pending.section, "%s", section);
    snprintf(p->pending.name, sizeof p->pending.name, "%s", name);
    text_add(&p->value, span_of(value));
    p->pending.line = p->line;
    p->has_pending = true;
    return 1;
}

static struct span line_at(const struct parser *p, size_t at)
{
    const char *from = p->text.data + at;
    const char *end = memchr(from, '\n', p->text.len - at);
    return (struct span){from, end ? (size_t)(end - from) + 1 : p->text.len - at};
}

/* libinih's reader, with the contract of fgets(3). */
static char *give_line(char *to, int room, void *arg)
{
    struct parser *p = arg;
    if (p->has_failed || p->at == p->text.len)
        return NULL;
    struct span line = line_at(p, p->at);
    p->line++;
    p->at += line.len;
    if (line.len + 3 > (size_t)room || memchr(line.data, 0, line.len)) {
        fail_set(
            p->f, EXIT_USAGE,
            "the line has a NUL byte or more than %d bytes; an indented line continues the one "
            "above",
            room - 3);
        fail_at(p, p->line);
        return NULL;
    }
    p->is_indented = line.data[0] == ' ' || line.data[0] == '\t';
    if (line.data[0] == '[' && !give_pending(p))
        return NULL;
    memcpy(to, line.data, line.len);
    to[line.len] = 0;
    return to;
}

static bool fail_syntax(struct parser *p, unsigned wanted)
{
    char shown[SHOWN_BYTES];
    struct span line = line_at(p, 0);
    size_t at = line.len;
    for (unsigned i = 1; i < wanted && at < p->text.len; i++, at += line.len)
        line = line_at(p, at);
    while (line.len && strchr("\r\n", line.data[line.len - 1]))
        line.len--;
    fail_set(p->f, EXIT_USAGE, "\"%s\" is neither: expected [section], key = value or ; comment",
             log_escape(line, shown, sizeof shown));
    return fail_at(p, wanted);
}

bool ini_read(const char *where, struct span text, const struct ini_reader *reader, struct fail *f)
{
    struct parser p = {.reader = reader, .where = where, .text = text, .f = f};
    int bad_line = ini_parse_stream(give_line, &p, take_pair, &p);
    bool is_read = !p.has_failed && give_pending(&p);
    /* Of several mistakes the first is told; libinih also counts the ones that we found. */
    if (bad_line > 0 && (is_read || (unsigned)bad_line < p.failed_line))
        is_read = fail_syntax(&p, (unsigned)bad_line);
    text_free(&p.value);
    return is_read;
}

bool ini_read_file(const char *path, const char *what, const struct ini_reader *reader,
                   struct fail *f)
{
    char shown[256];
    log_escape(span_of(path), shown, sizeof shown);
    FILE *file = fopen(path, "re");
    char *bytes = malloc(INI_BYTES_MAX + 1);
    size_t len = file && bytes ? fread(bytes, 1, INI_BYTES_MAX + 1, file) : 0;
    bool is_read = false;
    if (!file || !bytes || ferror(file))
        fail_set(f, EXIT_USAGE, "cannot read the %s %s: %s", what, shown, strerror(errno));
    else if (len > INI_BYTES_MAX)
        fail_set(f, EXIT_USAGE, "%s has more than %d bytes: expected a %s file", shown,
                 INI_BYTES_MAX, what);
    else
        is_read = ini_read(shown, (struct span){bytes, len}, reader, f);
    free(bytes);
    if (file)
        fclose(file);
    return is_read;
}

bool ini_set_text(char *field, size_t room, const char *value, struct fail *f)
{
    size_t len = strlen(value);
    if (len >= room)
        return fail_set(f, EXIT_USAGE, "the text has %zu bytes: expected at most %zu", len,
                        room - 1);
    memcpy(field, value, len + 1);
    return true;
}
