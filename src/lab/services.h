/* Private PostgreSQL and memcached for a run: made in a temporary folder, reached by Unix sockets
 * there (or by ports, see has_tcp), configured like the published ones in proportion to this machine, and stopped and removed
 * whatever happens to this process: a keeper process, forked before anything else, starts them and
 * ends them when its pipe to us closes, by our exit, a signal or a crash. */
#ifndef LAB_SERVICES_H
#define LAB_SERVICES_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/fail.h"
#include "lab/limits.h"

struct services_config {
    bool wants_postgres, wants_memcached;
    bool is_sync_commit_on; /* synchronous_commit=on; off is what most published numbers used and is
                               said in results */
    unsigned max_connections; /* of PostgreSQL: pool and a margin; at least 20 */
    const cpu_set_t *cpus;    /* NULL: unpinned */
    /* the groups that each is moved to when it runs, now and after it was killed; NULL: none. They
     * must outlive the services */
    const struct limits *pg_limits, *memcached_limits;
    bool has_tcp; /* reached by free ports of 127.0.0.1 instead of Unix sockets, since not every
                     client library takes these; PostgreSQL then by a role of its own that owns the
                     database and nothing else, with a password made for this run */
};

struct services {
    char folder[128];
    char pg_uri[512];    /* for libpq; empty when not wanted */
    char memcached[160]; /* path of the Unix socket, or 127.0.0.1:PORT; empty when not wanted */
    char pg_version[32], memcached_version[32];
    pid_t pg_pid, memcached_pid;                       /* roots of their process trees */
    const struct limits *pg_limits, *memcached_limits; /* private */
    pid_t keeper;                                      /* private */
    int keeper_fd;                                     /* private */
};

/* What can be done to a service while it runs. All that it consists of is stalled or killed. */
enum service { SERVICE_POSTGRES, SERVICE_MEMCACHED };
enum service_order {
    SERVICE_STALL,  /* SIGSTOP */
    SERVICE_RESUME, /* SIGCONT */
    SERVICE_KILL,   /* SIGKILL; connections to it are reset, or refused */
    SERVICE_START,  /* after that, at the same address and with the same data */
    SERVICE_LIMIT,  /* each process may open no more descriptors than `limit` */
    SERVICE_UNLIMIT /* as many as before */
};

/* Whether the programs are installed (also outside PATH, where distributions put PostgreSQL's). On
 * false `f` names what is missing and the command that installs it (EXIT_LACKING). */
bool services_available(bool wants_postgres, bool wants_memcached, struct fail *f);

/* Blocks until both answer. As root the servers run as an unprivileged user, since PostgreSQL
 * refuses root. On failure the message carries the last lines of the server's own log. */
bool services_start(struct services *s, const struct services_config *config,
                    struct fail *f) MUST_USE;

/* Has one of them stalled, killed, limited or mended. Does not block: services_ordered() says when that is done,
 * and there may be but one order at a time. */
bool services_order(struct services *s, enum service which, enum service_order order,
                    uint32_t limit, struct fail *f) MUST_USE;

/* Whether the last order was carried out: `is_done` false, not yet. False with `f` filled: it cannot
 * be. A service that was started again has another pid. */
bool services_ordered(struct services *s, bool *is_done, struct fail *f) MUST_USE;

/* Stops them and removes the folder; blocks until that is done. Harmless when nothing was started.
 */
void services_stop(struct services *s);

#endif
