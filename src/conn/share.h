/* Servers that share an address, a thread each. The kernel deals connections out by a hash, which
 * is even only on average: of 64 connections one of two threads may get 45. A server that has more than
 * another gives the next connection that it accepts to the one that has the fewest. */
#ifndef CONN_SHARE_H
#define CONN_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "net/loop.h"

struct share;

/* Embedded in a server; the first three are set before share_join(). */
struct share_member {
    struct loop *loop;
    const uint32_t *open;                         /* a gauge: connections that it has */
    void (*take)(struct share_member *m, int fd); /* on its loop's thread */
    _Atomic uint32_t arriving;                    /* given, not yet taken */
    struct share_member *next;
};

/* NULL if memory is out. */
struct share *share_new(void);
void share_free(struct share *s); /* after the last member has left */

/* On the member's thread, as the next two. */
void share_join(struct share *s, struct share_member *m);

/* After this nothing more is given to `m`; what is arriving still comes, and its loop must run until
 * then. */
void share_leave(struct share *s, struct share_member *m);

/* Gives `fd` to another member if that one has at least two connections fewer; false: it stays ours. */
bool share_give(struct share *s, struct share_member *m, int fd);

#endif
