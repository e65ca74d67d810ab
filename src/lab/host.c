/* "cpuN user nice system idle iowait irq softirq steal ..."; what follows steal is counted within user
 * and nice already. */
#include "lab/host.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "lab/proc.h"

enum { LINE_BYTES = 256 };

unsigned host_core_count(void)
{
    long count = sysconf(_SC_NPROCESSORS_CONF);
    return count > 0 ? (unsigned)count : 1;
}

static bool parse_core(const char *line, struct host_core *cores, unsigned count)
{
    enum { IDLE = 3, IOWAIT = 4, STEAL = 7, FIELDS = 8 };
    uint64_t ticks[FIELDS] = {0};
    unsigned core;
    if (sscanf(line,
               "cpu%u %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
               " %" SCNu64 " %" SCNu64,
               &core, &ticks[0], &ticks[1], &ticks[2], &ticks[3], &ticks[4], &ticks[5], &ticks[6],
               &ticks[7]) != FIELDS + 1 ||
        core >= count)
        return false;
    for (int i = 0; i < FIELDS; i++)
        cores[core].all += ticks[i];
    cores[core].idle = ticks[IDLE] + ticks[IOWAIT];
    cores[core].stolen = ticks[STEAL];
    return true;
}

/* Those of the cores stand at the file's begin; what follows them is long and not wanted. */
bool host_read(const char *root, struct host_core *cores, unsigned count)
{
    char path[PROC_PATH_BYTES];
    size_t room = (size_t)(count + 1) * LINE_BYTES;
    char *text = mem_need(room, 1);
    bool is_found = false;
    memset(cores, 0, count * sizeof *cores);
    snprintf(path, sizeof path, "%s/proc/stat", root);
    if (proc_read(path, text, room))
        for (const char *at = text; (at = strstr(at, "\ncpu")); at++)
            is_found |= parse_core(at + 1, cores, count);
    free(text);
    return is_found;
}

static double mhz_by_cpufreq(const char *root, unsigned core_count)
{
    double sum = 0;
    unsigned found = 0;
    for (unsigned i = 0; i < core_count; i++) {
        char path[PROC_PATH_BYTES], text[32];
        uint64_t khz;
        snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%u/cpufreq/scaling_cur_freq",
                 root, i);
        if (!proc_read(path, text, sizeof text) || sscanf(text, "%" SCNu64, &khz) != 1)
            continue;
        sum += (double)khz / 1000;
        found++;
    }
    return found ? sum / found : NAN;
}

static double mhz_by_cpuinfo(const char *root)
{
    char path[PROC_PATH_BYTES], line[2048];
    double sum = 0, mhz;
    unsigned found = 0;
    snprintf(path, sizeof path, "%s/proc/cpuinfo", root);
    FILE *from = fopen(path, "re");
    while (from && fgets(line, sizeof line, from))
        if (sscanf(line, "cpu MHz : %lf", &mhz) == 1) {
            sum += mhz;
            found++;
        }
    if (from)
        fclose(from);
    return found ? sum / found : NAN;
}

double host_mhz(const char *root, unsigned core_count)
{
    double mhz = mhz_by_cpufreq(root, core_count);
    return isnan(mhz) ? mhz_by_cpuinfo(root) : mhz;
}
