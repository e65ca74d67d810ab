/* A run as others watch it while it goes on: a thread of its own that serves the dashboard (the page
 * of report/page.h, and its events) and Prometheus.
 *
 *   GET /             the page
 *   GET /events       text/event-stream: `start` with the document so far, then `target`, `second`,
 *                     and `end` with the final document
 *   GET /result.json  the document so far
 *   GET /metrics      the load in Prometheus' text format; also on --metrics ADDR, alone
 *   GET /healthz      OK
 *
 * The thread that collects a load's rows hands them over as text and never waits; nobody who watches
 * can slow a run down. At most LIVE_VIEWERS_MAX streams are open at a time, one more gets 503; one
 * whose client does not read is cut. All functions are for that one thread, and none of them minds a
 * NULL. */
#ifndef LIVE_LIVE_H
#define LIVE_LIVE_H

#include <sched.h>

#include "load/load.h"
#include "report/result.h"

#define LIVE_VIEWERS_MAX 32
#define LIVE_ADDRESS     "127.0.0.1:8081" /* of --dashboard without a value */

struct live;

/* Listens where --dashboard and --metrics of `config` say; *live is NULL if neither is wanted. An
 * address that was given and is taken is a failure; for the usual one a free port steps in. What
 * connects is answered once live_start() was called. */
bool live_open(const struct load_config *config, struct live **live, struct fail *f) MUST_USE;

/* Starts the thread, on a CPU that is in neither set if there is one, else on one that is not the
 * client's; an empty set is a party that is not pinned. `known`: see result_head_json(). */
bool live_start(struct live *l, const struct result *known, const cpu_set_t *client,
                const cpu_set_t *others, struct fail *f) MUST_USE;

/* Where the dashboard is, "http://127.0.0.1:8081/"; NULL if it is not wanted. */
const char *live_url(const struct live *l);

/* From now on rows are those of this contestant, of which name and repeat are told. */
void live_target(struct live *l, const struct result_target *who, const struct load_plan *plan);

/* A row, complete; within load_watch.second(). Where the runs of a search follow one another their
 * seconds are counted on. */
void live_second(struct live *l, const struct load_second *row);

/* Sends the final document, waits up to a second until everyone has it, ends the thread and frees.
 * NULL: there is none, streams are cut. */
void live_end(struct live *l, const struct result *r);

#endif
