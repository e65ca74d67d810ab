/* The floor under any load generator on io_uring: a closed loop over some connections with one
 * prebuilt request each, sent again as soon as anything comes back. It parses nothing and times
 * nothing, so a response must arrive in one piece, as small ones do. With REQUESTS each connection is
 * ended after so many, and another takes its place.
 *
 * Prints one line of JSON: requests, seconds, requests per second, CPU us per request. */
#include "bare.h"

#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { DESCRIPTORS_MAX = 20000 };

static struct {
    struct sockaddr_in address;
    unsigned long requests_each;
    unsigned long left[DESCRIPTORS_MAX]; /* of the connection with this descriptor */
} load;

static const char request[] = "GET /api/devices HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

static void connect_one(struct bare *b)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd >= DESCRIPTORS_MAX || connect(fd, (struct sockaddr *)&load.address, sizeof load.address))
        bare_die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    load.left[fd] = load.requests_each;
    bare_receive(b, fd, (unsigned)fd);
    bare_send(b, fd, request, sizeof request - 1);
}

static void answered(struct bare *b, int fd)
{
    if (--load.left[fd])
        bare_send(b, fd, request, sizeof request - 1);
    else
        shutdown(fd, SHUT_RDWR); /* ends its receive, too */
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
        if (!load.left[fd] && cqe->res <= 0) {
            close(fd);
            connect_one(b);
            continue;
        }
        if (cqe->res <= 0 && cqe->res != -ENOBUFS) {
            fprintf(stderr, "a connection was lost: error %d\n", -cqe->res);
            exit(1);
        }
        if (cqe->flags & IORING_CQE_F_BUFFER) {
            bare_give_back(b, cqe->flags >> IORING_CQE_BUFFER_SHIFT);
            answered(b, fd);
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
    if (argc != 4 && argc != 5) {
        fprintf(stderr, "usage: %s PORT CONNECTIONS SECONDS [REQUESTS]\n", argv[0]);
        return 2;
    }
    unsigned long port = bare_number(argv[1], 65535), connections = bare_number(argv[2], 10000);
    unsigned long seconds = bare_number(argv[3], 3600), requests = 0;
    static struct bare bare;
    load.requests_each = argc == 5 ? bare_number(argv[4], 1000000) : ULONG_MAX;
    load.address = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((unsigned short)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    bare_open(&bare);
    for (unsigned long i = 0; i < connections; i++)
        connect_one(&bare);

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
