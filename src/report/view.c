/* A frame is a page of lines from top to bottom, each cut at the right edge: title, progress, the
 * numbers of now, then latency by time as a map (brighter: more answers) with the distribution of all
 * so far beside it, on the same axis. */
#include "report/view.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "report/shown.h"

/* --- taking in --- */

/* The upper end of a bin; the last one has none. */
static uint64_t bin_high_ns(unsigned bin)
{
    return (uint64_t)(1000 * exp2(bin / 4.0));
}

static void bins_of(const struct hist *h, uint64_t bins[VIEW_BINS])
{
    unsigned bucket = 0;
    for (unsigned bin = 0; bin < VIEW_BINS; bin++) {
        unsigned end = bin + 1 < VIEW_BINS ? hist_bucket(bin_high_ns(bin)) + 1 : HIST_BUCKETS;
        bins[bin] = 0;
        for (; bucket < end && bucket < HIST_BUCKETS; bucket++)
            bins[bin] += h->buckets[bucket];
    }
}

void view_add(struct view_state *v, const struct load_second *row)
{
    struct view_second *second = &v->seconds[v->second_count++ % VIEW_SECONDS];
    uint64_t bins[VIEW_BINS] = {0};
    if (row->latency) {
        bins_of(row->latency, bins);
        hist_merge(v->all, row->latency);
    }
    for (unsigned i = 0; i < VIEW_BINS; i++) {
        second->bins[i] = bins[i] < UINT32_MAX ? (uint32_t)bins[i] : UINT32_MAX;
        v->bins[i] += bins[i];
    }
    second->rps = row->length_s > 0 ? (double)row->counts.ok / row->length_s : 0;
    second->target_rps = row->target_rps;
    v->last = *row;
    v->last.latency = v->last.service = NULL; /* valid during the call only */
    load_counts_add(&v->counts, &row->counts);
    v->p50_ns = hist_percentile(v->all, 50);
    v->p99_ns = hist_percentile(v->all, 99);
    v->p999_ns = hist_percentile(v->all, 99.9);
    v->max_ns = v->all->max;
}

/* --- lines --- */

enum shade { PLAIN, FAINT, BOLD, GOOD, WARN, BAD, ACCENT };

enum { LABEL_COLUMNS = 11, RIGHT_COLUMNS = 27, MAP_ROWS_MAX = 28 };

struct page {
    const struct view_style *style;
    struct text *out;
    unsigned left;  /* columns of this line */
    unsigned lines; /* of the page */
};

static void escape(struct page *p, const char *code)
{
    if (p->style->has_color)
        text_addf(p->out, "\033[%sm", code);
}

static void begin(struct page *p, enum shade shade)
{
    static const char *const codes[] = {"0", "2", "1", "32", "33", "31", "36"};
    if (shade != PLAIN)
        escape(p, codes[shade]);
}

static void end(struct page *p)
{
    escape(p, "0");
}

static void put(struct page *p, enum shade shade, const char *format, ...) PRINTF_LIKE(3, 4);

static void put(struct page *p, enum shade shade, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t len = strlen(text);
    if (len > p->left)
        len = p->left;
    if (!len)
        return;
    begin(p, shade);
    text_add(p->out, (struct span){text, len});
    if (shade != PLAIN)
        end(p);
    p->left -= (unsigned)len;
}

static void put_glyph(struct page *p, const char *glyph)
{
    if (!p->left)
        return;
    text_add(p->out, span_of(glyph));
    p->left--;
}

static void skip_to(struct page *p, unsigned column)
{
    unsigned at = p->style->columns - p->left;
    if (at < column)
        put(p, PLAIN, "%*s", (int)(column - at), "");
}

/* False when the page is full. */
static bool next_line(struct page *p)
{
    text_add(p->out, SPAN("\033[K"));
    if (p->lines + 1 >= p->style->rows) {
        p->lines = p->style->rows;
        p->left = 0;
        return false;
    }
    text_add(p->out, SPAN("\r\n"));
    p->lines++;
    p->left = p->style->columns;
    return true;
}

static const char *grouped(double value, char out[32])
{
    return shown_count((uint64_t)nearbyint(fmin(fmax(value, 0), 1e15)), out);
}

/* --- title and progress --- */

static double progress(const struct view_state *v)
{
    double by_time = v->window_ns ? (double)v->elapsed_ns / (double)v->window_ns : 0;
    double by_count = v->request_count ? (double)v->counts.sent / (double)v->request_count : 0;
    return fmin(fmax(by_time, by_count), 1);
}

static void draw_title(struct page *p, const struct view_state *v)
{
    char clock[64], elapsed[UNITS_TEXT_BYTES], window[UNITS_TEXT_BYTES];
    units_duration_text(v->elapsed_ns / NS_PER_S * NS_PER_S, elapsed);
    snprintf(clock, sizeof clock, v->window_ns ? "%s of %s" : "%s", elapsed,
             units_duration_text(v->window_ns, window));
    unsigned room = p->style->columns > strlen(clock) + 2
                        ? p->style->columns - (unsigned)strlen(clock) - 2
                        : 0;
    unsigned title = room > 10 ? room - 10 : 0;
    put(p, BOLD, " iubench ");
    put(p, PLAIN, "%.*s", (int)(title < 480 ? title : 480), v->title);
    skip_to(p, room + 1);
    put(p, BOLD, "%s", clock);
    next_line(p);
}

static void draw_progress(struct page *p, const struct view_state *v)
{
    unsigned width = p->style->columns > 2 ? p->style->columns - 2 : 0;
    unsigned done = (unsigned)(progress(v) * width);
    put(p, PLAIN, " ");
    begin(p, ACCENT);
    for (unsigned i = 0; i < done; i++)
        put_glyph(p, p->style->has_blocks ? "━" : "=");
    end(p);
    begin(p, FAINT);
    for (unsigned i = done; i < width; i++)
        put_glyph(p, p->style->has_blocks ? "─" : "-");
    end(p);
    next_line(p);
}

/* --- now --- */

static void put_label(struct page *p, const char *label)
{
    put(p, FAINT, " %-*s", LABEL_COLUMNS - 1, label);
}

static const struct view_second *second_at(const struct view_state *v, unsigned index)
{
    return &v->seconds[index % VIEW_SECONDS];
}

/* The last seconds, as many as fit; in a short run a second has several columns. */
struct span_of_time {
    unsigned first, columns_each;
};

static struct span_of_time choose_seconds(const struct view_state *v, unsigned width)
{
    enum { COLUMNS_MAX = 4, UNKNOWN_S = 20 };
    unsigned kept = v->second_count < VIEW_SECONDS ? v->second_count : VIEW_SECONDS;
    unsigned in_all = v->window_ns ? (unsigned)(v->window_ns / NS_PER_S) + 1 : UNKNOWN_S;
    if (in_all < kept)
        in_all = kept;
    unsigned each = width / in_all < COLUMNS_MAX ? width / in_all : COLUMNS_MAX;
    each = each ? each : 1;
    unsigned shown = kept < width / each ? kept : width / each;
    return (struct span_of_time){v->second_count - shown, each};
}

static void draw_spark(struct page *p, const struct view_state *v, unsigned width)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const ascii[] = {"_", ".", "-", "-", "=", "=", "^", "^"};
    struct span_of_time shown = choose_seconds(v, width);
    double most = 1;
    for (unsigned i = shown.first; i < v->second_count; i++)
        most = fmax(most, second_at(v, i)->rps);
    begin(p, ACCENT);
    for (unsigned i = shown.first; i < v->second_count; i++) {
        unsigned level = (unsigned)(second_at(v, i)->rps / most * 7.999);
        for (unsigned n = 0; n < shown.columns_each; n++)
            put_glyph(p, p->style->has_blocks ? blocks[level] : ascii[level]);
    }
    end(p);
}

static void draw_rate(struct page *p, const struct view_state *v)
{
    char rps[32], target[32] = "";
    const struct view_second *now = second_at(v, v->second_count ? v->second_count - 1 : 0);
    bool has_target = v->second_count && !isnan(now->target_rps);
    bool is_behind = has_target && now->rps < now->target_rps * 0.95;
    put_label(p, "rate");
    put(p, is_behind ? BAD : BOLD, "%9s ok/s", v->second_count ? grouped(now->rps, rps) : "-");
    if (has_target)
        put(p, is_behind ? BAD : FAINT, "  of %s/s due", grouped(now->target_rps, target));
    else
        put(p, FAINT, "  %s", v->model);
    skip_to(p, LABEL_COLUMNS + 34);
    draw_spark(p, v, p->left > 1 ? p->left - 1 : 0);
    next_line(p);
}

static void draw_percentiles(struct page *p, const char *label, const uint64_t ns[4],
                             const char *when, bool is_known)
{
    char shown[UNITS_TEXT_BYTES];
    put_label(p, label);
    for (unsigned i = 0; i < 4; i++)
        put(p, i < 2 ? BOLD : PLAIN, "%11s", is_known ? units_latency_text(ns[i], shown) : "-");
    put(p, FAINT, "   %s", when);
    next_line(p);
}

static void draw_latency(struct page *p, const struct view_state *v)
{
    const struct load_second *l = &v->last;
    put_label(p, "");
    put(p, FAINT, "%11s%11s%11s%11s", "p50", "p99", "p99.9", "max");
    next_line(p);
    draw_percentiles(p, "latency", (const uint64_t[]){l->p50_ns, l->p99_ns, l->p999_ns, l->max_ns},
                     "in the last second", l->t && l->max_ns);
    draw_percentiles(p, "", (const uint64_t[]){v->p50_ns, v->p99_ns, v->p999_ns, v->max_ns},
                     "so far", v->max_ns > 0);
}

static void put_failure(struct page *p, uint64_t count, const char *name)
{
    char shown[32];
    if (count)
        put(p, BAD, "  %s %s", grouped((double)count, shown), name);
}

static uint64_t ended(const struct load_counts *c)
{
    uint64_t sum = c->ok + c->timeouts + c->unsent;
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
        sum += c->errors[i];
    return sum;
}

static void draw_answers(struct page *p, const struct view_state *v)
{
    static const char *const words[LOAD_ERROR_COUNT] = {
        "DNS", "not connected", "reset", "bad", "unexpected", "3xx", "4xx", "5xx"};
    const struct load_counts *c = &v->counts;
    uint64_t all = ended(c);
    char ok[32];
    double pct = all ? 100 * (double)c->ok / (double)all : 100;
    if (c->ok < all && pct > 99.99)
        pct = 99.99; /* never 100 % while something failed */
    put_label(p, "answers");
    put(p,
        pct < 99    ? BAD
        : pct < 100 ? WARN
                    : GOOD,
        pct == floor(pct) ? "%.0f %%" : "%.2f %%", pct);
    put(p, PLAIN, "  %s ok", grouped((double)c->ok, ok));
    put_failure(p, c->timeouts, "timeouts");
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
        put_failure(p, c->errors[i], words[i]);
    put_failure(p, c->unsent, "never sent");
    next_line(p);
}

static void draw_under_way(struct page *p, const struct view_state *v)
{
    const struct load_second *l = &v->last;
    char shown[32];
    put_label(p, "under way");
    put(p, PLAIN, "%s in flight, ", grouped(l->in_flight, shown));
    put(p, PLAIN, "%s connections", grouped(l->connections_open, shown));
    if (l->clients)
        put(p, PLAIN, " of %s clients", grouped(l->clients, shown));
    if (v->is_open)
        put(p, l->backlog ? WARN : PLAIN, ", %s waiting", grouped(l->backlog, shown));
    next_line(p);
}

static void draw_client(struct page *p, const struct view_state *v)
{
    const struct load_second *l = &v->last;
    char lag[UNITS_TEXT_BYTES];
    put_label(p, "client");
    put(p, l->client_cpu_pct >= 95 ? WARN : PLAIN, "%.0f %% of a core", l->client_cpu_pct);
    if (v->is_open)
        put(p, PLAIN, ", send lag p99 %s", units_latency_text(l->send_lag_p99_ns, lag));
    next_line(p);
}

/* --- latency by time, and all of it --- */

/* Which bins a row of the map holds: rows count from the top, the slowest. */
struct axis {
    unsigned low, per_row, rows;
};

static struct axis choose_axis(const struct view_state *v, unsigned rows)
{
    unsigned low = 0, high = VIEW_BINS - 1;
    while (low < high && !v->bins[low])
        low++;
    while (high > low && !v->bins[high])
        high--;
    struct axis a = {.per_row = (high - low) / rows + 1, .rows = rows};
    unsigned spare = rows * a.per_row - (high - low + 1);
    a.low = low > spare / 2 ? low - spare / 2 : 0;
    return a;
}

static unsigned row_low(const struct axis *a, unsigned row)
{
    return a->low + (a->rows - 1 - row) * a->per_row;
}

static uint64_t row_sum(const struct axis *a, unsigned row, const struct view_state *v,
                        const struct view_second *second)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < a->per_row; i++) {
        unsigned bin = row_low(a, row) + i;
        if (bin < VIEW_BINS)
            sum += second ? second->bins[bin] : v->bins[bin];
    }
    return sum;
}

static uint64_t row_sum_most(const struct axis *a, const struct view_state *v,
                             const struct view_second *second)
{
    uint64_t most = 1;
    for (unsigned row = 0; row < a->rows; row++) {
        uint64_t sum = row_sum(a, row, v, second);
        if (sum > most)
            most = sum;
    }
    return most;
}

/* Few of many must still be seen: the eye is given the root, not the share. */
static void put_cell(struct page *p, double share, unsigned columns)
{
    static const unsigned palette[] = {54, 91, 127, 162, 203, 209, 215, 222, 230};
    static const char *const shades[] = {"░", "▒", "▓", "█"};
    static const char *const ascii[] = {".", ":", "+", "#"};
    enum { PALETTE = sizeof palette / sizeof *palette };
    double level = pow(share, 0.4);
    unsigned shade = (unsigned)fmin(level * 4, 3);
    bool is_painted = share > 0 && p->style->has_palette && p->style->has_blocks;
    const char *glyph = share <= 0             ? " "
                        : is_painted           ? "█"
                        : p->style->has_blocks ? shades[shade]
                                               : ascii[shade];
    if (is_painted)
        text_addf(p->out, "\033[38;5;%um", palette[(unsigned)fmin(level * PALETTE, PALETTE - 1)]);
    while (columns--)
        put_glyph(p, glyph);
}

static void put_bar(struct page *p, const struct view_state *v, double share_of_most, double share)
{
    static const char *const parts[] = {"▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
    enum { BAR_COLUMNS = RIGHT_COLUMNS - 10 };
    unsigned eighths = (unsigned)ceil(share_of_most * BAR_COLUMNS * 8);
    if (!v->max_ns || share <= 0)
        return;
    begin(p, ACCENT);
    for (; eighths >= 8; eighths -= 8)
        put_glyph(p, p->style->has_blocks ? "█" : "#");
    if (eighths)
        put_glyph(p, p->style->has_blocks ? parts[eighths - 1] : "|");
    end(p);
    put(p, FAINT, share < 0.0001 ? " <.01 %%" : share < 0.1 ? " %.2f %%" : " %.1f %%", share * 100);
}

static void draw_map_row(struct page *p, const struct view_state *v, const struct axis *a,
                         unsigned row, unsigned width)
{
    char edge[UNITS_TEXT_BYTES];
    unsigned top = row_low(a, row) + a->per_row - 1;
    uint64_t sum = row_sum(a, row, v, NULL);
    put(p, FAINT, "%*s ", LABEL_COLUMNS - 1,
        top < VIEW_BINS ? units_latency_text(bin_high_ns(top), edge) : "");
    struct span_of_time shown = choose_seconds(v, width);
    for (unsigned i = shown.first; i < v->second_count; i++) {
        const struct view_second *second = second_at(v, i);
        double share = (double)row_sum(a, row, v, second) / (double)row_sum_most(a, v, second);
        put_cell(p, share, shown.columns_each);
    }
    end(p);
    skip_to(p, LABEL_COLUMNS + width + 1);
    put_bar(p, v, (double)sum / (double)row_sum_most(a, v, NULL),
            (double)sum / fmax((double)ended(&v->counts), 1));
}

static void draw_map(struct page *p, const struct view_state *v)
{
    unsigned room = p->style->rows - p->lines, columns = p->style->columns;
    if (room < 5 || columns < LABEL_COLUMNS + RIGHT_COLUMNS + 12)
        return;
    unsigned width = columns - LABEL_COLUMNS - RIGHT_COLUMNS - 1;
    unsigned rows = room - 2 < MAP_ROWS_MAX ? room - 2 : MAP_ROWS_MAX;
    struct axis a = choose_axis(v, rows);
    put(p, FAINT, "%*s%-*s%s", LABEL_COLUMNS, "", (int)width + 1, "latency, second by second",
        "all so far");
    for (unsigned row = 0; row < rows && next_line(p); row++)
        draw_map_row(p, v, &a, row, width);
}

/* --- the frame --- */

void view_draw(const struct view_state *v, const struct view_style *style, struct text *frame)
{
    struct page p = {.style = style, .out = frame, .left = style->columns};
    text_add(frame, SPAN("\033[?2026h\033[H")); /* shown at once where the terminal knows how */
    draw_title(&p, v);
    draw_progress(&p, v);
    next_line(&p);
    draw_rate(&p, v);
    draw_latency(&p, v);
    draw_answers(&p, v);
    draw_under_way(&p, v);
    draw_client(&p, v);
    next_line(&p);
    if (v->second_count && p.lines < style->rows)
        draw_map(&p, v);
    text_add(frame, SPAN("\033[K\033[J\033[?2026l"));
}
