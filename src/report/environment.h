/* The machine that a result was made on, as far as it bears on the numbers. */
#ifndef REPORT_ENVIRONMENT_H
#define REPORT_ENVIRONMENT_H

#include <jansson.h>

/* {"kernel", "cpu_model", "cores", "governor", "limits", "versions"}; what cannot be found out is
 * null. The caller releases it. */
json_t *environment_json(void);

#endif
