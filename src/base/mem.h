/* Allocation at start, where failing means ending. At run time code uses malloc() and treats NULL
 * as a counted refusal. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#include "base/check.h"

/* `count` zeroed objects of `bytes`; never NULL: out of memory prints what was wanted and ends
 * the program with EXIT_FAILED. */
void *mem_need(size_t count, size_t bytes) MUST_USE;

/* Zeroed pages straight from the kernel, for pools that are mostly never touched. Never NULL. Freed
 * with munmap(2). */
void *mem_pages(size_t bytes) MUST_USE;

#endif
