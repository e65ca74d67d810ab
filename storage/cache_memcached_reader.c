/* libmemcached does all of it: where a key is, and the transport, so that an error of ours in either
 * is not repeated here. */
#include "storage/cache_memcached_reader.h"

#include <libmemcached/memcached.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "storage/audit.h"

void *cache_memcached_reader_open(const struct cache_memcached_servers *s, struct fail *f)
{
    memcached_st *reader = memcached_clone(NULL, s->router);
    if (!reader)
        fail_set(f, EXIT_FAILED, "memcached: a client to read values back could not be made");
    return reader;
}

void cache_memcached_reader_close(void *reader)
{
    if (reader)
        memcached_free(reader);
}

bool cache_memcached_reader_clear(void *reader, struct fail *f)
{
    memcached_return_t outcome = memcached_flush(reader, 0);
    return outcome == MEMCACHED_SUCCESS ||
           fail_set(f, EXIT_FAILED, "memcached: the values could not be dropped: %s",
                    memcached_strerror(reader, outcome));
}

bool cache_memcached_reader_has(void *reader, const char key[UUID_TEXT_BYTES], struct span value,
                                bool *is_there, struct fail *f)
{
    size_t len;
    uint32_t flags;
    memcached_return_t outcome;
    char *found = memcached_get(reader, key, UUID_TEXT_BYTES, &len, &flags, &outcome);
    *is_there = found && span_eq((struct span){found, len}, value);
    free(found);
    if (outcome == MEMCACHED_SUCCESS || outcome == MEMCACHED_NOTFOUND)
        return true;
    return fail_set(f, EXIT_FAILED, "memcached: the values could not be read back: %s",
                    memcached_strerror(reader, outcome));
}

bool cache_memcached_reader_find(void *reader, const char *key, struct audit_value *value,
                                 bool *is_there, struct fail *f)
{
    uint32_t flags;
    size_t len;
    memcached_return_t outcome;
    char *found = memcached_get(reader, key, strlen(key), &len, &flags, &outcome);
    *value = (struct audit_value){0};
    *is_there = found;
    if (found) {
        value->len = len < sizeof value->data ? len : sizeof value->data;
        memcpy(value->data, found, value->len);
    }
    free(found);
    return outcome == MEMCACHED_SUCCESS || outcome == MEMCACHED_NOTFOUND ||
           fail_set(f, EXIT_FAILED, "memcached: the value could not be read back: %s",
                    memcached_strerror(reader, outcome));
}

bool cache_memcached_reader_ttl(const struct cache_memcached_servers *s, const char *key,
                                struct audit_value *value, struct fail *f)
{
    char question[320], answer[64] = "";
    struct timeval limit = {.tv_sec = (time_t)(s->timeout_ns / NS_PER_S) + 1};
    unsigned server = s->count > 1 && strlen(key) == UUID_TEXT_BYTES
                          ? cache_memcached_servers_of(s, key)
                          : 0;
    int len = snprintf(question, sizeof question, "mg %s t\r\n", key);
    int fd = cache_memcached_servers_connect(s, server, f);
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    bool is_read = send(fd, question, (size_t)len, MSG_NOSIGNAL) == len &&
                   recv(fd, answer, sizeof answer - 1, 0) > 0 &&
                   sscanf(answer, "HD t%" SCNd64, &value->ttl_s) == 1;
    close(fd);
    return is_read ||
           fail_set(f, EXIT_FAILED, "memcached: the expiry of a value could not be read");
}
