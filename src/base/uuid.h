/* Random UUIDs (RFC 9562, version 4). Randomness comes from getrandom(2) in pages, one call for 256
 * ids and thread. */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#define UUID_TEXT_BYTES 36
#define UUID_BYTES      16

/* Writes 36 lower-case characters with hyphens, no NUL. Any thread. */
void uuid_v4(char text[UUID_TEXT_BYTES]);

/* The 16 bytes that such a text stands for. */
void uuid_bytes(const char text[UUID_TEXT_BYTES], char bytes[UUID_BYTES]);

#endif
