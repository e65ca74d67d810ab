/* One request as bytes, from what a person gave: checked, framed, its placeholders compiled. */
#ifndef LOAD_REQUEST_H
#define LOAD_REQUEST_H

#include "cli/cli.h"
#include "http/http.h"
#include "http/url.h"
#include "load/template.h"

struct request_source {
    const char *method; /* NULL: GET, or POST when there is a body */
    struct span body;
    bool has_body;             /* it may be empty */
    struct cli_texts headers;  /* "Name: value" */
    struct cli_texts defaults; /* the same, for fields that are not among `headers` */
    const char *method_place;  /* what messages call them: "-m", "mix.txt:3: the method" */
    const char *headers_place; /* "-H", "mix.txt:4: the header" */
    bool is_literal;           /* braces mean nothing */
    bool closes;               /* says Connection: close */
};

struct request {
    enum http_method method;
    char method_text[16];
    uint32_t weight;
    struct template bytes;
};

/* Builds the request for the URL's host and target. EXIT_USAGE if the method or a header is none, or
 * would break the framing. */
bool request_build(struct request *r, const struct request_source *from, const struct url *url,
                   struct fail *f) MUST_USE;
void request_free(struct request *r);

/* Reads a file whole ("-": standard input) and puts a NUL behind it; the caller frees it. NULL with
 * EXIT_USAGE, if it cannot be read or is longer than this, which an endless device is, too; `what` is what messages call it: "the body file". */
#define REQUEST_FILE_BYTES_MAX (256 << 20)
char *request_read_file(const char *what, const char *path, size_t *len, struct fail *f) MUST_USE;

#endif
