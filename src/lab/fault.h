/* A fault on demand: for a stretch of the load one party of the run is stalled, killed, or kept from
 * opening descriptors, and then mended. What is of interest is what becomes of the requests meanwhile,
 * and how soon all is as it was before.
 *
 * In a scenario file, section [fault]:
 *   what         stall        every process of the party is stopped (SIGSTOP), then continued
 *                lose         killed (SIGKILL), then started again at the same address
 *                descriptors  it may open no more of them (RLIMIT_NOFILE), then as many as before. A target
 *                             has the limit from its start, since many read or raise it there: it
 *                             is for the load's stages to make the fault
 *                overload     nothing: the load itself is the fault, by its stages
 *   party        postgres, memcached, or target (not with lose: a target that has gone ends its race)
 *   from, to     when, in percent of the load's length, so that -d scales it with the load
 *   descriptors  the limit of each process */
#ifndef LAB_FAULT_H
#define LAB_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "cli/cli.h"
#include "lab/services.h"
#include "load/load.h"
#include "report/result.h"

enum fault_what { FAULT_NONE, FAULT_STALL, FAULT_LOSE, FAULT_DESCRIPTORS, FAULT_OVERLOAD };
enum fault_party { FAULT_TARGET, FAULT_POSTGRES, FAULT_MEMCACHED };

struct fault_plan {
    int what, party;
    double from_pct, to_pct; /* 0 <= from < to <= 100 */
    uint32_t descriptors;
};

extern const struct option_row fault_options[]; /* of a struct fault_plan */

enum { FAULT_TEXT_BYTES = 48 };

/* "memcached limited to 64 descriptors"; returns `text`. */
const char *fault_text(const struct fault_plan *p, char text[FAULT_TEXT_BYTES]);

/* Whether the keys fit together. EXIT_USAGE. */
bool fault_plan_check(const struct fault_plan *p, struct fail *f) MUST_USE;

/* Whether it does something to the target, which then is to be a process of its own. */
bool fault_hits_target(const struct fault_plan *p);

/* The limit that the target is to be started with; 0: none. */
uint32_t fault_descriptors(const struct fault_plan *p);

/* Whether it can be made where the run has these services of its own. EXIT_USAGE. */
bool fault_fits(const struct fault_plan *p, bool has_postgres, bool has_memcached,
                struct fail *f) MUST_USE;

/* One that is due, goes on, or is over. Zeroed: there is none. All calls by one thread. */
struct fault {
    const struct fault_plan *plan;
    struct services *services;
    pid_t target;
    uint64_t start_ns;   /* of the load */
    uint64_t due_ns[2];  /* when it is to begin and to end */
    uint64_t done_ns[2]; /* when it had begun and had ended; 0: not yet */
    bool is_ordered;     /* of the keeper of services, which has not answered yet */
};

/* The load begins now and will last for `window_ns` (UINT64_MAX: nobody knows, EXIT_USAGE). `plan` and
 * `services`, which must fit, must outlive it; `target` is the root of its process tree, 0: unknown
 * (EXIT_USAGE if that is hit). */
bool fault_begin(struct fault *x, const struct fault_plan *plan, struct services *services,
                 pid_t target, uint64_t window_ns, struct fail *f) MUST_USE;

/* To be called often: makes it and mends it when that is due. Does not block. False: it could not be
 * made or mended. */
bool fault_turn(struct fault *x, struct fail *f) MUST_USE;

/* The load has ended: mends what is not mended yet; blocks until that is done. */
bool fault_end(struct fault *x, struct fail *f) MUST_USE;

/* Up to when what was put into the cache is lost by it (clock_ns()); 0: nothing is. */
uint64_t fault_forgets_ns(const struct fault *x);

/* What is to be said of it beside the result. False: there was none, or it had not begun. */
bool fault_judge(const struct fault *x, const struct load_result *r, struct result_fault *to);

#endif
