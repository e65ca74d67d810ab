/* The requests of a load and which of them is sent when: several URLs, or a file of requests with
 * weights, dealt like cards. Every round of cards holds each request as often as its weight says, in
 * an order drawn from the seed, so that the shares are exact after each round, and request number k
 * is the same one in every run with the same seed. */
#ifndef LOAD_MIX_H
#define LOAD_MIX_H

#include "load/request.h"

struct mix {
    struct request *requests;
    unsigned count;
    uint16_t *deck; /* indices of requests; dealt again from the start when used up */
    uint32_t deck_count;

    /* Set if there is one request without placeholders: its bytes, `copies` times in a row. */
    char *literal;
    size_t literal_len; /* of one */
};

/* Where requests without a host go; `base` is the URL on the command line, empty if there was none.
 * All requests go to one host: it takes the first URL's, and is the same afterwards for all. */

/* One request for each URL, with equal weights. */
bool mix_from_urls(struct mix *m, const struct request_source *from, const char *const *urls,
                   unsigned count, struct url *base, struct fail *f) MUST_USE;

/* The requests of a file (docs/REQUESTS.md): a line each, "[WEIGHT] METHOD URL|/PATH [BODY|@FILE]",
 * followed by indented header lines. `from` has what all have in common. EXIT_USAGE names the
 * line. */
bool mix_read(struct mix *m, const struct request_source *from, const char *path, struct url *base,
              struct fail *f) MUST_USE;

/* Shuffles the cards; `copies` is for mix->literal. Call once, when all requests are there. */
void mix_shuffle(struct mix *m, uint64_t seed, unsigned copies);
void mix_free(struct mix *m);

/* A hash of what is sent: two mixes with the same one send the same, given the same seed (FNV-1a). */
uint64_t mix_hash(const struct mix *m);

/* The request that is sent as number `number`, from 0. */
static inline const struct request *mix_deal(const struct mix *m, uint64_t number)
{
    return m->count == 1 ? m->requests : &m->requests[m->deck[number % m->deck_count]];
}

#endif
