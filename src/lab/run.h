/* Running a scenario: hosts what it needs (services, upstream, target), pins it to cores, loads it,
 * samples it, and leaves a result behind; stops everything again, whatever happens. */
#ifndef LAB_RUN_H
#define LAB_RUN_H

#include <stdbool.h>

#include "base/fail.h"
#include "cli/cli.h"
#include "lab/scenario.h"

enum run_services { SERVICES_AUTO, SERVICES_MANAGED, SERVICES_EXTERNAL, SERVICES_EMBEDDED };

struct run_config {
    int services;    /* enum run_services; AUTO: managed where installed, else embedded */
    const char *pin; /* as pinning_choose() takes it; NULL: the scenario's, else "auto" */
    const char *out; /* folder for results; NULL: results/SCENARIO-TIME */
    struct cli_texts
        targets;         /* URLs, names or paths of target files (lab/target_file.h), "iubench" for
                                 our own; empty: our own */
    uint32_t repeat;     /* races of each target */
    uint32_t order_seed; /* of the order in which they race; 0: drawn, and told */
    uint64_t warmup_ns;  /* before each race; without warmup_was_set 2 s where targets are
                                 compared, else 0 */
    bool warmup_was_set;
    const char *shape; /* as shape_choose() takes it; NULL: none */
    bool has_no_quota; /* of the shape the memory alone */
    uint32_t workers;  /* processes of a contestant that has several; 0: the scenario's, else a core
                         each */
    bool is_sync_commit_on;  /* of a managed PostgreSQL */
    bool is_verified;        /* compare what was acknowledged with what is stored (lab/verify.h) */
    bool (*stop)(void *arg); /* asked often; true: end now with what there is */
    int argc;                /* the command line, for the result */
    char **argv;
};

/* Options of a struct run_config that `run` and `reproduce` have alike. */
extern const struct option_row run_race_options[];

/* A target that fails is named, ended, and the others race on; one that lacks its toolchain is skipped.
 * The outcome decides the exit code: the worst of EXIT_DONE, EXIT_FAILED (no request succeeded, a
 * target failed, or a mismatch under `is_verified`) and EXIT_INVALID. False with `f` filled if the run
 * could not be made, or there was one target and it could not race. Prints progress to standard error
 * and the table to standard output. Must be called before other threads are started. */
bool run_scenario(const struct scenario *s, const struct run_config *config, int *exit_code,
                  struct fail *f) MUST_USE;

#endif
