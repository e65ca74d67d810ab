/* Our own target as a process of its own: the same binary, started again as `iubench serve`, for runs
 * in which it is to be limited, measured by itself or killed. */
#ifndef LAB_OWN_H
#define LAB_OWN_H

#include "lab/target_file.h"
#include "target/target.h"

/* Fills in a target file that starts this binary with `config`; what it listens on and what it stores
 * in are left to the placeholders if `has_pg` and `has_memcached` say that there are such. EXIT_FAILED
 * if this binary cannot be found, or has an option that cannot be handed on. */
bool own_target_file(struct target_file *t, const struct target_config *config, bool has_pg,
                     bool has_memcached, struct fail *f) MUST_USE;

#endif
