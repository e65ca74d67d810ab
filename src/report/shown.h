/* Numbers as a person reads them in a table. Each writes into `out`, which is returned. */
#ifndef REPORT_SHOWN_H
#define REPORT_SHOWN_H

#include <stdint.h>

#define SHOWN_BYTES 32

const char *shown_count(uint64_t value, char out[SHOWN_BYTES]); /* 48 000 */
const char *shown_rate(double per_s, char out[SHOWN_BYTES]);    /* 48 000; below 100: 12.34 */
const char *shown_share(double share, char out[SHOWN_BYTES]); /* never 100 % while any is missing */
const char *shown_bytes(double bytes, char out[SHOWN_BYTES]); /* decimal: 36.2 MB */

#endif
