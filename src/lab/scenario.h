/* Scenario files: INI, one scenario each. Sections name the parties, keys are the long names of
 * their commands' options:
 *   [scenario]  name, summary, published (text shown beside the result), figures, services
 *   [target]    mode, threads, ... of `serve`
 *   [upstream]  delay, ... of `upstream`
 *   [load]      path, connections, rps-ramp, method, body, ... of `load`
 * Services are "postgres, memcached" or one of them. Figures are what was published, as "CONTESTANT
 * METRIC VALUE, ..." with the metrics of scenario_metrics[], such as "gin max_rps 40k". Comments begin with ; or # at the beginning of
 * a line, or with ; behind a space. An indented line continues the value above it; a line has at
 * most some 190 bytes. Errors name file, line, what was found and what was expected. The files in
 * scenarios/ are built into the binary as well. */
#ifndef LAB_SCENARIO_H
#define LAB_SCENARIO_H

#include <stdbool.h>

#include "base/fail.h"
#include "base/span.h"
#include "load/load.h"
#include "target/target.h"
#include "upstream/upstream.h"

/* The metrics of published figures: the highest rate that was held, the rate of a closed loop, the
 * mean latency. */
enum scenario_metric { METRIC_MAX_RPS, METRIC_RPS, METRIC_MEAN_US, METRIC_COUNT };
extern const char *const scenario_metrics[METRIC_COUNT]; /* "max_rps", "rps", "mean_us" */

#define SCENARIO_FIGURES_MAX 16

struct scenario_figure {
    char contestant[32];
    enum scenario_metric metric;
    double value;
};

struct scenario {
    char name[64];
    char summary[256];
    char published[512];
    struct scenario_figure figures[SCENARIO_FIGURES_MAX]; /* that were published */
    unsigned figure_count;
    bool wants_postgres, wants_memcached;
    char path[256]; /* of the request, "/api/devices" */
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
