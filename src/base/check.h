/* Assertions that stay on in release builds: a broken invariant in a measuring tool must stop it,
 * not colour its numbers. CHECK is for the programmer's mistakes only; what a user, a peer or the
 * kernel can cause is returned as a failure. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#define CHECK(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__))

/* The result must be looked at. */
#define MUST_USE                __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, args) __attribute__((format(printf, text, args)))

/* Prints the condition and where it stood to standard error and aborts. */
void check_failed(const char *cond, const char *file, int line) __attribute__((noreturn, cold));

#endif
