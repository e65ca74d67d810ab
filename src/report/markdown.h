/* Results as Markdown, for a pull request or an issue: a table of the contestants, the verdict with
 * its reasons, the published figures, the machine, and the commands. */
#ifndef REPORT_MARKDOWN_H
#define REPORT_MARKDOWN_H

#include <jansson.h>

#include "base/text.h"

/* Appends the text for these result documents, an array. What is not known is a dash; texts of a
 * result are escaped, so that they stay text. */
void markdown_put(const json_t *documents, struct text *out);

/* Appends a text of others: nothing in it is markup, nothing ends a cell or a line. */
void markdown_text(const char *s, struct text *out);

#endif
