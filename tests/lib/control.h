/* A test program's way to ask the Python test that started it for things to be done with the server
 * under test: "kill", "start", "stop", "pause", "resume", each with the server's name in front
 * ("postgres kill"). */
#ifndef TESTS_LIB_CONTROL_H
#define TESTS_LIB_CONTROL_H

#include <stdbool.h>

/* False when the program runs alone. */
bool control_is_there(void);

/* Returns when it is done; a failure ends the test. */
void control(const char *request);

#endif
