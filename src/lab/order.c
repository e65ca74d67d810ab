#include "lab/order.h"

#include "base/rng.h"

/* Fisher and Yates. */
static void shuffle(unsigned *items, unsigned count, uint64_t seed)
{
    struct rng rng;
    rng_seed(&rng, seed);
    for (unsigned i = count; i > 1; i--) {
        unsigned other = (unsigned)rng_below(&rng, i), kept = items[i - 1];
        items[i - 1] = items[other];
        items[other] = kept;
    }
}

void order_make(unsigned count, unsigned repeats, uint64_t seed, unsigned *order)
{
    for (unsigned i = 0; i < count; i++)
        order[i] = i;
    shuffle(order, count, seed);
    for (unsigned r = 1; r < repeats; r++)
        for (unsigned i = 0; i < count; i++)
            order[r * count + i] = order[(r - 1) * count + count - 1 - i];
}
