#include "base/color.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool color_is_refused(void)
{
    const char *no_color = getenv("NO_COLOR");
    return no_color && *no_color;
}

bool color_is_wanted(FILE *to)
{
    const char *term = getenv("TERM");
    return isatty(fileno(to)) && term && strcmp(term, "dumb") != 0 && !color_is_refused();
}
