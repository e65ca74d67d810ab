/* Scenario files: INI, one scenario each. Sections name the parties, keys are the long names of
 * their commands' options:
 *   [scenario]  name, summary, published (text shown beside the result), figures, services
 *               and workers (processes of a contestant that has several)
 *   [target]    mode, threads, ... of `serve`
 *   [upstream]  delay, ... of `upstream`
 *   [load]      path, connections, rps-ramp, method, body, ... of `load`
 * Services are "postgres, memcached" or one of them. Figures are what was published, as "CONTESTANT
 * METRIC VALUE, ...", such as "gin max_rps 40k"; the metrics are max_rps (the highest rate that was
 * held), rps (of a closed loop) and mean_us (latency). Comments begin with ; or # at the beginning of
 * a line, or with ; behind a space. An indented line continues the value above it; a line has at
 * most some 190 bytes. Errors name file, line, what was found and what was expected. The files in
 * scenarios/ are built into the binary as well. */
#ifndef LAB_SCENARIO_H
#define LAB_SCENARIO_H

#include <stdbool.h>

#include "base/fail.h"
#include "base/span.h"
#include "load/load.h"
#include "report/result.h"
#include "target/target.h"
#include "upstream/upstream.h"

#define SCENARIO_FIGURES_MAX 16

struct scenario {
    char name[64];
    char summary[256];
    char published[512];
    struct result_figure figures[SCENARIO_FIGURES_MAX]; /* that were published */
    unsigned figure_count;
    bool wants_postgres, wants_memcached;
    uint32_t workers; /* processes of a contestant that has several; 0: a core each */
    char path[256];   /* of the request, "/api/devices" */
    struct target_config target;
    struct upstream_config upstream;
    struct load_config load;
};

/* `name` is a built-in name (test1), or the path of a file (with a slash or ending in .ini).
 * Unknown: EXIT_USAGE with the names there are and the nearest. */
bool scenario_load(const char *name, struct scenario *s, struct fail *f) MUST_USE;

/* Parses `text`; `where` stands for the file's name in messages. */
bool scenario_parse(const char *where, struct span text, struct scenario *s,
                    struct fail *f) MUST_USE;

/* The built-in ones by name; a row without a name ends them. */
struct scenario_file {
    const char *name;
    struct span text;
};
const struct scenario_file *scenario_files(void);

#endif
