/* The names of methods are case-sensitive (RFC 9110 section 9.1), so a comparison of bytes does. */
#include "http/http.h"

const char *http_method_name(enum http_method m)
{
    switch (m) {
#define METHOD(name)  \
    case HTTP_##name: \
        return #name;
#include "http/method.def"
#undef METHOD
    case HTTP_OTHER:
        break;
    }
    return "?";
}

bool http_method_from(struct span name, enum http_method *m)
{
#define METHOD(known)                  \
    if (span_eq(name, SPAN(#known))) { \
        *m = HTTP_##known;             \
        return true;                   \
    }
#include "http/method.def"
#undef METHOD
    *m = HTTP_OTHER;
    return false;
}
