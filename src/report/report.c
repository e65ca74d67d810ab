/* All is read before anything is written. */
#include "report/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report/file.h"
#include "report/html.h"
#include "report/markdown.h"
#include "report/read.h"

/* What page and Markdown lean on; the rest of a document may be missing. */
static bool take_document(const struct read_node *root, json_t *documents, struct fail *f)
{
    const char *key = read_is_reproduction(root) ? "rows" : "targets";
    struct read_node items, item;
    if (!read_array(root, key, &items, f))
        return false;
    for (size_t i = 0; i < json_array_size(items.value); i++)
        if (!read_item(&items, i, &item, f))
            return false;
    CHECK(json_array_append(documents, root->value) == 0);
    return true;
}

static bool read_documents(const char *const *paths, size_t count, bool is_markdown,
                           json_t *documents, struct fail *f)
{
    for (size_t i = 0; i < count; i++) {
        struct read_node root;
        char *label;
        const char *path = read_label(paths[i], &label);
        /* a reproduction's Markdown stands beside it */
        if (!(is_markdown ? read_open(path, &root, f) : read_open_any(path, &root, f))) {
            free(label);
            return false;
        }
        if (label) /* what it is called on the page */
            json_object_set_new(root.value, "label", json_string(label));
        bool is_good = take_document(&root, documents, f);
        read_close(&root);
        free(label);
        if (!is_good)
            return false;
    }
    return true;
}

static bool put_markdown(FILE *to, const void *documents)
{
    struct text text = {0};
    markdown_put(documents, &text);
    bool is_good = fwrite(text.data, 1, text.len, to) == text.len && fflush(to) == 0;
    text_free(&text);
    return is_good;
}

static bool write_markdown(const json_t *documents, const char *out, struct fail *f)
{
    if (strcmp(out, "-") != 0)
        return file_write(out, put_markdown, documents, f);
    return put_markdown(stdout, documents) ||
           fail_set(f, EXIT_FAILED, "the report could not be written: %s", strerror(errno));
}

bool report_write(const char *const *paths, size_t count, const char *out, bool is_markdown,
                  struct fail *f)
{
    json_t *documents = json_array();
    bool is_stdout = strcmp(out, "-") == 0;
    bool is_good = read_documents(paths, count, is_markdown, documents, f) &&
                   (is_markdown ? write_markdown(documents, out, f)
                    : is_stdout ? html_dump(documents, stdout, f)
                                : html_write(documents, out, f));
    json_decref(documents);
    return is_good;
}
