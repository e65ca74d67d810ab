/* Sizes are those that files have, not the blocks that they take, so that they are the same on every
 * file system. */
#include "lab/footprint.h"

#include <fts.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab/host.h"
#include "lab/proc.h"
#include "lab/tree.h"

static const useconds_t SETTLE_US = 1000000;

static double size_below(char *path)
{
    char *const roots[] = {path, NULL};
    double size_bytes = 0;
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    for (FTSENT *entry; walk && (entry = fts_read(walk));) {
        if (entry->fts_info == FTS_F || entry->fts_info == FTS_SL)
            size_bytes += (double)entry->fts_statp->st_size;
        else if (entry->fts_info == FTS_NS || entry->fts_info == FTS_ERR)
            size_bytes = NAN;
    }
    if (!walk || fts_close(walk))
        return NAN;
    return size_bytes;
}

double footprint_size(const char *files, const char *directory)
{
    static const char between[] = " \t";
    char path[8192];
    double size_bytes = *files ? 0 : NAN;
    for (const char *at = files + strspn(files, between); *at; at += strspn(at, between)) {
        size_t len = strcspn(at, between);
        bool is_absolute = *at == '/';
        snprintf(path, sizeof path, "%s%s%.*s", is_absolute ? "" : directory,
                 is_absolute ? "" : "/", (int)len, at);
        size_bytes += size_below(path);
        at += len;
    }
    return size_bytes;
}

static double own_size(void)
{
    struct stat program;
    return stat("/proc/self/exe", &program) ? NAN : (double)program.st_size;
}

static double memory_of(pid_t pid)
{
    if (!pid)
        return proc_pss_bytes("", 0);
    struct tree *tree = tree_new("", host_core_count());
    tree_add(tree, pid);
    tree_read(tree);
    double pss_bytes = tree_pss_bytes(tree);
    tree_free(tree);
    return pss_bytes;
}

struct result_footprint footprint_take(const struct target_file *file, pid_t pid)
{
    usleep(SETTLE_US);
    return (struct result_footprint){
        .size_bytes = file ? footprint_size(file->files, file->directory) : own_size(),
        .start_ms = NAN,
        .idle_bytes = memory_of(pid),
    };
}
