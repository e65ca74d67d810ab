/* The device of the benchmark: read from a request's JSON, written as JSON. Pure. */
#ifndef TARGET_DEVICE_H
#define TARGET_DEVICE_H

#include <stdint.h>

#include "base/check.h"
#include "base/span.h"

#define DEVICE_TEXT_CHARS 255                     /* of mac and firmware: varchar(255) */
#define DEVICE_TEXT_BYTES (DEVICE_TEXT_CHARS * 4) /* in UTF-8 */
#define DEVICE_JSON_BYTES \
    (256 + 2 * 6 * DEVICE_TEXT_CHARS) /* every character escaped, and the rest */

struct device {
    int64_t id; /* 0: none yet, and left out of the JSON */
    struct span uuid;
    struct span mac, firmware;
    struct span created_at, updated_at;
};

/* What a client posts: its two texts, decoded, in the caller's memory. */
struct device_input {
    uint16_t mac_len, firmware_len;
    char mac[DEVICE_TEXT_BYTES], firmware[DEVICE_TEXT_BYTES];
};

/* Reads `{"mac": "...", "firmware": "..."}` strictly (RFC 8259, UTF-8). Other members are checked
 * and ignored, of a repeated one the last counts. Returns NULL, or what is wrong with it: plain
 * ASCII without quotes, fit for an error reply. */
const char *device_read(struct device_input *d, struct span json);

/* Writes the JSON object at `at`, which has room for DEVICE_JSON_BYTES; returns its end. */
char *device_write(char *at, const struct device *d);

/* Writes the array of the three published devices (541 bytes) at `at`, built anew; returns its end.
 */
#define DEVICE_LIST_BYTES 1024
char *device_write_list(char *at);

#endif
