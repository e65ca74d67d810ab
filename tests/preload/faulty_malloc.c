/* Loaded before the C library by LD_PRELOAD: lets chosen allocations of a program fail. The orders
 * stand in a file that the test and the program both map, so that they can be given before the start
 * and at any time after it: the file that FAULTY_MALLOC names holds struct orders. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct orders {
    _Atomic int64_t passing; /* so many allocations are still made */
    _Atomic int64_t failing; /* so many behind them are not */
    _Atomic int64_t made, failed;
};

static struct orders *orders;

/* By which glibc offers its own allocator to those who stand before it. */
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *at, size_t bytes);

__attribute__((constructor)) static void take_orders(void)
{
    const char *path = getenv("FAULTY_MALLOC");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof *orders, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED)
        orders = at;
}

static int is_due(void)
{
    if (!orders)
        return 0;
    atomic_fetch_add(&orders->made, 1);
    if (atomic_load(&orders->failing) <= 0 || atomic_fetch_sub(&orders->passing, 1) > 0 ||
        atomic_fetch_sub(&orders->failing, 1) <= 0)
        return 0;
    atomic_fetch_add(&orders->failed, 1);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t bytes)
{
    return is_due() ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return is_due() ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *at, size_t bytes)
{
    return is_due() ? NULL : __libc_realloc(at, bytes);
}
