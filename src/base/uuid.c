/* A system call for each id would cost more than the id: every thread draws a page of random bytes
 * at a time. A fork would copy that page and both processes would hand out the same ids, so the
 * child throws its copy away. */
#include "base/uuid.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include "base/fail.h"

#define POOL_BYTES 4096

static _Thread_local struct {
    unsigned left; /* bytes of `random` not yet used, at its end */
    uint8_t random[POOL_BYTES];
} pool;

/* "000102...ff": two digits a byte. */
#define DIGITS(h) \
    h "0" h "1" h "2" h "3" h "4" h "5" h "6" h "7" h "8" h "9" h "a" h "b" h "c" h "d" h "e" h "f"
static const char hex_pairs[2 * 256 + 1] = DIGITS("0") DIGITS("1") DIGITS("2") DIGITS("3")
    DIGITS("4") DIGITS("5") DIGITS("6") DIGITS("7") DIGITS("8") DIGITS("9") DIGITS("a") DIGITS("b")
        DIGITS("c") DIGITS("d") DIGITS("e") DIGITS("f");

/* In the child only the thread that forked lives on, and this runs on it. */
static void forget_pool(void)
{
    pool.left = 0;
}

static void watch_forks(void)
{
    CHECK(pthread_atfork(NULL, NULL, forget_pool) == 0);
}

static void fill_pool(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    while (pool.left < POOL_BYTES) {
        /* A signal may cut it short or, before the kernel is seeded, end it with EINTR. */
        ssize_t got = getrandom(pool.random + pool.left, POOL_BYTES - pool.left, 0);
        if (got > 0)
            pool.left += (unsigned)got;
        else if (errno != EINTR)
            fail_end(EXIT_FAILED, "the kernel gives no random bytes (getrandom: %s)",
                     strerror(errno));
    }
}

static char *put_hex(char *at, const uint8_t *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++, at += 2)
        memcpy(at, hex_pairs + 2 * bytes[i], 2);
    return at;
}

void uuid_v4(char text[UUID_TEXT_BYTES])
{
    if (pool.left < UUID_BYTES)
        fill_pool();
    uint8_t *id = pool.random + POOL_BYTES - pool.left;
    pool.left -= UUID_BYTES;
    id[6] = (uint8_t)((id[6] & 0x0f) | 0x40); /* RFC 9562 section 5.4: version 4 ... */
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80); /* ... and variant 10 */

    static const uint8_t groups[] = {4, 2, 2, 2, 6};
    for (unsigned i = 0; i < sizeof groups; id += groups[i++]) {
        text = put_hex(text, id, groups[i]);
        if (i + 1 < sizeof groups)
            *text++ = '-';
    }
}

static unsigned hex_digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

void uuid_bytes(const char text[UUID_TEXT_BYTES], char bytes[UUID_BYTES])
{
    const char *at = text;
    for (int i = 0; i < UUID_BYTES; i++, at += 2) {
        if (*at == '-')
            at++;
        bytes[i] = (char)(hex_digit(at[0]) << 4 | hex_digit(at[1]));
    }
}
