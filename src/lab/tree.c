/* A reading goes from parents to children, so that a parent's cutime is never newer than the last
 * reading of a child that is still there. For every process known then holds: own time, that of the
 * children it has waited for, and that of children which were seen but are gone and not yet in its
 * cutime (they are, at the next reading, unless it ignores SIGCHLD). The sum over all never goes
 * down, and counts nothing twice. */
#include "lab/tree.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

struct member {
    pid_t pid, parent;
    uint64_t start_ticks;
    uint64_t own_ns;      /* its threads', those that ended included */
    uint64_t children_ns; /* waited for */
    uint64_t taken_ns;    /* of that, since the last reading */
    uint64_t pending_ns;  /* children gone, not yet in children_ns */
    struct proc_threads threads;
    bool is_there;
};

struct tree {
    const char *root;
    struct member *members;
    unsigned count, room;
    uint64_t lost_ns; /* of those whose parent will not take it over */
    struct proc_use use;
};

struct tree *tree_new(const char *root, unsigned core_count)
{
    struct tree *t = mem_need(1, sizeof *t);
    t->root = root;
    proc_use_open(&t->use, core_count);
    return t;
}

void tree_free(struct tree *t)
{
    for (unsigned i = 0; i < t->count; i++)
        proc_threads_free(&t->members[i].threads);
    free(t->members);
    proc_use_close(&t->use);
    free(t);
}

static struct member *find_member(const struct tree *t, pid_t pid)
{
    for (unsigned i = 0; i < t->count; i++)
        if (t->members[i].pid == pid && t->members[i].is_there)
            return &t->members[i];
    return NULL;
}

void tree_add(struct tree *t, pid_t pid)
{
    struct proc_stat stat;
    if (find_member(t, pid) || !proc_stat_read(t->root, pid, &stat))
        return;
    if (t->count == t->room) {
        t->room = t->room ? 2 * t->room : 16;
        t->members = realloc(t->members, t->room * sizeof *t->members);
        CHECK(t->members);
    }
    t->members[t->count++] = (struct member){
        .pid = pid, .parent = stat.parent, .start_ticks = stat.start_ticks, .is_there = true};
}

/* --- descendants --- */

/* "12 34 " of each thread. False: this kernel does not list children. */
static bool add_listed_children(struct tree *t, unsigned parent)
{
    char path[PROC_PATH_BYTES + 64], folder[PROC_PATH_BYTES], text[16384];
    proc_folder(t->root, t->members[parent].pid, folder);
    bool is_listed = false;
    for (unsigned i = 0; i < t->members[parent].threads.count; i++) {
        snprintf(path, sizeof path, "%stask/%d/children", folder,
                 (int)t->members[parent].threads.items[i].tid);
        is_listed |= access(path, F_OK) == 0;
        if (!proc_read(path, text, sizeof text))
            continue;
        for (char *at = text, *end; *at; at = end) {
            pid_t pid = (pid_t)strtol(at, &end, 10);
            if (end == at || *end != ' ')
                break; /* the end, or a number that is cut there */
            tree_add(t, pid);
        }
    }
    return is_listed;
}

/* Every process whose parent is known. */
static void add_found_children(struct tree *t)
{
    char path[PROC_PATH_BYTES];
    snprintf(path, sizeof path, "%s/proc", t->root);
    DIR *all = opendir(path);
    for (struct dirent *entry; all && (entry = readdir(all));) {
        struct proc_stat stat;
        pid_t pid;
        if (proc_number(entry->d_name, &pid) && !find_member(t, pid) &&
            proc_stat_read(t->root, pid, &stat) && find_member(t, stat.parent))
            tree_add(t, pid);
    }
    if (all)
        closedir(all);
}

/* --- a reading --- */

/* The scheduler's time of threads is finer, that of the process knows those that came and went. */
static void take_own(struct member *m, uint64_t by_ticks_ns)
{
    uint64_t by_threads_ns = m->threads.ended_ns;
    for (unsigned i = 0; i < m->threads.count; i++)
        by_threads_ns += m->threads.items[i].cpu_ns;
    if (by_threads_ns > m->own_ns)
        m->own_ns = by_threads_ns;
    if (by_ticks_ns > m->own_ns)
        m->own_ns = by_ticks_ns;
}

static void read_member(struct tree *t, struct member *m)
{
    struct proc_stat stat;
    m->is_there = proc_stat_read(t->root, m->pid, &stat) && stat.start_ticks == m->start_ticks &&
                  proc_threads_read(t->root, m->pid, &m->threads);
    if (!m->is_there)
        return;
    m->parent = stat.parent;
    m->taken_ns = stat.children_cpu_ns > m->children_ns ? stat.children_cpu_ns - m->children_ns : 0;
    m->children_ns += m->taken_ns;
    take_own(m, stat.cpu_ns);
    t->use.processes++;
    for (unsigned i = 0; i < m->threads.count; i++)
        proc_use_add(&t->use, &m->threads.items[i]);
}

/* Of a whole family that is gone the last to end was waited for with all that it had waited for. */
static void drop_member(struct tree *t, struct member *m)
{
    uint64_t *to = &t->lost_ns;
    for (unsigned i = 0; i < t->count; i++)
        if (t->members[i].pid == m->parent)
            to = &t->members[i].pending_ns;
    *to += m->own_ns + m->children_ns + m->pending_ns;
    proc_threads_free(&m->threads);
}

/* Children stand behind their parents. */
static void drop_ended(struct tree *t)
{
    unsigned kept = 0;
    for (unsigned i = t->count; i-- > 0;)
        if (!t->members[i].is_there)
            drop_member(t, &t->members[i]);
    for (unsigned i = 0; i < t->count; i++)
        if (t->members[i].is_there)
            t->members[kept++] = t->members[i];
    t->count = kept;
}

static void sum_up(struct tree *t)
{
    t->use.cpu_ns = t->lost_ns;
    for (unsigned i = 0; i < t->count; i++) {
        struct member *m = &t->members[i];
        m->pending_ns -= m->taken_ns < m->pending_ns ? m->taken_ns : m->pending_ns;
        t->use.cpu_ns += m->own_ns + m->children_ns + m->pending_ns;
    }
}

const struct proc_use *tree_read(struct tree *t)
{
    bool is_listed = true;
    t->use.processes = t->use.threads = 0;
    for (unsigned i = 0; i < t->count; i++) { /* children are added behind */
        read_member(t, &t->members[i]);
        if (is_listed && t->members[i].is_there)
            is_listed = add_listed_children(t, i);
        if (!is_listed && i + 1 == t->count)
            add_found_children(t);
    }
    drop_ended(t);
    sum_up(t);
    return &t->use;
}

static double sum(const struct tree *t, double (*of)(const char *root, pid_t pid))
{
    double total = NAN;
    for (unsigned i = 0; i < t->count; i++) {
        double one = of(t->root, t->members[i].pid);
        if (isfinite(one))
            total = isfinite(total) ? total + one : one;
    }
    return total;
}

double tree_rss_bytes(const struct tree *t)
{
    return sum(t, proc_rss_bytes);
}

double tree_pss_bytes(const struct tree *t)
{
    return sum(t, proc_pss_bytes);
}

double tree_fds(const struct tree *t)
{
    return sum(t, proc_fds);
}

/* --- all of it, at once --- */

unsigned tree_each(pid_t pid, void (*act)(pid_t pid, void *arg), void *arg)
{
    struct tree *t = tree_new("", 1);
    tree_add(t, pid);
    tree_read(t);
    unsigned count = t->count;
    for (unsigned i = 0; i < count; i++)
        act(t->members[i].pid, arg);
    tree_free(t);
    return count;
}

static void send_to(pid_t pid, void *signal)
{
    kill(pid, *(const int *)signal);
}

/* Stopped until no more are found: who is stopped forks no more. */
static void stop_all(pid_t pid)
{
    int stop = SIGSTOP;
    unsigned before = 0;
    for (unsigned count; (count = tree_each(pid, send_to, &stop)) != before;)
        before = count;
}

void tree_signal(pid_t pid, int signal)
{
    if (signal != SIGCONT)
        stop_all(pid);
    if (signal != SIGSTOP)
        tree_each(pid, send_to, &signal);
}
