/* Values as people write them on a command line, in a URL's query or in a scenario file. Each
 * function reads the whole of `text`, and on failure says what was expected ("a duration such as
 * 500us, 10ms, 5s or 2m"), with EXIT_USAGE. */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"

/* 500us 10ms 5s 2m 1h, decimals allowed (1.5s); a bare number is seconds. Result in ns, at most 30
 * days. */
bool units_duration(const char *text, uint64_t *ns, struct fail *f) MUST_USE;

/* Requests per second: 1000, 1k, 2.5k, 1M. Above 0, at most 100M. */
bool units_rate(const char *text, double *per_s, struct fail *f) MUST_USE;

/* Bytes: 512, 64k, 1M, 2G, powers of 1024. */
bool units_size(const char *text, uint64_t *bytes, struct fail *f) MUST_USE;

/* A whole number between min and max; k and M allowed (10k = 10000). */
bool units_count(const char *text, uint64_t min, uint64_t max, uint64_t *count,
                 struct fail *f) MUST_USE;

#define UNITS_TEXT_BYTES 32
/* The shortest faithful form into `out`, which is returned: "500us", "1.5s", "2m"; "12.3k"; "64k";
 * "1.25 ms". */
const char *units_duration_text(uint64_t ns, char out[UNITS_TEXT_BYTES]);
const char *units_rate_text(double per_s, char out[UNITS_TEXT_BYTES]);
const char *units_size_text(uint64_t bytes, char out[UNITS_TEXT_BYTES]);
/* A latency for a table: three significant digits and a unit, "842 us", "1.23 ms", "12.3 s". */
const char *units_latency_text(uint64_t ns, char out[UNITS_TEXT_BYTES]);

#endif
