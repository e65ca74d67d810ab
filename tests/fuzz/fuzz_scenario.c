/* Any bytes as a scenario file: what is taken keeps the promises that the rest relies on, what is
 * refused is refused in one printable sentence that names the file. */
#include <stdlib.h>
#include <string.h>

#include "lab/scenario.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_taken(const struct scenario *s)
{
    CHECK(s->name[0] && memchr(s->name, 0, sizeof s->name) && !strpbrk(s->name, "/. \t"));
    CHECK(s->path[0] == '/' && memchr(s->path, 0, sizeof s->path) && !strpbrk(s->path, " \t#"));
    CHECK(memchr(s->summary, 0, sizeof s->summary) && memchr(s->published, 0, sizeof s->published));
    CHECK(s->target.listen && s->target.mode >= MODE_ALL && s->target.mode <= MODE_DB);
    CHECK(s->target.fib_max <= 92);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scenario *s = malloc(sizeof *s);
    char *text = malloc(size ? size : 1);
    CHECK(s && text);
    memset(s, 0xff, sizeof *s);
    if (size)
        memcpy(text, data, size);
    struct fail f = {.text = ""};
    if (scenario_parse("dir/some.ini", (struct span){text, size}, s, &f)) {
        free(text);
        check_taken(s);
    } else {
        free(text);
        CHECK(f.exit == EXIT_USAGE && strncmp(f.text, "dir/some.ini:", 13) == 0);
        for (const char *c = f.text; *c; c++)
            CHECK(*c >= ' ' && *c < 0x7f);
    }
    free(s);
    return 0;
}
