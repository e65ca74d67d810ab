/* The settings of the private PostgreSQL: the published ones (8 vCPU, 64 GB; see
 * https://github.com/antonputra/tutorials, lesson 231) in proportion to this machine. Pure. */
#ifndef LAB_PGCONF_H
#define LAB_PGCONF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

struct pgconf {
    const char *folder;    /* of the Unix socket */
    uint64_t memory_bytes; /* that the machine or our control group allows */
    uint64_t disk_bytes;   /* free where the database lies */
    unsigned cpus;         /* that PostgreSQL may use */
    unsigned max_connections;
    unsigned port; /* of 127.0.0.1; 0: the Unix socket alone */
    bool is_sync_commit_on;
};

/* Lines for postgresql.conf. */
void pgconf_text(const struct pgconf *c, struct text *out);

#endif
