/* POST /api/devices: read, stored, cached, answered; the functions stand in that order. Nothing is
 * acknowledged that is not committed and set. */
#include "target/target_priv.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/uuid.h"
#include "target/device.h"

enum { POSTS_PER_CHUNK = 16 };

/* One POST under way. */
struct post {
    struct target_worker *worker;
    struct server_conn *conn;
    struct post *next_free;
    struct store_insert insert;
    struct cache_set set;
    struct device_input input;
    char uuid[UUID_TEXT_BYTES];
    char created_at[CLOCK_TEXT_BYTES];
    size_t json_len;
    char json[DEVICE_JSON_BYTES];
};

struct post_chunk {
    struct post_chunk *next;
    struct post posts[POSTS_PER_CHUNK];
};

#define OWNER(member, pointer) ((struct post *)((char *)(pointer)-offsetof(struct post, member)))
#define RETRY                  SPAN("Retry-After: 1\r\n")

static void post_stored(struct store_insert *i, enum store_outcome outcome);
static void post_write(struct post *p, int64_t id);
static void post_cache(struct post *p);
static void post_cached(struct cache_set *s, enum store_outcome outcome);
static void post_created(struct post *p);
static void post_failed(struct post *p, unsigned status, const char *text);

static struct post *post_take(struct target_worker *w)
{
    if (!w->free_posts) {
        struct post_chunk *chunk = malloc(sizeof *chunk); /* what is not used is not touched */
        if (!chunk)
            return NULL;
        chunk->next = w->post_chunks;
        w->post_chunks = chunk;
        for (int i = 0; i < POSTS_PER_CHUNK; i++) {
            chunk->posts[i].next_free = w->free_posts;
            w->free_posts = &chunk->posts[i];
        }
    }
    struct post *p = w->free_posts;
    w->free_posts = p->next_free;
    return p;
}

static void post_give(struct post *p)
{
    p->next_free = p->worker->free_posts;
    p->worker->free_posts = p;
}

void post_free(struct target_worker *w)
{
    while (w->post_chunks) {
        struct post_chunk *chunk = w->post_chunks;
        w->post_chunks = chunk->next;
        free(chunk);
    }
}

void endpoint_post(struct target_worker *w, const struct server_request *r)
{
    struct post *p = post_take(w);
    if (!p) {
        server_reply_error(r->conn, 503, RETRY, "out of memory");
        return;
    }
    p->worker = w;
    p->conn = r->conn;
    const char *wrong = device_read(&p->input, r->body);
    if (wrong) {
        post_failed(p, 400, wrong);
        return;
    }
    int64_t now_us = clock_wall_us();
    uuid_v4(p->uuid);
    clock_text(now_us, p->created_at);
    if (!w->store) {
        post_write(p, 0);
        post_cache(p);
        return;
    }
    p->insert = (struct store_insert){
        .mac = {p->input.mac, p->input.mac_len},
        .firmware = {p->input.firmware, p->input.firmware_len},
        .created_us = now_us,
        .done = post_stored,
    };
    memcpy(p->insert.uuid, p->uuid, sizeof p->insert.uuid);
    store_insert(w->store, &p->insert);
}

static void post_stored(struct store_insert *i, enum store_outcome outcome)
{
    struct post *p = OWNER(insert, i);
    switch (outcome) {
    case STORE_DONE:
        post_write(p, i->id);
        post_cache(p);
        return;
    case STORE_REFUSED:
        post_failed(p, 400, "the database refused this device");
        return;
    case STORE_UNAVAILABLE:
        post_failed(p, 503, "the database is not available");
        return;
    case STORE_UNKNOWN:
        post_failed(p, 503, "the database did not confirm: the device may or may not be stored");
        return;
    }
}

static void post_write(struct post *p, int64_t id)
{
    struct span created_at = {p->created_at, CLOCK_TEXT_BYTES - 1};
    struct device device = {
        .id = id,
        .uuid = {p->uuid, sizeof p->uuid},
        .mac = {p->input.mac, p->input.mac_len},
        .firmware = {p->input.firmware, p->input.firmware_len},
        .created_at = created_at,
        .updated_at = created_at,
    };
    p->json_len = (size_t)(device_write(p->json, &device) - p->json);
}

static void post_cache(struct post *p)
{
    if (!p->worker->cache) {
        post_created(p);
        return;
    }
    p->set = (struct cache_set){.value = {p->json, p->json_len}, .done = post_cached};
    memcpy(p->set.key, p->uuid, sizeof p->set.key);
    cache_set(p->worker->cache, &p->set);
}

static void post_cached(struct cache_set *s, enum store_outcome outcome)
{
    static const char *const texts[STORE_OUTCOMES][2] = {
        [STORE_UNAVAILABLE] = {"the cache is not available",
                               "the cache is not available: the device is stored, but not cached"},
        [STORE_UNKNOWN] = {"the cache did not confirm: the device may or may not be cached",
                           "the cache did not confirm: the device is stored, and may or may not be "
                           "cached"},
        [STORE_REFUSED] = {"the cache refused this device",
                           "the cache refused this device: it is stored, but not cached"},
    };
    struct post *p = OWNER(set, s);
    if (outcome == STORE_DONE)
        post_created(p);
    else
        post_failed(p, 503, texts[outcome][p->worker->store != NULL]);
}

static void post_created(struct post *p)
{
    server_reply(p->conn, &(struct server_reply){.status = 201,
                                                 .type = SPAN("application/json"),
                                                 .body = {p->json, p->json_len}});
    post_give(p);
}

static void post_failed(struct post *p, unsigned status, const char *text)
{
    server_reply_error(p->conn, status, status == 503 ? RETRY : (struct span){0}, text);
    post_give(p);
}
