/* A wrong name is mostly a right one with a slip in it: a letter too many, too few, wrong, or two
 * swapped. That is the Damerau-Levenshtein distance (optimal string alignment). */
#include "cli/cli.h"

#include <ctype.h>
#include <string.h>

#include "base/log.h"

#define NAME_BYTES_MAX 63 /* a longer word is no slip of any name of ours */

/* Case is no slip, nor is _ for -. */
static char folded(char c)
{
    return c == '_' ? '-' : (char)tolower((unsigned char)c);
}

static unsigned min_of(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* rows[i % 3][j] is the distance of the first i letters of `a` from the first j of `b`; a swap
 * looks back two rows. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][NAME_BYTES_MAX + 1];
    for (unsigned j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a_len; i++) {
        const unsigned *above = rows[(i - 1) % 3], *two_above = rows[(i + 1) % 3];
        unsigned *row = rows[i % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b_len; j++) {
            char x = folded(a[i - 1]), y = folded(b[j - 1]);
            row[j] = min_of(above[j - 1] + (x != y), min_of(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && x == folded(b[j - 2]) && folded(a[i - 2]) == y)
                row[j] = min_of(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

/* One slip in every three letters of the longer word, so that nothing far-fetched is suggested. */
static unsigned slips_allowed(size_t a_len, size_t b_len)
{
    size_t longer = a_len > b_len ? a_len : b_len;
    return longer < 3 ? 1 : (unsigned)longer / 3;
}

const char *cli_nearest(const char *word, const char *const *names)
{
    const char *best = NULL, *begun = NULL;
    size_t len = strlen(word);
    unsigned best_slips = UINT32_MAX, begun_count = 0;
    if (!len || len > NAME_BYTES_MAX)
        return NULL;
    for (; *names; names++) {
        size_t name_len = strlen(*names);
        CHECK(name_len <= NAME_BYTES_MAX);
        unsigned slips = distance(word, len, *names, name_len);
        if (slips <= slips_allowed(len, name_len) && slips < best_slips) {
            best = *names;
            best_slips = slips;
        }
        if (len >= 3 && !strncasecmp(word, *names, len)) {
            begun = *names;
            begun_count++;
        }
    }
    return begun_count == 1 && best_slips > 1 ? begun : best;
}

const struct command *cli_find(const struct command *const *commands, const char *name,
                               struct fail *f)
{
    const char *names[64] = {"--help", "--version"};
    unsigned count = 2;
    for (; *commands; commands++) {
        CHECK(count + 1 < sizeof names / sizeof names[0]);
        if (!strcmp((*commands)->name, name))
            return *commands;
        names[count++] = (*commands)->name;
    }

    char shown[64];
    const char *nearest = cli_nearest(name, names);
    fail_set(f, EXIT_USAGE, "unknown %s \"%s\"%s%s%s", name[0] == '-' ? "option" : "command",
             log_escape(span_of(name), shown, sizeof shown), nearest ? "; did you mean \"" : "",
             nearest ? nearest : "; iubench --help lists them", nearest ? "\"?" : "");
    return NULL;
}
