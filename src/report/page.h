/* The page of a result, and of a run that goes on: one HTML text, made of web/ and the charts'
 * library when the program is built. It needs nothing from anywhere but its data, which stand in
 * the middle: an array of result documents as JSON with no `<` in it (report/html.h sees to that),
 * or `null`, at which it follows a run by asking for `events` beside itself. */
#ifndef REPORT_PAGE_H
#define REPORT_PAGE_H

#include "base/span.h"

/* What stands before the data and behind them; it lives as long as the program. */
struct span page_before_data(void);
struct span page_after_data(void);

#endif
