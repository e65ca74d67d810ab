/* Prints what one head costs to read, best of several rounds; nothing is asserted. */
#include <stdio.h>
#include <time.h>

#include "base/check.h"
#include "http/http.h"

#define ROUNDS 20
#define HEADS  200000

typedef int read_f(struct http_head *h, const char *data, size_t len,
                   const struct http_limits *limits);

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void measure(const char *what, read_f *read, struct span head)
{
    const struct http_limits limits = HTTP_LIMITS_DEFAULT;
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        double begin = now_ns();
        for (int i = 0; i < HEADS; i++) {
            struct http_head h = {0};
            CHECK(read(&h, head.data, head.len, &limits) == (int)head.len);
        }
        double each = (now_ns() - begin) / HEADS;
        best = each < best ? each : best;
    }
    printf("%-16s %4zu bytes %7.1f ns %6.2f GB/s\n", what, head.len, best, (double)head.len / best);
}

int main(void)
{
    measure("request, small", http_request_head,
            SPAN("GET /api/devices HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"));
    measure("response, 4", http_response_head,
            SPAN("HTTP/1.1 200 OK\r\nServer: iubench\r\nDate: Fri, 20 Nov 2026 17:00:00 GMT\r\n"
                 "Content-Type: application/json\r\nContent-Length: 541\r\n\r\n"));
    measure("request, browser", http_request_head,
            SPAN("GET /wp-content/uploads/2010/03/hello-kitty-darth-vader-pink.jpg HTTP/1.1\r\n"
                 "Host: www.kittyhell.com\r\n"
                 "User-Agent: Mozilla/5.0 (Macintosh; U; Intel Mac OS X 10.6; ja-JP-mac; "
                 "rv:1.9.2.3) Gecko/20100401 Firefox/3.6.3 Pathtraq/0.9\r\n"
                 "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
                 "Accept-Language: ja,en-us;q=0.7,en;q=0.3\r\nAccept-Encoding: gzip,deflate\r\n"
                 "Accept-Charset: Shift_JIS,utf-8;q=0.7,*;q=0.7\r\nKeep-Alive: 115\r\n"
                 "Connection: keep-alive\r\n"
                 "Cookie: wp_ozh_wsa_visits=2; wp_ozh_wsa_visit_lasttime=xxxxxxxxxx; "
                 "__utma=xxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.x; "
                 "__utmz=xxxxxxxxx.xxxxxxxxxx.x.x.utmccn=(referral)|utmcsr=reader.livedoor.com|"
                 "utmcct=/reader/|utmcmd=referral\r\n\r\n"));
    return 0;
}
