/* Options are written back as they are read: by the tables, where a value is not the default. */
#include "lab/own.h"

#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "storage/storage.h"

/* Set otherwise: where it listens, on which cores, and with how many threads. */
static bool is_left_out(const char *name)
{
    static const char *const names[] = {"listen", "cores", "threads", "pg", "memcached", "metrics"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static bool add_text(struct text *to, const char *value, struct fail *f)
{
    if (strchr(value, '"'))
        return fail_set(f, EXIT_FAILED, "a value with \" in it cannot be handed on to a process");
    text_addf(to, "\"");
    for (; *value; value++)
        text_addf(to, *value == '{' ? "{{" : "%c", *value);
    text_addf(to, "\"");
    return true;
}

/* Appends " --name value" if the value is another than the default. */
static bool add_option(struct text *to, const struct option_row *row, const char *config,
                       const char *usual, struct fail *f)
{
    const char *value = config + row->at, *other = usual + row->at;
    switch (row->kind) {
    case OPTION_TEXT: {
        const char *text = *(const char *const *)value;
        if (!text)
            return true;
        text_addf(to, " --%s ", row->name);
        return add_text(to, text, f);
    }
    case OPTION_FLAG:
        if (*(const bool *)value != *(const bool *)other)
            text_addf(to, " --%s%s", *(const bool *)value ? "" : "no-", row->name);
        return true;
    case OPTION_CHOICE:
        if (*(const int *)value != *(const int *)other)
            text_addf(to, " --%s %s", row->name, row->choices[*(const int *)value]);
        return true;
    case OPTION_DURATION:
        if (*(const uint64_t *)value != *(const uint64_t *)other)
            text_addf(to, " --%s %.9gs", row->name,
                      (double)*(const uint64_t *)value / (double)NS_PER_S);
        return true;
    case OPTION_SIZE:
        if (*(const uint64_t *)value != *(const uint64_t *)other)
            text_addf(to, " --%s %llu", row->name, (unsigned long long)*(const uint64_t *)value);
        return true;
    default: /* counts, and sizes of heads: 32 bits */
        if (*(const uint32_t *)value != *(const uint32_t *)other)
            text_addf(to, " --%s %u", row->name, *(const uint32_t *)value);
        return true;
    }
}

static bool add_options(struct text *to, const struct option_row *rows, const void *config,
                        const void *usual, struct fail *f)
{
    for (; rows->name; rows++)
        if (!is_left_out(rows->name) && !add_option(to, rows, config, usual, f))
            return fail_prefix(f, "--%s", rows->name);
    return true;
}

static bool add_all(struct target_file *t, struct text *to, const struct target_config *config,
                    bool has_pg, bool has_memcached, struct fail *f)
{
    char self[PATH_MAX] = "";
    if (readlink("/proc/self/exe", self, sizeof self - 1) <= 0)
        return fail_set(f, EXIT_FAILED,
                        "this program's own file cannot be found by /proc/self/exe");
    size_t len = strlen(self);
    if (len < sizeof t->files && !strpbrk(self, " \t")) /* else its size is not known */
        memcpy(t->files, self, len + 1);
    if (!add_text(to, self, f))
        return false;
    text_addf(to, " serve --listen {host}:{port}");
    if (config->threads)
        text_addf(to, " --threads %u", config->threads);
    else
        text_addf(to, " --threads {cores}");
    if (has_pg)
        text_addf(to, " --pg {pg_uri}");
    if (has_memcached)
        text_addf(to, " --memcached {memcached}");
    return add_options(to, target_options, config, &target_config_default, f) &&
           add_options(to, storage_options, &config->storage, &target_config_default.storage, f);
}

bool own_target_file(struct target_file *t, const struct target_config *config, bool has_pg,
                     bool has_memcached, struct fail *f)
{
    struct text command = {0};
    *t = (struct target_file){.name = "iubench",
                              .directory = "/",
                              .health = "/healthz",
                              .start_timeout_ns = 30 * NS_PER_S,
                              .stop_timeout_ns = 5 * NS_PER_S,
                              .stop_signal = SIGTERM};
    bool is_good = add_all(t, &command, config, has_pg, has_memcached, f);
    if (is_good && command.len >= sizeof t->command)
        is_good = fail_set(f, EXIT_FAILED, "the options have more than %zu bytes",
                           sizeof t->command);
    if (is_good)
        memcpy(t->command, command.data, command.len + 1);
    text_free(&command);
    return is_good || fail_prefix(f, "our own target as a process of its own");
}
