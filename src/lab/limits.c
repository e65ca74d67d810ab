#include "lab/limits.h"

/* Version 2 lets a group either have processes or give controllers to groups below it. Our group has
 * us: so we move to a group of our own beside the one that is limited, if we are the only ones there. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/log.h"

#define PERIOD_US 100000

static bool fail_lacking(struct fail *f, const char *what, const char *path, int error)
{
    return fail_set(
        f, EXIT_LACKING,
        "--shape: cannot %s %s: %s; run as root, or in a group that is yours: "
        "systemd-run --user --scope -p Delegate=yes iubench run ... (or without --shape)",
        what, path, strerror(error));
}

static bool write_to(const char *folder, const char *name, const char *text, struct fail *f)
{
    char path[WARDEN_GROUP_BYTES + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644), error = errno;
    bool is_written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) {
        error = errno;
        close(fd);
    }
    errno = error;
    return is_written || (f && fail_lacking(f, "write", path, error));
}

static bool make_folder(char folder[WARDEN_GROUP_BYTES], const char *parent, const char *kind,
                        struct fail *f)
{
    int len = snprintf(folder, WARDEN_GROUP_BYTES, "%s/iubench-%s-%d", parent, kind, getpid());
    bool is_made = len < WARDEN_GROUP_BYTES - 16 && (mkdir(folder, 0755) == 0 || errno == EEXIST);
    if (is_made)
        return true;
    fail_lacking(f, "make the control group", folder, errno);
    folder[0] = 0;
    return false;
}

/* Lets groups below this one have limits. */
static bool give_controllers(struct limits *l, const char *parent, struct fail *f)
{
    char pid[16];
    snprintf(pid, sizeof pid, "%d", getpid());
    if (write_to(parent, "cgroup.subtree_control", "+cpu +memory", NULL))
        return true;
    if (errno != EBUSY)
        return fail_lacking(f, "give controllers to groups below", parent, errno);
    if (!make_folder(l->moved_to, parent, "self", f) ||
        !write_to(l->moved_to, "cgroup.procs", pid, f))
        return false;
    snprintf(l->moved_from, sizeof l->moved_from, "%s", parent);
    return write_to(parent, "cgroup.subtree_control", "+cpu +memory", f);
}

static bool limit_cpu(const struct limits *l, const char *folder, unsigned version, struct fail *f)
{
    char text[48], period[16];
    int64_t quota_us = (int64_t)(l->cpus * PERIOD_US);
    if (l->cpus <= 0)
        return true;
    snprintf(period, sizeof period, "%d", PERIOD_US);
    if (version == 2) {
        snprintf(text, sizeof text, "%" PRId64 " %d", quota_us, PERIOD_US);
        return write_to(folder, "cpu.max", text, f);
    }
    snprintf(text, sizeof text, "%" PRId64, quota_us);
    return write_to(folder, "cpu.cfs_period_us", period, f) &&
           write_to(folder, "cpu.cfs_quota_us", text, f);
}

static bool limit_memory(const struct limits *l, const char *folder, unsigned version,
                         struct fail *f)
{
    char text[24];
    if (l->memory_bytes == UINT64_MAX)
        return true;
    snprintf(text, sizeof text, "%" PRIu64, l->memory_bytes);
    if (!write_to(folder, version == 2 ? "memory.max" : "memory.limit_in_bytes", text, f))
        return false;
    /* a pod does not swap; a kernel without accounting of swap has no such file */
    if (version == 2)
        (void)!write_to(folder, "memory.swap.max", "0", NULL);
    else
        (void)!write_to(folder, "memory.memsw.limit_in_bytes", text, NULL);
    return true;
}

static bool make_group(struct limits *l, int i, struct fail *f)
{
    char folder[WARDEN_GROUP_BYTES];
    if (!make_folder(folder, l->parents[i], l->name ? l->name : "target", f))
        return false;
    memcpy(l->groups[i], folder, sizeof folder);
    return true;
}

/* In each parent a group; one where version 2 has both controllers in it. */
static bool make_groups(struct limits *l, struct fail *f)
{
    bool is_one = !*l->parents[1];
    return make_group(l, 0, f) && (is_one || make_group(l, 1, f)) &&
           limit_cpu(l, l->groups[0], l->versions[0], f) &&
           limit_memory(l, l->groups[is_one ? 0 : 1], l->versions[1], f);
}

static bool choose_parent(struct limits *l, int i, const struct cgroup_controller *c,
                          struct fail *f)
{
    snprintf(l->parents[i], sizeof l->parents[i], "%s", c->folder);
    return c->version != 2 || give_controllers(l, c->folder, f);
}

static bool make_all(const struct cgroup *c, struct limits *l, struct fail *f)
{
    bool is_one = c->cpu.version == 2 && c->memory.version == 2;
    if (!c->cpu.version || !c->memory.version)
        return fail_set(f, EXIT_LACKING,
                        "--shape: there are no control groups for %s to be seen; mount them below "
                        "/sys/fs/cgroup, or run without --shape",
                        c->cpu.version ? "memory" : "CPU");
    l->versions[0] = c->cpu.version;
    l->versions[1] = c->memory.version;
    return choose_parent(l, 0, &c->cpu, f) && (is_one || choose_parent(l, 1, &c->memory, f)) &&
           make_groups(l, f);
}

bool limits_make(const char *root, struct limits *l, struct fail *f)
{
    struct cgroup c;
    cgroup_read(root, &c);
    if (make_all(&c, l, f))
        return true;
    limits_remove(l);
    return false;
}

bool limits_make_beside(const struct limits *first, struct limits *l, struct fail *f)
{
    memcpy(l->parents, first->parents, sizeof l->parents);
    memcpy(l->versions, first->versions, sizeof l->versions);
    if (make_groups(l, f))
        return true;
    limits_remove(l);
    return false;
}

static bool take_one(const struct limits *l, pid_t pid, struct fail *f)
{
    char text[16];
    snprintf(text, sizeof text, "%d", (int)pid);
    for (int i = 0; i < WARDEN_GROUPS_MOST; i++)
        if (*l->groups[i] && !write_to(l->groups[i], "cgroup.procs", text, f))
            return false;
    return true;
}

bool limits_take(const struct limits *l, pid_t pid, struct fail *f)
{
    char path[64];
    int child;
    if (!*l->groups[0])
        return true;
    if (!take_one(l, pid, f))
        return false;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *children = fopen(path, "re");
    while (children && fscanf(children, "%d", &child) == 1)
        (void)!take_one(l, child, NULL); /* it may have ended meanwhile */
    if (children)
        fclose(children);
    return true;
}

/* A process that has just ended may still count. */
static void remove_folder(const char *folder)
{
    for (int i = 0; *folder && rmdir(folder) && errno == EBUSY && i < 100; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10 * NS_PER_MS}, NULL);
}

void limits_remove(struct limits *l)
{
    char pid[16];
    for (int i = 0; i < WARDEN_GROUPS_MOST; i++)
        remove_folder(l->groups[i]);
    if (*l->moved_from) {
        snprintf(pid, sizeof pid, "%d", getpid());
        (void)!write_to(l->moved_from, "cgroup.subtree_control", "-cpu -memory", NULL);
        (void)!write_to(l->moved_from, "cgroup.procs", pid, NULL);
    }
    remove_folder(l->moved_to);
    memset(l->groups, 0, sizeof l->groups);
    l->moved_from[0] = l->moved_to[0] = 0;
}
