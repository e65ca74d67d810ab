#include "base/clock.h"

#include <string.h>

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
