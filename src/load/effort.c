/* Marks are kept, not differences: any two of them make a part of the run. */
#include "load/effort.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

void effort_mark(struct effort *e, const struct generator *generators, unsigned count)
{
    if (e->mark_count == e->mark_room) {
        e->mark_room = e->mark_room ? e->mark_room * 2 : 64;
        e->marks = realloc(e->marks, e->mark_room * sizeof *e->marks);
        CHECK(e->marks);
    }
    e->thread_count = count;
    struct effort_mark *mark = &e->marks[e->mark_count++];
    mark->at_ns = clock_ns();
    mark->threads = mem_need(count, sizeof *mark->threads);
    for (unsigned i = 0; i < count; i++)
        mark->threads[i] = worker_time(&generators[i].worker);
}

static double percent(uint64_t before_ns, uint64_t after_ns, double length_ns)
{
    return after_ns > before_ns ? 100.0 * (double)(after_ns - before_ns) / length_ns : 0;
}

static struct effort_share share(const struct effort *e, unsigned from, unsigned to)
{
    const struct effort_mark *a = &e->marks[from], *b = &e->marks[to];
    double length_ns = fmax(1, (double)(b->at_ns - a->at_ns));
    struct effort_share s = {0};
    for (unsigned i = 0; i < e->thread_count; i++) {
        double cpu_pct = percent(a->threads[i].cpu_ns, b->threads[i].cpu_ns, length_ns);
        double starved_pct = percent(a->threads[i].starved_ns, b->threads[i].starved_ns, length_ns);
        s.cpu_pct += cpu_pct;
        if (cpu_pct + starved_pct < s.worst_cpu_pct + s.worst_starved_pct)
            continue;
        s.worst_cpu_pct = cpu_pct;
        s.worst_starved_pct = starved_pct;
    }
    return s;
}

static unsigned nearest(const struct effort *e, uint64_t at_ns)
{
    unsigned i = 0;
    while (i + 1 < e->mark_count && e->marks[i + 1].at_ns <= at_ns)
        i++;
    bool is_next_nearer = i + 1 < e->mark_count && at_ns > e->marks[i].at_ns &&
                          e->marks[i + 1].at_ns - at_ns < at_ns - e->marks[i].at_ns;
    return i + is_next_nearer;
}

struct effort_share effort_between(const struct effort *e, uint64_t begin_ns, uint64_t end_ns)
{
    unsigned from = nearest(e, begin_ns), to = nearest(e, end_ns);
    if (from + 1 >= e->mark_count)
        from = e->mark_count - 2;
    return share(e, from, to > from ? to : from + 1);
}

void effort_free(struct effort *e)
{
    for (unsigned i = 0; i < e->mark_count; i++)
        free(e->marks[i].threads);
    free(e->marks);
    *e = (struct effort){0};
}
