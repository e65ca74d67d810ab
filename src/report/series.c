/* The CSV is made from the rows of the JSON, so that the two cannot differ. */
#include "report/series.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "report/file.h"
#include "report/result.h"
#include "version.h"

/* --- CSV --- */

/* Adds the figures of `from` to the flat `to`: errors under their own names, those of parties and
 * host as target_cpu_pct and host_mhz. Lists and what is by core have no place in a table. */
static void flatten(json_t *from, const char *prefix, json_t *to)
{
    const char *key;
    json_t *value;
    json_object_foreach(from, key, value)
    {
        char name[96];
        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "_" : "", key);
        if (!strcmp(key, "errors") || !strcmp(key, "parties"))
            flatten(value, "", to);
        else if (json_is_object(value) && strcmp(key, "cpu_pct_by_core") != 0)
            flatten(value, name, to);
        else if (!json_is_object(value) && !json_is_array(value) && strcmp(key, "host") != 0)
            CHECK(json_object_set(to, name, value) == 0);
    }
}

static void write_line(FILE *to, json_t *head, const json_t *row)
{
    const char *key, *comma = "";
    json_t *unused;
    json_object_foreach(head, key, unused)
    {
        const json_t *value = json_object_get(row, key);
        char *text = !value || json_is_null(value)
                         ? NULL
                         : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
        fprintf(to, "%s%s", comma, !row ? key : text ? text : "");
        free(text);
        comma = ",";
    }
    fputc('\n', to);
}

/* A party may have come or gone on the way: the head has what any row has. */
static bool write_csv(FILE *to, const void *arg)
{
    json_t *series = result_series_json(arg), *rows = json_array(), *head = json_object(), *row;
    size_t i;
    json_array_foreach(series, i, row)
    {
        json_t *flat = json_object();
        flatten(row, "", flat);
        CHECK(json_object_update_missing(head, flat) == 0);
        CHECK(json_array_append_new(rows, flat) == 0);
    }
    if (json_array_size(rows))
        write_line(to, head, NULL);
    json_array_foreach(rows, i, row) write_line(to, head, row);
    json_decref(series);
    json_decref(rows);
    json_decref(head);
    return fflush(to) == 0;
}

bool series_write_csv(const struct load_result *r, const char *path, struct fail *f)
{
    if (path)
        return file_write(path, write_csv, r, f);
    return write_csv(stdout, r) ||
           fail_set(f, EXIT_FAILED, "the series could not be written: %s", strerror(errno));
}

/* --- interval log --- */

bool hdr_log_open(struct hdr_log *l, const char *path, struct fail *f)
{
    *l = (struct hdr_log){.path = path, .to = path ? fopen(path, "we") : stdout};
    return l->to ||
           fail_set(f, EXIT_USAGE, "--hdr %s cannot be written: %s", path, strerror(errno));
}

static void write_head(struct hdr_log *l, int64_t begin_us)
{
    char started[CLOCK_TEXT_BYTES];
    clock_text(begin_us, started);
    fprintf(l->to,
            "#[iubench %s]\n"
            "#[Histogram log format version 1.3]\n"
            "#[StartTime: %" PRId64 ".%03d (seconds since epoch), %s]\n"
            "#[Recorded values are nanoseconds]\n"
            "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
            "\"Interval_Compressed_Histogram\"\n",
            IUBENCH_VERSION, begin_us / 1000000, (int)(begin_us / 1000 % 1000), started);
    l->has_head = true;
}

static void write_interval(struct hdr_log *l, const struct load_second *row, const char *tag,
                           const struct hist *h)
{
    struct text encoded = {0};
    hist_encode(h, &encoded);
    fprintf(l->to, "Tag=%s,%" PRId64 ".%03d,%.3f,%.3f,%s\n", tag, row->begin_us / 1000000,
            (int)(row->begin_us / 1000 % 1000), row->length_s, (double)h->max / NS_PER_MS,
            encoded.data);
    text_free(&encoded);
}

void hdr_log_second(struct hdr_log *l, const struct load_second *row)
{
    if (!l->to)
        return;
    if (!l->has_head)
        write_head(l, row->begin_us);
    write_interval(l, row, "latency", row->latency);
    write_interval(l, row, "service_time", row->service);
    if (fflush(l->to) != 0 && !l->write_errno)
        l->write_errno = errno;
}

bool hdr_log_close(struct hdr_log *l, struct fail *f)
{
    if (!l->to)
        return true;
    int why = l->write_errno; /* of what was written in the run, which nobody waits for */
    if ((l->path ? fclose(l->to) : fflush(l->to)) != 0 && !why)
        why = errno;
    l->to = NULL;
    return !why || fail_set(f, EXIT_FAILED, "%s could not be written: %s",
                            l->path ? l->path : "the interval log", strerror(why));
}
