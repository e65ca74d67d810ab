/* The page's table in text that a forge shows as one; whoever looks at the raw text can read it as
 * well. */
#include "report/markdown.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/units.h"
#include "report/equal.h"
#include "report/shown.h"

static const char DASH[] = "-";

/* --- what the documents say --- */

static const json_t *at(const json_t *object, const char *key)
{
    return json_object_get(object, key);
}

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(at(object, key));
    return text ? text : "";
}

static double number_at(const json_t *object, const char *key)
{
    const json_t *value = at(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static double first_known(double a, double b)
{
    return isnan(a) ? b : a;
}

/* --- put into Markdown --- */

void markdown_text(const char *s, struct text *out)
{
    for (; *s; s++) {
        if (strchr("\\`*_[]|~#", *s))
            text_addf(out, "\\%c", *s);
        else if (strchr("<>&@", *s))
            text_addf(out, "&#%d;", *s);
        else
            text_addf(out, "%c", (unsigned char)*s < ' ' ? ' ' : *s);
    }
}

/* Between more backticks than stand in it anywhere. */
static void put_code(struct text *out, const char *s)
{
    size_t run = 0, longest = 0;
    for (const char *c = s; *c; c++) {
        run = *c == '`' ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    for (size_t i = 0; i < longest + 3; i++)
        text_addf(out, "`");
    text_addf(out, "\n%s\n", s);
    for (size_t i = 0; i < longest + 3; i++)
        text_addf(out, "`");
    text_addf(out, "\n");
}

static void put_latency(struct text *out, double us)
{
    char shown[UNITS_TEXT_BYTES];
    bool is_known = us >= 0 && us < 1e15;
    text_addf(out, " %s |", is_known ? units_latency_text((uint64_t)(us * 1000), shown) : DASH);
}

/* --- the table --- */

struct table {
    json_t **targets;
    const json_t **documents; /* whose they are */
    unsigned count;
    double rate, *p99_us; /* at which all can be compared */
    bool is_equal;
};

static struct table table_of(const json_t *documents)
{
    size_t document_count = json_array_size(documents);
    unsigned most = 1;
    for (size_t i = 0; i < document_count; i++)
        most += (unsigned)json_array_size(at(json_array_get(documents, i), "targets"));
    struct table t = {.targets = mem_need(most, sizeof(json_t *)),
                      .documents = mem_need(most, sizeof(json_t *)),
                      .p99_us = mem_need(most, sizeof(double))};
    for (size_t i = 0; i < document_count; i++) {
        const json_t *document = json_array_get(documents, i), *targets = at(document, "targets");
        for (size_t j = 0; j < json_array_size(targets); j++) {
            t.documents[t.count] = document;
            t.targets[t.count++] = json_array_get(targets, j);
        }
    }
    t.is_equal = equal_rate(t.targets, t.count, &t.rate, t.p99_us);
    if (!t.is_equal)
        for (unsigned k = 0; k < t.count; k++)
            t.p99_us[k] = number_at(at(t.targets[k], "latency_us"), "p99");
    return t;
}

static void put_head(struct text *out, const struct table *t)
{
    char shown[SHOWN_BYTES];
    text_addf(out, "| target | verdict | requests/s | p99");
    if (t->is_equal)
        text_addf(out, " at %s/s", shown_rate(t->rate, shown));
    text_addf(out, " | CPU per request | memory | availability | failures |\n"
                   "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |\n");
}

static void put_failure(struct text *out, size_t begin, const json_t *count, const char *cause)
{
    char shown[SHOWN_BYTES];
    if (!json_is_integer(count) || json_integer_value(count) <= 0)
        return;
    text_addf(out, "%s %s ", out->len > begin ? "," : "",
              shown_count((uint64_t)json_integer_value(count), shown));
    markdown_text(cause, out);
}

static void put_failures(struct text *out, const json_t *requests)
{
    static const char *const others[][2] = {
        {"timeouts", "timeouts"}, {"unsent", "never sent"}, {"unfinished", "unfinished"}};
    const char *cause;
    json_t *count;
    size_t begin = out->len;
    for (unsigned i = 0; i < 3; i++)
        put_failure(out, begin, at(requests, others[i][0]), others[i][1]);
    json_object_foreach(json_object_get(requests, "errors"), cause, count)
        put_failure(out, begin, count, cause);
    if (out->len == begin)
        text_addf(out, " %s", requests ? "none" : DASH);
    text_addf(out, " |");
}

/* The target's own figures if they are of a process, else the highest of its seconds. */
static double memory_of(const json_t *target)
{
    const json_t *party = at(at(target, "parties"), "target"), *series = at(target, "series");
    double most = first_known(number_at(party, "pss_bytes_max"), number_at(party, "rss_bytes_max"));
    if (isnan(most))
        for (size_t i = 0; i < json_array_size(series); i++)
            most = fmax(most, number_at(json_array_get(series, i), "rss_bytes"));
    return most;
}

/* Of several results it says of which it is. */
static void put_name(struct text *out, const json_t *target, const json_t *document,
                     bool is_one_of_many)
{
    text_addf(out, "| ");
    markdown_text(text_at(target, "name"), out);
    if (number_at(at(document, "races"), "repeats") > 1)
        text_addf(out, " \\#%.0f", json_number_value(at(target, "repeat")));
    if (is_one_of_many) {
        const char *label = text_at(document, "label");
        text_addf(out, ", ");
        markdown_text(*label ? label : text_at(at(document, "scenario"), "name"), out);
        text_addf(out, ", ");
        markdown_text(text_at(document, "started"), out);
    }
    text_addf(out, " | ");
}

static void put_row(struct text *out, const json_t *target, double p99_us)
{
    char shown[SHOWN_BYTES];
    const json_t *requests = at(target, "requests"), *party = at(at(target, "parties"), "target");
    bool is_none_held = number_at(target, "held_rps") == 0 && isnan(equal_held(target));
    double rate = first_known(equal_held(target), number_at(target, "rps"));
    double share = number_at(requests, "sent") == 0 ? NAN : number_at(target, "availability");
    double memory = memory_of(target);
    markdown_text(text_at(at(target, "verdict"), "status"), out);
    text_addf(out, " | %s |",
              is_none_held  ? "none held"
              : isnan(rate) ? DASH
                            : shown_rate(rate, shown));
    put_latency(out, number_at(at(target, "latency_us"), "count") == 0 ? NAN : p99_us);
    put_latency(out, first_known(number_at(party, "cpu_us_per_request"),
                                 number_at(target, "server_cpu_us_per_request")));
    text_addf(out, " %s |", isnan(memory) ? DASH : shown_bytes(memory, shown));
    text_addf(out, " %s |", isnan(share) ? DASH : shown_share(share, shown));
    put_failures(out, requests);
    text_addf(out, "\n");
}

/* --- races of the same, together --- */

static const char *figure_text(double value, const char *key, char out[SHOWN_BYTES])
{
    if (isnan(value))
        return DASH;
    if (strcmp(key, "rps") == 0 || strcmp(key, "held_rps") == 0)
        return shown_rate(value, out);
    if (strcmp(key, "availability") == 0)
        return shown_share(value, out);
    if (strcmp(key, "memory_bytes") == 0)
        return shown_bytes(value, out);
    return units_latency_text((uint64_t)(value * 1000), out);
}

/* "19 864 (19 150 to 23 567)" */
static void put_figure(struct text *out, const json_t *side, const char *key)
{
    const json_t *figure = at(side, key), *interval = at(figure, "interval");
    char median[SHOWN_BYTES], low[SHOWN_BYTES], high[SHOWN_BYTES];
    text_addf(out, " %s", figure_text(number_at(figure, "median"), key, median));
    if (json_array_size(interval) == 2)
        text_addf(out, " (%s to %s)",
                  figure_text(json_number_value(json_array_get(interval, 0)), key, low),
                  figure_text(json_number_value(json_array_get(interval, 1)), key, high));
    text_addf(out, " |");
}

/* The worst, and how many races have it. */
static void put_verdicts(struct text *out, const json_t *side)
{
    static const char *const words[] = {"INVALID", "SUSPECT", "VALID"};
    double races = number_at(side, "races"), count = 0;
    unsigned i = 0;
    while (i < 2 && !((count = number_at(at(side, "verdicts"), words[i])) > 0))
        i++;
    text_addf(out, " %s", words[i]);
    if (i < 2 && count < races)
        text_addf(out, " %.0f of %.0f", count, races);
    text_addf(out, " |");
}

static void put_side(struct text *out, const json_t *side)
{
    bool is_held = number_at(at(side, "held_rps"), "median") > 0;
    text_addf(out, "| ");
    markdown_text(text_at(side, "name"), out);
    text_addf(out, " |");
    put_verdicts(out, side);
    put_figure(out, side, is_held ? "held_rps" : "rps");
    put_figure(out, side, "p99_us");
    put_figure(out, side, "cpu_us_per_request");
    put_figure(out, side, "memory_bytes");
    put_figure(out, side, "availability");
    text_addf(out, "\n");
}

/* With intervals where there are races enough; each race stands below, folded. */
static bool put_medians(struct text *out, const json_t *documents)
{
    const json_t *races = at(json_array_get(documents, 0), "races"),
                 *sides = at(races, "contestants");
    bool is_one = json_array_size(documents) == 1 && number_at(races, "repeats") > 1;
    if (!is_one || !json_array_size(sides))
        return false;
    text_addf(out,
              "| medians of %.0f races each | verdict | requests/s | p99 | CPU per request | "
              "memory | availability |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n",
              number_at(races, "repeats"));
    for (size_t i = 0; i < json_array_size(sides); i++)
        put_side(out, json_array_get(sides, i));
    text_addf(out, "\n<details><summary>Every race</summary>\n\n");
    return true;
}

static void put_table(struct text *out, const json_t *documents)
{
    struct table t = table_of(documents);
    bool is_folded = put_medians(out, documents);
    put_head(out, &t);
    for (unsigned i = 0; i < t.count; i++) {
        put_name(out, t.targets[i], t.documents[i], json_array_size(documents) > 1);
        put_row(out, t.targets[i], t.p99_us[i]);
    }
    if (is_folded)
        text_addf(out, "\n</details>\n");
    free(t.targets);
    free(t.documents);
    free(t.p99_us);
}

/* --- around it --- */

static void put_verdict(struct text *out, const json_t *document)
{
    const json_t *verdict = at(document, "verdict"), *reasons = at(verdict, "reasons");
    text_addf(out, "### ");
    markdown_text(text_at(at(document, "scenario"), "name"), out);
    text_addf(out, ": ");
    markdown_text(text_at(verdict, "status"), out);
    text_addf(out, "%s\n\n", json_is_true(at(document, "interrupted")) ? ", interrupted" : "");
    for (size_t i = 0; i < json_array_size(reasons); i++) {
        text_addf(out, "- ");
        markdown_text(json_string_value(json_array_get(reasons, i)) ?: "", out);
        text_addf(out, "%s\n", i + 1 == json_array_size(reasons) ? "\n" : "");
    }
}

static void put_fault(struct text *out, const json_t *target)
{
    const json_t *fault = at(target, "fault");
    char available[SHOWN_BYTES];
    double recovered_s = number_at(fault, "recovered_s");
    if (!json_is_object(fault))
        return;
    text_addf(out, "\n");
    markdown_text(text_at(target, "name"), out);
    text_addf(out, ": ");
    markdown_text(text_at(fault, "text"), out);
    text_addf(out, " from %.1f to %.1f s, availability %s", number_at(fault, "begin_s"),
              number_at(fault, "end_s"), shown_share(number_at(fault, "availability"), available));
    if (isnan(recovered_s))
        text_addf(out, ", not as before by the end\n");
    else
        text_addf(out, " until all was as before, %.0f s after it\n", recovered_s);
}

static void put_faults(struct text *out, const json_t *documents)
{
    json_t *document, *target;
    size_t i, k;
    json_array_foreach(documents, i, document)
        json_array_foreach(at(document, "targets"), k, target) put_fault(out, target);
}

/* In words; several results are often of one scenario. */
static void put_published(struct text *out, const json_t *documents)
{
    const char *last = "";
    json_t *document;
    size_t i;
    json_array_foreach(documents, i, document)
    {
        const char *text = text_at(at(document, "scenario"), "published");
        if (!*text || !strcmp(text, last))
            continue;
        text_addf(out, "\nPublished: ");
        markdown_text(text, out);
        text_addf(out, "\n");
        last = text;
    }
}

static void put_machine(struct text *out, const json_t *document)
{
    const json_t *environment = at(document, "environment");
    text_addf(out, "\niubench ");
    markdown_text(text_at(document, "iubench"), out);
    text_addf(out, ", ");
    markdown_text(text_at(document, "started"), out);
    text_addf(out, ", ");
    markdown_text(text_at(environment, "cpu_model"), out);
    text_addf(out, ", %.0f cores, Linux ", json_number_value(at(environment, "cores")));
    markdown_text(text_at(environment, "kernel"), out);
    text_addf(out, "\n\n");
}

/* A word as a shell takes it. */
static void add_word(struct text *line, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_@%+=:,./-";
    bool is_plain = *word && word[strspn(word, plain)] == 0;
    text_addf(line, "%s%s", line->len ? " " : "", is_plain ? word : "'");
    for (; !is_plain && *word; word++)
        text_addf(line, *word == '\'' ? "'\\''" : "%c", *word);
    if (!is_plain)
        text_addf(line, "'");
}

static void put_command(struct text *out, const json_t *document)
{
    const json_t *words = at(document, "command");
    struct text line = {0};
    for (size_t i = 0; i < json_array_size(words); i++)
        add_word(&line, json_string_value(json_array_get(words, i)) ?: "");
    if (line.len)
        put_code(out, line.data);
    text_free(&line);
}

void markdown_put(const json_t *documents, struct text *out)
{
    json_t *document;
    size_t i;
    json_array_foreach(documents, i, document) put_verdict(out, document);
    put_table(out, documents);
    put_faults(out, documents);
    put_published(out, documents);
    json_array_foreach(documents, i, document)
    {
        put_machine(out, document);
        put_command(out, document);
    }
}
