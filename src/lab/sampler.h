/* What the parties of a run used in the second that has passed: fills the lab's columns of a row of
 * the series. Called on the thread that collects the load's rows. */
#ifndef LAB_SAMPLER_H
#define LAB_SAMPLER_H

#include "load/load.h"
#include "target/target.h"

struct sampler;

/* `target` NULL: only what the process itself knows. Borrowed. */
struct sampler *sampler_new(const struct target *target);

/* Adds CPU and storage latencies since the last call, memory and throttling. `cpu_pct` is of one
 * core, summed over the target's threads; `rss_bytes` is of the whole process, which holds the
 * client as well; both are NAN or 0 without a target. */
void sampler_fill(struct sampler *s, struct load_second *row);

void sampler_free(struct sampler *s);

#endif
