/* The two texts of a response's head that are not the application's: a table of reasons, and the
 * calendar done by arithmetic, because strftime(3) asks the locale. */
#include "http/http.h"

#define DAY_SECONDS 86400
#define YEAR_9999   INT64_C(253402300799) /* its last second; the format has four digits */

const char *http_reason(unsigned status)
{
    switch (status) {
#define STATUS(code, reason) \
    case code:               \
        return reason;
#include "http/status.def"
#undef STATUS
    }
    return "";
}

static void put_two(char *at, unsigned value)
{
    at[0] = (char)('0' + value / 10);
    at[1] = (char)('0' + value % 10);
}

/* Years counted from March have their leap day at the end; 400 of them are 146097 days. Days since
 * 1970-01-01, which lies 719468 days behind 0000-03-01. */
static void put_day(char *at, unsigned days)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    unsigned since = days + 719468, era = since / 146097, of_era = since % 146097;
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned from_march = (5 * of_year + 2) / 153;
    unsigned month = from_march < 10 ? from_march + 2 : from_march - 10; /* January is 0 */
    year += era * 400 + (month < 2);
    put_two(at, of_year - (153 * from_march + 2) / 5 + 1);
    at[2] = at[6] = at[11] = ' ';
    memcpy(at + 3, names + month * 3, 3);
    put_two(at + 7, year / 100);
    put_two(at + 9, year % 100);
}

void http_date(int64_t second, char text[HTTP_DATE_BYTES])
{
    static const char names[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01 was a Thursday */
    uint64_t time = second < 0 ? 0 : (uint64_t)(second > YEAR_9999 ? YEAR_9999 : second);
    unsigned days = (unsigned)(time / DAY_SECONDS), of_day = (unsigned)(time % DAY_SECONDS);
    memcpy(text, names + days % 7 * 3, 3);
    memcpy(text + 3, ", ", 2);
    put_day(text + 5, days);
    put_two(text + 17, of_day / 3600);
    text[19] = ':';
    put_two(text + 20, of_day / 60 % 60);
    text[22] = ':';
    put_two(text + 23, of_day % 60);
    memcpy(text + 25, " GMT", 4);
}
