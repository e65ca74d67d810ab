/* `iubench load` */
#include "commands/commands.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "commands/signals.h"
#include "load/load.h"
#include "load/plan.h"
#include "report/result.h"
#include "report/view.h"

static const struct option_table tables[] = {{load_options, 0}, {NULL, 0}};

/* What a run shows while it goes on: the view, or a line for each second, or nothing. */
struct watcher {
    const struct load_config *config;
    struct view *view;
    const struct hist *latency;
};

static void see_latency(void *arg, const struct hist *so_far)
{
    struct watcher *w = arg;
    w->latency = so_far;
}

static void show_second(void *arg, struct load_second *row)
{
    struct watcher *w = arg;
    if (w->view)
        view_add(view_state(w->view), row, w->latency);
    else if (!w->config->is_quiet)
        result_print_second(row, stderr);
}

static bool is_signalled(void *arg)
{
    struct watcher *w = arg;
    if (w->view)
        view_tick(w->view);
    return signals_seen() != 0;
}

static struct view *open_view(const struct load_plan *plan, const struct load_config *config)
{
    if (config->is_quiet || !view_is_possible(STDERR_FILENO))
        return NULL;
    struct view *view = view_open(STDERR_FILENO);
    struct view_state *state = view_state(view);
    snprintf(state->title, sizeof state->title, "%s %s", plan->method_text, plan->url.text);
    snprintf(state->model, sizeof state->model, "%s", plan->is_open ? plan->model : "closed loop");
    state->is_open = plan->is_open;
    state->request_count = plan->request_count;
    if (plan->window_ns != UINT64_MAX && !plan->is_climbing)
        state->window_ns = plan->window_ns;
    return view;
}

/* A result that cannot be written is said before the load, not after it. */
static bool check_json_path(const char *path, struct fail *f)
{
    char folder[4096], shown[256];
    if (!path || strcmp(path, "-") == 0)
        return true;
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1,
             slash ? path : ".");
    if (*path && access(folder, W_OK | X_OK) == 0)
        return true;
    return fail_set(f, EXIT_USAGE, "--json \"%s\" cannot be written: %s",
                    log_escape(span_of(path), shown, sizeof shown),
                    *path ? strerror(errno) : "the name is empty");
}

static bool wants_color(FILE *to)
{
    const char *no_color = getenv("NO_COLOR");
    return isatty(fileno(to)) && !(no_color && *no_color);
}

/* The document to --json, the summary to standard output, or beside it when the document is there. */
static bool show_result(const struct load_config *config, const struct result *r, struct fail *f)
{
    bool is_json_shown = config->json && strcmp(config->json, "-") == 0;
    FILE *to = is_json_shown ? stderr : stdout;
    result_print(r, to, wants_color(to));
    fflush(to);
    if (!config->json)
        return true;
    if (!is_json_shown)
        return result_write(r, config->json, f);
    json_t *document = result_json(r);
    bool is_good = json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) == 0 &&
                   puts("") >= 0 && fflush(stdout) == 0;
    json_decref(document);
    return is_good ||
           fail_set(f, EXIT_FAILED, "the result could not be written: %s", strerror(errno));
}

static int run_plan(struct load_plan *plan, const struct load_config *config, int argc, char **argv,
                    struct fail *f)
{
    struct load_result load;
    struct watcher watcher = {.config = config};
    struct load_watch watch = {
        .latency = see_latency, .second = show_second, .stop = is_signalled, .arg = &watcher};
    signals_block();
    watcher.view = open_view(plan, config);
    bool is_run = load_run(plan, &watch, &load, f);
    view_close(watcher.view);
    if (!is_run)
        return (int)f->exit;
    struct result_target target = {
        .name = load.url, .load = &load, .server_cpu_us_per_request = NAN};
    struct result result = {.argc = argc,
                            .argv = argv,
                            .scenario = "load",
                            .services = "none",
                            .is_interrupted = load.is_interrupted,
                            .targets = &target,
                            .target_count = 1};
    int exit_code = load.is_interrupted ? signals_exit_code(signals_seen()) : load_exit_code(&load);
    if (!show_result(config, &result, f))
        exit_code = (int)f->exit;
    load_result_free(&load);
    return exit_code;
}

static int run_load(const struct command *command, int argc, char **argv, struct fail *f)
{
    struct load_config config = LOAD_CONFIG_DEFAULT;
    struct cli_texts arguments;
    switch (cli_parse(command, argc, argv, &config, &arguments, f)) {
    case CLI_BAD:
        return (int)f->exit;
    case CLI_HELP_SHOWN:
        return EXIT_DONE;
    case CLI_RUN:
        break;
    }
    if (!check_json_path(config.json, f))
        return (int)f->exit;
    config.urls = arguments;
    struct load_plan *plan = load_plan_new(&config, arguments.count ? arguments.items[0] : NULL, f);
    if (!plan)
        return (int)f->exit;
    char **words = mem_need((size_t)argc + 2, sizeof *words);
    words[0] = (char *)(uintptr_t) "iubench";
    words[1] = (char *)(uintptr_t) "load";
    memcpy(words + 2, argv, (size_t)argc * sizeof *words);
    int exit_code = run_plan(plan, &config, argc + 2, words, f);
    free(words);
    load_plan_free(plan);
    return exit_code;
}

const struct command command_load = {
    .name = "load",
    .arguments = "[URL...]",
    .arguments_max = 4096,
    .summary = "load a URL and measure what becomes of every request",
    .details =
        "Without a rate: a closed loop, each connection sends when its last answer came. With "
        "--rate, --rps-ramp or --stages: an open loop, requests are due at their times whatever "
        "the target does, and latency counts from then.\n\n"
        "Several URLs of one host are requested in turn; --requests-file has requests with "
        "weights, "
        "methods and bodies of their own. {uuid}, {mac}, {seq} and {rand:1-6} in URL, headers and "
        "body are filled in for each request.\n\n"
        "Without a URL the target at 127.0.0.1:8080 is asked what it is: POST /api/devices in the "
        "modes post and db, else GET.\n\n"
        "Exit code: 0 done, 1 no request succeeded, 2 usage, 4 the machine lacks something, 5 the "
        "verdict is INVALID, 130 or 143 ended by a signal.",
    .examples =
        "iubench load http://127.0.0.1:8080/api/devices\n"
        "iubench load -c 128 -t 2 -d 30s http://127.0.0.1:8080/json\n"
        "iubench load --rate 5k -d 1m --json result.json http://127.0.0.1:8080/fib/20\n"
        "iubench load --rps-ramp\n"
        "iubench load -b '{\"mac\":\"{mac}\",\"firmware\":\"1.{rand:0-9}\"}' --expect-status 201 "
        "http://127.0.0.1:8080/api/devices\n"
        "iubench load --stages 10s:1k,30s:60k -b @body.json http://127.0.0.1:8080/api/devices",
    .options = tables,
    .run = run_load,
};
