/* Integers and text, without printf's cost and without strtol's leniency. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

#define NUM_MAX_DIGITS 20

/* Writes `value` in decimal at `at` (room for NUM_MAX_DIGITS) and returns the number of bytes
 * written; no NUL. */
size_t num_put(char *at, uint64_t value);

/* Reads the whole of `text` as decimal digits. False if it is empty, holds anything but digits, or
 * exceeds `max`. */
bool num_get(struct span text, uint64_t max, uint64_t *value);

#endif
