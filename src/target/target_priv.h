/* What the files of the target share. */
#ifndef TARGET_TARGET_PRIV_H
#define TARGET_TARGET_PRIV_H

#include "conn/server.h"
#include "http/url.h"
#include "net/worker.h"
#include "storage/storage.h"
#include "target/fib.h"
#include "target/proxy.h"
#include "target/target.h"
#include "upstream/upstream.h"

enum { UPSTREAM_ADDRESSES_MAX = 8 };

/* One event loop of the target and what belongs to it. */
struct target_worker {
    struct worker worker;
    struct target *target;
    unsigned index;
    int listener, metrics_listener; /* -1: none */
    struct server *server;          /* NULL: not yet */
    struct store *store;            /* NULL: none, or not yet, or no more */
    struct cache *cache;            /* the same; all three change under the target's lock */
    struct server *metrics_server;
    unsigned servers_running;
    struct proxy *proxy;     /* NULL: not in this mode */
    struct post *free_posts; /* see post.c */
    struct post_chunk *post_chunks;
    uint64_t fib_refused, fetch_failed;
};

struct target {
    struct target_config config;
    struct address address, metrics_address;
    char address_text[ADDRESS_TEXT_BYTES];
    struct text line;
    struct storage *storage;
    struct fib_pool *fib;
    struct upstream *upstream; /* the built-in one; NULL: another is used, or none */
    struct url upstream_url;
    struct address upstream_addresses[UPSTREAM_ADDRESSES_MAX];
    unsigned upstream_address_count;
    struct text openapi;
    unsigned thread_count;
    struct target_worker *workers;
    pthread_mutex_t lock; /* while one worker tells what all have counted, none comes or goes */
    struct share *share;  /* of the workers' servers */
    struct hist *insert_latency, *set_latency; /* of all workers, while the lock is held */
    int64_t started_us;
    bool is_listening, is_metrics_listening;
};

/* As --mode takes it: "db". */
const char *target_mode_name(enum target_mode m);

/* The server's handler: finds the row of endpoints.def and calls its function. */
void target_request(void *arg, const struct server_request *r);

/* Whether a precondition does not hold (RFC 9110 section 13), which then has been replied. To be asked
 * when nothing else speaks against the request, and before it does something. */
bool target_is_unmet(const struct server_request *r);

/* The reply of a handler that stopped when the client's end of stream came. It may have shut only the
 * side that it sends on, but cannot be told from one that has gone; as nginx and Go's net/http do, what
 * is costly is not done for it. */
void target_reply_given_up(struct server_conn *conn);

/* The handler of --metrics ADDR: /metrics and /healthz alone. */
void target_metrics_request(void *arg, const struct server_request *r);

/* Answers one request, at once or later; the endpoints of endpoints.def. */
typedef void endpoint_f(struct target_worker *w, const struct server_request *r);
endpoint_f endpoint_devices, endpoint_post, endpoint_healthz, endpoint_json, endpoint_plaintext,
    endpoint_fib, endpoint_fetch, endpoint_metrics, endpoint_openapi;

/* Frees what POST keeps for reuse. */
void post_free(struct target_worker *w);

/* Fills target->openapi. */
void openapi_build(struct target *t);

#endif
