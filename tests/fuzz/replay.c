/* Replays a corpus: feeds every file named, or found in a folder named, to a fuzz target, without
 * libFuzzer and with any compiler. Each input ends where memory ends, so that reading one byte too
 * many is a fault. A crash names its input on the line before; reports in TAP, a test per folder.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void die(const char *what, const char *path)
{
    fprintf(stderr, "replay: %s ", what);
    perror(path);
    exit(1);
}

/* Runs the target on the file's bytes, placed just below a page that cannot be touched. */
static void replay_file(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st))
        die("cannot open", name);
    size_t size = (size_t)st.st_size, page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (size + page) / page * page;
    char *memory = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                        0);
    if (memory == MAP_FAILED || mprotect(memory + room, page, PROT_NONE))
        die("no memory for", name);
    char *data = memory + room - size;
    if (read(fd, data, size) != (ssize_t)size)
        die("cannot read", name);
    close(fd);
    printf("# %s\n", name);
    fflush(stdout);
    LLVMFuzzerTestOneInput((const uint8_t *)data, size);
    munmap(memory, room + page);
}

static unsigned replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder)
        die("cannot open", path);
    unsigned count = 0;
    struct dirent *entry;
    while ((entry = readdir(folder))) {
        if (entry->d_name[0] == '.')
            continue;
        replay_file(dirfd(folder), entry->d_name);
        count++;
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    bool is_good = argc > 1;
    printf("1..%d\n", argc - 1);
    for (int i = 1; i < argc; i++) {
        struct stat st;
        unsigned count = 1;
        if (stat(argv[i], &st))
            die("cannot find", argv[i]);
        if (S_ISDIR(st.st_mode))
            count = replay_folder(argv[i]);
        else
            replay_file(AT_FDCWD, argv[i]);
        printf("%sok %d - %u inputs of %s\n", count ? "" : "not ", i, count, argv[i]);
        is_good = is_good && count;
    }
    return is_good ? 0 : 1;
}
