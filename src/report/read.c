/* A node carries its way from the root, so that a message can be made where something is wrong,
 * however deep, without the callers' help. */
#include "report/read.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

/* --- opened --- */

static bool is_folder(const char *path)
{
    struct stat there;
    return stat(path, &there) == 0 && S_ISDIR(there.st_mode);
}

/* Of a folder the result in it, as `iubench run` leaves it. */
static FILE *open_result(const char *path)
{
    struct text inside = {0};
    text_addf(&inside, "%s%s", path, is_folder(path) ? "/result.json" : "");
    FILE *from = fopen(inside.data, "re");
    text_free(&inside);
    return from;
}

static json_t *load(const char *path, struct fail *f)
{
    char shown[256];
    json_error_t error;
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *from = is_stdin ? stdin : open_result(path);
    log_escape(span_of(is_stdin ? "standard input" : path), shown, sizeof shown);
    json_t *document = from ? json_loadf(from, JSON_REJECT_DUPLICATES, &error) : NULL;
    if (!from)
        fail_set(f, EXIT_FAILED, "%s%s cannot be read: %s", shown,
                 is_folder(path) ? "/result.json" : "", strerror(errno));
    else if (ferror(from))
        fail_set(f, EXIT_FAILED, "%s cannot be read: %s", shown, strerror(errno));
    else if (!document)
        fail_set(f, EXIT_USAGE, "%s is no JSON: line %d, column %d: %s", shown, error.line,
                 error.column, log_escape(span_of(error.text), (char[256]){0}, 256));
    if (from && !is_stdin)
        fclose(from);
    return document;
}

static bool has_schema(const struct read_node *root, const char *name)
{
    const char *schema = json_string_value(json_object_get(root->value, "schema"));
    return schema && strcmp(schema, name) == 0;
}

bool read_is_reproduction(const struct read_node *root)
{
    return has_schema(root, "iubench-reproduction/1");
}

bool read_open(const char *path, struct read_node *root, struct fail *f)
{
    bool is_read = read_open_any(path, root, f);
    if (!is_read || !read_is_reproduction(root))
        return is_read;
    read_fail(root, NULL, f,
              "a reproduction, which `iubench report` takes: expected a result of one run, such as "
              "those in the folders beside it");
    read_close(root);
    return false;
}

bool read_open_any(const char *path, struct read_node *root, struct fail *f)
{
    *root = (struct read_node){.file = path, .value = load(path, f)};
    if (!root->value)
        return false;
    if (has_schema(root, "iubench-result/1") || read_is_reproduction(root))
        return true;
    read_fail(root, NULL, f, "no result of iubench: expected \"schema\": \"iubench-result/1\"");
    read_close(root);
    return false;
}

const char *read_label(const char *word, char **label)
{
    const char *equals = strchr(word, '=');
    *label = NULL;
    if (!equals || equals == word || access(word, F_OK) == 0)
        return word; /* a file whose own name has a "=" is taken for what it is */
    *label = strndup(word, (size_t)(equals - word));
    CHECK(*label);
    return equals + 1;
}

void read_close(struct read_node *root)
{
    json_decref(root->value);
    root->value = NULL;
}

/* --- asked --- */

static const char *kind_of(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a text",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",  [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null",
    };
    return value ? names[json_typeof(value)] : "nothing";
}

bool read_fail(const struct read_node *in, const char *key, struct fail *f, const char *format, ...)
{
    char text[512], shown[256];
    bool is_stdin = strcmp(in->file, "-") == 0;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_escape(span_of(is_stdin ? "standard input" : in->file), shown, sizeof shown);
    return fail_set(f, EXIT_USAGE, "%s: %s%s%s%s%s", shown, in->path, in->path[0] && key ? "." : "",
                    key ? key : "", in->path[0] || key ? ": " : "", text);
}

static bool fail_kind(const struct read_node *in, const char *key, const char *expected,
                      struct fail *f)
{
    return read_fail(in, key, f, "expected %s, found %s", expected,
                     kind_of(json_object_get(in->value, key)));
}

static void step_to(const struct read_node *in, const char *key, json_t *value,
                    struct read_node *out)
{
    struct read_node at = {.file = in->file, .value = value};
    snprintf(at.path, sizeof at.path, "%.90s%s%.30s", in->path, in->path[0] ? "." : "", key);
    *out = at;
}

bool read_object(const struct read_node *in, const char *key, struct read_node *out, struct fail *f)
{
    json_t *value = json_object_get(in->value, key);
    if (!json_is_object(value))
        return fail_kind(in, key, "an object", f);
    step_to(in, key, value, out);
    return true;
}

bool read_array(const struct read_node *in, const char *key, struct read_node *out, struct fail *f)
{
    json_t *value = json_object_get(in->value, key);
    if (!json_is_array(value))
        return fail_kind(in, key, "an array", f);
    step_to(in, key, value, out);
    return true;
}

bool read_text(const struct read_node *in, const char *key, const char **out, struct fail *f)
{
    *out = json_string_value(json_object_get(in->value, key));
    return *out || fail_kind(in, key, "a text", f);
}

/* Those of ASCII, and the others in UTF-8, which is what the text is. */
static bool has_control(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c < ' ' || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0))
            return true;
    return false;
}

bool read_line(const struct read_node *in, const char *key, const char **out, struct fail *f)
{
    return read_text(in, key, out, f) &&
           (!has_control(*out) ||
            read_fail(in, key, f, "expected a text without control characters"));
}

bool read_bool(const struct read_node *in, const char *key, bool *out, struct fail *f)
{
    const json_t *value = json_object_get(in->value, key);
    *out = json_is_true(value);
    return json_is_boolean(value) || fail_kind(in, key, "true or false", f);
}

bool read_count(const struct read_node *in, const char *key, uint64_t *out, struct fail *f)
{
    const json_t *value = json_object_get(in->value, key);
    bool is_count = json_is_integer(value) && json_integer_value(value) >= 0;
    *out = is_count ? (uint64_t)json_integer_value(value) : 0;
    return is_count || fail_kind(in, key, "a whole number from 0", f);
}

bool read_number(const struct read_node *in, const char *key, double *out, struct fail *f)
{
    const json_t *value = json_object_get(in->value, key);
    *out = json_number_value(value);
    if (!json_is_number(value))
        return fail_kind(in, key, "a number", f);
    return fabs(*out) <= READ_NUMBER_MAX ||
           read_fail(in, key, f, "expected a number that was measured, found %g", *out);
}

bool read_number_or_nan(const struct read_node *in, const char *key, double *out, struct fail *f)
{
    if (read_has(in, key))
        return read_number(in, key, out, f);
    *out = NAN;
    return true;
}

bool read_item(const struct read_node *array, size_t i, struct read_node *out, struct fail *f)
{
    struct read_node at = {.file = array->file, .value = json_array_get(array->value, i)};
    snprintf(at.path, sizeof at.path, "%.100s[%zu]", array->path, i);
    if (!json_is_object(at.value))
        return read_fail(&at, NULL, f, "expected an object, found %s", kind_of(at.value));
    *out = at;
    return true;
}

bool read_histogram(const struct read_node *in, const char *key, struct hist *h, struct fail *f)
{
    const char *text;
    return read_text(in, key, &text, f) &&
           (hist_decode(h, span_of(text)) ||
            read_fail(in, key, f,
                      "expected a histogram as HISTFAAAA... (1 ns to 1 h, 3 digits), found a text "
                      "that is none"));
}

bool read_has(const struct read_node *in, const char *key)
{
    const json_t *value = json_object_get(in->value, key);
    return value && !json_is_null(value);
}
