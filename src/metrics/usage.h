/* What the parties of a run used of the machine in one second. A party is threads of this process
 * (client, upstream, our own target) or processes with all their descendants. */
#ifndef METRICS_USAGE_H
#define METRICS_USAGE_H

#include <stdbool.h>
#include <stdint.h>

enum party {
    PARTY_TARGET,
    PARTY_CLIENT,
    PARTY_UPSTREAM,
    PARTY_POSTGRES,
    PARTY_MEMCACHED,
    PARTY_COUNT
};
extern const char *const party_names[PARTY_COUNT]; /* as the result's keys */

/* Over the readings of a second; all three are the same where there was one. */
struct usage_spread {
    double mean, min, max;
};

/* NAN: not known. Counts and times are of this second. */
struct usage_party {
    bool is_there; /* the party runs; if not, the rest is meaningless */
    uint64_t cpu_ns;
    struct usage_spread cpu_pct; /* of one core */
    /* Summed over processes: memory that they share counts in each in RSS, by shares in PSS. */
    struct usage_spread rss_bytes;
    double pss_bytes, threads, fds;
    double voluntary_switches, involuntary_switches;
    /* of the control group that the party is in; quota NAN also where there is none */
    double quota_cpus, periods, throttled_periods, throttled_ms;
};

struct usage {
    struct usage_party parties[PARTY_COUNT];
    double steal_pct;    /* of all cores' time */
    double mhz;          /* mean over the cores */
    uint32_t readings;   /* that the second was made of */
    unsigned core_count; /* as the kernel numbers them, those offline included */
    float cores[];       /* see usage_cores() */
};

/* Everything unknown; freed with free(3). */
struct usage *usage_new(unsigned core_count);

/* % by core of a party, or with PARTY_COUNT of the whole host (NAN: offline). A party's sum is at most
 * its cpu_pct: of what ended between two readings the core is not known. */
static inline float *usage_cores(struct usage *u, unsigned party)
{
    return u->cores + (uint64_t)party * u->core_count;
}

#endif
