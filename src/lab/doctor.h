/* `iubench doctor`: what this machine can and cannot do, a line each, with the command that mends
 * it. */
#ifndef LAB_DOCTOR_H
#define LAB_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/fail.h"

enum doctor_state {
    DOCTOR_OK,
    DOCTOR_NOTE, /* works, but worth knowing */
    DOCTOR_MEND, /* iubench needs it */
};

struct doctor_row {
    enum doctor_state state;
    const char *name;
    char text[512]; /* what was found */
    char mend[256]; /* a command or an advice; empty when there is nothing to do */
};

#define DOCTOR_ROWS_MAX 32

/* Looks at everything; returns the number of rows. Takes below a second, most of it for asking
 * programs for their versions. */
unsigned doctor_examine(struct doctor_row rows[DOCTOR_ROWS_MAX]);

/* Prints the rows. EXIT_DONE when all that is needed is there, else EXIT_LACKING. */
int doctor_run(FILE *out, bool color);

/* Judgements as pure functions, for tests. */
void doctor_judge_kernel(struct doctor_row *row, const char *release);
void doctor_judge_descriptors(struct doctor_row *row, uint64_t soft, uint64_t hard);
void doctor_judge_ports(struct doctor_row *row, unsigned low, unsigned high);
void doctor_judge_backlog(struct doctor_row *row, unsigned somaxconn);
void doctor_print(FILE *out, const struct doctor_row *rows, unsigned count, bool color);
int doctor_exit(const struct doctor_row *rows, unsigned count);

#endif
