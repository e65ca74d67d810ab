/* The live view of a load on a terminal: rate, latency now and by time, failures, what is under way,
 * what the client itself does. Redrawn in place, one write(2) a frame; drawn on the alternate screen,
 * so that the terminal afterwards is what it was, whichever way the program ends. */
#ifndef REPORT_VIEW_H
#define REPORT_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "load/load.h"
#include "load/plan.h"

/* --- what is shown --- */

enum {
    VIEW_BINS = 112,     /* of latency, four for each doubling from 1 us on */
    VIEW_SECONDS = 1024, /* kept; an older one's place is taken */
};

/* A load as the view knows it. Zeroed, then the first part, `all` and `seconds` are filled in. */
struct view_state {
    char title[2600];       /* "GET http://127.0.0.1:8080/" */
    char model[64];         /* "closed loop" */
    uint64_t window_ns;     /* how long it will take; 0: not known */
    uint64_t request_count; /* how many it will send; 0: not known */
    bool is_open;

    uint64_t elapsed_ns;
    struct load_second last; /* the last row; t = 0: none yet */
    struct load_counts counts;
    uint64_t p50_ns, p99_ns, p999_ns, max_ns; /* of all so far */
    uint64_t bins[VIEW_BINS];                 /* all so far */
    struct hist *all;                         /* the same, exactly; the owner's */
    struct view_second {
        double rps, target_rps; /* NAN: none */
        uint32_t bins[VIEW_BINS];
    } * seconds; /* VIEW_SECONDS of them */
    unsigned second_count;
};

/* Takes in a row, with the histogram of its latencies. */
void view_add(struct view_state *v, const struct load_second *row);

struct view_style {
    unsigned columns, rows;
    bool has_color, has_palette; /* 16 colours; 256 */
    bool has_blocks;             /* UTF-8 */
};

/* Appends one frame that fits, from the top left corner on. */
void view_draw(const struct view_state *v, const struct view_style *style, struct text *frame);

/* --- where it is shown --- */

struct view;

/* Whether a view can be drawn on this descriptor: a terminal that can move its cursor, with this
 * program in its foreground. */
bool view_is_possible(int fd);

/* Takes the terminal over, until view_close(); lines for standard error wait for that. At most one at a
 * time. */
struct view *view_open(int fd);

/* The view of this load, on standard error; NULL if the plan is to be quiet or that is no terminal.
 * `before` and `behind` stand beside what is loaded, in the title. */
struct view *view_open_load(const struct load_plan *plan, const char *before, const char *behind);
struct view_state *view_state(struct view *v);

/* Draws a frame if the last one is older than a sixth of a second or was of another size. */
void view_tick(struct view *v);
void view_close(struct view *v); /* NULL: nothing happens */

#endif
