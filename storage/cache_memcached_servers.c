/* libmemcached keeps the list and the distribution but never opens a socket: its transport blocks.
 * Addresses are looked up once, here, because that blocks too. */
#include "storage/cache_memcached_servers.h"

#include <errno.h>
#include <libmemcached/memcached.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "storage/storage.h"

enum { DEFAULT_PORT = 11211, ITEM_BYTES = 256, ADDRESSES_MOST = 8 /* of one name */ };

static bool make_router(struct cache_memcached_servers *s, const char *text, const char *source,
                        struct fail *f);
static bool list_servers(struct cache_memcached_servers *s, const char *source, struct fail *f);
static bool check_servers(struct cache_memcached_servers *s, struct fail *f);

bool cache_memcached_servers_open(struct cache_memcached_servers *s, const char *text,
                                  const char *source, struct fail *f)
{
    if (make_router(s, text, source, f) && list_servers(s, source, f) && check_servers(s, f))
        return true;
    cache_memcached_servers_close(s);
    return false;
}

void cache_memcached_servers_close(struct cache_memcached_servers *s)
{
    if (s->router)
        memcached_free(s->router);
    s->router = NULL;
}

unsigned cache_memcached_servers_of(const struct cache_memcached_servers *s,
                                    const char key[UUID_TEXT_BYTES])
{
    return s->count == 1 ? 0 : memcached_generate_hash(s->router, key, UUID_TEXT_BYTES);
}

/* --- reading the list --- */

static bool fail_list(const char *source, const char *item, struct fail *f)
{
    char safe[ITEM_BYTES];
    return fail_set(f, EXIT_USAGE,
                    "%s: \"%s\" is no memcached server; expected HOST:PORT[,HOST:PORT...] such as "
                    "127.0.0.1:11211, or the path of a Unix socket",
                    source, log_escape(span_of(item), safe, sizeof safe));
}

/* Cuts "/?weight" off the end of an item; 0 if it is no number. */
static uint32_t cut_weight(char *item)
{
    char *tail = strstr(item, "/?");
    uint64_t weight = 1;
    if (!tail)
        return 1;
    *tail = 0;
    return num_get(span_of(tail + 2), 1000, &weight) ? (uint32_t)weight : 0;
}

static bool add_host(memcached_st *router, char *item, uint32_t weight)
{
    uint64_t port = DEFAULT_PORT;
    char *colon = strrchr(item, ':'), *bracket = strchr(item, ']');
    if (colon && (!bracket || colon > bracket)) {
        if (!num_get(span_of(colon + 1), 65535, &port) || !port)
            return false;
        *colon = 0;
    }
    if (*item == '[' && bracket) {
        *bracket = 0;
        item++;
    }
    return *item && memcached_server_add_with_weight(router, item, (in_port_t)port, weight) ==
                        MEMCACHED_SUCCESS;
}

static bool add_item(memcached_st *router, char *item, bool *has_weights)
{
    uint32_t weight = cut_weight(item);
    *has_weights |= weight > 1;
    if (!weight)
        return false;
    if (*item == '/')
        return memcached_server_add_unix_socket_with_weight(router, item, weight) ==
               MEMCACHED_SUCCESS;
    return add_host(router, item, weight);
}

static bool read_configuration(struct cache_memcached_servers *s, const char *text,
                               const char *source, struct fail *f)
{
    s->router = memcached(text, strlen(text));
    if (!s->router)
        return fail_set(f, EXIT_USAGE,
                        "%s: libmemcached cannot read this configuration; expected "
                        "--SERVER=HOST:PORT [--DISTRIBUTION=consistent] ...",
                        source);
    return !memcached_callback_get(s->router, MEMCACHED_CALLBACK_NAMESPACE, NULL) ||
           fail_set(f, EXIT_USAGE,
                    "%s: --NAMESPACE cannot be had, since a device is kept under its UUID as it "
                    "is: leave it out",
                    source);
}

static bool make_router(struct cache_memcached_servers *s, const char *text, const char *source,
                        struct fail *f)
{
    bool has_weights = false;
    if (strncmp(text, "--", 2) == 0)
        return read_configuration(s, text, source, f);
    s->router = memcached_create(NULL);
    if (!s->router)
        return fail_set(f, EXIT_FAILED, "out of memory: the list of memcached servers");
    for (const char *at = text;; at++) {
        char item[ITEM_BYTES];
        size_t len = strcspn(at, ",");
        snprintf(item, sizeof item, "%.*s", (int)len, at);
        if (!len || len >= sizeof item || !add_item(s->router, item, &has_weights))
            return fail_list(source, item, f);
        at += len;
        if (!*at)
            break;
    }
    if (has_weights)
        memcached_behavior_set(s->router, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1);
    return true;
}

/* Of a name's addresses the first that is reached: "localhost" may be ::1 as well, where not every
 * memcached listens. */
static void choose_address(struct cache_memcached_servers *s, unsigned server,
                           const struct address *all, int count)
{
    struct fail ignored;
    int fd = -1;
    s->list[server].address = all[0];
    for (int i = 0; count > 1 && i < count && fd < 0; i++) {
        s->list[server].address = all[i];
        fd = cache_memcached_servers_connect(s, server, &ignored);
    }
    if (fd >= 0)
        close(fd);
}

static bool find_address(struct cache_memcached_servers *s, unsigned i, const char *name,
                         uint16_t port, struct fail *f)
{
    struct cache_memcached_server *server = &s->list[i];
    if (*name == '/') {
        char path[ITEM_BYTES];
        log_escape(span_of(name), server->text, sizeof server->text);
        snprintf(path, sizeof path, "unix:%s", name);
        return address_parse(path, &server->address, f);
    }
    char shown[sizeof server->text - sizeof "[]:65535"];
    log_escape(span_of(name), shown, sizeof shown);
    snprintf(server->text, sizeof server->text, strchr(name, ':') ? "[%s]:%u" : "%s:%u", shown,
             port);
    struct address all[ADDRESSES_MOST];
    int count = address_resolve(name, port, all, ADDRESSES_MOST, f);
    if (!count)
        return fail_prefix(f, "memcached server %s", server->text);
    choose_address(s, i, all, count);
    return true;
}

static bool list_servers(struct cache_memcached_servers *s, const char *source, struct fail *f)
{
    uint32_t count = memcached_server_count(s->router);
    if (!count || count > CACHE_MEMCACHED_SERVERS_MOST)
        return fail_set(f, EXIT_USAGE, "%s names %u memcached servers; expected 1 to %d", source,
                        count, CACHE_MEMCACHED_SERVERS_MOST);
    for (uint32_t i = 0; i < count; i++) {
        const memcached_instance_st *server = memcached_server_instance_by_position(s->router, i);
        if (!find_address(s, i, memcached_server_name(server),
                          (uint16_t)memcached_server_port(server), f))
            return false;
    }
    s->count = count;
    return true;
}

/* --- reaching them --- */

/* 0 takes the limits off again. */
static void limit_waits(int fd, uint64_t timeout_ns)
{
    struct timeval limit = {.tv_sec = (time_t)(timeout_ns / NS_PER_S),
                            .tv_usec = (suseconds_t)(timeout_ns % NS_PER_S / NS_PER_US)};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

int cache_memcached_servers_connect(const struct cache_memcached_servers *s, unsigned server,
                                    struct fail *f)
{
    const struct cache_memcached_server *to = &s->list[server];
    int fd = sock_open(&to->address);
    if (fd < 0)
        errno = -fd;
    if (fd >= 0) {
        limit_waits(fd, storage_connect_ns(s->timeout_ns));
        if (connect(fd, &to->address.sa.any, to->address.len) == 0) {
            limit_waits(fd, 0);
            return fd;
        }
        int error = errno;
        close(fd);
        errno = error == EINPROGRESS || error == EAGAIN ? ETIMEDOUT : error;
    }
    fail_set(f, EXIT_FAILED,
             "memcached at %s cannot be reached: %s; start it, or name another one by --memcached, "
             "or use --cache memory",
             to->text, strerror(errno));
    return -1;
}

/* "VERSION 1.6.18": at least 1.6. */
static bool is_new_enough(const char *reply)
{
    unsigned major = 0, minor = 0;
    return sscanf(reply, "VERSION %u.%u", &major, &minor) == 2 &&
           (major > 1 || (major == 1 && minor >= 6));
}

static bool ask_version(struct cache_memcached_servers *s, unsigned server, char *version,
                        size_t room, struct fail *f)
{
    char reply[128] = "";
    int fd = cache_memcached_servers_connect(s, server, f);
    if (fd < 0)
        return false;
    limit_waits(fd, storage_connect_ns(s->timeout_ns));
    ssize_t len = -1;
    if (send(fd, "version\r\n", 9, MSG_NOSIGNAL) == 9)
        len = recv(fd, reply, sizeof reply - 1, 0);
    close(fd);
    if (len <= 0)
        return fail_set(f, EXIT_FAILED,
                        "memcached at %s accepts connections but does not answer; is it memcached, "
                        "and is it running?",
                        s->list[server].text);
    if (!is_new_enough(reply))
        return fail_set(f, EXIT_FAILED,
                        "memcached at %s is too old: version 1.6 or later is needed, for its meta "
                        "commands",
                        s->list[server].text);
    char safe[32];
    size_t end = strcspn(reply + 8, " \r\n");
    snprintf(version, room, "%s", log_escape((struct span){reply + 8, end}, safe, sizeof safe));
    return true;
}

/* All are asked, though the text may not have room for all. */
static bool check_servers(struct cache_memcached_servers *s, struct fail *f)
{
    char version[32];
    size_t len = 0;
    for (unsigned i = 0; i < s->count; i++) {
        if (!ask_version(s, i, version, sizeof version, f))
            return false;
        if (!i)
            len = (size_t)snprintf(s->text, sizeof s->text, "memcached %s at %s", version,
                                   s->list[i].text);
        else if (len < sizeof s->text)
            len += (size_t)snprintf(s->text + len, sizeof s->text - len, ",%s", s->list[i].text);
    }
    return true;
}
