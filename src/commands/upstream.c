/* `iubench upstream` */
#include "commands/commands.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "commands/signals.h"
#include "upstream/upstream.h"

static const struct option_table tables[] = {{upstream_options, 0}, {0}};

static int run_upstream(const struct command *command, int argc, char **argv, struct fail *f)
{
    struct upstream_config config = upstream_config_default;
    struct cli_texts arguments;
    char delay[64];
    enum cli_outcome outcome = cli_parse(command, argc, argv, &config, &arguments, f);
    if (outcome != CLI_RUN)
        return cli_exit_code(outcome, f);
    signals_block();
    struct upstream *upstream = upstream_start(&config, f);
    if (!upstream)
        return (int)f->exit;
    bool is_unix = !strncmp(upstream_address(upstream), "unix:", 5);
    printf("iubench upstream: listening on %s%s, GET /external, delay %s\n",
           is_unix ? "" : "http://", upstream_address(upstream), delay_text(&config.delay, delay));
    fflush(stdout);
    signals_wait();
    upstream_stop(upstream);
    return EXIT_DONE;
}

const struct command command_upstream = {
    .name = "upstream",
    .arguments = "",
    .summary = "the delayed upstream that /fetch-external fetches from",
    .details =
        "Answers GET /external with {\"message\":\"External service response\"} after a delay.",
    .examples = "iubench upstream\n"
                "iubench upstream --delay normal:200ms:30ms --listen 127.0.0.1:5002",
    .options = tables,
    .run = run_upstream,
};
