/* In the order of the bytes: method, target, fields, the length, the body. The URL's parser has
 * percent-encoded the braces of placeholders in the target; they are turned back here. */
#include "load/request.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/num.h"

/* --- method --- */

static bool is_token(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!isalnum((unsigned char)s.data[i]) && !memchr("!#$%&'*+-.^_`|~", s.data[i], 15))
            return false;
    return s.len > 0;
}

static bool set_method(struct request *r, const struct request_source *from, struct fail *f)
{
    const char *given = from->method ? from->method : (from->has_body ? "POST" : "GET");
    struct span name = span_of(given);
    char shown[64], upper[16] = "";
    if (!is_token(name) || name.len >= sizeof r->method_text)
        return fail_set(f, EXIT_USAGE,
                        "%s \"%s\" is no method: expected a word such as GET, POST or DELETE",
                        from->method_place, log_escape(name, shown, sizeof shown));
    for (size_t i = 0; i < name.len; i++)
        upper[i] = (char)toupper((unsigned char)given[i]);
    bool is_known = http_method_from(name, &r->method) && r->method != HTTP_OTHER;
    if (!is_known && http_method_from(span_of(upper), &r->method) && r->method != HTTP_OTHER)
        given = upper; /* "post" is meant as POST */
    if (r->method == HTTP_CONNECT)
        return fail_set(f, EXIT_USAGE, "%s CONNECT opens a tunnel; it is no request to load with",
                        from->method_place);
    snprintf(r->method_text, sizeof r->method_text, "%s", given);
    return true;
}

/* --- target --- */

static bool add_text(struct template *t, struct span s, const struct request_source *from,
                     struct fail *f)
{
    if (!from->is_literal)
        return template_add(t, s, f);
    template_add_literal(t, s);
    return true;
}

static bool add_target(struct template *t, const struct url *url, const struct request_source *from,
                       struct fail *f)
{
    struct span s = span_of(url->target);
    struct text braced = {0};
    if (from->is_literal)
        return add_text(t, s, from, f);
    for (size_t i = 0; i < s.len; i++) {
        struct span rest = {s.data + i, s.len - i};
        bool is_open = span_starts(rest, SPAN("%7B")), is_close = span_starts(rest, SPAN("%7D"));
        text_add(&braced, is_open    ? SPAN("{")
                          : is_close ? SPAN("}")
                                     : (struct span){s.data + i, 1});
        i += is_open || is_close ? 2 : 0;
    }
    bool is_good = template_add(t, text_span(&braced), f);
    text_free(&braced);
    return is_good || fail_prefix(f, "URL");
}

/* --- fields --- */

/* Fields that are ours to write, because a wrong one makes the stream of requests unreadable. */
static const char *const reserved_fields[] = {"Content-Length", "Transfer-Encoding", "Upgrade",
                                              "Expect"};

static struct span field_name(const char *field)
{
    const char *colon = strchr(field, ':');
    return (struct span){field, colon ? (size_t)(colon - field) : 0};
}

static bool check_field(const char *field, const char *place, struct fail *f)
{
    char shown[128];
    struct span name = field_name(field);
    log_escape(span_of(field), shown, sizeof shown);
    if (!is_token(name))
        return fail_set(f, EXIT_USAGE, "%s \"%s\" is no header field: expected \"Name: value\"",
                        place, shown);
    for (const char *c = name.data + name.len; *c; c++)
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
            return fail_set(f, EXIT_USAGE,
                            "%s \"%s\" has a line break or control character in its value", place,
                            shown);
    for (unsigned i = 0; i < sizeof reserved_fields / sizeof *reserved_fields; i++)
        if (span_eq_nocase(name, span_of(reserved_fields[i])))
            return fail_set(f, EXIT_USAGE,
                            "%s \"%s\": %s is not for the user to set, the load generator frames "
                            "its requests itself",
                            place, shown, reserved_fields[i]);
    return true;
}

static bool has_field(const struct cli_texts *fields, struct span name)
{
    for (size_t i = 0; i < fields->count; i++)
        if (span_eq_nocase(field_name(fields->items[i]), name))
            return true;
    return false;
}

static bool is_given(const struct request_source *from, struct span name)
{
    return has_field(&from->headers, name) || has_field(&from->defaults, name);
}

static bool add_field(struct template *t, const char *field, const char *place,
                      const struct request_source *from, struct fail *f)
{
    struct span name = field_name(field);
    if (!check_field(field, place, f))
        return false;
    const char *value = field + name.len + 1;
    value += strspn(value, " \t");
    template_add_literal(t, name);
    template_add_literal(t, SPAN(": "));
    if (!add_text(t, span_of(value), from, f))
        return fail_prefix(f, "%s", place);
    template_add_literal(t, SPAN("\r\n"));
    return true;
}

static bool add_fields(struct template *t, const struct request_source *from, struct fail *f)
{
    for (size_t i = 0; i < from->defaults.count; i++) {
        const char *field = from->defaults.items[i];
        if (!has_field(&from->headers, field_name(field)) && !add_field(t, field, "-H", from, f))
            return false;
    }
    for (size_t i = 0; i < from->headers.count; i++)
        if (!add_field(t, from->headers.items[i], from->headers_place, from, f))
            return false;
    return true;
}

/* --- body --- */

static bool looks_like_json(struct span body)
{
    for (size_t i = 0; i < body.len; i++)
        if (!isspace((unsigned char)body.data[i]))
            return body.data[i] == '{' || body.data[i] == '[';
    return false;
}

static bool wants_length(const struct request *r, struct span body)
{
    return body.len || r->method == HTTP_POST || r->method == HTTP_PUT || r->method == HTTP_PATCH;
}

/* The length is written once if it never changes. */
static bool add_length(struct template *t, const struct request_source *from, struct fail *f)
{
    struct template body = {0};
    char shown[NUM_MAX_DIGITS];
    template_begin_body(&body);
    bool is_good = add_text(&body, from->body, from, f);
    template_add_literal(t, SPAN("Content-Length: "));
    if (body.body_numbers)
        template_add_body_length(t);
    else
        template_add_literal(t, (struct span){shown, num_put(shown, body.body_bytes)});
    template_add_literal(t, SPAN("\r\n"));
    template_free(&body);
    return is_good || fail_prefix(f, "the body");
}

char *request_read_file(const char *what, const char *path, size_t *len, struct fail *f)
{
    FILE *from = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    char shown[256], *data = NULL;
    size_t room = 0, n;
    log_escape(span_of(path), shown, sizeof shown);
    *len = 0;
    if (!from) {
        fail_set(f, EXIT_USAGE, "%s \"%s\" cannot be opened: %s", what, shown, strerror(errno));
        return NULL;
    }
    do {
        if (*len + 1 >= room) {
            char *more = realloc(data, room = room ? room * 2 : 65536);
            CHECK(more);
            data = more;
        }
        n = fread(data + *len, 1, room - *len - 1, from);
        *len += n;
    } while (n && *len <= REQUEST_FILE_BYTES_MAX);
    data[*len] = 0;
    if (ferror(from)) {
        fail_set(f, EXIT_USAGE, "%s \"%s\" cannot be read: %s", what, shown, strerror(errno));
        free(data);
        data = NULL;
    }
    if (data && *len > REQUEST_FILE_BYTES_MAX) {
        fail_set(f, EXIT_USAGE, "%s \"%s\" is too long: at most %d MiB are possible", what, shown,
                 REQUEST_FILE_BYTES_MAX >> 20);
        free(data);
        data = NULL;
    }
    if (from != stdin)
        fclose(from);
    return data;
}

/* --- the request --- */

static bool add_head(struct request *r, const struct request_source *from, const struct url *url,
                     struct fail *f)
{
    struct template *t = &r->bytes;
    template_add_literal(t, span_of(r->method_text));
    template_add_literal(t, SPAN(" "));
    if (!add_target(t, url, from, f))
        return false;
    template_add_literal(t, SPAN(" HTTP/1.1\r\n"));
    if (!is_given(from, SPAN("Host"))) {
        template_add_literal(t, SPAN("Host: "));
        template_add_literal(t, span_of(url->host_field));
        template_add_literal(t, SPAN("\r\n"));
    }
    if (!add_fields(t, from, f))
        return false;
    if (from->closes && !is_given(from, SPAN("Connection")))
        template_add_literal(t, SPAN("Connection: close\r\n"));
    if (!is_given(from, SPAN("Content-Type")) && looks_like_json(from->body))
        template_add_literal(t, SPAN("Content-Type: application/json\r\n"));
    if (wants_length(r, from->body) && !add_length(t, from, f))
        return false;
    template_add_literal(t, SPAN("\r\n"));
    return true;
}

bool request_build(struct request *r, const struct request_source *from, const struct url *url,
                   struct fail *f)
{
    *r = (struct request){.weight = 1};
    if (!set_method(r, from, f) || !add_head(r, from, url, f))
        return false;
    template_begin_body(&r->bytes);
    return add_text(&r->bytes, from->body, from, f) || fail_prefix(f, "the body");
}

void request_free(struct request *r)
{
    template_free(&r->bytes);
}
