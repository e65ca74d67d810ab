/* A rule is a function that adds a reason or does not; the worst reason is the verdict. INVALID is
 * for numbers that are wrong, SUSPECT for numbers that may mean something else than they seem to. */
#include "load/verdict.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"

enum {
    SENT_PCT_MIN = 99,     /* of the due requests, in the quoted time */
    SEND_LAG_PCT_MAX = 10, /* of the latency p99 */
    CPU_PCT_FULL = 95,     /* of a core: what is left is the kernel's rounding */
    LITTLE_PCT_MAX = 5,    /* both sides come from one clock; more is a broken count */
    LITTLE_SAMPLES_MIN = 200,
    SAMPLES_MIN = 1000, /* ten of them lie above p99 */
    STEAL_PCT_MAX = 2,
};

bool verdict_add(struct load_result *r, enum load_verdict verdict, const char *format, va_list args)
{
    enum { REASONS_MAX = sizeof r->reasons / sizeof *r->reasons };
    if (verdict > r->verdict)
        r->verdict = verdict;
    if (r->reason_count == REASONS_MAX)
        return false;
    r->reason_verdicts[r->reason_count] = verdict;
    vsnprintf(r->reasons[r->reason_count++], sizeof *r->reasons, format, args);
    return true;
}

static void reason(struct load_result *r, enum load_verdict verdict, const char *format, ...)
    PRINTF_LIKE(3, 4);

static void reason(struct load_result *r, enum load_verdict verdict, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    verdict_add(r, verdict, format, args);
    va_end(args);
}

/* --- what several reasons say --- */

typedef char reason_text[192];
typedef char cause_text[64];

/* ": Connection refused", what the system said last of a connection that was not to be had. */
static const char *cause(const struct verdict_facts *v, cause_text text)
{
    if (!v->connect_errno)
        return "";
    snprintf(text, sizeof(cause_text), ": %s", strerror(v->connect_errno));
    return text;
}

static const char *cut_off(const struct verdict_facts *v, reason_text text)
{
    cause_text why;
    snprintf(text, sizeof(reason_text),
             "for %u of %u s no connection was open nor could be made%s; see whether the target "
             "still runs",
             v->seconds_cut_off, v->seconds, cause(v, why));
    return text;
}

static bool client_was_full(const struct verdict_facts *v)
{
    return v->cpu_pct_worst_thread + v->starved_pct_worst_thread >= CPU_PCT_FULL;
}

static const char *client_full(const struct verdict_facts *v, reason_text text)
{
    if (v->cpu_pct_worst_thread >= CPU_PCT_FULL)
        snprintf(text, sizeof(reason_text), "a thread of it used %.0f %% of its core",
                 v->cpu_pct_worst_thread);
    else
        snprintf(text, sizeof(reason_text),
                 "a thread of it used %.0f %% of its core and waited for it %.0f %% of the time",
                 v->cpu_pct_worst_thread, v->starved_pct_worst_thread);
    return text;
}

/* --- INVALID --- */

static void judge_connections(const struct verdict_facts *v, struct load_result *r)
{
    cause_text why;
    if (v->descriptor_failures)
        reason(r, LOAD_INVALID, "file descriptors ran out %llu times: raise ulimit -n",
               (unsigned long long)v->descriptor_failures);
    if (v->port_failures)
        reason(r, LOAD_INVALID,
               "local ports ran out %llu times: widen "
               "net.ipv4.ip_local_port_range or keep connections alive",
               (unsigned long long)v->port_failures);
    if (v->opened < v->wanted)
        reason(r, LOAD_INVALID, "only %u of %u connections were ever open%s", v->opened, v->wanted,
               cause(v, why));
    else if (v->connect_failures && !v->connections_made)
        reason(r, LOAD_INVALID, "no connection was ever open%s", cause(v, why));
}

static bool could_send(const struct verdict_facts *v)
{
    return v->opened || (!v->wanted && v->connections_made); /* else judge_connections() says it */
}

/* A closed loop waits for a target that has gone and asks it less and less: what it lost in that time
 * is little beside what it had before, and its rate is that of a target which was not there. */
static void judge_gone(const struct verdict_facts *v, struct load_result *r)
{
    reason_text text;
    bool was_mostly_there = v->seconds_cut_off * 100 <= v->seconds * (100 - SENT_PCT_MIN);
    if (!v->is_open && v->seconds_cut_off && could_send(v))
        reason(r, was_mostly_there ? LOAD_SUSPECT : LOAD_INVALID, "%s", cut_off(v, text));
}

static void judge_schedule(const struct verdict_facts *v, struct load_result *r)
{
    reason_text text;
    if (!v->is_open || !could_send(v) || v->quoted_sent * 100 >= v->quoted_due * SENT_PCT_MIN)
        return;
    double sent_pct = 100.0 * (double)v->quoted_sent / (double)v->quoted_due;
    if (v->seconds_cut_off)
        reason(r, LOAD_INVALID, "only %.1f %% of the due requests were sent in time: %s", sent_pct,
               cut_off(v, text));
    else if (client_was_full(v))
        reason(r, LOAD_INVALID,
               "only %.1f %% of the due requests were sent in time: the client was too slow, %s; "
               "give it more cores (-t), or lower the rate",
               sent_pct, client_full(v, text));
    else
        reason(r, LOAD_INVALID,
               "only %.1f %% of the due requests were sent in time: all %u connections were busy; "
               "lower the rate or raise -c",
               sent_pct, v->connections);
}

/* Asked last of those that make a result INVALID. */
static void judge_lag(const struct verdict_facts *v, struct load_result *r)
{
    char lag[UNITS_TEXT_BYTES], latency[UNITS_TEXT_BYTES];
    bool is_late = v->is_open && v->samples &&
                   v->send_lag_p99_ns * 100 > v->latency_p99_ns * SEND_LAG_PCT_MAX;
    r->is_only_late = is_late && r->verdict != LOAD_INVALID;
    if (is_late)
        reason(r, LOAD_INVALID,
               "the client sent late: its send lag p99 of %s is above %d %% of the latency p99 "
               "of %s; quiet the machine, or give the client a core of its own",
               units_latency_text(v->send_lag_p99_ns, lag), SEND_LAG_PCT_MAX,
               units_latency_text(v->latency_p99_ns, latency));
}

static void judge_counting(const struct verdict_facts *v, struct load_result *r)
{
    double far = fabs(v->in_flight_mean - v->in_flight_by_law);
    if (v->ended >= LITTLE_SAMPLES_MIN && far * 100 > v->in_flight_mean * LITTLE_PCT_MAX)
        reason(r, LOAD_INVALID,
               "Little's law does not hold: %.2f requests were in flight on average, rate times "
               "service time says %.2f",
               v->in_flight_mean, v->in_flight_by_law);
}

/* --- SUSPECT --- */

static void judge_client(const struct verdict_facts *v, struct load_result *r)
{
    reason_text text;
    if (!v->is_open && client_was_full(v))
        reason(r, LOAD_SUSPECT,
               "the client was the limit: %s; the target may be faster than this says",
               client_full(v, text));
    if (v->steal_pct > STEAL_PCT_MAX)
        reason(r, LOAD_SUSPECT,
               "the host took the client's cores away for %.1f %% of the time (steal)",
               v->steal_pct);
    if (v->ring_overflows)
        reason(r, LOAD_SUSPECT,
               "the completion queue overflowed %llu times: the client fell "
               "behind",
               (unsigned long long)v->ring_overflows);
}

static void judge_samples(const struct verdict_facts *v, struct load_result *r)
{
    if (v->has_steps && !v->has_held_step)
        reason(r, LOAD_SUSPECT,
               "the target held no step of the schedule: what is quoted is the "
               "whole run");
    if (v->samples < SAMPLES_MIN)
        reason(r, LOAD_SUSPECT, "the percentiles rest on %llu requests; p99 needs %d",
               (unsigned long long)v->samples, SAMPLES_MIN);
    else if ((double)v->samples < v->samples_needed)
        reason(r, LOAD_SUSPECT,
               "the percentiles rest on %llu requests; what is expected of them needs %.0f",
               (unsigned long long)v->samples, v->samples_needed);
}

void verdict_reach(const struct verdict_facts *v, struct load_result *r)
{
    r->verdict = LOAD_VALID;
    r->reason_count = 0;
    judge_connections(v, r);
    judge_gone(v, r);
    judge_schedule(v, r);
    judge_counting(v, r);
    judge_lag(v, r);
    judge_client(v, r);
    judge_samples(v, r);
}
