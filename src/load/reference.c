/* A Date alone tells the second. Asked just when the second should change, it tells on which side of
 * that moment the reference stands, which halves what is open: ten answers are a millisecond. */
#include "load/reference.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "conn/exchange.h"
#include "http/url.h"

enum { ANSWERS_MAX = 14, SECOND_US = 1000000 };
static const uint64_t ANSWER_WAIT_NS = 2 * NS_PER_S;

bool reference_narrow(struct reference_offset *o, int64_t asked_us, int64_t read_us, int64_t date_s)
{
    int64_t low_us = date_s * SECOND_US - read_us, high_us = (date_s + 1) * SECOND_US - asked_us;
    if (!o->is_known) {
        *o = (struct reference_offset){.is_known = true, .low_us = low_us, .high_us = high_us};
        return true;
    }
    if (low_us > o->high_us || high_us < o->low_us)
        return false;
    o->low_us = low_us > o->low_us ? low_us : o->low_us;
    o->high_us = high_us < o->high_us ? high_us : o->high_us;
    return true;
}

int64_t reference_next_us(const struct reference_offset *o, int64_t now_us)
{
    int64_t middle_us = o->low_us + (o->high_us - o->low_us) / 2;
    if (!o->is_known)
        return now_us;
    int64_t into_second_us = ((now_us + middle_us) % SECOND_US + SECOND_US) % SECOND_US;
    return now_us + (SECOND_US - into_second_us) % SECOND_US;
}

/* --- asking --- */

/* IMF-fixdate, the only form that is sent. */
static bool read_date(struct span value, int64_t *second)
{
    char text[64];
    struct tm tm = {0};
    if (value.len >= sizeof text)
        return false;
    memcpy(text, value.data, value.len);
    text[value.len] = 0;
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    *second = (int64_t)timegm(&tm);
    return end && !*end;
}

static bool ask_once(const struct url *url, const struct address *to, struct reference_offset *o,
                     int64_t *trip_us, struct fail *f)
{
    char request[4096];
    struct exchange x = {.deadline_ns = clock_ns() + ANSWER_WAIT_NS};
    struct exchange_reply reply;
    struct span value;
    int64_t asked_us = 0, read_us = 0, second;
    bool has_date = false;
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
             url->target, url->host_field);
    enum exchange_end end = exchange_open(&x, to);
    if (end == EXCHANGE_REPLIED) {
        asked_us = clock_wall_us();
        end = exchange_send(&x, span_of(request));
    }
    if (end == EXCHANGE_REPLIED)
        end = exchange_read(&x, HTTP_GET, &reply);
    if (end == EXCHANGE_REPLIED) {
        read_us = clock_wall_us();
        has_date = exchange_field(&reply, "Date", &value) && read_date(value, &second);
    }
    exchange_close(&x);
    *trip_us = read_us - asked_us;
    if (end != EXCHANGE_REPLIED)
        return fail_set(f, EXIT_FAILED, "it %s", exchange_end_text(end));
    if (!has_date)
        return fail_set(f, EXIT_FAILED, "its answer has no Date, which tells its time");
    return reference_narrow(o, asked_us, read_us, second) ||
           fail_set(f, EXIT_FAILED,
                    "its Date contradicts what it said before: it is stale, or one of the two "
                    "clocks was set");
}

/* Half a trip early, so that the request is there at the change. */
static void sleep_until(int64_t wall_us)
{
    int64_t left_us = wall_us - clock_wall_us();
    if (left_us <= 0)
        return;
    struct timespec wait = {.tv_sec = left_us / SECOND_US,
                            .tv_nsec = left_us % SECOND_US * (long)NS_PER_US};
    nanosleep(&wait, NULL);
}

static bool ask_all(const struct url *url, const struct address *to, int64_t until_us,
                    struct reference_offset *o, struct fail *f)
{
    int64_t trip_us = 0;
    for (unsigned i = 0; i < ANSWERS_MAX; i++) {
        int64_t at_us = reference_next_us(o, clock_wall_us() + trip_us);
        int64_t fine_us = trip_us > REFERENCE_FINE_US / 2 ? 2 * trip_us : REFERENCE_FINE_US;
        if (o->is_known && (at_us > until_us || o->high_us - o->low_us <= fine_us))
            break;
        if (i)
            sleep_until(at_us - trip_us / 2);
        if (!ask_once(url, to, o, &trip_us, f))
            return false;
    }
    return true;
}

bool reference_ask(const char *url_text, int64_t until_us, struct reference_offset *o,
                   struct fail *f)
{
    struct url url;
    struct address to;
    *o = (struct reference_offset){0};
    if (!url_parse(url_text, &url, f))
        return fail_prefix(f, "--clock-from");
    if (url.unix_path[0])
        return fail_set(f, EXIT_USAGE, "--clock-from: a Unix socket has this machine's clock");
    if (address_resolve(url.host, url.port, &to, 1, f) < 1 || !ask_all(&url, &to, until_us, o, f))
        return fail_prefix(f, "--clock-from %s", url.text);
    return true;
}
