#include "base/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static void mark_cut(struct fail *f, int wanted)
{
    if (wanted >= (int)sizeof f->text)
        memcpy(f->text + sizeof f->text - 4, "...", 4);
}

bool fail_set(struct fail *f, enum exit_code exit, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    f->exit = exit;
    mark_cut(f, vsnprintf(f->text, sizeof f->text, format, args));
    va_end(args);
    return false;
}

bool fail_prefix(struct fail *f, const char *format, ...)
{
    char prefix[256], text[sizeof f->text];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    memcpy(text, f->text, sizeof text);
    mark_cut(f, snprintf(f->text, sizeof f->text, "%s: %s", prefix, text));
    return false;
}

void fail_end(enum exit_code exit, const char *format, ...)
{
    struct fail f;
    va_list args;
    va_start(args, format);
    mark_cut(&f, vsnprintf(f.text, sizeof f.text, format, args));
    va_end(args);
    log_line("%s", f.text);
    _exit((int)exit); /* exit() would take apart what other threads still use */
}
