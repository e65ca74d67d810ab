/* Runs a fuzzer's function over files and folders, so that any compiler can replay a corpus. */
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

#define OPEN_FOLDERS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replayed;

static int replay_file(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)where;
    if (kind == FTW_D)
        return 0;
    FILE *file = kind == FTW_F ? fopen(path, "rb") : NULL;
    if (!file) {
        fprintf(stderr, "replay: cannot read %s\n", path);
        return 1;
    }
    size_t size = (size_t)st->st_size;
    uint8_t *data = malloc(size ? size : 1);
    CHECK(data && fread(data, 1, size, file) == size);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    replayed++;
    return 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (nftw(argv[i], replay_file, OPEN_FOLDERS, FTW_PHYS) != 0)
            return 1;
    printf("%u inputs replayed\n", replayed);
    return replayed == 0;
}
