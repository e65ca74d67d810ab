/* One open, one read, one close for each file: the sampler reads hundreds of them a second. */
#include "lab/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"

enum { STAT_BYTES = 1024, STATUS_BYTES = 8192 };

bool proc_read(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t len = 0;
    ssize_t got = 0;
    while (len < room - 1 && (got = read(fd, text + len, room - 1 - len)) > 0)
        len += (size_t)got;
    close(fd);
    text[len] = 0;
    return got >= 0 && len;
}

const char *proc_folder(const char *root, pid_t pid, char out[PROC_PATH_BYTES])
{
    if (pid)
        snprintf(out, PROC_PATH_BYTES, "%s/proc/%d/", root, (int)pid);
    else
        snprintf(out, PROC_PATH_BYTES, "%s/proc/self/", root);
    return out;
}

bool proc_number(const char *name, pid_t *number)
{
    uint64_t value;
    if (!num_get(span_of(name), INT32_MAX, &value))
        return false;
    *number = (pid_t)value;
    return true;
}

/* The file `name` of a process. */
static bool read_file(const char *root, pid_t pid, const char *name, char *text, size_t room)
{
    char path[PROC_PATH_BYTES + 64], folder[PROC_PATH_BYTES];
    snprintf(path, sizeof path, "%s%s", proc_folder(root, pid, folder), name);
    return proc_read(path, text, room);
}

static bool read_thread_file(const char *root, pid_t pid, pid_t tid, const char *name, char *text,
                             size_t room)
{
    char of_thread[64];
    snprintf(of_thread, sizeof of_thread, "task/%d/%s", (int)tid, name);
    return read_file(root, pid, of_thread, text, room);
}

/* --- stat --- */

static uint64_t ticks_ns(uint64_t ticks)
{
    static long per_s; /* the same for everybody who writes it */
    if (!per_s)
        per_s = sysconf(_SC_CLK_TCK);
    return ticks * (NS_PER_S / (uint64_t)per_s);
}

bool proc_stat_parse(const char *text, struct proc_stat *s)
{
    enum { PARENT = 4, UTIME = 14, STIME, CUTIME, CSTIME, STARTTIME = 22, PROCESSOR = 39 };
    uint64_t fields[PROCESSOR + 1] = {0};
    const char *at = strrchr(text, ')'); /* the name may hold anything */
    if (!at || at[1] != ' ' || !at[2])
        return false;
    at += 3; /* behind the state */
    for (int i = PARENT; i <= PROCESSOR; i++) {
        char *end;
        fields[i] = strtoull(at, &end, 10); /* some are negative; not ours */
        if (end == at)
            return false;
        at = end;
    }
    *s = (struct proc_stat){
        .parent = (pid_t)fields[PARENT],
        .cpu_ns = ticks_ns(fields[UTIME] + fields[STIME]),
        .children_cpu_ns = ticks_ns(fields[CUTIME] + fields[CSTIME]),
        .start_ticks = fields[STARTTIME],
        .processor = (unsigned)fields[PROCESSOR],
    };
    return true;
}

bool proc_stat_read(const char *root, pid_t pid, struct proc_stat *s)
{
    char text[STAT_BYTES];
    return read_file(root, pid, "stat", text, sizeof text) && proc_stat_parse(text, s);
}

/* --- threads --- */

static uint64_t field_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* What is there of a thread that may end while it is read. */
static bool read_thread(const char *root, pid_t pid, struct proc_thread *t)
{
    char text[STATUS_BYTES];
    struct proc_stat stat;
    if (!read_thread_file(root, pid, t->tid, "stat", text, sizeof text) ||
        !proc_stat_parse(text, &stat))
        return false;
    t->start_ticks = stat.start_ticks;
    t->processor = stat.processor;
    t->cpu_ns = stat.cpu_ns;
    if (read_thread_file(root, pid, t->tid, "schedstat", text, sizeof text))
        t->cpu_ns = strtoull(text, NULL, 10);
    if (read_thread_file(root, pid, t->tid, "status", text, sizeof text)) {
        t->voluntary = field_of(text, "\nvoluntary_ctxt_switches:");
        t->involuntary = field_of(text, "\nnonvoluntary_ctxt_switches:");
    }
    return true;
}

static struct proc_thread *find_thread(struct proc_threads *t, pid_t tid)
{
    for (unsigned i = 0; i < t->count; i++)
        if (t->items[i].tid == tid)
            return &t->items[i];
    return NULL;
}

static struct proc_thread *add_thread(struct proc_threads *t)
{
    if (t->count == t->room) {
        t->room = t->room ? 2 * t->room : 4;
        t->items = realloc(t->items, t->room * sizeof *t->items);
        CHECK(t->items);
    }
    return &t->items[t->count++];
}

static uint64_t more(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

static void take_thread(const char *root, pid_t pid, struct proc_threads *t, pid_t tid)
{
    struct proc_thread now = {.tid = tid, .group = -1, .is_seen = true};
    if (!read_thread(root, pid, &now))
        return;
    struct proc_thread *known = find_thread(t, tid), before = {0};
    if (known && known->start_ticks == now.start_ticks) {
        before = *known;
        now.group = known->group;
    } else if (known) {
        t->ended_ns += known->cpu_ns;
    }
    now.cpu_more_ns = more(now.cpu_ns, before.cpu_ns);
    now.voluntary_more = more(now.voluntary, before.voluntary);
    now.involuntary_more = more(now.involuntary, before.involuntary);
    known = known ? known : add_thread(t);
    *known = now;
}

static void drop_ended(struct proc_threads *t)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < t->count; i++) {
        if (t->items[i].is_seen)
            t->items[kept++] = t->items[i];
        else
            t->ended_ns += t->items[i].cpu_ns;
    }
    t->count = kept;
}

bool proc_threads_read(const char *root, pid_t pid, struct proc_threads *t)
{
    char path[PROC_PATH_BYTES + 8], folder[PROC_PATH_BYTES];
    snprintf(path, sizeof path, "%stask", proc_folder(root, pid, folder));
    DIR *tasks = opendir(path);
    if (!tasks)
        return false;
    for (unsigned i = 0; i < t->count; i++)
        t->items[i].is_seen = false;
    pid_t tid;
    for (struct dirent *entry; (entry = readdir(tasks));)
        if (proc_number(entry->d_name, &tid))
            take_thread(root, pid, t, tid);
    closedir(tasks);
    drop_ended(t);
    return true;
}

void proc_threads_free(struct proc_threads *t)
{
    free(t->items);
    *t = (struct proc_threads){0};
}

void proc_thread_name(const char *root, pid_t pid, pid_t tid, char name[16])
{
    if (!read_thread_file(root, pid, tid, "comm", name, 16))
        name[0] = 0;
    name[strcspn(name, "\n")] = 0;
}

/* --- use --- */

void proc_use_open(struct proc_use *use, unsigned core_count)
{
    *use = (struct proc_use){.core_count = core_count,
                             .core_ns = mem_need(core_count, sizeof *use->core_ns)};
}

void proc_use_close(struct proc_use *use)
{
    free(use->core_ns);
    *use = (struct proc_use){0};
}

void proc_use_add(struct proc_use *use, const struct proc_thread *t)
{
    use->threads++;
    use->voluntary += t->voluntary_more;
    use->involuntary += t->involuntary_more;
    if (t->processor < use->core_count)
        use->core_ns[t->processor] += t->cpu_more_ns;
}

/* --- memory, descriptors --- */

double proc_rss_bytes(const char *root, pid_t pid)
{
    char text[256];
    uint64_t resident;
    if (!read_file(root, pid, "statm", text, sizeof text) ||
        sscanf(text, "%*u %" SCNu64, &resident) != 1)
        return NAN;
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

double proc_pss_bytes(const char *root, pid_t pid)
{
    char text[4096];
    if (!read_file(root, pid, "smaps_rollup", text, sizeof text) || !strstr(text, "\nPss:"))
        return NAN;
    return (double)field_of(text, "\nPss:") * 1024;
}

/* Since Linux 6.2 the folder's size is their number; before, and with a folder that is not the
 * kernel's, they are counted. */
double proc_fds(const char *root, pid_t pid)
{
    char path[PROC_PATH_BYTES + 8], folder[PROC_PATH_BYTES];
    struct statfs where;
    struct stat it;
    snprintf(path, sizeof path, "%sfd", proc_folder(root, pid, folder));
    DIR *fds = opendir(path);
    if (!fds)
        return NAN;
    double count = 0;
    if (fstatfs(dirfd(fds), &where) == 0 && where.f_type == PROC_SUPER_MAGIC &&
        fstat(dirfd(fds), &it) == 0 && it.st_size > 0)
        count = (double)it.st_size;
    else
        for (struct dirent *entry; (entry = readdir(fds));)
            count += isdigit((unsigned char)entry->d_name[0]) != 0;
    closedir(fds);
    return count;
}
