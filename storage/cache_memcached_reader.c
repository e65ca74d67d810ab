/* libmemcached does all of it: where a key is, and the transport, so that an error of ours in either
 * is not repeated here. */
#include "storage/cache_memcached_reader.h"

#include <libmemcached/memcached.h>
#include <stdlib.h>

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
