/* `iubench reproduce` */
#include "commands/commands.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "commands/signals.h"
#include "lab/folder.h"
#include "lab/reproduce.h"
#include "report/compare.h"
#include "report/file.h"

enum { NAMES_MAX = 64 };

/* The scenario's own values are read over by the command line's. */
struct reproduce_command {
    struct run_config run;
    struct load_config load;
};

static const char *const services[] = {"auto", "managed", "external", NULL};

#define AT(field) offsetof(struct reproduce_command, run.field)

static const struct option_row reproduce_options[] = {
    {.name = "repeat",
     .kind = OPTION_COUNT,
     .at = AT(repeat),
     .metavar = "N",
     .min = COMPARE_REPEATS_MIN,
     .max = 1000,
     .help = "races of each contestant, at least 4: fewer allow no claim (default 5)"},
    {.name = "out",
     .letter = 'o',
     .kind = OPTION_TEXT,
     .at = AT(out),
     .metavar = "DIR",
     .help = "where the tables and a folder for each scenario go (default results/reproduce-TIME)"},
    {.name = "services",
     .kind = OPTION_CHOICE,
     .at = AT(services),
     .metavar = "KIND",
     .choices = services,
     .help = "PostgreSQL and memcached: managed (private ones, started and stopped) or external "
             "(DATABASE_URL, MEMCACHED_SERVERS) (default managed where installed)"},
    {0},
};

static const struct option_table tables[] = {
    {reproduce_options, 0},
    {run_race_options, offsetof(struct reproduce_command, run)},
    {load_options, offsetof(struct reproduce_command, load)},
    {0},
};
static const struct option_table unlisted[] = {
    {load_lone_options, offsetof(struct reproduce_command, load)}, {0}};

/* --- what is to be run --- */

struct plan {
    struct scenario *scenarios;
    unsigned count;
    struct reproduce_command command; /* as of the last one; but for its load the same for all */
};

static bool is_new(const struct plan *p, const struct scenario *s, struct fail *f)
{
    for (unsigned i = 0; i < p->count; i++)
        if (!strcmp(p->scenarios[i].name, s->name))
            return fail_set(f, EXIT_USAGE,
                            "two scenarios are called %s: expected different names, since results "
                            "are filed under them",
                            s->name);
    return true;
}

/* With the command line read over what its file says. */
static bool add_scenario(struct plan *p, const struct command *command, int argc, char **argv,
                         const char *name, struct fail *f)
{
    struct scenario *s = &p->scenarios[p->count];
    struct reproduce_command given = {.load = LOAD_CONFIG_DEFAULT};
    struct cli_texts ignored;
    if (!scenario_load(name, s, f) || !reproduce_prepare(s, f) || !is_new(p, s, f) ||
        cli_parse(command, argc, argv, &given, &ignored, f) != CLI_RUN)
        return false;
    load_config_give_way(&s->load, &given.load);
    p->command = (struct reproduce_command){
        .run = {.repeat = 5, .stop = signals_have_come, .argc = argc + 2, .argv = argv - 2},
        .load = s->load,
    };
    if (cli_parse(command, argc, argv, &p->command, &ignored, f) != CLI_RUN)
        return false;
    s->load = p->command.load;
    reproduce_shorten(s);
    p->count++;
    return true;
}

/* Those that name contestants. */
static void list_all(const char *names[NAMES_MAX], struct cli_texts *all)
{
    struct scenario *s = mem_need(1, sizeof *s);
    struct fail ignored;
    *all = (struct cli_texts){names, 0};
    for (const struct scenario_file *file = scenario_files(); file->name; file++)
        if (scenario_load(file->name, s, &ignored) && s->contestant_count && all->count < NAMES_MAX)
            names[all->count++] = file->name;
    free(s);
}

/* --- what is left --- */

static bool write_markdown(FILE *to, const void *r)
{
    return reproduction_markdown(r, to);
}

static bool write_json(FILE *to, const void *r)
{
    return reproduction_json(r, to);
}

static bool leave(const struct reproduction *r, const char *folder, struct fail *f)
{
    char md[FOLDER_BYTES + 32], json[FOLDER_BYTES + 32], page[FOLDER_BYTES + 32];
    snprintf(md, sizeof md, "%s/reproduction.md", folder);
    snprintf(json, sizeof json, "%s/reproduction.json", folder);
    snprintf(page, sizeof page, "%s/report.html", folder);
    reproduction_print(r, stdout);
    bool is_left = file_write(md, write_markdown, r, f) && file_write(json, write_json, r, f) &&
                   reproduction_page(r, page, f);
    if (is_left)
        printf("\nTables: %s, %s\nReport: %s\n", md, json, page);
    fflush(stdout);
    return is_left;
}

static double load_average(void)
{
    double average;
    return getloadavg(&average, 1) == 1 ? average : NAN;
}

static int run_plan(const struct plan *p, struct fail *f)
{
    char folder[FOLDER_BYTES], out[FOLDER_BYTES + 80];
    struct run_config config = p->command.run;
    struct reproduction r = {.repeats = config.repeat,
                             .started_us = clock_wall_us(),
                             .load_average = load_average(),
                             .argc = config.argc,
                             .argv = config.argv};
    int worst = EXIT_DONE;
    folder_choose(config.out, "reproduce", folder);
    if (!folder_make(folder, f))
        return (int)f->exit;
    config.out = out;
    for (unsigned i = 0; i < p->count && !signals_seen(); i++) {
        snprintf(out, sizeof out, "%s/%s", folder, p->scenarios[i].name);
        int exit_code = reproduce_scenario(&p->scenarios[i], &config, &r);
        worst = exit_code > worst ? exit_code : worst;
    }
    r.is_interrupted = signals_seen();
    bool is_left = leave(&r, folder, f);
    reproduction_free(&r);
    if (signals_seen())
        return signals_exit_code(signals_seen());
    return is_left ? worst : (int)f->exit;
}

static int run_reproduce(const struct command *command, int argc, char **argv, struct fail *f)
{
    struct reproduce_command ignored = {.load = LOAD_CONFIG_DEFAULT};
    const char *all[NAMES_MAX];
    struct cli_texts names;
    struct plan p = {0};
    enum cli_outcome outcome = cli_parse(command, argc, argv, &ignored, &names, f);
    if (outcome != CLI_RUN)
        return cli_exit_code(outcome, f);
    signals_block();
    if (!names.count || (names.count == 1 && !strcmp(names.items[0], "all")))
        list_all(all, &names);
    p.scenarios = mem_need(names.count, sizeof *p.scenarios);
    bool is_planned = true;
    for (size_t i = 0; i < names.count && is_planned; i++)
        is_planned = add_scenario(&p, command, argc, argv, names.items[i], f);
    int exit_code = is_planned ? run_plan(&p, f) : (int)f->exit;
    free(p.scenarios);
    return exit_code;
}

static const char *scenario_name(size_t i)
{
    return i ? scenario_files()[i - 1].name : "all";
}

const struct command command_reproduce = {
    .name = "reproduce",
    .arguments = "[SCENARIO|FILE...]",
    .argument_word = scenario_name,
    .arguments_max = NAMES_MAX,
    .summary = "race the published contestants and put what was published beside what is measured",
    .details =
        "SCENARIO is one that names its contestants, or all of those (all, which no word means as "
        "well); or the path FILE of a scenario file that does.\n"
        "\n"
        "Each scenario is run as by `iubench run` with its contestants as targets: interleaved, "
        "restarted, repeated. What cannot be run is named in the table, and the others go on.\n"
        "The table ends on standard output, and as reproduction.md, reproduction.json and "
        "report.html in --out, "
        "with a folder for each scenario's result.json and report.html. docs/REPRODUCTION.md says "
        "how a row is judged and what two cores cannot show.\n"
        "Options of the load override the scenarios'; -d scales each of them to that length.",
    .examples = "iubench reproduce all\n"
                "iubench reproduce test1 test2 --repeat 8\n"
                "iubench reproduce test1 -d 5s --repeat 4 --out results/short\n"
                "iubench reproduce ./my.ini",
    .options = tables,
    .unlisted = unlisted,
    .run = run_reproduce,
};
