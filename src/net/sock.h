/* Addresses and sockets. */
#ifndef NET_SOCK_H
#define NET_SOCK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fail.h"

struct address {
    socklen_t len;
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } sa;
};

#define ADDRESS_TEXT_BYTES 128

/* Reads where to listen: "127.0.0.1:8080", "[::1]:8080", ":8080" (every address), "localhost:8080",
 * "unix:/path". Port 0 means a free one. EXIT_USAGE with what was expected. */
bool address_parse(const char *text, struct address *a, struct fail *f) MUST_USE;

/* Looks a host name or literal up (getaddrinfo(3), blocking: at start only). Up to `max` addresses;
 * returns how many, 0 with `f` filled. */
int address_resolve(const char *host, uint16_t port, struct address *a, int max, struct fail *f);

/* "127.0.0.1:8080", "[::1]:8080", "unix:/path"; returns `out`. */
const char *address_text(const struct address *a, char out[ADDRESS_TEXT_BYTES]);
uint16_t address_port(const struct address *a); /* 0 for a Unix socket */

/* Listening sockets for `count` threads on one address, which the kernel spreads connections over
 * (SO_REUSEPORT); of a Unix socket, which cannot be shared that way, all are the same socket.
 * Blocking: io_uring parks what would block. Port 0 becomes the chosen one in `a`. A Unix socket's
 * file that nobody listens on any more is replaced. On failure EXIT_FAILED
 * ("127.0.0.1:8080 is taken: ..."), and no descriptor is left open. */
bool sock_listen(struct address *a, int *fds, unsigned count, int backlog, struct fail *f) MUST_USE;

/* Removes the file of a Unix socket that sock_listen() made; of another address nothing. Call it while
 * that still listens: afterwards the path may be another program's. */
void sock_unlink(const struct address *a);

/* Gives `a` a port of 127.0.0.1 that is free now, for a program that has to be told where to listen.
 * Another may take it first, but no outgoing connection is given it meanwhile: where the kernel
 * leaves any, it is none of those that it hands out. */
bool sock_free_port(struct address *a, struct fail *f) MUST_USE;

/* A blocking socket for a connection to `a`, TCP_NODELAY set. -errno on failure. */
int sock_open(const struct address *a) MUST_USE;

/* Whether `count` more descriptors could be had now; if not, `f` says what mends it. */
bool sock_descriptors_left(unsigned count, struct fail *f) MUST_USE;

/* Sets the soft limit of descriptors to the hard one, and returns it. */
uint64_t sock_raise_descriptors(void);

/* Makes the close that follows abort the connection: no TIME_WAIT keeps its port, of which there are
 * only 28 000. For connections that timed out: where thousands do within a second, those that take
 * their place would find no port. See SO_LINGER in socket(7). */
void sock_forget(int fd);

#endif
