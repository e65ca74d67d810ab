/* INI text by libinih, with errors that name file and line. Comments begin with ; or # at the
 * beginning of a line, or with ; behind a space. An indented line continues the value above it; a
 * line has at most some 190 bytes. */
#ifndef LAB_INI_H
#define LAB_INI_H

#include <stdbool.h>

#include "base/fail.h"
#include "base/span.h"

enum { INI_NAME_BYTES = 64, INI_BYTES_MAX = 65536 };

struct ini_key {
    char section[INI_NAME_BYTES], name[INI_NAME_BYTES];
    const char *value; /* with the lines that continue it; valid during the call */
    unsigned line;
};

struct ini_reader {
    /* One key, in the order of the text. False with `f` filled: the reading ends, and the reader
     * puts file and line before the sentence. */
    bool (*key)(void *arg, const struct ini_key *k, struct fail *f);
    /* Whether some section has a key of this name: an indented one is most likely a slip. */
    bool (*is_known)(void *arg, const char *name);
    void *arg;
};

/* Reads `text`; `where` stands for the file's name in messages. EXIT_USAGE. */
bool ini_read(const char *where, struct span text, const struct ini_reader *reader,
              struct fail *f) MUST_USE;

/* The same for a file, which `what` ("scenario") names in messages. */
bool ini_read_file(const char *path, const char *what, const struct ini_reader *reader,
                   struct fail *f) MUST_USE;

/* Copies a value into a field of `room` bytes; EXIT_USAGE if it is too long for that. */
bool ini_set_text(char *field, size_t room, const char *value, struct fail *f) MUST_USE;

#endif
