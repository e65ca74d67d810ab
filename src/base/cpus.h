/* Sets of CPUs: the mask this process was given, core lists as people write them, and pinning. */
#ifndef BASE_CPUS_H
#define BASE_CPUS_H

#include <sched.h>
#include <stdbool.h>

#include "base/fail.h"

/* "0-3,6" into `set`. Fails with EXIT_USAGE on bad syntax, with EXIT_LACKING on a core that this machine
 * does not have or that the mask of this process excludes (the message lists the cores that may be
 * used). */
bool cpus_parse(const char *text, cpu_set_t *set, struct fail *f) MUST_USE;

/* The affinity mask that this process was started with (cached at the first call, before anything
 * is pinned). */
const cpu_set_t *cpus_given(void);

/* The `i`-th CPU of the set in ascending order, -1 past the end. */
int cpus_nth(const cpu_set_t *set, int i);

#define CPUS_TEXT_BYTES 256
/* "0-3,6" for a set; returns `out`. */
const char *cpus_text(const cpu_set_t *set, char out[CPUS_TEXT_BYTES]);

/* Pins the calling thread to one CPU, or to a set. False with errno set if the kernel refuses. */
bool cpus_pin(int cpu) MUST_USE;
bool cpus_pin_set(const cpu_set_t *set) MUST_USE;

/* Pins the calling thread to the cores that are left over by `busy`, the most sensitive of them first,
 * whose members may be NULL or empty. If there are none left, rather the least sensitive is disturbed;
 * where it may not be pinned, it runs where it is put. */
void cpus_keep_off(const cpu_set_t *const *busy, unsigned count);

#endif
