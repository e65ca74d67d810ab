/* A party that is not there has no key; of one that is, what is not known is null. */
#include "report/usage.h"

#include "report/json_priv.h"

/* In a shorter last row the scheduler's ticks show as peaks. */
static const double SHORTEST_S = 0.1;

/* --- a second --- */

static void put_spread(json_t *to, const char *key, const struct usage_spread *s,
                       json_t *(*json)(double), bool is_spread)
{
    char name[32];
    put(to, key, json(s->mean));
    if (!is_spread)
        return;
    snprintf(name, sizeof name, "%s_min", key);
    put(to, name, json(s->min));
    snprintf(name, sizeof name, "%s_max", key);
    put(to, name, json(s->max));
}

/* There are many of them, and more digits mean nothing. */
static double hundredths(float pct)
{
    return round((double)pct * 100) / 100;
}

/* The cores that the party was on. */
static json_t *cores_json(const struct usage *u, unsigned party)
{
    const float *pct = usage_cores((struct usage *)(uintptr_t)u, party);
    json_t *to = json_object();
    char core[16];
    for (unsigned i = 0; i < u->core_count; i++) {
        snprintf(core, sizeof core, "%u", i);
        if (pct[i] > 0)
            put(to, core, json_real(hundredths(pct[i])));
    }
    return to;
}

static json_t *party_json(const struct usage *u, unsigned party)
{
    const struct usage_party *p = &u->parties[party];
    bool is_spread = u->readings > 1;
    json_t *to = json_object();
    put_spread(to, "cpu_pct", &p->cpu_pct, number, is_spread);
    put(to, "cpu_pct_by_core", cores_json(u, party));
    put_spread(to, "rss_bytes", &p->rss_bytes, count_or_null, is_spread);
    put(to, "pss_bytes", count_or_null(p->pss_bytes));
    put(to, "threads", count_or_null(p->threads));
    put(to, "fds", count_or_null(p->fds));
    put(to, "voluntary_switches", count_or_null(p->voluntary_switches));
    put(to, "involuntary_switches", count_or_null(p->involuntary_switches));
    put(to, "quota_cpus", number(p->quota_cpus));
    put(to, "periods", count_or_null(p->periods));
    put(to, "throttled_periods", count_or_null(p->throttled_periods));
    put(to, "throttled_ms", number(p->throttled_ms));
    return to;
}

static json_t *host_json(const struct usage *u)
{
    const float *pct = usage_cores((struct usage *)(uintptr_t)u, PARTY_COUNT);
    json_t *cores = json_array();
    for (unsigned i = 0; i < u->core_count; i++)
        CHECK(json_array_append_new(cores, number(hundredths(pct[i]))) == 0);
    return json_pack("{s:o, s:o, s:o}", "cpu_pct_by_core", cores, "steal_pct", number(u->steal_pct),
                     "mhz", number(u->mhz));
}

void usage_put(json_t *row, const struct usage *u)
{
    const struct usage_party *target = u ? &u->parties[PARTY_TARGET] : NULL;
    bool has_target = target && target->is_there;
    json_t *parties = json_object();
    for (unsigned i = 0; u && i < PARTY_COUNT; i++)
        if (u->parties[i].is_there)
            put(parties, party_names[i], party_json(u, i));
    put(row, "cpu_pct", has_target ? number(target->cpu_pct.mean) : json_null());
    put(row, "rss_bytes", has_target ? count_or_null(target->rss_bytes.mean) : json_null());
    put(row, "throttled_ms", has_target ? number(target->throttled_ms) : json_null());
    put(row, "parties", parties);
    put(row, "host", u ? host_json(u) : json_null());
}

/* --- a run --- */

struct usage_sum usage_sum(const struct load_result *r, enum party party)
{
    struct usage_sum sum = {false, NAN, NAN, NAN, NAN, NAN};
    uint64_t ended = r->counts.sent - r->counts.unfinished, cpu_ns = 0;
    double weighted = 0, length_s = 0;
    for (unsigned i = 0; i < r->second_count; i++) {
        const struct load_second *s = &r->seconds[i];
        if (!s->usage || !s->usage->parties[party].is_there)
            continue;
        const struct usage_party *p = &s->usage->parties[party];
        sum.is_there = true;
        cpu_ns += p->cpu_ns;
        if (isfinite(p->cpu_pct.mean)) {
            weighted += p->cpu_pct.mean * s->length_s;
            length_s += s->length_s;
        }
        if (s->length_s >= SHORTEST_S || isnan(sum.cpu_pct_max))
            sum.cpu_pct_max = fmax(sum.cpu_pct_max, p->cpu_pct.max); /* the one that is known */
        sum.rss_bytes_max = fmax(sum.rss_bytes_max, p->rss_bytes.max);
        sum.pss_bytes_max = fmax(sum.pss_bytes_max, p->pss_bytes);
    }
    if (length_s > 0)
        sum.cpu_pct_mean = weighted / length_s;
    if (sum.is_there && ended)
        sum.cpu_us_per_request = (double)cpu_ns / 1000 / (double)ended;
    return sum;
}

json_t *usage_sums_json(const struct load_result *r)
{
    json_t *parties = json_object();
    for (unsigned i = 0; i < PARTY_COUNT; i++) {
        struct usage_sum sum = usage_sum(r, (enum party)i);
        if (sum.is_there)
            put(parties, party_names[i],
                json_pack("{s:o, s:o, s:o, s:o, s:o}", "cpu_us_per_request",
                          number(sum.cpu_us_per_request), "cpu_pct_mean", number(sum.cpu_pct_mean),
                          "cpu_pct_max", number(sum.cpu_pct_max), "rss_bytes_max",
                          count_or_null(sum.rss_bytes_max), "pss_bytes_max",
                          count_or_null(sum.pss_bytes_max)));
    }
    return parties;
}
