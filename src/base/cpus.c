/* Core lists are checked against two facts: what the machine has and what the mask that this
 * process was started with leaves of it (taskset, a container's cpuset). The mask is read once,
 * because pinning a thread later changes what the kernel would answer. */
#include "base/cpus.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/num.h"

static cpu_set_t given;

/* A kernel built for more CPUs than cpu_set_t holds refuses the call; then every CPU that fits and
 * is online counts as given. */
static void read_given(void)
{
    if (!sched_getaffinity(0, sizeof given, &given))
        return;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    for (int cpu = 0; cpu < online && cpu < CPU_SETSIZE; cpu++)
        CPU_SET(cpu, &given);
}

const cpu_set_t *cpus_given(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_given);
    return &given;
}

/* "3" or "0-3". Numbers beyond every machine are cut, so that they are refused as cores, not as
 * syntax. */
static bool read_range(struct span item, uint64_t *first, uint64_t *last)
{
    const char *dash = memchr(item.data, '-', item.len);
    struct span head = {item.data, dash ? (size_t)(dash - item.data) : item.len};
    if (!num_get(head, UINT32_MAX, first))
        return false;
    *last = *first;
    return !dash || (num_get((struct span){dash + 1, item.len - head.len - 1}, UINT32_MAX, last) &&
                     *first <= *last);
}

static bool refuse_syntax(const char *text, struct fail *f)
{
    char shown[64], usable[CPUS_TEXT_BYTES];
    return fail_set(
        f, EXIT_USAGE, "\"%s\" is not a core list: expected one such as 0-3,6 (usable here: %s)",
        log_escape(span_of(text), shown, sizeof shown), cpus_text(cpus_given(), usable));
}

static bool refuse_core(unsigned cpu, struct fail *f)
{
    char usable[CPUS_TEXT_BYTES];
    cpus_text(cpus_given(), usable);
    if ((long)cpu >= sysconf(_SC_NPROCESSORS_CONF))
        return fail_set(f, EXIT_LACKING, "this machine has no core %u: expected cores of %s", cpu,
                        usable);
    return fail_set(f, EXIT_LACKING,
                    "core %u is outside the affinity mask of this process: expected cores of %s",
                    cpu, usable);
}

bool cpus_parse(const char *text, cpu_set_t *set, struct fail *f)
{
    CPU_ZERO(set);
    for (const char *at = text;; at++) {
        struct span item = {at, strcspn(at, ",")};
        uint64_t first, last;
        if (!read_range(item, &first, &last))
            return refuse_syntax(text, f);
        for (uint64_t cpu = first; cpu <= last; cpu++) {
            if (cpu >= CPU_SETSIZE || !CPU_ISSET((size_t)cpu, cpus_given()))
                return refuse_core((unsigned)cpu, f);
            CPU_SET((size_t)cpu, set);
        }
        at += item.len;
        if (!*at)
            return true;
    }
}

int cpus_nth(const cpu_set_t *set, int i)
{
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, set) && i-- == 0)
            return cpu;
    return -1;
}

const char *cpus_text(const cpu_set_t *set, char out[CPUS_TEXT_BYTES])
{
    size_t len = 0;
    out[0] = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, set))
            continue;
        int first = cpu;
        while (cpu + 1 < CPU_SETSIZE && CPU_ISSET(cpu + 1, set))
            cpu++;
        char range[32];
        int range_len = cpu > first ? snprintf(range, sizeof range, ",%d-%d", first, cpu)
                                    : snprintf(range, sizeof range, ",%d", first);
        if (len + (size_t)range_len + sizeof ",..." > CPUS_TEXT_BYTES) {
            memcpy(out + len, ",...", sizeof ",...");
            return out;
        }
        const char *shown = len ? range : range + 1; /* no comma before the first */
        memcpy(out + len, shown, strlen(shown) + 1);
        len += strlen(shown);
    }
    return out;
}

bool cpus_pin(int cpu)
{
    cpu_set_t set;
    CHECK(cpu >= 0 && cpu < CPU_SETSIZE);
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return cpus_pin_set(&set);
}

bool cpus_pin_set(const cpu_set_t *set)
{
    cpus_given();
    return sched_setaffinity(0, sizeof *set, set) == 0;
}

void cpus_keep_off(const cpu_set_t *const *busy, unsigned count)
{
    cpu_set_t left = *cpus_given();
    for (unsigned i = 0; i < count; i++) {
        cpu_set_t less;
        if (!busy[i])
            continue;
        CPU_XOR(&less, &left, busy[i]);
        CPU_AND(&less, &less, &left);
        if (CPU_COUNT(&less))
            left = less;
    }
    (void)!cpus_pin_set(&left);
}
