/* Sizes are those that files have, not the blocks that they take, so that they are the same on every
 * file system. */
#include "lab/footprint.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab/host.h"
#include "lab/proc.h"
#include "lab/tree.h"

static const useconds_t SETTLE_US = 1000000;

static _Thread_local double walked_bytes; /* nftw() hands nothing on */

static int add_size(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)path, (void)at;
    if (kind == FTW_F || kind == FTW_SL)
        walked_bytes += (double)st->st_size;
    else if (kind != FTW_D)
        walked_bytes = NAN;
    return 0;
}

static double size_below(const char *path)
{
    walked_bytes = 0;
    return nftw(path, add_size, 16, FTW_PHYS) ? NAN : walked_bytes;
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
