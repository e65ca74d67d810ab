/* What every command that races targets lets a user say of it. */
#include <stddef.h>

#include "lab/run.h"

#define AT(field) offsetof(struct run_config, field)

const struct option_row run_race_options[] = {
    {.name = "order-seed",
     .kind = OPTION_COUNT,
     .at = AT(order_seed),
     .metavar = "N",
     .max = UINT32_MAX,
     .help = "of the order of targets (default: drawn, and printed)"},
    {.name = "warmup",
     .kind = OPTION_DURATION,
     .at = AT(warmup_ns),
     .metavar = "DURATION",
     .help = "the scenario's requests in a closed loop of a few connections before each race, not "
             "counted (default 2s where targets are compared, else none)",
     .was_set_at = AT(warmup_was_set)},
    {.name = "pin",
     .kind = OPTION_TEXT,
     .at = AT(pin),
     .metavar = "auto|none|LIST",
     .help = "cores: chosen by topology, none, or TARGET/CLIENT[/SERVICES] such as 0-1/2,3 "
             "(default auto)"},
    {.name = "sync-commit",
     .kind = OPTION_FLAG,
     .at = AT(is_sync_commit_on),
     .help = "run the managed PostgreSQL with synchronous_commit=on (default off)"},
    {.name = "shape",
     .kind = OPTION_TEXT,
     .at = AT(shape),
     .metavar = "video|CPUS:MEMORY",
     .help =
         "limit each target by a control group: as the published pod (2 CPUs, 4G), or such as "
         "0.5:512M; and the managed services by theirs: as their published machines, or by "
         "TARGET/POSTGRESQL/MEMCACHED such as 1:1G/2:4G/1:1G; scaled to the target's cores here, "
         "the scale is printed"},
    {.name = "without-quota",
     .kind = OPTION_FLAG,
     .at = AT(has_no_quota),
     .help = "of --shape limit the memory alone, so that nothing is throttled"},
    {.name = "workers",
     .kind = OPTION_COUNT,
     .at = AT(workers),
     .metavar = "N",
     .max = 1024,
     .help = "processes of a target that runs several (the scenario's number, else a core each)"},
    {0},
};
