/* `iubench load` */
#include "commands/commands.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/color.h"
#include "base/cpus.h"
#include "base/log.h"
#include "base/mem.h"
#include "commands/signals.h"
#include "lab/sampler.h"
#include "live/live.h"
#include "load/load.h"
#include "load/plan.h"
#include "report/file.h"
#include "report/result.h"
#include "report/series.h"
#include "report/view.h"

static const struct option_table tables[] = {
    {load_options, 0}, {load_lone_options, 0}, {load_shard_options, 0}, {0}};

/* What is done with a run beside running it. */
struct output {
    const struct load_config *config;
    struct hdr_log hdr;
    struct view *view; /* NULL: lines, if any */
    struct sampler *sampler;
    struct live *live; /* NULL: nobody watches from elsewhere */
};

static void take_begin(void *arg)
{
    struct output *o = arg;
    sampler_begin(o->sampler);
}

static void take_second(void *arg, struct load_second *row)
{
    struct output *o = arg;
    sampler_fill(o->sampler, row);
    hdr_log_second(&o->hdr, row);
    live_second(o->live, row);
    if (o->view)
        view_add(view_state(o->view), row);
    else if (!o->config->is_quiet && !o->config->find_max)
        result_print_second(row, stderr);
}

static void take_probe(void *arg, const struct find_max_probe *probe)
{
    const struct output *o = arg;
    if (!o->config->is_quiet)
        result_print_probe(probe, stderr);
}

static bool is_signalled(void *arg)
{
    struct output *o = arg;
    if (o->view)
        view_tick(o->view);
    return signals_seen() != 0;
}

static struct view *open_view(const struct load_plan *plan, const struct output *o)
{
    char behind[ADDRESS_TEXT_BYTES + 32] = "";
    if (live_url(o->live))
        snprintf(behind, sizeof behind, "   dashboard: %s", live_url(o->live));
    return view_open_load(plan, "", behind);
}

static bool is_stdout(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

static const char *path_of(const char *path)
{
    return is_stdout(path) ? NULL : path;
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat there;
    return a && b && strcmp(a, b) == 0 && (stat(a, &there) != 0 || S_ISREG(there.st_mode));
}

/* Each takes the whole of the file that it is given. */
static bool check_apart(const struct load_config *c, struct fail *f)
{
    if (is_stdout(c->json) + is_stdout(c->csv) + is_stdout(c->hdr) > 1)
        return fail_set(
            f, EXIT_USAGE,
            "of --json, --csv and --hdr one can go to the standard output (-): give the "
            "others a file");
    const char *twice = is_same_file(c->json, c->csv) || is_same_file(c->json, c->hdr) ? c->json
                        : is_same_file(c->csv, c->hdr)                                 ? c->csv
                                                                                       : NULL;
    return !twice ||
           fail_set(f, EXIT_USAGE,
                    "of --json, --csv and --hdr two name the file \"%s\": give each its own",
                    twice);
}

/* A file that cannot be written is said before the load, not after it. */
static bool output_open(struct output *o, const struct load_config *config, struct fail *f)
{
    *o = (struct output){.config = config};
    return check_apart(config, f) && file_check("--json", config->json, f) &&
           file_check("--csv", config->csv, f) && file_check("--hdr", config->hdr, f) &&
           live_open(config, &o->live, f) &&
           (!config->hdr || hdr_log_open(&o->hdr, path_of(config->hdr), f));
}

/* The document to --json, the summary to standard output, or beside it when a file is there. */
static bool show_result(struct output *o, const struct result *r, struct fail *f)
{
    const struct load_config *config = o->config;
    bool is_taken = is_stdout(config->json) || is_stdout(config->csv) || is_stdout(config->hdr);
    FILE *to = is_taken ? stderr : stdout;
    result_print(r, to, color_is_wanted(to));
    fflush(to);
    if (!hdr_log_close(&o->hdr, f))
        return false;
    if (config->csv && !series_write_csv(r->targets[0].load, path_of(config->csv), f))
        return false;
    return !config->json || result_save(result_json(r), path_of(config->json), f);
}

static bool start_sampler(struct output *o, const struct load_plan *plan, struct fail *f)
{
    struct sampler_config config = {.interval_ns = plan->config.sample_ns, .busy = {&plan->cpus}};
    if (sampler_find_target(&config, plan, f))
        o->sampler = sampler_start(&config, f);
    return o->sampler;
}

static bool show_live(struct output *o, const struct load_plan *plan, const struct result *known,
                      struct fail *f)
{
    const cpu_set_t others = {0};
    if (!live_start(o->live, known, &plan->cpus, &others, f))
        return false;
    if (live_url(o->live))
        log_line("dashboard: %s", live_url(o->live));
    live_target(o->live, &(struct result_target){.name = plan->url.text}, plan);
    return true;
}

static int run_plan(struct load_plan *plan, struct output *output, int argc, char **argv,
                    struct fail *f)
{
    struct load_result load;
    struct find_max found = {0};
    struct load_watch watch = {
        .begin = take_begin, .second = take_second, .stop = is_signalled, .arg = output};
    bool is_search = output->config->find_max;
    struct result result = {.argc = argc, .argv = argv, .scenario = "load", .services = "none"};
    char pinning[CPUS_TEXT_BYTES + sizeof "client "] = "client ";
    if (CPU_COUNT(&plan->cpus)) {
        cpus_text(&plan->cpus, pinning + strlen(pinning));
        result.pinning = pinning;
    }
    signals_block();
    if (!start_sampler(output, plan, f) || !show_live(output, plan, &result, f)) {
        sampler_stop(output->sampler);
        return (int)f->exit;
    }
    if (!is_search)
        output->view = open_view(plan, output);
    bool is_run = is_search ? find_max_run(plan, &watch, take_probe, &found, &load, f)
                            : load_run(plan, &watch, &load, f);
    view_close(output->view);
    sampler_stop(output->sampler);
    if (!is_run)
        return (int)f->exit;
    struct result_target target = {
        .name = load.url, .load = &load, .find_max = is_search ? &found : NULL};
    result.is_interrupted = load.is_interrupted;
    result.targets = &target;
    result.target_count = 1;
    int exit_code = load.is_interrupted ? signals_exit_code(signals_seen()) : load_exit_code(&load);
    bool was_there = load.connections_made; /* else it is no rate that broke */
    if (is_search && !load.is_interrupted && found.rate <= 0 && was_there)
        exit_code = EXIT_THRESHOLD;
    if (!show_result(output, &result, f))
        exit_code = (int)f->exit;
    live_end(output->live, &result);
    output->live = NULL;
    find_max_free(&found);
    load_result_free(&load);
    return exit_code;
}

/* A plan that is bad leaves no file behind. */
static int plan_and_run(const struct load_config *config, const char *url, int argc, char **argv,
                        struct fail *f)
{
    struct output output;
    struct load_plan *plan = load_plan_new(config, url, f);
    if (!plan)
        return (int)f->exit;
    int exit_code = output_open(&output, config, f) ? run_plan(plan, &output, argc, argv, f)
                                                    : (int)f->exit;
    live_end(output.live, NULL);
    load_plan_free(plan);
    return exit_code;
}

static int run_load(const struct command *command, int argc, char **argv, struct fail *f)
{
    struct load_config config = LOAD_CONFIG_DEFAULT;
    struct cli_texts arguments;
    enum cli_outcome outcome = cli_parse(command, argc, argv, &config, &arguments, f);
    if (outcome != CLI_RUN)
        return cli_exit_code(outcome, f);
    config.urls = arguments;
    char **words = mem_need((size_t)argc + 2, sizeof *words);
    words[0] = (char *)(uintptr_t) "iubench";
    words[1] = (char *)(uintptr_t) "load";
    memcpy(words + 2, argv, (size_t)argc * sizeof *words);
    int exit_code = plan_and_run(&config, arguments.count ? arguments.items[0] : NULL, argc + 2,
                                 words, f);
    free(words);
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
        "Exit code: 0 done, 1 no request succeeded, 2 usage, 3 an --expect was not met or "
        "--find-max found none, 4 "
        "the machine lacks something, 5 the verdict is INVALID, 130 or 143 ended by a signal.",
    .examples =
        "iubench load http://127.0.0.1:8080/api/devices\n"
        "iubench load -c 128 -t 2 -d 30s http://127.0.0.1:8080/json\n"
        "iubench load --rate 5k -d 1m --json result.json http://127.0.0.1:8080/fib/20\n"
        "iubench load --rate 5k --expect 'p99<10ms,availability>=99.9%' "
        "http://127.0.0.1:8080/json\n"
        "iubench load --find-max 'p99<50ms,availability>=99.9%' http://127.0.0.1:8080/json\n"
        "iubench load --rps-ramp\n"
        "iubench load --shard 0/4 --start-at 2026-11-20T17:00:00Z --rate 200k --json 0.json "
        "http://10.0.0.1:8080/json\n"
        "iubench load -b '{\"mac\":\"{mac}\",\"firmware\":\"1.{rand:0-9}\"}' --expect-status 201 "
        "http://127.0.0.1:8080/api/devices\n"
        "iubench load --stages 10s:1k,30s:60k -b @body.json http://127.0.0.1:8080/api/devices",
    .options = tables,
    .run = run_load,
};
