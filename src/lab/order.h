/* In which order contestants race when each races several times. */
#ifndef LAB_ORDER_H
#define LAB_ORDER_H

#include <stdint.h>

/* Fills `order` with repeats * count indices below `count`: one order drawn by `seed`, then the same
 * backwards, and so on (A B, B A, A B, ...), so that what changes slowly with time meets all of them
 * alike. Pure. */
void order_make(unsigned count, unsigned repeats, uint64_t seed, unsigned *order);

#endif
