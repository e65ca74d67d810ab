/* The machine as a whole: busy and stolen time by core (proc_stat(5)), and how fast the cores run. */
#ifndef LAB_HOST_H
#define LAB_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"

/* Since the machine was started, in ticks. */
struct host_core {
    uint64_t all, idle, stolen; /* `idle`: waiting for I/O included; all 0: offline */
};

/* How many cores the machine has, those offline included. */
unsigned host_core_count(void);

/* Reads /proc/stat below `root` for so many cores; false if there is none. */
bool host_read(const char *root, struct host_core *cores, unsigned count) MUST_USE;

/* The mean frequency, by cpufreq or else by cpuinfo; NAN where neither tells it. */
double host_mhz(const char *root, unsigned core_count);

#endif
