/* Reads values back, after a run, to compare them with what was acknowledged. Blocks. */
#ifndef STORAGE_CACHE_MEMCACHED_READER_H
#define STORAGE_CACHE_MEMCACHED_READER_H

#include "base/span.h"
#include "storage/cache_memcached_servers.h"

/* libmemcached's own client, with the servers and the distribution of `s`. NULL with `f` filled. */
void *cache_memcached_reader_open(const struct cache_memcached_servers *s, struct fail *f) MUST_USE;
void cache_memcached_reader_close(void *reader);

/* Drops all values of all servers. */
bool cache_memcached_reader_clear(void *reader, struct fail *f) MUST_USE;

/* Whether the key is there with exactly this value. */
bool cache_memcached_reader_has(void *reader, const char key[UUID_TEXT_BYTES], struct span value,
                                bool *is_there, struct fail *f) MUST_USE;

/* The value under this key, by libmemcached. */
struct audit_value;
bool cache_memcached_reader_find(void *reader, const char *key, struct audit_value *value,
                                 bool *is_there, struct fail *f) MUST_USE;

/* Sets value->ttl_s, by the meta command mg, which libmemcached does not have. */
bool cache_memcached_reader_ttl(const struct cache_memcached_servers *s, const char *key,
                                struct audit_value *value, struct fail *f) MUST_USE;

#endif
