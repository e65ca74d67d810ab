#include "lib/guard.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"

void guard_open(struct guard *g, size_t room)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t open_bytes = (room + page - 1) / page * page;
    g->map_bytes = open_bytes + page;
    g->map = mmap(NULL, g->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(g->map != MAP_FAILED);
    g->end = g->map + open_bytes;
    CHECK(mprotect(g->end, page, PROT_NONE) == 0);
}

void guard_close(struct guard *g)
{
    CHECK(munmap(g->map, g->map_bytes) == 0);
}

struct span guard_put(struct guard *g, struct span s)
{
    CHECK(s.len <= (size_t)(g->end - g->map));
    char *at = g->end - s.len;
    if (s.len)
        memcpy(at, s.data, s.len);
    return (struct span){at, s.len};
}
