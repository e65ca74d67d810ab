/* A line to the descriptor that IUBENCH_TEST_CONTROL names, and the line "ok" back. */
#include "lib/control.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

bool control_is_there(void)
{
    return getenv("IUBENCH_TEST_CONTROL");
}

void control(const char *request)
{
    char line[128];
    assert_true(control_is_there());
    int fd = (int)strtol(getenv("IUBENCH_TEST_CONTROL"), NULL, 10);
    int len = snprintf(line, sizeof line, "%s\n", request);
    assert_int_equal(write(fd, line, (size_t)len), len);
    ssize_t got = read(fd, line, sizeof line - 1);
    assert_true(got > 0);
    line[got] = 0;
    assert_string_equal(line, "ok\n");
}
