/* One of several clients that load a target together as one client would: each takes its part of the
 * schedule, of the connections, the clients and the requests, and all begin at one agreed time. What
 * they measured is put together by `iubench merge`. */
#ifndef LOAD_SHARD_H
#define LOAD_SHARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fail.h"

#define SHARDS_MAX 10000

struct shard {
    uint32_t index, count; /* index from 0; a client alone is 0 of 1 */
    bool is_given;         /* by --shard or --start-at */
    int64_t start_at_us;   /* wall clock; 0: as soon as its connections are open */
};

/* `share` is "0/4" or NULL; `start_at` a time as clock_parse() reads it, "+5s" from now, or NULL. A
 * time that is past, or more than a day away, is refused. */
bool shard_parse(const char *share, const char *start_at, struct shard *s, struct fail *f) MUST_USE;

/* The clock_ns() at which the wall clock will show s->start_at_us, asked once. False, with EXIT_FAILED,
 * if that was more than SHARD_LATE_MAX_NS ago: its first requests would come in a crowd. */
#define SHARD_LATE_MAX_NS (50 * NS_PER_MS)
bool shard_start_ns(const struct shard *s, uint64_t *start_ns, struct fail *f) MUST_USE;

/* Part `index` of `parts` of a number; the remainder goes to the first ones. */
static inline uint64_t shard_part(uint64_t all, uint32_t parts, uint32_t index)
{
    return all / parts + (index < all % parts);
}

/* How many of the indices 0 to `due` - 1 of the whole schedule are this shard's: those that are
 * `index` modulo `count`. */
static inline uint64_t shard_due(const struct shard *s, uint64_t due)
{
    return shard_part(due, s->count, s->index);
}

/* Index `i` of the shard in the whole schedule. */
static inline uint64_t shard_index(const struct shard *s, uint64_t i)
{
    return s->index + i * s->count;
}

#endif
