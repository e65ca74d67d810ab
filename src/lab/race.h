/* One race: a contestant is started, warmed up, loaded and ended. */
#ifndef LAB_RACE_H
#define LAB_RACE_H

#include <jansson.h>
#include <stdbool.h>

#include "lab/entrant.h"
#include "lab/venue.h"
#include "load/load.h"
#include "report/result.h"

struct race {
    const struct entrant *entrant;
    unsigned repeat; /* from 1 */

    json_t *check; /* what check_json() says of the quick form; NULL: not checked */
    bool has_result;
    struct load_result load;
    bool has_fault; /* one was made */
    struct result_fault fault;
    bool has_footprint; /* the scenario asks for it */
    struct result_footprint footprint;
    char store[256], cache[256]; /* of our own target */
    uint32_t pg_batch;           /* see struct result */
    char verified[256];          /* what --verify has to say */
    bool is_mismatch;

    bool has_failed; /* may be so with a result as well */
    struct fail why;
};

/* Whether the scenario's load can be made, wherever the target will be; said before anything is started. */
bool race_check_load(const struct scenario *s, struct fail *f) MUST_USE;

/* Runs it. `entrant` and `repeat` are set, the rest zeroed, by the caller. */
void race_run(struct race *r, struct venue *s);
void race_free(struct race *r);

/* Sets an entrant up that a file describes. False with `f` filled: it cannot race; EXIT_LACKING if
 * that is because this machine lacks something. */
bool race_set_up(const struct entrant *e, struct venue *s, struct fail *f) MUST_USE;

#endif
