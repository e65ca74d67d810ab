/* A machine's /proc and /sys below a folder of a test's own. */
#ifndef TESTS_FAKEROOT_H
#define TESTS_FAKEROOT_H

#include "base/check.h"

extern char fakeroot[32]; /* the folder; "" before fakeroot_make() */

int fakeroot_make(void **state); /* cmocka's setup and teardown */
int fakeroot_remove(void **state);

/* Writes, links or removes what has this path below the folder; parents are made. */
void fakeroot_put(const char *path, const char *format, ...) PRINTF_LIKE(2, 3);
void fakeroot_link(const char *path, const char *to);
void fakeroot_drop(const char *path); /* a folder with all that is in it */

#endif
