/* Counters that one thread writes and any thread reads, without locks: each access is one relaxed
 * atomic, which on the writer's side is a plain add. */
#ifndef METRICS_COUNTER_H
#define METRICS_COUNTER_H

#include <stdint.h>

static inline void counter_add(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* The same for a number that also goes down. */
static inline void gauge_add(uint32_t *gauge, int32_t change)
{
    __atomic_store_n(gauge, *gauge + (uint32_t)change, __ATOMIC_RELAXED);
}

static inline uint64_t counter_read(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static inline uint32_t gauge_read(const uint32_t *gauge)
{
    return __atomic_load_n(gauge, __ATOMIC_RELAXED);
}

#endif
