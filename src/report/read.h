/* Result documents that others wrote ("iubench-result/1"), read with as little trust as any input.
 * What is missing or of another kind is said with the file, the way to it in the document, and what
 * was expected there: `b.json: targets[0].requests.ok: expected a whole number, found a text`. */
#ifndef REPORT_READ_H
#define REPORT_READ_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "metrics/hist.h"

#define READ_PATH_BYTES 128

/* A value and the way to it. It borrows from the document. */
struct read_node {
    const char *file;
    json_t *value; /* never NULL after a success */
    char path[READ_PATH_BYTES];
};

/* Reads a file ("-": standard input), which must be a result of schema iubench-result/1. EXIT_FAILED
 * if it cannot be read, EXIT_USAGE if it is something else. `path` must outlive the root;
 * read_close() frees what all nodes of the document borrow from. */
bool read_open(const char *path, struct read_node *root, struct fail *f) MUST_USE;

/* The same, or a document of schema iubench-reproduction/1; which of them it is. */
bool read_open_any(const char *path, struct read_node *root, struct fail *f) MUST_USE;
bool read_is_reproduction(const struct read_node *root);

/* Takes "LABEL=FILE" apart: returns FILE, and the label for free(3); NULL where there is none. */
const char *read_label(const char *word, char **label);

void read_close(struct read_node *root);

/* What stands in `in` under `key`. Each fails with EXIT_USAGE if it is not there or not of its kind;
 * texts belong to the document. No number is beyond READ_NUMBER_MAX, so that sums stay finite. */
#define READ_NUMBER_MAX 1e18
bool read_object(const struct read_node *in, const char *key, struct read_node *out,
                 struct fail *f) MUST_USE;
bool read_array(const struct read_node *in, const char *key, struct read_node *out,
                struct fail *f) MUST_USE;
bool read_text(const struct read_node *in, const char *key, const char **out,
               struct fail *f) MUST_USE;
bool read_bool(const struct read_node *in, const char *key, bool *out, struct fail *f) MUST_USE;
bool read_count(const struct read_node *in, const char *key, uint64_t *out,
                struct fail *f) MUST_USE;
bool read_number(const struct read_node *in, const char *key, double *out, struct fail *f) MUST_USE;

/* The same where null, or nothing at all, stands for what does not apply or is not known: NAN. */
bool read_number_or_nan(const struct read_node *in, const char *key, double *out,
                        struct fail *f) MUST_USE;

/* A text that may be shown on a terminal as it is: without control characters. */
bool read_line(const struct read_node *in, const char *key, const char **out,
               struct fail *f) MUST_USE;

/* Element i, an object, of an array that read_array() gave; i below json_array_size(). */
bool read_item(const struct read_node *array, size_t i, struct read_node *out,
               struct fail *f) MUST_USE;

/* Decodes a text "HISTFAAAA..." into `h`, replacing what it holds. */
bool read_histogram(const struct read_node *in, const char *key, struct hist *h,
                    struct fail *f) MUST_USE;

/* Whether `in` has something other than null under `key`. */
bool read_has(const struct read_node *in, const char *key);

/* EXIT_USAGE with file and path before the text; `key` NULL: the node itself. For readers that
 * expect more than a kind. */
bool read_fail(const struct read_node *in, const char *key, struct fail *f, const char *format, ...)
    PRINTF_LIKE(4, 5);

#endif
