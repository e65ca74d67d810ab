/* Scenario files: INI, one scenario each. Sections name the parties, keys are the long names of
 * their commands' options:
 *   [scenario]  name, summary, published (text shown beside the result), figures, services
 *               and workers (processes of a contestant that has several); for `reproduce`
 *               contestants, metrics, published-ratio, steps and cause
 *   [target]    mode, threads, ... of `serve`
 *   [upstream]  delay, ... of `upstream`
 *   [load]      path, connections, rps-ramp, method, body, ... of `load`
 *   [fault]     what, party, from, to and descriptors of a fault on demand (lab/fault.h)
 * Services are "postgres, memcached" or one of them. Figures are what was published, as "CONTESTANT
 * METRIC VALUE, ...", such as "gin max_rps 40k"; the metrics are those of reproduction_metrics, such as
 * max_rps (the highest rate that was held) and rps (of a closed loop). Comments begin with ; or # at the beginning of
 * a line, or with ; behind a space. An indented line continues the value above it; a line has at
 * most some 190 bytes. Errors name file, line, what was found and what was expected. The files in
 * scenarios/ are built into the binary as well. */
#ifndef LAB_SCENARIO_H
#define LAB_SCENARIO_H

#include <stdbool.h>

#include "base/fail.h"
#include "base/span.h"
#include "lab/fault.h"
#include "load/load.h"
#include "report/reproduction.h"
#include "report/result.h"
#include "target/target.h"
#include "upstream/upstream.h"

#define SCENARIO_FIGURES_MAX 16
#define SCENARIO_METRICS_MAX 8
#define SCENARIO_STEPS_SPAN  10000 /* the last of `steps` over the first, at most */

struct scenario {
    char name[64];
    char summary[256];
    char published[512];
    struct result_figure figures[SCENARIO_FIGURES_MAX]; /* that were published */
    unsigned figure_count;
    bool wants_postgres, wants_memcached;
    uint32_t workers; /* processes of a contestant that has several; 0: a core each */
    char pin[64];     /* as pinning_choose() takes it; "": auto */
    char shape[64];   /* as shape_choose() takes it; "": none */
    char path[256];   /* of the request, "/api/devices" */

    /* Who races when the published numbers are reproduced, "iubench" or as --target takes it; the
     * first two are those of the published ratio, the slower one first. */
    char contestants[REPRODUCTION_CONTESTANTS_MAX][256];
    unsigned contestant_count; /* 0: it is not there to be reproduced */
    const struct reproduction_metric *metrics[SCENARIO_METRICS_MAX]; /* to be compared */
    unsigned metric_count;     /* 0: the figures', else the rate by the model of the load */
    struct interval ratio;     /* published without figures, "5 to 10"; NAN: none */
    double step_from, step_to; /* "500 to 80k": rates that a reproduction climbs in place of the
                                  load's ramp (lab/reproduce.h); 0: it has the load as it is */
    char stages[1024];         /* these rates, where load.stages points to then */
    char cause[1024];          /* why what is measured differs from what was published */

    struct target_config target;
    struct upstream_config upstream;
    struct load_config load;
    struct fault_plan fault;
};

/* `name` is a built-in name (test1), or the path of a file (with a slash or ending in .ini).
 * Unknown: EXIT_USAGE with the names there are and the nearest. */
bool scenario_load(const char *name, struct scenario *s, struct fail *f) MUST_USE;

/* Parses `text`; `where` stands for the file's name in messages. */
bool scenario_parse(const char *where, struct span text, struct scenario *s,
                    struct fail *f) MUST_USE;

/* Whether it compares what contestants weigh (struct result_footprint). */
bool scenario_weighs(const struct scenario *s);

/* The built-in ones by name; a row without a name ends them. */
struct scenario_file {
    const char *name;
    struct span text;
};
const struct scenario_file *scenario_files(void);

/* How such files are written, for their man page. */
void scenario_manual(struct cli_file *file);

#endif
