/* Plain increments published by relaxed stores: there is one writer, so nothing is
 * read-modify-write for the processor, and a reader on another thread never sees half a number. */
#include "storage/ledger.h"

#include <stdlib.h>

#include "base/mem.h"
#include "metrics/counter.h"

void ledger_open(struct store_counters *c, uint32_t pool)
{
    *c = (struct store_counters){
        .pool = pool,
        .by_connection = mem_need(pool, sizeof *c->by_connection),
        .latency = hist_new(),
    };
}

void ledger_close(struct store_counters *c)
{
    free(c->latency);
    free(c->by_connection);
    c->latency = NULL;
    c->by_connection = NULL;
}

void ledger_begin(struct store_counters *c)
{
    counter_add(&c->inserts, 1);
    counter_add(&c->in_flight, 1);
}

void ledger_end(struct store_counters *c, enum store_outcome outcome, uint64_t latency_ns)
{
    CHECK(outcome < STORE_OUTCOMES && c->in_flight > 0);
    counter_add(&c->in_flight, (uint64_t)-1);
    counter_add(&c->outcomes[outcome], 1);
    if (outcome == STORE_DONE)
        hist_record(c->latency, latency_ns);
}

void ledger_connections(struct store_counters *c, int change)
{
    gauge_add(&c->connections, change);
}

void ledger_given(struct store_counters *c, unsigned connection, int change)
{
    CHECK(connection < c->pool && (int64_t)c->by_connection[connection] + change >= 0);
    gauge_add(&c->by_connection[connection], change);
}

void ledger_reconnected(struct store_counters *c)
{
    counter_add(&c->reconnects, 1);
}
