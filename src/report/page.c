/* Cut where the mark for the data stands. */
#include "report/page.h"

#include "base/check.h"

extern const char page_html_begin[], page_html_end[];

static const struct span mark = {"@DATA@", 6};

static const char *find_mark(void)
{
    const char *at = memmem(page_html_begin, (size_t)(page_html_end - page_html_begin), mark.data,
                            mark.len);
    CHECK(at);
    return at;
}

struct span page_before_data(void)
{
    return (struct span){page_html_begin, (size_t)(find_mark() - page_html_begin)};
}

struct span page_after_data(void)
{
    const char *at = find_mark() + mark.len;
    return (struct span){at, (size_t)(page_html_end - at)};
}
