/* How far this machine's wall clock is from that of a reference, any HTTP server that several clients
 * can ask: from its Date field (RFC 9110 section 6.6.1), which has whole seconds only, and the moments
 * at which that changes. */
#ifndef LOAD_REFERENCE_H
#define LOAD_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"

/* Reference minus own clock lies from low to high. */
struct reference_offset {
    bool is_known;
    int64_t low_us, high_us;
};

/* What a Date says that was asked for and read between two times of our clock: it was made somewhere
 * between, within the second that it names. Narrows `o`; false if that contradicts what is known. */
bool reference_narrow(struct reference_offset *o, int64_t asked_us, int64_t read_us,
                      int64_t date_s) MUST_USE;

/* When to ask next, not before `now_us`, so that the answer halves what is open. */
int64_t reference_next_us(const struct reference_offset *o, int64_t now_us);

/* Asks `url` until the offset is known to REFERENCE_FINE_US or as finely as a round trip allows, or the
 * wall clock shows `until_us`; takes some seconds. EXIT_FAILED if it does not answer with a Date, or
 * with one that contradicts itself. */
#define REFERENCE_FINE_US 1000
bool reference_ask(const char *url, int64_t until_us, struct reference_offset *o,
                   struct fail *f) MUST_USE;

#endif
