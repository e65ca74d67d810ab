/* Addresses as text and sockets made from them. */
#include "net/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "base/rng.h"

enum { SHOWN_BYTES = 256 };

static bool unix_address(const char *path, struct address *a, struct fail *f)
{
    char shown[SHOWN_BYTES];
    size_t len = strlen(path);
    if (!len || len >= sizeof a->sa.un.sun_path)
        return fail_set(f, EXIT_USAGE, "unix:%s: expected a path of 1 to %zu bytes",
                        log_escape(span_of(path), shown, sizeof shown),
                        sizeof a->sa.un.sun_path - 1);
    *a = (struct address){.len = sizeof a->sa.un, .sa.un.sun_family = AF_UNIX};
    memcpy(a->sa.un.sun_path, path, len);
    return true;
}

bool address_parse(const char *text, struct address *a, struct fail *f)
{
    char host[256] = "", shown[SHOWN_BYTES];
    if (strncmp(text, "unix:", 5) == 0)
        return unix_address(text + 5, a, f);
    const char *colon = strrchr(text, ':');
    uint64_t port = 0;
    if (!colon || !num_get(span_of(colon + 1), 65535, &port) ||
        (size_t)(colon - text) >= sizeof host)
        return fail_set(
            f, EXIT_USAGE,
            "%s: expected ADDR:PORT such as 127.0.0.1:8080, [::1]:8080, :8080, or unix:PATH",
            log_escape(span_of(text), shown, sizeof shown));
    memcpy(host, text, (size_t)(colon - text));
    size_t len = strlen(host);
    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        memmove(host, host + 1, len - 2);
        host[len - 2] = 0;
    } else if (strchr(host, ':')) {
        return fail_set(f, EXIT_USAGE, "%s: an IPv6 address stands in brackets: [::1]:%s",
                        log_escape(span_of(text), shown, sizeof shown), colon + 1);
    }
    if (!len) {
        *a = (struct address){.len = sizeof a->sa.in6, .sa.in6 = {.sin6_family = AF_INET6}};
        a->sa.in6.sin6_port = htons((uint16_t)port);
        return true;
    }
    return address_resolve(host, (uint16_t)port, a, 1, f) == 1;
}

int address_resolve(const char *host, uint16_t port, struct address *a, int max, struct fail *f)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list;
    char service[6], shown[SHOWN_BYTES];
    int count = 0;
    log_escape(span_of(host), shown, sizeof shown);
    snprintf(service, sizeof service, "%u", port);
    int error = getaddrinfo(host, service, &hints, &list);
    if (error) {
        fail_set(f, EXIT_FAILED, "%s: no such host (%s)", shown, gai_strerror(error));
        return 0;
    }
    for (struct addrinfo *i = list; i && count < max; i = i->ai_next) {
        if (i->ai_addrlen > sizeof a->sa)
            continue;
        a[count] = (struct address){.len = i->ai_addrlen};
        memcpy(&a[count++].sa, i->ai_addr, i->ai_addrlen);
    }
    freeaddrinfo(list);
    if (!count)
        fail_set(f, EXIT_FAILED, "%s: no address of a usable kind", shown);
    return count;
}

uint16_t address_port(const struct address *a)
{
    switch (a->sa.any.sa_family) {
    case AF_INET:
        return ntohs(a->sa.in.sin_port);
    case AF_INET6:
        return ntohs(a->sa.in6.sin6_port);
    default:
        return 0;
    }
}

const char *address_text(const struct address *a, char out[ADDRESS_TEXT_BYTES])
{
    char host[INET6_ADDRSTRLEN];
    switch (a->sa.any.sa_family) {
    case AF_INET:
        inet_ntop(AF_INET, &a->sa.in.sin_addr, host, sizeof host);
        snprintf(out, ADDRESS_TEXT_BYTES, "%s:%u", host, address_port(a));
        return out;
    case AF_INET6:
        inet_ntop(AF_INET6, &a->sa.in6.sin6_addr, host, sizeof host);
        snprintf(out, ADDRESS_TEXT_BYTES, "[%s]:%u", host, address_port(a));
        return out;
    default:
        snprintf(out, ADDRESS_TEXT_BYTES, "unix:%s", a->sa.un.sun_path);
        return out;
    }
}

/* A Unix socket whose server died leaves its file behind; one that somebody listens on is left
 * alone. */
static void remove_dead_socket(const struct address *a)
{
    struct stat st;
    if (stat(a->sa.un.sun_path, &st) || !S_ISSOCK(st.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, &a->sa.any, a->len) && errno == ECONNREFUSED)
        unlink(a->sa.un.sun_path);
    close(fd);
}

static bool fail_listen(const struct address *a, struct fail *f)
{
    char address[ADDRESS_TEXT_BYTES], text[SHOWN_BYTES];
    log_escape(span_of(address_text(a, address)), text, sizeof text);
    switch (errno) {
    case EADDRINUSE:
        return fail_set(
            f, EXIT_FAILED,
            "%s is taken: another program listens there; choose another address, or find it with "
            "`ss -ltnp`",
            text);
    case EACCES:
        return fail_set(
            f, EXIT_FAILED,
            "%s may not be listened on: ports below 1024 need CAP_NET_BIND_SERVICE, a Unix socket "
            "a writable folder",
            text);
    case EADDRNOTAVAIL:
        return fail_set(f, EXIT_FAILED, "%s is not an address of this machine", text);
    default:
        return fail_set(f, EXIT_FAILED, "cannot listen on %s: %s", text, strerror(errno));
    }
}

static void set_options(int fd, int family, bool share)
{
    int one = 1, zero = 0;
    if (family == AF_UNIX)
        return;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* accepted sockets inherit it */
    if (share)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
}

static int listen_one(struct address *a, bool share, int backlog, struct fail *f)
{
    int family = a->sa.any.sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fail_listen(a, f);
        return -1;
    }
    set_options(fd, family, share);
    if (bind(fd, &a->sa.any, a->len) || (backlog && listen(fd, backlog))) {
        int error = errno;
        fail_listen(a, f);
        close(fd);
        errno = error;
        return -1;
    }
    if (family != AF_UNIX && !address_port(a)) {
        a->len = sizeof a->sa;
        if (getsockname(fd, &a->sa.any, &a->len)) {
            fail_listen(a, f);
            close(fd);
            return -1;
        }
    }
    return fd;
}

/* With SO_REUSEPORT a second program of the same user would share the port without a word: a socket
 * without it is bound first, and fails where it should. What a program that was just killed listened
 * on may be taken for some milliseconds more, until the kernel has ended its ring. */
static bool is_free(struct address *a, struct fail *f)
{
    enum { TRIES = 20, BETWEEN_US = 10000 };
    for (int i = 0;; i++) {
        int fd = listen_one(a, false, 0, f);
        if (fd >= 0) {
            close(fd);
            return true;
        }
        if (i == TRIES || errno != EADDRINUSE)
            return false;
        usleep(BETWEEN_US);
    }
}

bool sock_listen(struct address *a, int *fds, unsigned count, int backlog, struct fail *f)
{
    bool is_unix = a->sa.any.sa_family == AF_UNIX;
    if (is_unix)
        remove_dead_socket(a);
    else if (!is_free(a, f))
        return false;
    for (unsigned i = 0; i < count; i++) {
        fds[i] = is_unix && i ? fcntl(fds[0], F_DUPFD_CLOEXEC, 0)
                              : listen_one(a, !is_unix, backlog, f);
        if (fds[i] < 0) {
            while (i--)
                close(fds[i]);
            return false;
        }
    }
    return true;
}

void sock_unlink(const struct address *a)
{
    if (a->sa.any.sa_family == AF_UNIX)
        unlink(a->sa.un.sun_path);
}

/* The first of the ports that the kernel gives to whoever names none; ip(7). */
static unsigned first_given_port(void)
{
    unsigned first = 0;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    if (file && fscanf(file, "%u", &first) != 1)
        first = 0;
    if (file)
        fclose(file);
    return first;
}

static bool bind_port(struct address *a, uint16_t port)
{
    *a = (struct address){.len = sizeof a->sa.in,
                          .sa.in = {.sin_family = AF_INET,
                                    .sin_addr = {htonl(INADDR_LOOPBACK)},
                                    .sin_port = htons(port)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_free = fd >= 0 && bind(fd, &a->sa.any, a->len) == 0 &&
                   getsockname(fd, &a->sa.any, &a->len) == 0;
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return is_free;
}

bool sock_free_port(struct address *a, struct fail *f)
{
    enum { FROM = 10000, TRIES = 100 };
    unsigned below = first_given_port();
    struct rng rng;
    rng_seed(&rng, clock_ns() ^ (uint64_t)getpid() << 32);
    for (int i = 0; i < TRIES && below > FROM; i++)
        if (bind_port(a, (uint16_t)(FROM + rng_below(&rng, below - FROM))))
            return true;
    return bind_port(a, 0) ||
           fail_set(f, EXIT_FAILED, "no free port could be had on 127.0.0.1: %s", strerror(errno));
}

int sock_open(const struct address *a)
{
    int one = 1, family = a->sa.any.sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

uint64_t sock_raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return 0;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) || getrlimit(RLIMIT_NOFILE, &limit))
        return 0;
    return limit.rlim_cur;
}

void sock_forget(int fd)
{
    struct linger none = {.l_onoff = 1};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

bool sock_descriptors_left(unsigned count, struct fail *f)
{
    unsigned taken = 0;
    int fds[16];
    CHECK(count <= sizeof fds / sizeof *fds);
    while (taken < count && (fds[taken] = eventfd(0, EFD_CLOEXEC)) >= 0)
        taken++;
    bool is_enough = taken == count;
    while (taken)
        close(fds[--taken]);
    return is_enough ||
           fail_set(
               f, EXIT_LACKING,
               "too few file descriptors are left to serve with: raise the limit (`ulimit -n`)");
}
