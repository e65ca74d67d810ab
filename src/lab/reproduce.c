/* A run of a scenario by the contestants that it names; its result is read back from its file, as
 * anybody could. */
#include "lab/reproduce.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/units.h"
#include "lab/entrant.h"

/* --- readied --- */

/* A contestant may give out at a hundredth of what another one holds: rates in a geometric row tell
 * both apart equally well. */
static const double STEP_FACTOR = 1.2;

static void make_stages(struct scenario *s)
{
    size_t len = 0;
    for (double rate = s->step_from; rate < s->step_to * 1.0001; rate *= STEP_FACTOR) {
        len += (size_t)snprintf(s->stages + len, sizeof s->stages - len, "%s1s:%.0f",
                                len ? "," : "", rate);
        CHECK(len < sizeof s->stages);
    }
    s->load.ramp = s->load.clients = NULL;
    s->load.stages = s->stages;
}

static bool find_contestants(const struct scenario *s, struct fail *f)
{
    struct entrant e;
    bool is_good = true;
    for (unsigned i = 0; i < s->contestant_count && is_good; i++) {
        is_good = entrant_read(&e, s->contestants[i], f) ||
                  fail_prefix(f, "%s: contestants", s->name);
        entrant_free(&e);
    }
    return is_good;
}

bool reproduce_prepare(struct scenario *s, struct fail *f)
{
    if (!s->contestant_count)
        return fail_set(f, EXIT_USAGE,
                        "%s names no contestants: expected a line in its [scenario] such as "
                        "contestants = fastapi-published, go-published, iubench",
                        s->name);
    if (s->step_from > 0)
        make_stages(s);
    return find_contestants(s, f);
}

void reproduce_shorten(struct scenario *s)
{
    struct load_config *load = &s->load;
    char text[UNITS_TEXT_BYTES];
    if (!load->duration_was_set || load->timeout_ns <= load->duration_ns)
        return;
    load->timeout_ns = load->duration_ns;
    log_line("%s: the timeout is shortened to the duration, %s", s->name,
             units_duration_text(load->timeout_ns, text));
}

/* --- the rows --- */

static bool has_course(const struct load_config *c)
{
    return c->ramp || c->stages || c->clients;
}

static double published_value(const struct scenario *s, const char *contestant,
                              const struct reproduction_metric *metric)
{
    for (unsigned i = 0; i < s->figure_count; i++)
        if (!strcmp(s->figures[i].contestant, contestant) && s->figures[i].metric == metric->name)
            return s->figures[i].value;
    return NAN;
}

static struct interval published_ratio(const struct scenario *s, const struct reproduction_row *row)
{
    double first = row->contestants[0].published, second = row->contestants[1].published;
    double ratio = row->metric->is_more_better ? second / first : first / second;
    return isnan(ratio) ? s->ratio : (struct interval){ratio, ratio};
}

/* What results call it: a target file may be given by its path. */
static void take_name(struct reproduction_contestant *c, const char *word)
{
    struct entrant e;
    struct fail ignored;
    bool is_read = entrant_read(&e, word, &ignored);
    snprintf(c->name, sizeof c->name, "%.63s", is_read ? e.name : word);
    entrant_free(&e);
}

/* The row as it is before the race. */
static struct reproduction_row *
add_row(const struct scenario *s, const struct reproduction_metric *metric, struct reproduction *r)
{
    struct reproduction_row *row = reproduction_add(r);
    row->metric = metric;
    snprintf(row->name, sizeof row->name, "%s", s->name);
    snprintf(row->published, sizeof row->published, "%s", s->published);
    snprintf(row->cause, sizeof row->cause, "%s", s->cause);
    for (; row->contestant_count < s->contestant_count; row->contestant_count++) {
        struct reproduction_contestant *c = &row->contestants[row->contestant_count];
        take_name(c, s->contestants[row->contestant_count]);
        c->published = published_value(s, c->name, metric);
    }
    row->ratio_published = published_ratio(s, row);
    return row;
}

static void add_measured(const struct scenario *s, const struct run_config *config,
                         const struct reproduction_metric *metric, const struct fail *why,
                         struct reproduction *r)
{
    char path[512];
    struct fail unread = *why;
    struct reproduction_row *row = add_row(s, metric, r);
    const char *slash = strrchr(config->out, '/');
    snprintf(path, sizeof path, "%s/result.json", config->out);
    if (why->text[0] || !reproduction_read(row, path, &unread))
        snprintf(row->note, sizeof row->note, "%s", unread.text);
    else
        snprintf(row->report, sizeof row->report, "%.100s/report.html",
                 slash ? slash + 1 : config->out);
    reproduction_judge(row, r->row_count);
}

static const struct reproduction_metric *usual_metric(const struct scenario *s)
{
    if (s->figure_count)
        return reproduction_metric(s->figures[0].metric);
    return reproduction_metric(has_course(&s->load) ? "max_rps" : "rps");
}

int reproduce_scenario(const struct scenario *s, const struct run_config *config,
                       struct reproduction *r)
{
    const char *words[REPRODUCTION_CONTESTANTS_MAX];
    struct run_config run = *config;
    struct fail why = {0};
    int exit_code = EXIT_DONE;
    for (unsigned i = 0; i < s->contestant_count; i++)
        words[i] = s->contestants[i];
    run.targets = (struct cli_texts){words, s->contestant_count};
    if (!run_scenario(s, &run, &exit_code, &why)) {
        exit_code = (int)why.exit;
        log_line("%s: %s", s->name, why.text);
    }
    for (unsigned i = 0; i < s->metric_count; i++)
        add_measured(s, config, s->metrics[i], &why, r);
    if (!s->metric_count)
        add_measured(s, config, usual_metric(s), &why, r);
    return exit_code;
}
