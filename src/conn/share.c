/* A list under a lock, taken once per connection accepted. What was given counts for its taker at once,
 * so that a crowd that comes at the same moment is spread as well. */
#include "conn/share.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "metrics/counter.h"

struct share {
    pthread_mutex_t lock;
    struct share_member *members;
};

struct gift {
    struct task task;
    struct share_member *to;
    int fd;
};

struct share *share_new(void)
{
    struct share *s = calloc(1, sizeof *s);
    if (s)
        pthread_mutex_init(&s->lock, NULL);
    return s;
}

void share_free(struct share *s)
{
    CHECK(!s->members);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void share_join(struct share *s, struct share_member *m)
{
    pthread_mutex_lock(&s->lock);
    m->next = s->members;
    s->members = m;
    pthread_mutex_unlock(&s->lock);
}

void share_leave(struct share *s, struct share_member *m)
{
    pthread_mutex_lock(&s->lock);
    for (struct share_member **at = &s->members; *at; at = &(*at)->next) {
        if (*at != m)
            continue;
        *at = m->next;
        break;
    }
    pthread_mutex_unlock(&s->lock);
}

static uint32_t load_of(struct share_member *m)
{
    return gauge_read(m->open) + atomic_load_explicit(&m->arriving, memory_order_relaxed);
}

static void gift_arrived(struct task *t)
{
    struct gift g = *(struct gift *)((char *)t - offsetof(struct gift, task));
    free((char *)t - offsetof(struct gift, task));
    atomic_fetch_sub_explicit(&g.to->arriving, 1, memory_order_relaxed);
    g.to->take(g.to, g.fd);
}

static bool gift_send(struct share_member *to, int fd)
{
    struct gift *g = malloc(sizeof *g);
    if (!g)
        return false;
    *g = (struct gift){.task.run = gift_arrived, .to = to, .fd = fd};
    atomic_fetch_add_explicit(&to->arriving, 1, memory_order_relaxed);
    loop_post(to->loop, &g->task);
    return true;
}

bool share_give(struct share *s, struct share_member *m, int fd)
{
    uint32_t least = load_of(m);
    struct share_member *to = NULL;
    pthread_mutex_lock(&s->lock);
    for (struct share_member *i = s->members; i; i = i->next) {
        uint32_t load = load_of(i);
        if (load + 1 < least || (to && load < least)) {
            least = load;
            to = i;
        }
    }
    bool is_given = to && gift_send(to, fd);
    pthread_mutex_unlock(&s->lock);
    return is_given;
}
