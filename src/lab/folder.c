/* Folders are named by the second in which they are chosen, and by a number where that is not enough. */
#include "lab/folder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

void folder_choose(const char *given, const char *name, char folder[FOLDER_BYTES])
{
    if (given) {
        snprintf(folder, FOLDER_BYTES, "%s", given);
        return;
    }
    char stamp[32];
    time_t now = time(NULL);
    struct tm tm;
    localtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &tm);
    snprintf(folder, FOLDER_BYTES, "results/%s-%s", name, stamp);
    for (int n = 2; !access(folder, F_OK) && n < 1000; n++)
        snprintf(folder, FOLDER_BYTES, "results/%s-%s-%d", name, stamp, n);
}

bool folder_make(const char *folder, struct fail *f)
{
    char part[FOLDER_BYTES], shown[FOLDER_BYTES];
    for (const char *at = folder; *at; at++) {
        if (*at != '/' && at[1])
            continue;
        snprintf(part, sizeof part, "%.*s", (int)(at - folder + 1), folder);
        if (mkdir(part, 0777) && errno != EEXIST)
            return fail_set(f, EXIT_USAGE, "the folder %s for results cannot be made: %s",
                            log_escape(span_of(part), shown, sizeof shown), strerror(errno));
    }
    snprintf(part, sizeof part, "%s/.", folder); /* ENOTDIR if it is a file */
    return access(part, W_OK) == 0 ||
           fail_set(f, EXIT_USAGE, "results cannot be written to %s: %s; expected a folder",
                    log_escape(span_of(folder), shown, sizeof shown), strerror(errno));
}
