/* The page of a result, and of a run that goes on: one HTML text, made of web/ and the charts' library
 * when the program is built. It needs nothing from anywhere but its data, which stand in the middle:
 * an array of result documents as JSON, or `null`, at which it asks for `events` beside itself.
 * JSON between the two halves must have passed html_put_json() (report/html.h); `null` may stand as
 * it is. */
#ifndef REPORT_PAGE_H
#define REPORT_PAGE_H

#include "base/span.h"

struct span page_before_data(void);
struct span page_after_data(void);

#endif
