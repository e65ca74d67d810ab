/* A colon makes a URL, a slash or .ini a file, anything else is a name. */
#include "lab/entrant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "http/url.h"

bool entrant_read(struct entrant *e, const char *word, struct fail *f)
{
    struct url url;
    *e = (struct entrant){.kind = ENTRANT_OWN, .word = word, .name = word};
    e->is_ours = strcmp(word, "iubench") == 0;
    if (e->is_ours)
        return true;
    if (strchr(word, ':')) {
        e->kind = ENTRANT_URL;
        return url_parse(word, &url, f);
    }
    e->kind = ENTRANT_FILE;
    e->file = mem_need(1, sizeof *e->file);
    e->name = e->file->name;
    return target_file_load(word, e->file, f);
}

void entrant_start_by(struct entrant *e, struct target_file *file)
{
    e->kind = ENTRANT_FILE;
    e->file = file;
}

void entrant_free(struct entrant *e)
{
    free(e->file);
    e->file = NULL;
}

bool entrant_asks_for(const struct entrant *e, const char *place)
{
    char wanted[32];
    if (e->kind != ENTRANT_FILE)
        return false;
    snprintf(wanted, sizeof wanted, "{%s}", place);
    bool is_asked = strstr(e->file->command, wanted);
    for (unsigned i = 0; i < e->file->env_count; i++)
        is_asked |= strstr(e->file->env[i], wanted) != NULL;
    return is_asked;
}
