/* Reproducing what was published: a scenario that names its contestants is raced by them and becomes
 * rows of a report/reproduction.h, one for each of its metrics. */
#ifndef LAB_REPRODUCE_H
#define LAB_REPRODUCE_H

#include <stdbool.h>

#include "base/fail.h"
#include "lab/run.h"
#include "lab/scenario.h"
#include "report/reproduction.h"

/* Readies a scenario: its `steps`, if it has them, become the stages of its load. EXIT_USAGE if it
 * names no contestants. `s` must stay where it is. */
bool reproduce_prepare(struct scenario *s, struct fail *f) MUST_USE;

/* After a duration was given that is shorter than the load's timeout: shortens that as well, since
 * nothing could time out, and says so. */
void reproduce_shorten(struct scenario *s);

/* Races the contestants and adds the rows. `config` as of run_scenario(), without targets and with
 * `out`, whose last part is what rows link to. A run that could not be made leaves rows that say so.
 * Returns the run's exit code. Must be called before other threads are started. */
int reproduce_scenario(const struct scenario *s, const struct run_config *config,
                       struct reproduction *r);

#endif
