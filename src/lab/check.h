/* `iubench check`: the HTTP contract of a benchmark target, point by point, against any URL. A point
 * that is not kept is failed, unless the way in which it is not kept has a name (a deviation, listed
 * in contestants/README.md) and that is allowed: then it is told as allowed. */
#ifndef LAB_CHECK_H
#define LAB_CHECK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/fail.h"
#include "cli/cli.h"

enum check_status {
    CHECK_PASSED,
    CHECK_FAILED,
    CHECK_ALLOWED, /* not kept, in an allowed way */
    CHECK_ABSENT,  /* the target does not have this route, and need not */
};

struct check_point {
    enum check_status status;
    char text[96];         /* "POST /api/devices, not JSON: status" */
    const char *deviation; /* the way in which it is not kept; NULL: none that has a name */
    char found[320];       /* "" for what is as it should be */
};

enum { CHECK_POINTS_MOST = 128 };

struct check {
    struct check_point points[CHECK_POINTS_MOST];
    unsigned count, passed, failed, allowed, absent;
};

struct check_config {
    const char *url; /* of the service; its path is where its routes begin */
    int mode; /* enum target_mode: whose routes must be there; -1: those of the mode that it says itself
                 in /openapi.json, else those that every mode has */
    const char *pg, *memcached; /* where its rows and values are; NULL: not looked at */
    struct cli_texts allow;     /* names of deviations, with commas between */
    /* The quick form, before a race: only what this request of a scenario is about. NULL: all. */
    const char *path, *method;
    uint64_t timeout_ns; /* of each answer */
};

/* Asks. True also when points are failed; false with `f` filled: it could not be asked at all (a wrong
 * URL, an unknown deviation, services that cannot be reached, nobody who listens). */
bool check_run(const struct check_config *config, struct check *c, struct fail *f) MUST_USE;

/* A line for each point and one for the sum; with `is_brief` only points that are not passed. */
void check_print(const struct check *c, FILE *to, bool is_brief);

/* "iubench-check/1". */
json_t *check_json(const struct check *c, const char *url);

/* Whether a list, commas or blanks between, names deviations that there are. EXIT_USAGE with the nearest. */
bool check_deviations(const char *list, struct fail *f) MUST_USE;

#endif
