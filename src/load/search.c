/* Rates are compared by their quotients throughout: 3 % of 100/s and of 100000/s are the same
 * question. */
#include "load/search.h"

#include <math.h>
#include <string.h>

#include "base/check.h"

enum { STEPS_DOWN_MAX = 30 }; /* to 40 % of where short runs held */

static const double RATE_LEAST = 1, APART = 1.03, AROUND = 1.25, DOWN = 0.97;

void search_begin(struct search *s, double start, double most)
{
    CHECK(start > 0 && start <= most);
    *s = (struct search){.rate = start, .most = most, .broke = INFINITY};
}

static void confirm(struct search *s)
{
    double sorted[SEARCH_BISECTIONS];
    memcpy(sorted, s->ends, sizeof sorted);
    for (unsigned i = 1; i < s->end_count; i++)
        for (unsigned j = i; j && sorted[j] < sorted[j - 1]; j--) {
            double higher = sorted[j - 1];
            sorted[j - 1] = sorted[j];
            sorted[j] = higher;
        }
    s->phase = SEARCH_CONFIRM;
    s->rate = sorted[s->end_count / 2];
}

static void bisect(struct search *s)
{
    s->phase = SEARCH_BISECT;
    s->rate = sqrt(s->held * s->broke);
}

/* The bracket is narrow enough: note its middle, and begin anew around the first one's. */
static void bisected(struct search *s)
{
    s->ends[s->end_count++] = sqrt(s->held * s->broke);
    if (s->end_count == SEARCH_BISECTIONS) {
        confirm(s);
        return;
    }
    s->held = s->ends[0] / AROUND;
    s->broke = fmin(s->ends[0] * AROUND, s->most);
    bisect(s);
}

static void tell_bracket(struct search *s, bool is_held)
{
    if (s->held > 0 && isfinite(s->broke)) {
        bisect(s);
    } else if (is_held && s->rate >= s->most) {
        s->is_capped = true;
        s->ends[s->end_count++] = s->most;
        confirm(s);
    } else if (is_held) {
        s->rate = fmin(s->rate * 2, s->most);
    } else if (s->rate <= RATE_LEAST) {
        s->rate = 0;
        s->phase = SEARCH_DONE;
    } else {
        s->rate = fmax(s->rate / 4, RATE_LEAST);
    }
}

static void tell_confirm(struct search *s, bool is_held)
{
    s->confirmed = is_held ? s->confirmed + 1 : 0;
    if (s->confirmed == SEARCH_CONFIRMATIONS) {
        s->phase = SEARCH_DONE;
    } else if (!is_held && s->steps_down++ == STEPS_DOWN_MAX) {
        s->rate = 0;
        s->phase = SEARCH_DONE;
    } else if (!is_held) {
        s->rate *= DOWN;
    }
}

void search_tell(struct search *s, bool is_held)
{
    CHECK(s->phase != SEARCH_DONE);
    if (s->phase == SEARCH_CONFIRM) {
        tell_confirm(s, is_held);
        return;
    }
    if (s->phase == SEARCH_BRACKET && !is_held && !s->is_second) {
        s->is_second = true; /* one hiccup of the machine must not send the search astray */
        return;
    }
    s->is_second = false;
    if (is_held)
        s->held = s->rate;
    else
        s->broke = s->rate;
    if (s->phase == SEARCH_BRACKET)
        tell_bracket(s, is_held);
    else if (s->broke / s->held > APART)
        bisect(s);
    else
        bisected(s);
}

bool search_interval(const struct search *s, double *low, double *high)
{
    /* two-sided 95 %, by degrees of freedom */
    static const double student[] = {0, 12.706, 4.303, 3.182, 2.776};
    double sum = 0, squares = 0;
    unsigned n = s->end_count;
    *low = *high = 0;
    if (n < 2)
        return false;
    for (unsigned i = 0; i < n; i++)
        sum += log(s->ends[i]);
    for (unsigned i = 0; i < n; i++)
        squares += pow(log(s->ends[i]) - sum / n, 2);
    double half = student[n - 1] * sqrt(squares / (n - 1) / n);
    *low = exp(sum / n - half);
    *high = exp(sum / n + half);
    if (s->phase == SEARCH_DONE && s->rate > 0) {
        *low = fmin(*low, s->rate);
        *high = fmax(*high, s->rate);
    }
    return true;
}
