/* Which processes of this machine listen on an address: the socket's inode in /proc/net/tcp, tcp6 or
 * unix, then who has a descriptor of it (proc_pid_net(5), proc_pid_fd(5)). */
#ifndef LAB_LISTENER_H
#define LAB_LISTENER_H

#include <stdbool.h>
#include <sys/types.h>

#include "net/sock.h"

#define LISTENER_PIDS_MAX 64

/* Fills `pids` with the listeners whose parents are none: workers that inherited the socket are found
 * below them. Process 1 is left out, which keeps sockets for services that it starts. Returns how
 * many; 0 also if the address is another machine's or the process is another user's. `root` goes
 * before every path: "" but in tests. Costs a look at every descriptor that may be seen. */
unsigned listener_find(const char *root, const struct address *a, pid_t pids[LISTENER_PIDS_MAX]);

#endif
