#include "base/clock.h"

#include <string.h>
#include <sys/timex.h>

#include "base/check.h"

static uint64_t read_clock(clockid_t id)
{
    struct timespec t;
    if (clock_gettime(id, &t))
        return 0;
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_wall_us(void)
{
    return (int64_t)(read_clock(CLOCK_REALTIME) / NS_PER_US);
}

uint64_t clock_thread_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_cpu_ns_of(pthread_t thread)
{
    clockid_t id;
    return pthread_getcpuclockid(thread, &id) ? 0 : read_clock(id);
}

uint64_t clock_cpu_ns_by(clockid_t clock)
{
    return read_clock(clock);
}

/* Writes `value` with leading zeros into exactly `digits` bytes. */
static void put_digits(char *at, unsigned value, int digits)
{
    while (digits--) {
        at[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

void clock_text(int64_t wall_us, char text[CLOCK_TEXT_BYTES])
{
    /* A POST stamps each row, mostly within the same second: the calendar part is worked out once a
     * second and thread. */
    static _Thread_local int64_t cached_second = -1;
    static _Thread_local char cached[CLOCK_TEXT_BYTES];

    CHECK(wall_us >= 0);
    int64_t second = wall_us / 1000000;
    if (second != cached_second) {
        struct tm tm;
        time_t t = (time_t)second;
        gmtime_r(&t, &tm);
        memcpy(cached, "0000-00-00T00:00:00.000000Z", CLOCK_TEXT_BYTES);
        put_digits(cached, (unsigned)tm.tm_year + 1900, 4);
        put_digits(cached + 5, (unsigned)tm.tm_mon + 1, 2);
        put_digits(cached + 8, (unsigned)tm.tm_mday, 2);
        put_digits(cached + 11, (unsigned)tm.tm_hour, 2);
        put_digits(cached + 14, (unsigned)tm.tm_min, 2);
        put_digits(cached + 17, (unsigned)tm.tm_sec, 2);
        cached_second = second;
    }
    memcpy(text, cached, CLOCK_TEXT_BYTES);
    put_digits(text + 20, (unsigned)(wall_us % 1000000), 6);
}

/* --- read --- */

static bool take_digits(const char **at, unsigned digits, unsigned most, unsigned *value)
{
    *value = 0;
    for (unsigned i = 0; i < digits; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        *value = *value * 10 + (unsigned)(**at - '0');
    }
    return *value <= most;
}

static bool take(const char **at, const char *any_of)
{
    bool is_one = **at && strchr(any_of, **at);
    *at += is_one;
    return is_one;
}

/* "T17:00:00.25" without its "T", in microseconds of the day. */
static bool take_time(const char **at, int64_t *us)
{
    unsigned hour, minute, second, digit;
    if (!take_digits(at, 2, 23, &hour) || !take(at, ":") || !take_digits(at, 2, 59, &minute) ||
        !take(at, ":") || !take_digits(at, 2, 60, &second))
        return false;
    *us = ((int64_t)(hour * 60 + minute) * 60 + second) * 1000000;
    if (!take(at, "."))
        return true;
    if (!take_digits(at, 1, 9, &digit))
        return false;
    int64_t unit_us = 100000;
    *us += digit * unit_us;
    while (take_digits(at, 1, 9, &digit))
        *us += digit * (unit_us /= 10);
    return true;
}

/* "Z", or how far local time is ahead, as "+01:00". */
static bool take_offset(const char **at, int64_t *us)
{
    unsigned hours, minutes;
    *us = 0;
    if (take(at, "Zz"))
        return true;
    bool is_behind = **at == '-';
    if (!take(at, "+-") || !take_digits(at, 2, 23, &hours) || !take(at, ":") ||
        !take_digits(at, 2, 59, &minutes))
        return false;
    *us = (int64_t)(hours * 60 + minutes) * 60 * 1000000 * (is_behind ? -1 : 1);
    return true;
}

bool clock_parse(const char *text, int64_t *wall_us)
{
    unsigned year, month, day;
    int64_t time_us, ahead_us;
    const char *at = text;
    if (!take_digits(&at, 4, 9999, &year) || !take(&at, "-") || !take_digits(&at, 2, 12, &month) ||
        !take(&at, "-") || !take_digits(&at, 2, 31, &day) || !take(&at, "Tt ") ||
        !take_time(&at, &time_us) || !take_offset(&at, &ahead_us) || *at || year < 1970)
        return false;
    struct tm tm = {.tm_year = (int)year - 1900, .tm_mon = (int)month - 1, .tm_mday = (int)day};
    time_t midnight = timegm(&tm);
    bool is_a_day = tm.tm_mon == (int)month - 1 && tm.tm_mday == (int)day; /* no 30 February */
    *wall_us = (int64_t)midnight * 1000000 + time_us - ahead_us;
    return is_a_day && *wall_us >= 0;
}

struct clock_quality clock_quality(void)
{
    struct timex asked = {0};
    int state = adjtimex(&asked);
    return (struct clock_quality){.is_known = state >= 0,
                                  .is_synchronised = state >= 0 && state != TIME_ERROR &&
                                                     !(asked.status & STA_UNSYNC),
                                  .error_us = asked.esterror,
                                  .error_max_us = asked.maxerror};
}

void clock_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t by_clock;
    pthread_condattr_init(&by_clock);
    pthread_condattr_setclock(&by_clock, CLOCK_MONOTONIC); /* as clock_ns() */
    pthread_cond_init(cond, &by_clock);
    pthread_condattr_destroy(&by_clock);
}

bool clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_ns)
{
    struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S),
                             .tv_nsec = (long)(until_ns % NS_PER_S)};
    return pthread_cond_timedwait(cond, lock, &until) == 0;
}
