/* Thousands are set apart by a space, since a point and a comma mean different things to different
 * readers. */
#include "report/shown.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

const char *shown_count(uint64_t value, char out[SHOWN_BYTES])
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, value), at = 0;
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            out[at++] = ' ';
        out[at++] = digits[i];
    }
    out[at] = 0;
    return out;
}

const char *shown_rate(double per_s, char out[SHOWN_BYTES])
{
    if (per_s >= 100 && per_s < 1e15)
        return shown_count((uint64_t)llround(per_s), out);
    snprintf(out, SHOWN_BYTES, per_s < 100 ? "%.2f" : "%.3g", per_s);
    return out;
}

const char *shown_share(double share, char out[SHOWN_BYTES])
{
    double pct = share * 100;
    if (share < 1 && pct > 99.999)
        snprintf(out, SHOWN_BYTES, "99.999 %%");
    else
        snprintf(out, SHOWN_BYTES, pct == floor(pct) ? "%.0f %%" : "%.3f %%", pct);
    return out;
}

const char *shown_bytes(double bytes, char out[SHOWN_BYTES])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    unsigned unit = 0;
    for (; bytes >= 999.5 && unit < 4; unit++)
        bytes /= 1000;
    snprintf(out, SHOWN_BYTES, "%.3g %s", bytes, units[unit]);
    return out;
}
