/* Where results go. */
#ifndef LAB_FOLDER_H
#define LAB_FOLDER_H

#include <stdbool.h>

#include "base/fail.h"

enum { FOLDER_BYTES = 480 };

/* `given`, or, where it is NULL, a folder "results/NAME-TIME" that does not exist yet. */
void folder_choose(const char *given, const char *name, char folder[FOLDER_BYTES]);

/* Makes it and those above it; EXIT_USAGE if that cannot be, or it is no folder that can be written
 * to. */
bool folder_make(const char *folder, struct fail *f) MUST_USE;

#endif
