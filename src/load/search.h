/* The search for the highest rate that holds, as a pure sequence of questions and answers: which rate
 * to try next, and what became of it.
 *
 *   bracket   double from the start until a rate breaks twice in a row (or quarter until one holds)
 *   bisect    halve the bracket, on a logarithmic scale, until its ends are 3 % apart
 *   repeat    four more bisections of their own, each from 25 % below to 25 % above the first one's
 *             end: what they differ by is what the measurement is worth
 *   confirm   longer runs at the median of the ends; three in a row must hold, each that breaks takes
 *             the rate 3 % down
 *
 * The interval is Student's t at 95 % over the logarithms of the five ends: where the rate lies at
 * which a short run breaks. */
#ifndef LOAD_SEARCH_H
#define LOAD_SEARCH_H

#include <stdbool.h>

#define SEARCH_BISECTIONS    5
#define SEARCH_CONFIRMATIONS 3

enum search_phase { SEARCH_BRACKET, SEARCH_BISECT, SEARCH_CONFIRM, SEARCH_DONE };

struct search {
    enum search_phase phase;
    double rate;        /* to try next, per second; DONE: confirmed, 0: none holds */
    double most;        /* greater rates are not tried */
    bool is_second;     /* bracket: the rate broke once already */
    double held, broke; /* the bracket: 0 and INFINITY are not known yet */
    double ends[SEARCH_BISECTIONS];
    unsigned end_count;
    unsigned confirmed; /* runs in a row */
    unsigned steps_down;
    bool is_capped; /* even `most` held */
};

/* `start` above 0, at most `most`. */
void search_begin(struct search *s, double start, double most);

/* What became of a run at s->rate. */
void search_tell(struct search *s, bool is_held);

/* The interval around the ends found so far, widened to hold the confirmed rate; false and 0, 0 if
 * there are fewer than two. */
bool search_interval(const struct search *s, double *low, double *high);

#endif
