#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"

static bool text_room(struct text *t, size_t more)
{
    size_t need = t->len + more + 1;
    if (need <= t->room || t->is_cut)
        return !t->is_cut;
    size_t room = t->room ? t->room : 256;
    while (room < need)
        room *= 2;
    char *data = realloc(t->data, room);
    if (!data && !t->may_fail)
        fail_end(EXIT_FAILED, "out of memory: a text of %zu bytes", need);
    t->is_cut = !data;
    if (data) {
        t->data = data;
        t->room = room;
    }
    return data;
}

void text_add(struct text *t, struct span s)
{
    if (!text_room(t, s.len))
        return;
    memcpy(t->data + t->len, s.data, s.len);
    t->len += s.len;
    t->data[t->len] = 0;
}

void text_addf(struct text *t, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    CHECK(len >= 0);
    if (text_room(t, (size_t)len)) {
        vsnprintf(t->data + t->len, (size_t)len + 1, format, again);
        t->len += (size_t)len;
    }
    va_end(again);
    va_end(args);
}

void text_free(struct text *t)
{
    free(t->data);
    *t = (struct text){0};
}
