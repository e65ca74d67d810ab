#include "lab/files.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { KEPT = 3 };

int files_keep_only(int fd)
{
    int aside = fcntl(fd, F_DUPFD, KEPT + 1), null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    dup3(aside, KEPT, O_CLOEXEC);
    syscall(SYS_close_range, KEPT + 1, ~0u, 0); /* musl has no function for it */
    return KEPT;
}
