/* One intrusive list per state that an insert can be in; it is in one at a time. */
#include "storage/inserts.h"

#include "storage/ledger.h"

void inserts_push(struct insert_queue *q, struct store_insert *i)
{
    i->next = NULL;
    if (q->last)
        q->last->next = i;
    else
        q->first = i;
    q->last = i;
    q->count++;
}

struct store_insert *inserts_pop(struct insert_queue *q)
{
    struct store_insert *i = q->first;
    if (!i)
        return NULL;
    q->first = i->next;
    if (!q->first)
        q->last = NULL;
    q->count--;
    return i;
}

void inserts_prepend(struct insert_queue *q, struct insert_queue *more)
{
    if (!more->first)
        return;
    more->last->next = q->first;
    q->first = more->first;
    if (!q->last)
        q->last = more->last;
    q->count += more->count;
    *more = (struct insert_queue){0};
}

void inserts_begin(struct store *s, struct store_insert *i)
{
    i->begun_ns = s->loop->now_ns;
    i->loop = s->loop;
    ledger_begin(&s->counters);
}

void inserts_answer(struct store *s, struct store_insert *i, enum store_outcome outcome)
{
    ledger_end(&s->counters, outcome, s->loop->now_ns - i->begun_ns);
    i->done(i, outcome);
}

static void give_answers(struct task *t)
{
    struct inserts_later *l = (struct inserts_later *)((char *)t -
                                                       offsetof(struct inserts_later, task));
    /* Only what is there now: an owner may answer a refusal with the next insert, for ever. */
    for (uint32_t left = l->queue.count; left; left--) {
        struct store_insert *i = inserts_pop(&l->queue);
        inserts_answer(l->store, i, i->outcome);
    }
}

void inserts_later_init(struct inserts_later *l, struct store *s)
{
    *l = (struct inserts_later){.task.run = give_answers, .store = s};
}

void inserts_answer_later(struct inserts_later *l, struct store_insert *i,
                          enum store_outcome outcome)
{
    i->outcome = outcome;
    inserts_push(&l->queue, i);
    loop_defer(l->store->loop, &l->task);
}

void inserts_answer_all_later(struct inserts_later *l, struct insert_queue *q,
                              enum store_outcome outcome)
{
    struct store_insert *i;
    while ((i = inserts_pop(q)))
        inserts_answer_later(l, i, outcome);
}

void inserts_later_finish(struct inserts_later *l)
{
    give_answers(&l->task);
}
