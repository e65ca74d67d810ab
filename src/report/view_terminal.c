/* The terminal is put back by whoever comes first: view_close(), exit(3), or the signal that ends or
 * stops the program. What a signal handler may do is little, so all it needs is kept ready here. */
#include "report/view.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/color.h"
#include "base/log.h"
#include "base/mem.h"

static const uint64_t FRAME_NS = NS_PER_S / 6;

/* Alternate screen, cursor off, empty; and back. */
static const char enter_text[] = "\033[?1049h\033[?25l\033[2J\033[H";
static const char leave_text[] = "\033[0m\033[?25h\033[?1049l";

static const int caught[] = {SIGABRT, SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                             SIGHUP,  SIGQUIT, SIGTSTP, SIGCONT};
enum { CAUGHT = sizeof caught / sizeof *caught };

static struct {
    int fd;
    struct termios before;
    struct sigaction actions[CAUGHT];
    volatile sig_atomic_t is_taken, must_clear;
} terminal;

struct view {
    struct view_state state;
    struct view_style style;
    uint64_t opened_ns, row_ns, drawn_ns;
    uint64_t rows_elapsed_ns;
    unsigned row_count;
};

/* --- taken and put back --- */

static void say(const char *text, size_t len)
{
    ssize_t ignored = write(terminal.fd, text, len);
    (void)ignored;
}

static void take_terminal(void)
{
    struct termios quiet = terminal.before;
    quiet.c_lflag &= ~(tcflag_t)ECHO; /* keys, ^C among them, would be written into the page */
    tcsetattr(terminal.fd, TCSADRAIN, &quiet);
    say(enter_text, sizeof enter_text - 1);
    terminal.is_taken = terminal.must_clear = 1;
}

static void leave_terminal(void)
{
    if (!terminal.is_taken)
        return;
    terminal.is_taken = 0;
    say(leave_text, sizeof leave_text - 1);
    tcsetattr(terminal.fd, TCSADRAIN, &terminal.before);
}

static void signalled(int signal);

static void give_back(void)
{
    leave_terminal();
    log_release();
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = signalled, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (unsigned i = 0; i < CAUGHT; i++)
        sigaction(caught[i], &action, &terminal.actions[i]);
}

static void release_signals(void)
{
    for (unsigned i = 0; i < CAUGHT; i++)
        sigaction(caught[i], &terminal.actions[i], NULL);
}

/* Ends or stops the program as if nobody had caught the signal; after a stop all is taken again. */
static void signalled(int signal)
{
    int saved = errno;
    if (signal == SIGCONT) {
        if (!terminal.is_taken) {
            catch_signals();
            take_terminal();
        }
    } else {
        leave_terminal();
        for (unsigned i = 0; i < CAUGHT; i++)
            if (caught[i] != SIGCONT)
                sigaction(caught[i], &terminal.actions[i], NULL);
        raise(signal); /* delivered when this handler returns */
    }
    errno = saved;
}

/* --- what the terminal can --- */

static bool is_set(const char *name)
{
    const char *value = getenv(name);
    return value && *value;
}

bool view_is_possible(int fd)
{
    const char *term = getenv("TERM");
    return isatty(fd) && term && *term && strcmp(term, "dumb") != 0 && tcgetpgrp(fd) == getpgrp();
}

/* A locale that is set decides; one that is not says nothing, and terminals speak UTF-8 today. */
static bool speaks_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (unsigned i = 0; i < 3; i++)
        if (is_set(names[i])) {
            const char *value = getenv(names[i]);
            return strcasestr(value, "UTF-8") || strcasestr(value, "UTF8");
        }
    return true;
}

/* True if the size is another one than before. */
static bool look_at_size(struct view *v)
{
    struct winsize size;
    unsigned columns = 80, rows = 24;
    if (ioctl(terminal.fd, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row) {
        columns = size.ws_col < 512 ? size.ws_col : 512;
        rows = size.ws_row;
    }
    bool is_other = columns != v->style.columns || rows != v->style.rows;
    v->style.columns = columns;
    v->style.rows = rows;
    return is_other;
}

/* --- the view --- */

struct view *view_open(int fd)
{
    static bool is_registered;
    struct view *v = mem_need(1, sizeof *v);
    CHECK(!terminal.is_taken);
    terminal.fd = fd;
    v->state.seconds = mem_need(VIEW_SECONDS, sizeof *v->state.seconds);
    v->state.all = hist_new();
    v->style.has_color = !color_is_refused();
    v->style.has_palette = v->style.has_color && strstr(getenv("TERM"), "256");
    v->style.has_blocks = speaks_utf8();
    v->opened_ns = clock_ns();
    if (tcgetattr(fd, &terminal.before) != 0)
        memset(&terminal.before, 0, sizeof terminal.before);
    if (!is_registered)
        is_registered = atexit(give_back) == 0;
    log_hold();
    catch_signals();
    take_terminal();
    return v;
}

struct view *view_open_load(const struct load_plan *plan, const char *before, const char *behind)
{
    if (plan->config.is_quiet || !view_is_possible(STDERR_FILENO))
        return NULL;
    struct view *v = view_open(STDERR_FILENO);
    struct view_state *state = &v->state;
    snprintf(state->title, sizeof state->title, "%s%s %s%s", before, plan->method_text,
             plan->url.text, behind);
    snprintf(state->model, sizeof state->model, "%s",
             plan->is_open        ? plan->model
             : plan->clients.pods ? "clients ramp"
                                  : "closed loop");
    state->is_open = plan->is_open;
    state->request_count = plan->request_count;
    if (plan->window_ns != UINT64_MAX && !plan->is_climbing)
        state->window_ns = plan->window_ns;
    return v;
}

struct view_state *view_state(struct view *v)
{
    return &v->state;
}

/* Whole rows have their own time; what has passed since is this program's to count. */
static void look_at_clock(struct view *v, uint64_t now_ns)
{
    if (v->state.second_count != v->row_count) {
        v->row_count = v->state.second_count;
        v->rows_elapsed_ns += (uint64_t)(v->state.last.length_s * 1e9);
        v->row_ns = now_ns;
    }
    v->state.elapsed_ns = v->rows_elapsed_ns + now_ns - (v->row_ns ? v->row_ns : v->opened_ns);
    if (v->state.window_ns && v->state.elapsed_ns > v->state.window_ns)
        v->state.elapsed_ns = v->state.window_ns;
}

void view_tick(struct view *v)
{
    uint64_t now_ns = clock_ns();
    bool is_new = v->state.second_count != v->row_count, is_other = look_at_size(v);
    struct pollfd ready = {.fd = terminal.fd, .events = POLLOUT};
    if (!is_new && !is_other && !terminal.must_clear && now_ns - v->drawn_ns < FRAME_NS)
        return;
    look_at_clock(v, now_ns);
    v->drawn_ns = now_ns;
    if (!terminal.is_taken || poll(&ready, 1, 0) != 1)
        return; /* somebody holds the output; the load goes on */
    struct text frame = {0};
    if (is_other || terminal.must_clear)
        text_add(&frame, SPAN("\033[2J"));
    terminal.must_clear = 0;
    view_draw(&v->state, &v->style, &frame);
    say(frame.data, frame.len);
    text_free(&frame);
}

void view_close(struct view *v)
{
    if (!v)
        return;
    give_back();
    release_signals();
    free(v->state.seconds);
    free(v->state.all);
    free(v);
}
