/* The commands of the program, a file each; main.c has the list. */
#ifndef COMMANDS_COMMANDS_H
#define COMMANDS_COMMANDS_H

#include "cli/cli.h"

extern const struct command command_serve, command_upstream, command_load, command_run,
    command_reproduce, command_check, command_compare, command_report, command_merge,
    command_doctor, command_manual, command_completion;

/* All of them in the order of the overview; NULL-terminated. Defined by main.c. */
extern const struct command *const commands[];

#endif
