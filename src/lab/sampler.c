/* The thread waits until it is asked for the row or, with a finer interval, until its next reading is
 * due. A reading is added to the second that goes on; asked, it hands that second over and begins
 * another. All that grows is kept as it was at the row's begin, and subtracted. */
#include "lab/sampler.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpus.h"
#include "base/mem.h"
#include "base/cgroup.h"
#include "lab/host.h"
#include "lab/tree.h"

static const uint64_t WAIT_MAX_NS = NS_PER_S / 2; /* for a reading */
enum { PSS_SHARE = 100 };                         /* of the time is spent on PSS at most */

/* Of the readings since the row began. */
struct spread {
    double sum, min, max;
    unsigned count;
};

struct source {
    struct tree *tree;          /* NULL: threads of this process */
    struct proc_use of_threads; /* those */
    const struct proc_use *use; /* either's, as of the last reading */
    bool is_there;              /* then */
    uint64_t read_ns, row_ns;   /* when that was; when it was for the row's begin */
    double rss_bytes, pss_bytes, fds;
    uint64_t cpu_ns;            /* then */
    struct proc_use use_at_row; /* when the row began */
    struct cgroup group, group_at_row;
    struct spread cpu_pct, rss;
};

struct sampler {
    struct sampler_config config;
    struct storage_watch *watch; /* NULL: nothing to watch */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t asked, answered;
    /* under the lock */
    bool is_wanted, is_ending;
    struct load_second *answer; /* the lab's columns, while somebody waits for them */
    pid_t joining[PARTY_COUNT]; /* 0: nobody */

    /* the thread's own */
    uint64_t reading_ns; /* when the last one was begun */
    unsigned readings;
    struct proc_threads threads; /* of this process */
    struct source sources[PARTY_COUNT];
    unsigned core_count;
    struct host_core *cores, *cores_at_row;
    uint64_t pss_due_ns;
    struct hist *store, *cache;         /* since the start, as of the last row */
    struct hist *store_now, *cache_now; /* since the start, as of now */
    uint64_t db_errors, cache_errors;   /* as of the last row */
};

static void *sampler_main(void *arg);
static void read_all(struct sampler *s, uint64_t now_ns);
static void row_fill(struct sampler *s, struct load_second *row);
static void row_begin(struct sampler *s);

bool sampler_find_target(struct sampler_config *config, const struct load_plan *plan,
                         struct fail *f)
{
    struct sampler_trees *trees = &config->trees[PARTY_TARGET];
    struct proc_stat stat;
    pid_t pid = (pid_t)plan->config.pid;
    if (pid && !proc_stat_read("", pid, &stat))
        return fail_set(f, EXIT_USAGE, "--pid %d: there is no such process", (int)pid);
    if (pid)
        *trees = (struct sampler_trees){.pids = {pid}, .count = 1};
    for (int i = 0; i < plan->address_count && !trees->count; i++)
        trees->count = listener_find("", &plan->addresses[i], trees->pids);
    return true;
}

static void find_servers(struct sampler_trees *trees, const struct storage *storage,
                         enum storage_system system)
{
    struct address addresses[LISTENER_PIDS_MAX];
    pid_t pids[LISTENER_PIDS_MAX];
    unsigned count = trees->count
                         ? 0
                         : storage_addresses(storage, system, addresses, LISTENER_PIDS_MAX);
    for (unsigned i = 0; i < count; i++) {
        unsigned found = listener_find("", &addresses[i], pids);
        for (unsigned k = 0; k < found && trees->count < LISTENER_PIDS_MAX; k++)
            trees->pids[trees->count++] = pids[k];
    }
}

void sampler_find_storage(struct sampler_config *config, const struct storage *storage)
{
    if (!storage)
        return;
    find_servers(&config->trees[PARTY_POSTGRES], storage, STORAGE_POSTGRES);
    find_servers(&config->trees[PARTY_MEMCACHED], storage, STORAGE_MEMCACHED);
}

/* --- start and stop --- */

static void open_sources(struct sampler *s)
{
    for (unsigned i = 0; i < PARTY_COUNT; i++) {
        struct source *source = &s->sources[i];
        const struct sampler_trees *trees = &s->config.trees[i];
        proc_use_open(&source->of_threads, s->core_count);
        proc_use_open(&source->use_at_row, s->core_count);
        source->use = &source->of_threads;
        cgroup_read_of("", trees->count ? trees->pids[0] : 0, &source->group);
        if (trees->count)
            source->tree = tree_new("", s->core_count);
        for (unsigned k = 0; k < trees->count; k++)
            tree_add(source->tree, trees->pids[k]);
    }
}

static void sampler_free(struct sampler *s)
{
    storage_watch_stop(s->watch);
    for (unsigned i = 0; i < PARTY_COUNT; i++) {
        struct source *source = &s->sources[i];
        if (source->tree)
            tree_free(source->tree);
        proc_use_close(&source->of_threads);
        proc_use_close(&source->use_at_row);
    }
    proc_threads_free(&s->threads);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->asked);
    pthread_cond_destroy(&s->answered);
    free(s->cores);
    free(s->cores_at_row);
    free(s->store);
    free(s->cache);
    free(s->store_now);
    free(s->cache_now);
    free(s);
}

static bool start_thread(struct sampler *s, struct fail *f)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&s->thread, NULL, sampler_main, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !error || fail_set(f, EXIT_LACKING, "the sampler's thread could not be started: %s",
                              strerror(error));
}

struct sampler *sampler_start(const struct sampler_config *config, struct fail *f)
{
    struct sampler *s = mem_need(1, sizeof *s);
    s->config = *config;
    s->core_count = host_core_count();
    s->cores = mem_need(s->core_count, sizeof *s->cores);
    s->cores_at_row = mem_need(s->core_count, sizeof *s->cores_at_row);
    s->store = hist_new();
    s->cache = hist_new();
    s->store_now = hist_new();
    s->cache_now = hist_new();
    pthread_mutex_init(&s->lock, NULL);
    clock_cond_init(&s->asked);
    clock_cond_init(&s->answered);
    open_sources(s);
    bool is_watched = !config->watched.address ||
                      (s->watch = storage_watch_start(&config->watched, config->busy, f));
    if (is_watched && start_thread(s, f))
        return s;
    sampler_free(s);
    return NULL;
}

void sampler_stop(struct sampler *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->is_ending = true;
    pthread_cond_signal(&s->asked);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    sampler_free(s);
}

/* --- asking --- */

void sampler_follow(struct sampler *s, enum party party, pid_t pid)
{
    pthread_mutex_lock(&s->lock);
    s->joining[party] = pid;
    pthread_mutex_unlock(&s->lock);
}

/* Whoever gives up takes the question back. */
static void ask(struct sampler *s, struct load_second *row)
{
    uint64_t until_ns = clock_ns() + WAIT_MAX_NS;
    pthread_mutex_lock(&s->lock);
    s->is_wanted = true;
    s->answer = row;
    pthread_cond_signal(&s->asked);
    while (s->is_wanted && clock_cond_wait(&s->answered, &s->lock, until_ns))
        ;
    s->is_wanted = false;
    pthread_mutex_unlock(&s->lock);
}

void sampler_fill(struct sampler *s, struct load_second *row)
{
    ask(s, row);
}

void sampler_begin(struct sampler *s)
{
    struct load_second unused = {.usage = NULL};
    ask(s, &unused);
    free(unused.usage);
    storage_watch_begin(s->watch);
}

/* --- the thread --- */

/* Until the next reading is due or somebody asks; true if somebody does. */
static bool wait_turn(struct sampler *s)
{
    uint64_t due_ns = s->reading_ns + s->config.interval_ns;
    bool is_fine = s->config.interval_ns < NS_PER_S;
    while (!s->is_wanted && !s->is_ending) {
        if (!is_fine)
            pthread_cond_wait(&s->asked, &s->lock);
        else if (!clock_cond_wait(&s->asked, &s->lock, due_ns))
            break;
    }
    return s->is_wanted;
}

static void *sampler_main(void *arg)
{
    struct sampler *s = arg;
    pthread_setname_np(pthread_self(), "sampler");
    cpus_keep_off(s->config.busy, sizeof s->config.busy / sizeof *s->config.busy);
    read_all(s, clock_ns());
    row_begin(s);
    pthread_mutex_lock(&s->lock);
    for (;;) {
        bool is_for_row = wait_turn(s);
        if (s->is_ending)
            break;
        pthread_mutex_unlock(&s->lock);
        read_all(s, clock_ns());
        pthread_mutex_lock(&s->lock);
        if (is_for_row && s->is_wanted) {
            row_fill(s, s->answer);
            row_begin(s);
            s->is_wanted = false;
            pthread_cond_signal(&s->answered);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* --- reading --- */

/* A thread's role is its name's; those that the kernel adds to a thread are named by its number. */
static int role_of(const struct sampler *s, pid_t tid)
{
    static const struct {
        const char *prefix;
        enum party party;
    } roles[] = {{"target-", PARTY_TARGET},
                 {"fib", PARTY_TARGET},
                 {"sqlite", PARTY_TARGET},
                 {"load-", PARTY_CLIENT},
                 {"upstream-", PARTY_UPSTREAM}};
    char name[16];
    proc_thread_name("", 0, tid, name);
    for (unsigned i = 0; i < sizeof roles / sizeof *roles; i++)
        if (!strncmp(name, roles[i].prefix, strlen(roles[i].prefix)))
            return (int)roles[i].party;
    pid_t served;
    if (!strncmp(name, "iou-wrk-", 8) && proc_number(name + 8, &served))
        for (unsigned i = 0; i < s->threads.count; i++)
            if (s->threads.items[i].tid == served)
                return s->threads.items[i].group;
    return -1;
}

static void read_threads(struct sampler *s)
{
    for (unsigned i = 0; i < PARTY_COUNT; i++)
        s->sources[i].of_threads.threads = 0;
    if (!proc_threads_read("", 0, &s->threads))
        return;
    for (unsigned i = 0; i < s->threads.count; i++) {
        struct proc_thread *t = &s->threads.items[i];
        if (t->group < 0)
            t->group = role_of(s, t->tid);
        if (t->group < 0)
            continue;
        struct proc_use *use = &s->sources[t->group].of_threads;
        proc_use_add(use, t);
        use->cpu_ns += t->cpu_more_ns;
    }
}

/* --- memory: of a process --- */

static bool holds_process(const struct sampler *s, enum party party)
{
    bool has_target = !s->sources[PARTY_TARGET].tree && s->sources[PARTY_TARGET].is_there;
    return party == (has_target ? PARTY_TARGET : PARTY_CLIENT);
}

static void read_memory(struct sampler *s, enum party party, bool with_pss)
{
    struct source *source = &s->sources[party];
    if (source->tree) {
        source->rss_bytes = tree_rss_bytes(source->tree);
        source->fds = tree_fds(source->tree);
        if (with_pss)
            source->pss_bytes = tree_pss_bytes(source->tree);
    } else if (holds_process(s, party)) {
        source->rss_bytes = proc_rss_bytes("", 0);
        source->fds = proc_fds("", 0);
        if (with_pss)
            source->pss_bytes = proc_pss_bytes("", 0);
    } else {
        source->rss_bytes = source->fds = source->pss_bytes = NAN;
    }
}

static void read_memories(struct sampler *s, uint64_t now_ns)
{
    bool with_pss = now_ns >= s->pss_due_ns;
    uint64_t begin_ns = clock_thread_cpu_ns();
    for (unsigned i = 0; i < PARTY_COUNT; i++)
        if (s->sources[i].is_there)
            read_memory(s, (enum party)i, with_pss);
    if (with_pss) {
        uint64_t pause_ns = (clock_thread_cpu_ns() - begin_ns) * PSS_SHARE;
        const uint64_t shortest_ns = NS_PER_S / 2; /* rows are not quite a second apart */
        s->pss_due_ns = now_ns + (pause_ns > shortest_ns ? pause_ns : shortest_ns);
    }
}

static void spread_add(struct spread *s, double value)
{
    if (!isfinite(value))
        return;
    s->min = s->count ? fmin(s->min, value) : value;
    s->max = s->count ? fmax(s->max, value) : value;
    s->sum += value;
    s->count++;
}

/* Over a moment, between a reading that was due and one for the row, nothing can be told. */
static void spread_reading(const struct sampler *s, struct source *source, uint64_t length_ns)
{
    double used_ns = (double)(source->use->cpu_ns - source->cpu_ns);
    source->cpu_ns = source->use->cpu_ns;
    if (length_ns < s->config.interval_ns / 4)
        return;
    spread_add(&source->cpu_pct, 100.0 * used_ns / (double)length_ns);
    spread_add(&source->rss, source->rss_bytes);
}

static void let_join(struct sampler *s)
{
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < PARTY_COUNT; i++) {
        if (s->joining[i] && s->sources[i].tree)
            tree_add(s->sources[i].tree, s->joining[i]);
        s->joining[i] = 0;
    }
    pthread_mutex_unlock(&s->lock);
}

/* Each at its own time: on a busy machine they may be far apart. */
static void read_all(struct sampler *s, uint64_t now_ns)
{
    uint64_t length_ns[PARTY_COUNT];
    let_join(s);
    read_threads(s);
    uint64_t threads_ns = clock_ns();
    for (unsigned i = 0; i < PARTY_COUNT; i++) {
        struct source *source = &s->sources[i];
        if (source->tree)
            source->use = tree_read(source->tree);
        uint64_t read_ns = source->tree ? clock_ns() : threads_ns;
        length_ns[i] = source->read_ns ? read_ns - source->read_ns : 0;
        source->read_ns = read_ns;
        source->is_there = source->use->threads;
    }
    read_memories(s, now_ns);
    for (unsigned i = 0; i < PARTY_COUNT; i++)
        spread_reading(s, &s->sources[i], length_ns[i]);
    s->reading_ns = now_ns;
    s->readings++;
}

/* --- rows --- */

/* The mean is of the whole row, also of what was too short to be told apart. */
static struct usage_spread spread_end(const struct spread *s, double mean)
{
    return s->count ? (struct usage_spread){mean, fmin(s->min, mean), fmax(s->max, mean)}
                    : (struct usage_spread){mean, mean, mean};
}

static void fill_group(const struct source *source, struct usage_party *p)
{
    const struct cgroup *now = &source->group, *before = &source->group_at_row;
    p->quota_cpus = now->cpu_limit > 0 ? now->cpu_limit : NAN;
    if (!now->has_throttling || !before->has_throttling)
        return;
    p->periods = (double)(now->periods - before->periods);
    p->throttled_periods = (double)(now->throttled_periods - before->throttled_periods);
    p->throttled_ms = (double)(now->throttled_ns - before->throttled_ns) / (double)NS_PER_MS;
}

static void fill_party(const struct source *source, struct usage_party *p, float *cores)
{
    uint64_t length_ns = source->read_ns > source->row_ns ? source->read_ns - source->row_ns : 1;
    const struct proc_use *now = source->use, *before = &source->use_at_row;
    p->is_there = true;
    p->cpu_ns = now->cpu_ns - before->cpu_ns;
    p->cpu_pct = spread_end(&source->cpu_pct, 100.0 * (double)p->cpu_ns / (double)length_ns);
    p->rss_bytes = spread_end(&source->rss, source->rss.count ? source->rss.sum / source->rss.count
                                                              : source->rss_bytes);
    p->pss_bytes = source->pss_bytes;
    p->threads = now->threads;
    p->fds = source->fds;
    p->voluntary_switches = (double)(now->voluntary - before->voluntary);
    p->involuntary_switches = (double)(now->involuntary - before->involuntary);
    fill_group(source, p);
    for (unsigned i = 0; i < now->core_count; i++)
        cores[i] = (float)(100.0 * (double)(now->core_ns[i] - before->core_ns[i]) /
                           (double)length_ns);
}

static void fill_host(const struct sampler *s, struct usage *u)
{
    float *pct = usage_cores(u, PARTY_COUNT);
    uint64_t all_sum = 0, stolen_sum = 0;
    for (unsigned i = 0; i < s->core_count; i++) {
        const struct host_core *now = &s->cores[i], *before = &s->cores_at_row[i];
        if (now->all <= before->all)
            continue;
        uint64_t all = now->all - before->all;
        /* time waiting for I/O may go down: see proc_stat(5) */
        uint64_t idle = now->idle > before->idle ? now->idle - before->idle : 0;
        pct[i] = (float)(100.0 * (double)(all - (idle < all ? idle : all)) / (double)all);
        all_sum += all;
        stolen_sum += now->stolen - before->stolen;
    }
    if (all_sum)
        u->steal_pct = 100.0 * (double)stolen_sum / (double)all_sum;
    u->mhz = host_mhz("", s->core_count);
}

/* p99 of what `now` has and `before` had not, NAN if that is nothing; `before` becomes `now`. */
static double p99_since(struct hist *before, const struct hist *now)
{
    double p99_us = NAN;
    hist_subtract_from(before, now);
    if (before->count)
        p99_us = (double)hist_percentile(before, 99) / (double)NS_PER_US;
    hist_clear(before);
    hist_merge(before, now);
    return p99_us;
}

static void fill_storage(struct sampler *s, struct load_second *row)
{
    const struct target *t = s->config.target;
    uint64_t db_errors, cache_errors;
    hist_clear(s->store_now);
    hist_clear(s->cache_now);
    target_storage_latency(t, s->store_now, s->cache_now);
    target_storage_errors(t, &db_errors, &cache_errors);
    row->db_p99_us = p99_since(s->store, s->store_now);
    row->cache_p99_us = p99_since(s->cache, s->cache_now);
    if (target_storage(t)) {
        row->db_errors = (double)(db_errors - s->db_errors);
        row->cache_errors = (double)(cache_errors - s->cache_errors);
        row->pool_in_flight = (int)target_pool_in_flight(t);
    }
    row->pool = target_pool(t);
    s->db_errors = db_errors;
    s->cache_errors = cache_errors;
}

static void row_fill(struct sampler *s, struct load_second *row)
{
    struct usage *u = row->usage = usage_new(s->core_count);
    u->readings = s->readings;
    for (unsigned i = 0; i < PARTY_COUNT; i++) {
        struct source *source = &s->sources[i];
        if (!source->is_there)
            continue;
        cgroup_refresh(&source->group);
        fill_party(source, &u->parties[i], usage_cores(u, i));
    }
    if (host_read("", s->cores, s->core_count))
        fill_host(s, u);
    if (s->config.target)
        fill_storage(s, row);
    else
        storage_watch_fill(s->watch, row);
}

static void row_begin(struct sampler *s)
{
    s->readings = 0;
    memcpy(s->cores_at_row, s->cores, s->core_count * sizeof *s->cores);
    for (unsigned i = 0; i < PARTY_COUNT; i++) {
        struct source *source = &s->sources[i];
        uint64_t *core_ns = source->use_at_row.core_ns;
        memcpy(core_ns, source->use->core_ns, s->core_count * sizeof *core_ns);
        source->use_at_row = *source->use;
        source->use_at_row.core_ns = core_ns;
        source->row_ns = source->read_ns;
        source->group_at_row = source->group;
        source->cpu_pct = source->rss = (struct spread){0};
    }
}
