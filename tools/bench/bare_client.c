/* The floor under any load generator on io_uring: a closed loop over some connections with one
 * prebuilt request each, sent again as soon as anything comes back. It parses nothing and times
 * nothing, so a response must arrive in one piece, as small ones do.
 *
 * Prints one line of JSON: requests, seconds, requests per second, CPU us per request. */
#include "bare.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>

static const char request[] = "GET /api/devices HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

static void connect_all(struct bare *b, unsigned long port, unsigned long connections)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((unsigned short)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    for (unsigned long i = 0; i < connections; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
        if (connect(fd, (struct sockaddr *)&address, sizeof address))
            bare_die("connect");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        bare_receive(b, fd, (unsigned)fd);
        bare_send(b, fd, request, sizeof request - 1);
    }
}

/* Returns how many responses came in this turn, each answered with the next request. */
static unsigned turn(struct bare *b)
{
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0, responses = 0;
    io_uring_submit_and_wait(&b->ring, 1);
    io_uring_for_each_cqe(&b->ring, head, cqe)
    {
        int fd = (int)cqe->user_data;
        seen++;
        if (cqe->res <= 0 && cqe->res != -ENOBUFS) {
            fprintf(stderr, "a connection was lost: error %d\n", -cqe->res);
            exit(1);
        }
        if (cqe->flags & IORING_CQE_F_BUFFER) {
            bare_give_back(b, cqe->flags >> IORING_CQE_BUFFER_SHIFT);
            bare_send(b, fd, request, sizeof request - 1);
            responses++;
        }
        if (!(cqe->flags & IORING_CQE_F_MORE))
            bare_receive(b, fd, (unsigned)fd);
    }
    io_uring_cq_advance(&b->ring, seen);
    bare_publish(b);
    return responses;
}

static double cpu_s(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: %s PORT CONNECTIONS SECONDS\n", argv[0]);
        return 2;
    }
    unsigned long port = bare_number(argv[1], 65535), connections = bare_number(argv[2], 10000);
    unsigned long seconds = bare_number(argv[3], 3600), requests = 0;
    static struct bare bare;
    bare_open(&bare);
    connect_all(&bare, port, connections);

    double begun_s = bare_now_s(), cpu_begun_s = cpu_s(), took_s;
    do {
        requests += turn(&bare);
        took_s = bare_now_s() - begun_s;
    } while (took_s < (double)seconds);
    printf("{\"requests\": %lu, \"seconds\": %.3f, \"rps\": %.0f, \"cpu_us_per_request\": %.3f}\n",
           requests, took_s, (double)requests / took_s,
           (cpu_s() - cpu_begun_s) * 1e6 / (double)requests);
    return 0;
}
