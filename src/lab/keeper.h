/* The keeper: the process that starts the private services, outlives whatever happens to the main
 * process, and then stops them and removes their folder. */
#ifndef LAB_KEEPER_H
#define LAB_KEEPER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/fail.h"
#include "base/uuid.h"
#include "lab/services.h"
#include "net/sock.h"

/* All that the keeper must know, settled before it is forked. */
struct keeper_order {
    struct services_config config;
    cpu_set_t cpus;            /* where keeper and services run */
    char folder[128];          /* exists, mode 0700 */
    char postgres_folder[256]; /* of the programs initdb and postgres */
    char memcached_path[256];
    struct address pg_address, memcached_address; /* with config.has_tcp */
    char password[UUID_TEXT_BYTES + 1];           /* of KEEPER_ROLE, over TCP */
    bool is_other_user;                           /* become uid and gid first */
    uid_t uid;
    gid_t gid;
};

/* What the keeper says: once that all is up or, when all is cleaned up again, why not; then once for
 * each request. */
struct keeper_report {
    bool is_done;
    pid_t pg_pid, memcached_pid;
    struct fail fail;
};

/* What the main process asks for while all is up. */
struct keeper_request {
    enum service which;
    enum service_order order;
    uint32_t limit;
};

/* The life of the keeper, in a process freshly forked from a single-threaded one. `fd` is a
 * SOCK_SEQPACKET socket to the main process, whose closing ends everything. */
void keeper_run(const struct keeper_order *order, int fd) __attribute__((noreturn));

#define KEEPER_ROLE             "bench"
#define KEEPER_MEMCACHED_SOCKET "memcached.sock" /* in the folder */

#endif
