#include "lab/target_file.h"

/* A target file is a list of texts with a rule for each; the rules stand in one table. Placeholders
 * are checked when the file is read, by filling in sample values, so that a slip is told with its
 * line and not when the target is to start. */

#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/units.h"
#include "cli/cli.h"
#include "lab/check.h"
#include "lab/ini.h"

#define SHOWN_BYTES 96
#define NAMES_MOST  64

/* --- placeholders and words --- */

static const char *const place_names[] = {"host",     "port",  "pg_uri",  "memcached",
                                          "upstream", "cores", "workers", NULL};

/* The text for a placeholder; NULL: unknown name, "": a known one without a value. */
static const char *place_text(const struct target_places *p, struct span name, char number[16])
{
    const char *texts[] = {p->host, NULL, p->pg_uri, p->memcached, p->upstream, NULL, NULL};
    const unsigned numbers[] = {0, p->port, 0, 0, 0, p->cores, p->workers};
    for (int i = 0; place_names[i]; i++) {
        if (!span_eq(name, span_of(place_names[i])))
            continue;
        if (numbers[i]) {
            snprintf(number, 16, "%u", numbers[i]);
            return number;
        }
        return texts[i] ? texts[i] : "";
    }
    return NULL;
}

static bool add_byte(struct target_words *w, char c, struct fail *f)
{
    if (w->len == sizeof w->text)
        return fail_set(f, EXIT_USAGE, "command and environment have more than %zu bytes",
                        sizeof w->text);
    w->text[w->len++] = c;
    return true;
}

/* At "{": appends what it stands for and moves behind it. */
static bool add_place(const char **at, const struct target_places *places, struct target_words *w,
                      struct fail *f)
{
    char shown[SHOWN_BYTES], number[16];
    if ((*at)[1] == '{') {
        *at += 2;
        return add_byte(w, '{', f);
    }
    struct span name = {*at + 1, strcspn(*at + 1, "} \t")};
    const char *text = (*at)[1 + name.len] == '}' ? place_text(places, name, number) : NULL;
    log_escape(name, shown, sizeof shown);
    if (!text)
        return fail_set(f, EXIT_USAGE,
                        "{%s} is no placeholder: expected {host}, {port}, {pg_uri}, {memcached}, "
                        "{upstream}, {cores} or {workers}; a brace itself is written {{",
                        shown);
    if (!*text)
        return fail_set(f, EXIT_USAGE,
                        "{%s} is asked for and this run has none: run a scenario whose file names "
                        "it among its services, or give it by --pg or --memcached",
                        shown);
    *at += name.len + 2;
    for (; *text; text++)
        if (!add_byte(w, *text, f))
            return false;
    return true;
}

static bool add_next(const char **at, const struct target_places *places, struct target_words *w,
                     struct fail *f)
{
    if (**at == '{')
        return add_place(at, places, w, f);
    return add_byte(w, *(*at)++, f);
}

static bool end_word(struct target_words *w, struct fail *f)
{
    w->count++;
    return add_byte(w, 0, f);
}

bool target_file_entry(const char *text, const char *what, const struct target_places *places,
                       struct target_words *words, struct fail *f)
{
    while (*text)
        if (!add_next(&text, places, words, f))
            return fail_prefix(f, "%s", what);
    return end_word(words, f);
}

static bool add_words(const char *at, const struct target_places *places, struct target_words *w,
                      struct fail *f)
{
    for (at += strspn(at, " \t"); *at; at += strspn(at, " \t")) {
        bool is_quoted = false;
        while (*at && (is_quoted || !strchr(" \t", *at))) {
            if (*at == '"')
                is_quoted = !is_quoted, at++;
            else if (!add_next(&at, places, w, f))
                return false;
        }
        if (is_quoted)
            return fail_set(f, EXIT_USAGE, "a \" is never closed");
        if (!end_word(w, f))
            return false;
    }
    return true;
}

bool target_file_words(const char *command, const char *what, const struct target_places *places,
                       struct target_words *words, struct fail *f)
{
    return add_words(command, places, words, f) || fail_prefix(f, "%s", what);
}

/* --- keys --- */

static bool is_name(const char *value, struct fail *f)
{
    char shown[SHOWN_BYTES];
    bool is_good = *value && !value[strspn(value, "abcdefghijklmnopqrstuvwxyz"
                                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")];
    return is_good ||
           fail_set(f, EXIT_USAGE, "\"%s\" is not a name: expected letters, digits and -",
                    log_escape(span_of(value), shown, sizeof shown));
}

static bool is_path(const char *value, struct fail *f)
{
    char shown[SHOWN_BYTES];
    return (*value == '/' && !strpbrk(value, " \t#")) ||
           fail_set(f, EXIT_USAGE, "\"%s\" is not a path: expected one such as /healthz",
                    log_escape(span_of(value), shown, sizeof shown));
}

/* Fills sample values in, to tell a wrong brace at once. */
static bool is_command(const char *value, struct fail *f)
{
    static const struct target_places sample = {"h", 1, "p", "m", "u", 1, 1};
    struct target_words *words = calloc(1, sizeof *words);
    bool is_good = words && add_words(value, &sample, words, f) &&
                   (words->count || fail_set(f, EXIT_USAGE, "expected a command"));
    free(words);
    return is_good;
}

static bool is_entry(const char *value, struct fail *f)
{
    const char *equals = strchr(value, '=');
    if (!equals || equals == value)
        return fail_set(f, EXIT_USAGE, "expected NAME=VALUE");
    return is_command(value, f);
}

static const struct text_key {
    const char *name;
    size_t at, room;
    bool (*is_good)(const char *value, struct fail *f); /* NULL: any text */
} text_keys[] = {
#define KEY(key, field, check)                                                                  \
    {                                                                                           \
        key, offsetof(struct target_file, field), sizeof((struct target_file *)0)->field, check \
    }
    KEY("name", name, is_name),
    KEY("summary", summary, NULL),
    KEY("needs", needs, NULL),
    KEY("mend", mend, NULL),
    KEY("setup", setup, is_command),
    KEY("command", command, is_command),
    KEY("directory", directory, NULL),
    KEY("health", health, is_path),
    KEY("deviations", deviations, check_deviations),
    KEY("files", files, NULL),
#undef KEY
};
enum { TEXT_KEY_COUNT = sizeof text_keys / sizeof *text_keys };

static const char *const key_names[] = {"name",         "summary",     "needs",     "mend",
                                        "setup",        "command",     "directory", "health",
                                        "env",          "deviations",  "files",     "start-timeout",
                                        "stop-timeout", "stop-signal", NULL};

static bool set_env(struct target_file *t, const char *value, struct fail *f)
{
    if (t->env_count == TARGET_FILE_ENV_MOST)
        return fail_set(f, EXIT_USAGE, "a target has at most %d of them", TARGET_FILE_ENV_MOST);
    return is_entry(value, f) &&
           ini_set_text(t->env[t->env_count++], TARGET_FILE_TEXT_BYTES, value, f);
}

static bool set_signal(struct target_file *t, const char *value, struct fail *f)
{
    static const struct {
        const char *name;
        int number;
    } signals[] = {{"SIGTERM", SIGTERM}, {"SIGINT", SIGINT},   {"SIGQUIT", SIGQUIT},
                   {"SIGHUP", SIGHUP},   {"SIGUSR1", SIGUSR1}, {"SIGKILL", SIGKILL}};
    char shown[SHOWN_BYTES];
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (strcmp(signals[i].name, value) == 0 || strcmp(signals[i].name + 3, value) == 0) {
            t->stop_signal = signals[i].number;
            return true;
        }
    return fail_set(f, EXIT_USAGE,
                    "\"%s\" is no signal that ends a service: expected SIGTERM, SIGINT, SIGQUIT, "
                    "SIGHUP, SIGUSR1 or SIGKILL",
                    log_escape(span_of(value), shown, sizeof shown));
}

struct parser {
    struct target_file *t;
    unsigned lines[sizeof key_names / sizeof *key_names]; /* where each was given; 0: not yet */
};

static bool set_value(struct target_file *t, const struct ini_key *k, struct fail *f)
{
    if (strcmp(k->name, "env") == 0)
        return set_env(t, k->value, f);
    if (strcmp(k->name, "stop-signal") == 0)
        return set_signal(t, k->value, f);
    if (strcmp(k->name, "start-timeout") == 0)
        return units_duration(k->value, &t->start_timeout_ns, f);
    if (strcmp(k->name, "stop-timeout") == 0)
        return units_duration(k->value, &t->stop_timeout_ns, f);
    for (const struct text_key *key = text_keys; key < text_keys + TEXT_KEY_COUNT; key++)
        if (strcmp(key->name, k->name) == 0)
            return (!key->is_good || key->is_good(k->value, f)) &&
                   ini_set_text((char *)t + key->at, key->room, k->value, f);
    return false;
}

static int key_index(const char *name)
{
    for (int i = 0; key_names[i]; i++)
        if (strcmp(key_names[i], name) == 0)
            return i;
    return -1;
}

static bool set_key(void *arg, const struct ini_key *k, struct fail *f)
{
    struct parser *p = arg;
    char shown[SHOWN_BYTES];
    if (strcmp(k->section, "target") != 0)
        return fail_set(f, EXIT_USAGE,
                        "\"%s\" stands in section [%s]: a target file has one, "
                        "[target]",
                        k->name, log_escape(span_of(k->section), shown, sizeof shown));
    int index = key_index(k->name);
    if (index < 0) {
        const char *nearest = cli_nearest(k->name, key_names);
        return fail_set(f, EXIT_USAGE,
                        "unknown key \"%s\"%s%s%s: expected one of name, summary, needs, mend, "
                        "setup, command, directory, health, env, deviations, files, "
                        "start-timeout, stop-timeout, stop-signal",
                        log_escape(span_of(k->name), shown, sizeof shown),
                        nearest ? ", did you mean \"" : "", nearest ? nearest : "",
                        nearest ? "\"?" : "");
    }
    if (p->lines[index] && strcmp(k->name, "env") != 0)
        return fail_set(f, EXIT_USAGE, "\"%s\" was given on line %u already", k->name,
                        p->lines[index]);
    p->lines[index] = k->line;
    return set_value(p->t, k, f) || fail_prefix(f, "%s", k->name);
}

static bool is_known(void *arg, const char *name)
{
    (void)arg;
    return key_index(name) >= 0;
}

/* --- the file --- */

/* The folder of the file, with what the file says behind it; as it is where it does not exist yet,
 * since `setup` may make it. */
static bool settle_directory(const char *where, struct target_file *t, struct fail *f)
{
    char joined[PATH_MAX], real[PATH_MAX];
    const char *slash = strrchr(where, '/');
    int len = *t->directory == '/'
                  ? snprintf(joined, sizeof joined, "%s", t->directory)
                  : snprintf(joined, sizeof joined, "%.*s/%s", slash ? (int)(slash - where) : 1,
                             slash ? where : ".", *t->directory ? t->directory : ".");
    if (len < 0 || (size_t)len >= sizeof joined)
        return fail_set(f, EXIT_USAGE, "directory: the path is too long");
    return ini_set_text(t->directory, sizeof t->directory, realpath(joined, real) ? real : joined,
                        f);
}

static bool complete(const char *where, struct target_file *t, struct fail *f)
{
    const char *missing = !*t->name ? "name" : !*t->command ? "command" : NULL;
    if (missing)
        return fail_set(f, EXIT_USAGE, "%s: [target] has no %s: expected a line such as %s", where,
                        missing,
                        !*t->name ? "name = my-service" : "command = ./serve --port {port}");
    return settle_directory(where, t, f) || fail_prefix(f, "%s", where);
}

static void set_defaults(struct target_file *t)
{
    *t = (struct target_file){.health = "/healthz",
                              .start_timeout_ns = 30 * NS_PER_S,
                              .stop_timeout_ns = 5 * NS_PER_S,
                              .stop_signal = SIGTERM};
}

bool target_file_parse(const char *where, struct span text, struct target_file *t, struct fail *f)
{
    struct parser p = {.t = t};
    struct ini_reader reader = {set_key, is_known, &p};
    set_defaults(t);
    return ini_read(where, text, &reader, f) && complete(where, t, f);
}

static bool load_path(const char *path, struct target_file *t, struct fail *f)
{
    struct parser p = {.t = t};
    struct ini_reader reader = {set_key, is_known, &p};
    set_defaults(t);
    return ini_read_file(path, "target file", &reader, f) && complete(path, t, f);
}

/* --- where target files are --- */

/* Where contestants may be: beside the program, above a build folder, or installed with it. Other
 * folders of that name are passed by: what counts is the file. */
static const char *const places[] = {"contestants", "../contestants", "../../contestants",
                                     "../share/iubench/contestants"};
enum { PLACE_COUNT = sizeof places / sizeof *places };

static bool place_path(unsigned i, char folder[PATH_MAX])
{
    char self[PATH_MAX] = "";
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = len > 0 ? strrchr(self, '/') : NULL;
    if (!slash)
        return false;
    *slash = 0;
    return snprintf(folder, PATH_MAX, "%s/%s", self, places[i]) < PATH_MAX;
}

static bool find_file(const char *folder, const char *name, char path[PATH_MAX])
{
    return snprintf(path, PATH_MAX, "%s/%s/target.ini", folder, name) < PATH_MAX &&
           access(path, R_OK) == 0;
}

/* Adds the names of a folder; returns how many there are now. */
static unsigned list_names(const char *folder, char *names[NAMES_MOST + 1], unsigned count)
{
    char path[PATH_MAX];
    DIR *all = opendir(folder);
    for (struct dirent *one; all && count < NAMES_MOST && (one = readdir(all));)
        if (find_file(folder, one->d_name, path))
            names[count++] = strdup(one->d_name);
    if (all)
        closedir(all);
    return count;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool fail_unknown(const char *name, struct fail *f)
{
    char shown[SHOWN_BYTES], folder[PATH_MAX], *names[NAMES_MOST + 1] = {NULL};
    struct text known = {0};
    unsigned count = 0;
    for (unsigned i = 0; i < PLACE_COUNT; i++)
        if (place_path(i, folder))
            count = list_names(folder, names, count);
    qsort(names, count, sizeof *names, by_name);
    for (unsigned i = 0; i < count; i++)
        text_addf(&known, "%s, ", names[i]);
    const char *nearest = cli_nearest(name, (const char *const *)names);
    log_escape(span_of(name), shown, sizeof shown);
    if (nearest)
        fail_set(f, EXIT_USAGE, "unknown target \"%s\"; did you mean \"%s\"?", shown, nearest);
    else
        fail_set(f, EXIT_USAGE,
                 "unknown target \"%s\": expected %siubench, a URL, or the path of a .ini file",
                 shown, text_span(&known).data);
    text_free(&known);
    while (count)
        free(names[--count]);
    return false;
}

bool target_file_load(const char *name, struct target_file *t, struct fail *f)
{
    char folder[PATH_MAX], path[PATH_MAX];
    size_t len = strlen(name);
    if (strchr(name, '/') || (len > 4 && strcmp(name + len - 4, ".ini") == 0))
        return load_path(name, t, f);
    for (unsigned i = 0; i < PLACE_COUNT; i++)
        if (place_path(i, folder) && find_file(folder, name, path))
            return load_path(path, t, f);
    return fail_unknown(name, f);
}
