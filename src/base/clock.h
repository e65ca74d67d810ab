/* The only file that reads clocks. Nanoseconds in uint64_t everywhere; printing converts. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

/* CLOCK_MONOTONIC: for deadlines and latencies; never steps. */
uint64_t clock_ns(void);

/* Microseconds since the Unix epoch, UTC: for timestamps in rows, results and the Date field. */
int64_t clock_wall_us(void);

/* CPU time that the calling thread, or another thread of this process, has used. 0 if the thread is
 * gone. */
uint64_t clock_thread_cpu_ns(void);
uint64_t clock_cpu_ns_of(pthread_t thread);

/* The same by the clock that pthread_getcpuclockid(3) names, which may outlive its thread. */
uint64_t clock_cpu_ns_by(clockid_t clock);

/* A condition that is waited for by clock_ns(), with its lock held, until `until_ns` at the latest: false
 * past it. */
void clock_cond_init(pthread_cond_t *cond);
bool clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_ns);

#define CLOCK_TEXT_BYTES 28
/* Writes `2026-11-20T17:00:00.123456Z` (27 bytes, then a NUL) for microseconds since the epoch,
 * years 1970 to 9999. */
void clock_text(int64_t wall_us, char text[CLOCK_TEXT_BYTES]);

/* Reads a time as RFC 3339 section 5.6 has it, `2026-11-20T17:00:00Z` or with a fraction and an
 * offset as `2026-11-20T18:00:00.25+01:00`, the whole of `text`; years 1970 to 9999, digits behind
 * microseconds are dropped, a leap second is the second behind it. */
bool clock_parse(const char *text, int64_t *wall_us);

/* How far the wall clock may be off, as the kernel was told by whoever disciplines it (chrony, NTP,
 * PTP; see adjtimex(2)). */
struct clock_quality {
    bool is_known; /* the kernel may be asked: containers without CAP_SYS_TIME may not */
    bool is_synchronised;
    int64_t error_us, error_max_us; /* estimated; bound that grows between corrections */
};
struct clock_quality clock_quality(void);

#endif
