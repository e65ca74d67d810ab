/* What store adapters share: inserts in a queue, begun and answered with their counting, and
 * answers that may not be given at once. */
#ifndef STORAGE_INSERTS_H
#define STORAGE_INSERTS_H

#include "storage/store.h"

struct insert_queue {
    struct store_insert *first, *last;
    uint32_t count;
};

/* Answers put off to the loop's next turn: store_insert() may not call `done`, and a hook that runs
 * right before the loop waits must not make work that would then lie until it wakes. */
struct inserts_later {
    struct task task;
    struct insert_queue queue;
    struct store *store;
};

/* At the end of the queue; from its begin, NULL when it is empty. */
void inserts_push(struct insert_queue *q, struct store_insert *i);
struct store_insert *inserts_pop(struct insert_queue *q);

/* Puts all of `more`, which is empty then, before what is in the queue. */
void inserts_prepend(struct insert_queue *q, struct insert_queue *more);

/* Counts it as begun, now; counts it as ended and calls its `done`. */
void inserts_begin(struct store *s, struct store_insert *i);
void inserts_answer(struct store *s, struct store_insert *i, enum store_outcome outcome);

/* Answers in the next turn: one, or the whole queue, which is empty then. */
void inserts_later_init(struct inserts_later *l, struct store *s);
void inserts_answer_later(struct inserts_later *l, struct store_insert *i,
                          enum store_outcome outcome);
void inserts_answer_all_later(struct inserts_later *l, struct insert_queue *q,
                              enum store_outcome outcome);
/* When its owner closes: gives the answers that are left now. */
void inserts_later_finish(struct inserts_later *l);

#endif
