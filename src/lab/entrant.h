/* Who is to race: what one --target names. */
#ifndef LAB_ENTRANT_H
#define LAB_ENTRANT_H

#include <stdbool.h>

#include "base/fail.h"
#include "lab/target_file.h"

enum entrant_kind {
    ENTRANT_OWN,  /* "iubench", in this process */
    ENTRANT_URL,  /* a service that runs already */
    ENTRANT_FILE, /* one that a target file starts */
};

struct entrant {
    enum entrant_kind kind;
    const char *word;         /* as it was given */
    const char *name;         /* as results call it */
    struct target_file *file; /* ENTRANT_FILE */
    bool is_ours;             /* also as a process of its own */
    bool is_out;              /* failed or was skipped: it races no more */
};

/* EXIT_USAGE if there is no such target, or its file is wrong. `word` must stay. */
bool entrant_read(struct entrant *e, const char *word, struct fail *f) MUST_USE;

/* Makes our own one that is started from this file, which is taken over. */
void entrant_start_by(struct entrant *e, struct target_file *file);
void entrant_free(struct entrant *e);

/* Whether its command or environment asks for {place}. */
bool entrant_asks_for(const struct entrant *e, const char *place);

#endif
