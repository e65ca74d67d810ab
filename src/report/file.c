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

/* Whether a file is made anew under that name; what is no regular file is written to as it is, and so is
 * what a link leads to: /dev/stdout is to stay one. */
static bool is_made_anew(const char *path)
{
    struct stat there;
    return lstat(path, &there) != 0 || S_ISREG(there.st_mode);
}

/* Whether file_write() can be hoped to do it; else errno says why not. */
static bool is_writable(const char *path)
{
    char folder[4096];
    struct stat there;
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1,
             slash ? path : ".");
    if (is_made_anew(path))
        return access(folder, W_OK | X_OK) == 0;
    if (stat(path, &there) != 0)
        return errno == ENOENT; /* a link to what writing makes */
    if (!S_ISDIR(there.st_mode))
        return access(path, W_OK) == 0;
    errno = EISDIR;
    return false;
}

bool file_check(const char *option, const char *path, struct fail *f)
{
    char shown[256];
    if (!path || strcmp(path, "-") == 0)
        return true;
    if (*path && is_writable(path))
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
    bool is_good = is_made_anew(path) ? write_beside(path, write, arg)
                                      : write_and_close(fopen(path, "we"), write, arg);
    return is_good ||
           fail_set(f, EXIT_FAILED, "%s could not be written: %s", path, strerror(errno));
}
