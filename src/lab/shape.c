/* CPUs and memory shrink by one factor, so that their proportion stays the published one. */
#include "lab/shape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/units.h"

/* Of the pod, of PostgreSQL's machine (i3en.2xlarge) and of Memcached's (m7a.xlarge). */
static const char video[] = "2:4G/8:64G/4:16G";
static const double CPUS_MIN = 0.01; /* the kernel takes no quota below 1 ms of 100 */
static const char EXPECTED[] =
    "expected video, CPUS:MEMORY such as 0.5:512M, or three of these for "
    "target/PostgreSQL/memcached";

static bool read_cpus(const char *text, size_t len, double *cpus)
{
    char part[16], *end;
    if (!len || len >= sizeof part || text[strspn(text, "0123456789.")] != ':')
        return false;
    snprintf(part, sizeof part, "%.*s", (int)len, text);
    *cpus = strtod(part, &end);
    return !*end && *cpus >= CPUS_MIN && *cpus <= 4096;
}

static bool read_part(const char *text, size_t len, double *cpus, uint64_t *memory_bytes,
                      struct fail *f)
{
    char part[64], shown[64];
    snprintf(part, sizeof part, "%.*s", (int)len, text);
    const char *colon = strchr(part, ':');
    if (len >= sizeof part || !colon || !read_cpus(part, (size_t)(colon - part), cpus))
        return fail_set(f, EXIT_USAGE, "\"%s\": %s",
                        log_escape((struct span){text, len}, shown, sizeof shown), EXPECTED);
    return units_size(colon + 1, memory_bytes, f);
}

static bool read_shape(const char *how, struct shape *s, struct fail *f)
{
    const char *at = strcmp(how, "video") ? how : video;
    double *cpus[] = {&s->cpus, &s->postgres.cpus, &s->memcached.cpus};
    uint64_t *memory[] = {&s->memory_bytes, &s->postgres.memory_bytes, &s->memcached.memory_bytes};
    for (int i = 0; i < 3; i++) {
        size_t len = strcspn(at, "/");
        bool is_last = !at[len];
        if (!read_part(at, len, cpus[i], memory[i], f))
            return false;
        if (is_last && i != 1)
            return true;
        if (is_last || i == 2)
            break;
        at += len + 1;
    }
    return fail_set(f, EXIT_USAGE, "\"%.60s\": %s", how, EXPECTED);
}

/* --- the services --- */

static void add_share(const char *name, struct shape_share *share, const struct shape_machine *m,
                      bool has_quota, struct shape *s)
{
    char quota[32] = "no quota", limit[UNITS_TEXT_BYTES] = "not limited";
    if (share->cpus <= 0)
        return;
    double cpus = share->cpus * s->scale;
    uint64_t bytes = (uint64_t)((double)share->memory_bytes * s->scale) >> 20 << 20;
    share->quota_cpus = has_quota && cpus < m->service_cores ? cpus : 0;
    share->limit_bytes = bytes < m->memory_bytes ? bytes : UINT64_MAX;
    if (share->quota_cpus > 0)
        snprintf(quota, sizeof quota, "quota %.3g CPU%s", cpus, cpus == 1 ? "" : "s");
    if (share->limit_bytes != UINT64_MAX)
        units_size_text(share->limit_bytes, limit);
    size_t len = strlen(s->text);
    snprintf(s->text + len, sizeof s->text - len, "; %s %.3g CPUs: %s, memory %s", name,
             share->cpus, quota, limit);
}

static bool has_memory(const char *whose, uint64_t bytes, uint64_t least, struct fail *f)
{
    char limit[UNITS_TEXT_BYTES], expected[UNITS_TEXT_BYTES];
    return bytes >= least ||
           fail_set(f, EXIT_USAGE, "%s of memory are too little for %s: expected at least %s",
                    units_size_text(bytes, limit), whose, units_size_text(least, expected));
}

/* --- the whole --- */

bool shape_choose(const char *how, bool has_quota, const struct shape_machine *machine,
                  struct shape *s, struct fail *f)
{
    enum { TARGET_LEAST = 16 << 20, SERVICE_LEAST = 128 << 20 };
    char asked[UNITS_TEXT_BYTES], limit[UNITS_TEXT_BYTES], quota[32] = "none";
    *s = (struct shape){.is_set = how, .scale = 1, .cores = machine->cores};
    s->postgres.limit_bytes = s->memcached.limit_bytes = UINT64_MAX;
    if (!how)
        return true;
    if (!read_shape(how, s, f))
        return false;
    s->scale = fmin(1, fmin(machine->cores / s->cpus,
                            (double)machine->memory_bytes / 2 / (double)s->memory_bytes));
    double cpus = s->cpus * s->scale;
    s->limit_bytes = (uint64_t)((double)s->memory_bytes * s->scale) >> 20 << 20;
    if (!has_memory("any target", s->limit_bytes, TARGET_LEAST, f))
        return false;
    if (has_quota) {
        s->quota_cpus = cpus;
        snprintf(quota, sizeof quota, "%.3g CPU%s", cpus, cpus == 1 ? "" : "s");
    }
    s->cores = (unsigned)fmin(machine->cores, fmax(1, ceil(cpus)));
    snprintf(s->text, sizeof s->text, "%.3g CPU%s, %s scaled by %.3g: quota %s, memory %s", s->cpus,
             s->cpus == 1 ? "" : "s", units_size_text(s->memory_bytes, asked), s->scale, quota,
             units_size_text(s->limit_bytes, limit));
    add_share("PostgreSQL", &s->postgres, machine, has_quota, s);
    add_share("memcached", &s->memcached, machine, has_quota, s);
    return has_memory("PostgreSQL", s->postgres.limit_bytes, SERVICE_LEAST, f) &&
           has_memory("memcached", s->memcached.limit_bytes, SERVICE_LEAST, f);
}
