/* A line "cpuN user nice system idle iowait irq softirq steal ..." for each core; what follows steal
 * is counted within user and nice already. */
#include "load/steal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { STEAL_FIELD = 7, TEXT_BYTES_MAX = 1 << 20 };

/* The numbers of one line, which end with it. */
static bool parse_line(const char *at, const char *end, struct steal *s)
{
    for (int field = 0; field <= STEAL_FIELD; field++) {
        uint64_t ticks = 0;
        while (at < end && *at == ' ')
            at++;
        if (at == end || *at < '0' || *at > '9')
            return false;
        for (; at < end && *at >= '0' && *at <= '9'; at++)
            ticks = ticks * 10 + (uint64_t)(*at - '0');
        s->all += ticks;
        if (field == STEAL_FIELD)
            s->stolen += ticks;
    }
    return true;
}

bool steal_parse(struct span text, const cpu_set_t *cpus, struct steal *s)
{
    const char *at = text.data, *end = text.data + text.len;
    int found = 0;
    *s = (struct steal){0};
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        line_end = line_end ? line_end : end;
        if (line_end - at > 4 && !memcmp(at, "cpu", 3) && at[3] >= '0' && at[3] <= '9') {
            unsigned cpu = 0;
            for (at += 3; at < line_end && *at >= '0' && *at <= '9' && cpu < CPU_SETSIZE; at++)
                cpu = cpu * 10 + (unsigned)(*at - '0');
            if (cpu < CPU_SETSIZE && CPU_ISSET(cpu, cpus)) {
                if (!parse_line(at, line_end, s))
                    return false;
                found++;
            }
        }
        at = line_end + 1;
    }
    return found > 0 && found == CPU_COUNT(cpus);
}

bool steal_read(const cpu_set_t *cpus, struct steal *s)
{
    FILE *from = fopen("/proc/stat", "re");
    if (!from)
        return false;
    char *text = mem_need(TEXT_BYTES_MAX, 1);
    size_t len = fread(text, 1, TEXT_BYTES_MAX, from);
    bool is_read = steal_parse((struct span){text, len}, cpus, s);
    free(text);
    fclose(from);
    return is_read;
}

double steal_pct(const struct steal *before, const struct steal *after)
{
    uint64_t all = after->all - before->all;
    return after->all > before->all ? 100.0 * (double)(after->stolen - before->stolen) / (double)all
                                    : NAN;
}
