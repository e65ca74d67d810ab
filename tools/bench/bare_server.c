/* The floor under any HTTP server on io_uring: counts blank lines and sends a prebuilt response for
 * each. It parses nothing, routes nothing, has no Date, no limits and no deadlines, so the CPU time
 * of a real server divided by this one's says what that server's own work costs beside the
 * kernel's.
 *
 * A request must arrive in one piece, as small ones do. With --stall it stops answering for MS out
 * of every EVERY_MS, so that the latency an open-loop client has to find is known on paper. */
#include "bare.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define BATCH 16 /* pipelined requests that one send can answer */

enum { KIND_SEND, KIND_ACCEPT, KIND_RECEIVE }; /* upper half of user_data; lower: descriptor */

struct options {
    unsigned long port, body_bytes, stall_ms, every_ms;
};

static struct options parse(int argc, char **argv);
static int listen_on(unsigned long port);
static void build_responses(unsigned long body_bytes);
static void stall(const struct options *o);
static void accepted(struct bare *b, int listener, const struct io_uring_cqe *cqe);
static void received(struct bare *b, int fd, const struct io_uring_cqe *cqe);

static char *responses; /* BATCH times the same one */
static size_t response_bytes;

int main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    static struct bare bare;
    int listener = listen_on(o.port);
    build_responses(o.body_bytes);
    bare_open(&bare);
    struct io_uring_sqe *sqe = bare_entry(&bare);
    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, 0);
    sqe->user_data = (unsigned long)KIND_ACCEPT << 32;

    for (;;) {
        struct io_uring_cqe *cqe;
        unsigned head, seen = 0;
        io_uring_submit_and_wait(&bare.ring, 1);
        if (o.every_ms)
            stall(&o);
        io_uring_for_each_cqe(&bare.ring, head, cqe)
        {
            if (cqe->user_data >> 32 == KIND_RECEIVE)
                received(&bare, (int)cqe->user_data, cqe);
            else if (cqe->user_data >> 32 == KIND_ACCEPT)
                accepted(&bare, listener, cqe);
            seen++;
        }
        io_uring_cq_advance(&bare.ring, seen);
        bare_publish(&bare);
    }
}

static struct options parse(int argc, char **argv)
{
    struct options o = {.body_bytes = 541};
    int i = 1;
    for (; i < argc; i++) {
        int values = argc - i - 1;
        if (!strcmp(argv[i], "--port") && values >= 1) {
            o.port = bare_number(argv[++i], 65535);
        } else if (!strcmp(argv[i], "--body") && values >= 1) {
            o.body_bytes = bare_number(argv[++i], 1 << 20);
        } else if (!strcmp(argv[i], "--stall") && values >= 2) {
            o.stall_ms = bare_number(argv[++i], 3600000);
            o.every_ms = bare_number(argv[++i], 3600000);
        } else {
            break;
        }
    }
    if (i < argc || o.body_bytes < 2 || (o.every_ms && o.stall_ms >= o.every_ms)) {
        fprintf(stderr, "usage: %s [--port N] [--body BYTES] [--stall MS EVERY_MS]\n", argv[0]);
        exit(2);
    }
    return o;
}

/* Says which port it got, for the one who asked for any. */
static int listen_on(unsigned long port)
{
    struct rlimit descriptors;
    getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    setrlimit(RLIMIT_NOFILE, &descriptors);

    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((unsigned short)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* inherited by connections */
    if (bind(listener, (struct sockaddr *)&address, len) || listen(listener, 4096) ||
        getsockname(listener, (struct sockaddr *)&address, &len))
        bare_die("listen");
    printf("listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static void build_responses(unsigned long body_bytes)
{
    char head[256];
    int head_bytes = snprintf(head, sizeof head,
                              "HTTP/1.1 200 OK\r\n"
                              "Content-Type: application/json\r\n"
                              "Date: Fri, 20 Nov 2026 17:00:00 GMT\r\n"
                              "Content-Length: %lu\r\n\r\n",
                              body_bytes);
    response_bytes = (size_t)head_bytes + body_bytes;
    responses = malloc(response_bytes * BATCH);
    if (!responses)
        bare_die("responses");
    for (char *at = responses; at < responses + response_bytes * BATCH; at += response_bytes) {
        memcpy(at, head, (size_t)head_bytes);
        memset(at + head_bytes, ' ', body_bytes);
        at[head_bytes] = '[';
        at[response_bytes - 1] = ']';
    }
}

static void stall(const struct options *o)
{
    unsigned long phase_ms = (unsigned long)(bare_now_s() * 1e3) % o->every_ms;
    if (phase_ms < o->stall_ms)
        usleep((useconds_t)(o->stall_ms - phase_ms) * 1000);
}

static void accepted(struct bare *b, int listener, const struct io_uring_cqe *cqe)
{
    if (cqe->res >= 0)
        bare_receive(b, cqe->res, (unsigned long)KIND_RECEIVE << 32 | (unsigned)cqe->res);
    if (cqe->flags & IORING_CQE_F_MORE)
        return;
    struct io_uring_sqe *sqe = bare_entry(b);
    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, 0);
    sqe->user_data = (unsigned long)KIND_ACCEPT << 32;
}

static void answer(struct bare *b, int fd, const char *at, size_t len)
{
    const char *end = at + len;
    unsigned due = 0;
    while ((at = memmem(at, (size_t)(end - at), "\r\n\r\n", 4))) {
        at += 4;
        if (++due == BATCH) {
            bare_send(b, fd, responses, response_bytes * BATCH);
            due = 0;
        }
    }
    if (due)
        bare_send(b, fd, responses, response_bytes * due);
}

static void received(struct bare *b, int fd, const struct io_uring_cqe *cqe)
{
    unsigned buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    if (cqe->res > 0)
        answer(b, fd, b->buffers[buffer], (size_t)cqe->res);
    if (cqe->flags & IORING_CQE_F_BUFFER)
        bare_give_back(b, buffer);
    if (cqe->flags & IORING_CQE_F_MORE)
        return;
    if (cqe->res > 0 || cqe->res == -ENOBUFS)
        bare_receive(b, fd, cqe->user_data);
    else
        close(fd);
}
