#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

static struct {
    pthread_mutex_t lock;
    bool is_on;
    struct text lines;
} held = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void put(struct span text)
{
    if (write(STDERR_FILENO, text.data, text.len) < 0)
        return; /* nobody listens: there is no one to tell */
}

bool log_is_time(_Atomic uint64_t *last_ns, uint64_t now_ns)
{
    static const uint64_t SELDOM_NS = 10ull * 1000 * 1000 * 1000;
    uint64_t last = atomic_load(last_ns);
    return (!last || now_ns - last >= SELDOM_NS) &&
           atomic_compare_exchange_strong(last_ns, &last, now_ns ? now_ns : 1);
}

void log_hold(void)
{
    pthread_mutex_lock(&held.lock);
    held.is_on = true;
    pthread_mutex_unlock(&held.lock);
}

void log_release(void)
{
    pthread_mutex_lock(&held.lock);
    held.is_on = false;
    if (held.lines.len)
        put(text_span(&held.lines));
    text_free(&held.lines);
    held.lines = (struct text){0};
    pthread_mutex_unlock(&held.lock);
}

void log_line(const char *format, ...)
{
    char line[2048];
    int head = snprintf(line, sizeof line, "iubench: ");
    va_list args;
    va_start(args, format);
    int body = vsnprintf(line + head, sizeof line - (size_t)head - 1, format, args);
    va_end(args);
    size_t len = (size_t)head + (size_t)body;
    if (len > sizeof line - 2)
        len = sizeof line - 2;
    line[len++] = '\n';
    pthread_mutex_lock(&held.lock);
    if (held.is_on)
        text_add(&held.lines, (struct span){line, len});
    else
        put((struct span){line, len});
    pthread_mutex_unlock(&held.lock);
}

static const char *escape(struct span s, const char *special, char *out, size_t room)
{
    static const char hex[] = "0123456789abcdef";
    size_t at = 0, cut = 0; /* `cut`: where "..." would still fit */
    CHECK(room >= 8);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        bool is_plain = c >= 0x20 && c < 0x7f && !strchr(special, c);
        if (at + sizeof "..." <= room)
            cut = at;
        if (at + (is_plain ? 1 : 4) + 1 > room) {
            memcpy(out + cut, "...", sizeof "...");
            return out;
        }
        if (is_plain) {
            out[at++] = (char)c;
        } else {
            out[at++] = '\\';
            out[at++] = 'x';
            out[at++] = hex[c >> 4];
            out[at++] = hex[c & 15];
        }
    }
    out[at] = 0;
    return out;
}

const char *log_escape(struct span s, char *out, size_t room)
{
    return escape(s, "\"\\", out, room);
}

const char *log_show(struct span s, char *out, size_t room)
{
    return escape(s, "", out, room);
}
