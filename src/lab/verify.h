/* `run --verify`: nothing was acknowledged that is not stored. Counts rows before and after the
 * load, and reads some of the latest objects back, byte for byte. */
#ifndef LAB_VERIFY_H
#define LAB_VERIFY_H

#include "load/load.h"
#include "storage/audit.h"

enum { VERIFY_SAMPLES = 1024 };

struct verify {
    const struct storage *storage;
    bool has_values; /* those in the cache are to be what was answered */
    uint64_t rows_before;
    char text[256]; /* "verified: acknowledged 10, rows 10, sampled 10 equal" */
};

/* Before the load; its config.samples is to be VERIFY_SAMPLES. `storage` is what the target stores in (NULL:
 * that cannot be read) and must stay until the end. Somebody else's target is free in what it keeps in the
 * cache: without `has_values` only rows are read back. False with `f` filled: there is nothing to read
 * back from. */
bool verify_begin(struct verify *v, const struct storage *storage, bool has_values,
                  struct fail *f) MUST_USE;

/* After the load, right away: values in the cache expire. Those from before `forgotten_ns` (clock_ns(),
 * 0: never) it has lost, by a fault on demand. Fills `text`; `is_mismatch` tells that something
 * acknowledged is missing or other than it was said, or that there are rows nobody asked for. False
 * with `f` filled if it could not be read. */
bool verify_end(struct verify *v, const struct load_result *r, uint64_t forgotten_ns,
                bool *is_mismatch, struct fail *f) MUST_USE;

#endif
