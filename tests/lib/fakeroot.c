#include "lib/fakeroot.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char fakeroot[32];

int fakeroot_make(void **state)
{
    (void)state;
    snprintf(fakeroot, sizeof fakeroot, "/tmp/iubench-root-XXXXXX");
    return mkdtemp(fakeroot) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

int fakeroot_remove(void **state)
{
    (void)state;
    return nftw(fakeroot, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void make_way(const char *path, char full[512])
{
    snprintf(full, 512, "%s%s", fakeroot, path);
    for (char *slash = full + strlen(fakeroot) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(full, 0700);
        *slash = '/';
    }
}

void fakeroot_put(const char *path, const char *format, ...)
{
    char full[512];
    va_list values;
    make_way(path, full);
    FILE *file = fopen(full, "w");
    CHECK(file);
    va_start(values, format);
    vfprintf(file, format, values);
    va_end(values);
    fclose(file);
}

void fakeroot_link(const char *path, const char *to)
{
    char full[512];
    make_way(path, full);
    CHECK(symlink(to, full) == 0);
}

void fakeroot_drop(const char *path)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", fakeroot, path);
    nftw(full, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
