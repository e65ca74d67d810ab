#include "base/bytes.h"

#include <stdlib.h>

enum { FIRST_ROOM = 1024 };
static const uint32_t ROOM_MAX = UINT32_C(1) << 31; /* twice that is none any more */

bool bytes_append(struct bytes *b, struct span s, uint32_t max)
{
    if (max > ROOM_MAX)
        max = ROOM_MAX;
    if (s.len > max || b->len > max - s.len)
        return false;
    uint32_t need = b->len + (uint32_t)s.len, room = b->room ? b->room : FIRST_ROOM;
    if (!need)
        return true;
    while (room < need)
        room *= 2;
    if (room != b->room) {
        char *data = realloc(b->data, room);
        if (!data)
            return false;
        b->data = data;
        b->room = room;
    }
    memcpy(b->data + b->len, s.data, s.len);
    b->len = need;
    return true;
}

void bytes_consume(struct bytes *b, uint32_t n)
{
    CHECK(n <= b->len);
    b->len -= n;
    if (!b->len)
        bytes_free(b);
    else if (n)
        memmove(b->data, b->data + n, b->len);
}

void bytes_free(struct bytes *b)
{
    free(b->data);
    *b = (struct bytes){0};
}
