/* What to load when nobody said it: asks the target at its usual place. Blocking, with a deadline
 * of its own; at start only. */
#ifndef LOAD_DISCOVER_H
#define LOAD_DISCOVER_H

#include <stdbool.h>

#include "base/fail.h"
#include "base/span.h"

#define DISCOVER_ADDRESS "127.0.0.1:8080"

struct discovery {
    bool is_post;  /* POST /api/devices, else GET */
    char mode[32]; /* "db"; "" if the target does not say */
};

/* Asks DISCOVER_ADDRESS for /openapi.json, within 2 s. EXIT_FAILED if nothing listens there or
 * what answers is not HTTP. An answer other than 200 is a target without a contract: GET. */
bool discover_target(struct discovery *d, struct fail *f) MUST_USE;

/* Reads what an answer's `body` says; false if it is not JSON. */
bool discover_read(struct discovery *d, struct span body) MUST_USE;

#endif
