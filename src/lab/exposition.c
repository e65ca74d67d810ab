/* Labels come in any order, and a histogram may have others beside those that are looked for: equal
 * bounds are added up. */
#include "lab/exposition.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- lines --- */

struct sample {
    struct span labels; /* between the braces */
    double value;
};

/* False if the line is no sample of this name that has labels. */
static bool read_sample(struct span line, const char *name, struct sample *s)
{
    size_t len = strlen(name);
    if (line.len < len + 2 || memcmp(line.data, name, len) != 0 || line.data[len] != '{')
        return false;
    const char *end = memrchr(line.data, '}', line.len);
    if (!end)
        return false;
    char number[64];
    snprintf(number, sizeof number, "%.*s", (int)(line.data + line.len - end - 1), end + 1);
    s->labels = (struct span){line.data + len + 1, (size_t)(end - line.data) - len - 1};
    s->value = strtod(number, NULL);
    return true;
}

static bool has_label(struct span labels, const char *name, struct span *value)
{
    char key[32];
    int len = snprintf(key, sizeof key, "%s=\"", name);
    const char *at = memmem(labels.data, labels.len, key, (size_t)len);
    if (!at || (at > labels.data && at[-1] != ',' && at[-1] != ' '))
        return false;
    at += len;
    const char *end = memchr(at, '"', (size_t)(labels.data + labels.len - at));
    *value = (struct span){at, end ? (size_t)(end - at) : 0};
    return end;
}

static bool is_of(const struct sample *s, const char *op)
{
    struct span value;
    return has_label(s->labels, "op", &value) && span_eq(value, span_of(op));
}

/* --- a histogram --- */

static void add_bucket(struct exposition *e, struct span bound, double count)
{
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)bound.len, bound.data);
    double upper_s = strtod(text, NULL); /* "+Inf", too */
    unsigned at = 0;
    while (at < e->bucket_count && e->upper_s[at] < upper_s)
        at++;
    if (at < e->bucket_count && e->upper_s[at] == upper_s) {
        e->below[at] += count;
        return;
    }
    if (e->bucket_count == EXPOSITION_BUCKETS_MAX)
        return;
    size_t behind = (e->bucket_count - at) * sizeof *e->below;
    memmove(&e->upper_s[at + 1], &e->upper_s[at], behind);
    memmove(&e->below[at + 1], &e->below[at], behind);
    e->upper_s[at] = upper_s;
    e->below[at] = count;
    e->bucket_count++;
}

void exposition_read(struct span page, const char *op, struct exposition *e)
{
    const char *at = page.data, *end = page.data + page.len;
    *e = (struct exposition){.errors = NAN};
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        struct span line = {at, (size_t)((line_end ? line_end : end) - at)}, bound;
        struct sample s;
        if (read_sample(line, "myapp_request_duration_seconds_bucket", &s) && is_of(&s, op) &&
            has_label(s.labels, "le", &bound))
            add_bucket(e, bound, s.value);
        else if (read_sample(line, "myapp_errors_count", &s) && is_of(&s, op))
            e->errors = isnan(e->errors) ? s.value : e->errors + s.value;
        at += line.len + 1;
    }
}

/* --- between two pages --- */

static bool is_later(const struct exposition *before, const struct exposition *now)
{
    if (before->bucket_count != now->bucket_count || now->errors < before->errors)
        return false;
    for (unsigned i = 0; i < now->bucket_count; i++)
        if (before->upper_s[i] != now->upper_s[i] || before->below[i] > now->below[i])
            return false;
    return true;
}

bool exposition_add(struct exposition *sum, const struct exposition *before,
                    const struct exposition *now)
{
    bool is_first = !sum->bucket_count;
    if (!is_later(before, now) || (!is_first && sum->bucket_count != now->bucket_count))
        return false;
    if (is_first)
        sum->errors = NAN;
    sum->bucket_count = now->bucket_count;
    for (unsigned i = 0; i < now->bucket_count; i++) {
        sum->upper_s[i] = now->upper_s[i];
        sum->below[i] = (is_first ? 0 : sum->below[i]) + now->below[i] - before->below[i];
    }
    double errors = now->errors - before->errors;
    sum->errors = isnan(sum->errors) ? errors : sum->errors + errors;
    return true;
}

double exposition_count(const struct exposition *e)
{
    return e->bucket_count ? e->below[e->bucket_count - 1] : 0;
}

double exposition_quantile(const struct exposition *e, double q)
{
    double rank = q * exposition_count(e), lower_s = 0, lower = 0;
    if (!(rank > 0))
        return NAN;
    for (unsigned i = 0; i < e->bucket_count; i++) {
        if (e->below[i] >= rank)
            return isinf(e->upper_s[i]) ? lower_s
                                        : lower_s + (e->upper_s[i] - lower_s) * (rank - lower) /
                                                        (e->below[i] - lower);
        lower = e->below[i];
        lower_s = e->upper_s[i];
    }
    return NAN;
}
