/* What adapters count, in one place so that the sums of struct store_counters always hold: a
 * request is begun once and ended once. Written on the loop's thread, readable by any. */
#ifndef STORAGE_LEDGER_H
#define STORAGE_LEDGER_H

#include "storage/store.h"

/* No counts yet; `pool` connections are meant to be open. */
void ledger_open(struct store_counters *c, uint32_t pool);
void ledger_close(struct store_counters *c);

/* One request begins; one ends, `latency_ns` after it began. */
void ledger_begin(struct store_counters *c);
void ledger_end(struct store_counters *c, enum store_outcome outcome, uint64_t latency_ns);

/* A connection came up (+1) or was lost (-1); one that had been lost came back. */
void ledger_connections(struct store_counters *c, int change);
void ledger_reconnected(struct store_counters *c);

/* Requests were given to a connection of the pool (+), or are no longer its own (-). */
void ledger_given(struct store_counters *c, unsigned connection, int change);

#endif
