/* Any bytes as the body of a POST: what is taken survives being written and read again, what is
 * refused is refused in words that fit into JSON as they are. */
#include <stdlib.h>

#include "target/device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* From an allocation that ends where the bytes end. */
static const char *read_copy(struct device_input *d, struct span json)
{
    char *copy = malloc(json.len ? json.len : 1);
    CHECK(copy);
    if (json.len)
        memcpy(copy, json.data, json.len);
    const char *wrong = device_read(d, (struct span){copy, json.len});
    free(copy);
    return wrong;
}

static void check_taken(const struct device_input *d)
{
    char *json = malloc(DEVICE_JSON_BYTES);
    CHECK(json && d->mac_len <= sizeof d->mac && d->firmware_len <= sizeof d->firmware);
    struct device device = {
        .id = INT32_MAX,
        .uuid = SPAN("9add349c-c35c-4d32-ab0f-53da1ba40a2a"),
        .mac = {d->mac, d->mac_len},
        .firmware = {d->firmware, d->firmware_len},
        .created_at = SPAN("2026-11-20T17:00:00.123456Z"),
        .updated_at = SPAN("2026-11-20T17:00:00.123456Z"),
    };
    CHECK(!memchr(d->mac, 0, d->mac_len) && !memchr(d->firmware, 0, d->firmware_len));
    size_t len = (size_t)(device_write(json, &device) - json);
    CHECK(len <= DEVICE_JSON_BYTES);

    struct device_input again;
    CHECK(!read_copy(&again, (struct span){json, len}));
    CHECK(span_eq((struct span){again.mac, again.mac_len}, device.mac));
    CHECK(span_eq((struct span){again.firmware, again.firmware_len}, device.firmware));
    free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct device_input d;
    const char *wrong = read_copy(&d, (struct span){(const char *)data, size});
    if (!wrong) {
        check_taken(&d);
        return 0;
    }
    CHECK(*wrong);
    for (const char *c = wrong; *c; c++)
        CHECK(*c >= ' ' && *c < 0x7f && *c != '"' && *c != '\\');
    return 0;
}
