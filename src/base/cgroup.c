#include "base/cgroup.h"

/* /proc/PID/cgroup names the group in each hierarchy, /proc/self/mountinfo says where that
 * hierarchy is mounted and which part of it; both together give the folder with the files. In a
 * container the named group may lie outside of what is mounted: then the mount itself is the
 * nearest that can be known. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

/* Calls `line` for each line of a file until it returns true. */
static bool each_line(const char *path, bool (*line)(char *text, void *arg), void *arg)
{
    FILE *file = fopen(path, "re");
    char text[2048];
    bool is_found = false;
    if (!file)
        return false;
    while (!is_found && fgets(text, sizeof text, file)) {
        text[strcspn(text, "\n")] = 0;
        is_found = line(text, arg);
    }
    fclose(file);
    return is_found;
}

static bool list_has(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == len && memcmp(at, word, len) == 0)
            return true;
    return false;
}

struct search {
    const char *controller; /* "" for version 2 */
    char group[CGROUP_PATH_BYTES];
    char mount_root[CGROUP_PATH_BYTES], mount[CGROUP_PATH_BYTES];
};

/* "4:memory:/group", for version 2 "0::/group". */
static bool find_group(char *text, void *arg)
{
    struct search *s = arg;
    char *list = strchr(text, ':'), *group = list ? strchr(list + 1, ':') : NULL;
    if (!group)
        return false;
    *group = 0;
    if (*s->controller ? !list_has(list + 1, s->controller) : list[1] != 0)
        return false;
    snprintf(s->group, sizeof s->group, "%s", group + 1);
    return true;
}

/* "36 35 0:30 /root /mount/point rw,... - cgroup cgroup rw,cpu". */
static bool find_mount(char *text, void *arg)
{
    struct search *s = arg;
    char type[32], options[512];
    char *tail = strstr(text, " - ");
    if (!tail || sscanf(text, "%*s %*s %*s %511s %511s", s->mount_root, s->mount) != 2 ||
        sscanf(tail + 3, "%31s %*s %511s", type, options) != 2)
        return false;
    if (!*s->controller)
        return strcmp(type, "cgroup2") == 0;
    return strcmp(type, "cgroup") == 0 && list_has(options, s->controller);
}

static void path_set(char out[CGROUP_PATH_BYTES], const char *root, const char *a, const char *b)
{
    if (snprintf(out, CGROUP_PATH_BYTES, "%s%s%s", root, a, b) >= CGROUP_PATH_BYTES)
        out[0] = 0;
}

/* Goes one folder up, as long as that is not above the mount. */
static bool go_up(const struct cgroup_controller *c, char folder[CGROUP_PATH_BYTES])
{
    char *slash = strrchr(folder, '/');
    if (!slash || (size_t)(slash - folder) < strlen(c->mount))
        return false;
    *slash = 0;
    return true;
}

static bool find_folder(const char *root, pid_t pid, const char *controller,
                        struct cgroup_controller *c)
{
    struct search s = {.controller = controller};
    char path[CGROUP_PATH_BYTES], process[32] = "self";
    if (pid)
        snprintf(process, sizeof process, "%d", (int)pid);
    snprintf(path, sizeof path, "%s/proc/%s/cgroup", root, process);
    if (!each_line(path, find_group, &s))
        return false;
    path_set(path, root, "/proc/self/mountinfo", "");
    if (!each_line(path, find_mount, &s))
        return false;

    const char *group = s.group;
    size_t skip = strcmp(s.mount_root, "/") ? strlen(s.mount_root) : 0;
    if (strncmp(group, s.mount_root, skip) == 0)
        group += skip;
    path_set(c->mount, root, s.mount, "");
    path_set(c->folder, c->mount, strcmp(group, "/") ? group : "", "");
    while (access(c->folder, F_OK) && go_up(c, c->folder))
        ;
    c->version = *controller ? 1 : 2;
    return true;
}

static bool read_text(const char *folder, const char *name, char *text, size_t room)
{
    char path[CGROUP_PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t len = fread(text, 1, room - 1, file);
    text[len] = 0;
    fclose(file);
    return len;
}

static double cpu_limit_at(unsigned version, const char *folder)
{
    char text[64];
    double quota = 0, period = 0;
    if (version == 2) {
        if (!read_text(folder, "cpu.max", text, sizeof text) ||
            sscanf(text, "%lf %lf", &quota, &period) != 2)
            return 0;
    } else {
        if (!read_text(folder, "cpu.cfs_quota_us", text, sizeof text) ||
            sscanf(text, "%lf", &quota) != 1 ||
            !read_text(folder, "cpu.cfs_period_us", text, sizeof text) ||
            sscanf(text, "%lf", &period) != 1)
            return 0;
    }
    return quota > 0 && period > 0 ? quota / period : 0;
}

static uint64_t memory_limit_at(unsigned version, const char *folder)
{
    /* Version 1 says "no limit" as the largest multiple of a page. */
    const uint64_t none_from = UINT64_C(1) << 60;
    char text[64];
    uint64_t bytes;
    if (!read_text(folder, version == 2 ? "memory.max" : "memory.limit_in_bytes", text,
                   sizeof text) ||
        sscanf(text, "%" SCNu64, &bytes) != 1 || bytes >= none_from)
        return UINT64_MAX;
    return bytes;
}

/* A group is held by the tightest limit between itself and the root of the tree. */
static void read_limits(struct cgroup *c)
{
    char folder[CGROUP_PATH_BYTES];
    if (c->cpu.version) {
        memcpy(folder, c->cpu.folder, sizeof folder);
        do {
            double limit = cpu_limit_at(c->cpu.version, folder);
            if (limit > 0 && (c->cpu_limit == 0 || limit < c->cpu_limit))
                c->cpu_limit = limit;
        } while (go_up(&c->cpu, folder));
    }
    if (c->memory.version) {
        memcpy(folder, c->memory.folder, sizeof folder);
        do {
            uint64_t limit = memory_limit_at(c->memory.version, folder);
            if (limit < c->memory_limit_bytes)
                c->memory_limit_bytes = limit;
        } while (go_up(&c->memory, folder));
    }
}

static bool stat_field(const char *text, const char *name, uint64_t *value)
{
    const char *at = strstr(text, name);
    return at && sscanf(at + strlen(name), " %" SCNu64, value) == 1;
}

static void read_throttling(struct cgroup *c)
{
    char text[2048];
    uint64_t time = 0;
    c->has_throttling = false;
    if (!c->cpu.version || !read_text(c->cpu.folder, "cpu.stat", text, sizeof text) ||
        !stat_field(text, "nr_periods", &c->periods) ||
        !stat_field(text, "nr_throttled", &c->throttled_periods))
        return;
    if (c->cpu.version == 2) {
        c->has_throttling = stat_field(text, "throttled_usec", &time);
        c->throttled_ns = time * NS_PER_US;
    } else {
        c->has_throttling = stat_field(text, "throttled_time", &time);
        c->throttled_ns = time;
    }
}

void cgroup_refresh(struct cgroup *c)
{
    c->cpu_limit = 0;
    c->memory_limit_bytes = UINT64_MAX;
    read_limits(c);
    read_throttling(c);
}

void cgroup_read_of(const char *root, pid_t pid, struct cgroup *c)
{
    *c = (struct cgroup){0};
    if (!find_folder(root, pid, "cpu", &c->cpu))
        find_folder(root, pid, "", &c->cpu);
    if (!find_folder(root, pid, "memory", &c->memory))
        find_folder(root, pid, "", &c->memory);
    cgroup_refresh(c);
}

void cgroup_read(const char *root, struct cgroup *c)
{
    cgroup_read_of(root, 0, c);
}

uint64_t cgroup_memory_bytes(void)
{
    struct cgroup c;
    cgroup_read("", &c);
    uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    return machine < c.memory_limit_bytes ? machine : c.memory_limit_bytes;
}
