/* CPUs and memory shrink by one factor, so that their proportion stays the published one. */
#include "lab/shape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/units.h"

static const char video[] = "2:4G";
static const double CPUS_MIN = 0.01; /* the kernel takes no quota below 1 ms of 100 */

static bool read_cpus(const char *text, size_t len, double *cpus)
{
    char part[16], *end;
    if (!len || len >= sizeof part || text[strspn(text, "0123456789.")] != ':')
        return false;
    snprintf(part, sizeof part, "%.*s", (int)len, text);
    *cpus = strtod(part, &end);
    return !*end && *cpus >= CPUS_MIN && *cpus <= 4096;
}

static bool read_shape(const char *how, struct shape *s, struct fail *f)
{
    const char *text = strcmp(how, "video") ? how : video, *colon = strchr(text, ':');
    char shown[64];
    if (!colon || !read_cpus(text, (size_t)(colon - text), &s->cpus))
        return fail_set(f, EXIT_USAGE, "\"%s\": expected video or CPUS:MEMORY such as 0.5:512M",
                        log_escape(span_of(how), shown, sizeof shown));
    return units_size(colon + 1, &s->memory_bytes, f);
}

bool shape_choose(const char *how, bool has_quota, unsigned cores, uint64_t machine_bytes,
                  struct shape *s, struct fail *f)
{
    char asked[UNITS_TEXT_BYTES], limit[UNITS_TEXT_BYTES], quota[32] = "none";
    *s = (struct shape){.is_set = how, .scale = 1, .cores = cores};
    if (!how)
        return true;
    if (!read_shape(how, s, f))
        return false;
    s->scale = fmin(1, fmin(cores / s->cpus, (double)machine_bytes / 2 / (double)s->memory_bytes));
    double cpus = s->cpus * s->scale;
    s->limit_bytes = (uint64_t)((double)s->memory_bytes * s->scale) >> 20 << 20;
    if (s->limit_bytes < 16 << 20)
        return fail_set(f, EXIT_USAGE,
                        "%s of memory are too little for any target: expected at least 16M",
                        units_size_text(s->limit_bytes, limit));
    if (has_quota) {
        s->quota_cpus = cpus;
        snprintf(quota, sizeof quota, "%.3g CPU%s", cpus, cpus == 1 ? "" : "s");
    }
    s->cores = (unsigned)fmin(cores, fmax(1, ceil(cpus)));
    snprintf(s->text, sizeof s->text, "%.3g CPU%s, %s scaled by %.3g: quota %s, memory %s", s->cpus,
             s->cpus == 1 ? "" : "s", units_size_text(s->memory_bytes, asked), s->scale, quota,
             units_size_text(s->limit_bytes, limit));
    return true;
}
