/* A file appears by rename(2), which is all or nothing. */
#include "report/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

bool file_check(const char *option, const char *path, struct fail *f)
{
    char folder[4096], shown[256];
    if (!path || strcmp(path, "-") == 0)
        return true;
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1,
             slash ? path : ".");
    if (*path && access(folder, W_OK | X_OK) == 0)
        return true;
    return fail_set(f, EXIT_USAGE, "%s \"%s\" cannot be written: %s", option,
                    log_escape(span_of(path), shown, sizeof shown),
                    *path ? strerror(errno) : "the name is empty");
}

static bool write_and_close(FILE *to, file_write_f *write, const void *arg)
{
    bool is_good = to && write(to, arg);
    if (to && fclose(to) != 0)
        is_good = false;
    return is_good;
}

static bool write_beside(const char *path, file_write_f *write, const void *arg)
{
    struct text temporary = {0};
    bool is_good = false;
    text_addf(&temporary, "%s.XXXXXX", path);
    int fd = mkostemp(temporary.data, O_CLOEXEC);
    if (fd >= 0) {
        FILE *to = fdopen(fd, "w");
        if (!to)
            close(fd);
        is_good = write_and_close(to, write, arg) && chmod(temporary.data, 0644) == 0 &&
                  rename(temporary.data, path) == 0;
        int why = errno;
        if (!is_good)
            unlink(temporary.data);
        errno = why;
    }
    text_free(&temporary);
    return is_good;
}

bool file_write(const char *path, file_write_f *write, const void *arg, struct fail *f)
{
    struct stat there;
    bool is_special = stat(path, &there) == 0 && !S_ISREG(there.st_mode);
    bool is_good = is_special ? write_and_close(fopen(path, "we"), write, arg)
                              : write_beside(path, write, arg);
    return is_good ||
           fail_set(f, EXIT_FAILED, "%s could not be written: %s", path, strerror(errno));
}
