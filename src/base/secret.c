/* Each kind is looked for at the place that is reached; what is none of them passes as it is. */
#include "base/secret.h"

#include <string.h>
#include <strings.h>

static const struct span hidden = {"***", 3};

static void add(struct text *out, const char *from, size_t len)
{
    text_add(out, (struct span){from, len});
}

/* Where a URL's password stands behind "://", if it has one: the user may hold no ":", the password
 * ends at the last "@" before the host's end. */
static const char *password_of(const char *authority, const char **end)
{
    size_t len = strcspn(authority, "/?# ");
    const char *at = memrchr(authority, '@', len);
    const char *colon = at ? memchr(authority, ':', (size_t)(at - authority)) : NULL;
    *end = at;
    return colon ? colon + 1 : NULL;
}

/* The length of a "password=" value, which may be in quotes. */
static size_t value_length(const char *value)
{
    if (*value != '\'')
        return strcspn(value, "& ");
    size_t len = 1;
    while (value[len] && value[len] != '\'')
        len += value[len] == '\\' && value[len + 1] ? 2 : 1;
    return len + (value[len] == '\'');
}

static bool is_credentials(const char *word, size_t *name_len)
{
    static const char *const names[] = {"Authorization:", "Proxy-Authorization:", "Cookie:"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        *name_len = strlen(names[i]);
        if (!strncasecmp(word, names[i], *name_len))
            return true;
    }
    return false;
}

/* "--header=Authorization: x" as well as the word behind -H. */
static bool mask_field(const char *word, struct text *out)
{
    static const char option[] = "--header=", letter[] = "-H";
    size_t name_len, lead = 0;
    if (!strncmp(word, option, sizeof option - 1))
        lead = sizeof option - 1;
    else if (!strncmp(word, letter, sizeof letter - 1))
        lead = sizeof letter - 1;
    if (!is_credentials(word + lead, &name_len))
        return false;
    add(out, word, lead + name_len);
    add(out, " ", 1);
    text_add(out, hidden);
    return true;
}

void secret_mask(const char *word, struct text *out)
{
    static const char scheme[] = "://", password[] = "password=";
    if (mask_field(word, out))
        return;
    while (*word) {
        const char *value = NULL, *end = NULL;
        if (!strncmp(word, scheme, sizeof scheme - 1)) {
            value = password_of(word + sizeof scheme - 1, &end);
        } else if (!strncmp(word, password, sizeof password - 1)) {
            value = word + sizeof password - 1;
            end = value + value_length(value);
        }
        if (value) {
            add(out, word, (size_t)(value - word));
            text_add(out, hidden);
            word = end;
        } else {
            add(out, word++, 1);
        }
    }
}
