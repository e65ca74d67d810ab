/* `iubench run` */
#include "commands/commands.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "commands/signals.h"
#include "lab/folder.h"
#include "lab/run.h"
#include "lab/scenario.h"

/* The scenario's own values are read over by the command line's. */
struct run_command {
    struct run_config run;
    struct load_config load;
    struct storage_config storage;
};

static const char *const services[] = {"auto", "managed", "external", "embedded", NULL};

#define AT(field) offsetof(struct run_command, run.field)

static const struct option_row run_options[] = {
    {.name = "services",
     .kind = OPTION_CHOICE,
     .at = AT(services),
     .metavar = "KIND",
     .choices = services,
     .help =
         "PostgreSQL and memcached: managed (private ones, started and stopped), external (--pg, "
         "--memcached), embedded (SQLite, in-process cache), or auto: managed where the programs "
         "are installed, else embedded (default auto)"},
    {.name = "verify",
     .kind = OPTION_FLAG,
     .at = AT(is_verified),
     .help =
         "at the end compare the answers that were acknowledged with the rows in PostgreSQL and "
         "the values in memcached; exit 1 if anything is missing (default off)"},
    {.name = "target",
     .kind = OPTION_TEXTS,
     .at = AT(targets),
     .metavar = "NAME|URL",
     .help = "load this instead of our own target: a service that runs, by its URL; one of "
             "contestants/, by its name; one by its target file; \"iubench\" is our own; may be "
             "repeated"},
    {.name = "repeat",
     .kind = OPTION_COUNT,
     .at = AT(repeat),
     .metavar = "N",
     .min = 1,
     .max = 1000,
     .help = "races of each target, which is restarted for each; in an order and then in its "
             "reverse, in turn (default 1)"},
    {.name = "out",
     .letter = 'o',
     .kind = OPTION_TEXT,
     .at = AT(out),
     .metavar = "DIR",
     .help = "where the result goes (default results/SCENARIO-TIME)"},
    {0},
};

static const struct option_table tables[] = {
    {run_options, 0},
    {run_race_options, offsetof(struct run_command, run)},
    {load_options, offsetof(struct run_command, load)},
    {storage_options, offsetof(struct run_command, storage)},
    {0},
};
static const struct option_table unlisted[] = {
    {load_lone_options, offsetof(struct run_command, load)}, {0}};

/* A scenario with the command line read over what its file says. */
struct job {
    struct scenario scenario;
    struct run_config config;
    char out[FOLDER_BYTES + 80]; /* with --out and several scenarios, a folder in it for each */
};

static bool plan_one(struct job *job, const struct command *command, int argc, char **argv,
                     const char *name, bool is_one_of_many, struct fail *f)
{
    struct scenario *s = &job->scenario;
    struct run_command given = {.load = LOAD_CONFIG_DEFAULT};
    struct cli_texts ignored;
    if (!scenario_load(name, s, f) ||
        cli_parse(command, argc, argv, &given, &ignored, f) != CLI_RUN)
        return false;
    load_config_give_way(&s->load, &given.load);
    struct run_command c = {
        .run = {.repeat = 1, .stop = signals_have_come, .argc = argc + 2, .argv = argv - 2},
        .load = s->load,
        .storage = s->target.storage,
    };
    if (cli_parse(command, argc, argv, &c, &ignored, f) != CLI_RUN)
        return false;
    s->load = c.load;
    s->target.storage = c.storage;
    job->config = c.run;
    snprintf(job->out, sizeof job->out, "%s/%s", c.run.out ? c.run.out : "", s->name);
    if (c.run.out && is_one_of_many)
        job->config.out = job->out;
    return true;
}

static bool is_new(const struct job *jobs, size_t count, struct fail *f)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(jobs[i].scenario.name, jobs[count].scenario.name))
            return fail_set(f, EXIT_USAGE,
                            "two scenarios are called %s: expected different names, since results "
                            "are filed under them; --repeat N races one several times",
                            jobs[count].scenario.name);
    return true;
}

/* All are read before the first one runs, so that a mistake is said at once. */
static bool plan_all(struct job *jobs, const struct command *command, int argc, char **argv,
                     const struct cli_texts *names, struct fail *f)
{
    for (size_t i = 0; i < names->count; i++)
        if (!plan_one(&jobs[i], command, argc, argv, names->items[i], names->count > 1, f) ||
            !is_new(jobs, i, f))
            return false;
    return true;
}

static int run_all(const struct job *jobs, size_t count, struct fail *f)
{
    int worst = EXIT_DONE;
    for (size_t i = 0; i < count && !signals_seen(); i++) {
        int exit_code = EXIT_DONE;
        if (!run_scenario(&jobs[i].scenario, &jobs[i].config, &exit_code, f))
            return (int)f->exit;
        if (exit_code > worst)
            worst = exit_code;
    }
    return signals_seen() ? signals_exit_code(signals_seen()) : worst;
}

static int run_names(const struct command *command, int argc, char **argv,
                     const struct cli_texts *names, struct fail *f)
{
    struct job *jobs = mem_need(names->count, sizeof *jobs);
    int exit_code = plan_all(jobs, command, argc, argv, names, f) ? run_all(jobs, names->count, f)
                                                                  : (int)f->exit;
    free(jobs);
    return exit_code;
}

static int run_every(const struct command *command, int argc, char **argv, struct fail *f)
{
    const char *names[64];
    struct cli_texts all = {names, 0};
    for (const struct scenario_file *file = scenario_files(); file->name && all.count < 64; file++)
        names[all.count++] = file->name;
    return run_names(command, argc, argv, &all, f);
}

static int run_run(const struct command *command, int argc, char **argv, struct fail *f)
{
    struct run_command ignored = {.load = LOAD_CONFIG_DEFAULT};
    struct cli_texts names;
    enum cli_outcome outcome = cli_parse(command, argc, argv, &ignored, &names, f);
    if (outcome != CLI_RUN)
        return cli_exit_code(outcome, f);
    signals_block();
    if (names.count == 1 && !strcmp(names.items[0], "all"))
        return run_every(command, argc, argv, f);
    return run_names(command, argc, argv, &names, f);
}

static const char *scenario_name(size_t i)
{
    return i ? scenario_files()[i - 1].name : "all";
}

const struct command command_run = {
    .name = "run",
    .arguments = "SCENARIO|FILE...",
    .argument_word = scenario_name,
    .arguments_min = 1,
    .arguments_max = 64,
    .summary = "hosts a scenario's target, upstream and services, loads it, and reports",
    .details =
        "SCENARIO is test1, test2, fib, fetch-external; the same by the published methods, "
        "test1-closed, test2-closed, fib-ab, fetch-external-ab; rps-table, techempower-json, "
        "techempower-plaintext; footprint; fault-db-stall, fault-cache-lost, fault-fd, "
        "fault-fd-cache, fault-overload; and why-orm, why-idle-connections, why-timeout, "
        "why-open-loop, why-closed-loop, why-few-workers, why-many-workers (docs/REPRODUCTION.md); "
        "all of them (all); or the path FILE of a scenario file.\n"
        "\n"
        "Target, upstream and client run in this process on cores of their own; PostgreSQL and "
        "memcached\n"
        "are private ones in a temporary folder. The table goes to standard output, result.json to "
        "--out.\n"
        "Options of the load override the scenario's; -d scales a ramp to that length.",
    .examples = "iubench run test1\n"
                "iubench run test2 -d 30s --services managed\n"
                "iubench run test1 --target http://127.0.0.1:8000 --target iubench\n"
                "iubench run ./my.ini --pin 0/1 --out results/mine",
    .options = tables,
    .unlisted = unlisted,
    .run = run_run,
};
