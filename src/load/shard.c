/* The wall clock is asked for the start only, and once; from then on the shard counts by the monotonic
 * clock like any other run. */
#include "load/shard.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/num.h"
#include "base/units.h"

static const int64_t AHEAD_MAX_US = 24 * 3600 * INT64_C(1000000);

static bool parse_share(const char *text, struct shard *s, struct fail *f)
{
    char shown[64];
    const char *slash = strchr(text, '/');
    uint64_t index, count;
    if (slash && num_get((struct span){text, (size_t)(slash - text)}, SHARDS_MAX, &index) &&
        num_get(span_of(slash + 1), SHARDS_MAX, &count) && index < count) {
        s->index = (uint32_t)index;
        s->count = (uint32_t)count;
        return true;
    }
    return fail_set(f, EXIT_USAGE,
                    "--shard \"%s\" is none: expected INDEX/COUNT, from 0/4 to 3/4 for four "
                    "clients",
                    log_escape(span_of(text), shown, sizeof shown));
}

static bool parse_start(const char *text, struct shard *s, struct fail *f)
{
    char shown[64], now_text[CLOCK_TEXT_BYTES];
    int64_t now_us = clock_wall_us();
    uint64_t ahead_ns;
    log_escape(span_of(text), shown, sizeof shown);
    clock_text(now_us, now_text);
    if (text[0] == '+') {
        if (!units_duration(text + 1, &ahead_ns, f))
            return fail_prefix(f, "--start-at \"%s\"", shown);
        s->start_at_us = now_us + (int64_t)(ahead_ns / NS_PER_US);
    } else if (!clock_parse(text, &s->start_at_us)) {
        return fail_set(f, EXIT_USAGE,
                        "--start-at \"%s\" is no time: expected one such as %.19sZ, or +5s from "
                        "now",
                        shown, now_text);
    }
    if (s->start_at_us < now_us)
        return fail_set(f, EXIT_USAGE, "--start-at \"%s\" is past: it is %s", shown, now_text);
    if (s->start_at_us - now_us > AHEAD_MAX_US)
        return fail_set(f, EXIT_USAGE, "--start-at \"%s\" is more than a day away: it is %s", shown,
                        now_text);
    return true;
}

bool shard_parse(const char *share, const char *start_at, struct shard *s, struct fail *f)
{
    *s = (struct shard){.count = 1, .is_given = share || start_at};
    return (!share || parse_share(share, s, f)) && (!start_at || parse_start(start_at, s, f));
}

bool shard_start_ns(const struct shard *s, uint64_t *start_ns, struct fail *f)
{
    int64_t ahead_us = s->start_at_us - clock_wall_us();
    *start_ns = clock_ns() + (uint64_t)(ahead_us * (int64_t)NS_PER_US);
    return ahead_us >= -(int64_t)(SHARD_LATE_MAX_NS / NS_PER_US) ||
           fail_set(f, EXIT_FAILED,
                    "the connections were open %.3g s after the agreed start: agree on a later "
                    "--start-at",
                    (double)-ahead_us / 1e6);
}
