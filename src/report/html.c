/* JSON may stand in a script of HTML once it has no `<` in it, which only its strings ever have:
 * neither `</script` nor `<!--` can then be read in it. */
#include "report/html.h"

#include <errno.h>
#include <string.h>

#include "base/span.h"
#include "report/file.h"
#include "report/page.h"

static bool put(FILE *to, struct span s)
{
    return fwrite(s.data, 1, s.len, to) == s.len;
}

static int put_json(const char *data, size_t len, void *to)
{
    for (const char *end = data + len; data < end;) {
        const char *bad = memchr(data, '<', (size_t)(end - data));
        const char *stop = bad ? bad : end;
        if (!put(to, (struct span){data, (size_t)(stop - data)}) ||
            (bad && !put(to, SPAN("\\u003c"))))
            return -1;
        data = stop + !!bad;
    }
    return 0;
}

static bool put_page(FILE *to, const void *documents)
{
    return put(to, page_before_data()) &&
           json_dump_callback(documents, put_json, to, JSON_COMPACT | JSON_REAL_PRECISION(12)) ==
               0 &&
           put(to, page_after_data()) && fflush(to) == 0;
}

static void drop_histograms(json_t *documents)
{
    json_t *document, *target;
    size_t i, j;
    json_array_foreach(documents, i, document)
        json_array_foreach(json_object_get(document, "targets"), j, target)
            json_object_del(target, "histograms");
}

bool html_write(json_t *documents, const char *path, struct fail *f)
{
    drop_histograms(documents);
    return file_write(path, put_page, documents, f);
}

bool html_dump(json_t *documents, FILE *to, struct fail *f)
{
    drop_histograms(documents);
    return put_page(to, documents) ||
           fail_set(f, EXIT_FAILED, "the report could not be written: %s", strerror(errno));
}
