/* `report.html`: the page (report/page.h) with results inside, which opens from a disk and asks for
 * nothing. */
#ifndef REPORT_HTML_H
#define REPORT_HTML_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/fail.h"

/* Writes the page of these result documents, an array, as file_write(); to a stream that is open.
 * The page draws no histograms, so they are taken out of `documents`. */
bool html_write(json_t *documents, const char *path, struct fail *f) MUST_USE;
bool html_dump(json_t *documents, FILE *to, struct fail *f) MUST_USE;

#endif
