/* What all contestants of a run share: the cores, the services with their tables, the upstream, and
 * the warden that starts them. */
#ifndef LAB_STAGE_H
#define LAB_STAGE_H

#include <stdbool.h>

#include "base/cpus.h"
#include "lab/contestant.h"
#include "lab/entrant.h"
#include "lab/pinning.h"
#include "lab/run.h"
#include "lab/services.h"
#include "storage/audit.h"

enum { STAGE_FOLDER_BYTES = 480 };

struct stage {
    const struct scenario *scenario;
    const struct run_config *config;
    struct pinning pinning;
    char cores[3][CPUS_TEXT_BYTES]; /* target, client, upstream; "" unpinned */
    enum run_services services_mode;
    bool has_services;
    struct services services;
    struct storage *tables; /* managed PostgreSQL of which the table is made here; else NULL */
    struct audit *audit;    /* of them */
    struct upstream *upstream;
    char upstream_url[ADDRESS_TEXT_BYTES + 32];
    struct contestants *contestants; /* NULL: none is started by a file */
    char folder[STAGE_FOLDER_BYTES]; /* of the results; exists when there are contestants */
    bool is_interrupted;
};

/* Sets all of it up for these entrants, in the order above. Must be called before other threads are
 * started; stage_close() in any case. */
bool stage_open(struct stage *s, const struct scenario *scenario, const struct run_config *config,
                const struct entrant *entrants, unsigned count, struct fail *f) MUST_USE;

/* Empties table and cache, so that each race begins alike; services that are not ours stay as they
 * are. */
bool stage_clear(struct stage *s, struct fail *f) MUST_USE;

/* What stands in the place of {pg_uri} and so on. */
struct target_places stage_places(const struct stage *s);

/* Our own target, with the services and the upstream of this run. */
struct target_config stage_own_target(const struct stage *s);

/* Whether the user wants to stop; `s` is a struct stage. */
bool stage_should_stop(void *s);

/* "managed", "external", "embedded", "none". */
const char *stage_services_text(const struct stage *s);

void stage_close(struct stage *s);

/* Makes the folder and those above it. */
bool stage_make_folder(const struct stage *s, struct fail *f) MUST_USE;

#endif
