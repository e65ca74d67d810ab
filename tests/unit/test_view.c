/* The live view: whatever the load and the terminal's size, a frame stays within it and says what the
 * rows said. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "report/view.h"

static struct view_state state;
static struct hist *second;

static int make(void **unused)
{
    (void)unused;
    state = (struct view_state){.title = "GET http://127.0.0.1:8080/api/devices",
                                .model = "constant",
                                .window_ns = 30 * NS_PER_S,
                                .is_open = true};
    state.seconds = calloc(VIEW_SECONDS, sizeof *state.seconds);
    state.all = hist_new();
    second = hist_new();
    return state.seconds ? 0 : 1;
}

static int drop(void **unused)
{
    (void)unused;
    free(state.seconds);
    free(state.all);
    free(second);
    return 0;
}

static void add_second(uint64_t latency_ns, uint64_t count)
{
    struct load_second row = {.t = state.second_count + 1,
                              .length_s = 1,
                              .target_rps = 1000,
                              .connections_open = 64,
                              .in_flight = 12,
                              .backlog = 3,
                              .client_cpu_pct = 42};
    row.counts.ok = row.counts.sent = count;
    row.counts.errors[LOAD_ERROR_status_5xx] = 7;
    row.counts.timeouts = 2;
    hist_clear(second);
    hist_record_n(second, latency_ns, count);
    row.latency = second;
    row.p50_ns = row.p99_ns = row.p999_ns = row.max_ns = latency_ns;
    state.elapsed_ns += NS_PER_S;
    view_add(&state, &row);
}

/* The columns that a line takes, without its escape sequences. */
static unsigned columns_of(struct span line)
{
    unsigned columns = 0;
    for (size_t i = 0; i < line.len; i++) {
        if (line.data[i] == '\033') {
            i++; /* '[' */
            while (i + 1 < line.len && (line.data[i + 1] < '@' || line.data[i + 1] > '~'))
                i++;
            i++;
        } else if (line.data[i] != '\r' && ((unsigned char)line.data[i] & 0xc0) != 0x80) {
            columns++;
        }
    }
    return columns;
}

static char *drawn(const struct view_style *style)
{
    struct text frame = {0};
    view_draw(&state, style, &frame);
    unsigned lines = 1;
    for (const char *line = frame.data; line; lines++) {
        const char *end = strchr(line, '\n');
        struct span whole = {line, end ? (size_t)(end - line) : strlen(line)};
        assert_true(columns_of(whole) <= style->columns);
        line = end ? end + 1 : NULL;
    }
    assert_true(lines - 1 <= style->rows);
    return frame.data;
}

/* At no size, with no load, does a frame leave the screen. */
static void test_fits(void **unused)
{
    (void)unused;
    for (unsigned seconds = 0; seconds < 3; seconds++) {
        for (unsigned columns = 1; columns < 200; columns += 7)
            for (unsigned rows = 1; rows < 60; rows++)
                for (unsigned kind = 0; kind < 8; kind++)
                    free(drawn(&(struct view_style){.columns = columns,
                                                    .rows = rows,
                                                    .has_color = kind & 1,
                                                    .has_palette = kind & 2,
                                                    .has_blocks = kind & 4}));
        add_second(seconds ? 90 * NS_PER_S : 50, 1000000000);
    }
    for (unsigned i = 0; i < VIEW_SECONDS + 100; i++)
        add_second(NS_PER_MS, 1);
    free(drawn(&(struct view_style){.columns = 80, .rows = 24}));
}

static void expect(const char *frame, const char *text)
{
    if (!strstr(frame, text))
        fail_msg("\"%s\" is not in:\n%s", text, frame);
}

/* What the rows said is there to be read. */
static void test_numbers(void **unused)
{
    (void)unused;
    add_second(1500000, 61234);
    add_second(2500000, 900);
    char *frame = drawn(&(struct view_style){.columns = 80, .rows = 24});
    expect(frame, "GET http://127.0.0.1:8080/api/devices");
    expect(frame, "2s of 30s");
    expect(frame, "900 ok/s  of 1 000/s due");
    expect(frame, "2.50 ms");
    expect(frame, "1.50 ms");
    expect(frame, "62 134 ok  4 timeouts  14 5xx");
    expect(frame, "12 in flight, 64 connections, 3 waiting");
    expect(frame, "42 % of a core");
    expect(frame, "99.97 %"); /* both, answers and the share of the first second */
    free(frame);
}

/* Without colours a frame holds no colours, and none but ASCII where there is no UTF-8. */
static void test_plain(void **unused)
{
    (void)unused;
    add_second(1500000, 10);
    char *frame = drawn(&(struct view_style){.columns = 100, .rows = 30});
    for (const char *c = frame; *c; c++)
        assert_true((unsigned char)*c < 0x80);
    for (const char *m = frame; (m = strchr(m, '\033')); m++)
        assert_non_null(strchr("?HKJ", m[2])); /* all that is not colour */
    free(frame);
}

/* A second's column holds that second's answers only. */
static void test_seconds_are_apart(void **unused)
{
    (void)unused;
    add_second(1500000, 100);
    add_second(9000000, 5);
    uint64_t sums[2] = {0};
    for (unsigned i = 0; i < VIEW_BINS; i++)
        for (unsigned s = 0; s < 2; s++)
            sums[s] += state.seconds[s].bins[i];
    assert_int_equal(sums[0], 100);
    assert_int_equal(sums[1], 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fits, make, drop),
        cmocka_unit_test_setup_teardown(test_numbers, make, drop),
        cmocka_unit_test_setup_teardown(test_plain, make, drop),
        cmocka_unit_test_setup_teardown(test_seconds_are_apart, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
