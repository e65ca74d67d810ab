/* A request with places to be filled in, compiled once: literal pieces and slots. What is filled in
 * is drawn first, so that the length of the body is known when the head is written.
 *
 *   {uuid}       a random UUID, version 4
 *   {mac}        a random MAC address, "EF-2B-C4-F5-D6-34"
 *   {seq}        the request's number, from 1; {seq:1000} counts from 1000
 *   {rand:1-6}   a whole number from 1 to 6
 *
 * Other braces are literal: JSON needs no escaping. */
#ifndef LOAD_TEMPLATE_H
#define LOAD_TEMPLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "base/rng.h"
#include "base/text.h"

#define TEMPLATE_SLOTS_MAX 64

enum template_slot { SLOT_NONE, SLOT_UUID, SLOT_MAC, SLOT_SEQ, SLOT_RAND, SLOT_BODY_LENGTH };

/* Literal bytes, then a slot. */
struct template_piece {
    uint32_t literal_at, literal_len;
    enum template_slot slot;
    bool is_body;
    uint64_t low, count; /* SLOT_SEQ: the first; SLOT_RAND: one of `count` numbers from `low` */
};

struct template
{
    struct text literals;
    struct template_piece pieces[TEMPLATE_SLOTS_MAX + 1]; /* the last without a slot */
    unsigned slot_count;
    bool is_in_body;
    size_t bytes_max;      /* no expansion is longer */
    size_t body_bytes;     /* of the body, without its numbers, whose width varies */
    unsigned body_numbers; /* slots in the body whose width varies */
};

/* --- building: a zeroed struct is an empty template --- */

/* Adds bytes as they stand. */
void template_add_literal(struct template *t, struct span s);

/* Adds text with placeholders. EXIT_USAGE on one that is not well-formed, and on too many. */
bool template_add(struct template *t, struct span s, struct fail *f) MUST_USE;

/* Adds the place of the body's length; marks where the body begins. */
void template_add_body_length(struct template *t);
void template_begin_body(struct template *t);
void template_free(struct template *t);

/* --- expanding, by any number of threads --- */

/* Whether every expansion is the same: t->literals. */
static inline bool template_is_literal(const struct template *t)
{
    return t->slot_count == 0;
}

/* Writes the expansion for the request `number` (from 0) to `at`, with room for t->bytes_max bytes,
 * and returns its length. `rng` is the thread's own. */
size_t template_expand(const struct template *t, uint64_t number, struct rng *rng, char *at);

#endif
