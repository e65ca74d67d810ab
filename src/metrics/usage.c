/* One block of memory: the parties, then a row of cores for each of them and one for the host. */
#include "metrics/usage.h"

#include <math.h>

#include "base/mem.h"

const char *const party_names[PARTY_COUNT] = {"target", "client", "upstream", "postgres",
                                              "memcached"};

struct usage *usage_new(unsigned core_count)
{
    const struct usage_spread unknown = {NAN, NAN, NAN};
    const struct usage_party nobody = {.cpu_pct = unknown,
                                       .rss_bytes = unknown,
                                       .pss_bytes = NAN,
                                       .threads = NAN,
                                       .fds = NAN,
                                       .voluntary_switches = NAN,
                                       .involuntary_switches = NAN,
                                       .quota_cpus = NAN,
                                       .periods = NAN,
                                       .throttled_periods = NAN,
                                       .throttled_ms = NAN};
    const unsigned rows = PARTY_COUNT + 1;
    struct usage *u = mem_need(1, sizeof *u + (uint64_t)rows * core_count * sizeof *u->cores);
    for (unsigned i = 0; i < PARTY_COUNT; i++)
        u->parties[i] = nobody;
    u->steal_pct = u->mhz = NAN;
    u->core_count = core_count;
    for (unsigned i = 0; i < core_count; i++)
        usage_cores(u, PARTY_COUNT)[i] = NAN;
    return u;
}
