/* What cache adapters share: sets in a queue, begun and answered with their counting, and answers
 * that may not be given at once. The twin of storage/inserts.h, where the reasons stand. */
#ifndef STORAGE_SETS_H
#define STORAGE_SETS_H

#include "storage/cache.h"

struct set_queue {
    struct cache_set *first, *last;
    uint32_t count;
};

struct sets_later {
    struct task task;
    struct set_queue queue;
    struct cache *cache;
};

/* At the end of the queue; from its begin, NULL when it is empty. */
void sets_push(struct set_queue *q, struct cache_set *s);
struct cache_set *sets_pop(struct set_queue *q);

/* Counts it as begun, now; counts it as ended and calls its `done`. */
void sets_begin(struct cache *c, struct cache_set *s);
void sets_answer(struct cache *c, struct cache_set *s, enum store_outcome outcome);

/* Answers in the next turn: one, or the whole queue, which is empty then. */
void sets_later_init(struct sets_later *l, struct cache *c);
void sets_answer_later(struct sets_later *l, struct cache_set *s, enum store_outcome outcome);
void sets_answer_all_later(struct sets_later *l, struct set_queue *q, enum store_outcome outcome);
/* When its owner closes: gives the answers that are left now. */
void sets_later_finish(struct sets_later *l);

#endif
