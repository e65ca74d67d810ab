/* What a target that is another process does in its storage, second by second: latencies and errors as
 * its own /metrics has them (lab/exposition.h), its connections as PostgreSQL counts them. A thread of
 * its own asks both once a second, a little before the second's row is made; a target that is too busy
 * to answer leaves the row without.
 *
 * The page is asked for over a few connections that stay open, since of a service in several processes
 * each answers for itself: what they say together stands for all. A page costs the target 0.2 ms of
 * CPU time in Go and 3 ms in Python (measured on the development machine), as it cost the published
 * ones whenever Prometheus asked.
 */
#ifndef LAB_STORAGE_WATCH_H
#define LAB_STORAGE_WATCH_H

#include <sched.h>

#include "base/fail.h"
#include "load/load.h"
#include "storage/storage.h"

struct storage_watch_config {
    const char *address; /* ADDR:PORT or unix:PATH of the target; NULL: nothing is watched */
    const struct storage
        *tables; /* where it stores; NULL: its connections are not known. Borrowed */
};

struct storage_watch;

/* Starts the thread, off the cores that are `busy` as far as there are others. */
struct storage_watch *storage_watch_start(const struct storage_watch_config *config,
                                          const cpu_set_t *const busy[3], struct fail *f) MUST_USE;

/* The load begins: what was before is in no row. Harmless with NULL, as all that follows. */
void storage_watch_begin(struct storage_watch *w);

/* Fills the storage columns of a row with what was learnt since the last one. */
void storage_watch_fill(struct storage_watch *w, struct load_second *row);

/* Ends the thread; waits for a question under way, some seconds at most. */
void storage_watch_stop(struct storage_watch *w);

#endif
