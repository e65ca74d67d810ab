/* `iubench serve` */
#include "commands/commands.h"

#include <stddef.h>
#include <stdio.h>

#include "base/log.h"
#include "commands/signals.h"
#include "target/target.h"

static const struct option_table tables[] = {
    {target_options, 0}, {storage_options, offsetof(struct target_config, storage)}, {0}};

/* Whoever names a service expects it to be asked. */
static void tell_unused(const struct target_config *c)
{
    bool has_storage = c->mode == MODE_ALL || c->mode == MODE_DB;
    bool has_upstream = c->mode == MODE_ALL || c->mode == MODE_PROXY;
    if (c->storage.pg && !has_storage)
        log_line("--pg is not used: the modes db and all insert rows");
    if (c->storage.memcached && !has_storage)
        log_line("--memcached is not used: the modes db and all set values");
    if (c->upstream && !has_upstream)
        log_line("--upstream is not used: the modes proxy and all fetch");
}

static int run_serve(const struct command *command, int argc, char **argv, struct fail *f)
{
    struct target_config config = target_config_default;
    struct cli_texts arguments;
    enum cli_outcome outcome = cli_parse(command, argc, argv, &config, &arguments, f);
    if (outcome != CLI_RUN)
        return cli_exit_code(outcome, f);
    tell_unused(&config);
    signals_block();
    struct target *target = target_start(&config, f);
    if (!target)
        return (int)f->exit;
    printf("iubench serve: %s\n", target_line(target));
    fflush(stdout);
    signals_wait();
    target_stop(target);
    return EXIT_DONE;
}

const struct command command_serve = {
    .name = "serve",
    .arguments = "",
    .summary = "the benchmark target: devices, fib, an external fetch, storage",
    .details = "Answers the published benchmark's endpoints until SIGINT or SIGTERM, then finishes "
               "the requests it has.\n"
               "\n"
               "Modes: static (hardcoded JSON), fib (CPU-bound), proxy (a slow upstream), post "
               "(parse and answer), db\n"
               "(post with a database insert and a cache set), all.\n"
               "\n"
               "Storage: --pg and --memcached, else libpq's environment (PGHOST, PGDATABASE, ...) "
               "or DATABASE_URL and\n"
               "MEMCACHED_SERVERS, else SQLite in a temporary file and a cache in memory; the "
               "first line says which.",
    .examples =
        "iubench serve --mode db\n"
        "iubench serve --listen 127.0.0.1:9000 --threads 2 --cores 0-1\n"
        "iubench serve --mode db --pg postgresql://me@localhost/mydb --memcached localhost:11211\n"
        "iubench serve --mode proxy --upstream http://127.0.0.1:5001/external",
    .options = tables,
    .run = run_serve,
};
