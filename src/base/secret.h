/* Words of a command line that are to be shown or kept: what is secret in them is put out of sight. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/text.h"

/* Appends `word` with *** in place of
 *   - the password of a URL: "postgresql://user:***@host/db" (RFC 3986 section 3.2.1);
 *   - the value of password= and sslpassword= in a URL's query or a libpq connection string, up to
 *     the next & or space, or to the closing quote;
 *   - the value of a header field that carries credentials: "Authorization: ***" (RFC 9110 section
 *     11.6.2), Proxy-Authorization, Cookie. */
void secret_mask(const char *word, struct text *out);

#endif
