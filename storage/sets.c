/* One intrusive list per state that a set can be in; it is in one at a time. */
#include "storage/sets.h"

#include "storage/ledger.h"

void sets_push(struct set_queue *q, struct cache_set *s)
{
    s->next = NULL;
    if (q->last)
        q->last->next = s;
    else
        q->first = s;
    q->last = s;
    q->count++;
}

struct cache_set *sets_pop(struct set_queue *q)
{
    struct cache_set *s = q->first;
    if (!s)
        return NULL;
    q->first = s->next;
    if (!q->first)
        q->last = NULL;
    q->count--;
    return s;
}

void sets_begin(struct cache *c, struct cache_set *s)
{
    s->begun_ns = c->loop->now_ns;
    ledger_begin(&c->counters);
}

void sets_answer(struct cache *c, struct cache_set *s, enum store_outcome outcome)
{
    ledger_end(&c->counters, outcome, c->loop->now_ns - s->begun_ns);
    s->done(s, outcome);
}

static void give_answers(struct task *t)
{
    struct sets_later *l = (struct sets_later *)((char *)t - offsetof(struct sets_later, task));
    for (uint32_t left = l->queue.count; left; left--) {
        struct cache_set *s = sets_pop(&l->queue);
        sets_answer(l->cache, s, s->outcome);
    }
}

void sets_later_init(struct sets_later *l, struct cache *c)
{
    *l = (struct sets_later){.task.run = give_answers, .cache = c};
}

void sets_answer_later(struct sets_later *l, struct cache_set *s, enum store_outcome outcome)
{
    s->outcome = outcome;
    sets_push(&l->queue, s);
    loop_defer(l->cache->loop, &l->task);
}

void sets_answer_all_later(struct sets_later *l, struct set_queue *q, enum store_outcome outcome)
{
    struct cache_set *s;
    while ((s = sets_pop(q)))
        sets_answer_later(l, s, outcome);
}

void sets_later_finish(struct sets_later *l)
{
    give_answers(&l->task);
}
