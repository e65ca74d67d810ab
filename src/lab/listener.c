/* From the address to inodes (several with SO_REUSEPORT), from those to processes. */
#include "lab/listener.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lab/proc.h"

enum { INODES_MAX = 256 };

struct search {
    const char *root;
    const struct address *address;
    uint64_t inodes[INODES_MAX];
    unsigned inode_count;
    pid_t holders[LISTENER_PIDS_MAX];
    unsigned holder_count;
};

/* --- inodes --- */

/* Only an address of this machine can be bound to. */
static bool is_local(const struct address *a)
{
    struct address here = *a;
    if (a->sa.any.sa_family == AF_INET6)
        here.sa.in6.sin6_port = 0;
    else
        here.sa.in.sin_port = 0;
    int fd = socket(a->sa.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool is_bound = fd >= 0 && bind(fd, &here.sa.any, here.len) == 0;
    if (fd >= 0)
        close(fd);
    return is_bound;
}

static void take_inode(struct search *s, uint64_t inode)
{
    if (inode && s->inode_count < INODES_MAX)
        s->inodes[s->inode_count++] = inode;
}

/* The kernel prints each 32-bit word of an address as a number of its own byte order. */
static bool is_address(const char *hex, const struct address *a)
{
    uint32_t words[4] = {0}, zero[4] = {0};
    size_t count = strlen(hex) / 8;
    for (size_t i = 0; i < count && i < 4; i++)
        if (sscanf(hex + 8 * i, "%8" SCNx32, &words[i]) != 1)
            return false;
    if (!memcmp(words, zero,
                sizeof words)) /* every address; of version 6 also those of version 4 */
        return count == 4 || a->sa.any.sa_family == AF_INET;
    if (a->sa.any.sa_family == AF_INET6)
        return count == 4 && !memcmp(words, &a->sa.in6.sin6_addr, sizeof words);
    bool is_mapped = count == 4 && !words[0] && !words[1] && words[2] == htonl(0xffff);
    return (count == 1 || is_mapped) && words[count - 1] == a->sa.in.sin_addr.s_addr;
}

/* "0: 0100007F:1F90 00000000:0000 0A ... inode": those in state LISTEN on our port. */
static void take_tcp_line(struct search *s, const char *line)
{
    char address[33];
    unsigned port, state;
    uint64_t inode;
    if (sscanf(line, "%*d: %32[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %" SCNu64, address, &port,
               &state, &inode) == 4 &&
        state == 0x0A && port == address_port(s->address) && is_address(address, s->address))
        take_inode(s, inode);
}

/* "address: refs protocol flags type state inode path", flags with SO_ACCEPTCON. */
static void take_unix_line(struct search *s, const char *line)
{
    unsigned flags;
    uint64_t inode;
    char path[128];
    if (sscanf(line, "%*s %*s %*s %x %*s %*s %" SCNu64 " %127[^\n]", &flags, &inode, path) == 3 &&
        flags & 0x10000 && !strcmp(path, s->address->sa.un.sun_path))
        take_inode(s, inode);
}

static void take_inodes(struct search *s, const char *table,
                        void (*take)(struct search *s, const char *line))
{
    char path[PROC_PATH_BYTES], line[512];
    snprintf(path, sizeof path, "%s/proc/net/%s", s->root, table);
    FILE *from = fopen(path, "re");
    while (from && fgets(line, sizeof line, from))
        take(s, line);
    if (from)
        fclose(from);
}

/* --- processes --- */

static bool is_wanted(const struct search *s, const char *link)
{
    uint64_t inode;
    if (sscanf(link, "socket:[%" SCNu64 "]", &inode) != 1)
        return false;
    for (unsigned i = 0; i < s->inode_count; i++)
        if (s->inodes[i] == inode)
            return true;
    return false;
}

static bool holds_one(const struct search *s, pid_t pid)
{
    char path[PROC_PATH_BYTES + 300], folder[PROC_PATH_BYTES], link[64];
    bool is_found = false;
    snprintf(path, sizeof path, "%sfd", proc_folder(s->root, pid, folder));
    DIR *fds = opendir(path);
    for (struct dirent *entry; fds && !is_found && (entry = readdir(fds));) {
        snprintf(path, sizeof path, "%sfd/%s", folder, entry->d_name);
        ssize_t len = readlink(path, link, sizeof link - 1);
        link[len > 0 ? len : 0] = 0;
        is_found = is_wanted(s, link);
    }
    if (fds)
        closedir(fds);
    return is_found;
}

static void find_holders(struct search *s)
{
    char path[PROC_PATH_BYTES];
    snprintf(path, sizeof path, "%s/proc", s->root);
    DIR *all = opendir(path);
    for (struct dirent *entry; all && (entry = readdir(all));) {
        pid_t pid;
        if (proc_number(entry->d_name, &pid) && pid > 1 && s->holder_count < LISTENER_PIDS_MAX &&
            holds_one(s, pid))
            s->holders[s->holder_count++] = pid;
    }
    if (all)
        closedir(all);
}

static bool is_holder(const struct search *s, pid_t pid)
{
    for (unsigned i = 0; i < s->holder_count; i++)
        if (s->holders[i] == pid)
            return true;
    return false;
}

unsigned listener_find(const char *root, const struct address *a, pid_t pids[LISTENER_PIDS_MAX])
{
    struct search s = {.root = root, .address = a};
    unsigned count = 0;
    if (a->sa.any.sa_family == AF_UNIX) {
        take_inodes(&s, "unix", take_unix_line);
    } else if (is_local(a)) {
        take_inodes(&s, "tcp", take_tcp_line);
        take_inodes(&s, "tcp6", take_tcp_line);
    }
    if (s.inode_count)
        find_holders(&s);
    for (unsigned i = 0; i < s.holder_count; i++) {
        struct proc_stat stat;
        if (proc_stat_read(root, s.holders[i], &stat) && !is_holder(&s, stat.parent))
            pids[count++] = s.holders[i];
    }
    return count;
}
