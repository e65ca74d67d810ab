#include "lab/scenario.h"

/* What a key may be and may hold is said by the option tables of the parties, not here. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/units.h"
#include "lab/ini.h"
#include "lab/shape.h"
#include "storage/storage.h"

#define KEYS_MAX    128
#define NAME_BYTES  64
#define SHOWN_BYTES 96

/* --- what there is to set --- */

/* Keys that are no option of a command. */
struct own_key {
    struct cli_key key;
    bool (*set)(struct scenario *s, const char *value, struct fail *f);
};

struct section {
    const char *name;
    size_t at; /* of its configuration in struct scenario */
    const struct option_table *tables;
    const struct own_key *own;
};

static bool set_name(struct scenario *s, const char *value, struct fail *f)
{
    char shown[SHOWN_BYTES];
    if (!*value || value[strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789-_")])
        return fail_set(
            f, EXIT_USAGE,
            "\"%s\" is not a name: expected letters, digits, - and _, since results are "
            "filed under it",
            log_escape(span_of(value), shown, sizeof shown));
    return ini_set_text(s->name, sizeof s->name, value, f);
}

static bool set_summary(struct scenario *s, const char *value, struct fail *f)
{
    return ini_set_text(s->summary, sizeof s->summary, value, f);
}

static bool set_published(struct scenario *s, const char *value, struct fail *f)
{
    return ini_set_text(s->published, sizeof s->published, value, f);
}

static bool set_cause(struct scenario *s, const char *value, struct fail *f)
{
    return ini_set_text(s->cause, sizeof s->cause, value, f);
}

static const struct reproduction_metric *find_metric(const char *name, struct fail *f)
{
    char shown[SHOWN_BYTES];
    struct text known = {0};
    const struct reproduction_metric *metric = reproduction_metric(name);
    if (metric)
        return metric;
    for (metric = reproduction_metrics; metric->name; metric++)
        text_addf(&known, "%s%s", metric == reproduction_metrics ? "" : ", ", metric->name);
    fail_set(f, EXIT_USAGE, "\"%s\" is no metric: expected one of %s",
             log_escape(span_of(name), shown, sizeof shown), known.data);
    text_free(&known);
    return NULL;
}

/* "gin max_rps 40k" */
static bool add_figure(struct scenario *s, const char *text, struct fail *f)
{
    char contestant[32], metric[16], value[24], shown[SHOWN_BYTES];
    int end = 0;
    struct result_figure *to = &s->figures[s->figure_count];
    if (s->figure_count == SCENARIO_FIGURES_MAX)
        return fail_set(f, EXIT_USAGE, "more than %d figures", SCENARIO_FIGURES_MAX);
    if (sscanf(text, "%31s %15s %23s %n", contestant, metric, value, &end) != 3 || text[end])
        return fail_set(f, EXIT_USAGE,
                        "\"%s\" is no figure: expected CONTESTANT METRIC VALUE, such as "
                        "gin max_rps 40k",
                        log_escape(span_of(text), shown, sizeof shown));
    const struct reproduction_metric *known = find_metric(metric, f);
    if (!known || !units_rate(value, &to->value, f))
        return false;
    to->metric = known->name;
    snprintf(to->contestant, sizeof to->contestant, "%s", contestant);
    s->figure_count++;
    return true;
}

static bool add_metric(struct scenario *s, const char *name, struct fail *f)
{
    if (s->metric_count == SCENARIO_METRICS_MAX)
        return fail_set(f, EXIT_USAGE, "more than %d metrics", SCENARIO_METRICS_MAX);
    return (s->metrics[s->metric_count++] = find_metric(name, f));
}

static bool add_contestant(struct scenario *s, const char *name, struct fail *f)
{
    if (s->contestant_count == REPRODUCTION_CONTESTANTS_MAX)
        return fail_set(f, EXIT_USAGE, "more than %d contestants", REPRODUCTION_CONTESTANTS_MAX);
    for (unsigned i = 0; i < s->contestant_count; i++)
        if (strcmp(s->contestants[i], name) == 0)
            return fail_set(f, EXIT_USAGE, "%s is named twice", name);
    char *to = s->contestants[s->contestant_count++];
    return ini_set_text(to, sizeof s->contestants[0], name, f);
}

/* What stands between commas, one by one. */
static bool set_each(struct scenario *s, const char *value, struct fail *f,
                     bool (*add)(struct scenario *s, const char *text, struct fail *f))
{
    char one[sizeof s->contestants[0] + 1]; /* one too long is told by `add` */
    for (const char *at = value; *at; at += *at == ',') {
        at += strspn(at, " \t");
        size_t len = strcspn(at, ","), kept = len;
        while (kept && strchr(" \t", at[kept - 1]))
            kept--;
        snprintf(one, sizeof one, "%.*s", (int)kept, at);
        if (!add(s, one, f))
            return false;
        at += len;
    }
    return true;
}

static bool set_figures(struct scenario *s, const char *value, struct fail *f)
{
    return set_each(s, value, f, add_figure);
}

static bool set_metrics(struct scenario *s, const char *value, struct fail *f)
{
    return set_each(s, value, f, add_metric);
}

static bool set_contestants(struct scenario *s, const char *value, struct fail *f)
{
    return set_each(s, value, f, add_contestant) &&
           (s->contestant_count >= 2 ||
            fail_set(f, EXIT_USAGE,
                     "expected two contestants at least, the slower published one "
                     "first, such as fastapi-published, go-published"));
}

/* "5 to 10": both above 0, the first not above the second. */
static bool read_range(const char *text, const char *example, double *low, double *high,
                       struct fail *f)
{
    char from[24], to[24], shown[SHOWN_BYTES];
    int end = 0;
    if (sscanf(text, "%23s to %23s %n", from, to, &end) != 2 || text[end])
        return fail_set(f, EXIT_USAGE, "\"%s\" is no range: expected LOW to HIGH, such as %s",
                        log_escape(span_of(text), shown, sizeof shown), example);
    if (!units_rate(from, low, f) || !units_rate(to, high, f))
        return false;
    return *low <= *high ||
           fail_set(f, EXIT_USAGE, "%s is above %s: expected LOW to HIGH", from, to);
}

static bool set_ratio(struct scenario *s, const char *value, struct fail *f)
{
    return read_range(value, "5 to 10", &s->ratio.low, &s->ratio.high, f);
}

static bool set_steps(struct scenario *s, const char *value, struct fail *f)
{
    return read_range(value, "500 to 80k", &s->step_from, &s->step_to, f) &&
           (s->step_to <= s->step_from * SCENARIO_STEPS_SPAN ||
            fail_set(f, EXIT_USAGE, "the range is too wide: expected a factor of %d at most",
                     SCENARIO_STEPS_SPAN));
}

static bool set_workers(struct scenario *s, const char *value, struct fail *f)
{
    uint64_t workers;
    if (!units_count(value, 1, 1024, &workers, f))
        return false;
    s->workers = (uint32_t)workers;
    return true;
}

/* What it is depends on the machine, and is told when it runs. */
static bool set_pin(struct scenario *s, const char *value, struct fail *f)
{
    return ini_set_text(s->pin, sizeof s->pin, value, f);
}

static bool set_shape(struct scenario *s, const char *value, struct fail *f)
{
    const struct shape_machine any = {1024, 1024, UINT64_MAX};
    struct shape ignored;
    return shape_choose(value, true, &any, &ignored, f) &&
           ini_set_text(s->shape, sizeof s->shape, value, f);
}

static bool set_path(struct scenario *s, const char *value, struct fail *f)
{
    char shown[SHOWN_BYTES];
    if (*value != '/' || strpbrk(value, " \t#"))
        return fail_set(f, EXIT_USAGE, "\"%s\" is not a path: expected one such as /api/devices",
                        log_escape(span_of(value), shown, sizeof shown));
    return ini_set_text(s->path, sizeof s->path, value, f);
}

static bool set_service(struct scenario *s, struct span word, struct fail *f)
{
    static const char *const names[] = {"postgres", "memcached", NULL};
    char text[NAME_BYTES], shown[SHOWN_BYTES];
    if (span_eq(word, SPAN("postgres")))
        return s->wants_postgres = true;
    if (span_eq(word, SPAN("memcached")))
        return s->wants_memcached = true;
    snprintf(text, sizeof text, "%.*s", (int)word.len, word.data);
    const char *nearest = cli_nearest(text, names);
    return fail_set(f, EXIT_USAGE, "\"%s\" is no service: expected postgres, memcached%s%s%s",
                    log_escape(word, shown, sizeof shown), nearest ? "; did you mean " : "",
                    nearest ? nearest : "", nearest ? "?" : "");
}

static bool set_services(struct scenario *s, const char *value, struct fail *f)
{
    static const char between[] = ", \t";
    for (const char *at = value + strspn(value, between); *at; at += strspn(at, between)) {
        struct span word = {at, strcspn(at, between)};
        if (!set_service(s, word, f))
            return false;
        at += word.len;
    }
    return true;
}

static const struct option_table no_tables[] = {{0}};
static const struct option_table target_tables[] = {
    {storage_options, offsetof(struct target_config, storage)}, {target_options, 0}, {0}};
static const struct option_table upstream_tables[] = {{upstream_options, 0}, {0}};
static const struct option_table load_tables[] = {{load_options, 0}, {0}};

static const struct option_table fault_tables[] = {{fault_options, 0}, {0}};

static const struct own_key no_keys[] = {{{0}, NULL}};
static const struct own_key scenario_keys[] = {
    {{"name", "NAME", "what results are filed under (default the file's name)"}, set_name},
    {{"summary", "TEXT", "a line of what it is"}, set_summary},
    {{"published", "TEXT", "what others have published of the same, shown beside the result"},
     set_published},
    {{"figures", "CONTESTANT METRIC VALUE,...",
      "the same as numbers, such as gin max_rps 40k; metrics are those of [scenario] metrics"},
     set_figures},
    {{"services", "postgres, memcached", "which of them the target needs"}, set_services},
    {{"workers", "N", "processes of a contestant that runs several (default a core each)"},
     set_workers},
    {{"pin", "auto|none|LIST", "cores, as --pin takes them, which goes before it (default auto)"},
     set_pin},
    {{"shape", "video|CPUS:MEMORY",
      "limits of each target, as --shape takes them, which goes before it (default none)"},
     set_shape},
    {{"contestants", "NAME,...",
      "who races in `iubench reproduce`: names or paths of target files, or iubench; the first two "
      "are those of the published ratio, the slower one first"},
     set_contestants},
    {{"metrics", "NAME,...",
      "what is compared: max_rps (the highest rate that was held), rps, p99_us, mean_us, "
      "size_bytes, start_ms, idle_bytes, memory_bytes (default those of the figures)"},
     set_metrics},
    {{"published-ratio", "LOW to HIGH", "where a ratio was published and no figures"}, set_ratio},
    {{"steps", "FROM to TO",
      "rates that a reproduction climbs in place of the load's ramp, a fifth more every second"},
     set_steps},
    {{"cause", "TEXT", "why what is measured differs from what was published"}, set_cause},
    {{0}, NULL}};
static const struct own_key load_keys[] = {
    {{"path", "/PATH", "what is asked for; every scenario needs it"}, set_path}, {{0}, NULL}};

static const struct section sections[] = {
    {"scenario", 0, no_tables, scenario_keys},
    {"target", offsetof(struct scenario, target), target_tables, no_keys},
    {"upstream", offsetof(struct scenario, upstream), upstream_tables, no_keys},
    {"load", offsetof(struct scenario, load), load_tables, load_keys},
    {"fault", offsetof(struct scenario, fault), fault_tables, no_keys},
};
#define SECTION_COUNT (sizeof sections / sizeof *sections)

static const struct own_key *own_find(const struct section *section, const char *name)
{
    for (const struct own_key *own = section->own; own->set; own++)
        if (strcmp(own->key.name, name) == 0)
            return own;
    return NULL;
}

static const struct option_row *option_find(const struct section *section, const char *name)
{
    for (const struct option_table *table = section->tables; table->rows; table++)
        for (const struct option_row *row = table->rows; row->name; row++)
            if (strcmp(row->name, name) == 0)
                return row;
    return NULL;
}

static bool has_key(const struct section *section, const char *name)
{
    return own_find(section, name) || option_find(section, name);
}

static void list_keys(const struct section *section, const char *names[KEYS_MAX + 1])
{
    size_t count = 0;
    for (const struct own_key *own = section->own; own->set; own++)
        names[count++] = own->key.name;
    for (const struct option_table *table = section->tables; table->rows; table++)
        for (const struct option_row *row = table->rows; row->name && count < KEYS_MAX; row++)
            names[count++] = row->name;
    names[count] = NULL;
}

/* --- as a man page --- */

static const struct cli_key *key_at(const struct own_key *keys, size_t i)
{
    while (i && keys->set) {
        keys++;
        i--;
    }
    return keys->set ? &keys->key : NULL;
}

static const struct cli_key *scenario_key(size_t i)
{
    return key_at(scenario_keys, i);
}

static const struct cli_key *load_key(size_t i)
{
    return key_at(load_keys, i);
}

static const struct cli_key *no_key(size_t i)
{
    return key_at(no_keys, i);
}

void scenario_manual(struct cli_file *file)
{
    static const struct cli_section shown[] = {
        {"scenario", "What it is, and what was published of it.", scenario_key, no_tables},
        {"target", "Our own target, as `iubench serve` takes it.", no_key, target_tables},
        {"upstream", "The built-in upstream, as `iubench upstream` takes it.", no_key,
         upstream_tables},
        {"load", "The load, as `iubench load` takes it.", load_key, load_tables},
        {"fault",
         "A fault on demand: for a stretch of the load something befalls one party. The result "
         "says what became of the requests meanwhile, and how soon all was as before.",
         no_key, fault_tables},
        {0},
    };
    *file = (struct cli_file){
        .name = "scenario",
        .summary = "files that `iubench run` and `iubench reproduce` take",
        .details =
            "A text of sections and keys, one key = value a line. Comments begin with ; or # at "
            "the beginning of a line, or with ; behind a space. An indented line continues the "
            "value above it; a line has at most some 190 bytes. Keys that an option could set have "
            "its name, its values and its default. What is wrong is told with file and line before "
            "anything is started.\n\n"
            "Options on the command line go before what a file says; a load's model on the command "
            "line (--rate, --stages ...) takes the place of the file's.",
        .sections = shown,
    };
    for (const struct scenario_file *f = scenario_files(); f->name; f++)
        if (strcmp(f->name, "fault-db-stall") == 0)
            file->example = f->text;
}

/* --- from text to keys --- */

struct parser {
    struct {
        const struct section *section;
        char name[INI_NAME_BYTES];
        unsigned line;
    } seen[KEYS_MAX];
    unsigned seen_count;
    struct scenario *s;
};

static bool fail_section(const struct ini_key *k, struct fail *f)
{
    char shown[SHOWN_BYTES];
    const char *names[SECTION_COUNT + 1] = {NULL};
    for (size_t i = 0; i < SECTION_COUNT; i++)
        names[i] = sections[i].name;
    const char *nearest = cli_nearest(k->section, names);
    if (!*k->section)
        return fail_set(
            f, EXIT_USAGE,
            "\"%s\" stands before the first section: expected [scenario], [target], [upstream], "
            "[load] or [fault] above it",
            log_escape(span_of(k->name), shown, sizeof shown));
    return fail_set(
        f, EXIT_USAGE,
        "unknown section [%s]%s%s%s: expected [scenario], [target], [upstream], [load] or "
        "[fault]",
        log_escape(span_of(k->section), shown, sizeof shown), nearest ? ", did you mean [" : "",
        nearest ? nearest : "", nearest ? "]?" : "");
}

static bool fail_key(const struct section *section, const struct ini_key *k, struct fail *f)
{
    char shown[SHOWN_BYTES];
    const char *names[KEYS_MAX + 1];
    struct text known = {0};
    log_escape(span_of(k->name), shown, sizeof shown);
    for (size_t i = 0; i < SECTION_COUNT; i++)
        if (has_key(&sections[i], k->name))
            return fail_set(f, EXIT_USAGE, "\"%s\" is no key of [%s]: it belongs in [%s]", shown,
                            section->name, sections[i].name);
    list_keys(section, names);
    const char *nearest = cli_nearest(k->name, names);
    for (const char **name = names; *name && !nearest; name++)
        text_addf(&known, "%s%s", name > names ? ", " : "", *name);
    fail_set(f, EXIT_USAGE, "unknown key \"%s\" in [%s]: %s%s%s", shown, section->name,
             nearest ? "did you mean \"" : "expected one of ", nearest ? nearest : known.data,
             nearest ? "\"?" : "");
    text_free(&known);
    return false;
}

/* A key twice is a slip, unless each adds one more. */
static bool note_key(struct parser *p, const struct section *section, const struct ini_key *k,
                     struct fail *f)
{
    const struct option_row *row = option_find(section, k->name);
    for (unsigned i = 0; i < p->seen_count; i++)
        if (p->seen[i].section == section && strcmp(p->seen[i].name, k->name) == 0 &&
            !(row && row->kind == OPTION_TEXTS))
            return fail_set(f, EXIT_USAGE, "\"%s\" in [%s] was given on line %u already", k->name,
                            section->name, p->seen[i].line);
    if (p->seen_count == KEYS_MAX)
        return fail_set(f, EXIT_USAGE, "a scenario has at most %d keys", KEYS_MAX);
    p->seen[p->seen_count].section = section;
    p->seen[p->seen_count].line = k->line;
    memcpy(p->seen[p->seen_count++].name, k->name, sizeof k->name);
    return true;
}

static bool set_key(void *arg, const struct ini_key *k, struct fail *f)
{
    struct parser *p = arg;
    const struct section *section = NULL;
    for (size_t i = 0; i < SECTION_COUNT; i++)
        if (strcmp(sections[i].name, k->section) == 0)
            section = &sections[i];
    if (!section)
        return fail_section(k, f);
    if (!has_key(section, k->name))
        return fail_key(section, k, f);
    if (!note_key(p, section, k, f))
        return false;
    const struct own_key *own = own_find(section, k->name);
    if (own)
        return own->set(p->s, k->value, f) || fail_prefix(f, "%s", k->name);
    return cli_set(section->tables, (char *)p->s + section->at, k->name, k->value, f);
}

static bool is_known(void *arg, const char *name)
{
    (void)arg;
    for (size_t i = 0; i < SECTION_COUNT; i++)
        if (has_key(&sections[i], name))
            return true;
    return false;
}

static void set_defaults(struct scenario *s, const char *where)
{
    *s = (struct scenario){.target = target_config_default,
                           .upstream = upstream_config_default,
                           .load = LOAD_CONFIG_DEFAULT,
                           .ratio = {NAN, NAN}};
    const char *slash = strrchr(where, '/'), *base = slash ? slash + 1 : where;
    size_t len = strlen(base);
    if (len > 4 && strcmp(base + len - 4, ".ini") == 0)
        len -= 4;
    for (size_t i = 0; i < len && i < sizeof s->name - 1; i++)
        s->name[i] = strchr(" ./", base[i]) ? '-' : base[i];
}

static bool is_complete(const char *where, const struct scenario *s, struct fail *f)
{
    if (!*s->path)
        return fail_set(f, EXIT_USAGE,
                        "%s: [load] has no path: expected a line such as path = /api/devices",
                        where);
    return fault_plan_check(&s->fault, f) || fail_prefix(f, "%s", where);
}

bool scenario_parse(const char *where, struct span text, struct scenario *s, struct fail *f)
{
    struct parser p = {.s = s};
    struct ini_reader reader = {set_key, is_known, &p};
    set_defaults(s, where);
    return ini_read(where, text, &reader, f) && is_complete(where, s, f);
}

bool scenario_weighs(const struct scenario *s)
{
    for (unsigned i = 0; i < s->metric_count; i++)
        if (strncmp(s->metrics[i]->path, "footprint.", 10) == 0)
            return true;
    return false;
}

/* --- where scenarios come from --- */

const struct scenario_file *scenario_files(void)
{
    static const struct scenario_file files[] = {
#include "scenario_files.inc"
        {0},
    };
    return files;
}

static bool load_file(const char *path, struct scenario *s, struct fail *f)
{
    struct parser p = {.s = s};
    struct ini_reader reader = {set_key, is_known, &p};
    char shown[256];
    set_defaults(s, path);
    return ini_read_file(path, "scenario", &reader, f) &&
           is_complete(log_escape(span_of(path), shown, sizeof shown), s, f);
}

static bool fail_unknown(const char *name, struct fail *f)
{
    const char *names[KEYS_MAX + 1];
    char shown[SHOWN_BYTES];
    struct text known = {0};
    size_t count = 0;
    for (const struct scenario_file *file = scenario_files(); file->name; file++) {
        CHECK(count < KEYS_MAX);
        names[count++] = file->name;
        text_addf(&known, "%s, ", file->name);
    }
    names[count] = NULL;
    const char *nearest = cli_nearest(name, names);
    log_escape(span_of(name), shown, sizeof shown);
    if (nearest)
        fail_set(f, EXIT_USAGE, "unknown scenario \"%s\"; did you mean \"%s\"?", shown, nearest);
    else
        fail_set(f, EXIT_USAGE, "unknown scenario \"%s\": expected %sor the path of a .ini file",
                 shown, text_span(&known).data);
    text_free(&known);
    return false;
}

bool scenario_load(const char *name, struct scenario *s, struct fail *f)
{
    char where[NAME_BYTES];
    size_t len = strlen(name);
    if (strchr(name, '/') || (len > 4 && strcmp(name + len - 4, ".ini") == 0))
        return load_file(name, s, f);
    for (const struct scenario_file *file = scenario_files(); file->name; file++)
        if (strcmp(file->name, name) == 0) {
            snprintf(where, sizeof where, "%s.ini", name);
            return scenario_parse(where, file->text, s, f);
        }
    return fail_unknown(name, f);
}
