/* What all contestants of a run share: the cores, the services with their tables, the upstream, and
 * the warden that starts them. */
#ifndef LAB_VENUE_H
#define LAB_VENUE_H

#include <stdbool.h>

#include "base/cpus.h"
#include "lab/contestant.h"
#include "lab/entrant.h"
#include "lab/folder.h"
#include "lab/limits.h"
#include "lab/pinning.h"
#include "lab/run.h"
#include "lab/services.h"
#include "lab/shape.h"
#include "live/live.h"
#include "net/sock.h"
#include "storage/audit.h"

struct venue {
    const struct scenario *scenario;
    const struct run_config *config;
    struct pinning pinning;
    char cores[3][CPUS_TEXT_BYTES]; /* target, client, upstream; "" unpinned */
    enum run_services services_mode;
    bool has_services;
    struct services services;
    struct storage *tables; /* managed PostgreSQL of which the table is made here; else NULL */
    struct upstream *upstream;
    char upstream_url[ADDRESS_TEXT_BYTES + 32];
    struct contestants *contestants; /* NULL: none is started by a file */
    char folder[FOLDER_BYTES];       /* of the results; exists while the venue is open */
    bool is_folder_new;              /* made for this run */
    bool is_comparison;              /* of several entrants */
    struct shape shape;
    struct limits limits;                      /* the group for it */
    struct limits pg_limits, memcached_limits; /* for the services, if the shape has some */
    struct live *live;                         /* the run's; NULL: nobody watches */
    bool is_interrupted;
};

/* Sets all of it up for these entrants, in the order above. Must be called before other threads are
 * started; venue_close() in any case. */
bool venue_open(struct venue *s, const struct scenario *scenario, const struct run_config *config,
                const struct entrant *entrants, unsigned count, struct fail *f) MUST_USE;

/* Empties table and cache, so that each race begins alike; services that are not ours stay as they
 * are. */
bool venue_clear(struct venue *s, struct fail *f) MUST_USE;

/* What stands in the place of {pg_uri} and so on. */
struct target_places venue_places(const struct venue *s);

/* Whether our own target is to be a process of its own: it is to be limited, or hit by a fault, or
 * compared with others, whose memory is theirs alone as well. */
bool venue_parts_with_own(const struct venue *s);

/* Our own target, with the services and the upstream of this run. */
struct target_config venue_own_target(const struct venue *s);

/* Whether the user wants to stop; `s` is a struct venue. */
bool venue_should_stop(void *s);

/* "managed", "external", "embedded", "none". */
const char *venue_services_text(const struct venue *s);

void venue_close(struct venue *s);

#endif
