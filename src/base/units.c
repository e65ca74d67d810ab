/* Every value is a decimal number times a unit, worked out in whole smallest parts (nanoseconds,
 * millionths of a request per second, bytes) with integers: nothing is rounded on the way in, what
 * is printed reads back as the same value, and no locale has a say. */
#include "base/units.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"

#define DURATION_MAX_NS (30 * 24 * 3600 * NS_PER_S)
#define RATE_PARTS      1000000ull /* a rate is a whole number of millionths */
#define RATE_MAX        (100000000 * RATE_PARTS)

struct unit {
    const char *suffix;
    uint64_t parts;
};

/* Ended by a row without parts. The first `printed_count` rows ascend; the others are only read. */
struct unit_table {
    const char *expected;
    unsigned printed_count;
    struct unit units[8];
};

static const struct unit_table duration_units = {
    "a duration such as 500us, 10ms, 5s or 2m",
    6,
    {{"ns", 1},
     {"us", NS_PER_US},
     {"ms", NS_PER_MS},
     {"s", NS_PER_S},
     {"m", 60 * NS_PER_S},
     {"h", 3600 * NS_PER_S},
     {"", NS_PER_S}},
};
static const struct unit_table rate_units = {
    "a rate per second such as 1000, 2.5k or 1M",
    3,
    {{"", RATE_PARTS},
     {"k", 1000 * RATE_PARTS},
     {"M", 1000000 * RATE_PARTS},
     {"K", 1000 * RATE_PARTS}},
};
static const struct unit_table size_units = {
    "a size in bytes such as 512, 64k, 1M or 2G",
    4,
    {{"", 1}, {"k", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"K", 1 << 10}},
};
static const struct unit_table count_units = {
    "a whole number",
    0,
    {{"", 1}, {"k", 1000}, {"M", 1000000}, {"K", 1000}},
};

enum reading { READING_DONE, READING_MALFORMED, READING_TOO_FINE, READING_TOO_GREAT };

static const struct unit *unit_named(const struct unit_table *table, const char *suffix)
{
    for (const struct unit *unit = table->units; unit->parts; unit++)
        if (!strcmp(unit->suffix, suffix))
            return unit;
    return NULL;
}

/* ".125" of a unit in whole parts. 10^18 is the greatest power of ten that still fits the scale;
 * zeros at the end say nothing and are dropped first. */
static enum reading read_fraction(struct span text, uint64_t unit_parts, uint64_t *parts)
{
    uint64_t digits = 0, scale = 1;
    while (text.len && text.data[text.len - 1] == '0')
        text.len--;
    if (text.len > 18)
        return READING_TOO_FINE;
    for (size_t i = 0; i < text.len; i++) {
        digits = digits * 10 + (uint64_t)(text.data[i] - '0');
        scale *= 10;
    }
    unsigned __int128 product = (unsigned __int128)digits * unit_parts;
    *parts = (uint64_t)(product / scale);
    return product % scale ? READING_TOO_FINE : READING_DONE;
}

static enum reading read_parts(const char *text, const struct unit_table *table, uint64_t max,
                               uint64_t *parts)
{
    struct span whole = {text, strspn(text, "0123456789")};
    struct span fraction = {text + whole.len, 0};
    if (*fraction.data == '.') {
        fraction.data++;
        fraction.len = strspn(fraction.data, "0123456789");
        if (!fraction.len)
            return READING_MALFORMED;
    }
    const struct unit *unit = unit_named(table, fraction.data + fraction.len);
    if (!whole.len || !unit)
        return READING_MALFORMED;

    uint64_t units, rest = 0;
    if (!num_get(whole, max / unit->parts, &units))
        return READING_TOO_GREAT;
    enum reading reading = read_fraction(fraction, unit->parts, &rest);
    *parts = units * unit->parts + rest; /* < max + one unit, far from 2^64 */
    return reading == READING_DONE && *parts > max ? READING_TOO_GREAT : reading;
}

/* One sentence for whatever is wrong with `text`; `finest` and `greatest` as people say them. */
static bool refuse(struct fail *f, const char *text, enum reading reading,
                   const struct unit_table *table, const char *finest, const char *greatest)
{
    char shown[64];
    log_escape(span_of(text), shown, sizeof shown);
    if (reading == READING_TOO_FINE)
        return fail_set(f, EXIT_USAGE, "\"%s\" is finer than %s: expected %s", shown, finest,
                        table->expected);
    if (reading == READING_TOO_GREAT)
        return fail_set(f, EXIT_USAGE, "\"%s\" is too great: expected %s, at most %s", shown,
                        table->expected, greatest);
    return fail_set(f, EXIT_USAGE, "\"%s\" is not understood: expected %s", shown, table->expected);
}

bool units_duration(const char *text, uint64_t *ns, struct fail *f)
{
    enum reading reading = read_parts(text, &duration_units, DURATION_MAX_NS, ns);
    return reading == READING_DONE ||
           refuse(f, text, reading, &duration_units, "a nanosecond", "720h (30 days)");
}

bool units_rate(const char *text, double *per_s, struct fail *f)
{
    uint64_t parts;
    enum reading reading = read_parts(text, &rate_units, RATE_MAX, &parts);
    if (reading == READING_DONE && !parts)
        return fail_set(f, EXIT_USAGE, "a rate of 0 sends nothing: expected %s",
                        rate_units.expected);
    if (reading != READING_DONE)
        return refuse(f, text, reading, &rate_units, "a millionth", "100M");
    *per_s = (double)parts / RATE_PARTS;
    return true;
}

bool units_size(const char *text, uint64_t *bytes, struct fail *f)
{
    enum reading reading = read_parts(text, &size_units, 1ull << 60, bytes);
    return reading == READING_DONE ||
           refuse(f, text, reading, &size_units, "a byte", "1073741824G");
}

bool units_count(const char *text, uint64_t min, uint64_t max, uint64_t *count, struct fail *f)
{
    char shown[64];
    CHECK(min <= max);
    CHECK(max <= UINT64_MAX / 2);
    enum reading reading = read_parts(text, &count_units, max, count);
    if (reading == READING_DONE && *count >= min)
        return true;
    log_escape(span_of(text), shown, sizeof shown);
    if (reading == READING_DONE || reading == READING_TOO_GREAT)
        return fail_set(f, EXIT_USAGE,
                        "\"%s\" is out of range: expected %s from %" PRIu64 " to %" PRIu64, shown,
                        count_units.expected, min, max);
    return fail_set(f, EXIT_USAGE,
                    "\"%s\" is not a whole number: expected one from %" PRIu64 " to %" PRIu64,
                    shown, min, max);
}

/* `value` parts in `unit`, exactly; false if that takes more room than `out` has. */
static bool put_exact(uint64_t value, const struct unit *unit, char out[UNITS_TEXT_BYTES])
{
    size_t at = num_put(out, value / unit->parts);
    size_t room = UNITS_TEXT_BYTES - strlen(unit->suffix) - 1;
    uint64_t rest = value % unit->parts;
    if (rest && at < room)
        out[at++] = '.';
    for (; rest && at < room; at++) {
        unsigned __int128 shifted = (unsigned __int128)rest * 10;
        out[at] = (char)('0' + (int)(shifted / unit->parts));
        rest = (uint64_t)(shifted % unit->parts);
    }
    memcpy(out + at, unit->suffix, strlen(unit->suffix) + 1);
    return !rest;
}

/* The shortest exact text in a unit of which there is at least one; of equals the greater unit. */
static const char *shortest(uint64_t value, const struct unit_table *table,
                            char out[UNITS_TEXT_BYTES])
{
    char tried[UNITS_TEXT_BYTES];
    put_exact(value, &table->units[0], out);
    for (unsigned i = 1; i < table->printed_count && value >= table->units[i].parts; i++)
        if (put_exact(value, &table->units[i], tried) && strlen(tried) <= strlen(out))
            memcpy(out, tried, sizeof tried);
    return out;
}

const char *units_duration_text(uint64_t ns, char out[UNITS_TEXT_BYTES])
{
    return ns ? shortest(ns, &duration_units, out) : memcpy(out, "0s", 3);
}

const char *units_rate_text(double per_s, char out[UNITS_TEXT_BYTES])
{
    CHECK(per_s >= 0 && per_s < 1e12);
    return shortest((uint64_t)llround(per_s * RATE_PARTS), &rate_units, out);
}

const char *units_size_text(uint64_t bytes, char out[UNITS_TEXT_BYTES])
{
    return shortest(bytes, &size_units, out);
}

const char *units_latency_text(uint64_t ns, char out[UNITS_TEXT_BYTES])
{
    /* `digit_ns` is what the last of the three digits is worth: 10 us in "1.23 ms". */
    uint64_t digit_ns = 1, digits = ns;
    while (digits >= 1000 && digit_ns < NS_PER_S) {
        digit_ns *= 10;
        digits = ns / digit_ns + (ns % digit_ns * 2 >= digit_ns);
    }
    unsigned unit = 0;
    while (unit < 3 && duration_units.units[unit + 1].parts <= 100 * digit_ns)
        unit++;
    uint64_t worth = duration_units.units[unit].parts / digit_ns; /* of the digit being put */
    size_t at = num_put(out, digits / worth);
    if (worth > 1)
        out[at++] = '.';
    while (worth /= 10)
        out[at++] = (char)('0' + digits / worth % 10);
    snprintf(out + at, UNITS_TEXT_BYTES - at, " %s", duration_units.units[unit].suffix);
    return out;
}
