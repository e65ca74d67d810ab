#include "base/mem.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/fail.h"

static __attribute__((noreturn)) void out_of_memory(size_t bytes)
{
    fail_end(EXIT_FAILED, "out of memory: %zu bytes could not be had", bytes);
}

void *mem_need(size_t count, size_t bytes)
{
    void *at = calloc(count, bytes);
    if (!at)
        out_of_memory(count * bytes);
    return at;
}

void *mem_pages(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        out_of_memory(bytes);
    return at;
}
