/* `iubench doctor` */
#include "commands/commands.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/color.h"
#include "lab/doctor.h"

struct nothing {
    char none;
};

static const struct option_table tables[] = {{0}};

static int run_doctor(const struct command *command, int argc, char **argv, struct fail *f)
{
    struct nothing config;
    struct cli_texts arguments;
    enum cli_outcome outcome = cli_parse(command, argc, argv, &config, &arguments, f);
    if (outcome != CLI_RUN)
        return cli_exit_code(outcome, f);
    return doctor_run(stdout, color_is_wanted(stdout));
}

const struct command command_doctor = {
    .name = "doctor",
    .arguments = "",
    .summary = "what this machine can and cannot do, and how to mend it",
    .details = "One line each: ok, a note, or the command that mends it. Exits with 4 if something "
               "that is needed is missing.",
    .examples = "iubench doctor",
    .options = tables,
    .run = run_doctor,
};
